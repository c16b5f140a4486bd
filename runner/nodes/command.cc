// command: runs a program in the sandbox; what it changes in the worktree becomes part of the change. Also
// the executor's adapter `command`: any agent or codemod.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "runner/nodes/node.h"
#include "runner/nodes/task_command.h"

namespace ybis::runner {

using nlohmann::json;

namespace {

constexpr size_t kQuoted = 600;  // bytes of output in a message

/// The last whole lines: where programs say what went wrong.
std::string LastLines(const std::string& text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  const size_t line = text.find('\n', text.size() - max_bytes);
  const bool whole = line != std::string::npos && line + 1 < text.size();
  size_t start = whole ? line + 1 : text.size() - max_bytes;
  while (start < text.size() && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) ++start;
  return "…" + text.substr(start);
}

}  // namespace

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
  if (!result.Succeeded()) {
    const std::string tail = OutputTail(result.output);
    context.journal.Error("command failed", {{"node", context.node.name}, {"outputTail", tail}});
    return FaultUnexpected(
        TaskFault(api::FailureClass::kAgent, result.timed_out ? "CommandTimedOut" : "CommandFailed",
                  fmt::format("node {}: {} ended with {}: {}", context.node.name, fmt::join(argv, " "),
                              result.exit_code, LastLines(tail, kQuoted))));
  }
  const json summary = {{"exitCode", result.exit_code},
                        {"durationSeconds", std::chrono::duration<double>(result.elapsed).count()}};
  return NodeOutput{.state = {{"exitCode", result.exit_code}, {"outputTail", OutputTail(result.output)}},
                    .input = {{"argv", argv}},
                    .summary = summary};
}

}  // namespace ybis::runner
