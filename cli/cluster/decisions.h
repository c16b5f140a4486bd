#pragma once
// Decisions of people as YbisApproval objects; pure.
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "api/approval.h"
#include "cli/backend.h"

namespace ybis::cli {

/// What the task's newest run waits for, as its status tells it.
std::optional<control::Wait> WaitFrom(const TaskView& task);
/// The object to create. Its name is made of the task's and the request's key, so that the same decision is
/// made once.
nlohmann::json ApprovalObject(const TaskView& task, const control::ApprovalRequest& request);
/// What the operator made of it.
control::ApprovalResult ResultOf(const TaskView& task, const api::Approval& approval);

}  // namespace ybis::cli
