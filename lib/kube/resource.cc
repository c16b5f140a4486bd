#include "kube/resource.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "http/url.h"

namespace ybis::kube {
namespace {

const nlohmann::json* Member(const nlohmann::json& object, std::string_view field) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(field);
  return found == object.end() ? nullptr : &*found;
}

std::string StringMember(const nlohmann::json& object, std::string_view field) {
  const nlohmann::json* member = Member(object, field);
  return member != nullptr && member->is_string() ? member->get<std::string>() : std::string();
}

}  // namespace

std::string Resource::ApiVersion() const {
  return group.empty() ? std::string(version) : fmt::format("{}/{}", group, version);
}

std::string Key::ToString() const { return ns.empty() ? name : ns + "/" + name; }

std::string MetaString(const nlohmann::json& object, std::string_view field) {
  const nlohmann::json* metadata = Member(object, "metadata");
  return metadata == nullptr ? std::string() : StringMember(*metadata, field);
}

Key KeyOf(const nlohmann::json& object) {
  return {MetaString(object, "namespace"), MetaString(object, "name")};
}

std::string ControllerUid(const nlohmann::json& object) {
  const nlohmann::json* metadata = Member(object, "metadata");
  const nlohmann::json* owners = metadata == nullptr ? nullptr : Member(*metadata, "ownerReferences");
  if (owners == nullptr || !owners->is_array()) return {};
  for (const nlohmann::json& owner : *owners) {
    const nlohmann::json* controller = Member(owner, "controller");
    if (controller != nullptr && *controller == true) return StringMember(owner, "uid");
  }
  return {};
}

std::string CollectionPath(const Resource& resource, std::string_view ns) {
  std::string path = resource.group.empty() ? fmt::format("/api/{}", resource.version)
                                            : fmt::format("/apis/{}/{}", resource.group, resource.version);
  if (resource.namespaced && !ns.empty()) path += "/namespaces/" + http::EncodeComponent(ns);
  return fmt::format("{}/{}", path, resource.plural);
}

std::string ObjectPath(const Resource& resource, const Key& key, std::string_view subresource) {
  std::string path = CollectionPath(resource, key.ns) + "/" + http::EncodeComponent(key.name);
  if (!subresource.empty()) path += fmt::format("/{}", subresource);
  return path;
}

}  // namespace ybis::kube
