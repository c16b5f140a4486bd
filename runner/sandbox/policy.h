#pragma once
// What a sandboxed command may touch and use.
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace ybis::runner {

struct SandboxLimits {
  std::chrono::seconds cpu{1800};      ///< of each process
  uint64_t memory_bytes = 4ULL << 30;  ///< data of each process, and resident memory of all of them together
  uint64_t file_bytes = 1ULL << 30;    ///< size of each file written
  uint64_t open_files = 1024;          ///< of each process
  uint64_t processes = 512;            ///< alive at once, the command's whole tree
};

/// Places that tools and compilers are installed in, and the harmless part of /proc, /sys and /dev. No home,
/// no /tmp, no /var, no /run. Entries that a machine lacks are skipped.
std::vector<std::filesystem::path> DefaultReadable();
/// Where Kubernetes and container runtimes mount credentials.
std::vector<std::filesystem::path> DefaultHidden();

struct SandboxPolicy {
  std::vector<std::filesystem::path> writable;  ///< hierarchies to read, write and execute in
  std::vector<std::filesystem::path> readable = DefaultReadable();  ///< hierarchies to read and execute from
  /// Never readable, even below a readable hierarchy (which is then opened entry by entry around it). Below a
  /// writable one it is an error. Name the git credentials and token folders here.
  std::vector<std::filesystem::path> hidden = DefaultHidden();
  std::filesystem::path temp;  ///< the command's HOME and TMPDIR; must exist; writable
  bool network = false;        ///< false: no sockets but Unix ones; true: IPv4, IPv6 and netlink ones
  /// Connecting to Unix sockets by name. No kernel can limit which, and a desktop session, a container engine
  /// or an ssh agent listening on one would be a way out. Without it there are socket pairs, and listening
  /// where there is no network; with network but the pairs no Unix sockets at all. Safe in a pod of its own.
  bool connect_unix = false;
  /// System V shared memory, semaphores and queues, which are open to every process of the user. Where the
  /// runner may (as root), a command gets its own instead, whatever this says. Safe in a pod of its own.
  bool sysv_ipc = false;
  SandboxLimits limits;
  std::chrono::milliseconds timeout{600'000};
  size_t max_output = 1024 * 1024;  ///< of each stream
  std::vector<std::string>
      inherit_env;           ///< variables taken over from the runner's environment, by exact name
  bool best_effort = false;  ///< run even when something cannot be enforced here
};

}  // namespace ybis::runner
