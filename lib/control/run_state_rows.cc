#include "control/run_state_rows.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/utf8.h"
#include "control/error_fingerprint.h"
#include "control/run_state.h"
#include "control/task_queue.h"

namespace ybis::control {
namespace {

template <class T>
Status ReadDocument(const std::shared_ptr<const nlohmann::json>& document,
                    Result<T> (*parse)(const nlohmann::json&), std::optional<T>& out) {
  if (!document) return {};
  YBIS_ASSIGN(out, parse(*document));
  return {};
}

}  // namespace

Result<RunRecord> ToRecord(const store::RunRow& row) {
  RunRecord run;
  run.run_id = row.run_id;
  run.task_uid = row.task_uid;
  run.task_namespace = row.namespace_name;
  run.task_name = row.task_name;
  run.generation = row.generation;
  run.number = row.number;
  run.attempt = row.attempt;
  run.infra_failures = row.infra_failures;
  YBIS_ASSIGN(run.state, ParseRunState(row.state));
  run.rerun_token = row.rerun_token;
  run.node = row.node;
  run.epoch = row.epoch;
  run.lease_expires = row.lease_expires;
  run.created = row.created;
  run.started = row.started;
  run.finished = row.finished;
  run.cancel_requested = row.cancel_requested;
  run.subject_digest = row.subject_digest;
  run.usage = {row.tokens_in, row.tokens_out, row.cost_usd, row.llm_calls};
  if (!row.hold_reason.empty() && run.state == RunState::kQueued) {
    run.hold = Hold{row.hold_reason, row.hold_message, row.hold_left};
  }
  YBIS_TRY(ReadDocument(row.result, api::ParseRunResult, run.result));
  YBIS_TRY(ReadDocument(row.verification, api::ParseVerificationResult, run.verification));
  YBIS_TRY(ReadDocument(row.failure, api::ParseFailure, run.failure));
  if (row.artifacts) {
    for (const auto& artifact : *row.artifacts) {
      YBIS_ASSIGN(auto ref, api::ParseArtifactRef(artifact));
      run.artifacts.push_back(std::move(ref));
    }
  }
  return run;
}

Result<std::vector<RunRecord>> ToRecords(const std::vector<store::RunRow>& rows) {
  std::vector<RunRecord> records;
  for (const store::RunRow& row : rows) {
    YBIS_ASSIGN(auto record, ToRecord(row));
    records.push_back(std::move(record));
  }
  return records;
}

Result<api::Checkpoint> ToCheckpoint(const store::CheckpointRow& row) {
  api::Checkpoint checkpoint;
  checkpoint.seq = row.seq;
  checkpoint.next_node = row.next_node;
  if (row.visits) {
    for (const auto& [node, count] : row.visits->items()) checkpoint.visits[node] = count.get<int64_t>();
  }
  checkpoint.state = row.state;
  checkpoint.base_commit = row.base_commit;
  checkpoint.patch = row.patch;
  return checkpoint;
}

void NotifyTasks(store::Pool& pool, const std::vector<std::string>& task_keys, const std::stop_token& stop) {
  const Status sent = pool.Notify(std::string(kTaskChannel), task_keys, stop);
  if (!sent) log::Warn("task change not told", {{"error", sent.error().message}});
}

store::RunEnd FailedEnd(const api::Failure& failure) {
  store::RunEnd end;
  end.state = ToString(RunState::kFailed);
  api::Failure cleaned = failure;
  cleaned.reason = Cleaned(failure.reason, 256);
  cleaned.message = Cleaned(failure.message, 1024);
  end.event = "RUN_FAILED";
  end.message = cleaned.reason + ": " + cleaned.message;
  end.failure = std::make_shared<const nlohmann::json>(api::ToJson(cleaned));
  end.error = ErrorRowOf(api::ToString(cleaned.failure_class), cleaned.reason, cleaned.message);
  return end;
}

store::RunEnd CancelledEnd(const std::string& reason) {
  store::RunEnd end = FailedEnd({api::FailureClass::kCancelled, "Cancelled", reason});
  end.state = ToString(RunState::kCancelled);
  end.error.reset();  // somebody wanted it so
  end.event = "RUN_CANCELLED";
  end.message = Cleaned(reason, 1024);
  return end;
}

store::ErrorRow ErrorRowOf(std::string_view error_class, const std::string& reason,
                           const std::string& message) {
  ErrorFingerprint fingerprint = FingerprintOf(error_class, reason, message);
  return {std::string(error_class), reason, message, std::move(fingerprint.digest),
          std::move(fingerprint.pattern)};
}

std::string Cleaned(std::string text, size_t max_bytes) {
  for (size_t at = text.find('\0'); at != std::string::npos; at = text.find('\0', at)) {
    text.replace(at, 1, "\xEF\xBF\xBD");
  }
  text = ValidUtf8(text);
  text.resize(CutAtCharacter(text, max_bytes).size());
  return text;
}

}  // namespace ybis::control
