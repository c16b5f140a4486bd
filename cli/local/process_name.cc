#include "cli/local/process_name.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <vector>

namespace ybis::cli {
namespace {

std::string HostName() {
  char name[256] = "";
  return ::gethostname(name, sizeof(name) - 1) == 0 ? name : "unknown";
}

/// Which start of which machine this is: hosts may share a name, and all of them the first process
/// namespace's number. Empty when the kernel does not tell.
std::string BootId() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  file >> id;
  return id;
}

std::string PidNamespace() {
  std::error_code error;
  const std::string link = std::filesystem::read_symlink("/proc/self/ns/pid", error).string();
  std::string digits;
  for (const char c : link) {
    if (c >= '0' && c <= '9') digits += c;
  }
  return digits.empty() ? "0" : digits;
}

/// When a process began, in the kernel's ticks; empty when there is none.
std::string StartOf(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  char buffer[4096];
  file.read(buffer, sizeof(buffer));  // not by iterators: those throw when the process ends meanwhile
  const std::string text(buffer, static_cast<size_t>(file.gcount()));
  // The program's name stands in parentheses and may hold anything.
  const size_t end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos) return {};
  size_t at = end_of_name + 1;
  constexpr int kStartField = 20;  // of what follows the name, counted from 1
  for (int field = 1; field < kStartField && at != std::string::npos; ++field) at = text.find(' ', at + 1);
  if (at == std::string::npos) return {};
  // A zombie has ended.
  if (text.compare(end_of_name + 2, 1, "Z") == 0) return {};
  return text.substr(at + 1, text.find(' ', at + 1) - at - 1);
}

std::vector<std::string> Split(const std::string& name) {
  std::vector<std::string> parts;
  size_t at = 0;
  for (size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', at)) {
    parts.push_back(name.substr(at, slash - at));
    at = slash + 1;
  }
  parts.push_back(name.substr(at));
  return parts;
}

bool IsNumber(const std::string& text) {
  return !text.empty() && text.size() < 20 && text.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

std::string ThisProcessName() {
  const std::string pid = std::to_string(::getpid());
  return fmt::format("{}/{}/{}/{}/{}", HostName(), BootId(), PidNamespace(), pid, StartOf(pid));
}

bool IsGone(const std::string& name) {
  const auto parts = Split(name);
  if (parts.size() != 5 || !IsNumber(parts[3]) || !IsNumber(parts[4])) return false;
  if (parts[0] != HostName() || parts[2] != PidNamespace()) return false;
  if (parts[1].empty() || parts[1] != BootId()) return false;
  return StartOf(parts[3]) != parts[4];
}

}  // namespace ybis::cli
