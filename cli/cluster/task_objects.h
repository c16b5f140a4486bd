#pragma once
// YbisTask objects as the command line shows them; pure.
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "cli/backend.h"
#include "kube/client.h"

namespace ybis::cli {

/// A line of a list; reads what is there and never fails, so that one odd object cannot hide the others.
control::TaskSummary SummaryOf(const nlohmann::json& object);
/// Everything of one task; errors name the field that this program cannot read.
Result<TaskView> ViewOf(nlohmann::json object);
/// Whether `reference` means this object: its name, uid, four or more characters of its uid, or the id of a
/// run of it.
bool Means(const std::string& reference, const nlohmann::json& object);
/// Sorts as the record does, and keeps the first `limit`.
void Arrange(std::vector<control::TaskSummary>& tasks, control::TaskOrder order, int64_t limit);
/// The task's run as a lease, when it is under way.
std::optional<control::LeaseSummary> LeaseOf(const nlohmann::json& object);

}  // namespace ybis::cli
