#include "kube/cache.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ybis::kube {
namespace {

constexpr std::chrono::seconds kExpectationLife{30};
constexpr size_t kRecentVersions = 4;

std::string VersionOf(const Object& object) { return MetaString(*object, "resourceVersion"); }

}  // namespace

Object Cache::Get(const Key& key) {
  auto state = state_.Lock();
  const auto found = state->objects.find(key);
  return found == state->objects.end() ? nullptr : found->second;
}

std::vector<Key> Cache::Keys() {
  auto state = state_.Lock();
  std::vector<Key> keys;
  keys.reserve(state->objects.size());
  for (const auto& [key, object] : state->objects) keys.push_back(key);
  return keys;
}

std::vector<Object> Cache::List(std::string_view ns) {
  auto state = state_.Lock();
  std::vector<Object> objects;
  for (const auto& [key, object] : state->objects) {
    if (ns.empty() || key.ns == ns) objects.push_back(object);
  }
  return objects;
}

std::vector<Object> Cache::ByOwner(const std::string& owner_uid) {
  auto state = state_.Lock();
  std::vector<Object> objects;
  const auto found = state->by_owner.find(owner_uid);
  if (found == state->by_owner.end()) return objects;
  for (const Key& key : found->second) objects.push_back(state->objects.at(key));
  return objects;
}

size_t Cache::Size() { return state_.Lock()->objects.size(); }

void Cache::ExpectVersion(const Key& key, const std::string& resource_version) {
  auto state = state_.Lock();
  const auto& recent = state->recent[key];
  if (std::find(recent.begin(), recent.end(), resource_version) != recent.end()) return;
  state->expected[key] = {resource_version, clock_.Now() + kExpectationLife};
}

void Cache::ExpectDeletion(const Key& key) {
  auto state = state_.Lock();
  if (state->objects.contains(key)) state->expected[key] = {"", clock_.Now() + kExpectationLife};
}

bool Cache::Current(const Key& key) {
  auto state = state_.Lock();
  const auto expected = state->expected.find(key);
  if (expected == state->expected.end()) return true;
  if (clock_.Now() < expected->second.expires) return false;
  state->expected.erase(expected);
  return true;
}

bool Cache::PutLocked(State& state, const Key& key, Object object) {
  const std::string version = VersionOf(object);
  Object& slot = state.objects[key];
  if (slot && VersionOf(slot) == version) return false;
  if (slot) Unindex(state, key, *slot);
  if (const std::string owner = ControllerUid(*object); !owner.empty()) state.by_owner[owner].insert(key);
  auto& recent = state.recent[key];
  if (recent.size() == kRecentVersions) recent.erase(recent.begin());
  recent.push_back(version);
  if (const auto expected = state.expected.find(key); expected != state.expected.end()) {
    const std::string& awaited = expected->second.version;
    const bool met = awaited.empty() ? !MetaString(*object, "deletionTimestamp").empty() : awaited == version;
    if (met) state.expected.erase(expected);
  }
  slot = std::move(object);
  return true;
}

void Cache::Unindex(State& state, const Key& key, const nlohmann::json& object) {
  const auto owned = state.by_owner.find(ControllerUid(object));
  if (owned == state.by_owner.end()) return;
  owned->second.erase(key);
  if (owned->second.empty()) state.by_owner.erase(owned);
}

Object Cache::RemoveLocked(State& state, const Key& key) {
  const auto found = state.objects.find(key);
  if (found == state.objects.end()) return nullptr;
  Object object = std::move(found->second);
  Unindex(state, key, *object);
  state.objects.erase(found);
  state.recent.erase(key);
  state.expected.erase(key);
  return object;
}

bool Cache::Put(Object object) {
  const Key key = KeyOf(*object);
  return PutLocked(*state_.Lock(), key, std::move(object));
}

Object Cache::Remove(const Key& key) { return RemoveLocked(*state_.Lock(), key); }

std::vector<Cache::Change> Cache::ReplaceAll(std::vector<Object> objects) {
  auto state = state_.Lock();
  std::map<Key, Object> wanted;
  for (Object& object : objects) wanted[KeyOf(*object)] = std::move(object);
  std::vector<Change> changes;
  for (const auto& [key, object] : state->objects) {
    if (!wanted.contains(key)) changes.push_back({key, nullptr});
  }
  for (const Change& gone : changes) RemoveLocked(*state, gone.key);
  for (const auto& [key, object] : wanted) {
    // An object deleted and made again under its name is told as a deletion first.
    const auto old = state->objects.find(key);
    if (old != state->objects.end() && MetaString(*old->second, "uid") != MetaString(*object, "uid")) {
      RemoveLocked(*state, key);
      changes.push_back({key, nullptr});
    }
    if (PutLocked(*state, key, object)) changes.push_back({key, object});
  }
  return changes;
}

}  // namespace ybis::kube
