// From the creation of a task to the start of its runner by a worker that waits for work, as processes do it:
// the record, NOTIFY, admission, pick-up, fork. This program plays the runner, too: it writes down when it
// was started.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/digest.h"
#include "base/log.h"
#include "cli/local/session.h"
#include "cli/local/worker.h"
#include "http/client.h"
#include "tests/support/figure.h"
#include "tests/support/must.h"
#include "tests/support/submission.h"
#include "tests/support/temp_dir.h"

namespace ybis {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::Must;

int64_t Nanoseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

control::TaskSubmission Submission() {
  auto submission = testing::OneNodeSubmission(cli::kLocalNamespace, "task-" + NewUuid());
  submission.spec.repository.url = "/nowhere/" + submission.uid;
  submission.spec.limits.max_infra_retries = 0;  // the played runner ends at once: so shall the run
  return submission;
}

/// When the run's runner was started; 0 when that took too long.
int64_t AwaitStart(const fs::path& run_folder) {
  for (int i = 0; i < 20'000; ++i) {
    int64_t started = 0;
    if (std::ifstream(run_folder / "started") >> started) return started;
    std::this_thread::sleep_for(500us);
  }
  return 0;
}

std::vector<double> Sample(cli::Session& session, const control::Config& config, int count) {
  store::Pool pool({.url = session.database_url(), .size = 1});
  control::TaskQueue queue(pool, config.limits.admission);
  std::vector<double> ms;
  for (int i = 0; i < count; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + i % 17));  // the worker waits again
    const int64_t begin = Nanoseconds();
    const auto run = Must(queue.Enqueue(Submission()));
    const int64_t started = AwaitStart(session.folders().Run(run.run_id));
    if (started == 0) throw std::runtime_error("run " + run.run_id + " was not picked up within 10 s");
    ms.push_back(static_cast<double>(started - begin) / 1e6);
  }
  std::sort(ms.begin(), ms.end());
  return ms;
}

void Run(const fs::path& program, int count) {
  const testing::TempDir dir;
  fs::permissions(dir.path(), fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec);
  ::setenv("YBIS_DATA_DIR", (dir.path() / "data").c_str(), 1);
  ::setenv("YBIS_CONFIG_DIR", (dir.path() / "config").c_str(), 1);
  ::unsetenv("DATABASE_URL");
  log::Init(log::Level::kError, log::Format::kText);
  http::InitThreads();
  const auto session = Must(cli::Session::Open({}, "", {}, 6));
  const control::Config config = Must(control::LoadConfig({.profile = "dev", .file = {}, .environment = {}}));
  auto worker =
      Must(cli::Worker::Make(*session, config, {.count = 4, .poll_interval = 60s, .runner = program}));
  std::vector<double> ms;
  {
    const std::jthread serving([&](std::stop_token stop) { worker->Serve(std::move(stop)); });
    std::this_thread::sleep_for(500ms);
    Sample(*session, config, 20);  // statements are prepared, pages read
    ms = Sample(*session, config, count);
  }
  testing::PrintFigure("task created → its runner started, p50", ms.at(ms.size() / 2), "ms");
  testing::PrintFigure("task created → its runner started, p99", ms.at(ms.size() * 99 / 100), "ms",
                       testing::Wanted::kAtMost, 25);
  worker.reset();
  cli::PrivatePostgres(session->folders().Postgres()).Stop({});
}

}  // namespace
}  // namespace ybis

int main(int argc, char** argv) {
  try {
    const auto self = std::filesystem::read_symlink("/proc/self/exe");
    ybis::Run(self.parent_path() / "ybis_played_runner", argc > 1 ? std::atoi(argv[1]) : 500);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
