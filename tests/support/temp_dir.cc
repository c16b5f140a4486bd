#include "tests/support/temp_dir.h"

#include <fstream>

#include "base/digest.h"

namespace ybis::testing {

// Always below /tmp: the name of a Unix socket has 107 characters, and another user's server must be able to
// pass through, while TMPDIR may be of any length and closed.
TempDir::TempDir() : path_(std::filesystem::path("/tmp") / ("ybis-test-" + RandomHex(8))) {
  std::filesystem::create_directories(path_);
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path TempDir::Write(const std::string& name, const std::string& bytes) const {
  const auto file = path_ / name;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << bytes;
  return file;
}

}  // namespace ybis::testing
