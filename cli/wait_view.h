#pragma once
// How a run that waits looks to the people who decide.
#include <ostream>
#include <string>

#include "cli/backend.h"
#include "cli/table.h"

namespace ybis::cli {

/// Since when it waits, until when, what for, and how many have approved.
void PrintWait(std::ostream& out, const control::Wait& wait, TimePoint now);
/// kConflict when `patch`, which people take for the change that waits, is another one than its run's result
/// names.
Status CheckShown(const TaskView& task, const std::string& patch);
/// The same of the run's patch.diff; what cannot be read is not judged.
Status CheckShown(Backend& backend, const TaskView& task);
/// All that a decision should rest on: the wait, what verifier and gate found, and the change, of which at
/// most 200 lines. What cannot be read is said, not left out.
void PrintFacts(std::ostream& out, Backend& backend, const TaskView& task, const control::Wait& wait,
                const Paint& paint);
/// "approve" → "Approve".
std::string Capitalized(std::string text);

}  // namespace ybis::cli
