#pragma once
// What a finished walk comes to. Pure: a second attempt that resumes after the last node concludes the same.
#include <optional>
#include <string>

#include "api/run_api.h"

namespace ybis::runner {

/// The member of the state that the engine keeps for itself: no node can have that name. Holds gateNode (the
/// last gate that judged), lastNode, limitHandled (the run whose visit limit went to error_handler), waiting
/// {node, message} (of a human_approval node), approval (a person's, of what the last gate judged), revision
/// (what a person asked for last) and revisions (how often).
inline constexpr char kRunState[] = "@run";

struct Conclusion {
  enum class Kind { kDeliver, kComplete, kBlock, kFail } kind = Kind::kComplete;
  std::string decision;                 ///< the gate's, empty when none ran
  std::optional<api::Failure> failure;  ///< of kBlock and kFail

  // Of kBlock: what waits, and where.
  std::string wait_node;
  std::string subject_digest;
  bool walk_goes_on = false;  ///< approved, the walk goes on behind wait_node; else it is over
};

/// Reads the checkpoint after the last node. A change is delivered only when a gate approved exactly this
/// patch, or blocked it and a person approved it since; with spec.approval.mode Always only when a person
/// did. What would wait fails with mode Never.
Conclusion Conclude(const api::RunOrder& order, const api::Checkpoint& checkpoint);

/// The parts of the finish report that the checkpoint tells; branch and commit come from the delivery.
api::FinishReport ReportOf(const Conclusion& conclusion, const api::Checkpoint& checkpoint);

}  // namespace ybis::runner
