// The machine that the tests of this folder work on; see machine.h.
#include "tests/integration/local/machine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "tests/support/source_dir.h"

namespace ybis::testing {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using nlohmann::json;

/// Asks until it holds; generous, since the machine may be busy.
template <class Holds>
bool Eventually(Holds holds) {
  const auto until = std::chrono::steady_clock::now() + 120s;
  while (std::chrono::steady_clock::now() < until) {
    if (holds()) return true;
    std::this_thread::sleep_for(100ms);
  }
  return false;
}

ProcessResult MustRun(const ProcessSpec& spec) {
  const auto result = RunProcess(spec, {});
  if (!result) throw std::runtime_error(result.error().message);
  return *result;
}

}  // namespace

Background::Background(const std::vector<std::string>& argv, const std::map<std::string, std::string>& env,
                       const fs::path& log) {
  std::vector<std::string> settings;
  for (const auto& [name, value] : env) settings.push_back(name + "=" + value);
  std::vector<char*> arguments, environment;
  for (const std::string& word : argv) arguments.push_back(const_cast<char*>(word.c_str()));
  for (const std::string& setting : settings) environment.push_back(const_cast<char*>(setting.c_str()));
  arguments.push_back(nullptr);
  environment.push_back(nullptr);
  const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
    ::execve(arguments[0], arguments.data(), environment.data());
    ::_exit(127);
  }
  ::close(fd);
}

Background::~Background() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Background::Signal(int number) const { ::kill(pid_, number); }

int Background::Wait(std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  int status = 0;
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > until) return -1;
    std::this_thread::sleep_for(20ms);
  }
  pid_ = -1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

Machine::Machine() {
  fs::permissions(dir_.path(), fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec);
  env_ = {{"PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"},
          {"HOME", dir_.path()},
          {"YBIS_DATA_DIR", dir_.path() / "data"},
          {"YBIS_CONFIG_DIR", dir_.path() / "config"},
          {"YBIS_CONFIG__LEASE__LEASE_SECONDS", "20"},
          {"YBIS_CONFIG__LEASE__HEARTBEAT_SECONDS", "1"},
          {"YBIS_CONFIG__LEASE__SWEEP_SECONDS", "1"}};
  dir_.Write("config/config.yaml",
             fmt::format("models:\n  - {{name: recorded, provider: replay, replayDir: \"{}\"}}\n",
                         testing::SourceDir() + "/examples/recordings"));
}

Machine::~Machine() {
  const auto stopped = Ybis({"db", "stop"});
  if (stopped.exit_code != 0) ADD_FAILURE() << stopped.error_output;
}

std::vector<std::string> Machine::Command(const std::vector<std::string>& arguments) const {
  std::vector<std::string> argv = {YBIS_BIN_DIR "/ybis"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

std::vector<std::string> Machine::Worker() const {
  return Command({"worker", "start", "--poll-interval", "1"});
}

std::string Machine::DatabaseUrl() const {
  const fs::path folder = dir_.path() / "data/postgres";
  return fmt::format("host='{}' user=ybis dbname=ybis password={}", (folder / "socket").string(),
                     ReadFile(folder / "password", 100).value_or("none"));
}

ProcessResult Machine::Ybis(const std::vector<std::string>& arguments,
                            std::chrono::milliseconds timeout) const {
  ProcessSpec spec;
  spec.argv = Command(arguments);
  spec.env = env_;
  spec.directory = dir_.path();
  spec.timeout = timeout;
  return MustRun(spec);
}

std::string Machine::Git(const std::string& repository, const std::vector<std::string>& arguments) const {
  ProcessSpec spec;
  spec.argv = {"/usr/bin/git", "-C", repository, "-c", "user.name=T", "-c", "user.email=t@example.com"};
  spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
  spec.env = env_;
  const ProcessResult result = MustRun(spec);
  EXPECT_EQ(result.exit_code, 0) << result.error_output;
  std::string text = result.output;
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

std::string Machine::Repository(const std::string& example) const {
  static int count = 0;
  const fs::path folder = dir_.path() / "repositories" / fmt::format("{}{}", example, ++count);
  fs::create_directories(folder);
  fs::copy(fs::path(testing::SourceDir() + "/examples/repositories") / example, folder,
           fs::copy_options::recursive);
  Git(folder, {"init", "-q", "-b", "main"});
  Git(folder, {"add", "-A"});
  Git(folder, {"commit", "-q", "-m", "Begin"});
  return folder;
}

std::vector<std::string> Machine::Branches(const std::string& repository) const {
  std::istringstream lines(Git(repository, {"branch", "--list", "ybis/*", "--format=%(refname:short)"}));
  std::vector<std::string> branches;
  for (std::string line; std::getline(lines, line);) branches.push_back(line);
  return branches;
}

json Machine::Task(const std::string& name) const {
  const ProcessResult result = Ybis({"task", "status", name, "-o", "json"});
  if (result.exit_code != 0) return json::object();
  return json::parse(result.output);
}

std::string Machine::Phase(const std::string& name) const {
  return Task(name).value(json::json_pointer("/status/phase"), std::string());
}

bool Machine::WaitPhase(const std::string& name, const std::string& phase) const {
  return Eventually([&] { return Phase(name) == phase; });
}

bool Machine::WaitNode(const std::string& name, const std::string& node) const {
  return Eventually([&] {
    const json task = Task(name);
    return task.value(json::json_pointer("/status/phase"), std::string()) == "Running" &&
           task.value(json::json_pointer("/status/run/node"), std::string()) == node;
  });
}

std::string CommandLine(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/cmdline", pid));
  char buffer[16 * 1024];
  file.read(buffer, sizeof(buffer));  // not by iterators: those throw when the process ends meanwhile
  return {buffer, static_cast<size_t>(file.gcount())};
}

pid_t Machine::RunnerOf(const std::string& run_id) const {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc()) continue;
    const std::string words = CommandLine(pid);
    const bool runner =
        words.find("ybis-runner") != std::string::npos && words.find(run_id) != std::string::npos;
    if (runner && words.find(dir_.path().string()) != std::string::npos) return pid;
  }
  return 0;
}

std::string Machine::Events(const std::string& name) const { return Ybis({"events", name}).output; }

std::string Example(const std::string& task) {
  return fmt::format("{}/examples/tasks/{}.yaml", testing::SourceDir(), task);
}

}  // namespace ybis::testing
