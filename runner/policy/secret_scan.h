#pragma once
// Finds credentials in lines that a patch adds. A finding says which rule, file and line; never the secret.
#include <string>
#include <string_view>
#include <vector>

#include "runner/policy/patch_lines.h"

namespace ybis::runner {

struct SecretFinding {
  std::string rule;  ///< e.g. aws-access-key
  std::string path;
  int64_t line = 0;

  /// "aws-access-key in src/a.py:12"
  std::string Text() const;
};

/// The name of the rule that a line breaks, or "". Thread-safe.
std::string_view SecretRuleOf(std::string_view line);

/// At most `limit` findings.
std::vector<SecretFinding> FindSecrets(const std::vector<AddedLine>& lines, size_t limit = 20);

/// Shannon entropy in bits a character.
double Entropy(std::string_view text);

}  // namespace ybis::runner
