#pragma once
// The Job of a run; pure.
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "api/task.h"
#include "control/config.h"
#include "control/run_record.h"

namespace ybis::op {

/// What a Job is made from; lives for one call.
struct JobInputs {
  const api::Task& task;
  const control::RunRecord& run;
  const control::Config& config;
  const std::string& run_api_url;
  const std::string& run_api_ca;  ///< PEM
};

/// The annotation of the pod template that carries the Run API's certificate authority; the pod reads it as a
/// file.
inline constexpr std::string_view kRunApiCaAnnotation = "ybis.dev/run-api-ca";
inline constexpr std::string_view kRunnerContainer = "runner";

/// One pod at a time, restricted in every respect, owned by the task, named after the run.
nlohmann::json BuildJob(const JobInputs& inputs);

}  // namespace ybis::op
