#pragma once
// How to reach the cluster that the options name, and what went wrong in the words of who asked.
#include <memory>
#include <string>

#include "cli/backend_options.h"
#include "kube/client.h"

namespace ybis::cli {

struct Cluster {
  std::unique_ptr<kube::KubeClient> client;
  std::string namespace_name;  ///< --namespace, else the context's
  std::string source;          ///< "https://10.0.0.1:6443 (context prod of ~/.kube/config)"
};

/// From --kubeconfig and --context, else as kubectl finds it, else as a pod. Nothing is asked yet.
Result<Cluster> Connect(const BackendOptions& options, std::stop_token stop);

/// The same error with what to do about it: no cluster that answers, credentials that are refused, a right
/// that is missing (with `role`, the chart's role that has it), a kind that the cluster does not know.
Error Explained(Error error, const std::string& source, const std::string& role);

}  // namespace ybis::cli
