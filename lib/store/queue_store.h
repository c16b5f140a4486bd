#pragma once
// Tables queue and holds, and the part of leases that admission reads and writes.
#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "store/database.h"

namespace ybis::store {

inline constexpr int kPriorities = 3;
/// How long a hold that ends by itself grows at most.
inline constexpr std::chrono::seconds kLongestHold{15 * 60};

/// Where the living rows begin, as far as one process knows: what lies below is dead and need not be walked.
/// Valid while the server has not restarted and the sequences have not gone back, and for kLast: a server
/// that starts over after one of its processes died shows neither, and may have taken a lazy commit back.
struct QueueHints {
  static constexpr std::chrono::seconds kLast{30};

  std::string server;                          ///< its start and the sequence's identity
  std::array<int64_t, kPriorities> waiting{};  ///< by priority: rows at or below are gone
  int64_t active = 0;
  std::chrono::steady_clock::time_point since;  ///< nothing was known
};

struct WaitingRow {
  int priority = 0;
  int64_t position = 0;
  std::string run_id;
  std::string namespace_name;
  std::string lane;
};

/// Why a queued run has no turn.
struct HoldRow {
  std::string reason;
  std::string message;
  /// When to try again, from now: twice as long for each time that the reason comes again before a claim, up
  /// to kLongestHold. None = once it is released.
  std::optional<std::chrono::seconds> last;
};

struct ActiveRow {
  int64_t position = 0;
  std::string run_id;
  std::string namespace_name;
  std::string lane;
  std::string admission;
};

/// Over an open transaction. Every method but Depth needs Lock first: positions grow in the order of commits
/// only under it.
class QueueStore {
 public:
  explicit QueueStore(Transaction& transaction) : tx_(transaction) {}

  /// Admission's advisory lock, until the end of the transaction.
  Status Lock();
  /// Lets the commit return before it is on disk. An admission that a crash takes back is made again: the run
  /// is queued as before and a claim of it is refused until then.
  Status CommitLazily();
  Status Enqueue(const std::string& run_id, int priority, const std::string& namespace_name,
                 const std::string& lane);
  /// Takes a waiting run out; false when it is not waiting.
  Result<bool> Remove(const std::string& run_id);

  /// Takes a run's turn, or the place that no runner has taken up yet, until Release; of one that is held,
  /// the why and how long. `priority` is the one it goes back with. False: it is neither queued nor
  /// dispatched. The journal tells a reason that comes again, and the turns in between, once.
  Result<bool> Hold(const std::string& run_id, int priority, const HoldRow& hold);
  /// Those of these runs that are dispatched and that nobody has picked up for `idle`; locked.
  Result<std::vector<std::string>> Abandoned(const std::vector<std::string>& run_ids,
                                             std::chrono::seconds idle);
  /// Queues such a run again, behind the others of its priority.
  Status PutBack(const std::string& run_id, int priority);
  /// Queues a held run behind the others of its priority. False when it is not held.
  Result<bool> Release(const std::string& run_id);
  /// The same held run with another place to go back to, to be tried again at once when it waits for a time.
  /// False when it is not held.
  Result<bool> MoveHeld(const std::string& run_id, int priority, const std::string& namespace_name,
                        const std::string& lane);

  /// Runs that hold a place, oldest admission first. Resets hints that are no longer valid.
  Result<std::vector<ActiveRow>> Active(QueueHints& hints);
  /// Up to `limit` waiting runs of each priority above the given positions, by priority, then age; those of
  /// the given lanes and namespaces are left out.
  Result<std::vector<WaitingRow>> Waiting(const std::array<int64_t, kPriorities>& after, int64_t limit,
                                          const std::vector<std::string>& but_lanes = {},
                                          const std::vector<std::string>& but_namespaces = {});
  /// One waiting run; none when it does not wait.
  Result<std::optional<WaitingRow>> Find(const std::string& run_id);
  /// Gives waiting runs their place: out of the queue, into leases, state Dispatched. One that is over by now
  /// only leaves the queue. `admission` names the call.
  Status Admit(const std::vector<WaitingRow>& rows, const std::string& admission);
  Result<int64_t> Depth();

 private:
  Transaction& tx_;
};

}  // namespace ybis::store
