// YAML from outside: within its limits or refused; each value's line can be told.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/yaml.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto documents = ybis::ParseYamlDocuments(ybis::fuzz::Text(data, size), "input");
  if (!documents) return 0;
  for (const auto& document : *documents) {
    ybis::fuzz::Expect(document.value != nullptr, "every document has a value");
    (void)ybis::DumpJson(*document.value);
    for (const auto& [pointer, line] : document.lines) {
      ybis::fuzz::Expect(line > 0, "lines count from 1");
      (void)document.Where(pointer + "/none");
    }
  }
  return 0;
}
