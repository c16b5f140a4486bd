#pragma once
// An API server in memory: objects by resource and key, resourceVersions, conflicts. For tests of what is
// built on top.
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/sync.h"
#include "kube/client.h"

namespace ybis::kube {

/// Keeps the server's rules that matter to clients: AlreadyExists, NotFound, Conflict on a stale
/// resourceVersion, merge patches, a status applied by one manager. `fail`, when set, is asked before each
/// call and may answer with an error. Thread-safe.
class FakeApi final : public Api {
 public:
  using Json = nlohmann::json;

  std::function<Status(std::string_view verb, const Resource& resource, const Key& key)> fail;

  Result<Json> Get(const Resource& resource, const Key& key, std::stop_token) override {
    YBIS_TRY(Ask("get", resource, key));
    auto state = state_.Lock();
    const auto found = state->objects.find({std::string(resource.plural), key});
    if (found == state->objects.end()) return Missing(resource, key);
    return found->second;
  }
  Result<ListPage> List(const Resource& resource, std::string_view ns, const ListOptions&,
                        std::stop_token) override {
    YBIS_TRY(Ask("list", resource, {std::string(ns), ""}));
    auto state = state_.Lock();
    ListPage page;
    page.resource_version = std::to_string(state->version);
    for (const auto& [id, object] : state->objects) {
      if (id.first != resource.plural || !(ns.empty() || id.second.ns == ns)) continue;
      page.items.push_back(std::make_shared<const Json>(object));
    }
    return page;
  }
  Result<Json> Create(const Resource& resource, const Json& object, std::stop_token) override {
    const Key key = KeyOf(object);
    YBIS_TRY(Ask("create", resource, key));
    auto state = state_.Lock();
    const auto [place, added] = state->objects.try_emplace({std::string(resource.plural), key}, object);
    if (!added) return Fail(ErrorCode::kExists, key.ToString() + " already exists");
    place->second["metadata"]["uid"] = "uid-" + std::to_string(state->version + 1);
    return Stamp(*state, place->second);
  }
  Result<Json> Replace(const Resource& resource, const Json& object, std::stop_token) override {
    const Key key = KeyOf(object);
    YBIS_TRY(Ask("update", resource, key));
    auto state = state_.Lock();
    const auto found = state->objects.find({std::string(resource.plural), key});
    if (found == state->objects.end()) return Missing(resource, key);
    const std::string version = MetaString(object, "resourceVersion");
    if (!version.empty() && version != MetaString(found->second, "resourceVersion")) {
      return Fail(ErrorCode::kConflict, key.ToString() + " has been modified");
    }
    found->second = object;
    return Stamp(*state, found->second);
  }
  Result<Json> Patch(const Resource& resource, const Key& key, const Json& patch, const PatchOptions& options,
                     std::stop_token) override {
    YBIS_TRY(Ask("patch", resource, key));
    auto state = state_.Lock();
    const auto found = state->objects.find({std::string(resource.plural), key});
    if (found == state->objects.end()) return Missing(resource, key);
    // An applied status is whole: what its one manager leaves out goes.
    if (options.type == PatchType::kApply && options.subresource == "status") found->second.erase("status");
    found->second.merge_patch(patch);
    return Stamp(*state, found->second);
  }
  Status Delete(const Resource& resource, const Key& key, const DeleteOptions& options,
                std::stop_token) override {
    YBIS_TRY(Ask("delete", resource, key));
    auto state = state_.Lock();
    const auto found = state->objects.find({std::string(resource.plural), key});
    if (found == state->objects.end()) return Missing(resource, key);
    if (!options.uid.empty() && options.uid != MetaString(found->second, "uid")) {
      return Fail(ErrorCode::kConflict, "uid precondition failed");
    }
    state->objects.erase(found);
    ++state->version;
    return {};
  }

  /// The object as it stands, or null.
  Json Peek(const Resource& resource, const Key& key) {
    auto state = state_.Lock();
    const auto found = state->objects.find({std::string(resource.plural), key});
    return found == state->objects.end() ? Json() : found->second;
  }
  std::vector<Json> All(const Resource& resource) {
    auto state = state_.Lock();
    std::vector<Json> all;
    for (const auto& [id, object] : state->objects) {
      if (id.first == resource.plural) all.push_back(object);
    }
    return all;
  }

 private:
  struct State {
    std::map<std::pair<std::string, Key>, Json> objects;
    int version = 0;
  };
  Status Ask(std::string_view verb, const Resource& resource, const Key& key) {
    return fail ? fail(verb, resource, key) : Status();
  }
  static Unexpected Missing(const Resource& resource, const Key& key) {
    return Fail(ErrorCode::kNotFound, std::string(resource.plural) + " " + key.ToString() + " not found");
  }
  static Json Stamp(State& state, Json& object) {
    object["metadata"]["resourceVersion"] = std::to_string(++state.version);
    return object;
  }
  Sync<State> state_;
};

}  // namespace ybis::kube
