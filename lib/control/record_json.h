#pragma once
// The JSON form of what the record tells of a run, for those who read it through the API server
// (record.ybis.dev/v1alpha1): the operator writes it, the command line reads it.
#include <nlohmann/json_fwd.hpp>

#include "control/journal.h"
#include "control/task_catalog.h"

namespace ybis::control {

inline constexpr const char* kRecordGroup = "record.ybis.dev";
inline constexpr const char* kRecordVersion = "v1alpha1";
inline constexpr const char* kRecordApiVersion = "record.ybis.dev/v1alpha1";
inline constexpr const char* kRecordApiPath = "/apis/record.ybis.dev/v1alpha1";

nlohmann::json ToJson(const NodeSummary& node);
nlohmann::json ToJson(const JournalEntry& entry);
/// Read back what ToJson writes; problems name the field.
Result<NodeSummary> ParseNodeSummary(const nlohmann::json& value);
Result<JournalEntry> ParseJournalEntry(const nlohmann::json& value);

}  // namespace ybis::control
