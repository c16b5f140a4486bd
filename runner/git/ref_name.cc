#include "runner/git/ref_name.h"

#include <fmt/format.h>

#include <algorithm>

namespace ybis::git {
namespace {

constexpr size_t kMaxRef = 244;

Unexpected Refuse(std::string_view kind, std::string_view what) {
  return Fail(ErrorCode::kInvalid, fmt::format("{}: {}", kind, what));
}

bool IsForbidden(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte <= 0x20 || byte == 0x7f || std::string_view("~^:?*[\\").find(c) != std::string_view::npos;
}

Status CheckComponent(std::string_view kind, std::string_view part) {
  if (part.empty()) return Refuse(kind, "has an empty part between slashes");
  if (part.front() == '.') return Refuse(kind, "has a part that starts with '.'");
  if (part.ends_with(".lock")) return Refuse(kind, "has a part that ends in '.lock'");
  return {};
}

Status CheckName(std::string_view kind, std::string_view name) {
  if (name.empty()) return Refuse(kind, "is empty");
  if (name.size() > kMaxRef) return Refuse(kind, fmt::format("is longer than {} bytes", kMaxRef));
  if (name.front() == '-') return Refuse(kind, "must not start with '-'");
  if (std::any_of(name.begin(), name.end(), IsForbidden)) {
    return Refuse(kind, "holds a blank, a control character or one of ~^:?*[\\");
  }
  if (name.find("..") != name.npos || name.find("@{") != name.npos || name == "@") {
    return Refuse(kind, "holds '..' or '@{', or is '@'");
  }
  if (name.back() == '.') return Refuse(kind, "must not end with '.'");
  for (size_t start = 0;;) {
    const size_t slash = name.find('/', start);
    YBIS_TRY(CheckComponent(kind, name.substr(start, slash == name.npos ? slash : slash - start)));
    if (slash == name.npos) return {};
    start = slash + 1;
  }
}

}  // namespace

bool IsFullSha(std::string_view text) {
  return text.size() == 40 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Status CheckRef(std::string_view ref) {
  if (ref.empty() || ref == "HEAD") return {};
  return CheckName("ref", ref);
}

Status CheckBranchName(std::string_view branch) {
  if (branch == "HEAD" || branch.starts_with("refs/")) {
    return Refuse("branch", "must be a plain name, not HEAD or refs/…");
  }
  if (IsFullSha(branch)) return Refuse("branch", "must not look like a commit");
  return CheckName("branch", branch);
}

}  // namespace ybis::git
