#include "runner/policy/secret_scan.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <array>
#include <cmath>

namespace ybis::runner {
namespace {

/// A shape that is a credential whatever stands around it.
struct Shape {
  std::string_view rule;
  const char* pattern;
};

constexpr Shape kShapes[] = {
    {"private-key", R"(-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----)"},
    {"aws-access-key", R"(\b(?:AKIA|ASIA)[0-9A-Z]{16}\b)"},
    {"aws-secret-key", R"((?i)aws.{0,30}secret.{0,30}["'=: ][0-9a-z/+]{40}(?:[^0-9a-z/+]|$))"},
    {"github-token", R"(\b(?:gh[pousr]_[0-9A-Za-z]{36,}|github_pat_[0-9A-Za-z_]{60,}))"},
    {"gitlab-token", R"(\bglpat-[0-9A-Za-z_\-]{20,})"},
    {"slack-token", R"(\bxox[abprs]-[0-9A-Za-z\-]{10,})"},
    {"google-api-key", R"(\bAIza[0-9A-Za-z_\-]{35}\b)"},
    {"stripe-key", R"(\b[rs]k_live_[0-9A-Za-z]{20,})"},
    {"model-api-key", R"(\bsk-(?:ant-|proj-)?[0-9A-Za-z_\-]{32,})"},
    {"json-web-token", R"(\beyJ[0-9A-Za-z_\-]{15,}\.eyJ[0-9A-Za-z_\-]{15,}\.[0-9A-Za-z_\-]{20,})"},
    {"url-password", R"(\b[a-z][a-z0-9+.\-]{1,15}://[^/\s:@"'<>{}$]{1,64}:[^/\s:@"'<>{}$]{6,}@)"},
};

struct CompiledShape {
  std::string_view rule;
  RE2 expression;
};

const std::vector<std::unique_ptr<CompiledShape>>& Compiled() {
  static const auto* shapes = [] {
    auto* list = new std::vector<std::unique_ptr<CompiledShape>>;
    for (const Shape& shape : kShapes) {
      list->emplace_back(new CompiledShape{shape.rule, RE2(shape.pattern, RE2::Quiet)});
    }
    return list;
  }();
  return *shapes;
}

bool LooksLikePlaceholder(std::string_view value) {
  static const RE2 placeholder(
      R"((?i)example|changeme|change_me|placeholder|dummy|your[_\-]|xxxx|0000|1234|test|fake|redacted|\$\{|\{\{|<|\*\*\*)");
  return RE2::PartialMatch(re2::StringPiece(value.data(), value.size()), placeholder);
}

/// `api_key = "..."` with a value too random to be a word.
bool IsRandomAssignment(re2::StringPiece line) {
  static const RE2 assignment(
      R"((?i)(?:api[_\-]?key|secret|token|passwd|password|credential|private[_\-]?key)[a-z0-9_\-]*["']?\s*(?::=|=>|[:=])\s*["']([^"'\s]{16,256})["'])");
  re2::StringPiece value;
  if (!RE2::PartialMatch(line, assignment, &value)) return false;
  const std::string_view text(value.data(), value.size());
  return !LooksLikePlaceholder(text) && Entropy(text) >= 3.5;
}

}  // namespace

std::string SecretFinding::Text() const { return fmt::format("{} in {}:{}", rule, path, line); }

double Entropy(std::string_view text) {
  if (text.empty()) return 0;
  std::array<size_t, 256> counts{};
  for (const char c : text) ++counts[static_cast<unsigned char>(c)];
  double bits = 0;
  for (const size_t count : counts) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / static_cast<double>(text.size());
    bits -= share * std::log2(share);
  }
  return bits;
}

std::string_view SecretRuleOf(std::string_view line) {
  const re2::StringPiece piece(line.data(), line.size());
  for (const auto& shape : Compiled()) {
    if (RE2::PartialMatch(piece, shape->expression)) return shape->rule;
  }
  return IsRandomAssignment(piece) ? "random-assignment" : std::string_view();
}

std::vector<SecretFinding> FindSecrets(const std::vector<AddedLine>& lines, size_t limit) {
  std::vector<SecretFinding> findings;
  for (const AddedLine& line : lines) {
    if (findings.size() == limit) break;
    const std::string_view rule = SecretRuleOf(line.text);
    if (!rule.empty()) findings.push_back({std::string(rule), line.path, line.line});
  }
  return findings;
}

}  // namespace ybis::runner
