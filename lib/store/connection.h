#pragma once
// One connection to Postgres, and what a failure on it means for repeating. Internal to lib/store.
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "store/database.h"

namespace ybis::store {

/// What is known of the effect of a transaction that failed.
enum class Effect {
  kNone,     ///< nothing happened and repeating cannot help
  kRetry,    ///< nothing happened: lost a race with another transaction, or the connection before the commit
  kInDoubt,  ///< the server was lost during the commit
};

struct Outcome {
  Status status;
  Effect effect = Effect::kNone;
};

/// Not thread-safe, but for socket(), which others may shut down to end a call that blocks.
class Connection {
 public:
  using Work = std::function<Status(Transaction&)>;

  static Result<std::unique_ptr<Connection>> Open(const std::string& url, std::chrono::milliseconds timeout,
                                                  const std::string& application_name);
  ~Connection();

  /// Session settings and other commands without parameters, outside a transaction.
  Status Command(const std::string& sql);
  /// BEGIN, work, COMMIT; rolls back when work fails.
  Outcome InTransaction(const Work& work);
  /// Work of one statement, which commits by itself.
  Outcome Single(const Work& work);

  int socket() const;
  /// False when the server has closed it or said something while nobody asked.
  bool UsableWhenIdle() const;
  bool broken() const { return broken_; }
  /// How long the server has been silent in a statement that has a time limit; for other threads.
  std::chrono::milliseconds Silence() const;

 private:
  struct Impl;
  class ExecTransaction;
  class Clocked;
  explicit Connection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  bool broken_ = false;
  std::atomic<std::chrono::steady_clock::rep> asked_{0};  ///< when the statement under way was sent; 0 = none
  std::atomic<bool> unlimited_{false};
};

}  // namespace ybis::store
