#pragma once
// Finding the text that an edit wants to replace, and telling what is there instead.
#include <string>
#include <string_view>

#include "base/result.h"

namespace ybis::runner {

struct SearchMiss {
  std::string reason;
  std::string hint;
};

/// Replaces each of the `occurrences` places of `search`. Text with plain line ends also matches a file whose
/// lines end in CR LF, and is then written so. A result of more than `max_bytes` is a miss before it is made.
tl::expected<std::string, SearchMiss> ReplaceExactly(std::string_view content, std::string_view search,
                                                     std::string_view replace, int occurrences,
                                                     size_t max_bytes);

/// The lines of `content` most like `wanted`, numbered, for one who has to mend an edit. Empty when nothing
/// is alike.
std::string NearestLines(std::string_view content, std::string_view wanted);

/// Whether every line of it ends in CR LF (and there is one).
bool UsesCrLf(std::string_view text);
/// Plain line ends turned into CR LF.
std::string ToCrLf(std::string_view text);

}  // namespace ybis::runner
