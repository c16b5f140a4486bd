#include "kube/resource.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ybis::kube {
namespace {

using nlohmann::json;

TEST(Paths, FollowGroupVersionAndScope) {
  EXPECT_EQ(CollectionPath(kPods, "a"), "/api/v1/namespaces/a/pods");
  EXPECT_EQ(CollectionPath(kJobs, ""), "/apis/batch/v1/jobs");
  EXPECT_EQ(CollectionPath(kNamespaces, "ignored"), "/api/v1/namespaces");
  EXPECT_EQ(ObjectPath(kTasks, {"a", "b"}, "status"),
            "/apis/ybis.dev/v1alpha1/namespaces/a/ybistasks/b/status");
  EXPECT_EQ(kJobs.ApiVersion(), "batch/v1");
  EXPECT_EQ(kPods.ApiVersion(), "v1");
}

TEST(Paths, CannotBeLeftByAName) {
  EXPECT_EQ(ObjectPath(kSecrets, {"a/../b", "x/../../y?watch=1#"}),
            "/api/v1/namespaces/a%2F..%2Fb/secrets/x%2F..%2F..%2Fy%3Fwatch%3D1%23");
}

TEST(KeyOf, NeverThrows) {
  for (const json& odd : {json(), json(1), json::array(), json::object(), json{{"metadata", 3}},
                          json{{"metadata", {{"name", 5}, {"namespace", nullptr}}}}}) {
    EXPECT_EQ(KeyOf(odd), (Key{"", ""}));
    EXPECT_EQ(ControllerUid(odd), "");
  }
  EXPECT_EQ(KeyOf({{"metadata", {{"name", "n"}, {"namespace", "s"}}}}).ToString(), "s/n");
}

TEST(ControllerUid, IsTheOneOwnerThatControls) {
  const json object = {
      {"metadata",
       {{"ownerReferences", {{{"uid", "a"}}, 7, {{"uid", "b"}, {"controller", true}}, {{"uid", "c"}}}}}}};
  EXPECT_EQ(ControllerUid(object), "b");
}

}  // namespace
}  // namespace ybis::kube
