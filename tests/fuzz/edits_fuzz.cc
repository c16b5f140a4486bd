// libFuzzer target of the edits parser, the diff parser and the hunks. Build with clang:
//   clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -I. -Ilib -include cmake/pch.h
//   tests/fuzz/edits_fuzz.cc \
//     runner/edit/{edit,diff_parser,hunks,search,path_rules}.cc lib/base/{json,digest,result}.cc -lfmt
//     -lcrypto
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "runner/edit/diff.h"
#include "runner/edit/edit.h"
#include "runner/edit/path_rules.h"

namespace {

void FuzzDiff(std::string_view diff, std::string_view content) {
  const auto files = ybis::runner::ParseDiff(diff);
  if (!files) return;
  for (const auto& file : *files) {
    (void)ybis::runner::CheckEditPath(file.new_path);
    (void)ybis::runner::ApplyHunks(content, file.hunks);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto edits = ybis::runner::ParseEditsText(text)) {
    // The same edits must have the same identity.
    if (ybis::runner::PatchId(*edits) != ybis::runner::PatchId(*edits)) std::abort();
  }
  FuzzDiff(text, text);
  const size_t half = text.find('\0');
  if (half != std::string_view::npos) FuzzDiff(text.substr(0, half), text.substr(half + 1));
  return 0;
}
