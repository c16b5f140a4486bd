#pragma once
// The API server's JSON read with limits, and its failures turned into Errors.
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "base/result.h"
#include "http/client.h"

namespace ybis::kube {

/// Parses text from the API server; metadata.managedFields is dropped while parsing, wherever it stands. More
/// than 64 levels, or what is not JSON, is kInvalid.
Result<nlohmann::json> ParseWire(std::string_view text, std::string_view source);

/// The Error of a response whose code is not 2xx. `what` names the call, e.g. "GET /api/v1/pods".
Error ErrorFromResponse(std::string_view what, const http::ClientResponse& response);
/// The Error of a metav1.Status object with that HTTP code; `status` may be anything.
Error ErrorFromStatus(std::string_view what, int code, const nlohmann::json& status);

}  // namespace ybis::kube
