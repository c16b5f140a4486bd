#pragma once
// What the fuzz targets share. A target is one file NAME_fuzz.cc with LLVMFuzzerTestOneInput; it hands the
// bytes to a parser of untrusted input and holds what comes out against a property. It must neither read nor
// write files.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace ybis::fuzz {

inline std::string_view Text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Ends the process when a property does not hold, as libFuzzer wants it.
inline void Expect(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: %s does not hold\n", property);
  std::abort();
}

}  // namespace ybis::fuzz
