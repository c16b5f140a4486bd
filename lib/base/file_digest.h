#pragma once
// The digest of a file of any size, read once through a buffer.
#include <cstdint>
#include <stop_token>
#include <string>

#include "base/result.h"

namespace ybis {

struct FileDigest {
  std::string digest;  ///< "sha256:…"
  int64_t size = 0;    ///< bytes read
};

/// Reads the descriptor from where it stands to its end. `name` stands in errors.
Result<FileDigest> DigestOfFile(int fd, const std::string& name, std::stop_token stop);

}  // namespace ybis
