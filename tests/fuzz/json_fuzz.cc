// JSON from outside: what is read can be written and read again, the same.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto value = ybis::ParseJson(ybis::fuzz::Text(data, size), "input");
  if (!value) return 0;
  const std::string text = ybis::DumpJson(*value);
  const auto again = ybis::ParseJson(text, "dump");
  ybis::fuzz::Expect(again.has_value(), "JSON that was written can be read");
  ybis::fuzz::Expect(ybis::DumpJson(*again) == text, "JSON that was read is written the same");
  return 0;
}
