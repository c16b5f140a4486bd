// The task reconciler over an API server and a record in memory.
#include "operator/task/reconciler.h"

#include <gtest/gtest.h>

#include "tests/kube/fake_api.h"
#include "tests/operator/world.h"

namespace ybis::op {
namespace {

using namespace testing;
using control::RunState;
using nlohmann::json;

const kube::Key kTask{"team", "fix"};
const kube::Key kJob{"team", std::string("ybis-") + kRun};
constexpr std::chrono::seconds kOver{0};

class TaskReconcilerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    api_.fail = [this](std::string_view verb, const kube::Resource& resource, const kube::Key&) -> Status {
      if (verb != "get" && verb != "list") ++writes_[std::string(verb) + " " + std::string(resource.plural)];
      if (verb == "create" && create_error_) return Fail(*create_error_);
      return {};
    };
    Apply(TaskObject());
  }
  void Apply(json object) {
    Watch();
    object["metadata"]["uid"] = kUid;
    auto stored = api_.Create(kube::kTasks, object, {});
    if (!stored) {
      object["status"] = api_.Peek(kube::kTasks, kube::KeyOf(object)).value("status", json());
      object["metadata"].erase("resourceVersion");
      stored = api_.Replace(kube::kTasks, object, {});
    } else {  // the fake gives a UID of its own
      (*stored)["metadata"]["uid"] = kUid;
      stored = api_.Replace(kube::kTasks, *stored, {});
    }
    Watch();
    writes_.clear();
  }
  /// What the watches bring: the caches become what the API server holds.
  void Watch() {
    tasks_.ReplaceAll(List(kube::kTasks));
    jobs_.ReplaceAll(List(kube::kJobs));
    pods_.ReplaceAll(List(kube::kPods));
    workflows_.ReplaceAll(List(kube::kWorkflows));
  }
  std::vector<kube::Object> List(const kube::Resource& resource) {
    return api_.List(resource, "", {}, {})->items;
  }
  ReconcileResult Reconcile() {
    const auto result = reconciler_.Reconcile(kTask, {});
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    return result.value_or(ReconcileResult{});
  }
  std::string Phase() { return api_.Peek(kube::kTasks, kTask)["status"].value("phase", ""); }
  std::string ReasonOf(const char* type) {
    const json task = api_.Peek(kube::kTasks, kTask);
    for (const json& condition : task["status"]["conditions"]) {
      if (condition["type"] == type) return condition["reason"];
    }
    return "";
  }

  FakeClock clock_{kNow};
  kube::FakeApi api_;
  kube::Cache tasks_{clock_}, workflows_{clock_}, jobs_{clock_}, pods_{clock_};
  FakeRecords records_;
  FakeEvents events_;
  control::Metrics metrics_;
  std::map<std::string, int> writes_;
  std::optional<Error> create_error_;
  TaskObserver observer_{{tasks_, workflows_, jobs_, pods_}, records_, records_, api_, clock_,
                         [] { return std::string("CA"); }};
  Actor actor_{{api_, tasks_, jobs_, records_, records_, events_, metrics_}};
  TaskReconciler reconciler_{observer_, actor_, SomeSettings(), clock_};
};

TEST_F(TaskReconcilerTest, TakesATaskFromApplyToAJobInOneGo) {
  Reconcile();
  EXPECT_EQ(records_.submits, 1);
  EXPECT_EQ(kube::ControllerUid(api_.Peek(kube::kJobs, kJob)), kUid);
  EXPECT_EQ(Phase(), "Running");
  ASSERT_EQ(events_.entries.size(), 1u);
  EXPECT_EQ(records_.journal, std::vector<std::string>{"JOB_CREATED"});
}

TEST_F(TaskReconcilerTest, CountsHowRunsEnded) {
  using std::chrono::seconds;
  const Plan plan{.actions = {CountOutcome{std::nullopt, seconds(90)},
                              CountOutcome{api::FailureClass::kVerify, seconds(10)}}};
  ASSERT_TRUE(actor_.Act(Snapshot{}, plan, {}));
  const std::string text = metrics_.Serialize();
  for (const char* line :
       {"ybis_tasks_completed_total 1\n", "ybis_tasks_failed_total{class=\"Verify\"} 1\n",
        "ybis_tasks_failed_total{class=\"Infra\"} 0\n", "ybis_workflow_duration_seconds_count 2\n",
        "ybis_workflow_duration_seconds_sum 100\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST_F(TaskReconcilerTest, MakesThreeWritesAndTwoEventsARunAndNoneAfterwards) {
  Reconcile();
  Watch();
  Reconcile();
  records_.Find(kRun)->state = RunState::kRunning;
  records_.Find(kRun)->attempt = 1;
  Reconcile();
  records_.Find(kRun)->state = RunState::kCompleted;
  records_.Find(kRun)->finished = kNow;
  Reconcile();
  Watch();
  Reconcile();
  Reconcile();
  EXPECT_EQ(writes_, (std::map<std::string, int>{{"create jobs", 1}, {"patch ybistasks", 2}}));
  EXPECT_EQ(events_.entries.size(), 2u);
  EXPECT_EQ(Phase(), "Completed");
}

TEST_F(TaskReconcilerTest, MakesFourWritesMoreForAWaitThatIsApproved) {
  Reconcile();
  Watch();
  control::RunRecord& run = *records_.Find(kRun);
  run.attempt = 1;
  run.state = RunState::kBlocked;
  run.failure = api::Failure{api::FailureClass::kPolicy, "ProtectedPath", "changes ci.yml"};
  records_.waits[kRun] = SomeWait();
  writes_.clear();
  Reconcile();
  Watch();
  EXPECT_EQ(Phase(), "Blocked");
  EXPECT_EQ(api_.Peek(kube::kJobs, kJob)["spec"]["suspend"], true);
  EXPECT_EQ(api_.Peek(kube::kTasks, kTask)["status"]["approval"]["subjectDigest"], "sha256:5ub");
  run.state = RunState::kQueued;
  run.failure.reset();
  records_.waits.clear();
  Reconcile();
  Watch();
  EXPECT_EQ(Phase(), "Running");
  EXPECT_EQ(records_.admissions, 1);
  EXPECT_EQ(api_.Peek(kube::kJobs, kJob)["spec"]["suspend"], false);
  EXPECT_FALSE(api_.Peek(kube::kTasks, kTask)["status"].contains("approval"));
  run.state = RunState::kRunning;
  run.attempt = 2;
  Reconcile();
  EXPECT_EQ(writes_, (std::map<std::string, int>{{"patch jobs", 2}, {"patch ybistasks", 2}}));
}

TEST_F(TaskReconcilerTest, LooksAgainWhenARunIsDecidedWhileItLooks) {
  Reconcile();
  Watch();
  records_.Find(kRun)->state = RunState::kBlocked;
  records_.before_wait = [&] { records_.Find(kRun)->state = RunState::kRunning; };
  Reconcile();
  EXPECT_EQ(Phase(), "Running");
  EXPECT_FALSE(api_.Peek(kube::kTasks, kTask)["status"].contains("approval"));
}

TEST_F(TaskReconcilerTest, ShowsABlockedRunOfARecordFromBeforeThereWereWaits) {
  Reconcile();
  Watch();
  records_.Find(kRun)->state = RunState::kBlocked;
  Reconcile();
  EXPECT_EQ(Phase(), "Blocked");
  EXPECT_FALSE(api_.Peek(kube::kTasks, kTask)["status"].contains("approval"));
}

TEST_F(TaskReconcilerTest, ActsOnNothingBeforeTheWatchBroughtItsOwnWrites) {
  Reconcile();
  const auto before = writes_;
  const auto result = Reconcile();  // the caches know neither of the Job nor of the status
  EXPECT_EQ(writes_, before);
  EXPECT_TRUE(result.requeue_after);
}

TEST_F(TaskReconcilerTest, StartsNothingWhenTheSameManifestIsAppliedAgain) {
  Reconcile();
  Watch();
  Apply(TaskObject());
  Reconcile();
  EXPECT_TRUE(writes_.empty());
  EXPECT_EQ(records_.submits, 1);
}

TEST_F(TaskReconcilerTest, AdoptsTheJobThatItMadeBeforeItDied) {
  Reconcile();
  // A new process: the Job is there, its cache has not seen it.
  jobs_.ReplaceAll({});
  kube::Cache fresh_jobs{clock_};
  TaskObserver observer{{tasks_, workflows_, fresh_jobs, pods_}, records_, records_, api_, clock_,
                        [] { return std::string("CA"); }};
  Actor actor{{api_, tasks_, fresh_jobs, records_, records_, events_, metrics_}};
  TaskReconciler reborn{observer, actor, SomeSettings(), clock_};
  tasks_.ReplaceAll(List(kube::kTasks));
  EXPECT_TRUE(reborn.Reconcile(kTask, {}));
  EXPECT_EQ(api_.All(kube::kJobs).size(), 1u);
  EXPECT_EQ(records_.submits, 1);
}

TEST_F(TaskReconcilerTest, LeavesAJobOfThatNameAloneThatIsSomebodyElses) {
  json other = JobObject();
  other["metadata"]["ownerReferences"][0]["uid"] = "other";
  ASSERT_TRUE(api_.Create(kube::kJobs, other, {}));
  const auto result = reconciler_.Reconcile(kTask, {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kExists);
  EXPECT_EQ(kube::ControllerUid(api_.Peek(kube::kJobs, kJob)), "other");
}

TEST_F(TaskReconcilerTest, ShowsThatTheQueueIsFull) {
  records_.has_room = false;
  Reconcile();
  EXPECT_EQ(Phase(), "Queued");
  EXPECT_TRUE(api_.All(kube::kJobs).empty());
  records_.Find(kRun)->state = RunState::kDispatched;
  Watch();
  Reconcile();
  EXPECT_EQ(Phase(), "Running");
}

TEST_F(TaskReconcilerTest, FailsATaskWhoseJobIsInvalid) {
  create_error_ = Error{ErrorCode::kInvalid, "spec.template.spec.tolerations[0]: bad"};
  Reconcile();
  EXPECT_EQ(Phase(), "Failed");
  EXPECT_EQ(ReasonOf("Succeeded"), "JobInvalid");
}

TEST_F(TaskReconcilerTest, WaitsForAQuotaAndGoesOnOnceThereIsRoom) {
  create_error_ = Error{ErrorCode::kDenied, "exceeded quota"};
  EXPECT_TRUE(Reconcile().requeue_after);
  EXPECT_EQ(ReasonOf("Succeeded"), "JobForbidden");
  EXPECT_EQ(Phase(), "Queued") << "it holds no place while others could have it";
  EXPECT_EQ(events_.entries.size(), 1u);
  records_.Find(kRun)->hold->left = kOver;
  Watch();
  EXPECT_TRUE(Reconcile().requeue_after) << "it is refused again";
  EXPECT_EQ(events_.entries.size(), 1u) << "and told once";
  create_error_.reset();
  records_.Find(kRun)->hold->left = kOver;
  Watch();
  Reconcile();
  EXPECT_EQ(ReasonOf("Succeeded"), "Running");
}

TEST_F(TaskReconcilerTest, WritesNothingWhileARefusedRunWaitsForRoomToTryAgain) {
  create_error_ = Error{ErrorCode::kDenied, "exceeded quota"};
  Reconcile();
  Watch();
  writes_.clear();
  records_.Find(kRun)->hold->left = kOver;
  records_.has_room = false;
  Reconcile();
  Reconcile();
  EXPECT_FALSE(records_.Find(kRun)->hold) << "it is in the queue";
  EXPECT_TRUE(writes_.empty()) << "what is shown is still so";
  records_.has_room = true;
  ASSERT_TRUE(records_.Admit());
  Reconcile();
  EXPECT_TRUE(records_.Find(kRun)->hold);
  EXPECT_EQ(writes_, (std::map<std::string, int>{{"create jobs", 1}}));
  EXPECT_EQ(ReasonOf("Succeeded"), "JobForbidden");
  EXPECT_EQ(events_.entries.size(), 1u) << "told once";
}

TEST_F(TaskReconcilerTest, AsksAQuotaOnceInOneLookHoweverShortTheWait) {
  records_.holds_end_at_once = true;
  create_error_ = Error{ErrorCode::kDenied, "exceeded quota"};
  EXPECT_TRUE(Reconcile().requeue_after);
  EXPECT_EQ(writes_["create jobs"], 1);
  EXPECT_EQ(records_.Find(kRun)->state, RunState::kQueued);
  EXPECT_EQ(ReasonOf("Succeeded"), "JobForbidden");
  Watch();
  EXPECT_TRUE(Reconcile().requeue_after) << "released, refused and held again";
  EXPECT_EQ(writes_["create jobs"], 2);
}

TEST_F(TaskReconcilerTest, KeepsARunThatIsHeldForARefusedEditUntilTheEditIsMended) {
  records_.has_room = false;
  Reconcile();
  Apply(TaskObject({{"repository", {{"credentialsSecretRef", {{"name", "git-login"}}}}}}));
  records_.Find(kRun)->generation = 2;
  Reconcile();
  EXPECT_EQ(ReasonOf("Accepted"), "SecretNotFound");
  ASSERT_TRUE(records_.Find(kRun)->hold);
  records_.has_room = true;
  Apply(TaskObject(
      {{"repository", {{"credentialsSecretRef", {{"name", "git-login"}}}}}, {"rerun", {{"token", "2"}}}}));
  Reconcile();
  EXPECT_TRUE(records_.Find(kRun)->hold) << "a token mends nothing";
  ASSERT_TRUE(
      api_.Create(kube::kSecrets, {{"metadata", {{"name", "git-login"}, {"namespace", "team"}}}}, {}));
  Watch();
  Reconcile();
  EXPECT_EQ(Phase(), "Running");
}

TEST_F(TaskReconcilerTest, GivesTheTurnOfASuspendedRunToOthersAndStartsItOnceItIsLetGo) {
  records_.has_room = false;
  Reconcile();
  Apply(TaskObject({{"suspend", true}}));
  Reconcile();
  ASSERT_TRUE(records_.Find(kRun)->hold);
  EXPECT_EQ(ReasonOf("Succeeded"), "Suspended");
  records_.has_room = true;
  ASSERT_TRUE(records_.Admit());
  Watch();
  Reconcile();
  EXPECT_TRUE(api_.All(kube::kJobs).empty());
  Apply(TaskObject());
  Reconcile();
  EXPECT_FALSE(records_.Find(kRun)->hold);
  EXPECT_EQ(Phase(), "Running");
}

TEST_F(TaskReconcilerTest, NamesAMissingSecretAndStartsOnceItIsThere) {
  Apply(TaskObject({{"repository", {{"credentialsSecretRef", {{"name", "git-login"}}}}}}));
  EXPECT_TRUE(Reconcile().requeue_after);
  EXPECT_EQ(ReasonOf("Accepted"), "SecretNotFound");
  ASSERT_TRUE(
      api_.Create(kube::kSecrets, {{"metadata", {{"name", "git-login"}, {"namespace", "team"}}}}, {}));
  Watch();
  Reconcile();
  EXPECT_EQ(Phase(), "Running");
}

TEST_F(TaskReconcilerTest, StartsWithoutALookAtSecretsWhereItMayNotSeeThem) {
  Apply(TaskObject({{"repository", {{"credentialsSecretRef", {{"name", "git-login"}}}}}}));
  api_.fail = [](std::string_view verb, const kube::Resource& resource, const kube::Key&) -> Status {
    if (verb == "get" && resource.plural == "secrets") return Fail(ErrorCode::kDenied, "forbidden");
    return {};
  };
  Reconcile();
  EXPECT_EQ(Phase(), "Running");
}

TEST_F(TaskReconcilerTest, UsesTheNamespacesWorkflowBeforeTheBuiltInOne) {
  const json workflow = {{"apiVersion", "ybis.dev/v1alpha1"},
                         {"kind", "YbisWorkflow"},
                         {"metadata", {{"name", "ybis-native"}, {"namespace", "team"}}},
                         {"spec",
                          {{"entryPoint", "a"},
                           {"exitPoints", {"a"}},
                           {"nodes", json::array({{{"name", "a"}, {"type", "no-such"}}})}}}};
  ASSERT_TRUE(api_.Create(kube::kWorkflows, workflow, {}));
  Watch();
  Reconcile();
  EXPECT_EQ(ReasonOf("Accepted"), "WorkflowInvalid");
  EXPECT_TRUE(api_.All(kube::kJobs).empty());
}

TEST_F(TaskReconcilerTest, SaysWhatIsWrongWithASpecThatTheSchemaLetThrough) {
  Apply(TaskObject({{"limits", {{"maxRepairs", 99}}}}));
  Reconcile();
  EXPECT_EQ(ReasonOf("Accepted"), "InvalidSpec");
  EXPECT_TRUE(events_.entries.at(0).note.find("spec.limits.maxRepairs") != std::string::npos)
      << events_.entries.at(0).note;
}

TEST_F(TaskReconcilerTest, WritesABrokenStatusAnew) {
  json object = *tasks_.Get(kTask);
  object["status"] = {{"conditions", "nonsense"}};
  ASSERT_TRUE(api_.Replace(kube::kTasks, object, {}));
  Watch();
  Reconcile();
  EXPECT_EQ(ReasonOf("Accepted"), "Accepted");
}

TEST_F(TaskReconcilerTest, CancelsARunningTaskAndItsPods) {
  Reconcile();
  records_.Find(kRun)->state = RunState::kRunning;
  json pod = PodObject({{"phase", "Running"}});
  pod["metadata"]["ownerReferences"][0]["uid"] = kube::MetaString(api_.Peek(kube::kJobs, kJob), "uid");
  ASSERT_TRUE(api_.Create(kube::kPods, pod, {}));
  Apply(TaskObject({{"cancel", true}}));
  Reconcile();
  EXPECT_TRUE(api_.All(kube::kJobs).empty());
  EXPECT_TRUE(api_.All(kube::kPods).empty());
  Watch();
  Reconcile();
  EXPECT_EQ(records_.Find(kRun)->state, RunState::kCancelled);
  EXPECT_EQ(Phase(), "Cancelled");
}

TEST_F(TaskReconcilerTest, FailsWithoutAnyWriteWhileTheDatabaseIsAway) {
  records_.broken = Error{ErrorCode::kUnavailable, "database: cannot connect", true};
  EXPECT_FALSE(reconciler_.Reconcile(kTask, {}));
  EXPECT_TRUE(writes_.empty());
}

TEST_F(TaskReconcilerTest, RunsAgainForANewToken) {
  Reconcile();
  records_.Find(kRun)->state = RunState::kCompleted;
  records_.Find(kRun)->finished = kNow;
  Apply(TaskObject({{"rerun", {{"token", "again"}}}}));
  Reconcile();
  EXPECT_EQ(records_.runs[kUid].size(), 2u);
  EXPECT_FALSE(api_.Peek(kube::kJobs, {"team", "ybis-aaaa1111-2"}).is_null());
}

TEST_F(TaskReconcilerTest, BeginsARunAtTheNodeThatIsAskedForOrSaysWhyNot) {
  Reconcile();
  records_.Find(kRun)->state = RunState::kCompleted;
  records_.Find(kRun)->finished = kNow;
  records_.no_rerun = Error{ErrorCode::kInvalid, "a new run cannot begin at node 'gate': never came to it"};
  Apply(TaskObject({{"rerun", {{"token", "again"}, {"fromNode", "gate"}}}}));
  Reconcile();
  EXPECT_EQ(records_.runs[kUid].size(), 1u);
  const json status = api_.Peek(kube::kTasks, kTask)["status"];
  const auto& conditions = status["conditions"];
  const auto accepted = std::find_if(conditions.begin(), conditions.end(),
                                     [](const json& one) { return one["type"] == "Accepted"; });
  EXPECT_EQ((*accepted)["reason"], "RerunRefused") << status.dump(2);
  EXPECT_EQ((*accepted)["message"],
            "spec.rerun.fromNode: a new run cannot begin at node 'gate': never came to it");
  records_.no_rerun.reset();
  Watch();
  Reconcile();
  EXPECT_EQ(records_.runs[kUid].size(), 2u);
  EXPECT_EQ(records_.begun_at, "gate");
}

TEST_F(TaskReconcilerTest, EndsInOneLookWhenATokenComesBackThatWasUsedBefore) {
  Reconcile();
  records_.Find(kRun)->state = RunState::kCompleted;
  records_.Find(kRun)->rerun_token = "one";
  auto second = *records_.Find(kRun);
  second.run_id = "aaaa1111-2";
  second.number = 2;
  second.rerun_token = "two";
  second.finished = kNow;
  records_.runs[kUid].push_back(second);
  Apply(TaskObject({{"rerun", {{"token", "one"}}}}));
  Reconcile();
  EXPECT_EQ(records_.runs[kUid].size(), 2u);
}

}  // namespace
}  // namespace ybis::op
