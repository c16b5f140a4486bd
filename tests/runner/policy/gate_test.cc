#include "runner/policy/gate.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/utf8.h"

namespace ybis::runner {
namespace {

using nlohmann::json;

GateFacts GoodFacts() {
  return {.verifier_ran = true,
          .checks_passed = 2,
          .changes = {{.path = "src/a.py"}},
          .insertions = 3,
          .diff_bytes = 100,
          .patch_digest = "sha256:" + std::string(64, '0'),
          .repairs_left = 1};
}

GateResult JudgeWith(const GateFacts& facts, api::RunPolicy policy = {}, api::LimitsSpec limits = {},
                     GateConfig config = {}) {
  return Judge(facts, policy, limits, config);
}

const RuleVerdict& RuleOf(const GateResult& result, std::string_view name) {
  for (const RuleVerdict& rule : result.rules) {
    if (rule.rule == name) return rule;
  }
  throw std::logic_error("no such rule");
}

TEST(Judge, ApprovesAVerifiedChangeWithEveryRuleListed) {
  const GateResult result = JudgeWith(GoodFacts());
  EXPECT_EQ(result.decision, Decision::kApproved);
  EXPECT_EQ(result.rules.size(), 8U);
  EXPECT_FALSE(result.failure);
}

TEST(Judge, AsksForRepairWhileOneIsLeft) {
  GateFacts facts = GoodFacts();
  facts.checks_failed = {"pytest"};
  EXPECT_EQ(JudgeWith(facts).decision, Decision::kRepair);
  EXPECT_FALSE(JudgeWith(facts).failure);
}

TEST(Judge, RejectsAFailedVerificationWithoutRepairsLeft) {
  GateFacts facts = GoodFacts();
  facts.checks_failed = {"pytest"};
  facts.repairs_left = 0;
  const GateResult result = JudgeWith(facts);
  EXPECT_EQ(result.decision, Decision::kRejected);
  ASSERT_TRUE(result.failure);
  EXPECT_EQ(result.failure->failure_class, api::FailureClass::kVerify);
  EXPECT_EQ(result.failure->reason, "VerificationFailed");
  EXPECT_NE(result.failure->message.find("pytest"), std::string::npos);
}

TEST(Judge, CutsALongMessageBetweenCharacters) {
  GateFacts facts = GoodFacts();
  facts.repairs_left = 0;
  for (const char* shift : {"", "x", "xx"}) {
    facts.checks_failed = {shift};
    for (int i = 0; i < 600; ++i) facts.checks_failed[0] += "\u20ac";
    const std::string message = JudgeWith(facts).failure->message;
    EXPECT_LE(message.size(), 1024U);
    EXPECT_GT(message.size(), 1020U);
    EXPECT_EQ(message, ValidUtf8(message)) << "no half of a character at the end";
  }
}

TEST(Judge, BlocksAProtectedPathNamingRuleAndPath) {
  GateFacts facts = GoodFacts();
  facts.changes.push_back({.path = ".github/workflows/ci.yml"});
  const GateResult result = JudgeWith(facts, {.protected_paths = {".github/**"}});
  EXPECT_EQ(result.decision, Decision::kBlocked);
  ASSERT_TRUE(result.failure);
  EXPECT_EQ(result.failure->failure_class, api::FailureClass::kPolicy);
  EXPECT_EQ(result.failure->reason, "PolicyBlocked");
  EXPECT_NE(result.failure->message.find("protected-paths"), std::string::npos);
  EXPECT_NE(result.failure->message.find(".github/workflows/ci.yml"), std::string::npos);
}

TEST(Judge, BlocksAProtectedPathEvenWhenARepairIsDue) {
  GateFacts facts = GoodFacts();
  facts.checks_failed = {"make test"};
  EXPECT_EQ(JudgeWith(facts, {.protected_paths = {"src/**"}}).decision, Decision::kBlocked);
}

TEST(Judge, SeesTheOldPathOfARename) {
  GateFacts facts = GoodFacts();
  facts.changes = {{.path = "free.txt", .old_path = "locked/a.txt"}};
  EXPECT_EQ(JudgeWith(facts, {.protected_paths = {"locked/"}}).decision, Decision::kBlocked);
}

TEST(Judge, BlocksWhenNothingCouldBeVerifiedUnlessAllowed) {
  GateFacts facts = GoodFacts();
  facts.checks_passed = 0;
  const GateResult result = JudgeWith(facts);
  EXPECT_EQ(result.decision, Decision::kBlocked);
  EXPECT_NE(result.failure->message.find("spec.verification.commands"), std::string::npos);
  EXPECT_EQ(JudgeWith(facts, {}, {}, {.allow_unverified = true}).decision, Decision::kApproved);
}

TEST(Judge, NeverLetsAllowUnverifiedHideAFailure) {
  GateFacts facts = GoodFacts();
  facts.checks_failed = {"pytest"};
  facts.repairs_left = 0;
  EXPECT_EQ(JudgeWith(facts, {}, {}, {.allow_unverified = true}).decision, Decision::kRejected);
}

TEST(Judge, BlocksTooManyFilesAndTooLargeDiffs) {
  GateFacts facts = GoodFacts();
  facts.changes.push_back({.path = "b"});
  EXPECT_EQ(JudgeWith(facts, {.max_changed_files = 1}).decision, Decision::kBlocked);
  EXPECT_EQ(JudgeWith(facts, {.max_diff_bytes = 99}).decision, Decision::kBlocked);
  EXPECT_EQ(JudgeWith(facts, {.max_changed_files = 2, .max_diff_bytes = 100}).decision, Decision::kApproved);
}

TEST(Judge, SendsSecretsBackThenBlocks) {
  GateFacts facts = GoodFacts();
  facts.secrets = {{"github-token", "a.py", 7}};
  EXPECT_EQ(JudgeWith(facts).decision, Decision::kRepair);
  facts.repairs_left = 0;
  const GateResult result = JudgeWith(facts);
  EXPECT_EQ(result.decision, Decision::kBlocked);
  EXPECT_EQ(RuleOf(result, "secrets").details, std::vector<std::string>{"github-token in a.py:7"});
}

TEST(Judge, BlocksLinksSubmodulesAndBinaries) {
  for (const ChangedFile& file :
       {ChangedFile{.path = "l", .symlink = true}, ChangedFile{.path = "m", .submodule = true},
        ChangedFile{.path = "b", .binary = true}}) {
    GateFacts facts = GoodFacts();
    facts.changes = {file};
    EXPECT_EQ(JudgeWith(facts).decision, Decision::kBlocked) << file.path;
  }
  GateFacts facts = GoodFacts();
  facts.changes = {{.path = "b.png", .binary = true}};
  EXPECT_EQ(JudgeWith(facts, {}, {}, {.allow_binary = true}).decision, Decision::kApproved);
}

TEST(Judge, RejectsPastTheBudgetBeforeAllElse) {
  GateFacts facts = GoodFacts();
  facts.usage = {.tokens_in = 90, .tokens_out = 20, .cost_usd = 0.5};
  facts.checks_failed = {"pytest"};
  const GateResult result = JudgeWith(facts, {}, {.max_tokens = 100});
  EXPECT_EQ(result.decision, Decision::kRejected);
  EXPECT_EQ(result.failure->failure_class, api::FailureClass::kBudget);
  EXPECT_EQ(result.failure->reason, "BudgetExhausted");
  EXPECT_EQ(JudgeWith(GoodFacts(), {}, {.max_tokens = 100}).decision, Decision::kApproved);
  EXPECT_EQ(JudgeWith(facts, {}, {.max_cost_usd = 0.4}).failure->reason, "BudgetExhausted");
}

TEST(Judge, SendsAnEmptyChangeBackThenRejectsIt) {
  GateFacts facts = GoodFacts();
  facts.changes.clear();
  EXPECT_EQ(JudgeWith(facts).decision, Decision::kRepair);
  facts.repairs_left = 0;
  EXPECT_EQ(JudgeWith(facts).failure->reason, "NothingChanged");
}

TEST(GateJson, HoldsDecisionDigestRulesAndFailure) {
  GateFacts facts = GoodFacts();
  const GateResult result = JudgeWith(facts, {.protected_paths = {"src"}});
  const json report = GateJson(facts, result);
  EXPECT_EQ(report["decision"], "blocked");
  EXPECT_EQ(report["patchDigest"], facts.patch_digest);
  EXPECT_EQ(report["rules"].size(), 8U);
  EXPECT_EQ(report["failure"]["reason"], "PolicyBlocked");
  EXPECT_EQ(report["facts"]["paths"], json({"src/a.py"}));
}

TEST(ParseGateConfig, RefusesUnknownKeys) {
  EXPECT_TRUE(ParseGateConfig(json::object()));
  const auto config = ParseGateConfig(json{{"allowUnverifed", true}});
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().message.find("allowUnverifed"), std::string::npos);
}

}  // namespace
}  // namespace ybis::runner
