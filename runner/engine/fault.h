#pragma once
// Why a step of a run failed and what follows from it.
#include <string>
#include <tl/expected.hpp>

#include "api/task.h"
#include "base/result.h"

namespace ybis::runner {

enum class FaultKind {
  kFail,   ///< the task's own failure: the error handler's turn if there is one, else the run ends Failed
  kRetry,  ///< something around the task: another attempt may succeed
  kStop,   ///< a stop was requested; RunStop says why
  kStale,  ///< the lease is lost
};

struct Fault {
  FaultKind kind = FaultKind::kFail;
  api::Failure failure;
};

/// Which part of the world an Error came from; with its code it gives the class and the reason.
/// kRepository: the server and its history; kWorktree: what nodes left in the files; kWorkspace: the volume.
enum class FaultSource { kRunApi, kRepository, kModel, kSandbox, kWorkspace, kWorktree };

/// Class, reason and message of an error, for the task's condition.
Fault FaultOf(FaultSource source, const Error& error);

/// A failure of the task itself.
Fault TaskFault(api::FailureClass failure_class, std::string reason, const std::string& message);

template <class T>
using Outcome = tl::expected<T, Fault>;
using FaultUnexpected = tl::unexpected<Fault>;

}  // namespace ybis::runner

/// Like YBIS_TRY and YBIS_ASSIGN in functions that return an Outcome: an Error becomes a Fault of `source`.
#define YBIS_TRY_FAULT(source, expression)                                                           \
  do {                                                                                               \
    if (auto ybis_status_ = (expression); !ybis_status_) {                                           \
      return ::ybis::runner::FaultUnexpected(::ybis::runner::FaultOf(source, ybis_status_.error())); \
    }                                                                                                \
  } while (false)

#define YBIS_ASSIGN_FAULT_INNER_(temp, source, target, expression)                                  \
  auto temp = (expression);                                                                         \
  if (!temp) return ::ybis::runner::FaultUnexpected(::ybis::runner::FaultOf(source, temp.error())); \
  target = std::move(*temp)

#define YBIS_ASSIGN_FAULT(source, target, expression) \
  YBIS_ASSIGN_FAULT_INNER_(YBIS_CONCAT_(ybis_outcome_, __LINE__), source, target, expression)

/// Hands a Fault on unchanged.
#define YBIS_TAKE_INNER_(temp, target, expression)                            \
  auto temp = (expression);                                                   \
  if (!temp) return ::ybis::runner::FaultUnexpected(std::move(temp).error()); \
  target = std::move(*temp)

#define YBIS_TAKE(target, expression) \
  YBIS_TAKE_INNER_(YBIS_CONCAT_(ybis_outcome_, __LINE__), target, expression)

#define YBIS_PASS(expression)                                                  \
  do {                                                                         \
    if (auto ybis_status_ = (expression); !ybis_status_) {                     \
      return ::ybis::runner::FaultUnexpected(std::move(ybis_status_).error()); \
    }                                                                          \
  } while (false)
