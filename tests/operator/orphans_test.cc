#include "operator/task/orphans.h"

#include <gtest/gtest.h>

#include "operator/task/owner_index.h"
#include "operator/task/pod_ownership.h"
#include "tests/kube/fake_api.h"
#include "tests/operator/world.h"

namespace ybis::op {
namespace {

using namespace testing;
using control::RunState;
using nlohmann::json;

class OrphansTest : public ::testing::Test {
 protected:
  void Put(kube::Cache& cache, const kube::Resource& resource, const json& object) {
    cache.Put(std::make_shared<const json>(object));
    (void)api_.Create(resource, object, {});
  }
  /// Deletions reach the caches only now.
  void Watch() {
    jobs_.ReplaceAll(api_.List(kube::kJobs, "", {}, {})->items);
    pods_.ReplaceAll(api_.List(kube::kPods, "", {}, {})->items);
  }

  FakeClock clock_{kNow};
  kube::FakeApi api_;
  kube::Cache tasks_{clock_}, workflows_{clock_}, jobs_{clock_}, pods_{clock_};
  FakeRecords records_;
  OrphanSweeper sweeper_{records_, records_, {tasks_, workflows_, jobs_, pods_}, api_, clock_, ""};
};

TEST_F(OrphansTest, LeavesRunsOfLivingTasksAlone) {
  records_.runs[kUid] = {RunIn(RunState::kRunning)};
  tasks_.Put(std::make_shared<const json>(TaskObject()));
  EXPECT_TRUE(sweeper_.Sweep({}));
  EXPECT_FALSE(records_.Find(kRun)->cancel_requested);
}

TEST_F(OrphansTest, EndsTheRunOfADeletedTaskAndKillsItsPods) {
  records_.runs[kUid] = {RunIn(RunState::kDispatched)};
  pods_.Put(std::make_shared<const json>(PodObject({{"phase", "Running"}})));
  jobs_.Put(std::make_shared<const json>(JobObject()));
  std::vector<std::string> deleted;
  api_.fail = [&](std::string_view verb, const kube::Resource& resource, const kube::Key&) -> Status {
    if (verb == "delete") deleted.push_back(std::string(resource.plural));
    return {};
  };
  EXPECT_TRUE(sweeper_.Sweep({}));
  EXPECT_EQ(records_.Find(kRun)->state, RunState::kCancelled);
  EXPECT_EQ(deleted, (std::vector<std::string>{"jobs", "pods"}));
}

TEST_F(OrphansTest, EndsARunningRunOnceNothingOfItIsLeft) {
  records_.runs[kUid] = {RunIn(RunState::kRunning)};
  EXPECT_TRUE(sweeper_.Sweep({}));
  EXPECT_EQ(records_.Find(kRun)->state, RunState::kCancelled);
}

TEST_F(OrphansTest, TellsATaskThatWasMadeAnewUnderItsNameFromTheOldOne) {
  records_.runs["old-uid"] = {RunIn(RunState::kQueued)};
  records_.runs["old-uid"][0].task_uid = "old-uid";
  tasks_.Put(std::make_shared<const json>(TaskObject()));
  (void)api_.Create(kube::kTasks, TaskObject(), {});
  EXPECT_TRUE(sweeper_.Sweep({}));
  EXPECT_EQ(records_.Find(kRun)->state, RunState::kCancelled);
}

TEST_F(OrphansTest, KillsNothingOnTheWordOfACacheAlone) {
  records_.runs[kUid] = {RunIn(RunState::kRunning)};
  api_.fail = [](std::string_view, const kube::Resource&, const kube::Key&) -> Status {
    return Fail(ErrorCode::kUnavailable, "API server away");
  };
  EXPECT_FALSE(sweeper_.Sweep({}));
  EXPECT_FALSE(records_.Find(kRun)->cancel_requested);
}

TEST_F(OrphansTest, KeepsToItsNamespace) {
  OrphanSweeper scoped{records_, records_, {tasks_, workflows_, jobs_, pods_}, api_, clock_, "elsewhere"};
  records_.runs[kUid] = {RunIn(RunState::kQueued)};
  EXPECT_TRUE(scoped.Sweep({}));
  EXPECT_EQ(records_.Find(kRun)->state, RunState::kQueued);
}

TEST(OwnerIndex, FindsTheTaskOfAPodAndOfWhatIsGone) {
  OwnerIndex index;
  const auto job = std::make_shared<const json>(JobObject());
  const auto pod = std::make_shared<const json>(PodObject(json::object()));
  const kube::Key task{"team", "fix"};
  EXPECT_FALSE(index.OnPod(kube::KeyOf(*pod), pod)) << "its Job has not been seen";
  EXPECT_EQ(index.OnJob(kube::KeyOf(*job), job), task);
  EXPECT_EQ(index.OnPod(kube::KeyOf(*pod), pod), task);
  EXPECT_EQ(index.OnPod(kube::KeyOf(*pod), nullptr), task);
  EXPECT_EQ(index.OnJob(kube::KeyOf(*job), nullptr), task);
  EXPECT_FALSE(index.OnJob(kube::KeyOf(*job), nullptr));
}

class FakeOwners final : public RunOwners {
 public:
  Result<control::RunRecord> GetRun(const std::string& run_id, std::stop_token) override {
    if (run.run_id != run_id) return Fail(ErrorCode::kNotFound, "no run " + run_id);
    return run;
  }
  control::RunRecord run = RunIn(RunState::kDispatched);
};

class PodOwnershipTest : public OrphansTest {
 protected:
  bool Runs(const std::string& pod_uid, const std::string& run) {
    CachedPodOwnership pods{{tasks_, workflows_, jobs_, pods_}, api_, owners_};
    return pods.PodRunsRun("team", "pod-1", pod_uid, run, {}).value();
  }
  FakeOwners owners_;
};

TEST_F(PodOwnershipTest, BelievesThePodOfTheRunsOwnJobAlone) {
  pods_.Put(std::make_shared<const json>(PodObject(json::object())));
  jobs_.Put(std::make_shared<const json>(JobObject()));
  EXPECT_TRUE(Runs("pod-1-uid", kRun));
  EXPECT_FALSE(Runs("pod-1-uid", "aaaa1111-2")) << "another run";
  EXPECT_FALSE(Runs("earlier-uid", kRun)) << "another pod of that name";
}

TEST_F(PodOwnershipTest, RefusesAPodThatOnlyWearsTheLabel) {
  json pod = PodObject(json::object());
  pod["metadata"].erase("ownerReferences");
  pods_.Put(std::make_shared<const json>(pod));
  jobs_.Put(std::make_shared<const json>(JobObject()));
  EXPECT_FALSE(Runs("pod-1-uid", kRun));
}

TEST_F(PodOwnershipTest, RefusesAPodOfAJobThatOnlyBearsTheName) {
  pods_.Put(std::make_shared<const json>(PodObject(json::object())));
  json job = JobObject();
  job["metadata"].erase("ownerReferences");
  jobs_.Put(std::make_shared<const json>(job));
  EXPECT_FALSE(Runs("pod-1-uid", kRun));
}

TEST_F(PodOwnershipTest, RefusesAJobThatNamesItselfAfterAnotherNamespacesRun) {
  pods_.Put(std::make_shared<const json>(PodObject(json::object())));
  jobs_.Put(std::make_shared<const json>(JobObject()));
  owners_.run.task_namespace = "victim";
  EXPECT_FALSE(Runs("pod-1-uid", kRun)) << "all of the Job's labels fit, and the run is not of its namespace";
}

TEST_F(PodOwnershipTest, RefusesAJobOfAnotherTask) {
  pods_.Put(std::make_shared<const json>(PodObject(json::object())));
  jobs_.Put(std::make_shared<const json>(JobObject()));
  owners_.run.task_uid = "bbbb2222-0000-4000-8000-000000000000";
  EXPECT_FALSE(Runs("pod-1-uid", kRun));
}

TEST_F(PodOwnershipTest, RefusesARunThatTheRecordDoesNotKnow) {
  pods_.Put(std::make_shared<const json>(PodObject(json::object())));
  jobs_.Put(std::make_shared<const json>(JobObject()));
  owners_.run.run_id = "other";
  EXPECT_FALSE(Runs("pod-1-uid", kRun));
}

TEST_F(PodOwnershipTest, AsksTheApiServerForAPodThatTheCacheHasNotSeen) {
  const json pod = api_.Create(kube::kPods, PodObject(json::object()), {}).value();
  jobs_.Put(std::make_shared<const json>(JobObject()));
  EXPECT_TRUE(Runs(kube::MetaString(pod, "uid"), kRun));
}

}  // namespace
}  // namespace ybis::op
