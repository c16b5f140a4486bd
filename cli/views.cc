#include "cli/views.h"

#include <fmt/chrono.h>

#include <nlohmann/json.hpp>

#include "cli/terminal_text.h"
#include "cli/verb.h"

namespace ybis::cli {
namespace {

using nlohmann::json;

std::string ClockText(TimePoint time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  return fmt::format("{:%H:%M:%S}", fmt::localtime(seconds));
}

/// What matters of a node's small output, in words.
std::string Detail(const control::NodeSummary& node) {
  if (node.outcome != "ok") return OneLine(node.error, 120);
  if (!node.output || !node.output->is_object()) return {};
  const json& output = *node.output;
  const auto number = [&output](const char* key) { return output.value(key, int64_t{0}); };
  if (output.contains("decision")) {
    const json failure = output.value("failure", json());
    const std::string why = failure.is_object() ? failure.value("message", std::string()) : std::string();
    return OneLine(output["decision"].get<std::string>(), 40) + (why.empty() ? "" : ": " + OneLine(why, 120));
  }
  if (output.contains("passed"))
    return fmt::format("{} passed, {} failed", number("passed"), number("failed"));
  if (output.contains("filesTouched")) return fmt::format("{} files touched", number("filesTouched"));
  if (output.contains("requirements")) return fmt::format("{} requirements", number("requirements"));
  return output.contains("files") ? fmt::format("{} files planned", number("files")) : std::string();
}

/// The folder behind a local repository's address, or "".
std::string LocalFolder(const std::string& url) {
  if (url.starts_with('/')) return url;
  return url.starts_with("file:///") ? url.substr(7) : std::string();
}

std::string NextStep(const std::string& name, const api::TaskSpec& spec, const api::TaskStatus& status,
                     const CommandForm& command) {
  switch (status.phase) {
    case api::TaskPhase::kCompleted: {
      const std::string folder = LocalFolder(spec.repository.url);
      if (!status.result || status.result->branch.empty() || folder.empty()) return command("diff " + name);
      return fmt::format("{}   or: git -C {} show {}", command("diff " + name), OneLine(folder, kLongLine),
                         status.result->branch);
    }
    case api::TaskPhase::kBlocked:
      return fmt::format("{}   or: {} --reason WHY   or: {} --feedback WHAT", command("approve " + name),
                         command("reject " + name), command("revise " + name));
    case api::TaskPhase::kFailed:
      return fmt::format("{} tells more; {} starts it again", command("logs " + name),
                         command("retry " + name));
    case api::TaskPhase::kCancelled:
      return command("retry " + name) + " starts it again";
    default:
      return command.flags.empty() ? "ybis worker start takes it up" : "";
  }
}

}  // namespace

std::string PaintedPatch(const std::string& patch, const Paint& paint) {
  if (!paint.terminal) return patch;
  const std::string text = Visible(patch);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line(text.data() + at, end - at);
    if (line.starts_with("+++") || line.starts_with("---") || line.starts_with("diff ")) {
      out += paint.Dim(line);
    } else if (line.starts_with('+')) {
      out += paint.Green(line);
    } else {
      out += line.starts_with('-') ? paint.Red(line) : std::string(line);
    }
    out += '\n';
    at = end + 1;
  }
  return out;
}

std::string NodeLine(const control::NodeSummary& node, size_t name_width, const Paint& paint) {
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(node.finished - node.started);
  const std::string outcome = node.outcome == "ok" ? paint.Green("ok   ") : paint.Red("error");
  return fmt::format("{}  {:<{}}  {}  {:>6}  {}", ClockText(node.finished), node.node, name_width, outcome,
                     DurationText(took), Detail(node));
}

void PrintResult(std::ostream& out, const std::string& name, const api::TaskSpec& spec,
                 const api::TaskStatus& status, const CommandForm& command, const Paint& paint) {
  const auto line = [&out](const char* key, const std::string& value) {
    if (!value.empty()) out << fmt::format("{:<9} {}\n", key, value);
  };
  line("Result", paint.State(api::ToString(status.phase)));
  if (status.failure)
    line("Reason", fmt::format("{}: {}", status.failure->reason, OneLine(status.failure->message, 1024)));
  if (status.result) {
    if (!status.result->branch.empty()) {
      line("Branch",
           fmt::format("{} (commit {})", status.result->branch, status.result->commit.substr(0, 12)));
    }
    line("Changed", fmt::format("{} files, +{} -{}", status.result->files_changed, status.result->insertions,
                                status.result->deletions));
  }
  if (status.verification) {
    line("Verified",
         fmt::format("{} passed, {} failed", status.verification->passed, status.verification->failed));
  }
  if (status.usage) {
    line("Usage", fmt::format("{} model calls, {} tokens, ${:.2f}", status.usage->llm_calls,
                              status.usage->tokens_in + status.usage->tokens_out, status.usage->cost_usd));
  }
  if (status.run && status.run->start_time && status.run->completion_time) {
    line("Time", DurationText(std::chrono::duration_cast<std::chrono::milliseconds>(
                     *status.run->completion_time - *status.run->start_time)));
  }
  line("Next", NextStep(name, spec, status, command));
}

}  // namespace ybis::cli
