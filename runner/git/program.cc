#include "runner/git/program.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <system_error>

#include "runner/git/failure.h"
#include "runner/git/private_file.h"

namespace ybis::git {
namespace {

namespace fs = std::filesystem;

// Settings of every call. They beat the configuration of the bare repository, which only we write anyway.
constexpr const char* kConfiguration[] = {
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.pager=cat",
    "core.editor=false",
    "core.askPass=",
    "core.symlinks=true",
    "core.fileMode=true",
    "core.autocrlf=false",
    "core.safecrlf=false",
    "core.eol=lf",
    "core.quotePath=true",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "push.gpgSign=false",
    "push.followTags=false",
    "commit.gpgSign=false",
    "credential.helper=",
    "http.followRedirects=false",
    "http.sslVerify=true",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
    "transfer.fsckObjects=true",
    // Harmless flaws of old histories, which would otherwise make them impossible to fetch.
    "fetch.fsck.zeroPaddedFilemode=ignore",
    "fetch.fsck.badTimezone=ignore",
    "fetch.fsck.missingSpaceBeforeDate=ignore",
    "fetch.fsck.missingSpaceBeforeEmail=ignore",
    "gc.auto=0",
    "maintenance.auto=false",
    "apply.whitespace=nowarn",
    "advice.detachedHead=false",
    "safe.directory=*",
};

/// Makes git die with the runner. Runs between fork and exec; the runner may be gone already.
std::function<int()> DieWith(pid_t runner) {
  return [runner] {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
    return ::getppid() == runner ? 0 : ESRCH;
  };
}

/// The private folder's path stands in the command lines that git hands to a shell (ssh, credential helper).
/// All can be quoted there but what ssh's options have no one way to quote.
bool IsQuotable(const fs::path& path) {
  const std::string& text = path.native();
  return path.is_absolute() && std::none_of(text.begin(), text.end(), [](unsigned char c) {
           return c < 0x20 || c == 0x7f || c == '"' || c == '\\' || c == '$';
         });
}

std::string ShellQuoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// -o NAME=PATH for ssh by way of a shell. ssh takes blanks for ends of names and % for marks of its own.
std::string SshPath(std::string_view name, const fs::path& path) {
  std::string value;
  for (const char c : path.native()) value += c == '%' ? std::string("%%") : std::string(1, c);
  return "-o " + ShellQuoted(fmt::format("{}=\"{}\"", name, value));
}

Status MakePrivateFolder(const fs::path& folder) {
  if (!IsQuotable(folder)) {
    return Fail(
        ErrorCode::kInvalid,
        fmt::format("git: the private folder '{}' must be an absolute path without control characters, "
                    "\", \\ and $",
                    folder.string()));
  }
  std::error_code error;
  fs::create_directories(folder.parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return Fail(ErrorCode::kInternal, fmt::format("git: make the private folder {}: {}", folder.string(),
                                                  std::generic_category().message(errno)));
  }
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != ::geteuid()) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("git: the private folder {} is not a folder of this user", folder.string()));
  }
  if ((info.st_mode & 077) != 0 && ::chmod(folder.c_str(), 0700) != 0) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("git: the private folder {} is open to others", folder.string()));
  }
  return {};
}

/// What an attempt that was killed in the middle of a call left behind.
void RemoveForgottenSecrets(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> found;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::end(it); it.increment(error)) {
    if (it->path().filename().string().starts_with("secret-")) found.push_back(it->path());
  }
  for (const fs::path& path : found) fs::remove(path, error);
}

std::string AllowedProtocols(const Settings& settings) {
  std::string allowed = "https:ssh";
  if (settings.allow_insecure_http) allowed += ":http";
  if (settings.allow_file) allowed += ":file";
  return allowed;
}

std::string PercentEncode(std::string_view text) {
  std::string out;
  for (const unsigned char c : text) {
    if (std::isalnum(c)) {
      out += static_cast<char>(c);
    } else {
      out += fmt::format("%{:02x}", c);
    }
  }
  return out;
}

/// Hands whole progress lines on; git separates them by carriage returns.
class ProgressLines {
 public:
  explicit ProgressLines(Progress progress) : progress_(std::move(progress)) {}
  void operator()(std::string_view bytes) {
    for (const char c : bytes) {
      if (c != '\r' && c != '\n') {
        if (line_.size() < 200) line_ += c;
        continue;
      }
      if (line_.find('%') != std::string::npos) progress_(line_);
      line_.clear();
    }
  }

 private:
  Progress progress_;
  std::string line_;
};

/// What a network call lays down and takes away again.
struct Access {
  std::vector<PrivateFile> files;
  std::vector<std::string> configuration;
  std::map<std::string, std::string> environment;

  Result<fs::path> Lay(const fs::path& folder, std::string_view bytes) {
    YBIS_ASSIGN(PrivateFile file, PrivateFile::Create(folder, bytes));
    files.push_back(std::move(file));
    return files.back().path();
  }
};

Status LayHttps(const Settings& settings, const RepositoryUrl& url, const GitCredentials& credentials,
                Access& access) {
  if (!credentials.ca_bundle.empty()) {
    YBIS_ASSIGN(const fs::path bundle, access.Lay(settings.private_dir, credentials.ca_bundle));
    access.environment["GIT_SSL_CAINFO"] = bundle;
  }
  if (!settings.https_proxy.empty()) access.environment["https_proxy"] = settings.https_proxy;
  if (!settings.no_proxy.empty()) access.environment["no_proxy"] = settings.no_proxy;
  if (credentials.password.empty()) return {};
  const std::string& user = url.user.empty() ? credentials.username : url.user;
  const std::string origin = url.Origin();
  const size_t host = origin.find("://") + 3;
  const std::string line = fmt::format("{}{}:{}@{}\n", origin.substr(0, host), PercentEncode(user),
                                       PercentEncode(credentials.password), origin.substr(host));
  YBIS_ASSIGN(const fs::path store, access.Lay(settings.private_dir, line));
  access.configuration.push_back(
      fmt::format("credential.{}.helper=store --file={}", origin, ShellQuoted(store.native())));
  return {};
}

Status LaySsh(const Settings& settings, const GitCredentials& credentials, Access& access) {
  YBIS_ASSIGN(const fs::path key, access.Lay(settings.private_dir, credentials.ssh_key));
  YBIS_ASSIGN(const fs::path hosts, access.Lay(settings.private_dir, credentials.known_hosts));
  access.environment["GIT_SSH_VARIANT"] = "ssh";
  access.environment["GIT_SSH_COMMAND"] = fmt::format(
      "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes {} "
      "-o GlobalKnownHostsFile=/dev/null -o UpdateHostKeys=no {} -o IdentitiesOnly=yes "
      "-o IdentityAgent=none -o PreferredAuthentications=publickey -o ForwardAgent=no -o "
      "ClearAllForwardings=yes "
      "-o ConnectTimeout=30 -o ServerAliveInterval=15 -o ServerAliveCountMax=4 -o LogLevel=ERROR",
      SshPath("UserKnownHostsFile", hosts), SshPath("IdentityFile", key));
  return {};
}

std::string Subcommand(const GitCall& call) { return call.arguments.empty() ? "" : call.arguments.front(); }

Result<ProcessResult> Execute(std::vector<std::string> argv, std::map<std::string, std::string> environment,
                              const GitCall& call, std::chrono::milliseconds timeout, std::stop_token stop) {
  ProcessSpec spec{.argv = std::move(argv),
                   .env = std::move(environment),
                   .directory = "/",
                   .input = call.input,
                   .timeout = timeout,
                   .max_output = call.max_output,
                   .before_exec = DieWith(::getpid()),
                   .on_output = {}};
  if (call.progress) spec.on_output = ProgressLines(call.progress);
  YBIS_ASSIGN(ProcessResult result, RunProcess(spec, std::move(stop)));
  // It had no say: what it would have answered about the repository is not known.
  if (result.signal != 0 && !result.timed_out) {
    return Fail({ErrorCode::kInternal,
                 fmt::format("git {} was killed by signal {}; for want of memory, perhaps", Subcommand(call),
                             result.signal),
                 true});
  }
  return result;
}

}  // namespace

Result<GitProgram> GitProgram::Create(Settings settings) {
  if (::access(settings.git.c_str(), X_OK) != 0) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("git: {} is not there; install git", settings.git.string()));
  }
  settings.private_dir = settings.private_dir.lexically_normal();
  YBIS_TRY(MakePrivateFolder(settings.private_dir));
  RemoveForgottenSecrets(settings.private_dir);
  return GitProgram(std::move(settings));
}

std::map<std::string, std::string> GitProgram::Environment(const GitCall& call) const {
  std::map<std::string, std::string> environment = {
      {"PATH", "/usr/local/bin:/usr/bin:/bin"},
      {"HOME", "/nonexistent"},
      {"LC_ALL", "C"},
      {"TMPDIR", settings_.private_dir.string()},
      {"GIT_CONFIG_NOSYSTEM", "1"},
      {"GIT_CONFIG_SYSTEM", "/dev/null"},
      {"GIT_CONFIG_GLOBAL", "/dev/null"},
      {"GIT_ATTR_NOSYSTEM", "1"},
      {"GIT_TERMINAL_PROMPT", "0"},
      // Set but empty: keeps git from looking for another way to ask.
      {"GIT_ASKPASS", ""},
      {"SSH_ASKPASS_REQUIRE", "never"},
      {"GIT_PROTOCOL_FROM_USER", "0"},
      {"GIT_ALLOW_PROTOCOL", AllowedProtocols(settings_)},
      {"GIT_NO_REPLACE_OBJECTS", "1"},
      {"GIT_NO_LAZY_FETCH", "1"},
      {"GIT_LITERAL_PATHSPECS", "1"},
      {"GIT_MERGE_AUTOEDIT", "no"},
  };
  if (!call.index_file.empty()) environment["GIT_INDEX_FILE"] = call.index_file;
  return environment;
}

std::vector<std::string> GitProgram::Preamble(const GitCall& call) const {
  std::vector<std::string> argv = {settings_.git.string(), "--no-pager"};
  for (const char* setting : kConfiguration) {
    argv.emplace_back("-c");
    argv.emplace_back(setting);
  }
  if (!call.git_dir.empty()) argv.push_back("--git-dir=" + call.git_dir.string());
  if (!call.work_tree.empty()) argv.push_back("--work-tree=" + call.work_tree.string());
  return argv;
}

Result<ProcessResult> GitProgram::RunLocal(const GitCall& call, std::stop_token stop) const {
  std::vector<std::string> argv = Preamble(call);
  argv.insert(argv.end(), call.arguments.begin(), call.arguments.end());
  YBIS_ASSIGN(ProcessResult result,
              Execute(std::move(argv), Environment(call), call, settings_.local_timeout, stop));
  if (result.timed_out) {
    return Fail(ErrorCode::kTimeout, fmt::format("git {}: no end after {} s", Subcommand(call),
                                                 settings_.local_timeout.count() / 1000));
  }
  return result;
}

Result<std::string> GitProgram::OutputOf(const GitCall& call, std::stop_token stop) const {
  YBIS_ASSIGN(ProcessResult result, RunLocal(call, std::move(stop)));
  if (result.exit_code == 0 && !result.truncated) return std::move(result.output);
  if (result.exit_code == 0) {
    return Fail(ErrorCode::kTooLarge,
                fmt::format("git {}: more than {} bytes of output", Subcommand(call), call.max_output));
  }
  Error error = ClassifyGitFailure(result, {.verb = "run git " + Subcommand(call) + " in",
                                            .url = call.git_dir.string(),
                                            .ref = {},
                                            .anonymous = true});
  // What reads like a server's answer is not one here; only a full disk keeps its meaning.
  if (error.code == ErrorCode::kExhausted) return Fail(std::move(error));
  return Fail(ErrorCode::kInternal, fmt::format("git {} failed with exit code {}: {}", Subcommand(call),
                                                result.exit_code, TellingLine(result.error_output)));
}

Result<ProcessResult> GitProgram::RunNetwork(const GitCall& call, const RepositoryUrl& url,
                                             const GitCredentials& credentials, std::stop_token stop) const {
  YBIS_TRY(credentials.CheckFor(url));
  Access access;
  if (url.transport == Transport::kHttps || url.transport == Transport::kHttp) {
    YBIS_TRY(LayHttps(settings_, url, credentials, access));
  }
  if (url.transport == Transport::kSsh) YBIS_TRY(LaySsh(settings_, credentials, access));
  std::vector<std::string> argv = Preamble(call);
  for (std::string& setting : access.configuration) {
    argv.emplace_back("-c");
    argv.push_back(std::move(setting));
  }
  argv.insert(argv.end(), call.arguments.begin(), call.arguments.end());
  std::map<std::string, std::string> environment = Environment(call);
  environment.merge(access.environment);
  return Execute(std::move(argv), std::move(environment), call, settings_.network_timeout, std::move(stop));
}

}  // namespace ybis::git
