#pragma once
// Names of things in the Kubernetes API: resources, keys of objects, and the paths they live at.
#include <compare>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace ybis::kube {

/// A kind of object as the API server names it. Constants below; all views are of literals.
struct Resource {
  std::string_view group;  ///< "" = core
  std::string_view version;
  std::string_view plural;
  std::string_view kind;
  bool namespaced = true;

  /// "batch/v1", or "v1" for the core group.
  std::string ApiVersion() const;
};

inline constexpr Resource kTasks{"ybis.dev", "v1alpha1", "ybistasks", "YbisTask"};
inline constexpr Resource kWorkflows{"ybis.dev", "v1alpha1", "ybisworkflows", "YbisWorkflow"};
inline constexpr Resource kApprovals{"ybis.dev", "v1alpha1", "ybisapprovals", "YbisApproval"};
inline constexpr Resource kJobs{"batch", "v1", "jobs", "Job"};
inline constexpr Resource kPods{"", "v1", "pods", "Pod"};
inline constexpr Resource kSecrets{"", "v1", "secrets", "Secret"};
inline constexpr Resource kConfigMaps{"", "v1", "configmaps", "ConfigMap"};
inline constexpr Resource kServiceAccounts{"", "v1", "serviceaccounts", "ServiceAccount"};
inline constexpr Resource kNamespaces{"", "v1", "namespaces", "Namespace", false};
inline constexpr Resource kLeases{"coordination.k8s.io", "v1", "leases", "Lease"};
inline constexpr Resource kEvents{"events.k8s.io", "v1", "events", "Event"};
inline constexpr Resource kTokenReviews{"authentication.k8s.io", "v1", "tokenreviews", "TokenReview", false};
inline constexpr Resource kSelfSubjectReviews{"authentication.k8s.io", "v1", "selfsubjectreviews",
                                              "SelfSubjectReview", false};
inline constexpr Resource kSubjectAccessReviews{"authorization.k8s.io", "v1", "subjectaccessreviews",
                                                "SubjectAccessReview", false};
inline constexpr Resource kApiServices{"apiregistration.k8s.io", "v1", "apiservices", "APIService", false};
inline constexpr Resource kSelfSubjectAccessReviews{"authorization.k8s.io", "v1", "selfsubjectaccessreviews",
                                                    "SelfSubjectAccessReview", false};

/// Namespace and name of an object: all that a work queue carries.
struct Key {
  std::string ns;  ///< "" for what is not namespaced
  std::string name;

  auto operator<=>(const Key&) const = default;  // NOLINT(modernize-use-nullptr): clang-tidy 14 sees a 0
  /// "namespace/name", or "name".
  std::string ToString() const;
};

/// The key of an object by its metadata; both parts empty when it has none. Never throws.
Key KeyOf(const nlohmann::json& object);
/// One string of the object's metadata ("uid", "resourceVersion", …), "" when absent or not a string. Never
/// throws.
std::string MetaString(const nlohmann::json& object, std::string_view field);
/// The uid of the owner with `controller: true`, or "". Never throws.
std::string ControllerUid(const nlohmann::json& object);

/// "/apis/batch/v1/namespaces/ns/jobs"; with ns "" the path over all namespaces.
std::string CollectionPath(const Resource& resource, std::string_view ns);
/// The collection's path and the object's name, each part percent-encoded; `subresource` may be "".
std::string ObjectPath(const Resource& resource, const Key& key, std::string_view subresource = "");

}  // namespace ybis::kube

template <>
struct std::hash<ybis::kube::Key> {
  size_t operator()(const ybis::kube::Key& key) const noexcept {
    return std::hash<std::string>()(key.ns) * 31 + std::hash<std::string>()(key.name);
  }
};
