#include "tests/integration/local/chaos_fleet.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <thread>

namespace ybis::testing {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

const std::string kKeeper("\0db\0keep\0", 9);  // stops the database when nobody has used it for a while

/// 0 when it is gone.
pid_t ParentOf(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string state;
  pid_t parent = 0;
  fields >> state >> parent;
  return parent;
}

/// Whether it blocks or handles SIGTERM by now; before that the signal itself ends it.
bool HearsTerm(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  uint64_t heard = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("SigBlk:") || line.starts_with("SigCgt:"))
      heard |= std::stoull(line.substr(7), nullptr, 16);
  }
  return (heard & (uint64_t{1} << (SIGTERM - 1))) != 0;
}

/// A worker that has just been started is given the time to begin.
void Terminate(const Background& worker) {
  for (int i = 0; i < 500 && !HearsTerm(worker.pid()); ++i) std::this_thread::sleep_for(20ms);
  worker.Signal(SIGTERM);
}

}  // namespace

ChaosFleet::ChaosFleet(const Machine& machine, std::map<std::string, std::string> env, int workers,
                       ChaosPace pace, unsigned seed)
    : machine_(machine), env_(std::move(env)), pace_(pace), random_(seed) {
  for (int i = 0; i < workers; ++i) workers_.push_back(StartWorker());
}

std::unique_ptr<Background> ChaosFleet::StartWorker() const {
  return std::make_unique<Background>(
      machine_.Command({"worker", "start", "--count", "1", "--poll-interval", "1"}), env_,
      machine_.path() / "worker.log");
}

/// True about once every `mean`, at random.
bool ChaosFleet::Due(Steady::time_point& next, std::chrono::milliseconds mean) {
  if (mean.count() <= 0 || Steady::now() < next) return false;
  const bool first = next == Steady::time_point{};
  std::exponential_distribution<double> wait(1.0 / static_cast<double>(mean.count()));
  next = Steady::now() + std::chrono::milliseconds(static_cast<int64_t>(wait(random_)));
  return !first;
}

void ChaosFleet::Step() {
  if (Due(next_worker_, pace_.worker)) KillWorker();
  if (Due(next_runner_, pace_.runner)) KillRunner();
  if (Due(next_database_, pace_.database)) KillDatabase();
  std::this_thread::sleep_for(20ms);
}

void ChaosFleet::KillWorker() {
  auto& worker = workers_.at(random_() % workers_.size());
  const std::string pid = std::to_string(worker->pid());
  worker->Signal(SIGKILL);
  worker->Wait(5s);
  dead_workers_.push_back({pid, SystemClock().Now()});
  worker = StartWorker();
}

void ChaosFleet::KillRunner() {
  auto runners = ProcessesOf(machine_, "ybis-runner");
  // Not what a runner has just forked: a command that is killed before it begins reads as one that failed.
  const std::set<pid_t> all(runners.begin(), runners.end());
  std::erase_if(runners, [&](pid_t pid) { return all.contains(ParentOf(pid)); });
  // Each is as likely to die when few are left: else the last run's would be killed without end.
  const size_t pick = random_() % std::max(runners.size(), workers_.size());
  if (pick >= runners.size()) return;
  ::kill(runners.at(pick), SIGKILL);
  ++killed_runners_;
}

void ChaosFleet::KillDatabase() {
  std::ifstream file(machine_.path() / "data/postgres/data/postmaster.pid");
  pid_t postmaster = 0;
  file >> postmaster;
  if (postmaster <= 1 || ::kill(postmaster, SIGKILL) != 0) return;
  ++killed_databases_;
}

bool ChaosFleet::Stop() {
  bool good = true;
  for (auto& worker : workers_) Terminate(*worker);
  for (auto& worker : workers_) good = worker->Wait(60s) == 0 && good;
  workers_.clear();
  return good;
}

bool ChaosFleet::StartAndStopOne() {
  std::this_thread::sleep_for(5s);  // a socket younger than that might be about to be used
  const auto worker = StartWorker();
  std::this_thread::sleep_for(2s);
  Terminate(*worker);
  return worker->Wait(60s) == 0;
}

std::vector<pid_t> ProcessesOf(const Machine& machine, const std::string& program) {
  std::vector<pid_t> found;
  const std::string folder = machine.path();
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc()) continue;
    const std::string words = CommandLine(pid);
    if (words.find("postgres") == 0 || words.find("/bin/postgres") != std::string::npos) continue;
    if (words.find(kKeeper) != std::string::npos) continue;
    const std::string directory = fs::read_symlink(entry.path() / "cwd", ignored).string();
    const bool ours = words.find(folder) != std::string::npos || directory.find(folder) == 0;
    if (ours && words.find(program) != std::string::npos) found.push_back(pid);
  }
  return found;
}

}  // namespace ybis::testing
