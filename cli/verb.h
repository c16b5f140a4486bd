#pragma once
// What every verb of the command line shares: where it prints, how it ends. One file a verb, one row in
// verbs.cc.
#include <CLI/App.hpp>
#include <functional>
#include <ostream>

#include "base/result.h"

namespace ybis::cli {

/// Exit codes of every verb (docs/cli.md).
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;    ///< it was tried and did not work; the message says why
inline constexpr int kExitUsage = 2;     ///< the command line or an input file is wrong
inline constexpr int kExitNotFound = 3;  ///< what was named does not exist

/// What a verb works with; outlives the parse.
struct Context {
  std::ostream& out;
  std::ostream& err;
  /// Set by the verb that the command line names.
  std::function<int()> action;
};

/// Adds a verb to the command line: its options, its help with examples, and an action it sets when called.
using AddVerb = void (*)(CLI::App& app, Context& context);

void AddVersion(CLI::App& app, Context& context);
void AddWorkflow(CLI::App& app, Context& context);
void AddDev(CLI::App& app, Context& context);

/// Prints "error: …" and returns the exit code that fits the error.
int Explain(Context& context, const Error& error);

/// Runs a whole command line; what main calls.
int Run(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace ybis::cli
