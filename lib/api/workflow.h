#pragma once
// YbisWorkflow (ybis.dev/v1alpha1): a graph of typed nodes. Read by one parser from the CR and from the file
// form.
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/meta.h"

namespace ybis::api {

/// Condition on an edge: the value at a path of the run's state ("gate.decision") compared.
struct When {
  std::string path;
  enum class Op { kEquals, kIn, kExists } op = Op::kEquals;
  std::shared_ptr<const nlohmann::json> value;  ///< a scalar for equals, a list for in, a boolean for exists
};

struct Edge {
  std::string to;
  std::optional<When> when;
};

struct NodeSpec {
  std::string name;
  std::string type;
  std::vector<Edge> next;
  std::shared_ptr<const nlohmann::json> config;  ///< an object; never null
  int64_t timeout_seconds = 0;                   ///< 0 = only the run's
  int64_t max_visits = 0;                        ///< 0 = none given: 1, or for a node in a loop an error
};

struct WorkflowSpec {
  std::string name;
  std::string description;
  std::string version;
  std::string entry_point;
  std::vector<std::string> exit_points;
  std::vector<NodeSpec> nodes;
};

/// Reads the CR's spec (camelCase: entryPoint, exitPoints, maxVisits, timeoutSeconds). `name` is the
/// object's.
Result<WorkflowSpec> ParseWorkflowSpec(const nlohmann::json& spec, const std::string& name,
                                       const std::string& path = "spec");
/// The CR's spec form; ParseWorkflowSpec reads it back equal.
nlohmann::json ToJson(const WorkflowSpec& spec);

struct Workflow {
  ObjectMeta meta;
  WorkflowSpec spec;
  int64_t observed_generation = 0;
  std::vector<Condition> conditions;
};
Result<Workflow> ParseWorkflow(const nlohmann::json& object);

}  // namespace ybis::api
