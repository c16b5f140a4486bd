#include "runner/engine/workspace.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "runner/git/object_store.h"
#include "runner/git/ref_name.h"
#include "runner/git/synced_base.h"

namespace ybis::runner {
namespace {

using nlohmann::json;
constexpr FaultSource kGit = FaultSource::kRepository;
constexpr const char* kPack = "sync.pack";

/// What an earlier attempt of this run started from.
struct Pin {
  std::string commit;  ///< of the worktree; empty: nothing is pinned yet
  std::string head;    ///< what the server has of it: itself, or what it stands on
  json sync;
};

/// A branch may have moved since the first attempt.
Outcome<Pin> ReadPin(const std::optional<api::Checkpoint>& checkpoint, RunFolder& folder,
                     std::stop_token stop) {
  YBIS_TAKE(const std::string text, folder.GetArtifact("base.json", std::move(stop)));
  const std::string known = checkpoint ? checkpoint->base_commit : std::string();
  const auto base = text.empty() ? Result<json>(json::object()) : ParseJson(text, "base.json");
  if (!base || !base->is_object()) return Pin{known, known, nullptr};
  Pin pin{base->value("commit", std::string()), base->value("head", std::string()),
          base->value("sync", json())};
  if (!git::IsFullSha(pin.commit) || (!known.empty() && known != pin.commit))
    return Pin{known, known, nullptr};
  if (!git::IsFullSha(pin.head)) pin.head = pin.commit;
  return pin;
}

/// A path or message as valid UTF-8 of a sensible length.
std::string Shown(const std::string& text) {
  constexpr size_t kMax = 300;
  std::string out;
  const bool clean = git::IsCleanUtf8(text);
  for (const char c : text.substr(0, kMax)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f || (!clean && byte >= 0x80) ? fmt::format("\\x{:02x}", byte)
                                                                   : std::string(1, c);
  }
  if (text.size() > kMax) {
    while (!out.empty() && !git::IsCleanUtf8(out)) out.pop_back();
    out += "…";
  }
  return out;
}

json Listed(const std::vector<std::string>& paths) {
  constexpr size_t kMaxListed = 200;
  json out = json::array();
  for (size_t i = 0; i < paths.size() && i < kMaxListed; ++i) out.push_back(Shown(paths[i]));
  return out;
}

json ReportOf(const git::Checkout& checkout, const git::SyncedBase& base) {
  constexpr size_t kMaxLeftOut = 2000;
  const git::Uncommitted& found = base.found;
  json left_out = json::array();
  for (size_t i = 0; i < found.left_out.size() && i < kMaxLeftOut; ++i) {
    const git::LeftOut& one = found.left_out[i];
    left_out.push_back({{"path", Shown(one.path)}, {"why", Shown(one.why)}, {"size", one.size}});
  }
  return {{"projectRoot", Shown(checkout.folder().string())},
          {"files", found.count()},
          {"added", found.added.size()},
          {"modified", found.modified.size()},
          {"deleted", found.deleted.size()},
          {"leftOut", found.left_out.size()},
          {"paths",
           {{"added", Listed(found.added)},
            {"modified", Listed(found.modified)},
            {"deleted", Listed(found.deleted)}}},
          {"leftOutPaths", std::move(left_out)},
          {"notes", Listed(found.notes)}};
}

json SkippedBecause(const git::Checkout& checkout, std::string why) {
  return {{"projectRoot", Shown(checkout.folder().string())}, {"skipped", std::move(why)}};
}

Fault SyncFault(const Error& error) {
  if (error.code != ErrorCode::kTooLarge) return FaultOf(kGit, error);
  return TaskFault(api::FailureClass::kInvalid, "UncommittedWorkTooLarge", error.message);
}

std::string BranchName(const api::RunOrder& order) {
  return fmt::format("task-{}-run-{}", order.task_uid.substr(0, 8), order.run_number);
}

Outcome<git::GitCredentials> LoadCredentials(const WorkspaceSettings& settings) {
  auto credentials = git::GitCredentials::Load(settings.credentials_dir, settings.ca_file);
  if (credentials) return std::move(*credentials);
  return FaultUnexpected(
      TaskFault(api::FailureClass::kInvalid, "CredentialsInvalid", credentials.error().message));
}

}  // namespace

Workspace::Workspace() : sync_(std::make_shared<const json>()) {}

/// The checkout's uncommitted work becomes part of what the run starts from. The pack is in the record before
/// anything names the commit.
Outcome<void> Workspace::Sync(RunFolder& folder, std::stop_token stop) {
  YBIS_ASSIGN_FAULT(kGit, const std::string head, checkout_->Head(stop));
  if (head != bare_->base_commit()) {
    sync_ = std::make_shared<const json>(
        SkippedBecause(*checkout_, fmt::format("the run starts from {}, but {} is checked out",
                                               bare_->base_commit(), head.empty() ? "nothing" : head)));
    return {};
  }
  const auto base = git::SyncBase(*program_, *bare_, *checkout_, {}, stop);
  if (!base) return FaultUnexpected(SyncFault(base.error()));
  if (!base->pack.empty()) YBIS_PASS(folder.PutArtifact(kPack, base->pack, stop));
  if (base->found.count() == 0 && base->found.left_out.empty()) return {};
  sync_ = std::make_shared<const json>(ReportOf(*checkout_, *base));
  return {};
}

Outcome<void> Workspace::PinBase(const std::string& head, RunFolder& folder, std::stop_token stop) {
  json base = {{"commit", bare_->base_commit()}, {"ref", bare_->resolved_ref()}};
  if (head != bare_->base_commit()) base["head"] = head;
  if (!sync_->is_null()) base["sync"] = *sync_;
  return folder.PutArtifact("base.json", base, std::move(stop));
}

Outcome<std::unique_ptr<Workspace>> Workspace::Open(const WorkspaceSettings& settings,
                                                    const api::RunOrder& order,
                                                    const std::optional<api::Checkpoint>& checkpoint,
                                                    RunFolder& folder, std::stop_token stop) {
  YBIS_TAKE(const git::GitCredentials credentials, LoadCredentials(settings));
  YBIS_TAKE(const Pin pin, ReadPin(checkpoint, folder, stop));
  std::unique_ptr<Workspace> out(new Workspace);
  YBIS_ASSIGN_FAULT(kGit, git::GitProgram program,
                    git::GitProgram::Create({.private_dir = settings.directory / "private",
                                             .allow_file = order.policy.allow_file_urls,
                                             .allow_insecure_http = settings.allow_insecure_http}));
  out->program_ = std::make_unique<git::GitProgram>(std::move(program));
  const git::OpenRequest request{.directory = settings.directory / "repo.git",
                                 .url = order.spec.repository.url,
                                 .ref = order.spec.repository.ref,
                                 .commit = pin.head};
  YBIS_ASSIGN_FAULT(kGit, git::BareRepository bare,
                    git::BareRepository::Open(*out->program_, request, credentials, stop));
  out->bare_ = std::make_unique<git::BareRepository>(std::move(bare));
  if (settings.local && !order.policy.project_root.empty()) {
    YBIS_ASSIGN_FAULT(kGit, git::Checkout checkout,
                      git::Checkout::Open(*out->program_, order.policy.project_root, settings.user));
    out->checkout_ = std::make_unique<git::Checkout>(std::move(checkout));
  }
  if (pin.commit.empty()) {
    const std::string head = out->bare_->base_commit();
    if (out->checkout_) YBIS_PASS(out->Sync(folder, stop));
    YBIS_PASS(out->PinBase(head, folder, stop));
  } else if (pin.commit != pin.head) {
    YBIS_TAKE(const std::string pack, folder.GetArtifact(kPack, stop));
    YBIS_TRY_FAULT(kGit, git::RestoreSyncedBase(*out->program_, *out->bare_, pin.commit, pack, stop));
  }
  if (!pin.commit.empty()) out->sync_ = std::make_shared<const json>(pin.sync);
  YBIS_ASSIGN_FAULT(kGit, git::Worktree tree,
                    git::Worktree::Create(*out->bare_, BranchName(order),
                                          settings.directory / "worktrees" / order.run_id, stop));
  out->tree_ = std::make_unique<git::Worktree>(std::move(tree));
  if (checkpoint && !checkpoint->patch.empty()) {
    YBIS_TRY_FAULT(kGit, out->tree_->Restore(checkpoint->patch, stop));
  }
  return out;
}

}  // namespace ybis::runner
