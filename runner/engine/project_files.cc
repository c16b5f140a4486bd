#include "runner/engine/project_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "runner/edit/beneath.h"
#include "runner/edit/path_rules.h"
#include "runner/git/uncommitted.h"
#include "runner/policy/secret_scan.h"

namespace ybis::runner {
namespace {

constexpr size_t kMaxBytes = git::UncommittedLimits{}.max_file_bytes;

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(c < 0x80 ? std::tolower(c) : c); });
  return text;
}

bool HoldsSecret(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (!SecretRuleOf(text.substr(0, end)).empty()) return true;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return false;
}

/// Whether a folder on the way is a repository of its own: a submodule's files are not this one's.
bool LiesInAnother(const git::ConfinedRoot& files, const std::string& path) {
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const auto inside = files.Stat(path.substr(0, slash) + "/.git");
    if (!inside || *inside) return true;
  }
  return false;
}

}  // namespace

bool IsCredentialName(const std::string& path) {
  const std::string name = Lower(path.substr(path.rfind('/') + 1));
  const auto starts = [&](std::string_view text) { return name.starts_with(text); };
  const auto ends = [&](std::string_view text) { return name.ends_with(text); };
  return (starts(".env") && !ends(".example") && !ends(".sample") && !ends(".template")) ||
         starts("id_rsa") || starts("id_dsa") || starts("id_ecdsa") || starts("id_ed25519") ||
         starts("credentials") || starts("secret") || name == ".netrc" || name == ".npmrc" ||
         name == ".pypirc" || name == ".pgpass" || name == ".htpasswd" || name == "kubeconfig" ||
         ends(".pem") || ends(".key") || ends(".p12") || ends(".pfx") || ends(".jks") || ends(".keystore") ||
         ends(".kdbx");
}

bool ProjectFiles::MayBring(const std::string& path) const {
  if (checkout_ == nullptr || !CheckEditPath(path) || !git::CheckWorktreePath(path)) return false;
  if (git::IsNeverTaken(path) || IsCredentialName(path)) return false;
  const auto here = tree_.ReadFileAt(path, 0);
  if (here || here.error().code != ErrorCode::kNotFound) return false;
  const auto committed = tree_.ReadBaseFileAt(path, 0);
  if (committed || committed.error().code != ErrorCode::kNotFound) return false;
  return !LiesInAnother(checkout_->files(), path);
}

Outcome<bool> ProjectFiles::Bring(const std::string& path, std::stop_token stop) {
  if (!MayBring(path)) return false;
  const auto info = checkout_->files().Stat(path);
  auto bytes = checkout_->files().ReadRegular(path, kMaxBytes);
  if (!info || !*info || !bytes || HoldsSecret(*bytes)) return false;
  const FileState file{.content = std::move(*bytes),
                       .mode = ((*info)->st_mode & S_IXUSR) != 0 ? mode_t{0755} : mode_t{0644}};
  const Status written = Beneath(tree_.root_fd()).Write(path, file);
  // A folder of that name, or a file on the way: the worktree has something else there.
  if (!written && written.error().code == ErrorCode::kInvalid) return false;
  YBIS_TRY_FAULT(FaultSource::kWorkspace, written);
  const std::string digest = Digest(file.content);
  YBIS_PASS(journal_.Event(
      "project-file:" + Sha256Hex(path + "\n" + digest), "FILE_SYNCED_FROM_PROJECT_ROOT",
      fmt::format("{} was not in the worktree and was copied from {}", path, checkout_->folder().string()),
      {{"path", path}, {"size", file.content.size()}, {"digest", digest}}, std::move(stop)));
  return true;
}

}  // namespace ybis::runner
