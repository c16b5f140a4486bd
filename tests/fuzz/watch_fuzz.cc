// The byte stream of a watch: how it is cut into pieces makes no difference.
#include <nlohmann/json.hpp>
#include <string>

#include "base/json.h"
#include "kube/watch_decoder.h"
#include "kube/wire.h"
#include "tests/fuzz/input.h"

namespace {

constexpr size_t kMaxLine = 4096;

/// The events, and the error if there was one, as one text.
std::string Decoded(std::string_view bytes, size_t piece) {
  ybis::kube::WatchDecoder decoder(kMaxLine);
  std::string out;
  const auto on_event = [&](ybis::kube::WatchEvent event) -> ybis::Status {
    out += ybis::DumpJson(*event.object) + "\n";
    return {};
  };
  while (!bytes.empty()) {
    const auto fed = decoder.Feed(bytes.substr(0, piece), on_event);
    ybis::fuzz::Expect(decoder.Pending() <= kMaxLine, "no more than a line is kept");
    if (!fed) return out + fed.error().message;
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto text = ybis::fuzz::Text(data, size);
  ybis::fuzz::Expect(Decoded(text, size + 1) == Decoded(text, 1 + size % 7), "pieces make no difference");
  (void)ybis::kube::ParseWire(text, "input");
  return 0;
}
