// A model's edits and diffs, and what the gate looks for in a patch.
#include <nlohmann/json.hpp>

#include "runner/edit/diff.h"
#include "runner/edit/edit.h"
#include "runner/edit/path_rules.h"
#include "runner/policy/patch_lines.h"
#include "runner/policy/secret_scan.h"
#include "tests/fuzz/input.h"

namespace {

void Diff(std::string_view diff, std::string_view content) {
  (void)ybis::runner::FindSecrets(ybis::runner::AddedLines(diff));
  const auto files = ybis::runner::ParseDiff(diff);
  if (!files) return;
  ybis::runner::SearchBudget budget;
  for (const auto& file : *files) {
    (void)ybis::runner::CheckEditPath(file.new_path);
    (void)ybis::runner::ApplyHunks(content, file.hunks, budget);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto text = ybis::fuzz::Text(data, size);
  if (const auto edits = ybis::runner::ParseEditsText(text))
    ybis::fuzz::Expect(ybis::runner::PatchId(*edits) == ybis::runner::PatchId(*edits),
                       "the same edits have the same identity");
  Diff(text, text);
  const size_t half = text.find('\0');
  if (half != std::string_view::npos) Diff(text.substr(0, half), text.substr(half + 1));
  return 0;
}
