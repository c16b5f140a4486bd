#pragma once
// Facts that every log record of a process has from some moment on.
#include <string>

namespace ybis::log {

/// Adds `key` with `value` to every later record that has no such field; an empty value takes it away.
/// Thread-safe.
void SetContext(const std::string& key, const std::string& value);

}  // namespace ybis::log
