#include "workflow/graph.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "workflow/loader.h"

namespace ybis::workflow {
namespace {

using nlohmann::json;

api::WorkflowSpec Native() { return BuiltInWorkflow("ybis-native").value(); }

/// The problems of a workflow given in the file form.
std::string ErrorOf(const std::string& yaml) {
  const auto result = LoadWorkflow(yaml, "w.yaml");
  return result ? "" : result.error().message;
}

TEST(BuiltInWorkflow, AllAreValid) {
  for (const std::string& name : BuiltInWorkflowNames()) {
    const auto workflow = BuiltInWorkflow(name);
    ASSERT_TRUE(workflow) << workflow.error().message;
    EXPECT_EQ(workflow->name, name);
  }
  EXPECT_EQ(BuiltInWorkflow("ybis_native")->name, "ybis-native");
}

TEST(BuiltInWorkflow, NamesThoseThereAreWhenUnknown) {
  EXPECT_EQ(BuiltInWorkflow("none").error().message,
            "workflow 'none' is neither built in (self-improve, ybis-native) nor a YbisWorkflow");
}

TEST(LoadWorkflow, NamesEveryProblemWithItsLine) {
  EXPECT_EQ(
      ErrorOf("name: w\nentry_point: a\nexit_points: [b]\nnodes:\n"
              "  - {name: a, type: passthrough, next: [x]}\n  - {name: b, type: magic}\n"),
      "w.yaml:5: nodes[0] 'a': next names 'x', which is no node; w.yaml:6: nodes[1] 'b': unknown type "
      "'magic'; known are "
      "command, executor, gate, human_approval, passthrough, planner, repair, spec_generator, verifier");
}

TEST(LoadWorkflow, RefusesUnreachableNodesDeadEndsAndLoopsWithoutACap) {
  EXPECT_EQ(ErrorOf("name: w\nentry_point: a\nexit_points: [a]\nnodes:\n  - {name: a, type: gate}\n  - "
                    "{name: b, type: gate, next: [a]}\n"),
            "w.yaml:6: nodes[1] 'b': cannot be reached from the entry point");
  EXPECT_EQ(ErrorOf("name: w\nentry_point: a\nexit_points: [a]\nnodes:\n  - {name: a, type: gate, next: "
                    "[b]}\n  - {name: b, type: gate}\n"),
            "w.yaml:6: nodes[1] 'b': no path leads from it to an exit point");
  EXPECT_NE(
      ErrorOf(
          "name: w\nentry_point: a\nexit_points: [b]\nnodes:\n  - {name: a, type: passthrough, next: [b]}\n"
          "  - {name: b, type: passthrough, next: [a]}\n")
          .find("is on a loop without a cap"),
      std::string::npos);
  EXPECT_EQ(ErrorOf("name: w\nentry_point: a\nexit_points: [b]\nnodes:\n  - {name: a, type: passthrough, "
                    "next: [b], max_visits: 3}\n"
                    "  - {name: b, type: passthrough, next: [a]}\n"),
            "");
}

TEST(LoadWorkflow, LooksAtThePathsBesideOtherProblems) {
  const std::string text = ErrorOf(
      "name: w\nentry_point: a\nexit_points: [d]\nnodes:\n"
      "  - {name: a, type: passthrough, next: [b]}\n  - {name: b, type: passthrough, next: [a]}\n"
      "  - {name: c, type: passthrough, next: [d]}\n  - {name: d, type: gate, config: {allow: 1}}\n");
  for (const char* problem :
       {"'a': no path leads from it to an exit point", "'b': is on a loop without a cap",
        "'c': cannot be reached from the entry point", "'d': config.allow: unknown"}) {
    EXPECT_NE(text.find(problem), std::string::npos) << problem << " in " << text;
  }
}

TEST(LoadWorkflow, BlamesNoNodeForAnEdgeThatLeadsNowhere) {
  EXPECT_EQ(ErrorOf("name: w\nentry_point: a\nexit_points: [c]\nnodes:\n"
                    "  - {name: a, type: passthrough, next: [x]}\n  - {name: c, type: passthrough}\n"),
            "w.yaml:5: nodes[0] 'a': next names 'x', which is no node");
  EXPECT_EQ(ErrorOf("name: w\nentry_point: x\nexit_points: [c]\nnodes:\n  - {name: c, type: gate}\n"),
            "w.yaml: entryPoint names 'x', which is no node");
  EXPECT_NE(ErrorOf("name: w\nentry_point: a\nexit_points: [x]\nnodes:\n"
                    "  - {name: a, type: passthrough, next: [b]}\n"
                    "  - {name: b, type: passthrough, next: [a, y]}\n")
                .find("'a': is on a loop without a cap"),
            std::string::npos)
      << "loops are known all the same";
  EXPECT_EQ(ErrorOf("name: w\nentry_point: a\nexit_points: [a]\nnodes:\n"
                    "  - {name: a, type: gate, next: [r]}\n  - {name: r, type: repare, next: [a]}\n")
                .find("on a loop"),
            std::string::npos)
      << "the cap may be what is misspelt";
}

TEST(LoadWorkflow, ReadsTheManifestFormToo) {
  EXPECT_EQ(
      ErrorOf(
          "apiVersion: ybis.dev/v1alpha1\nkind: YbisWorkflow\nmetadata: {name: w}\nspec:\n  entryPoint: a\n"
          "  exitPoints: [a]\n  nodes: [{name: a, type: passthrough}]\n"),
      "");
}

TEST(LoadWorkflow, NamesUnknownAndMistypedFields) {
  EXPECT_EQ(
      ErrorOf("name: w\nentry_point: a\nexit_points: [a]\nnodes:\n  - {name: a, type: gate, nxt: [b], "
              "max_visits: many}\n"),
      "w.yaml:5: nodes[0].maxVisits: must be a whole number from 0 to 100; nodes[0].nxt: unknown field");
}

TEST(Next, FollowsTheFirstEdge) {
  const NextStep step = Next(Native(), "spec", {}, json::object());
  EXPECT_EQ(step.kind, NextStep::Kind::kNode);
  EXPECT_EQ(step.node, "plan");
}

TEST(Next, GateEndsWhenApprovedAndRepairsWhenAsked) {
  EXPECT_EQ(Next(Native(), "gate", {.approved = true, .decision = "approved"}, json::object()).kind,
            NextStep::Kind::kEnd);
  EXPECT_EQ(Next(Native(), "gate", {.approved = false, .decision = "repair"}, json::object()).node, "repair");
  EXPECT_EQ(Next(Native(), "gate", {.approved = false, .decision = "blocked"}, json::object()).kind,
            NextStep::Kind::kEnd);
}

TEST(Next, ErrorGoesToTheHandlerIfListed) {
  EXPECT_EQ(Next(Native(), "plan", {.error = true}, json::object()).kind, NextStep::Kind::kUnhandledError);
  const auto workflow = LoadWorkflow(
      "name: w\nentry_point: a\nexit_points: [b, error_handler]\nnodes:\n"
      "  - {name: a, type: command, next: [b, error_handler]}\n  - {name: b, type: passthrough}\n"
      "  - {name: error_handler, type: passthrough}\n",
      "w.yaml");
  ASSERT_TRUE(workflow) << workflow.error().message;
  EXPECT_EQ(Next(*workflow, "a", {.error = true}, json::object()).node, "error_handler");
  EXPECT_EQ(Next(*workflow, "a", {}, json::object()).node, "b");
}

TEST(Next, TakesTheEdgeWhoseConditionHolds) {
  const auto workflow = LoadWorkflow(
      "name: w\nentry_point: a\nexit_points: [b, c]\nnodes:\n  - name: a\n    type: verifier\n    next:\n"
      "      - {to: c, when: {path: verify.failed, in: [1, 2]}}\n      - b\n"
      "  - {name: b, type: passthrough}\n  - {name: c, type: passthrough}\n",
      "w.yaml");
  ASSERT_TRUE(workflow) << workflow.error().message;
  EXPECT_EQ(Next(*workflow, "a", {}, json::parse(R"({"verify": {"failed": 2}})")).node, "c");
  EXPECT_EQ(Next(*workflow, "a", {}, json::parse(R"({"verify": {"failed": 0}})")).node, "b");
  EXPECT_EQ(Next(*workflow, "a", {}, json::object()).node, "b");
}

TEST(LoadWorkflow, RefusesNamesThatMeanSomethingElseInARunsState) {
  for (const char* name : {"gate", "failure", "usage", "human_approval"}) {
    const std::string text = fmt::format(
        "name: w\nentry_point: {0}\nexit_points: [{0}]\nnodes:\n  - {{name: {0}, type: command}}\n", name);
    EXPECT_NE(ErrorOf(text).find("the name is taken"), std::string::npos) << name;
  }
}

TEST(LoadWorkflow, ChecksWhatAHumanApprovalNodeIsToldToSay) {
  const std::string head = "name: w\nentry_point: ask\nexit_points: [ask]\nnodes:\n  - {name: ask, type: ";
  EXPECT_EQ(ErrorOf(head + "human_approval, config: {message: Look at the plan.}}\n"), "");
  EXPECT_EQ(ErrorOf(head + "human_approval, config: {mesage: x}}\n"),
            "w.yaml:5: nodes[0] 'ask': config.mesage: unknown; a human_approval node takes message");
  EXPECT_EQ(ErrorOf(head + "human_approval, config: {message: [x]}}\n"),
            "w.yaml:5: nodes[0] 'ask': config.message: must be a text of at most 1024 bytes");
}

TEST(LoadWorkflow, KnowsTheSettingsOfEveryNodeType) {
  const std::string head = "name: w\nentry_point: a\nexit_points: [a]\nnodes:\n  - {name: a, type: ";
  EXPECT_EQ(ErrorOf(head + "verifier, config: {requirePass: true}}\n"), "");
  EXPECT_EQ(ErrorOf(head + "verifier, config: {require_pass: true}}\n"),
            "w.yaml:5: nodes[0] 'a': config.require_pass: unknown; a verifier node takes requirePass");
  EXPECT_EQ(ErrorOf(head + "planner, config: {depth: 3}}\n"),
            "w.yaml:5: nodes[0] 'a': config.depth: unknown; a planner node takes no config");
  EXPECT_EQ(ErrorOf(head + "command, config: {argv: [\"true\"], timeout: 3}}\n"),
            "w.yaml:5: nodes[0] 'a': config.timeout: unknown; a command node takes argv, timeoutSeconds");
}

TEST(RepairNodeFor, IsTheNearestAheadElseThatOfAGateBefore) {
  const auto native = Native();
  EXPECT_EQ(RepairNodeFor(native, "gate")->name, "repair");
  const auto workflow = LoadWorkflow(
      "name: w\nentry_point: plan\nexit_points: [ask]\nnodes:\n  - {name: plan, type: planner, next: "
      "[gate]}\n"
      "  - {name: gate, type: gate, next: [mend, ask]}\n  - {name: mend, type: repair, next: [gate]}\n"
      "  - {name: ask, type: human_approval}\n",
      "w.yaml");
  ASSERT_TRUE(workflow) << workflow.error().message;
  EXPECT_EQ(RepairNodeFor(*workflow, "ask")->name, "mend");
  const auto without = LoadWorkflow(
      "name: w\nentry_point: a\nexit_points: [b]\nnodes:\n  - {name: a, type: gate, next: [b]}\n"
      "  - {name: b, type: human_approval}\n",
      "w.yaml");
  ASSERT_TRUE(without) << without.error().message;
  EXPECT_EQ(RepairNodeFor(*without, "a"), nullptr);
  EXPECT_EQ(RepairNodeFor(*without, "b"), nullptr);
}

TEST(VisitCap, RepairIsCappedByTheTask) {
  const auto workflow = Native();
  EXPECT_EQ(VisitCap(workflow, *FindNode(workflow, "repair"), 2), 2);
  EXPECT_EQ(VisitCap(workflow, *FindNode(workflow, "spec"), 2), 1);
  EXPECT_EQ(VisitCap(workflow, *FindNode(workflow, "verify"), 2), 100);
}

}  // namespace
}  // namespace ybis::workflow
