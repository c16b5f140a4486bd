#include "api/task.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ybis::api {
namespace {

using nlohmann::json;

json FullSpec() {
  return json::parse(R"({
    "title": "Say hello", "objective": "Create hello.py", "priority": "HIGH",
    "repository": {"url": "https://git.example.com/a.git", "ref": "main", "credentialsSecretRef": {"name": "git"},
                   "caBundleSecretRef": {"name": "ca"}},
    "workflowRef": {"name": "mine"}, "parameters": {"lang": "python"},
    "model": {"name": "small", "fallbacks": ["big"], "temperature": 0.5, "maxOutputTokens": 100},
    "verification": {"commands": [["pytest", "-q"], ["make"]], "timeoutSeconds": 60},
    "policy": {"protectedPaths": ["deploy/**"], "maxChangedFiles": 3, "maxDiffBytes": 1000, "network": true},
    "approval": {"mode": "Always", "required": 2, "ttlSeconds": 3600, "reminderSeconds": 600},
    "delivery": {"mode": "Branch", "branch": "feature/x"},
    "limits": {"timeoutSeconds": 100, "maxRepairs": 0, "maxInfraRetries": 1, "maxTokens": 9, "maxCostUSD": 0.25},
    "workspace": {"size": "1Gi", "storageClassName": "fast", "medium": "Volume"},
    "runner": {"image": "x/y:1", "resources": {"limits": {"cpu": 2}}, "nodeSelector": {"a": "b"},
               "tolerations": [{"key": "k"}], "priorityClassName": "p", "runtimeClassName": "gvisor"},
    "queueName": "q", "suspend": true, "cancel": true, "rerun": {"token": "2", "fromNode": "verify"}})");
}

TEST(ParseTaskSpec, ReadsBackWhatToJsonWrites) {
  const auto spec = ParseTaskSpec(FullSpec());
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(ToJson(*spec), FullSpec());
  const auto minimal = ParseTaskSpec({{"objective", "x"}, {"repository", {{"url", "https://h/r"}}}});
  ASSERT_TRUE(minimal);
  EXPECT_EQ(ToJson(*minimal), json({{"objective", "x"}, {"repository", {{"url", "https://h/r"}}}}));
  EXPECT_EQ(minimal->workflow, "ybis-native");
}

TEST(ParseTaskSpec, NamesEveryFieldThatIsWrong) {
  json spec = FullSpec();
  spec["objective"] = "";
  spec["priority"] = "URGENT";
  spec["limits"]["maxRepairs"] = 99;
  spec["verification"]["commands"] = {"pytest"};
  spec["repository"]["branch"] = "main";
  const auto result = ParseTaskSpec(spec);
  ASSERT_FALSE(result);
  for (const char* text :
       {"spec.objective: is required", "spec.priority: must be one of HIGH, MEDIUM, LOW",
        "spec.limits.maxRepairs: must be a whole number from 0 to 20",
        "spec.verification.commands[0]: must be a list", "spec.repository.branch: unknown field"}) {
    EXPECT_NE(result.error().message.find(text), std::string::npos)
        << text << " in " << result.error().message;
  }
}

TEST(ParseTaskSpec, ApprovalHasDefaultsAndBounds) {
  json spec = {{"objective", "x"}, {"repository", {{"url", "https://h/r"}}}};
  const auto plain = ParseTaskSpec(spec);
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->approval.mode, ApprovalMode::kOnBlock);
  EXPECT_EQ(plain->approval.required, 1);
  EXPECT_EQ(plain->approval.ttl_seconds, 604'800);
  EXPECT_EQ(plain->approval.reminder_seconds, 0);
  spec["approval"] = {{"mode", "Never"}};
  EXPECT_EQ(ParseTaskSpec(spec)->approval.mode, ApprovalMode::kNever);
  spec["approval"] = {{"mode", "Sometimes"}, {"required", 11}, {"ttlSeconds", 9}, {"reminderSeconds", 9}};
  const auto result = ParseTaskSpec(spec);
  ASSERT_FALSE(result);
  for (const char* text : {"spec.approval.mode: must be one of Never, OnBlock, Always",
                           "spec.approval.required: must be a whole number from 1 to 10",
                           "spec.approval.ttlSeconds: must be a whole number from 10 to 31536000",
                           "spec.approval.reminderSeconds: must be 0 (none) or at least 10"}) {
    EXPECT_NE(result.error().message.find(text), std::string::npos)
        << text << " in " << result.error().message;
  }
}

TEST(DecisionKind, ReadsBackItsName) {
  for (const DecisionKind kind : {DecisionKind::kApprove, DecisionKind::kReject, DecisionKind::kRevise}) {
    EXPECT_EQ(ParseDecisionKind(ToString(kind)).value(), kind);
  }
  EXPECT_FALSE(ParseDecisionKind("approve"));
}

TEST(ParseTaskSpec, RefusesOversizeAndNul) {
  EXPECT_FALSE(
      ParseTaskSpec({{"objective", std::string(200'000, 'x')}, {"repository", {{"url", "https://h/r"}}}}));
  EXPECT_FALSE(ParseTaskSpec(
      {{"objective", "x"}, {"title", std::string("a\0b", 3)}, {"repository", {{"url", "https://h/r"}}}}));
}

TEST(ParseTaskSpec, RefusesNulInEveryText) {
  const std::string nul("a\0b", 3);
  for (const char* pointer : {"/objective", "/repository/url", "/repository/credentialsSecretRef/name",
                              "/workflowRef/name", "/parameters/lang", "/model/fallbacks/0",
                              "/policy/protectedPaths/0", "/runner/nodeSelector/a", "/rerun/token"}) {
    json spec = FullSpec();
    spec[json::json_pointer(pointer)] = nul;
    const auto result = ParseTaskSpec(spec);
    ASSERT_FALSE(result) << pointer;
    EXPECT_NE(result.error().message.find("NUL"), std::string::npos) << result.error().message;
  }
  json spec = FullSpec();
  spec["parameters"] = {{nul, "x"}};
  EXPECT_FALSE(ParseTaskSpec(spec));
}

TEST(ParseTaskSpec, RefusesControlCharactersWhereItSaysWhatTheChangeIsOf) {
  for (const char* field : {"url", "ref"}) {
    for (const char* control : {"\x1b[2J", "a\nb", "a\x7f", "\xc2\x9b", "\xc2\x80"}) {
      json spec = FullSpec();
      spec["repository"][field] = control;
      const auto result = ParseTaskSpec(spec);
      ASSERT_FALSE(result) << field;
      EXPECT_NE(result.error().message.find(std::string(field) + ": must hold no control"), std::string::npos)
          << result.error().message;
    }
    json spec = FullSpec();
    spec["repository"][field] = "https://h/\xc3\xa4\xc2\xa0r";
    EXPECT_TRUE(ParseTaskSpec(spec)) << field;
  }
}

TEST(ParseTask, ReadsAWholeObjectWithItsStatus) {
  TaskStatus status;
  status.observed_generation = 2;
  status.phase = TaskPhase::kFailed;
  status.run = RunStatus{.id = "r-1", .number = 1, .attempt = 2, .job_name = "j", .node = "verify"};
  status.approval = AwaitedDecision{.subject_digest = "sha256:5ub",
                                    .node = "gate",
                                    .required = 2,
                                    .approvers = {"ada"},
                                    .since = TimePoint(std::chrono::seconds(1'769'860'800)),
                                    .expires = TimePoint(std::chrono::seconds(1'769'864'400))};
  status.result = RunResult{.decision = "approved", .branch = "b", .files_changed = 2};
  status.verification = VerificationResult{3, 1};
  status.usage = Usage{10, 5, 0.5, 2};
  status.failure = Failure{FailureClass::kVerify, "VerificationFailed", "pytest failed"};
  status.artifacts = {{"patch.diff", "sha256:00", 12}};
  SetCondition(status.conditions, {.type = "Succeeded", .status = "False", .reason = "VerificationFailed"},
               TimePoint(std::chrono::seconds(1'769'860'800)));
  const json object = {{"metadata",
                        {{"name", "t"},
                         {"namespace", "n"},
                         {"uid", "u"},
                         {"resourceVersion", "7"},
                         {"generation", 2},
                         {"creationTimestamp", "2026-01-31T12:00:00Z"}}},
                       {"spec", FullSpec()},
                       {"status", ToJson(status)}};
  const auto task = ParseTask(object);
  ASSERT_TRUE(task) << task.error().message;
  EXPECT_EQ(task->meta.Key(), "n/t");
  EXPECT_EQ(ToJson(task->status), ToJson(status));
}

TEST(ParseTask, RefusesWhatIsNoObject) {
  for (const json& object : {json(), json(3), json::array(), json::object(), json{{"metadata", 3}},
                             json{{"metadata", {{"name", "x"}}}}}) {
    EXPECT_FALSE(ParseTask(object)) << object;
  }
}

TEST(SetCondition, MovesTheTimeOnlyWithTheStatus) {
  std::vector<Condition> conditions;
  const TimePoint first(std::chrono::seconds(100)), second(std::chrono::seconds(200));
  SetCondition(conditions, {.type = "Accepted", .status = "True", .reason = "A"}, first);
  SetCondition(conditions, {.type = "Accepted", .status = "True", .reason = "B"}, second);
  ASSERT_EQ(conditions.size(), 1u);
  EXPECT_EQ(conditions[0].reason, "B");
  EXPECT_EQ(conditions[0].last_transition, first);
  SetCondition(conditions, {.type = "Accepted", .status = "False", .reason = "C"}, second);
  EXPECT_EQ(conditions[0].last_transition, second);
}

}  // namespace
}  // namespace ybis::api
