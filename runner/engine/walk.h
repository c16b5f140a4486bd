#pragma once
// The walk of a workflow's graph: one node after the other, a checkpoint reported after each.
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>

#include "api/run_api.h"
#include "base/clock.h"
#include "runner/engine/fault.h"
#include "runner/engine/journal.h"
#include "runner/engine/project_files.h"
#include "runner/engine/run_folder.h"
#include "runner/nodes/node.h"

namespace ybis::runner {

/// What a walk works with; all of it must outlive the walk.
struct WalkParts {
  const api::RunOrder& order;
  RunApi& api;
  CommandRunner& commands;
  Clock& clock;
  RunFolder& folder;
  Journal& journal;
  git::Worktree& tree;
  const git::Checkout* checkout = nullptr;               ///< whose files may be asked for; null = nobody's
  std::function<void(const std::string& node)> on_node;  ///< before each node
};

/// Walks from a checkpoint to the end. A node that is cut short leaves no trace but files on the volume and
/// recorded model calls, which its repetition reads again. Not thread-safe.
class Walk {
 public:
  Walk(WalkParts parts, api::Checkpoint checkpoint);

  /// Runs node after node until next_node is empty. The task's own failures end up in the checkpoint's state;
  /// what comes back as a Fault is everything else.
  Outcome<void> Run(std::stop_token stop);
  const api::Checkpoint& checkpoint() const { return checkpoint_; }

 private:
  struct Step {
    const api::NodeSpec* node = nullptr;
    const NodeType* type = nullptr;
    int64_t visit = 1;
    TimePoint started;
    api::Usage usage;
    std::map<std::string, int64_t> commands;  ///< how many ended ok, failed or timedOut
    std::optional<Fault> over_limit;          ///< it may not run again: its failure, for the error handler
  };

  Outcome<Step> NextStep() const;
  Outcome<void> RunStep(std::stop_token stop);
  Outcome<NodeOutput> RunNode(Step& step, std::stop_token stop);
  Outcome<NodeOutput> Perform(Step& step, nlohmann::json& state, std::stop_token stop);
  Outcome<void> TakePatch(nlohmann::json& state, std::stop_token stop);
  bool MayHandleLimit(const api::NodeSpec& node) const;
  int64_t RepairsLeft(const api::NodeSpec& gate) const;
  std::string Route(const Step& step, const NodeOutput* output, const Fault* fault,
                    nlohmann::json& state) const;
  Outcome<void> Report(const Step& step, const NodeOutput* output, const Fault* fault, std::stop_token stop);

  WalkParts parts_;
  api::Checkpoint checkpoint_;
  bool edited_ = false;  ///< the worktree may hold more than the checkpoint says: what git ignores
};

}  // namespace ybis::runner
