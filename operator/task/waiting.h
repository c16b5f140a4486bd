#pragma once
// How a wait for a person is shown; pure.
#include <string>

#include "api/task.h"
#include "control/approvals.h"

namespace ybis::op {

/// Whether the status that was last written says that the run waits: what its Job did since then is of the
/// time before the decision.
bool ShownAsWaiting(const api::Task& task);

/// Why it waits, for how many people and until when, and the command that decides.
std::string HowToDecide(const api::Task& task, const control::Wait& wait);

/// The note of a reminder.
std::string Reminder(const control::Wait& wait, TimePoint now);

}  // namespace ybis::op
