#include "runner/sandbox/tree_usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace ybis::runner {
namespace {

struct Process {
  int pid = 0;
  int parent = 0;
  uint64_t anonymous_kb = 0;
  uint64_t shared_kb = 0;
};

uint64_t Number(std::string_view text) {
  const size_t start = text.find_first_of("0123456789");
  uint64_t value = 0;
  if (start != std::string_view::npos) std::from_chars(text.data() + start, text.data() + text.size(), value);
  return value;
}

/// The number after "\n<field>:" of /proc/<pid>/status; a process's own name is in the first line and cannot
/// hold a line break there.
uint64_t Field(std::string_view status, std::string_view field) {
  const size_t at = status.find(field);
  if (at == std::string_view::npos) return 0;
  const size_t end = status.find('\n', at + field.size());
  return Number(status.substr(at + field.size(), end - at - field.size()));
}

Process ReadProcess(int pid) {
  char text[4096];
  const UniqueFd file(::open(fmt::format("/proc/{}/status", pid).c_str(), O_RDONLY | O_CLOEXEC));
  const ssize_t n = file.valid() ? ::read(file.get(), text, sizeof(text)) : -1;
  if (n <= 0) return {};
  const std::string_view status(text, static_cast<size_t>(n));
  return {.pid = pid,
          .parent = static_cast<int>(Field(status, "\nPPid:")),
          .anonymous_kb = Field(status, "\nRssAnon:"),
          .shared_kb = Field(status, "\nRssShmem:")};
}

std::multimap<int, Process> ProcessesByParent() {
  std::multimap<int, Process> processes;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc"), &::closedir);
  if (folder == nullptr) return processes;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this function's own
  while (const dirent* entry = ::readdir(folder.get())) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    const Process process = ReadProcess(static_cast<int>(Number(entry->d_name)));
    if (process.pid != 0) processes.emplace(process.parent, process);
  }
  return processes;
}

}  // namespace

TreeUsage MeasureDescendants(int root) {
  const auto processes = ProcessesByParent();
  TreeUsage usage;
  uint64_t shared_kb = 0;
  std::vector<int> pending{root};
  while (!pending.empty()) {
    const auto [begin, end] = processes.equal_range(pending.back());
    pending.pop_back();
    for (auto it = begin; it != end; ++it) {
      ++usage.processes;
      usage.memory_bytes += it->second.anonymous_kb * 1024;
      // The same shared memory is counted by each that maps it: take the largest.
      shared_kb = std::max(shared_kb, it->second.shared_kb);
      pending.push_back(it->first == it->second.pid ? 0 : it->second.pid);
    }
  }
  usage.memory_bytes += shared_kb * 1024;
  return usage;
}

}  // namespace ybis::runner
