// Runs that begin in the middle: what they take over, and when that is refused.
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "control/journal.h"
#include "tests/integration/store/fixture.h"
#include "workflow/loader.h"

namespace ybis::testing {
namespace {

using nlohmann::json;

class Rerun : public ::testing::Test {
 protected:
  Rerun() { submission_.workflow = workflow::BuiltInWorkflow("ybis-native").value(); }

  api::NodeReport Report(int64_t seq, const std::string& node, const std::string& type,
                         const std::string& next) {
    api::NodeReport report = NodeReportOf(epoch_, seq, node);
    report.type = type;
    report.checkpoint.next_node = next;
    report.checkpoint.visits = {{node, 1}};
    report.checkpoint.state = std::make_shared<const json>(json{{"at", seq}});
    report.checkpoint.base_commit = std::string(40, 'b');
    report.checkpoint.patch = fmt::format("patch {}", seq);
    return report;
  }
  void Put(const std::string& name, const std::string& bytes) {
    YBIS_ASSERT_OK(world_.ledger.PutArtifact(run_, epoch_, name, bytes, {}));
  }

  /// spec → plan → execute → verify, then the run fails.
  void WalkFour() {
    const auto run = world_.queue.Submit(submission_);
    YBIS_ASSERT_OK(run);
    run_ = run->run_id;
    epoch_ = Claimed(world_, run_);
    const auto& nodes = submission_.workflow.nodes;
    for (size_t i = 0; i < 4; ++i) {
      const int64_t seq = static_cast<int64_t>(i) + 1;
      Put(fmt::format("{:04}-{}/output.json", seq, nodes[i].name), "{}");
      YBIS_ASSERT_OK(world_.ledger.ReportNode(
          run_, Report(seq, nodes[i].name, nodes[i].type, nodes[i].next.front().to), {}));
    }
    for (const char* name : {"base.json", "sync.pack", "plan.json", "verifier.json", "logs.jsonl"})
      Put(name, name);
    api::FinishReport finish = FinishOf(epoch_, "Failed");
    YBIS_ASSERT_OK(world_.ledger.Finish(run_, finish, {}));
  }
  std::string Node(size_t at) const { return submission_.workflow.nodes[at].name; }
  Result<control::RunRecord> From(const std::string& node, const std::string& token = "t") {
    submission_.spec.rerun_token = token;
    submission_.spec.rerun_from = node;
    return world_.queue.Submit(submission_);
  }

  World world_{Server().NewDatabase()};
  control::TaskSubmission submission_ = Submission("again");
  std::string run_;
  int64_t epoch_ = 0;
};

TEST_F(Rerun, TakesOverTheCheckpointBeforeTheNode) {
  WalkFour();
  const auto second = From(Node(2));
  YBIS_ASSERT_OK(second);
  EXPECT_EQ(second->number, 2);
  const auto claim = world_.ledger.Claim(second->run_id, "pod-2", {}, {});
  YBIS_ASSERT_OK(claim);
  EXPECT_EQ(claim->attempt, 1);
  ASSERT_TRUE(claim->checkpoint);
  EXPECT_EQ(claim->checkpoint->seq, 2);
  EXPECT_EQ(claim->checkpoint->next_node, Node(2));
  EXPECT_EQ(claim->checkpoint->patch, "patch 2");
  EXPECT_EQ((*claim->checkpoint->state)["at"], 2);
  EXPECT_EQ(claim->checkpoint->base_commit, std::string(40, 'b'));
  std::vector<std::string> names;
  const auto artifacts = world_.ledger.ListArtifacts(second->run_id, {});
  YBIS_ASSERT_OK(artifacts);
  for (const auto& one : *artifacts) names.push_back(one.name);
  for (const char* name : {"base.json", "sync.pack", "plan.json"})
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
  for (const char* name : {"verifier.json", "logs.jsonl"})
    EXPECT_EQ(std::find(names.begin(), names.end(), name), names.end()) << name;
  EXPECT_EQ(Count(world_.pool, "SELECT count(*) FROM artifacts WHERE run_id = $1 AND name ~ '^0'",
                  {second->run_id}),
            2);
  run_ = second->run_id;
  epoch_ = claim->epoch;
  YBIS_EXPECT_OK(world_.ledger.ReportNode(run_, Report(3, Node(2), "executor", Node(3)), {}));
}

TEST_F(Rerun, OfARerunGoesOnFromThatOne) {
  WalkFour();
  const auto second = From(Node(3));
  YBIS_ASSERT_OK(second);
  YBIS_ASSERT_OK(world_.queue.Fail(second->run_id, {api::FailureClass::kInfra, "Test", "over"}));
  const auto third = From(Node(1), "u");
  YBIS_ASSERT_OK(third);
  const auto claim = world_.ledger.Claim(third->run_id, "pod-3", {}, {});
  YBIS_ASSERT_OK(claim);
  EXPECT_EQ(claim->checkpoint->seq, 1);
}

TEST_F(Rerun, FromTheEntryPointKeepsTheBase) {
  WalkFour();
  const auto second = From(submission_.workflow.entry_point);
  YBIS_ASSERT_OK(second);
  const auto claim = world_.ledger.Claim(second->run_id, "pod-2", {}, {});
  YBIS_ASSERT_OK(claim);
  EXPECT_FALSE(claim->checkpoint);
  EXPECT_EQ(world_.ledger.GetArtifact(second->run_id, "base.json", {}).value_or(""), "base.json");
}

TEST_F(Rerun, IsOneRunHoweverOftenItIsSubmitted) {
  WalkFour();
  YBIS_ASSERT_OK(From(Node(2)));
  YBIS_ASSERT_OK(From(Node(2)));
  EXPECT_EQ(Count(world_.pool, "SELECT count(*) FROM runs"), 2);
}

TEST_F(Rerun, RefusesWhatCannotBeGoneOnFromAndChangesNothing) {
  YBIS_EXPECT_CODE(From(Node(1)), kInvalid);  // no run yet
  submission_.spec.rerun_token.clear();
  submission_.spec.rerun_from.clear();
  WalkFour();
  const auto unknown = From("nowhere");
  YBIS_EXPECT_CODE(unknown, kNotFound);
  EXPECT_NE(unknown.error().message.find("workflow ybis-native has " + Node(0)), std::string::npos)
      << unknown.error().message;
  const auto never = From("repair");
  YBIS_EXPECT_CODE(never, kInvalid);
  EXPECT_NE(never.error().message.find("never came to it; it came to " + Node(0)), std::string::npos)
      << never.error().message;
  auto changed = submission_;
  submission_.workflow.description += "!";
  YBIS_EXPECT_CODE(From(Node(1)), kInvalid);
  submission_ = changed;
  submission_.spec.repository.ref = "other";
  YBIS_EXPECT_CODE(From(Node(1)), kInvalid);
  YBIS_EXPECT_CODE(world_.queue.CheckRerun(submission_), kInvalid);
  EXPECT_EQ(Count(world_.pool, "SELECT count(*) FROM runs"), 1);
}

}  // namespace
}  // namespace ybis::testing
