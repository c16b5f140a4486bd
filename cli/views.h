#pragma once
// How runs and tasks look to people, on either backend.
#include <ostream>
#include <string>

#include "cli/backend.h"
#include "cli/table.h"

namespace ybis::cli {

/// A patch as it is, or for a terminal: nothing in it is obeyed, and its lines are coloured if they may be.
std::string PaintedPatch(const std::string& patch, const Paint& paint);
/// One line of a finished node: "20:31:02  verify    ok      1.2s  passed 3, failed 0".
std::string NodeLine(const control::NodeSummary& node, size_t name_width, const Paint& paint);
/// Result, branch, change, verification, usage, time and what to do next.
void PrintResult(std::ostream& out, const std::string& name, const api::TaskSpec& spec,
                 const api::TaskStatus& status, const CommandForm& command, const Paint& paint);

}  // namespace ybis::cli
