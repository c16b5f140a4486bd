#pragma once
// A model server that speaks the OpenAI protocol and answers from recordings: for demonstrations and tests.
#include <functional>
#include <stop_token>
#include <string>

#include "base/result.h"

namespace ybis::cli {

struct ModelServerSettings {
  std::string address = "::";
  int port = 8080;             ///< 0 = any free one
  std::string recordings_dir;  ///< every *.json below it; the format is told in configs/recordings/README.md
  std::string api_key;         ///< not empty: demanded as bearer token
  std::function<void(int port)> on_listening;  ///< called once with the real port
};

/// Serves POST /v1/chat/completions, GET /v1/models and GET /healthz until `stop`. Errors: a recording that
/// is wrong (file and field are named), an address that cannot be bound. Recordings may inject faults; see
/// the format.
Status ServeRecordedModel(const ModelServerSettings& settings, std::stop_token stop);

}  // namespace ybis::cli
