#include "control/backup_manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/digest.h"
#include "base/json.h"

namespace ybis::control {
namespace {

using nlohmann::json;

constexpr std::string_view kKind = "ybis-backup";
constexpr int64_t kMost = int64_t{1} << 60;
constexpr std::string_view kSafety = "-safety";

bool IsHex(std::string_view text, size_t length) {
  return text.size() == length && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool IsDigest(std::string_view text) { return text.starts_with("sha256:") && IsHex(text.substr(7), 64); }

json PartsJson(const BackupManifest& manifest) {
  json parts = json::array();
  for (const BackupPart& part : manifest.parts) {
    parts.push_back({{"name", part.component},
                     {"file", BackupFile(part.component)},
                     {"size", part.size},
                     {"digest", part.digest},
                     {"unpackedSize", part.unpacked},
                     {"entries", part.entries}});
  }
  return parts;
}

json SchemaJson(const BackupManifest& manifest) {
  json history = json::array();
  for (const auto& migration : manifest.migrations) {
    history.push_back(
        {{"version", migration.version}, {"name", migration.name}, {"checksum", migration.checksum}});
  }
  return {{"version", manifest.migrations.empty() ? 0 : manifest.migrations.back().version},
          {"migrations", history}};
}

json Body(const BackupManifest& manifest) {
  return {{"kind", kKind},
          {"formatVersion", kBackupFormat},
          {"name", manifest.name},
          {"productVersion", manifest.product_version},
          {"created", FormatRfc3339Micro(manifest.created)},
          {"safety", manifest.safety},
          {"secrets", manifest.secrets},
          {"database",
           {{"system", manifest.source.system},
            {"name", manifest.source.database},
            {"serverVersion", manifest.source.server_version}}},
          {"schema", SchemaJson(manifest)},
          {"parts", PartsJson(manifest)}};
}

/// Kind and format come first: what another product or a newer program wrote is not read any further.
Status CheckHeading(const json& body, std::string_view source) {
  if (!body.is_object() || body.value("kind", json()) != kKind) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("{}: kind: is not {}: this is no backup of ybis", source, kKind));
  }
  const json version = body.value("formatVersion", json());
  if (!version.is_number_integer() || version < 1) {
    return Fail(ErrorCode::kInvalid, fmt::format("{}: formatVersion: must be a number from 1", source));
  }
  if (version > kBackupFormat) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("{}: formatVersion: {} is newer than the {} this program knows; use a newer ybis",
                            source, version.dump(), kBackupFormat));
  }
  return {};
}

Status CheckDigest(json& body, std::string_view source) {
  const json digest = body.value("digest", json());
  body.erase("digest");
  if (digest == Digest(DumpJson(body))) return {};
  return Fail(ErrorCode::kInvalid,
              fmt::format("{}: digest: does not fit the rest of the file: it was changed", source));
}

void ReadPart(const json& value, const std::string& path, std::set<std::string>& seen, ObjectReader& parent,
              BackupManifest& manifest) {
  if (!value.is_object()) return parent.Problem(path + ": must be an object");
  ObjectReader reader(value, path);
  BackupPart part;
  part.component = reader.RequiredString("name");
  part.size = reader.Int("size", -1, 0, kMost);
  part.digest = reader.RequiredString("digest");
  part.unpacked = reader.Int("unpackedSize", 0, 0, kMost);
  part.entries = reader.Int("entries", 0, 0, kMost);
  const std::string file = reader.RequiredString("file");
  if (BackupFile(part.component).empty()) reader.Problem(path + ".name: is no part that this program knows");
  if (file != BackupFile(part.component)) reader.Problem(path + ".file: is not the file of that part");
  if (!seen.insert(part.component).second) reader.Problem(path + ".name: stands there twice");
  if (part.size < 0) reader.Problem(path + ".size: is missing");
  if (!IsDigest(part.digest)) reader.Problem(path + ".digest: must be sha256: and 64 hexadecimal digits");
  parent.Adopt(reader.Finish());
  manifest.parts.push_back(std::move(part));
}

void ReadSchema(const json& value, ObjectReader& parent, BackupManifest& manifest) {
  ObjectReader reader(value, "schema");
  const int64_t version = reader.Int("version", 0, 0, 1'000'000);
  if (const json* history = reader.Array("migrations")) {
    for (const json& entry : *history) {
      if (!entry.is_object()) return parent.Problem("schema.migrations: must be objects");
      ObjectReader row(entry, "schema.migrations[]");
      const int64_t number = row.Int("version", 0, 1, 1'000'000);
      manifest.migrations.push_back({number, row.RequiredString("name"), row.RequiredString("checksum")});
      parent.Adopt(row.Finish());
    }
  }
  const int64_t last = manifest.migrations.empty() ? 0 : manifest.migrations.back().version;
  if (version != last) reader.Problem("schema.version: is not that of the last migration");
  parent.Adopt(reader.Finish());
}

void ReadSource(const json& value, ObjectReader& parent, BackupManifest& manifest) {
  ObjectReader reader(value, "database");
  manifest.source.system = reader.String("system");
  manifest.source.database = reader.String("name");
  manifest.source.server_version = reader.Int("serverVersion", 0, 0, kMost);
  parent.Adopt(reader.Finish());
}

Status ReadBody(const json& body, BackupManifest& manifest) {
  ObjectReader reader(body, "");
  reader.Member("kind");
  reader.Member("formatVersion");
  manifest.name = reader.RequiredString("name");
  manifest.product_version = reader.RequiredString("productVersion");
  manifest.safety = reader.Bool("safety", false);
  manifest.secrets = reader.Bool("secrets", false);
  const auto created = ParseRfc3339(reader.RequiredString("created"));
  if (created) manifest.created = *created;
  if (!created) reader.Problem("created: " + created.error().message);
  if (!ParseBackupName(manifest.name)) reader.Problem("name: is not a backup's name");
  if (const json* source = reader.Object("database")) ReadSource(*source, reader, manifest);
  if (const json* schema = reader.Object("schema")) ReadSchema(*schema, reader, manifest);
  std::set<std::string> seen;
  const json* parts = reader.Array("parts");
  for (size_t i = 0; parts != nullptr && i < parts->size() && i < 16; ++i)
    ReadPart((*parts)[i], fmt::format("parts[{}]", i), seen, reader, manifest);
  if (parts == nullptr || parts->empty() || parts->size() > 16) reader.Problem("parts: must be 1 to 16");
  return reader.Finish();
}

}  // namespace

std::string_view BackupFile(std::string_view component) {
  if (component == "database") return "database.dump";
  if (component == "configs") return "configs.tar.zst";
  if (component == "workspaces") return "workspaces.tar.zst";
  return component == "index" ? "index.tar.zst" : "";
}

const BackupPart* BackupManifest::Find(std::string_view component) const {
  const auto found = std::find_if(parts.begin(), parts.end(),
                                  [&](const BackupPart& part) { return part.component == component; });
  return found == parts.end() ? nullptr : &*found;
}

int64_t BackupManifest::TotalBytes() const {
  int64_t total = 0;
  for (const BackupPart& part : parts) total += part.size;
  return total;
}

std::string ManifestText(const BackupManifest& manifest) {
  json body = Body(manifest);
  body["digest"] = Digest(DumpJson(body));
  return DumpJsonPretty(body);
}

Result<BackupManifest> ParseManifest(std::string_view text, std::string_view source) {
  YBIS_ASSIGN(json body, ParseJson(text, source, {.max_bytes = 1024 * 1024, .max_depth = 8}));
  YBIS_TRY(CheckHeading(body, source));
  YBIS_TRY(CheckDigest(body, source));
  BackupManifest manifest;
  if (Status read = ReadBody(body, manifest); !read) return FailIn(source, std::move(read).error());
  return manifest;
}

std::string BackupName(TimePoint created, std::string_view nonce, bool safety) {
  std::string time = FormatRfc3339(created);
  std::erase_if(time, [](char c) { return c == '-' || c == ':'; });
  return fmt::format("ybis-{}-{}{}", time, nonce, safety ? kSafety : "");
}

std::optional<BackupId> ParseBackupName(std::string_view name) {
  BackupId id{.name = std::string(name)};
  if (name.ends_with(kSafety)) {
    id.safety = true;
    name.remove_suffix(kSafety.size());
  }
  constexpr size_t kTimeAt = 5, kNonceAt = 22, kLength = 28;
  if (name.size() != kLength || !name.starts_with("ybis-") || name[kNonceAt - 1] != '-' ||
      !IsHex(name.substr(kNonceAt), 6))
    return std::nullopt;
  const std::string_view t = name.substr(kTimeAt, 16);
  const auto time =
      ParseRfc3339(fmt::format("{}-{}-{}{}{}:{}:{}", t.substr(0, 4), t.substr(4, 2), t.substr(6, 2), t[8],
                               t.substr(9, 2), t.substr(11, 2), t.substr(13)));
  if (!time || t[8] != 'T' || t[15] != 'Z') return std::nullopt;
  id.created = *time;
  return id;
}

std::vector<std::string> BackupsToRemove(std::vector<BackupId> backups, size_t keep, TimePoint now) {
  std::sort(backups.begin(), backups.end(), [](const BackupId& a, const BackupId& b) {
    return std::tie(a.created, a.name) > std::tie(b.created, b.name);
  });
  std::vector<std::string> remove;
  size_t seen = 0, ordinary = 0;
  for (const BackupId& backup : backups) {
    const bool newest_ordinary = !backup.safety && ordinary++ < keep;
    const bool newest = seen++ < keep || newest_ordinary;
    const bool young = backup.safety && now - backup.created < std::chrono::hours(24);
    if (!newest && !young) remove.push_back(backup.name);
  }
  return remove;
}

}  // namespace ybis::control
