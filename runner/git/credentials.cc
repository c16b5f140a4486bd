#include "runner/git/credentials.h"

#include <fmt/format.h>

#include <system_error>

#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"

namespace ybis::git {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxSecret = 64 * 1024;
constexpr size_t kMaxBundle = 4 * 1024 * 1024;
// What hosts take beside a token when the Secret names no user: only the token counts for them.
constexpr const char* kTokenUser = "x-access-token";

/// A key of the Secret, empty when absent. A mounted key is a symlink into a versioned folder: read it
/// through.
Result<std::string> ReadKey(const fs::path& folder, const char* key) {
  std::error_code error;
  const fs::path path = folder / key;
  if (!fs::exists(path, error)) return std::string();
  auto text = ReadFile(fs::canonical(path, error), kMaxSecret);
  if (!text) return FailIn(fmt::format("git credentials: key {}", key), std::move(text).error());
  return text;
}

void TrimEnd(std::string& text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
}

Result<std::string> ReadLineKey(const fs::path& folder, const char* key) {
  YBIS_ASSIGN(std::string text, ReadKey(folder, key));
  TrimEnd(text);
  for (const unsigned char c : text) {
    if (c < 0x20 || c == 0x7f) {
      return Fail(ErrorCode::kInvalid,
                  fmt::format("git credentials: key {} holds a control character or a line break", key));
    }
  }
  return text;
}

Status LoadPassword(const fs::path& folder, GitCredentials& out) {
  YBIS_ASSIGN(out.username, ReadLineKey(folder, "username"));
  YBIS_ASSIGN(std::string password, ReadLineKey(folder, "password"));
  YBIS_ASSIGN(std::string token, ReadLineKey(folder, "token"));
  if (!password.empty() && !token.empty()) {
    return Fail(ErrorCode::kInvalid, "git credentials: the secret holds both password and token; keep one");
  }
  if (!password.empty() && out.username.empty()) {
    return Fail(ErrorCode::kInvalid, "git credentials: the secret holds password without username");
  }
  out.password = password.empty() ? token : password;
  if (!token.empty() && out.username.empty()) out.username = kTokenUser;
  if (!out.username.empty() && out.password.empty()) {
    return Fail(ErrorCode::kInvalid, "git credentials: the secret holds username without password or token");
  }
  return {};
}

Status LoadSsh(const fs::path& folder, GitCredentials& out) {
  YBIS_ASSIGN(out.ssh_key, ReadKey(folder, "ssh-privatekey"));
  YBIS_ASSIGN(out.known_hosts, ReadKey(folder, "known_hosts"));
  if (out.ssh_key.empty()) return {};
  if (out.ssh_key.find("PRIVATE KEY-----") == std::string::npos) {
    return Fail(ErrorCode::kInvalid,
                "git credentials: key ssh-privatekey is not a private key in PEM or OpenSSH form");
  }
  TrimEnd(out.ssh_key);
  out.ssh_key += '\n';  // ssh refuses a key whose last line is not ended
  return {};
}

Status LoadBundle(fs::path path, GitCredentials& out) {
  std::error_code error;
  if (path.empty()) return {};
  if (fs::is_directory(path, error)) path /= "ca.crt";
  if (!fs::exists(path, error)) {
    return Fail(ErrorCode::kInvalid, "git CA bundle: the secret of caBundleSecretRef has no key ca.crt");
  }
  auto text = ReadFile(fs::canonical(path, error), kMaxBundle);
  if (!text) return FailIn("git CA bundle", std::move(text).error());
  if (text->find("-----BEGIN CERTIFICATE-----") == std::string::npos) {
    return Fail(ErrorCode::kInvalid, "git CA bundle: ca.crt holds no PEM certificate");
  }
  out.ca_bundle = std::move(*text);
  return {};
}

void RegisterSecrets(const GitCredentials& credentials) {
  if (!credentials.password.empty()) {
    log::RegisterSecret(credentials.password);
    log::RegisterSecret(Base64Encode(credentials.username + ":" + credentials.password));
  }
  if (!credentials.ssh_key.empty()) log::RegisterSecret(credentials.ssh_key);
}

}  // namespace

Result<GitCredentials> GitCredentials::Load(const fs::path& folder, const fs::path& ca_bundle) {
  GitCredentials credentials;
  std::error_code error;
  if (!folder.empty() && fs::is_directory(folder, error)) {
    YBIS_TRY(LoadPassword(folder, credentials));
    YBIS_TRY(LoadSsh(folder, credentials));
    if (credentials.anonymous()) {
      return Fail(
          ErrorCode::kInvalid,
          "git credentials: the secret of credentialsSecretRef has none of the keys username and password, "
          "token, ssh-privatekey");
    }
  }
  YBIS_TRY(LoadBundle(ca_bundle, credentials));
  RegisterSecrets(credentials);
  return credentials;
}

Status GitCredentials::CheckFor(const RepositoryUrl& url) const {
  if (url.transport == Transport::kSsh && ssh_key.empty()) {
    return Fail(
        ErrorCode::kDenied,
        fmt::format("{}: an ssh URL needs a secret with the keys ssh-privatekey and known_hosts; name it in "
                    "credentialsSecretRef",
                    url.Display()));
  }
  if (url.transport == Transport::kSsh && known_hosts.empty()) {
    return Fail(
        ErrorCode::kDenied,
        fmt::format("{}: the secret has no key known_hosts; add the server's host keys (ssh-keyscan {})",
                    url.Display(), url.host));
  }
  if (url.transport == Transport::kHttps && password.empty() && !ssh_key.empty()) {
    return Fail(
        ErrorCode::kDenied,
        fmt::format(
            "{}: the secret holds an ssh key, but the URL is https; add username and password or token, "
            "or use the ssh URL",
            url.Display()));
  }
  return {};
}

}  // namespace ybis::git
