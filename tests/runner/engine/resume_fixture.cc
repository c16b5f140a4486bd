#include "tests/runner/engine/resume_fixture.h"

namespace ybis::runner {
namespace {

class Reference final : public ResumeTest {
 public:
  void TestBody() override {}
  Expected Take() {
    EXPECT_EQ(RunOnce(), ExitCode::kDone);
    return {server_.Git("rev-parse ybis/greet-0123abcd-1^{tree}"), core_.checkpoint->patch, core_.paid_calls,
            core_.call_names};
  }
};

}  // namespace

const ResumeTest::Expected& ResumeTest::Undisturbed() {
  static const Expected kExpected = [] {
    Reference reference;
    return reference.Take();
  }();
  return kExpected;
}

void ResumeTest::KillAndResume(int call, bool after, bool fresh_volume) {
  const Expected& expected = Undisturbed();
  ExitCode code = ExitCode::kInfrastructure;
  core_.KillAt(call, after);
  ASSERT_FALSE(RunUntilKilled(false, code));
  const std::string pushed_before = server_.Branch("ybis/greet-0123abcd-1");
  core_.KillAt(-1, false);
  ASSERT_TRUE(RunUntilKilled(fresh_volume, code));
  EXPECT_EQ(code, ExitCode::kDone);
  ASSERT_TRUE(core_.finish);
  EXPECT_EQ(core_.finish->outcome, "Completed")
      << (core_.finish->failure ? core_.finish->failure->message : "");
  EXPECT_EQ(core_.paid_calls, expected.paid_calls) << "a model call was paid twice";
  EXPECT_EQ(core_.checkpoint->patch, expected.patch);
  EXPECT_EQ(server_.Git("rev-parse ybis/greet-0123abcd-1^{tree}"), expected.tree);
  EXPECT_EQ(server_.Branch("ybis/greet-0123abcd-1"), core_.finish->result->commit);
  EXPECT_EQ(server_.Branches().size(), 2U);
  EXPECT_EQ(server_.Git("rev-list --count main..ybis/greet-0123abcd-1"), "1");
  if (!pushed_before.empty()) {
    EXPECT_EQ(server_.Branch("ybis/greet-0123abcd-1"), pushed_before) << "pushed twice";
  }
  std::set<int64_t> seqs;
  for (const api::NodeReport& node : core_.nodes) EXPECT_TRUE(seqs.insert(node.seq).second) << node.seq;
}

}  // namespace ybis::runner
