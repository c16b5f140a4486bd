#pragma once
// The 512 bytes before each file of a tar: ustar as POSIX has it. Pure.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ybis::cli {

inline constexpr size_t kTarBlock = 512;

struct TarHeader {
  std::string path;
  char type = '0';  ///< '0' file, '5' folder, 'x' a pax record for the next entry
  unsigned mode = 0644;
  int64_t size = 0;
  int64_t mtime = 0;
};

/// The header, with a pax record before it where the path does not fit.
std::string TarHeaderText(const TarHeader& header);
/// Checksum and numbers are checked, the path is not. kInvalid says what is wrong.
Result<TarHeader> ParseTarHeader(std::string_view block);
/// The path of a pax record; kInvalid when it holds anything else.
Result<std::string> ParsePaxPath(std::string_view record);
/// Zeros up to the next block.
inline size_t TarPadding(int64_t size) {
  return static_cast<size_t>((kTarBlock - static_cast<uint64_t>(size) % kTarBlock) % kTarBlock);
}

/// kInvalid for a path that is absolute, empty, too long or has a part "..", "." or none.
Status CheckPackedPath(std::string_view path);

}  // namespace ybis::cli
