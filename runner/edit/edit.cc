#include "runner/edit/edit.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/digest.h"
#include "base/json.h"

namespace ybis::runner {
namespace {

constexpr int kMaxOccurrences = 10'000;

/// A string that may be empty but must be there.
std::string Text(ObjectReader& reader, std::string_view key) {
  const auto* member = reader.Member(key);
  if (member != nullptr && member->is_string()) return member->get<std::string>();
  reader.Problem(reader.PathOf(key) + (member == nullptr ? ": is missing" : ": must be a string"));
  return {};
}

Edit ReadOp(ObjectReader& reader, std::string_view op) {
  if (op == "search_replace") {
    SearchReplace edit;
    edit.path = reader.RequiredString("path");
    edit.search = reader.RequiredString("search");
    edit.replace = Text(reader, "replace");
    edit.occurrences = static_cast<int>(reader.Int("occurrences", 1, 1, kMaxOccurrences));
    return edit;
  }
  if (op == "write") {
    WholeFile edit;
    edit.path = reader.RequiredString("path");
    edit.content = Text(reader, "content");
    return edit;
  }
  if (op == "delete") return DeleteFile{reader.RequiredString("path")};
  if (op == "rename") {
    RenameFile edit;
    edit.from = reader.RequiredString("from");
    edit.to = reader.RequiredString("to");
    return edit;
  }
  return UnifiedDiff{reader.RequiredString("diff")};
}

Result<Edit> ReadEdit(const nlohmann::json& value, const std::string& path) {
  ObjectReader reader(value, path);
  const std::string op = reader.RequiredString("op");
  static const std::vector<std::string_view> kOps = {"search_replace", "write", "delete", "rename", "diff"};
  const bool known = std::find(kOps.begin(), kOps.end(), op) != kOps.end();
  if (!known) {
    if (!op.empty()) reader.Problem(fmt::format("{}.op: must be one of {}", path, fmt::join(kOps, ", ")));
    YBIS_TRY(reader.Finish(false));
    return Fail(ErrorCode::kInvalid, path + ".op: is missing");
  }
  Edit edit = ReadOp(reader, op);
  YBIS_TRY(reader.Finish());
  return edit;
}

/// Length-prefixed, so that no two sets of edits run into the same bytes.
void Add(std::string& out, std::string_view field) { out += fmt::format("{}:{}", field.size(), field); }

struct Normaliser {
  std::string& out;
  void operator()(const SearchReplace& edit) const {
    for (const std::string_view field : {std::string_view("search_replace"), std::string_view(edit.path),
                                         std::string_view(edit.search), std::string_view(edit.replace)}) {
      Add(out, field);
    }
    Add(out, std::to_string(edit.occurrences));
  }
  void operator()(const WholeFile& edit) const {
    Add(out, "write");
    Add(out, edit.path);
    Add(out, edit.content);
  }
  void operator()(const DeleteFile& edit) const {
    Add(out, "delete");
    Add(out, edit.path);
  }
  void operator()(const RenameFile& edit) const {
    Add(out, "rename");
    Add(out, edit.from);
    Add(out, edit.to);
  }
  void operator()(const UnifiedDiff& edit) const {
    Add(out, "diff");
    Add(out, edit.text);
  }
};

}  // namespace

Result<std::vector<Edit>> ParseEdits(const nlohmann::json& value, const EditLimits& limits) {
  ObjectReader reader(value, "");
  const auto* list = reader.Array("edits");
  YBIS_TRY(reader.Finish());
  if (list == nullptr) return Fail(ErrorCode::kInvalid, "edits: must be a list of edits");
  if (list->size() > limits.max_edits) {
    return Fail(ErrorCode::kTooLarge,
                fmt::format("edits: {}, more than the {} allowed", list->size(), limits.max_edits));
  }
  std::vector<Edit> edits;
  std::string problems;
  for (size_t i = 0; i < list->size(); ++i) {
    auto edit = ReadEdit((*list)[i], fmt::format("edits[{}]", i));
    if (edit) {
      edits.push_back(std::move(*edit));
    } else {
      problems += (problems.empty() ? "" : "; ") + edit.error().message;
    }
  }
  if (!problems.empty()) return Fail(ErrorCode::kInvalid, problems);
  return edits;
}

Result<std::vector<Edit>> ParseEditsText(std::string_view json, const EditLimits& limits) {
  // Escapes make the text longer than what it says.
  YBIS_ASSIGN(const nlohmann::json value,
              ParseJson(json, "edits", {.max_bytes = limits.max_total_bytes * 2, .max_depth = 8}));
  return ParseEdits(value, limits);
}

std::string PatchId(std::span<const Edit> edits) {
  std::string text;
  for (const Edit& edit : edits) std::visit(Normaliser{text}, edit);
  return Digest(text);
}

}  // namespace ybis::runner
