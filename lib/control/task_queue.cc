#include "control/task_queue.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/sync.h"
#include "control/run_state.h"
#include "control/run_state_rows.h"
#include "control/task_queue_admission.h"
#include "store/event_store.h"
#include "store/lease_store.h"
#include "store/listener.h"
#include "store/queue_store.h"
#include "store/rerun_store.h"
#include "store/run_store.h"

namespace ybis::control {
namespace {

using store::InDoubt;
using store::QueueHints;
using store::QueueStore;
using store::RunStore;
using store::Transaction;

constexpr int64_t kNoLimit = 1'000'000;

std::shared_ptr<const nlohmann::json> Shared(nlohmann::json value) {
  return std::make_shared<const nlohmann::json>(std::move(value));
}

store::OrderRow OrderOf(const TaskSubmission& submission) {
  nlohmann::json workflow = {{"name", submission.workflow.name}, {"spec", api::ToJson(submission.workflow)}};
  const api::LimitsSpec& limits = submission.spec.limits;
  return {Shared(api::ToJson(submission.spec)), Shared(std::move(workflow)),
          Shared(api::ToJson(submission.policy)),
          limits.timeout_seconds > 0 ? limits.timeout_seconds : submission.default_timeout_seconds,
          limits.max_infra_retries};
}

/// Where a run that begins in the middle takes over.
struct Start {
  std::string run_id;  ///< the earlier run
  int64_t nodes = 0;   ///< of it
};

/// What the task's newest run had before rerun.fromNode; none when the new run is to begin at the beginning.
/// Refused with kNotFound (no such node) or kInvalid (nothing to go on from), never retryable.
Result<std::optional<Start>> FindStart(Transaction& tx, const TaskSubmission& submission) {
  const std::string& node = submission.spec.rerun_from;
  if (node.empty()) return std::nullopt;
  const auto refuse = [&node](ErrorCode code, std::string why) {
    return ybis::Fail(code, fmt::format("a new run cannot begin at node '{}': {}", node, why));
  };
  const auto& nodes = submission.workflow.nodes;
  const bool known =
      std::any_of(nodes.begin(), nodes.end(), [&](const api::NodeSpec& one) { return one.name == node; });
  if (!known) {
    std::vector<std::string> names;
    for (const api::NodeSpec& one : nodes) names.push_back(one.name);
    return refuse(ErrorCode::kNotFound,
                  fmt::format("workflow {} has {}", submission.workflow.name, fmt::join(names, ", ")));
  }
  RunStore runs(tx);
  YBIS_ASSIGN(const auto earlier, runs.Latest(submission.uid));
  if (!earlier) return refuse(ErrorCode::kInvalid, "the task has no earlier run");
  YBIS_ASSIGN(const auto order, runs.Order(earlier->run_id));
  const store::OrderRow wanted = OrderOf(submission);
  if (!order || *order->workflow != *wanted.workflow) {
    return refuse(ErrorCode::kInvalid, fmt::format("the workflow is not the one that run {} walked; leave "
                                                   "rerun.fromNode (--from) out",
                                                   earlier->run_id));
  }
  if (order->spec->value("repository", nlohmann::json()) !=
      wanted.spec->value("repository", nlohmann::json())) {
    return refuse(ErrorCode::kInvalid,
                  fmt::format("run {} was about another repository or ref", earlier->run_id));
  }
  store::RerunStore reruns(tx);
  YBIS_ASSIGN(const auto reached, reruns.ReachedAt(earlier->run_id, node));
  if (reached) return Start{earlier->run_id, *reached};
  if (node == submission.workflow.entry_point) return Start{earlier->run_id, 0};
  YBIS_ASSIGN(const auto came_to, reruns.NodesReached(earlier->run_id));
  return refuse(ErrorCode::kInvalid,
                fmt::format("run {} never came to it{}{}", earlier->run_id,
                            came_to.empty() ? "" : "; it came to ", fmt::join(came_to, ", ")));
}

/// The one that a run goes back to the queue with.
Result<int> PriorityOf(Transaction& tx, const std::string& run_id) {
  YBIS_ASSIGN(const auto order, RunStore(tx).Order(run_id));
  if (!order) return ybis::Fail(ErrorCode::kNotFound, "there is no run " + run_id);
  YBIS_ASSIGN(const api::TaskSpec spec, api::ParseTaskSpec(*order->spec));
  return static_cast<int>(spec.priority);
}

std::vector<std::string> KeysOf(const std::vector<RunRecord>& runs) {
  std::vector<std::string> keys;
  for (const RunRecord& run : runs) keys.push_back(run.task_namespace + "/" + run.task_name);
  return keys;
}

}  // namespace

struct TaskQueue::Impl {
  struct Admission {
    std::vector<std::string> run_ids;
    QueueHints hints;  ///< to be kept once the transaction is committed
  };

  Impl(store::Pool& given_pool, AdmissionLimits given_limits, std::stop_token given_stop)
      : pool(given_pool), limits(given_limits), stop(std::move(given_stop)) {}

  Result<Admission> AdmitIn(Transaction& tx, const std::string& admission, int64_t max);
  Status Fill(QueueStore& queue, AdmissionPlan& plan, QueueHints& hints) const;
  Result<std::vector<std::string>> SubmitIn(Transaction& tx, const TaskSubmission& submission,
                                            const std::string& admission, int64_t max, QueueHints& hints);
  Result<std::vector<RunRecord>> SubmitUpTo(const TaskSubmission& submission, int64_t max);
  Status Refresh(RunStore& runs, QueueStore& queue, const store::RunRow& run,
                 const TaskSubmission& submission);
  Result<std::vector<RunRecord>> Read(const std::vector<std::string>& run_ids);
  static Result<std::string> EndIn(Transaction& tx, const std::string& run_id, const store::RunEnd& end,
                                   RunEvent event);
  Status End(const std::string& run_id, const store::RunEnd& end, RunEvent event);

  store::Pool& pool;
  AdmissionLimits limits;
  std::stop_token stop;
  Sync<QueueHints> hints;
};

/// Goes through the waiting runs, all of a priority before the next one's, until no place is left; moves the
/// hints up to the first run that stays. The first page of every priority comes in one statement. Once a run
/// stays, the database leaves out what cannot start, so that thousands that wait for one lane are not sent
/// each time.
Status TaskQueue::Impl::Fill(QueueStore& queue, AdmissionPlan& plan, QueueHints& next) const {
  constexpr size_t kFirstPage = 8;
  constexpr size_t kPage = 500;
  if (plan.Full()) return {};
  YBIS_ASSIGN(const auto first, queue.Waiting(next.waiting, kFirstPage));
  for (int priority = 0; priority < store::kPriorities && !plan.Full(); ++priority) {
    std::vector<store::WaitingRow> rows;
    std::copy_if(first.begin(), first.end(), std::back_inserter(rows),
                 [&](const store::WaitingRow& row) { return row.priority == priority; });
    bool stays = false;
    for (size_t page = kFirstPage;; page = kPage) {
      for (const store::WaitingRow& row : rows) {
        if (!plan.Take(row)) stays = true;
        if (!stays) next.waiting.at(priority) = row.position;
      }
      if (rows.size() < page || plan.Full()) break;
      std::array<int64_t, store::kPriorities> after;
      after.fill(std::numeric_limits<int64_t>::max());
      after.at(priority) = rows.back().position;
      const auto lanes = stays ? plan.FullLanes() : std::vector<std::string>();
      const auto namespaces = stays ? plan.FullNamespaces() : std::vector<std::string>();
      YBIS_ASSIGN(rows, queue.Waiting(after, kPage, lanes, namespaces));
    }
  }
  return {};
}

/// The caller holds no lock yet; after this the admission lock, until the end of the transaction.
Result<TaskQueue::Impl::Admission> TaskQueue::Impl::AdmitIn(Transaction& tx, const std::string& admission,
                                                            int64_t max) {
  QueueStore queue(tx);
  YBIS_TRY(queue.Lock());
  Admission out;
  out.hints = *hints.Lock();
  YBIS_ASSIGN(const auto active, queue.Active(out.hints));
  for (const store::ActiveRow& row : active) {
    if (row.admission == admission) out.run_ids.push_back(row.run_id);  // this very call, its commit in doubt
  }
  if (!out.run_ids.empty()) return out;
  AdmissionPlan plan(limits, active, max);
  YBIS_TRY(Fill(queue, plan, out.hints));
  if (plan.taken().empty()) return out;
  YBIS_TRY(queue.Admit(plan.taken(), admission));
  for (const store::WaitingRow& row : plan.taken()) out.run_ids.push_back(row.run_id);
  return out;
}

/// A queued run follows its task's newest generation and keeps its turn unless the place itself changes; once
/// dispatched it keeps what it started with, also when it is queued again after a wait.
Status TaskQueue::Impl::Refresh(RunStore& runs, QueueStore& queue, const store::RunRow& run,
                                const TaskSubmission& submission) {
  if (run.attempt > 0) return {};
  const auto priority = static_cast<int>(submission.spec.priority);
  const std::string lane = LaneOf(submission.spec);
  YBIS_ASSIGN(const auto place, queue.Find(run.run_id));
  if (!place) {
    YBIS_ASSIGN(const bool held, queue.MoveHeld(run.run_id, priority, submission.namespace_name, lane));
    if (!held) return {};
    return runs.ReplaceOrder(run.run_id, OrderOf(submission));
  }
  if (place->priority != priority || place->namespace_name != submission.namespace_name ||
      place->lane != lane) {
    YBIS_ASSIGN(const bool waiting, queue.Remove(run.run_id));
    if (!waiting) return {};
    YBIS_TRY(queue.Enqueue(run.run_id, priority, submission.namespace_name, lane));
  }
  return runs.ReplaceOrder(run.run_id, OrderOf(submission));
}

Result<std::vector<std::string>> TaskQueue::Impl::SubmitIn(Transaction& tx, const TaskSubmission& submission,
                                                           const std::string& admission, int64_t max,
                                                           QueueHints& committed_hints) {
  RunStore runs(tx);
  QueueStore queue(tx);
  YBIS_TRY(queue.Lock());  // before the rows, so that positions grow in the order of commits
  const store::TaskRow task{submission.uid, submission.namespace_name, submission.name,
                            submission.generation};
  if (submission.unique_name) {
    YBIS_ASSIGN(const bool taken, runs.NameTaken(task));
    if (taken) return ybis::Fail(ErrorCode::kExists, fmt::format("task {} is there already", task.name));
  }
  YBIS_ASSIGN(const int64_t known_generation, runs.Generation(task.uid));
  YBIS_TRY(runs.PutTask(task));
  YBIS_ASSIGN(const auto existing, runs.ByToken(task.uid, submission.spec.rerun_token));
  if (!existing) {
    YBIS_ASSIGN(const auto start, FindStart(tx, submission));
    YBIS_ASSIGN(const auto run_id, runs.AddRun(task, submission.spec.rerun_token, OrderOf(submission)));
    if (start) {
      YBIS_TRY(store::RerunStore(tx).Copy(start->run_id, run_id, start->nodes, submission.spec.rerun_from));
    }
    YBIS_TRY(queue.Enqueue(run_id, static_cast<int>(submission.spec.priority), submission.namespace_name,
                           LaneOf(submission.spec)));
  } else if (submission.generation > known_generation) {
    YBIS_TRY(Refresh(runs, queue, *existing, submission));
  }
  YBIS_ASSIGN(auto admitted, AdmitIn(tx, admission, max));
  committed_hints = admitted.hints;
  return std::move(admitted.run_ids);
}

Result<std::vector<RunRecord>> TaskQueue::Impl::Read(const std::vector<std::string>& run_ids) {
  if (run_ids.empty()) return std::vector<RunRecord>{};
  YBIS_ASSIGN(const auto rows, pool.Single([&](Transaction& tx) { return RunStore(tx).FindAll(run_ids); },
                                           stop, InDoubt::kRepeat));
  return ToRecords(rows);
}

/// Ends a run that nobody works on, or whatever its holder does. Nothing happens to one that is over. Returns
/// the task's key.
Result<std::string> TaskQueue::Impl::EndIn(Transaction& tx, const std::string& run_id,
                                           const store::RunEnd& end, RunEvent event) {
  RunStore runs(tx);
  YBIS_ASSIGN(const auto run, runs.Find(run_id));
  if (!run) return ybis::Fail(ErrorCode::kNotFound, "there is no run " + run_id);
  std::string key = run->namespace_name + "/" + run->task_name;
  YBIS_ASSIGN(const RunState state, ParseRunState(run->state));
  if (IsTerminal(state)) return key;
  YBIS_TRY(Transition(state, event));
  YBIS_TRY(runs.End(run_id, end));
  return key;
}

Status TaskQueue::Impl::End(const std::string& run_id, const store::RunEnd& end, RunEvent event) {
  const auto work = [&](Transaction& tx) { return EndIn(tx, run_id, end, event); };
  YBIS_ASSIGN(const std::string key, pool.Transact(work, stop, InDoubt::kRepeat));
  NotifyTasks(pool, {key}, stop);
  return {};
}

TaskQueue::TaskQueue(store::Pool& pool, AdmissionLimits limits, std::stop_token stop)
    : impl_(std::make_unique<Impl>(pool, limits, std::move(stop))) {}
TaskQueue::~TaskQueue() = default;

Result<std::optional<RunRecord>> TaskQueue::LatestRun(const std::string& task_uid) {
  YBIS_ASSIGN(const auto row,
              impl_->pool.Single([&](Transaction& tx) { return RunStore(tx).Latest(task_uid); }, impl_->stop,
                                 InDoubt::kRepeat));
  if (!row) return std::nullopt;
  YBIS_ASSIGN(auto record, ToRecord(*row));
  return record;
}

/// Records it, admits at most `max` runs and returns those.
Result<std::vector<RunRecord>> TaskQueue::Impl::SubmitUpTo(const TaskSubmission& submission, int64_t max) {
  const std::string admission = NewUuid();
  QueueHints next;
  bool again = false;
  const auto work = [&](Transaction& tx) {
    if (std::exchange(again, true)) *hints.Lock() = {};  // the connection may have ended in a crash
    return SubmitIn(tx, submission, admission, max, next);
  };
  YBIS_ASSIGN(const auto run_ids, pool.Transact(work, stop, InDoubt::kRepeat));
  *hints.Lock() = next;
  return Read(run_ids);
}

Result<RunRecord> TaskQueue::Submit(const TaskSubmission& submission) {
  YBIS_ASSIGN(const auto admitted, impl_->SubmitUpTo(submission, kNoLimit));
  NotifyTasks(impl_->pool, KeysOf(admitted), impl_->stop);
  YBIS_ASSIGN(auto latest, LatestRun(submission.uid));
  if (!latest) return ybis::Fail(ErrorCode::kInternal, "a submitted run is gone: task " + submission.uid);
  return std::move(*latest);
}

Status TaskQueue::CheckRerun(const TaskSubmission& submission) {
  const auto look = [&](Transaction& tx) { return FindStart(tx, submission); };
  YBIS_TRY(impl_->pool.Transact(look, impl_->stop, InDoubt::kRepeat));
  return {};
}

Result<RunRecord> TaskQueue::Enqueue(const TaskSubmission& submission) {
  YBIS_TRY(impl_->SubmitUpTo(submission, 0));
  YBIS_ASSIGN(auto latest, LatestRun(submission.uid));
  if (!latest) return ybis::Fail(ErrorCode::kInternal, "a submitted run is gone: task " + submission.uid);
  NotifyTasks(impl_->pool, KeysOf({*latest}), impl_->stop);
  return std::move(*latest);
}

Result<std::vector<RunRecord>> TaskQueue::Admit() { return AdmitUpTo(kNoLimit); }

Result<std::vector<RunRecord>> TaskQueue::AdmitUpTo(int64_t max) {
  const std::string admission = NewUuid();
  bool again = false;
  const auto work = [&](Transaction& tx) -> Result<Impl::Admission> {
    if (std::exchange(again, true)) *impl_->hints.Lock() = {};  // the connection may have ended in a crash
    YBIS_TRY(QueueStore(tx).CommitLazily());
    return impl_->AdmitIn(tx, admission, max);
  };
  YBIS_ASSIGN(const auto done, impl_->pool.Transact(work, impl_->stop, InDoubt::kRepeat));
  *impl_->hints.Lock() = done.hints;
  YBIS_ASSIGN(auto runs, impl_->Read(done.run_ids));
  NotifyTasks(impl_->pool, KeysOf(runs), impl_->stop);
  return runs;
}

Result<std::vector<std::string>> TaskQueue::AdmitRun(const std::string& run_id) {
  const std::string admission = NewUuid();
  const auto work = [&](Transaction& tx) -> Result<std::vector<std::string>> {
    QueueStore queue(tx);
    YBIS_TRY(queue.Lock());
    QueueHints all;
    YBIS_ASSIGN(const auto active, queue.Active(all));
    YBIS_ASSIGN(const auto row, queue.Find(run_id));
    if (!row) return std::vector<std::string>();
    AdmissionPlan plan(impl_->limits, active, 1);
    if (!plan.Take(*row)) return InTheWay(impl_->limits, active, *row);
    YBIS_TRY(queue.Admit(plan.taken(), admission));
    return std::vector<std::string>();
  };
  return impl_->pool.Transact(work, impl_->stop, InDoubt::kRepeat);
}

Status TaskQueue::PutBack(const std::vector<std::string>& run_ids, std::chrono::seconds idle) {
  const auto work = [&](Transaction& tx) -> Result<std::vector<std::string>> {
    QueueStore queue(tx);
    YBIS_TRY(queue.Lock());
    YBIS_ASSIGN(auto abandoned, queue.Abandoned(run_ids, idle));
    for (const std::string& run_id : abandoned) {
      YBIS_ASSIGN(const int priority, PriorityOf(tx, run_id));
      YBIS_TRY(queue.PutBack(run_id, priority));
    }
    return abandoned;
  };
  YBIS_ASSIGN(const auto put, impl_->pool.Transact(work, impl_->stop, InDoubt::kRepeat));
  YBIS_ASSIGN(const auto runs, impl_->Read(put));
  NotifyTasks(impl_->pool, KeysOf(runs), impl_->stop);  // whoever has room takes them up
  return {};
}

Status TaskQueue::HoldBack(const std::string& run_id, const std::string& reason, const std::string& message,
                           std::optional<std::chrono::seconds> retry_after) {
  const store::HoldRow hold{Cleaned(reason, 256), Cleaned(message, 1024), retry_after};
  const auto work = [&](Transaction& tx) -> Result<bool> {
    QueueStore queue(tx);
    YBIS_TRY(queue.Lock());
    YBIS_ASSIGN(const int priority, PriorityOf(tx, run_id));
    return queue.Hold(run_id, priority, hold);
  };
  YBIS_TRY(impl_->pool.Transact(work, impl_->stop, InDoubt::kRepeat));
  return {};
}

Status TaskQueue::Release(const std::string& run_id) {
  const auto work = [&](Transaction& tx) -> Result<bool> {
    QueueStore queue(tx);
    YBIS_TRY(queue.Lock());
    return queue.Release(run_id);
  };
  YBIS_TRY(impl_->pool.Transact(work, impl_->stop, InDoubt::kRepeat));
  return {};
}

Status TaskQueue::Cancel(const std::string& run_id, const std::string& reason) {
  // One transaction: a run that was asked to stop but not ended would be admitted, and nobody could claim it.
  const auto work = [&](Transaction& tx) -> Result<std::string> {
    // Queue, lease, run: the order in which admission locks them.
    YBIS_TRY(QueueStore(tx).Remove(run_id));
    YBIS_TRY(RunStore(tx).RequestCancel(run_id, Cleaned(reason, 1024)));
    YBIS_ASSIGN(const auto view, store::LeaseStore(tx).View(run_id));
    if (!view) return ybis::Fail(ErrorCode::kNotFound, "there is no run " + run_id);
    if (view->state == ToString(RunState::kRunning)) return std::string();
    return Impl::EndIn(tx, run_id, CancelledEnd(reason), RunEvent::kCancel);
  };
  YBIS_ASSIGN(const std::string key, impl_->pool.Transact(work, impl_->stop, InDoubt::kRepeat));
  if (!key.empty()) NotifyTasks(impl_->pool, {key}, impl_->stop);
  return {};
}

Status TaskQueue::Fail(const std::string& run_id, const api::Failure& failure) {
  // A cancelled run whose runner is known to be gone need not wait for its lease.
  if (failure.failure_class == api::FailureClass::kCancelled) {
    return impl_->End(run_id, CancelledEnd(failure.message), RunEvent::kCancel);
  }
  return impl_->End(run_id, FailedEnd(failure), RunEvent::kFail);
}

Status TaskQueue::RecordEvent(const std::string& run_id, const std::string& key, const std::string& type,
                              const std::string& message) {
  const store::EventRow event{0,       run_id, Cleaned(key, 256), Cleaned(type, 128), Cleaned(message, 4096),
                              nullptr, {}};
  YBIS_ASSIGN(const bool there,
              impl_->pool.Single([&](Transaction& tx) { return store::EventStore(tx).Append(event); },
                                 impl_->stop, InDoubt::kRepeat));
  if (!there) return ybis::Fail(ErrorCode::kNotFound, "there is no run " + run_id);
  return {};
}

Result<int64_t> TaskQueue::Depth() {
  return impl_->pool.Single([](Transaction& tx) { return QueueStore(tx).Depth(); }, impl_->stop,
                            InDoubt::kRepeat);
}

struct TaskChanges::Impl {
  store::Listener listener;
};

TaskChanges::TaskChanges(
    const std::string& database_url,
    std::function<void(const std::string& namespace_name, const std::string& name)> on_change,
    std::function<void()> on_connected)
    : impl_(new Impl{store::Listener(
          store::ListenerSettings{database_url, {std::string(kTaskChannel)}},
          [on_change = std::move(on_change)](std::string_view, std::string_view key) {
            const size_t slash = key.find('/');
            if (slash == std::string_view::npos) return;
            on_change(std::string(key.substr(0, slash)), std::string(key.substr(slash + 1)));
          },
          std::move(on_connected))}) {}
TaskChanges::~TaskChanges() = default;

}  // namespace ybis::control
