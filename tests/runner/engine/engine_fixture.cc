#include "tests/runner/engine/engine_fixture.h"

#include "tests/runner/engine/schema_check.h"

namespace ybis::runner {

using nlohmann::json;

json WriteEdit(const std::string& path, const std::string& content) {
  return {{"edits", {{{"op", "write"}, {"path", path}, {"content", content}}}}};
}

api::WorkflowSpec NativeWorkflow() {
  const json spec = {{"version", "1"},
                     {"entryPoint", "spec"},
                     {"exitPoints", {"done"}},
                     {"nodes",
                      {{{"name", "spec"}, {"type", "spec_generator"}, {"next", {"plan"}}},
                       {{"name", "plan"}, {"type", "planner"}, {"next", {"execute"}}},
                       {{"name", "execute"}, {"type", "executor"}, {"next", {"verify"}}},
                       {{"name", "verify"}, {"type", "verifier"}, {"next", {"gate"}}},
                       {{"name", "gate"}, {"type", "gate"}, {"next", {"repair", "done"}}},
                       {{"name", "repair"}, {"type", "repair"}, {"next", {"verify"}}},
                       {{"name", "done"}, {"type", "passthrough"}}}}};
  auto workflow = api::ParseWorkflowSpec(spec, "native");
  if (!workflow) throw std::logic_error(workflow.error().message);
  return *workflow;
}

namespace {

/// The schema that what a node left has to fit: the standard artifact's where its output is one.
std::string SchemaOf(const std::string& type, bool is_input, const json& value) {
  static const std::map<std::string, std::string> standard = {
      {"spec_generator", "spec"}, {"planner", "plan"}, {"verifier", "verifier"}, {"gate", "gate"}};
  if (is_input) return "node_input";
  const auto it = standard.find(type);
  return it == standard.end() || value.contains("error") ? "node_output" : it->second;
}

}  // namespace

void EngineTest::TearDown() {
  for (const api::NodeSpec& node : core_.order.workflow.nodes) {
    for (const auto& [name, bytes] : core_.artifacts) {
      for (const char* file : {"input.json", "output.json"}) {
        if (name.find('/') != 4 + 1 + node.name.size() || !name.ends_with("-" + node.name + "/" + file))
          continue;
        const json value = json::parse(bytes);
        EXPECT_EQ(SchemaProblem(SchemaOf(node.type, std::string_view(file) == "input.json", value), value),
                  "")
            << name << ": " << bytes;
      }
    }
  }
}

EngineTest::EngineTest()
    : server_({{"README.md", "A small program.\n"},
               {"app.py", "def greet():\n    return 'hi'\n"},
               {"ci/pipeline.yml", "steps: []\n"}}),
      edits_({WriteEdit("hello.py", "print('hello')\n")}),
      plan_files_({{{"path", "hello.py"}, {"action", "create"}}}) {
  core_.order.run_id = "0123abcd-1";
  core_.order.task_namespace = "team";
  core_.order.task_name = "greet";
  core_.order.task_uid = "0123abcd-uid";
  core_.order.spec.title = "Say hello";
  core_.order.spec.objective = "Create hello.py that prints hello, as greet in app.py does.";
  core_.order.spec.repository = {.url = server_.url(), .ref = "main"};
  core_.order.spec.verification.commands = {{"make", "test"}};
  core_.order.spec.delivery.mode = api::DeliveryMode::kBranch;
  core_.order.policy.allow_file_urls = true;
  core_.order.policy.protected_paths = {"ci/**"};
  core_.order.workflow = NativeWorkflow();
  core_.model = GoodModel();
}

FakeCore::Model EngineTest::GoodModel() {
  // A function of the request, as a model at temperature 0: the same question has the same answer.
  return [this](const api::ModelRequest& request) -> Result<json> {
    if (request.prompt == "spec_generator") {
      return json{{"title", "Say hello"},
                  {"requirements", {"r"}},
                  {"acceptanceCriteria", {"a"}},
                  {"outOfScope", json::array()}};
    }
    if (request.prompt == "planner") {
      return json{{"summary", "Add a script."}, {"steps", {"write it"}}, {"files", plan_files_}};
    }
    const size_t asked = request.messages.size() / 2;  // 1 at first: system and user
    if (request.prompt == "executor" && asked > 1 && asked - 2 < reasked_.size()) return reasked_[asked - 2];
    const size_t round = request.prompt == "executor" ? 0 : static_cast<size_t>(request.visit);
    if (round >= edits_.size()) return Fail(ErrorCode::kInvalid, "the model has no more answers");
    return edits_[round];
  };
}

ExitCode EngineTest::RunOnce(bool fresh) {
  if (fresh) volume_ = std::make_unique<testing::TempDir>();
  Engine engine({.run_id = core_.order.run_id,
                 .runner_version = "test",
                 .host = "here",
                 .workspace = {.directory = volume_->path(), .local = local_},
                 .wait_when_blocked = wait_when_blocked_},
                core_, commands_, SystemClock());
  return engine.Run(terminate_.get_token());
}

bool EngineTest::RunUntilKilled(bool fresh, ExitCode& code) {
  try {
    code = RunOnce(fresh);
    return true;
  } catch (const Killed&) {
    return false;
  }
}

}  // namespace ybis::runner
