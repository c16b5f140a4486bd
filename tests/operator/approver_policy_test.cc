#include "operator/approval/approver_policy.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/yaml.h"
#include "tests/kube/fake_api.h"
#include "tests/support/source_dir.h"

namespace ybis::op {
namespace {

using control::HealthGrade;
using nlohmann::json;

/// Policy and binding of configs/admission as a kube-apiserver gives them back.
json Policy() {
  return json::parse(R"({
    "metadata": {"name": "ybisapprovals.ybis.dev", "generation": 1, "creationTimestamp": "2026-03-01T11:00:00Z"},
    "spec": {
      "failurePolicy": "Fail",
      "matchConstraints": {
        "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
        "resourceRules": [{"apiGroups": ["ybis.dev"], "apiVersions": ["*"], "operations": ["CREATE"],
                           "resources": ["ybisapprovals"], "scope": "*"}]
      },
      "validations": [{"expression": "object.spec.approver == request.userInfo.username", "reason": "Forbidden"}]
    },
    "status": {}
  })");
}
json Binding() {
  return json::parse(R"({
    "metadata": {"name": "ybisapprovals.ybis.dev", "generation": 1, "creationTimestamp": "2026-03-01T11:00:00Z"},
    "spec": {"policyName": "ybisapprovals.ybis.dev", "validationActions": ["Deny"]}
  })");
}

void Put(kube::FakeApi& api, const json& policy, const json& binding) {
  ASSERT_TRUE(api.Create(kAdmissionPolicies, policy, {}));
  ASSERT_TRUE(api.Create(kAdmissionPolicyBindings, binding, {}));
}

HealthGrade GradeOf(const json& policy, const json& binding) {
  kube::FakeApi api;
  Put(api, policy, binding);
  return ApproverPolicyCheck(api)({}).grade;
}

TEST(ApproverPolicyCheck, IsBrokenUntilPolicyAndBindingAreThere) {
  kube::FakeApi api;
  const auto look = ApproverPolicyCheck(api);
  EXPECT_EQ(look({}).grade, HealthGrade::kBroken);
  ASSERT_TRUE(api.Create(kAdmissionPolicies, Policy(), {}));
  EXPECT_EQ(look({}).grade, HealthGrade::kBroken) << "a policy that nothing binds";
  ASSERT_TRUE(api.Create(kAdmissionPolicyBindings, Binding(), {}));
  EXPECT_EQ(look({}).grade, HealthGrade::kOk);
  EXPECT_EQ(look({}).check, "approver-policy");
}

TEST(ApproverPolicyCheck, TakesWhatIsInstalled) {
  const std::string file = ybis::testing::SourceDir() + "/configs/admission/ybisapprovals.yaml";
  const auto documents = ParseYamlDocuments(ReadFile(file, 64 * 1024).value(), file);
  ASSERT_TRUE(documents) << documents.error().message;
  ASSERT_EQ(documents->size(), 2u);
  json policy = *documents->at(0).value, binding = *documents->at(1).value;
  for (json* object : {&policy, &binding})
    (*object)["metadata"]["creationTimestamp"] = "2026-03-01T11:00:00Z";
  EXPECT_EQ(GradeOf(policy, binding), HealthGrade::kOk);
}

TEST(ApproverPolicyCheck, TakesWhatPinsAsWell) {
  const json rule = {{"apiGroups", {"*"}},
                     {"apiVersions", {"v1alpha1"}},
                     {"operations", {"*"}},
                     {"resources", {"*"}},
                     {"scope", "Namespaced"}};
  json policy = Policy();
  policy["spec"].erase("failurePolicy");
  policy["spec"]["matchConditions"] = json::array();
  policy["spec"]["matchConstraints"]["objectSelector"] = {{"matchLabels", json::object()}};
  policy["spec"]["matchConstraints"]["resourceRules"] = json::array({rule});
  policy["spec"]["validations"].push_back({{"expression", "object.spec.reason != 'none'"}});
  json binding = Binding();
  binding["spec"]["matchResources"] = {{"matchPolicy", "Equivalent"}, {"namespaceSelector", json::object()}};
  EXPECT_EQ(GradeOf(policy, binding), HealthGrade::kOk);
}

TEST(ApproverPolicyCheck, IsBrokenWhenThePolicyPinsNothingOrNotAlways) {
  const json prod = {
      {"matchExpressions",
       {{{"key", "kubernetes.io/metadata.name"}, {"operator", "NotIn"}, {"values", {"prod"}}}}}};
  const std::vector<std::pair<const char*, json>> changes = {
      {"/validations", {{{"expression", "true"}}}},
      {"/validations", {{{"expression", "object.spec.approver == request.userInfo.username || true"}}}},
      {"/validations", json::array()},
      {"/failurePolicy", "Ignore"},
      {"/matchConditions", {{{"name", "never"}, {"expression", "false"}}}},
      {"/paramKind", {{"apiVersion", "v1"}, {"kind", "ConfigMap"}}},
      {"/matchConstraints", json::object()},
      {"/matchConstraints/namespaceSelector", prod},
      {"/matchConstraints/objectSelector", {{"matchLabels", {{"a", ""}}}}},
      {"/matchConstraints/excludeResourceRules", {{{"resources", {"ybisapprovals"}}}}},
      {"/matchConstraints/resourceRules", json::array()},
      {"/matchConstraints/resourceRules/0/operations", {"UPDATE"}},
      {"/matchConstraints/resourceRules/0/resources", {"ybistasks"}},
      {"/matchConstraints/resourceRules/0/resources", {"ybisapprovals/status"}},
      {"/matchConstraints/resourceRules/0/apiGroups", {"other.dev"}},
      {"/matchConstraints/resourceRules/0/apiVersions", {"v2"}},
      {"/matchConstraints/resourceRules/0/resourceNames", {"one"}},
      {"/matchConstraints/resourceRules/0/scope", "Cluster"}};
  for (const auto& [where, what] : changes) {
    json policy = Policy();
    policy["spec"][json::json_pointer(where)] = what;
    EXPECT_EQ(GradeOf(policy, Binding()), HealthGrade::kBroken) << where << " " << what;
  }
}

TEST(ApproverPolicyCheck, IsBrokenWhenTheBindingBindsNothingOrNotAll) {
  const json prod = {{"matchLabels", {{"kubernetes.io/metadata.name", "test"}}}};
  const std::vector<std::pair<const char*, json>> changes = {
      {"/validationActions", {"Warn"}},
      {"/policyName", "other"},
      {"/paramRef", {{"name", "p"}, {"parameterNotFoundAction", "Allow"}}},
      {"/matchResources", {{"namespaceSelector", prod}}},
      {"/matchResources", {{"objectSelector", prod}}},
      {"/matchResources", {{"excludeResourceRules", {{{"resources", {"*"}}}}}}},
      {"/matchResources", {{"resourceRules", {{{"resources", {"ybistasks"}}}}}}}};
  for (const auto& [where, what] : changes) {
    json binding = Binding();
    binding["spec"][json::json_pointer(where)] = what;
    EXPECT_EQ(GradeOf(Policy(), binding), HealthGrade::kBroken) << where << " " << what;
  }
}

TEST(WhyUnproven, GoesByTheYoungerOfPolicyAndBindingAndGivesItTimeToComeIntoForce) {
  kube::FakeApi api;
  json binding = Binding();
  binding["metadata"]["creationTimestamp"] = "2026-03-01T11:30:00Z";
  Put(api, Policy(), binding);
  EXPECT_FALSE(*WhyUnproven(api, *ParseRfc3339("2026-03-01T11:30:10Z"), {}));
  EXPECT_TRUE(*WhyUnproven(api, *ParseRfc3339("2026-03-01T11:30:09Z"), {}));
  EXPECT_TRUE(*WhyUnproven(api, *ParseRfc3339("2026-03-01T11:15:00Z"), {}));
}

TEST(WhyUnproven, BeginsAnewWithAnEditOfTheRuleAndNotWithALabelOrAStatus) {
  const TimePoint made = *ParseRfc3339("2026-03-01T11:45:00Z");
  const auto unproven = [&](int generation, const json& fields) {
    kube::FakeApi api;
    json policy = Policy();
    policy["metadata"]["generation"] = generation;
    policy["metadata"]["managedFields"] = {{{"manager", "helm"}, {"time", "2026-03-01T11:00:00Z"}}, fields};
    Put(api, policy, Binding());
    return WhyUnproven(api, made, {})->has_value();
  };
  const json edit = {{"manager", "kubectl-edit"}, {"time", "2026-03-01T12:00:00Z"}};
  const json status = {{"manager", "k"}, {"time", "2026-03-01T12:00:00Z"}, {"subresource", "status"}};
  EXPECT_TRUE(unproven(3, edit)) << "edited and edited back: it may have had no teeth then";
  EXPECT_FALSE(unproven(1, edit)) << "only labels can have changed";
  EXPECT_FALSE(unproven(3, status));
}

TEST(WhyUnproven, IsAnErrorWhenNobodyAnswersOrItIsForbidden) {
  kube::FakeApi api;
  for (const ErrorCode code : {ErrorCode::kUnavailable, ErrorCode::kDenied}) {
    api.fail = [code](std::string_view, const kube::Resource&, const kube::Key&) -> Status {
      return Fail(code, "no");
    };
    EXPECT_FALSE(WhyUnproven(api, *ParseRfc3339("2026-03-01T12:00:00Z"), {}));
  }
}

TEST(ApproverPolicyCheck, WarnsWhenItMayNotLook) {
  kube::FakeApi api;
  api.fail = [](std::string_view, const kube::Resource&, const kube::Key&) -> Status {
    return Fail(ErrorCode::kDenied, "forbidden");
  };
  const auto found = ApproverPolicyCheck(api)({});
  EXPECT_EQ(found.grade, HealthGrade::kWarning);
  EXPECT_FALSE(found.remedy.empty());
}

}  // namespace
}  // namespace ybis::op
