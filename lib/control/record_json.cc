#include "control/record_json.h"

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace ybis::control {
namespace {

using nlohmann::json;

TimePoint ReadTime(ObjectReader& reader, const char* key) {
  const auto time = ParseRfc3339(reader.RequiredString(key));
  if (!time) reader.Problem(reader.PathOf(key) + ": is no RFC 3339 time");
  return time ? *time : TimePoint();
}

std::shared_ptr<const json> ReadObject(ObjectReader& reader, const char* key) {
  const json* value = reader.Object(key);
  return value == nullptr ? nullptr : std::make_shared<const json>(*value);
}

}  // namespace

json ToJson(const NodeSummary& node) {
  json out = {{"seq", node.seq},
              {"node", node.node},
              {"type", node.type},
              {"visit", node.visit},
              {"outcome", node.outcome},
              {"startTime", FormatRfc3339Micro(node.started)},
              {"completionTime", FormatRfc3339Micro(node.finished)}};
  if (!node.error.empty()) out["error"] = node.error;
  if (!node.next_node.empty()) out["nextNode"] = node.next_node;
  if (node.output && node.output->is_object()) out["output"] = *node.output;
  return out;
}

json ToJson(const JournalEntry& entry) {
  json out = {{"id", entry.id},
              {"runID", entry.run_id},
              {"time", FormatRfc3339Micro(entry.time)},
              {"type", entry.type},
              {"message", entry.message}};
  if (!entry.trace_id.empty()) out["traceID"] = entry.trace_id;
  if (entry.fields && entry.fields->is_object()) out["fields"] = *entry.fields;
  return out;
}

Result<NodeSummary> ParseNodeSummary(const json& value) {
  ObjectReader reader(value, "node");
  NodeSummary node;
  node.seq = reader.Int("seq", 0, 0, INT64_MAX);
  node.node = reader.RequiredString("node");
  node.type = reader.String("type");
  node.visit = reader.Int("visit", 1, 0, INT64_MAX);
  node.outcome = reader.String("outcome");
  node.error = reader.String("error");
  node.next_node = reader.String("nextNode");
  node.started = ReadTime(reader, "startTime");
  node.finished = ReadTime(reader, "completionTime");
  node.output = ReadObject(reader, "output");
  YBIS_TRY(reader.Finish(false));
  return node;
}

Result<JournalEntry> ParseJournalEntry(const json& value) {
  ObjectReader reader(value, "event");
  JournalEntry entry;
  entry.id = reader.Int("id", 0, 0, INT64_MAX);
  entry.run_id = reader.String("runID");
  entry.trace_id = reader.String("traceID");
  entry.type = reader.RequiredString("type");
  entry.message = reader.String("message");
  entry.time = ReadTime(reader, "time");
  entry.fields = ReadObject(reader, "fields");
  YBIS_TRY(reader.Finish(false));
  return entry;
}

}  // namespace ybis::control
