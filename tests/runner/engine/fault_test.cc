#include "runner/engine/fault.h"

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace ybis::runner {
namespace {

struct FaultCase {
  FaultSource source;
  ErrorCode code;
  FaultKind kind;
  api::FailureClass failure_class;
  const char* reason;
};

class FaultOfTest : public ::testing::TestWithParam<FaultCase> {};

TEST_P(FaultOfTest, GivesClassAndReason) {
  const FaultCase& test = GetParam();
  const Fault fault = FaultOf(test.source, Fail(test.code, "text").value());
  EXPECT_EQ(fault.kind, test.kind) << test.reason;
  EXPECT_EQ(fault.failure.failure_class, test.failure_class) << test.reason;
  EXPECT_EQ(fault.failure.reason, test.reason);
  EXPECT_NE(fault.failure.message.find("text"), std::string::npos);
}

using enum FaultSource;
using api::FailureClass;

INSTANTIATE_TEST_SUITE_P(
    Cases, FaultOfTest,
    ::testing::Values(
        FaultCase{kRepository, ErrorCode::kUnavailable, FaultKind::kRetry, FailureClass::kInfra,
                  "RepositoryUnreachable"},
        FaultCase{kRepository, ErrorCode::kDenied, FaultKind::kFail, FailureClass::kInvalid,
                  "CredentialsRejected"},
        FaultCase{kRepository, ErrorCode::kNotFound, FaultKind::kFail, FailureClass::kInvalid,
                  "RepositoryNotFound"},
        FaultCase{kModel, ErrorCode::kUnavailable, FaultKind::kRetry, FailureClass::kInfra,
                  "ModelUnavailable"},
        FaultCase{kModel, ErrorCode::kInvalid, FaultKind::kFail, FailureClass::kAgent, "ModelAnswerInvalid"},
        FaultCase{kModel, ErrorCode::kUnsupported, FaultKind::kFail, FailureClass::kInfra,
                  "ModelRequestRefused"},
        FaultCase{kModel, ErrorCode::kNotFound, FaultKind::kFail, FailureClass::kInvalid, "ModelNotFound"},
        FaultCase{kModel, ErrorCode::kExhausted, FaultKind::kRetry, FailureClass::kInfra, "ModelUnavailable"},
        FaultCase{kSandbox, ErrorCode::kUnsupported, FaultKind::kFail, FailureClass::kInfra,
                  "SandboxUnsupported"},
        FaultCase{kSandbox, ErrorCode::kDenied, FaultKind::kFail, FailureClass::kPolicy, "CommandNotAllowed"},
        FaultCase{kRunApi, ErrorCode::kUnavailable, FaultKind::kRetry, FailureClass::kInfra,
                  "ControlPlaneUnreachable"},
        FaultCase{kWorktree, ErrorCode::kTimeout, FaultKind::kFail, FailureClass::kAgent,
                  "WorktreeUnreadable"},
        FaultCase{kWorkspace, ErrorCode::kInternal, FaultKind::kRetry, FailureClass::kInfra,
                  "WorkspaceFailed"}));

TEST(FaultOf, TellsAMissingRefFromAMissingRepository) {
  const Error error{.code = ErrorCode::kNotFound,
                    .message = "fetch x: the repository has no such branch, tag or commit"};
  EXPECT_EQ(FaultOf(kRepository, error).failure.reason, "RefNotFound");
}

TEST(FaultOf, EndsAnExhaustedBudgetForGood) {
  const Fault fault = FaultOf(kModel, {.code = ErrorCode::kExhausted, .message = "budget"});
  EXPECT_EQ(fault.kind, FaultKind::kFail);
  EXPECT_EQ(fault.failure.reason, "BudgetExhausted");
}

TEST(FaultOf, ObeysStopsAndLostLeasesWhateverTheSource) {
  for (const FaultSource source : {kRunApi, kRepository, kModel, kSandbox, kWorkspace}) {
    EXPECT_EQ(FaultOf(source, {.code = ErrorCode::kStale}).kind, FaultKind::kStale);
    EXPECT_EQ(FaultOf(source, {.code = ErrorCode::kCancelled}).kind, FaultKind::kStop);
  }
}

TEST(FaultOf, CapsMessagesButKeepsTheAdvice) {
  const Fault fault = FaultOf(kModel, Fail(ErrorCode::kInvalid, std::string(5000, 'x')).value());
  EXPECT_LE(fault.failure.message.size(), 1024U);
  EXPECT_NE(fault.failure.message.find("try another model"), std::string::npos);
}

TEST(FaultOf, CutsMessagesBetweenCharacters) {
  for (const char* shift : {"", "x", "xx"}) {
    std::string text = shift;
    for (int i = 0; i < 600; ++i) text += "\u20ac";
    const std::string message = TaskFault(api::FailureClass::kAgent, "R", text).failure.message;
    EXPECT_GT(message.size(), 1020U);
    EXPECT_LE(message.size(), 1024U);
    EXPECT_EQ(message, ValidUtf8(message)) << "no half of a character at the end";
  }
}

}  // namespace
}  // namespace ybis::runner
