#pragma once
// The commit that a run starts from when a checkout's uncommitted work comes along.
#include <stop_token>
#include <string>

#include "base/result.h"
#include "runner/git/bare_repository.h"
#include "runner/git/checkout.h"
#include "runner/git/uncommitted.h"

namespace ybis::git {

/// More than that as a pack the record does not keep.
inline constexpr size_t kMaxSyncPackBytes = 30 * 1024 * 1024;

struct SyncedBase {
  std::string commit;  ///< on top of the fetched one, or that itself when there was nothing to take
  std::string pack;    ///< all that `commit` adds to it: makes it again where the checkout has moved on
  Uncommitted found;
};

/// Makes a commit of what `checkout` has beyond the base commit of `bare`, which must be what it has checked
/// out, and has `bare` start from it. The commit is a function of the base and the content: the same work
/// gives the same commit. The author is YBIS, the time that of the base; the message says what it is. Errors:
/// kUnavailable (retryable) when the checkout was committed to meanwhile, kTooLarge, what reading gives.
Result<SyncedBase> SyncBase(const GitProgram& program, BareRepository& bare, const Checkout& checkout,
                            const UncommittedLimits& limits, std::stop_token stop);

/// Has `bare` start from a commit that an earlier attempt made, out of its pack where the volume is new. The
/// commit that it stands on must have been fetched. kInternal when the pack does not hold it.
Status RestoreSyncedBase(const GitProgram& program, BareRepository& bare, const std::string& commit,
                         const std::string& pack, std::stop_token stop);

}  // namespace ybis::git
