#pragma once
// What the operator's tests share: tasks, runs, Jobs and pods as they come from outside, and fakes of the
// record and of events.
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "api/task.h"
#include "base/clock.h"
#include "kube/events.h"
#include "operator/task/act.h"
#include "operator/task/observe.h"
#include "operator/task/open_runs.h"
#include "operator/task/snapshot.h"

namespace ybis::op::testing {

inline const TimePoint kNow = *ParseRfc3339("2026-03-01T12:00:00Z");
inline constexpr char kUid[] = "aaaa1111-2222-3333-4444-555566667777";
inline constexpr char kRun[] = "aaaa1111-1";

/// A task object as the API server gives it; `spec` is merged over a minimal one.
nlohmann::json TaskObject(const nlohmann::json& spec = nlohmann::json::object(),
                          const std::string& name = "fix");
/// The Job of the first run, with `status` and `spec` merged in.
nlohmann::json JobObject(const nlohmann::json& more = nlohmann::json::object());
/// A pod of that Job.
nlohmann::json PodObject(const nlohmann::json& status, const std::string& name = "pod-1");

control::RunRecord RunIn(control::RunState state);
/// What that run waits for when it is blocked: one approval, a protected path.
control::Wait SomeWait();
control::Config SomeConfig();
TaskSettings SomeSettings();
/// Of a task that exists, was accepted, and has no run.
Snapshot SnapshotOf(const nlohmann::json& object);

template <class T>
std::vector<T> Of(const Plan& plan) {
  std::vector<T> found;
  for (const Action& action : plan.actions) {
    if (const T* one = std::get_if<T>(&action)) found.push_back(*one);
  }
  return found;
}

/// The record in memory, with places to run and failures on demand. Not thread-safe.
class FakeRecords final : public control::TaskRecords, public LostHolders, public OpenRuns, public Waits {
 public:
  std::map<std::string, std::vector<control::RunRecord>> runs;  ///< by task UID, oldest first
  bool has_room = true;
  bool holds_end_at_once = false;  ///< those that end by themselves
  int submits = 0;
  std::map<std::string, control::Wait> waits;  ///< by run
  std::function<void()> before_wait;           ///< what happens just before somebody asks for a wait
  int admissions = 0;                          ///< Admit was called; with room it dispatches what is queued
  std::vector<std::string> lost;               ///< holders reported
  std::vector<std::string> journal;            ///< types of entries
  std::optional<Error> broken;                 ///< every call fails with it
  std::optional<Error> no_rerun;               ///< what a submission that begins at a node fails with
  std::string begun_at;                        ///< the node of the last one

  Result<std::optional<control::RunRecord>> LatestRun(const std::string& task_uid) override;
  Result<control::RunRecord> Submit(const control::TaskSubmission& submission) override;
  Result<std::vector<control::RunRecord>> Admit() override;
  Status HoldBack(const std::string& run_id, const std::string& reason, const std::string& message,
                  std::optional<std::chrono::seconds> retry_after) override;
  Status Release(const std::string& run_id) override;
  Status Cancel(const std::string& run_id, const std::string& reason) override;
  Status Fail(const std::string& run_id, const api::Failure& failure) override;
  Status RecordEvent(const std::string& run_id, const std::string& key, const std::string& type,
                     const std::string& message) override;
  Status HolderLost(const std::string& run_id, const std::string& holder, std::stop_token stop) override;
  Result<std::vector<OpenRun>> List(std::stop_token stop) override;
  Result<std::optional<control::Wait>> WaitOf(const std::string& run_id, std::stop_token stop) override;

  control::RunRecord* Find(const std::string& run_id);
};

class FakeEvents final : public kube::EventSink {
 public:
  struct Entry {
    kube::EventType type;
    std::string reason;
    std::string note;
  };
  std::vector<Entry> entries;
  void Record(const nlohmann::json&, kube::EventType type, std::string_view reason, std::string_view,
              std::string_view note) override {
    entries.push_back({type, std::string(reason), std::string(note)});
  }
};

}  // namespace ybis::op::testing
