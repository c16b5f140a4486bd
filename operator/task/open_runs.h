#pragma once
// Which runs the record holds as not ended; for those whose task is gone.
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/run_record.h"
#include "store/database.h"

namespace ybis::op {

struct OpenRun {
  std::string run_id;
  std::string task_uid;
  std::string task_namespace;
  std::string task_name;
  control::RunState state = control::RunState::kQueued;
  bool cancel_requested = false;
};

class OpenRuns {
 public:
  virtual ~OpenRuns() = default;
  virtual Result<std::vector<OpenRun>> List(std::stop_token stop) = 0;
};

/// Over Postgres. Thread-safe.
class StoredOpenRuns final : public OpenRuns {
 public:
  explicit StoredOpenRuns(store::Pool& pool) : pool_(pool) {}
  Result<std::vector<OpenRun>> List(std::stop_token stop) override;

 private:
  store::Pool& pool_;
};

}  // namespace ybis::op
