#include "store/rerun_store.h"

#include <fmt/format.h>

namespace ybis::store {

Result<std::optional<int64_t>> RerunStore::ReachedAt(const std::string& run_id, const std::string& node) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec("SELECT max(seq) FROM node_executions WHERE run_id = $1 AND next_node = $2", {run_id, node}));
  if (rows.empty() || rows[0].IsNull(0)) return std::nullopt;
  return rows[0].Int(0);
}

Result<std::vector<std::string>> RerunStore::NodesReached(const std::string& run_id) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("SELECT node FROM (SELECT node, seq FROM node_executions WHERE run_id = $1 "
                       "UNION ALL SELECT next_node, seq + 1 FROM node_executions WHERE run_id = $1) n "
                       "WHERE node <> '' GROUP BY node ORDER BY min(seq)",
                       {run_id}));
  std::vector<std::string> nodes;
  for (size_t i = 0; i < rows.size(); ++i) nodes.push_back(rows[i].Text(0));
  return nodes;
}

Status RerunStore::Copy(const std::string& from_run, const std::string& to_run, int64_t nodes,
                        const std::string& node) {
  YBIS_TRY(
      tx_.Exec("INSERT INTO node_executions (run_id, seq, epoch, node, type, visit, outcome, error, started, "
               "finished, input, output, next_node, visits, state, base_commit, patch) "
               "SELECT $2, seq, 0, node, type, visit, outcome, error, started, finished, input, output, "
               "next_node, visits, state, base_commit, patch FROM node_executions "
               "WHERE run_id = $1 AND seq <= $3",
               {from_run, to_run, nodes}));
  // The names are locked: one that got another content now could lose the copied one to the clean-up.
  // An artifact with a node's name goes with the node; one that every visit writes anew only when its last
  // visit is among those taken.
  YBIS_TRY(
      tx_.Exec("INSERT INTO artifacts (run_id, name, digest, size) "
               "SELECT $2, a.name, a.digest, a.size FROM artifacts a WHERE a.run_id = $1 AND ("
               "a.name IN ('base.json', 'sync.pack') "
               "OR (a.name ~ '^[0-9]{4,}-' AND substring(a.name FROM '^[0-9]+')::numeric <= $3::bigint) "
               "OR EXISTS (SELECT 1 FROM (VALUES ('spec.json', 'spec_generator'), ('plan.json', 'planner'), "
               "('verifier.json', 'verifier'), ('gate.json', 'gate')) AS made (name, type) "
               "WHERE made.name = a.name AND (SELECT max(n.seq) FROM node_executions n WHERE n.run_id = $1 "
               "AND n.type = made.type) <= $3::bigint)) FOR SHARE OF a ON CONFLICT DO NOTHING",
               {from_run, to_run, nodes}));
  YBIS_TRY(tx_.Exec(
      "INSERT INTO events (run_id, key, type, message) VALUES ($1, 'rerun', 'RUN_CONTINUED', $2) "
      "ON CONFLICT DO NOTHING",
      {to_run,
       fmt::format("begins at node {} with the {} nodes that run {} had before it", node, nodes, from_run)}));
  return {};
}

}  // namespace ybis::store
