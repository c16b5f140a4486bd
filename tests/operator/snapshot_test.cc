#include "operator/task/snapshot.h"

#include <gtest/gtest.h>

#include "tests/operator/world.h"

namespace ybis::op {
namespace {

using namespace testing;
using nlohmann::json;

json Waiting(const char* reason) {
  return {{"phase", "Pending"},
          {"containerStatuses", json::array({{{"state", {{"waiting", {{"reason", reason}}}}}}})}};
}

TEST(PodView, NamesWhatKeepsAPodFromStarting) {
  EXPECT_EQ(ViewPod(PodObject(Waiting("ImagePullBackOff")), kNow).trouble->reason, "ImagePullBackOff");
  EXPECT_EQ(ViewPod(PodObject(Waiting("ErrImagePull")), kNow).trouble->reason, "ImagePullBackOff")
      << "the kubelet goes back and forth between the two; one word keeps the status still";
  EXPECT_EQ(ViewPod(PodObject(Waiting("CreateContainerConfigError")), kNow).trouble->reason,
            "CreateContainerConfigError");
  const json unschedulable = {{"phase", "Pending"},
                              {"conditions", json::array({{{"type", "PodScheduled"},
                                                           {"status", "False"},
                                                           {"reason", "Unschedulable"},
                                                           {"message", "0/1 nodes"}}})}};
  EXPECT_FALSE(ViewPod(PodObject(unschedulable), kNow).trouble) << "its volume is still being made";
  EXPECT_EQ(ViewPod(PodObject(unschedulable), kNow + std::chrono::seconds(15)).trouble->reason,
            "Unschedulable");
}

TEST(PodView, LeavesAPodSomeTimeToStart) {
  EXPECT_FALSE(ViewPod(PodObject(Waiting("ContainerCreating")), kNow).trouble);
  EXPECT_EQ(ViewPod(PodObject(Waiting("ContainerCreating")), kNow + std::chrono::minutes(1)).trouble->reason,
            "PodNotStarting");
  const json running = {{"phase", "Running"},
                        {"containerStatuses", json::array({{{"state", {{"running", json::object()}}}}})}};
  EXPECT_FALSE(ViewPod(PodObject(running), kNow + std::chrono::hours(1)).trouble);
}

TEST(PodView, ReadsHostileObjectsAsEmpty) {
  for (const char* text :
       {"null", "[]", "{\"metadata\":7,\"status\":[]}", "{\"status\":{\"containerStatuses\":[1,null,{}]}}",
        "{\"status\":{\"conditions\":{\"type\":1}},\"metadata\":{\"deletionGracePeriodSeconds\":\"x\"}}"}) {
    EXPECT_NO_THROW({
      ViewPod(json::parse(text), kNow);
      ViewJob(json::parse(text));
    }) << text;
  }
}

TEST(PodView, TellsAPodThatIsBeingKilledFromOneThatLeavesSlowly) {
  json pod = PodObject({{"phase", "Running"}});
  pod["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z";
  pod["metadata"]["deletionGracePeriodSeconds"] = 30;
  EXPECT_FALSE(ViewPod(pod, kNow).killed);
  pod["metadata"]["deletionGracePeriodSeconds"] = 1;
  EXPECT_TRUE(ViewPod(pod, kNow).killed);
}

}  // namespace
}  // namespace ybis::op
