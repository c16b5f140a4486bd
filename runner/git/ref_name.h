#pragma once
// Names of branches, tags and commits, by git's own rules (git-check-ref-format) and a little stricter.
#include <string>
#include <string_view>

#include "base/result.h"

namespace ybis::git {

/// Whether it is a full SHA-1 commit name: 40 lower-case hexadecimal digits.
bool IsFullSha(std::string_view text);

/// Checks what a task may name as its ref: empty or HEAD (the default branch), a branch, a tag, a full name
/// (refs/heads/x) or a full commit. kInvalid says which rule it breaks.
Status CheckRef(std::string_view ref);

/// Checks the name of a branch that is to be made (without refs/heads/).
Status CheckBranchName(std::string_view branch);

}  // namespace ybis::git
