#pragma once
// Between the rows of lib/store and the records of the control core. Internal to lib/control.
#include <string>
#include <vector>

#include "api/run_api.h"
#include "control/run_record.h"
#include "store/database.h"
#include "store/node_store.h"
#include "store/run_store.h"

namespace ybis::control {

Result<RunRecord> ToRecord(const store::RunRow& row);
Result<std::vector<RunRecord>> ToRecords(const std::vector<store::RunRow>& rows);
Result<api::Checkpoint> ToCheckpoint(const store::CheckpointRow& row);

/// Tells tasks of a change on kTaskChannel. After the commit and not inside it, see Pool::Notify. Whoever
/// repeats a call that a crash cut short tells again, and listeners look at everything when they connect.
void NotifyTasks(store::Pool& pool, const std::vector<std::string>& task_keys, const std::stop_token& stop);

/// How a run ends that failed or was cancelled from outside.
store::RunEnd FailedEnd(const api::Failure& failure);
store::RunEnd CancelledEnd(const std::string& reason);

/// A failure as error_records has it; the texts are Cleaned.
store::ErrorRow ErrorRowOf(std::string_view error_class, const std::string& reason,
                           const std::string& message);

/// Text for a text column: NUL bytes and what is no UTF-8 become U+FFFD, and at most `max_bytes` remain.
std::string Cleaned(std::string text, size_t max_bytes);

}  // namespace ybis::control
