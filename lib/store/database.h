#pragma once
// The door to Postgres: a pool of connections, transactions that are repeated when that is safe, and rows.
// Nothing of the client library shows through.
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace ybis::store {

/// One parameter of a statement. Text with a NUL byte is refused when the statement runs (kInvalid, the
/// parameter's number named), since the wire would cut it silently.
class Param {
 public:
  Param(std::nullptr_t) {}
  Param(std::nullopt_t) {}
  Param(std::string text) : text_(std::move(text)) {}
  Param(std::string_view text) : text_(std::string(text)) {}
  Param(const char* text) : text_(std::string(text)) {}
  Param(bool value) : text_(value ? "t" : "f") {}
  Param(int value) : Param(static_cast<int64_t>(value)) {}
  Param(int64_t value);
  Param(uint64_t value);
  Param(double value);
  Param(TimePoint value);
  Param(const std::vector<std::string>& values);  ///< text[]
  template <class T>
  Param(const std::optional<T>& value) {
    if (value) *this = Param(*value);
  }
  /// Bytes for a bytea.
  static Param Bytes(std::string bytes);
  /// A document for a json column (never jsonb: that refuses \u0000, which models do answer); null = NULL.
  static Param Json(const std::shared_ptr<const nlohmann::json>& value);
  static Param Json(const nlohmann::json& value);

  const std::optional<std::string>& text() const { return text_; }
  bool binary() const { return binary_; }

 private:
  std::optional<std::string> text_;
  bool binary_ = false;
};
using Params = std::vector<Param>;

/// One row of a result; valid while its Rows lives. Columns count from 0; asking a NULL column for a value
/// gives the type's empty value, asking a column of another type is a bug (throws std::logic_error).
class Row {
 public:
  bool IsNull(int column) const;
  std::string Text(int column) const;
  int64_t Int(int column) const;
  double Double(int column) const;
  bool Bool(int column) const;
  TimePoint Time(int column) const;
  std::optional<TimePoint> OptionalTime(int column) const;
  std::string Bytes(int column) const;
  /// A json column parsed; null when NULL.
  std::shared_ptr<const nlohmann::json> Json(int column) const;

 private:
  friend class Rows;
  Row(const void* result, size_t index) : result_(result), index_(index) {}
  std::string_view Raw(int column) const;
  const void* result_;
  size_t index_;
};

/// What a statement returned. Cheap to copy; read-only.
class Rows {
 public:
  explicit Rows(std::shared_ptr<const void> result);
  size_t size() const;
  bool empty() const { return size() == 0; }
  int64_t affected() const;  ///< rows written by INSERT, UPDATE or DELETE
  Row operator[](size_t index) const { return Row(result_.get(), index); }

 private:
  std::shared_ptr<const void> result_;
};

/// An open transaction on one connection; lives only inside Pool::Transact. Not thread-safe. After a failed
/// statement every further one fails: return the error.
class Transaction {
 public:
  virtual ~Transaction() = default;
  /// Runs one statement, prepared once a connection under its text.
  virtual Result<Rows> Exec(std::string_view sql, const Params& params = {}) = 0;
  /// Lifts statement_timeout for the rest of this transaction (migrations).
  virtual Status NoTimeLimit() = 0;
  /// Runs a script of several statements without parameters (migrations).
  virtual Status ExecScript(const std::string& sql) = 0;
};

struct PoolSettings {
  std::string url;  ///< postgresql://… or key=value form; secret: it never stands in an error
  int size = 8;
  std::chrono::milliseconds connect_timeout{5'000};     ///< of one attempt
  std::chrono::milliseconds acquire_timeout{10'000};    ///< waiting for a free connection and for the server
  std::chrono::milliseconds statement_timeout{15'000};  ///< of each statement; 0 = none
  std::chrono::milliseconds cut_grace{5'000};  ///< beyond it a server that still says nothing is cut off
  std::string application_name = "ybis";
  /// Told each time the server cannot be reached, before the next attempt; may bring it back. Thread-safe.
  std::function<void(std::stop_token)> on_unreachable;
};

/// What to do when the server was lost while a commit was under way, so that nobody knows whether it
/// happened.
enum class InDoubt {
  kReport,  ///< kUnavailable whose message says "in doubt": the caller reads the state again
  kRepeat,  ///< run it again: the work is idempotent
};

/// A bounded pool of connections. Thread-safe. Connections are made when first needed and replaced when they
/// break; a server that restarts within acquire_timeout goes unnoticed by callers. Destroy it after its
/// users.
class Pool {
 public:
  explicit Pool(PoolSettings settings);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// Runs `work` in a transaction and commits when it returns a value; an error rolls back and is returned.
  /// Serialization failures, deadlocks and connections lost before the commit are retried, so `work` may run
  /// several times and must have no other effect than on the database.
  template <class Work>
  auto Transact(Work&& work, std::stop_token stop, InDoubt in_doubt = InDoubt::kReport)
      -> std::invoke_result_t<Work&, Transaction&> {
    return RunFor<std::invoke_result_t<Work&, Transaction&>>(work, false, std::move(stop), in_doubt);
  }

  /// `work` of exactly one statement, which commits by itself: one round trip instead of three.
  template <class Work>
  auto Single(Work&& work, std::stop_token stop, InDoubt in_doubt = InDoubt::kReport)
      -> std::invoke_result_t<Work&, Transaction&> {
    return RunFor<std::invoke_result_t<Work&, Transaction&>>(work, true, std::move(stop), in_doubt);
  }

  /// The same for a statement that needs no reading of its own.
  Result<Rows> Execute(std::string_view sql, const Params& params, std::stop_token stop,
                       InDoubt in_doubt = InDoubt::kReport);
  /// NOTIFY, one message for each payload; callers at the same time share a statement. Not for use in a
  /// transaction: a commit that notifies takes a lock of the whole database across its write to disk.
  Status Notify(const std::string& channel, const std::vector<std::string>& payloads, std::stop_token stop);
  const PoolSettings& settings() const;

 private:
  struct Impl;
  template <class Outcome, class Work>
  Outcome RunFor(Work& work, bool single, std::stop_token stop, InDoubt in_doubt) {
    std::optional<Outcome> outcome;
    const auto run = [&](Transaction& transaction) -> Status {
      outcome.emplace(work(transaction));
      if (!*outcome) return Fail(outcome->error());
      return {};
    };
    const Status status = Run(run, single, std::move(stop), in_doubt);
    if (!status) return Fail(status.error());
    return std::move(*outcome);
  }
  Status Run(const std::function<Status(Transaction&)>& work, bool single, std::stop_token stop,
             InDoubt in_doubt);
  std::unique_ptr<Impl> impl_;
};

/// The code a five-character SQLSTATE stands for (class 40 → kConflict, 23505 → kExists, 57014 → kTimeout,
/// …).
ErrorCode CodeOfSqlState(std::string_view sql_state);

}  // namespace ybis::store
