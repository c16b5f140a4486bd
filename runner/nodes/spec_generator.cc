// spec_generator: objective and repository facts → spec.json.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "runner/nodes/node.h"
#include "runner/nodes/prompt.h"
#include "runner/nodes/prompt_parts.h"

namespace ybis::runner {
namespace {

using nlohmann::json;

/// The gateway has checked the schema; the answer is still outside input, and only known members go on.
Outcome<std::string> CheckSpec(const json& answer, json& spec) {
  ObjectReader reader(answer, "answer");
  spec = {{"title", reader.RequiredString("title")},
          {"requirements", reader.Strings("requirements")},
          {"acceptanceCriteria", reader.Strings("acceptanceCriteria")},
          {"outOfScope", reader.Strings("outOfScope")},
          {"assumptions", reader.Strings("assumptions")}};
  if (spec["requirements"].empty()) reader.Problem("answer.requirements: is empty");
  if (spec["acceptanceCriteria"].empty()) reader.Problem("answer.acceptanceCriteria: is empty");
  const Status status = reader.Finish(false);
  return status ? std::string() : status.error().message;
}

}  // namespace

Outcome<NodeOutput> RunSpecGenerator(NodeContext& context, std::stop_token stop) {
  YBIS_TAKE(const RepositoryFacts facts, ReadFacts(context.tree, stop));
  YBIS_ASSIGN_FAULT(FaultSource::kWorkspace, const PreparedPrompt prompt,
                    BuiltInPrompt("spec_generator",
                                  {{"title", context.order.spec.title},
                                   {"objective", ObjectiveText(context)},
                                   {"repository", FactsText(facts)}},
                                  context.order.spec.parameters));
  json spec;
  YBIS_TAKE(const json answer, context.model.Ask(
                                   prompt, BuiltInSchema("spec"), 2, "ModelAnswerInvalid",
                                   [&](const json& value) { return CheckSpec(value, spec); }, stop));
  YBIS_PASS(context.folder.PutArtifact("spec.json", spec, stop));
  NodeOutput out{.state = spec, .input = PromptInput(prompt), .summary = ModelSummary(context.model)};
  out.summary["requirements"] = spec["requirements"].size();
  return out;
}

}  // namespace ybis::runner
