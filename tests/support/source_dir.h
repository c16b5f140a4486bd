#pragma once
#include <string>

namespace ybis::testing {

/// The checkout that the tests were built from. One file knows its path: a path among the flags of every test
/// would have a fresh clone compile them all anew.
std::string SourceDir();

}  // namespace ybis::testing
