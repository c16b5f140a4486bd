#include "tests/support/temp_dir.h"

#include <fstream>

#include "base/digest.h"

namespace ybis::testing {

TempDir::TempDir() : path_(std::filesystem::temp_directory_path() / ("ybis-test-" + RandomHex(8))) {
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
