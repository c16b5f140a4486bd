// What health is made of: single looks, the monitor, the routes.
#include "control/health.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "base/clock.h"
#include "control/backup_manifest.h"
#include "control/health_checks.h"
#include "control/health_routes.h"
#include "control/metrics.h"
#include "http/client.h"
#include "http/server.h"
#include "tests/support/temp_dir.h"

namespace ybis::control {
namespace {

using namespace std::chrono_literals;

/// A model endpoint that answers GET /v1/models with one status.
class Endpoint {
 public:
  explicit Endpoint(int status) {
    http::Router router;
    router.Add("GET", "/v1/models", [this, status](const http::Request& request, std::stop_token) {
      const auto found = request.headers.find("authorization");
      authorization_ = found == request.headers.end() ? "" : found->second;
      return http::TextResponse("{}", status);
    });
    server_ = std::move(*http::Server::Start({.listen = {{.address = "127.0.0.1"}}}, std::move(router)));
  }

  ModelConfig Model() const {
    return {.name = "m", .endpoint = fmt::format("http://127.0.0.1:{}/v1", server_->Port())};
  }
  const std::string& authorization() const { return authorization_; }

 private:
  std::string authorization_;
  std::unique_ptr<http::Server> server_;
};

TEST(ModelCheck, JudgesByTheListThatCostsNothing) {
  const std::pair<int, HealthGrade> cases[] = {{200, HealthGrade::kOk},      {404, HealthGrade::kOk},
                                               {401, HealthGrade::kBroken},  {403, HealthGrade::kBroken},
                                               {429, HealthGrade::kWarning}, {503, HealthGrade::kWarning}};
  for (const auto& [status, grade] : cases) {
    const Endpoint endpoint(status);
    const HealthFinding found = ModelCheck(endpoint.Model())({});
    EXPECT_EQ(found.grade, grade) << status << found.message;
    EXPECT_EQ(found.check, "model");
    EXPECT_EQ(found.name, "m");
    EXPECT_EQ(found.remedy.empty(), grade == HealthGrade::kOk) << status;
  }
}

TEST(RunHealthChecks, SurvivesACheckThatThrows) {
  const auto findings =
      RunHealthChecks({[](std::stop_token) -> HealthFinding { throw std::runtime_error("no such thing"); },
                       [](std::stop_token) { return HealthFinding{.check = "disk"}; }},
                      {});
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_EQ(findings[0].grade, HealthGrade::kBroken);
  EXPECT_NE(findings[0].message.find("no such thing"), std::string::npos);
  EXPECT_EQ(findings[1].check, "disk");
}

TEST(ModelCheck, SendsTheKeyAndSaysNothingOfIt) {
  const Endpoint endpoint(401);
  testing::TempDir dir;
  dir.Write("key", "sk-very-secret\n");
  ModelConfig model = endpoint.Model();
  model.api_key_file = dir.path() / "key";
  const HealthFinding found = ModelCheck(model)({});
  EXPECT_EQ(endpoint.authorization(), "Bearer sk-very-secret");
  EXPECT_EQ((found.message + found.remedy).find("sk-very"), std::string::npos);
}

TEST(ModelCheck, NobodyThereAndMissingFilesAreBroken) {
  EXPECT_EQ(ModelCheck({.name = "m", .endpoint = "http://127.0.0.1:1/v1"})({}).grade, HealthGrade::kBroken);
  EXPECT_EQ(
      ModelCheck({.name = "m", .endpoint = "http://127.0.0.1:1/v1", .api_key_file = "/nowhere"})({}).message,
      "its apiKeyFile /nowhere cannot be read");
  EXPECT_EQ(ModelCheck({.name = "m", .provider = "replay", .replay_dir = "/nowhere"})({}).grade,
            HealthGrade::kBroken);
  EXPECT_EQ(ModelChecks({}).at(0)({}).grade, HealthGrade::kWarning);
}

TEST(GitCheck, IsBrokenWhereNoGitRuns) {
  EXPECT_EQ(GitCheck()({}).grade, HealthGrade::kOk);
  for (const char* program : {"/nowhere/git", "/bin/false"}) {
    const HealthFinding found = GitCheck(program)({});
    EXPECT_EQ(found.grade, HealthGrade::kBroken) << program;
    EXPECT_EQ(found.message, std::string(program) + " does not run");
    EXPECT_FALSE(found.remedy.empty());
  }
}

TEST(SandboxCheck, NamesWhatTheKernelLacks) {
  struct Case {
    int64_t landlock;
    bool seccomp;
    bool best_effort;
    HealthGrade grade;
    std::string message;
  };
  const std::vector<Case> cases = {
      {4, true, false, HealthGrade::kOk, "Landlock version 4, seccomp"},
      {-1, true, false, HealthGrade::kBroken, "this kernel lacks Landlock"},
      {4, false, false, HealthGrade::kBroken, "this kernel lacks seccomp"},
      {0, false, false, HealthGrade::kBroken, "this kernel lacks Landlock and seccomp"},
      {-1, true, true, HealthGrade::kWarning, "this kernel lacks Landlock"}};
  for (const Case& one : cases) {
    const HealthFinding found = SandboxFinding(one.landlock, one.seccomp, one.best_effort);
    EXPECT_EQ(found.grade, one.grade) << one.message;
    EXPECT_EQ(found.message, one.message);
    EXPECT_EQ(found.remedy.empty(), one.grade == HealthGrade::kOk);
  }
}

TEST(DiskCheck, WarnsBelowTheLimitAndBreaksBelowATenthOfIt) {
  testing::TempDir dir;
  std::error_code error;
  const auto free = static_cast<int64_t>(std::filesystem::space(dir.path(), error).available >> 20U);
  EXPECT_EQ(DiskCheck(dir.path() / "not/yet", 1)({}).grade, HealthGrade::kOk);
  EXPECT_EQ(DiskCheck(dir.path(), free * 3)({}).grade, HealthGrade::kWarning);
  EXPECT_EQ(DiskCheck(dir.path(), free * 30)({}).grade, HealthGrade::kBroken);
}

TEST(BackupsCheck, GoesByTheNewestManifest) {
  testing::TempDir dir;
  EXPECT_EQ(BackupsCheck(dir.path(), 0)({}).grade, HealthGrade::kOk);
  EXPECT_EQ(BackupsCheck(dir.path(), 24)({}).grade, HealthGrade::kWarning);
  const TimePoint now = SystemClock().Now();
  const auto made = [&](const std::string& name, std::chrono::hours ago) {
    BackupManifest manifest;
    manifest.name = BackupName(now - ago, "1f2e3d", name == "safety");
    manifest.parts = {{"database", 1, "sha256:" + std::string(64, '0'), 0, 1}};
    manifest.product_version = "1";
    manifest.created = now - ago;
    manifest.safety = name == "safety";
    dir.Write((name == "half" ? ".making-" : "") + manifest.name + "/manifest.json", ManifestText(manifest));
    return manifest.name;
  };
  made("old", 72h);
  EXPECT_EQ(BackupsCheck(dir.path(), 24)({}).grade, HealthGrade::kWarning);
  made("half", 2h);
  EXPECT_EQ(BackupsCheck(dir.path(), 24)({}).grade, HealthGrade::kWarning) << "it was never finished";
  const std::string newest = made("new", 5h);
  made("safety", 1h);
  dir.Write("ybis-20260131T120000Z-1f2e3d/manifest.json", "{");
  const HealthFinding found = BackupsCheck(dir.path(), 24)({});
  EXPECT_EQ(found.grade, HealthGrade::kOk);
  EXPECT_EQ(found.message, "the newest, " + newest + ", is 5 h old");
}

TEST(RunHealthChecks, AreMadeAtOnceAndAnsweredInOrder) {
  std::vector<HealthCheck> checks;
  for (int i = 0; i < 5; ++i) {
    checks.emplace_back([i](std::stop_token) {
      std::this_thread::sleep_for(200ms);
      return HealthFinding{.check = std::to_string(i)};
    });
  }
  const auto before = std::chrono::steady_clock::now();
  const auto findings = RunHealthChecks(checks, {});
  EXPECT_LT(std::chrono::steady_clock::now() - before, 900ms);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(findings[i].check, std::to_string(i));
}

template <class Holds>
bool Eventually(Holds holds) {
  for (int i = 0; i < 500; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

TEST(HealthMonitor, KeepsTheNewestLookInTheGaugeAndTellsReadyz) {
  Metrics metrics;
  std::atomic<HealthGrade> grade = HealthGrade::kBroken;
  HealthMonitor monitor({[&](std::stop_token) {
                          return HealthFinding{"model", "far", grade.load(), "does not answer", "look"};
                        }},
                        20ms, metrics);
  http::Router router;
  AddHealthRoutes(router, metrics, {{"database", [](std::stop_token) -> Status { return {}; }}}, &monitor);
  const auto get = [&](const std::string& path) {
    http::Request request;
    request.method = "GET";
    request.path = path;
    return router.Find(request).route->handler(request, {});
  };
  const std::string gauge = "ybis_health_check{check=\"model\",name=\"far\"} ";
  EXPECT_TRUE(Eventually([&] { return metrics.Serialize().find(gauge + "2") != std::string::npos; }));
  EXPECT_EQ(get("/readyz").status, 200) << "a model endpoint decides nothing about readiness";
  EXPECT_EQ(get("/readyz").body, "[+] database ok\n[!] model far: does not answer\n");
  grade = HealthGrade::kOk;
  EXPECT_TRUE(Eventually([&] { return metrics.Serialize().find(gauge + "0") != std::string::npos; }));
  EXPECT_EQ(get("/readyz").body, "[+] database ok\n");
}

TEST(HealthRoutes, NamesWhatIsMissing) {
  Metrics metrics;
  http::Router router;
  bool ready = false;
  AddHealthRoutes(router, metrics, {{"database", [&](std::stop_token) -> Status {
                                       if (!ready) return Fail(ErrorCode::kUnavailable, "no route");
                                       return {};
                                     }}});
  const auto get = [&](const std::string& path) {
    http::Request request;
    request.method = "GET";
    request.path = path;
    const auto match = router.Find(request);
    return match.route->handler(request, {});
  };
  EXPECT_EQ(get("/livez").status, 200);
  EXPECT_EQ(get("/readyz").status, 503);
  EXPECT_EQ(get("/readyz").body, "[-] database: no route\n");
  ready = true;
  EXPECT_EQ(get("/readyz").status, 200);
  EXPECT_NE(get("/metrics").body.find("process_resident_memory_bytes"), std::string::npos);
}

TEST(HealthRoutes, AnswerLivezWhileEveryCheckHangs) {
  Metrics metrics;
  http::Router router;
  AddHealthRoutes(router, metrics, {{"database", [](std::stop_token stop) -> Status {
                                       SystemClock().SleepFor(1min, stop);
                                       return Fail(ErrorCode::kCancelled, "stopping");
                                     }}});
  const auto server = std::move(*ServeHealth({.address = "127.0.0.1"}, std::move(router)));
  const std::string url = fmt::format("http://127.0.0.1:{}", server->Port());
  http::Client client({});
  std::vector<std::jthread> probes;
  std::atomic<int> answered{0};
  for (int i = 0; i < 6; ++i) {
    probes.emplace_back([&] {
      const auto ready = client.Send({.url = url + "/readyz"}, {});
      if (ready && ready->status == 503 && ready->body == "[-] database: no answer in time\n") ++answered;
    });
  }
  std::this_thread::sleep_for(200ms);
  const auto before = std::chrono::steady_clock::now();
  const auto live = client.Send({.url = url + "/livez"}, {});
  EXPECT_LT(std::chrono::steady_clock::now() - before, 800ms);
  ASSERT_TRUE(live) << live.error().message;
  EXPECT_EQ(live->status, 200);
  probes.clear();
  EXPECT_EQ(answered, 6);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 30s) << "a check is told to stop";
}

}  // namespace
}  // namespace ybis::control
