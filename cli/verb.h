#pragma once
// What every verb of the command line shares: where it prints, how it ends. One file a verb, one row in
// verbs.cc.
#include <functional>
#include <ostream>

#include "base/result.h"
#include "cli/command.h"

namespace ybis::cli {

/// Exit codes of every verb (docs/cli.md).
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;     ///< it was tried and did not work; the message says why
inline constexpr int kExitUsage = 2;      ///< the command line or an input file is wrong
inline constexpr int kExitNotFound = 3;   ///< what was named does not exist
inline constexpr int kExitBlocked = 4;    ///< the run waits for a person
inline constexpr int kExitUndecided = 5;  ///< a decision that decided nothing; the message says why
inline constexpr int kExitStopped = 130;  ///< stopped by a signal; what was begun can be gone on with

/// What a verb works with; outlives the parse.
struct Context {
  std::ostream& out;  ///< a verb that goes on printing ends when it has failed; Run says so
  std::ostream& err;
  /// Set by the verb that the command line names.
  std::function<int()> action;
};

/// Adds a verb to the command line: its options, its help with examples, and an action it sets when called.
using AddVerb = void (*)(Command app, Context& context);

void AddVersion(Command app, Context& context);
void AddWorkflow(Command app, Context& context);
void AddDev(Command app, Context& context);
void AddRun(Command app, Context& context);
void AddTask(Command app, Context& context);
void AddApprove(Command app, Context& context);
void AddReject(Command app, Context& context);
void AddRevise(Command app, Context& context);
void AddCancel(Command app, Context& context);
void AddRetry(Command app, Context& context);
void AddArtifacts(Command app, Context& context);
void AddDiff(Command app, Context& context);
void AddEvents(Command app, Context& context);
void AddLogs(Command app, Context& context);
void AddWorker(Command app, Context& context);
void AddHealth(Command app, Context& context);
void AddConfig(Command app, Context& context);
void AddBackup(Command app, Context& context);
void AddDb(Command app, Context& context);
void AddWatch(Command app, Context& context);
void AddCompletion(Command app, Context& context);

/// Prints "error: …" and returns the exit code that fits the error.
int Explain(Context& context, const Error& error);

/// Runs a whole command line; what main calls.
int Run(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace ybis::cli
