// command: runs a program in the sandbox; what it changes in the worktree becomes part of the change. Also
// the executor's adapter `command`: any agent or codemod.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "runner/nodes/node.h"
#include "runner/nodes/task_command.h"

namespace ybis::runner {

using nlohmann::json;

Outcome<NodeOutput> RunCommand(NodeContext& context, std::stop_token stop) {
  ObjectReader reader(*context.node.config, fmt::format("node {}: config", context.node.name));
  const std::vector<std::string> argv = reader.Strings("argv");
  const int64_t timeout = reader.Int("timeoutSeconds", 600, 1, 86'400);
  reader.String("adapter");
  if (argv.empty()) reader.Problem(reader.PathOf("argv") + ": is required");
  if (const Status status = reader.Finish(); !status) {
    return FaultUnexpected(
        TaskFault(api::FailureClass::kInvalid, "NodeConfigInvalid", status.error().message));
  }
  YBIS_TAKE(const CommandResult result,
            RunTaskCommand(context, argv, std::chrono::seconds(timeout), std::move(stop)));
  // One that traps SIGTERM may still end with 0.
  if (result.exit_code != 0 || result.timed_out) {
    return FaultUnexpected(
        TaskFault(api::FailureClass::kAgent, result.timed_out ? "CommandTimedOut" : "CommandFailed",
                  fmt::format("node {}: {} ended with {}: {}", context.node.name, fmt::join(argv, " "),
                              result.exit_code, OutputTail(result.output))));
  }
  const json summary = {{"exitCode", result.exit_code},
                        {"durationSeconds", std::chrono::duration<double>(result.elapsed).count()}};
  return NodeOutput{.state = {{"exitCode", result.exit_code}, {"outputTail", OutputTail(result.output)}},
                    .input = {{"argv", argv}},
                    .summary = summary};
}

}  // namespace ybis::runner
