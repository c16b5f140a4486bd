#include "operator/task/open_runs.h"

#include "control/run_state.h"

namespace ybis::op {
namespace {

constexpr std::string_view kSelect =
    "SELECT r.run_id, r.task_uid, t.namespace, t.name, r.state, r.cancel_requested "
    "FROM runs r JOIN tasks t ON t.uid = r.task_uid "
    "WHERE r.state IN ('Queued', 'Dispatched', 'Running', 'Blocked')";

}  // namespace

Result<std::vector<OpenRun>> StoredOpenRuns::List(std::stop_token stop) {
  YBIS_ASSIGN(const store::Rows rows, pool_.Execute(kSelect, {}, stop));
  std::vector<OpenRun> runs;
  for (size_t i = 0; i < rows.size(); ++i) {
    YBIS_ASSIGN(const auto state, control::ParseRunState(rows[i].Text(4)));
    runs.push_back(
        {rows[i].Text(0), rows[i].Text(1), rows[i].Text(2), rows[i].Text(3), state, rows[i].Bool(5)});
  }
  return runs;
}

}  // namespace ybis::op
