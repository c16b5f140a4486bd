#include "control/watchdog.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "control/run_state.h"
#include "control/run_state_rows.h"
#include "store/lease_store.h"
#include "store/run_store.h"

namespace ybis::control {
namespace {

using store::InDoubt;
using store::LeaseStore;
using store::OverdueRow;
using store::RunStore;
using store::Transaction;

constexpr int64_t kBatch = 100;

/// What is to be done about an overdue lease; nothing = back to Dispatched.
std::optional<store::RunEnd> EndFor(const OverdueRow& row) {
  if (row.cancel) return CancelledEnd("the task was cancelled");
  if (row.late) {
    return FailedEnd(
        {api::FailureClass::kTimeout, "DeadlineExceeded",
         "the run passed its time limit; raise spec.limits.timeoutSeconds or make the task smaller"});
  }
  if (row.exhausted) {
    return FailedEnd(
        {api::FailureClass::kInfra, "LeaseExpired",
         fmt::format("the runner went silent {} times; look at its pods and nodes", row.infra + 1)});
  }
  return std::nullopt;
}

Result<std::vector<store::RunRow>> SweepIn(Transaction& tx, const std::string& run_id) {
  LeaseStore leases(tx);
  RunStore runs(tx);
  YBIS_ASSIGN(const auto overdue, leases.Overdue(run_id, kBatch));
  std::vector<std::string> changed;
  for (const OverdueRow& row : overdue) {
    if (const auto end = EndFor(row)) {
      YBIS_TRY(runs.End(row.run_id, *end));
    } else {
      YBIS_TRY(leases.Requeue(row.run_id, "no sign of " + row.holder));
    }
    changed.push_back(row.run_id);
  }
  return runs.FindAll(changed);
}

}  // namespace

Result<std::vector<RunRecord>> Watchdog::SweepSome(const std::string& run_id, std::stop_token stop) {
  const auto work = [&](Transaction& tx) { return SweepIn(tx, run_id); };
  YBIS_ASSIGN(const auto rows, pool_.Transact(work, stop, InDoubt::kRepeat));
  YBIS_ASSIGN(auto records, ToRecords(rows));
  std::vector<std::string> keys;
  for (const RunRecord& run : records) keys.push_back(run.task_namespace + "/" + run.task_name);
  NotifyTasks(pool_, keys, stop);
  return records;
}

Result<std::vector<RunRecord>> Watchdog::Sweep(std::stop_token stop) {
  std::vector<RunRecord> all;
  for (;;) {
    YBIS_ASSIGN(auto some, SweepSome({}, stop));
    const bool more = some.size() == static_cast<size_t>(kBatch);
    std::move(some.begin(), some.end(), std::back_inserter(all));
    if (!more) return all;
  }
}

Result<std::vector<RunRecord>> Watchdog::HolderLost(const std::string& run_id, const std::string& holder,
                                                    std::stop_token stop) {
  YBIS_ASSIGN(const bool expired,
              pool_.Single([&](Transaction& tx) { return LeaseStore(tx).Expire(run_id, holder); }, stop,
                           InDoubt::kRepeat));
  if (!expired) return std::vector<RunRecord>();
  return SweepSome(run_id, stop);
}

int64_t CountExpired(const std::vector<RunRecord>& swept) {
  return std::count_if(swept.begin(), swept.end(), [](const RunRecord& run) {
    return !run.failure || run.failure->failure_class != api::FailureClass::kTimeout;
  });
}

WatchdogThread::WatchdogThread(store::Pool& pool, std::chrono::milliseconds interval,
                               WatchdogCallbacks callbacks, Metrics* metrics)
    : watchdog_(pool),
      approvals_(pool, metrics),
      clean_up_(pool, metrics),
      thread_([this, interval, callbacks = std::move(callbacks)](std::stop_token stop) {
        while (SystemClock().SleepFor(interval, stop)) {
          try {
            SweepOnce(callbacks, stop);
          } catch (const std::exception& failure) {
            log::Error("a sweep of the watchdog failed; the next one comes", {{"error", failure.what()}});
          }
        }
      }) {}

void WatchdogThread::SweepOnce(const WatchdogCallbacks& callbacks, const std::stop_token& stop) {
  const auto swept = watchdog_.Sweep(stop);
  if (!swept && !stop.stop_requested()) {
    log::Warn("watchdog sweep failed", {{"error", swept.error().message}});
  }
  if (swept && callbacks.on_swept && !swept->empty()) callbacks.on_swept(*swept);
  SweepWaits(callbacks, stop);
  const auto cleaned = clean_up_.Sweep(stop);
  if (!cleaned && !stop.stop_requested()) {
    log::Warn("the record was not cleared up", {{"error", cleaned.error().message}});
  }
}

void WatchdogThread::SweepWaits(const WatchdogCallbacks& callbacks, const std::stop_token& stop) {
  const auto waits = approvals_.Sweep(stop);
  if (!waits) {
    if (!stop.stop_requested()) log::Warn("approval sweep failed", {{"error", waits.error().message}});
    return;
  }
  if (callbacks.on_expired && !waits->expired.empty()) callbacks.on_expired(waits->expired);
  if (callbacks.on_reminders && !waits->reminders.empty()) callbacks.on_reminders(waits->reminders);
}

}  // namespace ybis::control
