#include "control/backup_manifest.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/json.h"

namespace ybis::control {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

const TimePoint kTime = ParseRfc3339("2026-01-31T12:00:00.250000Z").value();

BackupManifest Sample() {
  BackupManifest manifest;
  manifest.name = BackupName(kTime, "1f2e3d", false);
  manifest.product_version = "0.1.0";
  manifest.created = kTime;
  manifest.secrets = true;
  manifest.source = {"7301", "ybis", 150018};
  manifest.migrations = {{1, "tasks", Digest("one")}, {2, "queue", Digest("two")}};
  manifest.parts = {{"database", 10, Digest("dump"), 0, 12}, {"configs", 20, Digest("tar"), 300, 2}};
  return manifest;
}

/// The sample with a field changed and its digest made to fit again, as one would who forges it.
std::string Forged(const std::string& pointer, const json& value) {
  json body = json::parse(ManifestText(Sample()));
  body[json::json_pointer(pointer)] = value;
  body.erase("digest");
  body["digest"] = Digest(DumpJson(body));
  return DumpJson(body);
}

std::string ProblemOf(const std::string& text) {
  const auto read = ParseManifest(text, "manifest.json");
  return read ? "none" : read.error().message;
}

TEST(BackupManifest, ComesBackAsItWasWritten) {
  const auto read = ParseManifest(ManifestText(Sample()), "manifest.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(ManifestText(*read), ManifestText(Sample()));
  EXPECT_EQ(read->created, kTime);
  EXPECT_EQ(read->TotalBytes(), 30);
  ASSERT_NE(read->Find("configs"), nullptr);
  EXPECT_EQ(read->Find("configs")->unpacked, 300);
  EXPECT_EQ(read->Find("index"), nullptr);
}

TEST(BackupManifest, AnyChangeIsNoticed) {
  const std::string text = ManifestText(Sample());
  for (const char* field : {"0.1.0", "150018", "7301", "queue", "\"size\": 20", "true", "2026-01-31T12"}) {
    std::string changed = text;
    const size_t at = changed.find(field);
    ASSERT_NE(at, std::string::npos) << field;
    char& last = changed[at + std::string_view(field).size() - 1];
    last = last == 'e' ? 'E' : static_cast<char>(last ^ 1);
    EXPECT_NE(ProblemOf(changed), "none") << field;
  }
}

TEST(BackupManifest, ForgedFieldsAreRefusedByName) {
  const std::vector<std::tuple<std::string, json, std::string>> cases = {
      {"/kind", "other-backup", "kind"},
      {"/formatVersion", 2, "formatVersion"},
      {"/formatVersion", "1", "formatVersion"},
      {"/name", "../../etc", "name"},
      {"/created", "yesterday", "created"},
      {"/parts/0/file", "../database.dump", "parts[0].file"},
      {"/parts/0/name", "/etc/passwd", "parts[0].name"},
      {"/parts/1/name", "database", "parts[1].name"},
      {"/parts/0/size", -1, "parts[0].size"},
      {"/parts/0/digest", "sha256:12", "parts[0].digest"},
      {"/parts/0/extra", 1, "parts[0].extra"},
      {"/parts", json::array(), "parts"},
      {"/schema/version", 9, "schema.version"},
      {"/surprise", 1, "surprise"}};
  for (const auto& [pointer, value, field] : cases) {
    EXPECT_NE(ProblemOf(Forged(pointer, value)).find(field), std::string::npos)
        << pointer << ": " << ProblemOf(Forged(pointer, value));
  }
}

TEST(BackupManifest, ANewerFormatIsUnsupportedAndNotRead) {
  const auto read =
      ParseManifest(R"({"kind":"ybis-backup","formatVersion":7,"whatever":[]})", "manifest.json");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kUnsupported);
}

TEST(BackupManifest, GarbageIsAnErrorNeverACrash) {
  const std::string text = ManifestText(Sample());
  for (size_t length = 0; length < text.size() - 1; length += 7)
    EXPECT_NE(ProblemOf(text.substr(0, length)), "none");
  EXPECT_NE(ProblemOf("[]"), "none");
  EXPECT_NE(ProblemOf("null"), "none");
  EXPECT_NE(ProblemOf(std::string(2 << 20, ' ')), "none");
}

TEST(BackupNames, ComeBackAsTheyWereMade) {
  for (const bool safety : {false, true}) {
    const auto id = ParseBackupName(BackupName(kTime, "1f2e3d", safety));
    ASSERT_TRUE(id);
    EXPECT_EQ(id->created, std::chrono::floor<std::chrono::seconds>(kTime));
    EXPECT_EQ(id->safety, safety);
  }
  EXPECT_EQ(BackupName(kTime, "1f2e3d", true), "ybis-20260131T120000Z-1f2e3d-safety");
}

TEST(BackupNames, OtherNamesAreNone) {
  for (const char* name :
       {"", "ybis", ".making-ybis-20260131T120000Z-1f2e3d", "ybis-20260131T120000Z", "lost+found",
        "ybis-20261331T120000Z-1f2e3d", "ybis-20260131T120000Z-1f2e3g", "ybis-20260131T120000Z-1f2e3d/",
        "ybis-20260131 120000Z-1f2e3d", "ybis-20260131T120000Z-1f2e3d-safe"}) {
    EXPECT_FALSE(ParseBackupName(name)) << name;
  }
}

BackupId Id(std::chrono::hours age, bool safety = false) {
  return *ParseBackupName(BackupName(kTime - age, "000000", safety));
}

TEST(BackupsToRemove, KeepsTheNewestAndYoungSafetyBackups) {
  const std::vector<BackupId> all = {Id(100h), Id(1h), Id(50h), Id(2h, true), Id(30h, true), Id(40h)};
  const std::vector<std::string> wanted = {Id(30h, true).name, Id(50h).name, Id(100h).name};
  EXPECT_EQ(BackupsToRemove(all, 2, kTime), wanted);
  EXPECT_TRUE(BackupsToRemove(all, 6, kTime).empty());
}

TEST(BackupsToRemove, SafetyBackupsDoNotPushOrdinaryOnesOut) {
  const std::vector<BackupId> all = {Id(1h, true), Id(2h, true), Id(40h), Id(50h)};
  EXPECT_EQ(BackupsToRemove(all, 1, kTime), std::vector<std::string>{Id(50h).name});
}

}  // namespace
}  // namespace ybis::control
