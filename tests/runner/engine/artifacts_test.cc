// Every standard artifact of a run against its schema and against the golden files beside this test.
#include <cstdlib>
#include <sstream>

#include "tests/runner/engine/engine_fixture.h"
#include "tests/runner/engine/schema_check.h"
#include "tests/support/source_dir.h"

namespace ybis::runner {
namespace {

using nlohmann::json;

class ArtifactsTest : public EngineTest {
 protected:
  ArtifactsTest() {
    edits_ = {WriteEdit("hello.py", "print('wrong')\n"), WriteEdit("hello.py", "print('hello')\n")};
    commands_.run = PassesWhen("hello.py", "hello");
  }

  void ExpectGolden(const std::string& name) {
    const std::filesystem::path golden =
        std::filesystem::path(testing::SourceDir()) / "tests/runner/engine/golden" / name;
    if (std::getenv("YBIS_UPDATE_GOLDEN") != nullptr) {
      std::filesystem::create_directories(golden.parent_path());
      ASSERT_TRUE(WriteFileAtomic(golden, core_.artifacts[name]));
    }
    const auto expected = ReadFile(golden);
    ASSERT_TRUE(expected) << expected.error().message;
    EXPECT_EQ(core_.artifacts[name], *expected) << name << " (YBIS_UPDATE_GOLDEN=1 writes it anew)";
  }
};

TEST_F(ArtifactsTest, FitTheirSchemas) {
  ASSERT_EQ(RunOnce(), ExitCode::kDone);
  for (const char* name : {"spec", "plan", "verifier", "gate", "base"}) {
    const std::string file = std::string(name) + ".json";
    ASSERT_TRUE(core_.artifacts.contains(file)) << file;
    EXPECT_EQ(SchemaProblem(name, json::parse(core_.artifacts[file])), "") << file;
  }
  std::istringstream lines(core_.artifacts["logs.jsonl"]);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_EQ(SchemaProblem("log", json::parse(line)), "") << line;
  }
  EXPECT_GT(count, 10);
}

TEST_F(ArtifactsTest, FitTheirSchemasWhenARunFails) {
  core_.order.spec.limits.max_repairs = 0;
  ASSERT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(SchemaProblem("verifier", json::parse(core_.artifacts["verifier.json"])), "");
  const json gate = json::parse(core_.artifacts["gate.json"]);
  EXPECT_EQ(SchemaProblem("gate", gate), "");
  EXPECT_EQ(gate["decision"], "rejected");
  EXPECT_EQ(gate["failure"]["reason"], "VerificationFailed");
}

TEST_F(ArtifactsTest, AreAsTheGoldenFilesSay) {
  ASSERT_EQ(RunOnce(), ExitCode::kDone);
  for (const char* name : {"spec.json", "plan.json", "patch.diff", "verifier.json", "gate.json"})
    ExpectGolden(name);
}

TEST_F(ArtifactsTest, SchemasRefuseWhatIsWrong) {
  EXPECT_NE(SchemaProblem("plan", json{{"summary", "s"}}), "");
  EXPECT_NE(SchemaProblem("gate", json::object()), "");
  EXPECT_NE(SchemaProblem("edits", json{{"edits", "x"}}), "");
  EXPECT_NE(SchemaProblem("node_input", json{{"patchDigest", "x"}}), "");
  EXPECT_NE(SchemaProblem("node_output", json{{"unheard", 1}}), "");
}

TEST_F(ArtifactsTest, NodeReportsAndCheckpointsSurviveTheWire) {
  ASSERT_EQ(RunOnce(), ExitCode::kDone);
  for (const api::NodeReport& report : core_.nodes) {
    const json wire = api::ToJson(report);
    const auto back = api::ParseNodeReport(json::parse(wire.dump()));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(api::ToJson(*back), wire);
  }
  const auto finish = api::ParseFinishReport(api::ToJson(*core_.finish));
  ASSERT_TRUE(finish) << finish.error().message;
}

TEST_F(ArtifactsTest, SayNothingOfTheMachine) {
  ASSERT_EQ(RunOnce(), ExitCode::kDone);
  for (const api::ModelRequest& request : core_.model_requests) {
    for (const api::ModelMessage& message : request.messages) {
      EXPECT_EQ(message.content.find(volume_->path().string()), std::string::npos)
          << "a prompt with a path of this machine is another question on the next one";
    }
  }
}

}  // namespace
}  // namespace ybis::runner
