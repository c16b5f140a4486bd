#pragma once
// The version of all of YBIS' programs; the same as CMakeLists.txt and the chart say.

namespace ybis {
inline constexpr const char* kYbisVersion = "0.1.0";
}  // namespace ybis
