// passthrough: does nothing; a place for edges to meet.
#include <nlohmann/json.hpp>

#include "runner/nodes/node.h"

namespace ybis::runner {

Outcome<NodeOutput> RunPassthrough(NodeContext&, std::stop_token) {
  using nlohmann::json;
  return NodeOutput{.state = json::object(), .input = json::object(), .summary = json::object()};
}

}  // namespace ybis::runner
