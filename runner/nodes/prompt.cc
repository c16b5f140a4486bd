#include "runner/nodes/prompt.h"

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/digest.h"
#include "base/json.h"

namespace ybis::runner {
namespace {

using Values = std::map<std::string, std::string>;

constexpr std::string_view kUserMark = "\n--- user ---\n";

/// The version and what follows the front matter.
Result<std::pair<std::string, std::string_view>> ReadFrontMatter(std::string_view text,
                                                                 const std::string& name) {
  const size_t end = text.find("\n---\n", 3);
  if (!text.starts_with("---\n") || end == std::string_view::npos) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("prompt {}: has no front matter between two --- lines", name));
  }
  const std::string_view head = text.substr(4, end - 3);
  const size_t at = head.find("version: ");
  if (at == std::string_view::npos) {
    return Fail(ErrorCode::kInvalid, fmt::format("prompt {}: the front matter has no version", name));
  }
  const std::string_view version = head.substr(at + 9);
  return std::pair(std::string(version.substr(0, version.find('\n'))), text.substr(end + 5));
}

/// Calls `known(name)` for each {{name}}; what it returns false for is kept.
template <class Fill>
std::string FillPlaces(std::string_view text, Fill fill) {
  std::string out;
  while (true) {
    const size_t open = text.find("{{");
    const size_t close = open == std::string_view::npos ? open : text.find("}}", open);
    if (close == std::string_view::npos) break;
    out += text.substr(0, open);
    const std::string name(text.substr(open + 2, close - open - 2));
    if (!fill(name, out)) out += text.substr(open, close + 2 - open);
    text.remove_prefix(close + 2);
  }
  out += text;
  return out;
}

Result<std::string> FillAll(std::string_view text, const std::string& prompt, const Values& values) {
  std::string missing;
  std::string out = FillPlaces(text, [&](const std::string& name, std::string& to) {
    const auto it = values.find(name);
    if (it == values.end()) missing = name;
    if (it != values.end()) to += it->second;
    return true;
  });
  if (missing.empty()) return out;
  return Fail(ErrorCode::kInvalid,
              fmt::format("prompt {}: nothing is known for {{{{{}}}}}", prompt, missing));
}

}  // namespace

Result<PreparedPrompt> RenderPrompt(std::string_view text, const std::string& name, const Values& values) {
  YBIS_ASSIGN(const auto parts, ReadFrontMatter(text, name));
  const auto& [version, body] = parts;
  const size_t mark = body.find(kUserMark);
  if (mark == std::string_view::npos) {
    return Fail(ErrorCode::kInvalid, fmt::format("prompt {}: has no line '--- user ---'", name));
  }
  PreparedPrompt prompt{.name = name, .version = version};
  YBIS_ASSIGN(prompt.system, FillAll(body.substr(0, mark), name, values));
  YBIS_ASSIGN(prompt.user, FillAll(body.substr(mark + kUserMark.size()), name, values));
  return prompt;
}

Result<PreparedPrompt> BuiltInPrompt(const std::string& name, Values values, const Values& parameters) {
  const std::string_view text = PromptText(name + ".md");
  if (text.empty()) return Fail(ErrorCode::kNotFound, "no prompt is called " + name);
  values.insert(parameters.begin(), parameters.end());
  return RenderPrompt(text, name, values);
}

AnswerSchema BuiltInSchema(const std::string& name) {
  const std::string_view text = SchemaText(name + ".schema.json");
  auto schema = ParseJson(text, name);
  if (!schema) throw std::logic_error("schema " + name + " is not built in");
  return {name, std::make_shared<const nlohmann::json>(std::move(*schema))};
}

std::string Substitute(std::string_view text, const Values& values) {
  return FillPlaces(text, [&](const std::string& name, std::string& to) {
    const auto it = values.find(name);
    if (it != values.end()) to += it->second;
    return it != values.end();
  });
}

std::string Fence(std::string_view label, std::string_view text) {
  const std::string mark = Sha256Hex(text).substr(0, 16);
  return fmt::format("<<<DATA {} {}\n{}{}DATA {}>>>\n", mark, label, text, text.ends_with('\n') ? "" : "\n",
                     mark);
}

}  // namespace ybis::runner
