#include "operator/workflow/reconciler.h"

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "tests/kube/fake_api.h"
#include "tests/operator/world.h"

namespace ybis::op {
namespace {

using namespace testing;
using nlohmann::json;

const kube::Key kFlow{"team", "flow"};

json WorkflowObject(const char* type, const char* next) {
  return {
      {"apiVersion", "ybis.dev/v1alpha1"},
      {"kind", "YbisWorkflow"},
      {"metadata",
       {{"name", "flow"}, {"namespace", "team"}, {"uid", "w"}, {"resourceVersion", "1"}, {"generation", 2}}},
      {"spec",
       {{"entryPoint", "a"},
        {"exitPoints", json::array({"b"})},
        {"nodes", json::array({{{"name", "a"}, {"type", type}, {"next", json::array({next})}},
                               {{"name", "b"}, {"type", "passthrough"}}})}}}};
}

TEST(WorkflowStatus, AcceptsAGoodGraph) {
  const json status = BuildWorkflowStatus(WorkflowObject("passthrough", "b"), kNow);
  EXPECT_EQ(status["conditions"][0]["status"], "True") << status;
  EXPECT_EQ(status["observedGeneration"], 2);
}

TEST(WorkflowStatus, NamesEveryProblem) {
  const json status = BuildWorkflowStatus(WorkflowObject("no-such-type", "nowhere"), kNow);
  EXPECT_EQ(status["conditions"][0]["status"], "False");
  const std::string message = status["conditions"][0]["message"];
  EXPECT_NE(message.find("no-such-type"), std::string::npos) << message;
  EXPECT_NE(message.find("nowhere"), std::string::npos) << message;
}

TEST(WorkflowStatus, IsStalledWhileItIsInvalid) {
  const json good = BuildWorkflowStatus(WorkflowObject("passthrough", "b"), kNow)["conditions"][1];
  EXPECT_EQ(good["type"], "Stalled");
  EXPECT_EQ(good["status"], "False");
  const json bad = BuildWorkflowStatus(WorkflowObject("no-such-type", "b"), kNow)["conditions"][1];
  EXPECT_EQ(bad["status"], "True");
  EXPECT_EQ(bad["observedGeneration"], 2);
  EXPECT_NE(bad["message"].get<std::string>().find("no-such-type"), std::string::npos);
}

/// Half a character would be stored as another text than the one computed, and written again for ever.
TEST(WorkflowStatus, HoldsWholeCharactersAlone) {
  for (const char* shift : {"", "x", "xx"}) {
    json object = WorkflowObject("passthrough", "b");
    for (int i = 0; i < 200; ++i) {
      std::string name = shift;
      for (int k = 0; k < 40; ++k) name += "\u20ac";
      object["spec"]["exitPoints"].push_back(name);
    }
    const std::string message = BuildWorkflowStatus(object, kNow)["conditions"][0]["message"];
    EXPECT_GT(message.size(), 8188u);
    EXPECT_LE(message.size(), 8192u);
    EXPECT_EQ(message, ValidUtf8(message));
  }
}

TEST(WorkflowReconciler, WritesTheStatusOnce) {
  FakeClock clock{kNow};
  kube::FakeApi api;
  kube::Cache cache{clock};
  FakeEvents events;
  WorkflowReconciler reconciler{cache, api, events, clock};
  ASSERT_TRUE(api.Create(kube::kWorkflows, WorkflowObject("no-such-type", "b"), {}));
  cache.ReplaceAll(api.List(kube::kWorkflows, "", {}, {})->items);
  ASSERT_TRUE(reconciler.Reconcile(kFlow, {}));
  const std::string version = kube::MetaString(api.Peek(kube::kWorkflows, kFlow), "resourceVersion");
  cache.ReplaceAll(api.List(kube::kWorkflows, "", {}, {})->items);
  ASSERT_TRUE(reconciler.Reconcile(kFlow, {}));
  EXPECT_EQ(kube::MetaString(api.Peek(kube::kWorkflows, kFlow), "resourceVersion"), version);
  EXPECT_EQ(events.entries.size(), 1u);
}

}  // namespace
}  // namespace ybis::op
