#pragma once
// What the program was told by flags and environment.
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "control/config.h"
#include "http/server.h"

namespace ybis::op {

struct Options {
  control::Config config;
  std::string database_url;
  std::string kubeconfig;  ///< empty = KUBECONFIG, the pod's service account or ~/.kube/config
  std::string context;
  std::string watch_namespace;     ///< empty = all
  std::string operator_namespace;  ///< of lease and certificate; empty = the connection's
  /// Only tasks with label ybis.dev/operator of this value; empty = only tasks without that label. Keeps two
  /// installations (a canary beside the old one) off each other's tasks.
  std::string instance;
  std::string service = "ybis-operator";
  std::string identity;     ///< of this replica; empty = host name
  std::string run_api_url;  ///< as pods reach it; empty = by the Service's name
  http::ListenAddress run_api;
  http::ListenAddress metrics;
  bool leader_elect = false;
  int workers = 4;
};

/// The program is to end now with this code: help was asked for, or something is wrong (already said on
/// standard error).
struct ExitNow {
  int code = 0;
};

/// Reads flags, then environment variables, then files that they name. Prints help or one line for each
/// problem itself.
std::variant<Options, ExitNow> ReadOptions(int argc, char** argv,
                                           const std::map<std::string, std::string>& environment);

}  // namespace ybis::op
