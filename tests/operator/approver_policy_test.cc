#include "operator/approval/approver_policy.h"

#include <gtest/gtest.h>

#include "tests/kube/fake_api.h"

namespace ybis::op {
namespace {

using control::HealthGrade;
using nlohmann::json;

json Named(const json& spec, const char* made = "2026-03-01T11:00:00Z") {
  return {{"metadata", {{"name", "ybisapprovals.ybis.dev"}, {"creationTimestamp", made}}}, {"spec", spec}};
}

const json kBinding = {{"policyName", "ybisapprovals.ybis.dev"}, {"validationActions", {"Deny"}}};

TEST(ApproverPolicyCheck, IsBrokenUntilPolicyAndBindingAreThere) {
  kube::FakeApi api;
  const auto look = ApproverPolicyCheck(api);
  EXPECT_EQ(look({}).grade, HealthGrade::kBroken);
  ASSERT_TRUE(api.Create(kAdmissionPolicies, Named(json::object()), {}));
  EXPECT_EQ(look({}).grade, HealthGrade::kBroken) << "a policy that nothing binds";
  ASSERT_TRUE(api.Create(kAdmissionPolicyBindings, Named(kBinding), {}));
  EXPECT_EQ(look({}).grade, HealthGrade::kOk);
  EXPECT_EQ(look({}).check, "approver-policy");
}

TEST(ApproverPolicyCheck, IsBrokenWhenTheBindingOnlyWarnsOrIsOfAnotherPolicy) {
  for (const json& change : {json{{"validationActions", {"Warn"}}}, json{{"policyName", "other"}}}) {
    kube::FakeApi api;
    json binding = kBinding;
    binding.update(change);
    ASSERT_TRUE(api.Create(kAdmissionPolicies, Named(json::object()), {}));
    ASSERT_TRUE(api.Create(kAdmissionPolicyBindings, Named(binding), {}));
    EXPECT_EQ(ApproverPolicyCheck(api)({}).grade, HealthGrade::kBroken) << change;
  }
}

TEST(WhyUnproven, GoesByTheYoungerOfPolicyAndBindingAndGivesItTimeToComeIntoForce) {
  kube::FakeApi api;
  ASSERT_TRUE(api.Create(kAdmissionPolicies, Named(json::object()), {}));
  ASSERT_TRUE(api.Create(kAdmissionPolicyBindings, Named(kBinding, "2026-03-01T11:30:00Z"), {}));
  EXPECT_FALSE(*WhyUnproven(api, *ParseRfc3339("2026-03-01T11:30:10Z"), {}));
  EXPECT_TRUE(*WhyUnproven(api, *ParseRfc3339("2026-03-01T11:30:09Z"), {}));
  EXPECT_TRUE(*WhyUnproven(api, *ParseRfc3339("2026-03-01T11:15:00Z"), {}));
}

TEST(WhyUnproven, IsAnErrorWhenNobodyAnswersAndAReasonWhenItIsForbidden) {
  kube::FakeApi api;
  ErrorCode code = ErrorCode::kUnavailable;
  api.fail = [&](std::string_view, const kube::Resource&, const kube::Key&) -> Status {
    return Fail(code, "no");
  };
  const TimePoint made = *ParseRfc3339("2026-03-01T12:00:00Z");
  EXPECT_FALSE(WhyUnproven(api, made, {}));
  code = ErrorCode::kDenied;
  EXPECT_TRUE(WhyUnproven(api, made, {}).value());
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
