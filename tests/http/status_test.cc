#include "http/status.h"

#include <gtest/gtest.h>

namespace ybis::http {
namespace {

TEST(CodeOfStatus, NamesWhatTheCallerMayDo) {
  const std::pair<int, ErrorCode> cases[] = {
      {400, ErrorCode::kInvalid},     {401, ErrorCode::kDenied},      {403, ErrorCode::kDenied},
      {404, ErrorCode::kNotFound},    {405, ErrorCode::kUnsupported}, {408, ErrorCode::kTimeout},
      {409, ErrorCode::kConflict},    {410, ErrorCode::kGone},        {413, ErrorCode::kTooLarge},
      {415, ErrorCode::kUnsupported}, {418, ErrorCode::kInvalid},     {422, ErrorCode::kInvalid},
      {429, ErrorCode::kExhausted},   {500, ErrorCode::kUnavailable}, {501, ErrorCode::kUnsupported},
      {503, ErrorCode::kUnavailable}, {504, ErrorCode::kTimeout},     {599, ErrorCode::kUnavailable}};
  for (const auto& [status, code] : cases) EXPECT_EQ(CodeOfStatus(status), code) << status;
}

}  // namespace
}  // namespace ybis::http
