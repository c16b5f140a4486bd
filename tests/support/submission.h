#pragma once
// A task to submit where it does not matter what the task is.
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/digest.h"
#include "control/task_queue.h"

namespace ybis::testing {

/// A task with a repository of its own and a workflow of one node that does nothing.
inline control::TaskSubmission OneNodeSubmission(const std::string& namespace_name, const std::string& name) {
  control::TaskSubmission submission;
  submission.uid = NewUuid();
  submission.namespace_name = namespace_name;
  submission.name = name;
  submission.generation = 1;
  submission.spec.objective = "Make it so.";
  submission.spec.repository.url = "https://git.example/" + submission.uid;
  submission.workflow.name = "w";
  submission.workflow.entry_point = "only";
  submission.workflow.exit_points = {"only"};
  submission.workflow.nodes = {
      {"only", "passthrough", {}, std::make_shared<const nlohmann::json>(nlohmann::json::object()), 0, 1}};
  return submission;
}

}  // namespace ybis::testing
