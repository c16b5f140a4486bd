#include <CLI/CLI.hpp>

#include "base/version.h"
#include "cli/verb.h"

namespace ybis::cli {

void AddVersion(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("version", "Print the version");
  verb->callback([&context] {
    context.action = [&context] {
      context.out << "ybis " << kYbisVersion << "\n";
      return kExitOk;
    };
  });
}

}  // namespace ybis::cli
