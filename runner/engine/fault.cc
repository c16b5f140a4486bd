#include "runner/engine/fault.h"

#include "base/log.h"
#include "base/utf8.h"

namespace ybis::runner {
namespace {

using api::FailureClass;

/// One row: an error of `source` with `code` is this failure. The first row that fits decides.
struct Mapping {
  FaultSource source;
  ErrorCode code;
  FaultKind kind;
  FailureClass failure_class;
  std::string_view reason;
  std::string_view advice;  ///< what to do, after the error's own message
};

constexpr Mapping kMappings[] = {
    {FaultSource::kRepository, ErrorCode::kUnavailable, FaultKind::kRetry, FailureClass::kInfra,
     "RepositoryUnreachable", "check spec.repository.url and that the runner's pods may reach its host"},
    {FaultSource::kRepository, ErrorCode::kTimeout, FaultKind::kRetry, FailureClass::kInfra,
     "RepositoryUnreachable", "check spec.repository.url and that the runner's pods may reach its host"},
    {FaultSource::kRepository, ErrorCode::kDenied, FaultKind::kFail, FailureClass::kInvalid,
     "CredentialsRejected", ""},
    {FaultSource::kRepository, ErrorCode::kNotFound, FaultKind::kFail, FailureClass::kInvalid,
     "RepositoryNotFound", ""},
    {FaultSource::kRepository, ErrorCode::kConflict, FaultKind::kFail, FailureClass::kInvalid,
     "BranchConflict", "delete the branch on the server or name another one in spec.delivery.branch"},
    {FaultSource::kRepository, ErrorCode::kExhausted, FaultKind::kFail, FailureClass::kInfra, "WorkspaceFull",
     ""},
    {FaultSource::kRepository, ErrorCode::kUnsupported, FaultKind::kFail, FailureClass::kInvalid,
     "RepositoryUnsupported", ""},
    {FaultSource::kRepository, ErrorCode::kTooLarge, FaultKind::kFail, FailureClass::kAgent, "ChangeTooLarge",
     "split the objective, or have the repository ignore generated files"},
    {FaultSource::kRepository, ErrorCode::kInvalid, FaultKind::kFail, FailureClass::kInvalid,
     "RepositoryInvalid", ""},
    {FaultSource::kRepository, ErrorCode::kInternal, FaultKind::kRetry, FailureClass::kInfra, "GitFailed",
     ""},

    {FaultSource::kWorktree, ErrorCode::kDenied, FaultKind::kFail, FailureClass::kAgent, "WorktreeUnreadable",
     "a command took the right to read what it left: have it keep files and folders readable"},
    {FaultSource::kWorktree, ErrorCode::kTooLarge, FaultKind::kFail, FailureClass::kAgent, "ChangeTooLarge",
     "split the objective, or have the repository ignore generated files"},
    {FaultSource::kWorktree, ErrorCode::kInvalid, FaultKind::kFail, FailureClass::kAgent, "ChangeInvalid",
     ""},
    {FaultSource::kWorktree, ErrorCode::kTimeout, FaultKind::kFail, FailureClass::kAgent,
     "WorktreeUnreadable",
     "a command left more than git can look through, or something that it waits for (a pipe): have it tidy "
     "up"},
    {FaultSource::kWorktree, ErrorCode::kExhausted, FaultKind::kFail, FailureClass::kInfra, "WorkspaceFull",
     ""},

    {FaultSource::kModel, ErrorCode::kInvalid, FaultKind::kFail, FailureClass::kAgent, "ModelAnswerInvalid",
     "the model did not keep to the form that was asked for: try another model or simplify the objective"},
    {FaultSource::kModel, ErrorCode::kTooLarge, FaultKind::kFail, FailureClass::kAgent,
     "ModelRequestTooLarge", "choose a model with a larger context or narrow the objective"},
    {FaultSource::kModel, ErrorCode::kUnsupported, FaultKind::kFail, FailureClass::kInfra,
     "ModelRequestRefused",
     "mend this model's entry in the operator's configuration (docs/configuration.md) or name another in "
     "spec.model"},
    {FaultSource::kModel, ErrorCode::kDenied, FaultKind::kFail, FailureClass::kInfra, "ModelAccessDenied",
     "check the model's key in the operator's configuration"},
    {FaultSource::kModel, ErrorCode::kNotFound, FaultKind::kFail, FailureClass::kInvalid, "ModelNotFound",
     ""},

    {FaultSource::kSandbox, ErrorCode::kUnsupported, FaultKind::kFail, FailureClass::kInfra,
     "SandboxUnsupported",
     "use nodes whose kernel has Landlock and seccomp, or the profile with sandbox: best-effort"},
    {FaultSource::kSandbox, ErrorCode::kDenied, FaultKind::kFail, FailureClass::kPolicy, "CommandNotAllowed",
     "add the program to the operator's exec allowlist or use another one"},
    {FaultSource::kSandbox, ErrorCode::kNotFound, FaultKind::kFail, FailureClass::kInvalid, "CommandNotFound",
     "install the program in the runner's image (spec.runner.image) or name another command"},
    {FaultSource::kSandbox, ErrorCode::kInvalid, FaultKind::kFail, FailureClass::kInvalid, "CommandInvalid",
     ""},

    {FaultSource::kRunApi, ErrorCode::kDenied, FaultKind::kRetry, FailureClass::kInfra, "RunTokenRejected",
     ""},
    {FaultSource::kRunApi, ErrorCode::kInvalid, FaultKind::kFail, FailureClass::kInfra, "ReportRefused",
     "the runner's image and the operator may be of different versions"},
    {FaultSource::kRunApi, ErrorCode::kTooLarge, FaultKind::kFail, FailureClass::kAgent, "ReportTooLarge",
     "split the objective"},
};

/// What is not in the table: always worth another attempt.
std::string_view DefaultReason(FaultSource source) {
  switch (source) {
    case FaultSource::kRunApi:
      return "ControlPlaneUnreachable";
    case FaultSource::kRepository:
      return "RepositoryFailed";
    case FaultSource::kModel:
      return "ModelUnavailable";
    case FaultSource::kSandbox:
      return "SandboxFailed";
    case FaultSource::kWorkspace:
    case FaultSource::kWorktree:
      return "WorkspaceFailed";
  }
  return "Failed";
}

std::string Message(const std::string& text, std::string_view advice) {
  std::string out = log::Redact(text);
  constexpr size_t kRoom = 1024;
  const size_t room = kRoom - (advice.empty() ? 0 : advice.size() + 2);
  out.resize(CutAtCharacter(out, room).size());
  if (!advice.empty()) out += fmt::format("; {}", advice);
  return out;
}

/// Repository errors of one code whose message tells more than the code.
struct Telling {
  std::string_view text;
  std::string_view reason;
};
constexpr Telling kTelling[] = {
    {"no such branch, tag or commit", "RefNotFound"},
    {"correct spec.repository.ref", "RefNotFound"},
    {"has no default branch", "RefNotFound"},
    {"certificate is not trusted", "CertificateUntrusted"},
    {"host key", "HostKeyUnknown"},
    {"refuse the push", "PushRefused"},
};

std::string_view MoreExact(FaultSource source, const Error& error, std::string_view reason) {
  if (source != FaultSource::kRepository) return reason;
  for (const Telling& row : kTelling) {
    if (error.message.find(row.text) != std::string::npos) return row.reason;
  }
  return reason;
}

}  // namespace

Fault FaultOf(FaultSource source, const Error& error) {
  if (error.code == ErrorCode::kStale) return {FaultKind::kStale, {.message = error.message}};
  if (error.code == ErrorCode::kCancelled) return {FaultKind::kStop, {.message = error.message}};
  if (source == FaultSource::kModel && error.code == ErrorCode::kExhausted && !error.retryable) {
    return TaskFault(FailureClass::kBudget, "BudgetExhausted",
                     Message(error.message, "raise spec.limits.maxTokens or maxCostUSD"));
  }
  for (const Mapping& row : kMappings) {
    if (row.source != source || row.code != error.code) continue;
    return {row.kind,
            {row.failure_class, std::string(MoreExact(source, error, row.reason)),
             Message(error.message, row.advice)}};
  }
  const bool final = source == FaultSource::kModel && !error.retryable;
  return {final ? FaultKind::kFail : FaultKind::kRetry,
          {FailureClass::kInfra, std::string(DefaultReason(source)), Message(error.message, "")}};
}

Fault TaskFault(api::FailureClass failure_class, std::string reason, const std::string& message) {
  return {FaultKind::kFail, {failure_class, std::move(reason), Message(message, "")}};
}

}  // namespace ybis::runner
