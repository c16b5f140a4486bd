#include "runner/nodes/node.h"

namespace ybis::runner {
namespace {

constexpr NodeType kTypes[] = {
    {"spec_generator", RunSpecGenerator, Effect::kReads},
    {"planner", RunPlanner, Effect::kReads},
    {"executor", RunExecutor, Effect::kEdits},
    {"repair", RunRepair, Effect::kEdits},
    {"verifier", RunVerifier, Effect::kScratches},
    {"gate", RunGate, Effect::kReads},
    {"command", RunCommand, Effect::kEdits},
    {"human_approval", RunHumanApproval, Effect::kReads},
    {"passthrough", RunPassthrough, Effect::kReads},
};

}  // namespace

const NodeType* FindNodeType(std::string_view name) {
  for (const NodeType& type : kTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

}  // namespace ybis::runner
