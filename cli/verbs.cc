#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "cli/backend_options.h"
#include "cli/verb.h"

namespace ybis::cli {
namespace {

constexpr AddVerb kVerbs[] = {AddRun,        AddTask, AddApprove,   AddReject, AddRevise, AddCancel,
                              AddRetry,      AddDiff, AddArtifacts, AddEvents, AddLogs,   AddWatch,
                              AddWorker,     AddDb,   AddBackup,    AddHealth, AddConfig, AddWorkflow,
                              AddCompletion, AddDev,  AddVersion};

/// The library says only that a command is missing; this says which word is none, and which there are.
int ExplainMissingCommand(Context& context, const CLI::App& root, int argc, const char* const* argv) {
  const CLI::App* at = &root;
  std::string path = root.get_name();
  std::string unknown;
  for (int i = 1; i < argc && unknown.empty(); ++i) {
    const std::string word = argv[i];
    if (word.starts_with('-')) continue;
    const auto found = at->get_subcommands([&](const CLI::App* sub) { return sub->check_name(word); });
    if (found.empty()) {
      unknown = word;
    } else {
      at = found.front();
      path += " " + word;
    }
  }
  std::vector<std::string> names;
  for (const CLI::App* sub : at->get_subcommands([](const CLI::App* s) { return !s->get_group().empty(); }))
    names.push_back(sub->get_name());
  return Explain(context,
                 Error{ErrorCode::kInvalid,
                       fmt::format("{}{}; there are: {}", path,
                                   unknown.empty() ? " needs a command" : " has no command '" + unknown + "'",
                                   fmt::join(names, ", "))});
}

/// What was cut off must not pass for whole.
int Finish(Context& context, int code) {
  errno = 0;
  if (context.out.flush()) return code;
  context.err << "error: standard output: " << (errno != 0 ? std::strerror(errno) : "cannot be written")
              << "; what was printed is not whole\n";
  return code == kExitOk ? kExitFailed : code;
}

}  // namespace

int Explain(Context& context, const Error& error) {
  std::string text = log::Redact(error.message);
  // What was named may hold anything, and terminals obey control characters.
  for (char& c : text) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f) c = ' ';
  }
  context.err << "error: " << text << "\n";
  if (error.code == ErrorCode::kNotFound) return kExitNotFound;
  const bool usage = error.code == ErrorCode::kInvalid || error.code == ErrorCode::kTooLarge;
  return usage ? kExitUsage : kExitFailed;
}

int Run(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  CLI::App app{"From a written objective and a git repository to a verified, policy-gated change.",
               argc > 0 && IsPluginName(argv[0]) ? kPluginName : "ybis"};
  app.require_subcommand(1);
  app.footer(fmt::format("Each command has its own help with examples: {} COMMAND --help", app.get_name()));
  Context context{out, err, {}};
  for (const AddVerb add : kVerbs) add(Command(&app), context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool no_command = error.get_name() == "RequiredError" &&
                            std::string_view(error.what()).find("subcommand") != std::string_view::npos;
    if (no_command) return ExplainMissingCommand(context, app, argc, argv);
    return Finish(context, app.exit(error, out, err) == 0 ? kExitOk : kExitUsage);
  }
  return context.action ? Finish(context, context.action()) : kExitUsage;
}

}  // namespace ybis::cli
