// human_approval: the walk stops here until a person has decided.
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "runner/nodes/node.h"
#include "runner/nodes/prompt.h"

namespace ybis::runner {

using nlohmann::json;

Outcome<NodeOutput> RunHumanApproval(NodeContext& context, std::stop_token stop) {
  const auto text = context.node.config->find("message");
  if (text != context.node.config->end() && !text->is_string()) {
    return FaultUnexpected(
        TaskFault(api::FailureClass::kInvalid, "NodeConfigInvalid",
                  fmt::format("node {}: config.message: must be a text", context.node.name)));
  }
  YBIS_ASSIGN_FAULT(FaultSource::kWorktree, const std::string patch, context.tree.Snapshot(std::move(stop)));
  const std::string message =
      text == context.node.config->end()
          ? fmt::format("node {} waits for a person's approval", context.node.name)
          : Substitute(text->get_ref<const std::string&>(), context.order.spec.parameters);
  return NodeOutput{.state = {{"decision", "waiting"}, {"message", message}, {"patchDigest", Digest(patch)}},
                    .input = {{"patchDigest", Digest(patch)}},
                    .summary = {{"message", message}},
                    .waits = true};
}

}  // namespace ybis::runner
