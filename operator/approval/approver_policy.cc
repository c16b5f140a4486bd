#include "operator/approval/approver_policy.h"

#include <nlohmann/json.hpp>

namespace ybis::op {
namespace {

using control::HealthFinding;
using control::HealthGrade;
using nlohmann::json;

const kube::Key kPolicy{"", "ybisapprovals.ybis.dev"};

HealthFinding Finding(HealthGrade grade, std::string message, std::string remedy) {
  return {"approver-policy", "", grade, std::move(message), std::move(remedy)};
}

constexpr Duration kInForce = std::chrono::seconds(10);  // until every API server heeds a new policy

/// What configs/admission has the API server ask.
constexpr std::string_view kPins = "object.spec.approver == request.userInfo.username";

const json& Member(const json& object, const char* name) {
  static const json null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

/// Absent, or what the API server makes of that: {} for a selector.
bool Empty(const json& value) {
  if (value.is_string()) return value == "";
  return value.empty() ||
         (value.is_structured() && std::all_of(value.begin(), value.end(), [](const json& part) {
            return part.is_structured() && Empty(part);
          }));
}

/// Whether a list of a rule has the name, or all of them.
bool Names(const json& list, std::string_view name) {
  return std::any_of(list.begin(), list.end(), [&](const json& one) { return one == name || one == "*"; });
}

/// Whether the rule is about every approval that is made.
bool CoversApprovals(const json& rule) {
  const json& scope = Member(rule, "scope");
  return Names(Member(rule, "apiGroups"), kube::kApprovals.group) &&
         Names(Member(rule, "apiVersions"), kube::kApprovals.version) &&
         Names(Member(rule, "resources"), kube::kApprovals.plural) &&
         Names(Member(rule, "operations"), "CREATE") && Empty(Member(rule, "resourceNames")) &&
         (scope.is_null() || scope == "*" || scope == "Namespaced");
}

/// Whether it leaves out some of what its rules are about.
bool LeavesOut(const json& match) {
  return !Empty(Member(match, "namespaceSelector")) || !Empty(Member(match, "objectSelector")) ||
         !Empty(Member(match, "excludeResourceRules"));
}

bool Pins(const json& validation) { return Member(validation, "expression") == kPins; }

/// Why a policy of our name pins nothing, or not always; "" when it does.
std::string WhyToothless(const json& policy) {
  const json& spec = Member(policy, "spec");
  const json& validations = Member(spec, "validations");
  const json& match = Member(spec, "matchConstraints");
  const json& rules = Member(match, "resourceRules");
  if (std::none_of(validations.begin(), validations.end(), Pins)) return "it validates something else";
  if (Member(spec, "failurePolicy") == "Ignore") return "its failurePolicy is Ignore";
  if (!Empty(Member(spec, "matchConditions"))) return "it has matchConditions";
  if (!Empty(Member(spec, "paramKind"))) return "it has a paramKind";
  if (LeavesOut(match) || std::none_of(rules.begin(), rules.end(), CoversApprovals))
    return "its matchConstraints leave approvals out";
  return "";
}

/// The same of its binding.
std::string WhyUnbound(const json& binding) {
  const json& spec = Member(binding, "spec");
  const json& actions = Member(spec, "validationActions");
  const json& match = Member(spec, "matchResources");
  if (Member(spec, "policyName") != kPolicy.name) return "its binding is another policy's";
  if (std::find(actions.begin(), actions.end(), "Deny") == actions.end()) return "its binding denies nothing";
  if (LeavesOut(match) || !Empty(Member(match, "resourceRules")))
    return "its binding's matchResources leave approvals out";
  if (!Empty(Member(spec, "paramRef"))) return "its binding has a paramRef";
  return "";
}

/// Since when it has been as it is: what was edited and edited back had no teeth meanwhile. Until the first
/// edit of its spec that is when it was made, whoever labels it; then the API server tells the newest write.
Result<TimePoint> Since(const json& object) {
  YBIS_ASSIGN(TimePoint since, ParseRfc3339(kube::MetaString(object, "creationTimestamp")));
  const json& meta = Member(object, "metadata");
  if (Member(meta, "generation") == 1) return since;
  for (const json& fields : Member(meta, "managedFields")) {
    const json& time = Member(fields, "time");
    if (!time.is_string() || !Empty(Member(fields, "subresource"))) continue;  // its status is no rule
    YBIS_ASSIGN(const TimePoint written, ParseRfc3339(time.get<std::string>()));
    since = std::max(since, written);
  }
  return since;
}

/// What is there of the policy.
struct Look {
  std::string missing;  ///< empty: it is in force
  TimePoint since;      ///< of its younger half
};

Result<Look> LookAt(kube::Reader& reader, std::stop_token stop) {
  Look out;
  for (const kube::Resource* resource : {&kAdmissionPolicies, &kAdmissionPolicyBindings}) {
    const auto object = reader.Get(*resource, kPolicy, stop);
    if (!object && object.error().code == ErrorCode::kNotFound) return Look{"not installed", {}};
    if (!object) return Fail(object.error());
    const bool is_policy = resource == &kAdmissionPolicies;
    if (std::string why = is_policy ? WhyToothless(*object) : WhyUnbound(*object); !why.empty())
      return Look{std::move(why), {}};
    YBIS_ASSIGN(const TimePoint since, Since(*object));
    out.since = std::max(out.since, since);
  }
  return out;
}

}  // namespace

Result<std::optional<std::string>> WhyUnproven(kube::Reader& reader, TimePoint made, std::stop_token stop) {
  const std::string what = "the admission policy that pins spec.approver to who makes an approval";
  const auto look = LookAt(reader, stop);
  if (!look) return FailIn("looking at " + what, look.error());
  if (!look->missing.empty()) return fmt::format("{} is missing or changed ({})", what, look->missing);
  if (made >= look->since + kInForce) return std::nullopt;
  return fmt::format("{} was not in force yet, or another, when this one was made", what);
}

control::HealthCheck ApproverPolicyCheck(kube::Reader& reader) {
  return [&reader](std::stop_token stop) {
    const auto look = LookAt(reader, stop);
    if (!look) {
      // What could not be read is not missing.
      return Finding(
          HealthGrade::kWarning, "cannot be looked at: " + look.error().message,
          "let the operator get validatingadmissionpolicies and their bindings, as the chart does");
    }
    if (!look->missing.empty()) {
      return Finding(HealthGrade::kBroken,
                     look->missing + ": whoever may make an approval may name anybody as its approver",
                     "kubectl apply -f configs/admission/, or set the chart's approvals.admissionPolicy");
    }
    return Finding(HealthGrade::kOk, "an approval is its maker's own", "");
  };
}

}  // namespace ybis::op
