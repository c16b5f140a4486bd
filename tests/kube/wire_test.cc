#include "kube/wire.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ybis::kube {
namespace {

using nlohmann::json;

TEST(ParseWire, DropsManagedFieldsWhereverMetadataStands) {
  const auto list = ParseWire(
      R"({"metadata":{"resourceVersion":"1"},"items":[{"metadata":{"managedFields":[{"a":{"b":1}}],"name":"x"},
          "spec":{"managedFields":"kept"}},{"metadata":{"name":"y","managedFields":null}}]})",
      "test");
  ASSERT_TRUE(list);
  EXPECT_FALSE((*list)["items"][0]["metadata"].contains("managedFields"));
  EXPECT_FALSE((*list)["items"][1]["metadata"].contains("managedFields"));
  EXPECT_EQ((*list)["items"][0]["metadata"]["name"], "x");
  EXPECT_EQ((*list)["items"][0]["spec"]["managedFields"], "kept");
}

TEST(ParseWire, RefusesDeepAndBrokenText) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_EQ(ParseWire(deep, "test").error().code, ErrorCode::kInvalid);
  for (const char* broken : {"", "{", "{\"a\":}", "nul", "{\"a\":1}x", "\xff\xfe"}) {
    EXPECT_FALSE(ParseWire(broken, "test")) << broken;
  }
}

struct CodeCase {
  int status;
  const char* reason;
  ErrorCode code;
  bool retryable;
};

TEST(ErrorFromResponse, MapsEveryCode) {
  for (const CodeCase& c : {CodeCase{400, "BadRequest", ErrorCode::kInvalid, false},
                            {401, "Unauthorized", ErrorCode::kDenied, false},
                            {403, "Forbidden", ErrorCode::kDenied, false},
                            {404, "NotFound", ErrorCode::kNotFound, false},
                            {405, "MethodNotAllowed", ErrorCode::kUnsupported, false},
                            {409, "AlreadyExists", ErrorCode::kExists, false},
                            {409, "Conflict", ErrorCode::kConflict, true},
                            {410, "Expired", ErrorCode::kGone, false},
                            {413, "RequestEntityTooLarge", ErrorCode::kTooLarge, false},
                            {422, "Invalid", ErrorCode::kInvalid, false},
                            {429, "TooManyRequests", ErrorCode::kExhausted, true},
                            {500, "InternalError", ErrorCode::kUnavailable, true},
                            {503, "ServiceUnavailable", ErrorCode::kUnavailable, true},
                            {307, "", ErrorCode::kInvalid, false}}) {
    const json body = {{"kind", "Status"}, {"reason", c.reason}, {"message", "why"}};
    const Error error = ErrorFromResponse("GET /x", {.status = c.status, .body = body.dump()});
    EXPECT_EQ(error.code, c.code) << c.status << c.reason;
    EXPECT_EQ(error.retryable, c.retryable) << c.status << c.reason;
    EXPECT_NE(error.message.find("GET /x"), std::string::npos);
    EXPECT_NE(error.message.find("why"), std::string::npos);
  }
}

TEST(ErrorFromResponse, NamesTheFieldsOfAnInvalidObject) {
  const json body = {
      {"kind", "Status"},
      {"reason", "Invalid"},
      {"message", "Job is invalid"},
      {"details",
       {{"causes", {{{"field", "spec.template"}, {"message", "is required"}}, 3, {{"field", 1}}}}}}};
  const Error error = ErrorFromResponse("POST /jobs", {.status = 422, .body = body.dump()});
  EXPECT_NE(error.message.find("spec.template: is required"), std::string::npos) << error.message;
}

TEST(ErrorFromResponse, SurvivesBodiesThatAreNoStatus) {
  for (const char* body :
       {"", "<html>502</html>", "[]", "{\"kind\":\"Status\",\"details\":5,\"message\":{}}", "\xff"}) {
    EXPECT_EQ(ErrorFromResponse("GET /x", {.status = 502, .body = body}).code, ErrorCode::kUnavailable);
  }
  const std::string huge(1024 * 1024, 'x');
  EXPECT_LT(ErrorFromResponse("GET /x", {.status = 502, .body = huge}).message.size(), 4096U);
}

}  // namespace
}  // namespace ybis::kube
