#pragma once
// What `git ls-remote --symref` prints.
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ybis::git {

struct RemoteRefs {
  std::string head_branch;  ///< what HEAD names: refs/heads/main; empty when it names no branch
  std::map<std::string, std::string> refs;  ///< full name to object; HEAD and peeled tags (name^{}) too

  /// The object of a full name, empty when absent.
  std::string Find(const std::string& name) const;
};

/// kUnsupported when the objects are named by SHA-256; kInternal for anything that is not such a list.
Result<RemoteRefs> ParseRemoteRefs(std::string_view text);

/// A ref of the server that a task's ref means.
struct ResolvedRef {
  std::string name;    ///< what to fetch: refs/heads/main, HEAD
  std::string commit;  ///< what it points at, tags peeled
};

/// Finds what `ref` means: empty or HEAD the default branch, refs/… itself, else a branch before a tag.
/// kNotFound names the ref; `where` is the repository for the message.
Result<ResolvedRef> ResolveRemoteRef(const RemoteRefs& refs, const std::string& ref, std::string_view where);

}  // namespace ybis::git
