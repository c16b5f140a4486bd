#include <CLI/CLI.hpp>

#include "base/log.h"
#include "cli/verb.h"

namespace ybis::cli {
namespace {

constexpr AddVerb kVerbs[] = {AddRun,       AddTask,   AddCancel,   AddRetry,  AddDiff,
                              AddArtifacts, AddEvents, AddLogs,     AddWorker, AddDb,
                              AddHealth,    AddConfig, AddWorkflow, AddDev,    AddVersion};

}  // namespace

int Explain(Context& context, const Error& error) {
  context.err << "error: " << log::Redact(error.message) << "\n";
  if (error.code == ErrorCode::kNotFound) return kExitNotFound;
  return error.code == ErrorCode::kInvalid ? kExitUsage : kExitFailed;
}

int Run(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  CLI::App app{"From a written objective and a git repository to a verified, policy-gated change.", "ybis"};
  app.require_subcommand(1);
  app.footer("Each command has its own help with examples: ybis COMMAND --help");
  Context context{out, err, {}};
  for (const AddVerb add : kVerbs) add(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, out, err) == 0 ? kExitOk : kExitUsage;
  }
  return context.action ? context.action() : kExitUsage;
}

}  // namespace ybis::cli
