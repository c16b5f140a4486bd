#include "base/log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ybis {
namespace {

using nlohmann::json;

/// The line that a record becomes.
std::string Logged(const std::string& message, const json& fields, log::Format format = log::Format::kJson) {
  log::Init(log::Level::kInfo, format);
  ::testing::internal::CaptureStderr();
  log::Info(message, fields);
  std::string line = ::testing::internal::GetCapturedStderr();
  log::Init(log::Level::kInfo, log::Format::kText);
  return line;
}

TEST(Log, MasksSecretsThatJsonWouldEscape) {
  const std::string key = "-----BEGIN\nab\"c\\d\n-----END";
  log::RegisterSecret(key);
  for (const log::Format format : {log::Format::kJson, log::Format::kText}) {
    const std::string line =
        Logged("said " + key, {{"plain", "it is " + key}, {"nested", {{"list", {"x", key}}}}}, format);
    EXPECT_EQ(line.find("BEGIN"), std::string::npos) << line;
    EXPECT_NE(line.find("it is ***"), std::string::npos) << line;
    EXPECT_NE(line.find("[\"x\",\"***\"]"), std::string::npos) << line;
  }
}

TEST(Log, ALongRecordStaysJson) {
  std::string long_text;
  for (int i = 0; i < 20'000; ++i) long_text += "€\n";
  const std::string line =
      Logged("msg", {{"run", "run-1"}, {"output", long_text}, {"list", json::array({long_text})}});
  EXPECT_LE(line.size(), 16u * 1024 + 1);
  const json record = json::parse(line, nullptr, false);
  ASSERT_FALSE(record.is_discarded()) << line.substr(0, 200);
  EXPECT_EQ(record["run"], "run-1");
  EXPECT_EQ(record["msg"], "msg");
  EXPECT_TRUE(record["output"].get<std::string>().ends_with("…"));
  EXPECT_EQ(json::parse(Logged(long_text, {{"run", "run-1"}}))["run"], "run-1");
}

}  // namespace
}  // namespace ybis
