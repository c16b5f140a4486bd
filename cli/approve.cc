// ybis approve, reject, revise: what a person decides about a run that waits.
#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "cli/backend.h"
#include "cli/output.h"
#include "cli/verb.h"
#include "cli/views.h"
#include "cli/wait_view.h"

namespace ybis::cli {
namespace {

using api::DecisionKind;

struct Options {
  DecisionKind kind = DecisionKind::kApprove;
  BackendOptions backend;
  std::string id;
  std::string reason;
  std::string feedback;
  std::string output = "table";
  bool yes = false;
};

/// What the decision is about, as it stands when the person is asked.
struct Facts {
  FoundTask found;
  control::Wait wait;
};

Result<Facts> Gather(const Options& options) {
  Facts facts;
  YBIS_ASSIGN(facts.found, OpenTask(options.backend, options.id, {}));
  const TaskView& task = facts.found.task;
  YBIS_TRY(CheckNewest(task, ErrorCode::kConflict));
  YBIS_ASSIGN(auto wait, facts.found.backend->WaitOf(task, {}));
  if (!wait) {
    return Fail(ErrorCode::kConflict, fmt::format("run {} of task {} is {}: it waits for nobody",
                                                  task.run_id(), task.name, ToString(task.status.phase)));
  }
  facts.wait = std::move(*wait);
  return facts;
}

std::string Verb(DecisionKind kind) {
  return kind == DecisionKind::kApprove ? "approve" : kind == DecisionKind::kReject ? "reject" : "revise";
}

/// What to change, for a revision.
const std::string& FeedbackOf(const Options& options) {
  const bool reason = options.kind == DecisionKind::kRevise && options.feedback.empty();
  return reason ? options.reason : options.feedback;
}

/// What a decision of this kind cannot do without.
Status CheckOptions(const Options& options) {
  if (options.kind == DecisionKind::kReject && options.reason.empty())
    return Fail(ErrorCode::kInvalid, "--reason: a rejection needs one; it ends the run");
  if (options.kind == DecisionKind::kRevise && FeedbackOf(options).empty())
    return Fail(ErrorCode::kInvalid, "--feedback: a revision needs to know what to change");
  if (!options.yes && ::isatty(STDIN_FILENO) == 0) {
    YBIS_ASSIGN(const CommandForm command, FormOf(options.backend));
    return Fail(
        ErrorCode::kInvalid,
        fmt::format("nobody can be asked here, since standard input is no terminal: look at the change "
                    "with `{}`, then give --yes",
                    command("diff " + options.id)));
  }
  return {};
}

/// Where people read: standard output is another program's when it wants json.
std::ostream& PeopleOf(Context& context, const Options& options) {
  return options.output == "table" ? context.out : context.err;
}

bool Asked(Context& context, const Options& options, const Facts& facts) {
  std::ostream& out = PeopleOf(context, options);
  out << fmt::format("\n{} run {} of task {} ({})? [y/N] ", Capitalized(Verb(options.kind)),
                     facts.wait.run_id, facts.found.task.name, facts.wait.subject_digest)
      << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

int ExitCodeOf(control::ApprovalVerdict verdict) {
  const bool counts =
      verdict == control::ApprovalVerdict::kDecided || verdict == control::ApprovalVerdict::kCounted;
  return counts ? kExitOk : kExitUndecided;
}

/// What came of it, and what happens next.
void Tell(Context& context, const Options& options, const Facts& facts,
          const control::ApprovalResult& result) {
  const TaskView& task = facts.found.task;
  const nlohmann::json value = {{"name", task.name},
                                {"uid", task.uid},
                                {"runId", facts.wait.run_id},
                                {"decision", Verb(options.kind)},
                                {"verdict", std::string(ToString(result.verdict))},
                                {"message", result.message}};
  if (PrintAs(context.out, options.output, value, {task.name})) return;
  (ExitCodeOf(result.verdict) == kExitOk ? context.out : context.err) << result.message << "\n";
  if (result.verdict == control::ApprovalVerdict::kDecided && options.kind != DecisionKind::kReject)
    context.out << facts.found.backend->AfterDecision(task) << "\n";
}

int Decide(Context& context, const Options& options) {
  if (const Status fits = CheckOptions(options); !fits) return Explain(context, fits.error());
  const auto facts = Gather(options);
  if (!facts && facts.error().code == ErrorCode::kConflict) {
    context.err << facts.error().message << "\n";
    return kExitUndecided;
  }
  if (!facts) return Explain(context, facts.error());
  Backend& backend = *facts->found.backend;
  const TaskView& task = facts->found.task;
  if (options.kind == DecisionKind::kApprove) {
    if (const Status shown = CheckShown(backend, task); !shown) {
      context.err << shown.error().message << "\n";
      return kExitUndecided;
    }
  }
  if (!options.yes) {
    std::ostream& people = PeopleOf(context, options);
    PrintFacts(people, backend, task, facts->wait, PaintFor(people));
    if (!Asked(context, options, *facts)) {
      people << "nothing was decided\n";
      return kExitFailed;
    }
  }
  const auto result = backend.Decide(task,
                                     {NewUuid(),
                                      facts->wait.run_id,
                                      facts->wait.subject_digest,
                                      options.kind,
                                      options.reason,
                                      FeedbackOf(options),
                                      {}},
                                     {});
  if (!result) return Explain(context, result.error());
  Tell(context, options, *facts, *result);
  return ExitCodeOf(result->verdict);
}

Command AddDecision(Command app, Context& context, const std::shared_ptr<Options>& options,
                    const std::string& help, const std::string& reason_help) {
  Command verb = app.Add(Verb(options->kind), help);
  verb.Option("ID", options->id, "Name, uid or run id").Required();
  verb.Option("--reason", options->reason, reason_help);
  verb.Switch("-y,--yes", options->yes, "Do not ask");
  AddOutput(verb, options->output, kActionOutputs);
  AddBackendOptions(verb, options->backend);
  verb.OnParsed(
      [&context, options] { context.action = [&context, options] { return Decide(context, *options); }; });
  return verb;
}

std::shared_ptr<Options> OptionsFor(DecisionKind kind) {
  auto options = std::make_shared<Options>();
  options->kind = kind;
  return options;
}

constexpr const char* kCodes =
    "Exit codes: 0 decided or counted, 5 nothing was decided (nothing waits, something else waits by now, "
    "the run named is not the newest, or it may not be decided like this), 1 failed or answered no, "
    "2 wrong usage, 3 no such task.\n\n";

}  // namespace

void AddApprove(Command app, Context& context) {
  Command verb = AddDecision(app, context, OptionsFor(DecisionKind::kApprove),
                             "Let a run that waits go on to its delivery", "Why, for the record");
  verb.Footer(std::string(kCodes) +
              "Examples:\n  ybis approve protected-path\n"
              "  ybis approve protected-path --yes --reason \"agreed with operations\"");
}

void AddReject(Command app, Context& context) {
  Command verb =
      AddDecision(app, context, OptionsFor(DecisionKind::kReject),
                  "End a run that waits: it fails with class Rejected", "Why, for the record; required");
  verb.Footer(std::string(kCodes) +
              "Example:\n  ybis reject protected-path --reason \"not before the release\"");
}

void AddRevise(Command app, Context& context) {
  const auto options = OptionsFor(DecisionKind::kRevise);
  Command verb = AddDecision(app, context, options, "Send a run that waits back to its repair node",
                             "Why, for the record; the feedback, too, when none is given");
  verb.Option("--feedback", options->feedback,
              "What to change; goes into the model's prompt; required unless there is a reason");
  verb.Footer(std::string(kCodes) +
              "Example:\n  ybis revise protected-path --feedback \"Three replicas are enough.\"");
}

}  // namespace ybis::cli
