// What a model endpoint answers, what is recorded of it, and the schemas that answers are held against.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "model/answer.h"
#include "model/openai_wire.h"
#include "model/recording.h"
#include "tests/fuzz/input.h"

namespace {

/// "SCHEMA\0VALUE"
void Validate(std::string_view text) {
  const size_t half = text.find('\0');
  if (half == std::string_view::npos) return;
  const auto schema = ybis::ParseJson(text.substr(0, half), "schema");
  const auto value = ybis::ParseJson(text.substr(half + 1), "value");
  if (!schema || !value || !ybis::model::CheckSchema(*schema)) return;
  (void)ybis::model::ValidateAgainst(*schema, *value);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto text = ybis::fuzz::Text(data, size);
  if (const auto completion = ybis::model::ParseChatResponse(text, {}))
    (void)ybis::DumpJson(ybis::model::ToChatResponse(*completion));
  if (const auto answer = ybis::model::ExtractJson(text))
    ybis::fuzz::Expect(answer->is_object(), "an answer is an object");
  Validate(text);
  const auto value = ybis::ParseJson(text, "input");
  if (!value) return 0;
  (void)ybis::model::ParseChatRequest(*value);
  (void)ybis::model::ParseRecording(*value, "input");
  return 0;
}
