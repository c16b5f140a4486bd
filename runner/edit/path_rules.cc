#include "runner/edit/path_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace ybis::runner {
namespace {

constexpr size_t kMaxPath = 4096;
constexpr size_t kMaxComponent = 255;

Unexpected Refuse(std::string_view reason) { return Fail(ErrorCode::kInvalid, std::string(reason)); }

bool IsForbiddenByte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f || c == '\\';
}

/// The component as a case-blind file system with streams and short names would see it.
std::string Folded(std::string_view component) {
  component = component.substr(0, component.find(':'));
  while (!component.empty() && (component.back() == '.' || component.back() == ' '))
    component.remove_suffix(1);
  std::string folded(component);
  std::transform(folded.begin(), folded.end(), folded.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return folded;
}

Status CheckComponent(std::string_view component) {
  if (component.empty()) return Refuse("has an empty component ('//', or a slash at its end)");
  if (component == "." || component == "..") return Refuse("has a '.' or '..' component");
  if (component.size() > kMaxComponent)
    return Refuse(fmt::format("has a component over {} bytes", kMaxComponent));
  const std::string folded = Folded(component);
  if (folded == ".git" || folded == "git~1") return Refuse("leads into .git");
  return {};
}

}  // namespace

Status CheckEditPath(std::string_view path) {
  if (path.empty()) return Refuse("is empty");
  if (path.size() > kMaxPath) return Refuse(fmt::format("is over {} bytes", kMaxPath));
  if (path.front() == '/') return Refuse("is absolute; it must be relative to the repository's root");
  if (std::any_of(path.begin(), path.end(), IsForbiddenByte)) {
    return Refuse("holds a control character, a NUL byte or a backslash");
  }
  for (;;) {
    const size_t slash = path.find('/');
    YBIS_TRY(CheckComponent(path.substr(0, slash)));
    if (slash == std::string_view::npos) return {};
    path.remove_prefix(slash + 1);
  }
}

}  // namespace ybis::runner
