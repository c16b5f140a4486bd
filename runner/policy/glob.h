#pragma once
// Path globs of the policy: which files a task may not touch.
#include <string>
#include <string_view>
#include <vector>

namespace ybis::runner {

/// Whether a path of the repository ("a/b.txt") is covered by a glob. `*` and `?` stay within one folder,
/// `**` as a whole segment crosses folders, `[a-z]` and `[!a-z]` are sets, `\` quotes. As in .gitignore, a
/// pattern without a slash matches at any depth, a leading slash pins it to the root, and a pattern that
/// names a folder covers all below it. Time is bounded by length(pattern) x length(path).
bool GlobCovers(std::string_view pattern, std::string_view path);

/// The first of `patterns` that covers the path, or "".
std::string FirstCovering(const std::vector<std::string>& patterns, std::string_view path);

}  // namespace ybis::runner
