#pragma once
// The operator put together.
#include <memory>
#include <stop_token>

#include "base/clock.h"
#include "base/result.h"
#include "kube/config.h"
#include "operator/options.h"

namespace ybis::op {

/// Owns every part for the life of the process.
class Operator {
 public:
  /// Makes the parts; nothing runs yet. Errors are of the configuration (models, API server).
  static Result<std::unique_ptr<Operator>> Make(Options options, kube::Connection connection, Clock& clock);
  ~Operator();

  /// Runs until `stop`, then lets work under way end, gives the lease back and returns. Waits for the
  /// database and the API server as long as it takes; an error is one that waiting cannot mend.
  Status Run(std::stop_token stop);

 private:
  struct Parts;
  explicit Operator(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace ybis::op
