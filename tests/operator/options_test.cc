#include "operator/options.h"

#include <gtest/gtest.h>

#include "operator/health.h"
#include "tests/support/temp_dir.h"

namespace ybis::op {
namespace {

std::variant<Options, ExitNow> Read(std::vector<std::string> args,
                                    const std::map<std::string, std::string>& environment) {
  args.insert(args.begin(), "ybis-operator");
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  return ReadOptions(static_cast<int>(argv.size()), argv.data(), environment);
}

TEST(Options, TakeTheDatabaseFromTheEnvironmentAndAFileBeforeIt) {
  const ybis::testing::TempDir dir;
  const auto file = dir.Write("url", "postgresql://file/db\n");
  const std::map<std::string, std::string> environment = {{"DATABASE_URL", "postgresql://env/db"}};
  EXPECT_EQ(std::get<Options>(Read({}, environment)).database_url, "postgresql://env/db");
  EXPECT_EQ(std::get<Options>(Read({"--database-url-file=" + file.string()}, environment)).database_url,
            "postgresql://file/db");
}

TEST(Options, EndWithACodeForEachKindOfMistake) {
  EXPECT_EQ(std::get<ExitNow>(Read({"--no-such-flag"}, {})).code, 64);
  EXPECT_EQ(std::get<ExitNow>(Read({}, {})).code, 78) << "no database";
  EXPECT_EQ(std::get<ExitNow>(Read({"--profile=nowhere"}, {{"DATABASE_URL", "x"}})).code, 78);
  EXPECT_EQ(std::get<ExitNow>(Read({"--metrics-listen=:http"}, {{"DATABASE_URL", "x"}})).code, 78);
  EXPECT_EQ(std::get<ExitNow>(Read({"--help"}, {})).code, 0);
}

TEST(ParseListen, ReadsAddressesAndPorts) {
  EXPECT_EQ(ParseListen(":8443")->port, 8443);
  EXPECT_EQ(ParseListen("8443")->address, "::");
  EXPECT_EQ(ParseListen("127.0.0.1:1")->address, "127.0.0.1");
  EXPECT_EQ(ParseListen("[::1]:1")->address, "::1");
  for (const char* bad : {"", ":", ":70000", ":-1", ":80x"}) EXPECT_FALSE(ParseListen(bad)) << bad;
}

TEST(Health, NamesWhatIsMissing) {
  control::Metrics metrics;
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

}  // namespace
}  // namespace ybis::op
