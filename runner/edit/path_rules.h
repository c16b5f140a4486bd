#pragma once
// Which names an edit may touch, whatever is on the disk.
#include <string_view>

#include "base/result.h"

namespace ybis::runner {

/// kInvalid with the reason when `path` is not a plain relative path: absolute, empty, "." or ".." or empty
/// components, control characters, NUL or backslashes, over 4096 bytes (255 a component), or any spelling of
/// .git that git or another file system takes for it.
Status CheckEditPath(std::string_view path);

}  // namespace ybis::runner
