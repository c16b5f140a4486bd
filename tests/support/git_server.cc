#include "tests/support/git_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "base/file.h"
#include "base/process.h"
#include "base/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace ybis::testing {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

const std::map<std::string, std::string> kEnvironment = {
    {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    {"HOME", "/nonexistent"},
    {"LC_ALL", "C"},
    {"GIT_CONFIG_NOSYSTEM", "1"},
    {"GIT_CONFIG_GLOBAL", "/dev/null"}};

Result<std::string> Run(std::vector<std::string> argv, std::string input = {}) {
  ProcessSpec spec;
  spec.argv = std::move(argv);
  spec.env = kEnvironment;
  spec.input = std::move(input);
  spec.timeout = 120s;
  spec.max_output = 64 * 1024 * 1024;
  YBIS_ASSIGN(ProcessResult result, RunProcess(spec, {}));
  if (result.exit_code != 0) {
    return Fail(ErrorCode::kInternal,
                fmt::format("{} {}: {}", spec.argv[0], spec.argv[1], result.error_output));
  }
  while (!result.output.empty() && result.output.back() == '\n') result.output.pop_back();
  return std::move(result.output);
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

int FreePort() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return 0;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

bool Listens(int port) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(port);
  return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
}

/// A server program that ends with the test. Not thread-safe.
class Daemon {
 public:
  ~Daemon() { Stop(); }

  Status Start(std::vector<std::string> argv, int port, const fs::path& log) {
    std::vector<char*> arguments;
    for (std::string& text : argv) arguments.push_back(text.data());
    arguments.push_back(nullptr);
    const UniqueFd out(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      ::dup2(out.get(), 1);
      ::dup2(out.get(), 2);
      ::execv(arguments[0], arguments.data());
      ::_exit(127);
    }
    for (int i = 0; i < 1000; ++i) {
      if (Listens(port)) return {};
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) break;
      std::this_thread::sleep_for(10ms);
    }
    return Fail(ErrorCode::kInternal, argv[0] + " did not start: " + ReadFile(log).value_or(""));
  }

  void Stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
};

std::string UserName() {
  const passwd* entry = ::getpwuid(::geteuid());
  return entry == nullptr ? "nobody" : entry->pw_name;
}

Status MakeCa(const fs::path& folder, const std::string& name) {
  return Run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
              "-nodes", "-keyout", folder / (name + ".key"), "-out", folder / (name + ".crt"), "-days", "2",
              "-subj", "/CN=YBIS test " + name})
      .map([](const std::string&) {});
}

Status MakeServerCertificate(const fs::path& folder) {
  return Run({"openssl",
              "req",
              "-x509",
              "-newkey",
              "ec",
              "-pkeyopt",
              "ec_paramgen_curve:prime256v1",
              "-nodes",
              "-keyout",
              folder / "server.key",
              "-out",
              folder / "server.crt",
              "-days",
              "2",
              "-subj",
              "/CN=localhost",
              "-CA",
              folder / "ca.crt",
              "-CAkey",
              folder / "ca.key",
              "-addext",
              "subjectAltName=IP:127.0.0.1,DNS:localhost",
              "-addext",
              "basicConstraints=critical,CA:FALSE"})
      .map([](const std::string&) {});
}

constexpr const char* kLighttpd = R"(server.document-root = "{0}/repositories"
server.bind = "127.0.0.1"
server.port = {1}
server.errorlog = "{0}/lighttpd.log"
server.upload-dirs = ( "{0}" )
server.feature-flags = ( "server.h2proto" => "disable" )
server.modules = ( "mod_openssl", "mod_auth", "mod_authn_file", "mod_alias", "mod_setenv", "mod_cgi" )
ssl.engine = "enable"
ssl.pemfile = "{0}/server.crt"
ssl.privkey = "{0}/server.key"
auth.backend = "plain"
auth.backend.plain.userfile = "{0}/users"
auth.require = ( "/" => ( "method" => "basic", "realm" => "git", "require" => "valid-user" ) )
alias.url = ( "/git" => "/usr/lib/git-core/git-http-backend" )
cgi.assign = ( "" => "" )
setenv.add-environment = ( "GIT_PROJECT_ROOT" => "{0}/repositories", "GIT_HTTP_EXPORT_ALL" => "1",
                           "PATH" => "/usr/bin:/bin", "HOME" => "/nonexistent" )
)";

constexpr const char* kSshd = R"(ListenAddress 127.0.0.1
Port {1}
HostKey {0}/host_key
AuthorizedKeysFile {0}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel ERROR
)";

/// One file of a fast-import stream.
std::string ImportFile(const std::string& path, const std::string& content) {
  std::string mode = "100644";
  std::string bytes = content;
  if (content.starts_with("symlink:")) {
    mode = "120000";
    bytes = content.substr(8);
  } else if (content.starts_with("exec:")) {
    mode = "100755";
    bytes = content.substr(5);
  }
  return fmt::format("M {} inline {}\ndata {}\n", mode, path, bytes.size()) + bytes + "\n";
}

}  // namespace

struct GitServer::State {
  TempDir folder;
  Daemon lighttpd;
  Daemon sshd;
  int port = 0;
  int ssh_port = 0;

  const fs::path& path() const { return folder.path(); }
  Result<std::string> Import(const fs::path& repository, const std::string& branch, const std::string& from,
                             const std::map<std::string, std::string>& files) const {
    std::string stream = fmt::format(
        "commit refs/heads/{}\ncommitter Tester <tester@example.com> 1700000000 +0000\ndata 7\ncommit\n\n",
        branch);
    if (!from.empty()) stream += fmt::format("from refs/heads/{}^0\n", from);
    for (const auto& [path, content] : files) stream += ImportFile(path, content);
    YBIS_TRY(
        Run({"git", "--git-dir", repository, "fast-import", "--quiet"}, stream).map([](const std::string&) {
        }));
    return Run({"git", "--git-dir", repository, "rev-parse", "refs/heads/" + branch});
  }
};

GitServer::GitServer() : state_(std::make_unique<State>()) {
  fs::create_directories(state_->path() / "repositories");
}
GitServer::~GitServer() = default;

Status GitServer::Start() {
  const fs::path& folder = state_->path();
  if (!fs::exists(ca_file())) {
    YBIS_TRY(MakeCa(folder, "ca"));
    YBIS_TRY(MakeCa(folder, "wrong-ca"));
    YBIS_TRY(MakeServerCertificate(folder));
    state_->folder.Write("users", user_ + ":" + password_ + "\n");
    state_->folder.Write("https-secret/username", user_);
    state_->folder.Write("https-secret/password", password_ + "\n");
  }
  state_->port = FreePort();
  const fs::path config = state_->folder.Write(
      "lighttpd.conf", fmt::format(fmt::runtime(kLighttpd), folder.string(), state_->port));
  return state_->lighttpd.Start({"/usr/sbin/lighttpd", "-D", "-f", config}, state_->port,
                                folder / "lighttpd.out");
}

Status GitServer::StartSsh() {
  const fs::path& folder = state_->path();
  for (const char* name : {"host_key", "user_key", "other_key"}) {
    YBIS_TRY(Run({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", folder / name})
                 .map([](const std::string&) {}));
  }
  YBIS_ASSIGN(const std::string user_key, ReadFile(folder / "user_key.pub"));
  YBIS_ASSIGN(const std::string private_key, ReadFile(folder / "user_key"));
  YBIS_ASSIGN(const std::string host_key, ReadFile(folder / "host_key.pub"));
  state_->folder.Write("authorized_keys", user_key);
  state_->ssh_port = FreePort();
  state_->folder.Write("ssh-secret/ssh-privatekey", private_key);
  state_->folder.Write("ssh-secret/known_hosts",
                       fmt::format("[127.0.0.1]:{} {}", state_->ssh_port, host_key));
  const fs::path config =
      state_->folder.Write("sshd.conf", fmt::format(fmt::runtime(kSshd), folder.string(), state_->ssh_port));
  // Where sshd, started as root, keeps its unprivileged half.
  if (::geteuid() == 0) ::mkdir("/run/sshd", 0755);
  return state_->sshd.Start({"/usr/sbin/sshd", "-D", "-e", "-f", config}, state_->ssh_port,
                            folder / "sshd.out");
}

void GitServer::Stop() { state_->lighttpd.Stop(); }

std::string GitServer::Url(const std::string& name) const {
  return fmt::format("https://127.0.0.1:{}/git/{}.git", state_->port, name);
}

std::string GitServer::SshUrl(const std::string& name) const {
  return fmt::format("ssh://{}@127.0.0.1:{}{}", UserName(), state_->ssh_port, RepositoryPath(name).string());
}

fs::path GitServer::RepositoryPath(const std::string& name) const {
  return state_->path() / "repositories" / (name + ".git");
}

fs::path GitServer::ca_file() const { return state_->path() / "ca.crt"; }
fs::path GitServer::wrong_ca_file() const { return state_->path() / "wrong-ca.crt"; }
fs::path GitServer::HttpsSecret() const { return state_->path() / "https-secret"; }
fs::path GitServer::SshSecret() const { return state_->path() / "ssh-secret"; }

Result<std::string> GitServer::CreateRepository(const std::string& name,
                                                const std::map<std::string, std::string>& files) {
  const fs::path path = RepositoryPath(name);
  YBIS_TRY(Run({"git", "init", "--bare", "--quiet", "--template=", "--initial-branch=main", path})
               .map([](const std::string&) {}));
  YBIS_TRY(
      Run({"git", "--git-dir", path, "config", "http.receivepack", "true"}).map([](const std::string&) {}));
  return state_->Import(path, "main", "", files);
}

Result<std::string> GitServer::AddCommit(const std::string& name, const std::string& branch,
                                         const std::map<std::string, std::string>& files) {
  const bool exists = Git(name, {"rev-parse", "--verify", "--quiet", "refs/heads/" + branch}).has_value();
  return state_->Import(RepositoryPath(name), branch, exists ? branch : "main", files);
}

Result<std::string> GitServer::Git(const std::string& name, const std::vector<std::string>& arguments) const {
  std::vector<std::string> argv = {"git", "--git-dir", RepositoryPath(name)};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return Run(std::move(argv));
}

}  // namespace ybis::testing
