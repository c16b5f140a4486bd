#pragma once
// A file behind zstd: bytes go in or come out in order.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ybis::cli {

/// Writes to a descriptor that it does not own. Not thread-safe.
class ZstdWriter {
 public:
  ZstdWriter(int fd, std::string name);
  ~ZstdWriter();
  ZstdWriter(const ZstdWriter&) = delete;
  ZstdWriter& operator=(const ZstdWriter&) = delete;

  Status Write(std::string_view bytes);
  /// Ends the frame; call it once, last.
  Status Finish();

 private:
  Status Push(std::string_view bytes, bool end);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Reads from a descriptor that it does not own. Not thread-safe.
class ZstdReader {
 public:
  ZstdReader(int fd, std::string name);
  ~ZstdReader();
  ZstdReader(const ZstdReader&) = delete;
  ZstdReader& operator=(const ZstdReader&) = delete;

  /// Fills at most `size` bytes and returns how many; 0 at the end of a whole frame. kInvalid for what is no
  /// zstd file, is cut off or damaged.
  Result<size_t> Read(char* out, size_t size);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ybis::cli
