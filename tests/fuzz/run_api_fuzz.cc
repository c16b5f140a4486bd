// The Run API's messages, of runners that may be anybody's image: what is taken means the same after a round
// trip.
#include <nlohmann/json.hpp>

#include "api/run_api.h"
#include "base/json.h"
#include "tests/fuzz/input.h"

using nlohmann::json;
using namespace ybis::api;

namespace {

template <class T>
void RoundTrip(const json& value, ybis::Result<T> (*parse)(const json&)) {
  const auto message = parse(value);
  if (!message) return;
  const json written = ToJson(*message);
  const auto again = parse(written);
  ybis::fuzz::Expect(again.has_value(), "a message that was written can be read");
  ybis::fuzz::Expect(ybis::DumpJson(ToJson(*again)) == ybis::DumpJson(written),
                     "a message keeps its meaning");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto value = ybis::ParseJson(ybis::fuzz::Text(data, size), "input");
  if (!value) return 0;
  RoundTrip(*value, ParseRunPolicy);
  RoundTrip(*value, ParseCheckpoint);
  RoundTrip(*value, ParseApprovalDecision);
  RoundTrip(*value, ParseClaimRequest);
  RoundTrip(*value, ParseClaimResponse);
  RoundTrip(*value, ParseHeartbeatRequest);
  RoundTrip(*value, ParseHeartbeatResponse);
  RoundTrip(*value, ParseNodeReport);
  RoundTrip(*value, ParseEventReport);
  RoundTrip(*value, ParseModelRequest);
  RoundTrip(*value, ParseModelResponse);
  RoundTrip(*value, ParseFinishReport);
  RoundTrip(*value, ParseReleaseReport);
  if (const auto request = ParseModelRequest(*value)) (void)request->RequestDigest();
  return 0;
}
