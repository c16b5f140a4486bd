#include "runner/nodes/task_command.h"

#include <algorithm>

#include "runner/nodes/prompt.h"

namespace ybis::runner {
namespace {

constexpr size_t kTailBytes = 8 * 1024;

Status CheckAllowed(const api::RunPolicy& policy, const std::string& program) {
  if (policy.exec_allow.empty()) return {};
  const auto& allow = policy.exec_allow;
  if (std::find(allow.begin(), allow.end(), program) != allow.end()) return {};
  return Fail(ErrorCode::kDenied, fmt::format("the policy does not allow to run '{}'", program));
}

}  // namespace

Outcome<CommandResult> RunTaskCommand(const NodeContext& context, const std::vector<std::string>& argv,
                                      std::chrono::milliseconds timeout, std::stop_token stop) {
  if (argv.empty() || argv.front().empty()) {
    return FaultUnexpected(TaskFault(api::FailureClass::kInvalid, "CommandInvalid",
                                     context.node.name + ": a command has no program"));
  }
  CommandRequest request{.worktree = context.tree.root(),
                         .scratch = context.folder.scratch(),
                         .repository = context.tree.repository(),
                         .timeout = timeout,
                         .network = context.order.policy.network,
                         .best_effort = context.order.policy.sandbox_best_effort};
  for (const std::string& word : argv)
    request.argv.push_back(Substitute(word, context.order.spec.parameters));
  YBIS_TRY_FAULT(FaultSource::kSandbox, CheckAllowed(context.order.policy, request.argv.front()));
  YBIS_ASSIGN_FAULT(FaultSource::kSandbox, CommandResult result,
                    context.commands.Run(request, std::move(stop)));
  return result;
}

std::string OutputTail(const std::string& output) {
  size_t start = output.size() > kTailBytes ? output.size() - kTailBytes : 0;
  if (start > 0) {
    const size_t line = output.find('\n', start);
    if (line != std::string::npos) start = line + 1;
  }
  std::string tail;
  for (const char c : output.substr(start)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 || c == '\n' || c == '\t') tail += c;
  }
  return tail;
}

}  // namespace ybis::runner
