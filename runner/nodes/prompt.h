#pragma once
// Prompts: texts of configs/prompts that are built in, with a version and `{{name}}` places to fill.
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runner/nodes/model_caller.h"

namespace ybis::runner {

/// The bytes of configs/prompts/<file name>, empty when there is none such.
std::string_view PromptText(std::string_view file_name);
/// The bytes of configs/schemas/<file name>, empty when there is none such.
std::string_view SchemaText(std::string_view file_name);

/// Reads a prompt file: front matter between two lines `---` with `version: N`, then the system part, a line
/// `--- user ---`, and the user part. Every `{{name}}` is replaced by `values[name]` in one pass, so that a
/// value that holds braces stays as it is. A name without a value is kInvalid.
Result<PreparedPrompt> RenderPrompt(std::string_view text, const std::string& name,
                                    const std::map<std::string, std::string>& values);

/// A built-in prompt by its name ("planner"); "all values" also get the task's parameters.
Result<PreparedPrompt> BuiltInPrompt(const std::string& name, std::map<std::string, std::string> values,
                                     const std::map<std::string, std::string>& parameters);

/// A built-in schema by its name ("plan" is plan.schema.json), parsed once. Thread-safe.
AnswerSchema BuiltInSchema(const std::string& name);

/// Replaces the `{{name}}` that `values` knows; others stay.
std::string Substitute(std::string_view text, const std::map<std::string, std::string>& values);

/// Puts text of the repository into a fence that it cannot close: the marks carry the text's own digest.
std::string Fence(std::string_view label, std::string_view text);

}  // namespace ybis::runner
