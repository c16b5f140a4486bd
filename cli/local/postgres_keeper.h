#pragma once
// Who uses the private database, and the small process that stops it when nobody does.
//
// Every command that uses the server holds a shared lock on one file for as long as it lives; the kernel lets
// go of it however the command ends. The keeper stops the server only while it holds that lock alone, so no
// command can be between finding the server up and connecting to it. Connections of other programs (psql) are
// seen in the kernel's list of sockets. The keeper ends with the server; one that was killed is replaced by
// the next command.
#include <chrono>
#include <filesystem>
#include <functional>
#include <stop_token>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ybis::cli {

/// Says "in use" until the descriptor is closed, and notes the time. Waits while a keeper stops the server.
/// kTimeout after 90 s; kDenied when the folder is another user's.
Result<UniqueFd> HoldDatabase(const std::filesystem::path& folder, std::stop_token stop);

/// Whether a process (its folder in /proc) has `folder` as its working directory, whatever either is called:
/// the path that was given may lead over links.
bool WorksIn(const std::filesystem::path& process, const std::filesystem::path& folder);

struct KeeperSettings {
  std::filesystem::path folder;    ///< of the private server
  std::chrono::milliseconds idle;  ///< without a user before it is stopped
};

/// Makes sure that a keeper watches: starts "ybis db keep" as a process of its own, unless one lives or this
/// program is not ybis. It never fails the command: a server without a keeper merely stays up.
void EnsureKeeper(const std::filesystem::path& folder,
                  const std::function<std::chrono::milliseconds()>& idle);

/// The keeper's life: gives up root for the database's user, returns when the server has ended. `guard` is
/// the descriptor that says that a keeper lives.
Status KeepDatabase(const KeeperSettings& settings, UniqueFd guard);

}  // namespace ybis::cli
