#include "runner/engine/workspace.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "runner/git/ref_name.h"

namespace ybis::runner {
namespace {

using nlohmann::json;
constexpr FaultSource kGit = FaultSource::kRepository;

/// The commit that an earlier attempt of this run started from, or "": a branch may have moved since.
Outcome<std::string> PinnedBase(const std::optional<api::Checkpoint>& checkpoint, RunFolder& folder,
                                std::stop_token stop) {
  if (checkpoint && !checkpoint->base_commit.empty()) return checkpoint->base_commit;
  YBIS_TAKE(const std::string text, folder.GetArtifact("base.json", std::move(stop)));
  if (text.empty()) return std::string();
  const auto base = ParseJson(text, "base.json");
  const std::string commit = base && base->is_object() ? base->value("commit", std::string()) : "";
  return git::IsFullSha(commit) ? commit : std::string();
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

Outcome<std::unique_ptr<Workspace>> Workspace::Open(const WorkspaceSettings& settings,
                                                    const api::RunOrder& order,
                                                    const std::optional<api::Checkpoint>& checkpoint,
                                                    RunFolder& folder, std::stop_token stop) {
  YBIS_TAKE(const git::GitCredentials credentials, LoadCredentials(settings));
  YBIS_TAKE(const std::string pinned, PinnedBase(checkpoint, folder, stop));
  std::unique_ptr<Workspace> out(new Workspace);
  YBIS_ASSIGN_FAULT(kGit, git::GitProgram program,
                    git::GitProgram::Create({.private_dir = settings.directory / "private",
                                             .allow_file = order.policy.allow_file_urls,
                                             .allow_insecure_http = settings.allow_insecure_http}));
  out->program_ = std::make_unique<git::GitProgram>(std::move(program));
  const git::OpenRequest request{.directory = settings.directory / "repo.git",
                                 .url = order.spec.repository.url,
                                 .ref = order.spec.repository.ref,
                                 .commit = pinned};
  YBIS_ASSIGN_FAULT(kGit, git::BareRepository bare,
                    git::BareRepository::Open(*out->program_, request, credentials, stop));
  out->bare_ = std::make_unique<git::BareRepository>(std::move(bare));
  if (pinned.empty()) {
    const json base = {{"commit", out->bare_->base_commit()}, {"ref", out->bare_->resolved_ref()}};
    YBIS_PASS(folder.PutArtifact("base.json", base, stop));
  }
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
