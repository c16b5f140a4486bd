#include "runner/git/remote_refs.h"

#include <fmt/format.h>

#include "runner/git/ref_name.h"

namespace ybis::git {
namespace {

Status ReadLine(std::string_view line, RemoteRefs& refs) {
  const size_t tab = line.find('\t');
  if (tab == line.npos) return Fail(ErrorCode::kInternal, "git ls-remote: a line without a tab");
  const std::string_view object = line.substr(0, tab);
  const std::string name(line.substr(tab + 1));
  if (object.starts_with("ref: ")) {
    if (name == "HEAD") refs.head_branch = object.substr(5);
    return {};
  }
  if (object.size() == 64) {
    return Fail(ErrorCode::kUnsupported, "the repository uses SHA-256 object names; only SHA-1 is supported");
  }
  if (!IsFullSha(object)) return Fail(ErrorCode::kInternal, "git ls-remote: a line without an object name");
  refs.refs[name] = object;
  return {};
}

ResolvedRef Resolved(const RemoteRefs& refs, const std::string& name) {
  const std::string peeled = refs.Find(name + "^{}");
  return {.name = name, .commit = peeled.empty() ? refs.Find(name) : peeled};
}

}  // namespace

std::string RemoteRefs::Find(const std::string& name) const {
  const auto found = refs.find(name);
  return found == refs.end() ? std::string() : found->second;
}

Result<RemoteRefs> ParseRemoteRefs(std::string_view text) {
  RemoteRefs refs;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (!line.empty()) YBIS_TRY(ReadLine(line, refs));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return refs;
}

Result<ResolvedRef> ResolveRemoteRef(const RemoteRefs& refs, const std::string& ref, std::string_view where) {
  if (ref.empty() || ref == "HEAD") {
    // What HEAD is at is its branch's commit: the branches, of which there may be very many, are not listed.
    const std::string name = refs.head_branch.empty() ? "HEAD" : refs.head_branch;
    if (!refs.Find("HEAD").empty()) return ResolvedRef{.name = name, .commit = refs.Find("HEAD")};
    return Fail(
        ErrorCode::kNotFound,
        fmt::format("{}: has no default branch (is it empty?); push a first commit or name a ref", where));
  }
  for (const std::string prefix : {"", "refs/heads/", "refs/tags/"}) {
    if (prefix.empty() != ref.starts_with("refs/")) continue;
    if (!refs.Find(prefix + ref).empty()) return Resolved(refs, prefix + ref);
  }
  return Fail(ErrorCode::kNotFound,
              fmt::format("{}: has no branch or tag '{}'; correct spec.repository.ref", where, ref));
}

}  // namespace ybis::git
