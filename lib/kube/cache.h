#pragma once
// The objects of one resource as last seen, filled by a reflector and read by reconcilers.
#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/sync.h"
#include "kube/client.h"

namespace ybis::kube {

/// Thread-safe. Objects are shared and never change; a reader may keep one as long as it likes.
class Cache {
 public:
  explicit Cache(Clock& clock) : clock_(clock) {}

  /// The object, or nullptr.
  Object Get(const Key& key);
  std::vector<Key> Keys();
  std::vector<Object> List(std::string_view ns = "");
  /// Objects whose controlling owner (ownerReferences with controller: true) has this UID.
  std::vector<Object> ByOwner(const std::string& owner_uid);
  size_t Size();

  /// Remembers that we wrote the object and got this resourceVersion back, so that Current(key) is false
  /// until the watch has brought that very version (or the object's deletion, or 30 s have passed: then a
  /// relist swallowed it).
  void ExpectVersion(const Key& key, const std::string& resource_version);
  /// The same for a deletion that was accepted: false until the object is gone from the cache or marked as
  /// deleting.
  void ExpectDeletion(const Key& key);
  /// Whether the cache has caught up with our own last write of the object. Don't act on it before.
  bool Current(const Key& key);

  /// For the reflector: sets one object; false when it was already there in that very version.
  bool Put(Object object);
  /// For the reflector: removes one object; what was there, or nullptr.
  Object Remove(const Key& key);
  struct Change {
    Key key;
    Object object;  ///< nullptr = deleted
  };
  /// For the reflector: the content becomes exactly this; gives what changed by that.
  std::vector<Change> ReplaceAll(std::vector<Object> objects);

 private:
  struct Expectation {
    std::string version;  ///< "" = deletion
    TimePoint expires;
  };
  struct State {
    std::map<Key, Object> objects;
    std::unordered_map<std::string, std::set<Key>> by_owner;
    std::unordered_map<Key, Expectation> expected;
    std::unordered_map<Key, std::vector<std::string>> recent;  ///< the last versions seen of a key
  };
  static bool PutLocked(State& state, const Key& key, Object object);
  static Object RemoveLocked(State& state, const Key& key);
  static void Unindex(State& state, const Key& key, const nlohmann::json& object);

  Clock& clock_;
  Sync<State> state_;
};

}  // namespace ybis::kube
