#include "cli/local/backup/create.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/file.h"
#include "base/file_digest.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "base/version.h"
#include "cli/local/backup/pack.h"
#include "cli/local/runner_process.h"
#include "store/conninfo.h"

namespace ybis::cli {
namespace {

namespace fs = std::filesystem;
using control::BackupManifest;
using control::BackupPart;

/// What rebuilds itself or was for one runner alone: checkouts, tokens, scratch space.
bool StaysOut(const fs::path& path) {
  std::vector<std::string> parts;
  for (const fs::path& part : path) parts.push_back(part);
  if (parts.size() == 3) return IsScratch(parts[2]);
  return parts.size() == 5 && parts[2] == "runs" && parts[4] == "tmp";
}

class Creation {
 public:
  Creation(const BackupSite& site, const CreateRequest& request, fs::path folder, std::stop_token stop)
      : site_(site), request_(request), folder_(std::move(folder)), stop_(std::move(stop)) {}

  Status Run(CreatedBackup& out) {
    manifest_ = &out.manifest;
    skipped_ = &out.skipped;
    if (request_.database) YBIS_TRY(TakeDatabase());
    const fs::path& data = site_.folders.data;
    if (request_.configs)
      YBIS_TRY(TakeFiles("configs", {site_.folders.config, ConfigRoots(request_.secrets), {}}));
    if (request_.workspaces) YBIS_TRY(TakeFiles("workspaces", {data, {"runs"}, StaysOut}));
    if (request_.index) YBIS_TRY(TakeFiles("index", {data, {"index"}, {}}));
    if (out.manifest.parts.empty()) return Fail(ErrorCode::kNotFound, "there is nothing to make a backup of");
    out.manifest.secrets = request_.secrets && out.manifest.Find("configs") != nullptr;
    return WriteFileAtomic(folder_ / control::kManifestFile, control::ManifestText(out.manifest), 0600);
  }

 private:
  fs::path FileOf(const std::string& component) const { return folder_ / control::BackupFile(component); }

  /// The snapshot is held open while pg_dump reads, so that the history is that of the very data.
  Status TakeDatabase() {
    YBIS_ASSIGN(const int64_t version, ServerVersion(site_.pool, stop_));
    YBIS_ASSIGN(const PgTools tools, PgTools::Find(version));
    YBIS_ASSIGN(const auto environment, store::ClientEnvironment(site_.database_url));
    DumpRequest dump{environment, {}, store::MadeRelations(), FileOf("database")};
    const auto work = [&](store::Transaction& tx) -> Status {
      YBIS_TRY(
          tx.ExecScript("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; "
                        "SET LOCAL idle_in_transaction_session_timeout = 0"));
      YBIS_ASSIGN(manifest_->migrations, store::ReadApplied(tx));
      if (manifest_->migrations.empty())
        return Fail(ErrorCode::kNotFound,
                    "the database was never migrated: there is nothing to make a backup of");
      YBIS_TRY(store::CheckHistory(manifest_->migrations, store::BuiltInMigrations(), "the database"));
      YBIS_ASSIGN(const auto rows, tx.Exec("SELECT pg_export_snapshot(), current_database(), "
                                           "(SELECT system_identifier::text FROM pg_control_system())"));
      dump.snapshot = rows[0].Text(0);
      manifest_->source = {rows[0].Text(2), rows[0].Text(1), version};
      return tools.Dump(dump, site_.progress, stop_);
    };
    YBIS_TRY(site_.pool.Transact(work, stop_, store::InDoubt::kRepeat));
    YBIS_ASSIGN(const auto tables, tools.CheckDump(dump.file, dump.relations, stop_));
    return AddPart({.component = "database", .entries = static_cast<int64_t>(tables.size())});
  }

  Status TakeFiles(const std::string& component, const PackPlan& plan) {
    const fs::path file = FileOf(component);
    site_.progress(component, 0);
    PackTotals totals;
    {
      const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
      if (!fd.valid()) return Fail(ErrorCode::kInternal, fmt::format("cannot make {}", file.string()));
      YBIS_ASSIGN(totals, Pack(plan, fd.get(), component, stop_));
    }
    skipped_->insert(skipped_->end(), totals.skipped.begin(), totals.skipped.end());
    if (totals.entries == 0) {
      fs::remove(file);
      return {};
    }
    return AddPart({.component = component, .unpacked = totals.bytes, .entries = totals.entries});
  }

  Status AddPart(BackupPart part) {
    const fs::path file = FileOf(part.component);
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.valid()) return Fail(ErrorCode::kInternal, fmt::format("cannot open {}", file.string()));
    YBIS_ASSIGN(FileDigest digest, DigestOfFile(fd.get(), file.string(), stop_));
    part.size = digest.size;
    part.digest = std::move(digest.digest);
    manifest_->parts.push_back(std::move(part));
    return {};
  }

  const BackupSite& site_;
  const CreateRequest& request_;
  fs::path folder_;
  std::stop_token stop_;
  BackupManifest* manifest_ = nullptr;
  std::vector<std::string>* skipped_ = nullptr;
};

}  // namespace

Result<CreatedBackup> CreateBackup(const BackupSite& site, const BackupFolder& folder,
                                   const CreateRequest& request, std::stop_token stop) {
  CreatedBackup out;
  out.manifest.created = SystemClock().Now();
  out.manifest.safety = request.safety;
  out.manifest.product_version = kYbisVersion;
  out.manifest.name = control::BackupName(out.manifest.created, RandomHex(3), request.safety);
  YBIS_ASSIGN(const fs::path making, folder.Begin(out.manifest.name));
  if (Status made = Creation(site, request, making, stop).Run(out); !made) {
    folder.Discard(out.manifest.name);
    return Fail(std::move(made).error());
  }
  YBIS_ASSIGN(out.path, folder.Publish(out.manifest.name));
  const Status recorded = Record(site.pool, "BACKUP_CREATED", out.manifest.name,
                                 {{"path", out.path.string()}, {"bytes", out.manifest.TotalBytes()}});
  if (!recorded) log::Warn("the backup was not journalled", {{"error", recorded.error().message}});
  return out;
}

}  // namespace ybis::cli
