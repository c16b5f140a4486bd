#include "tests/integration/operator/operator_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "http/client.h"

namespace ybis::testing {
namespace {

constexpr char kConfig[] = R"(
models: [{name: none, endpoint: "http://127.0.0.1:9/v1"}]
runner: {image: "localhost/ybis-no-such-runner:1", imagePullPolicy: Never, workspaceMedium: EmptyDir, workspaceSize: 64Mi,
         requests: {cpu: 1m, memory: 8Mi}}
limits: {maxRuns: 200, maxRunsPerNamespace: 200, maxRunsPerRepositoryBranch: 200}
logLevel: debug
)";

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

}  // namespace

OperatorProcess::OperatorProcess(const std::string& ns, const std::string& database_url) : port_(FreePort()) {
  const auto config = dir_.Write("config.yaml", kConfig);
  const auto url = dir_.Write("url", database_url);
  const std::string log = dir_.path() / "log";
  const std::vector<std::string> args = {std::string(YBIS_BIN_DIR) + "/ybis-operator",
                                         "--profile=dev",
                                         "--config=" + config.string(),
                                         "--database-url-file=" + url.string(),
                                         "--namespace=" + ns,
                                         "--instance=" + ns,
                                         "--operator-namespace=" + ns,
                                         "--identity=replica-1",
                                         "--leader-elect",
                                         "--run-api-url=https://localhost:8443",
                                         "--run-api-listen=127.0.0.1:0",
                                         fmt::format("--metrics-listen=127.0.0.1:{}", port_)};
  std::vector<char*> argv;
  for (const auto& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ != 0) return;
  const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(fd, 1);
  dup2(fd, 2);
  execv(argv[0], argv.data());
  _exit(127);
}

OperatorProcess::~OperatorProcess() {
  if (pid_ > 0) End(SIGKILL, std::chrono::seconds(5));
}

std::string OperatorProcess::Get(const std::string& path) const {
  http::Client client({});
  http::ClientRequest request;
  request.url = fmt::format("http://127.0.0.1:{}{}", port_, path);
  request.timeout = std::chrono::seconds(2);
  const auto response = client.Send(request, {});
  return response && response->status == 200 ? response->body : "";
}

bool OperatorProcess::WaitReady(std::chrono::seconds limit) const {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < end) {
    if (!Get("/readyz").empty() &&
        Get("/metrics").find("leader_election_master_status{name=\"ybis-operator\"} 1") !=
            std::string::npos) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

std::optional<int> OperatorProcess::End(int signal, std::chrono::seconds limit) {
  kill(pid_, signal);
  return Wait(limit);
}

std::optional<int> OperatorProcess::Wait(std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < end) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return std::nullopt;
}

int64_t OperatorProcess::ResidentKiB() const {
  std::ifstream file(fmt::format("/proc/{}/status", pid_));
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmRSS:")) return std::stoll(line.substr(6));
  }
  return 0;
}

std::string OperatorProcess::Log() const {
  std::ifstream file(dir_.path() / "log");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace ybis::testing
