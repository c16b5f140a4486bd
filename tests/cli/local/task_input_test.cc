#include "cli/local/task_input.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/temp_dir.h"

namespace ybis::cli {
namespace {

using Words = std::vector<std::string>;

constexpr const char* kManifest = R"(
apiVersion: ybis.dev/v1alpha1
kind: YbisTask
metadata: {name: first}
spec:
  objective: Do it.
  repository: {url: "https://git.example.com/a.git", credentialsSecretRef: {name: git}}
  delivery: {mode: Branch}
)";

/// A folder that looks like a repository.
std::string Repository(const testing::TempDir& dir) {
  std::filesystem::create_directories(dir.path() / "repo/.git");
  return dir.path() / "repo";
}

TEST(SplitWords, DividesAtBlanksAndHonoursQuotes) {
  EXPECT_EQ(*SplitWords("make test"), (Words{"make", "test"}));
  EXPECT_EQ(*SplitWords("  a  'b c' \"d 'e'\" f\\ g '' "), (Words{"a", "b c", "d 'e'", "f g", ""}));
  EXPECT_EQ(*SplitWords("pre'fix'ed"), (Words{"prefixed"}));
  EXPECT_EQ(*SplitWords("$(rm) ; | & `x`"), (Words{"$(rm)", ";", "|", "&", "`x`"}));
  EXPECT_TRUE(SplitWords("")->empty());
}

TEST(SplitWords, RefusesWhatIsNotClosed) {
  EXPECT_FALSE(SplitWords("make 'test"));
  EXPECT_FALSE(SplitWords("make \\"));
}

TEST(ResolveRepository, MakesFoldersAbsoluteAndLeavesAddressesAlone) {
  testing::TempDir dir;
  const std::string repository = Repository(dir);
  EXPECT_EQ(*ResolveRepository(repository + "/../repo/."), std::filesystem::canonical(repository).string());
  EXPECT_EQ(*ResolveRepository("https://git.example.com/a.git"), "https://git.example.com/a.git");
  EXPECT_EQ(*ResolveRepository("git@git.example.com:a.git"), "git@git.example.com:a.git");
}

TEST(ResolveRepository, NamesAFolderThatIsNoneOrHoldsNoRepository) {
  testing::TempDir dir;
  EXPECT_EQ(ResolveRepository(dir.path() / "none").error().code, ErrorCode::kNotFound);
  const auto plain = ResolveRepository(dir.path());
  ASSERT_FALSE(plain);
  EXPECT_NE(plain.error().message.find("git init"), std::string::npos);
}

TEST(ReadTaskFile, LaysFlagsOverTheManifest) {
  testing::TempDir dir;
  const auto file = dir.Write("task.yaml", kManifest);
  const std::string repository = Repository(dir);
  const auto input = ReadTaskFile(file, {.name = "second",
                                         .title = "T",
                                         .priority = "HIGH",
                                         .repo = repository,
                                         .ref = "main",
                                         .verify = {"make test", "make lint"},
                                         .parameters = {"a=b=c"}});
  ASSERT_TRUE(input) << input.error().message;
  EXPECT_EQ(input->name, "second");
  EXPECT_EQ(input->spec.objective, "Do it.");
  EXPECT_EQ(input->spec.title, "T");
  EXPECT_EQ(input->spec.priority, api::Priority::kHigh);
  EXPECT_EQ(input->spec.repository.ref, "main");
  EXPECT_EQ(input->spec.repository.credentials_secret, "") << "--repo takes the Secrets away too";
  EXPECT_EQ(input->spec.verification.commands, (std::vector<Words>{{"make", "test"}, {"make", "lint"}}));
  EXPECT_EQ(input->spec.parameters.at("a"), "b=c");
  EXPECT_EQ(input->workflow.name, "ybis-native");
}

TEST(ReadTaskFile, NamesTheFileAndWhatIsWrong) {
  testing::TempDir dir;
  const auto wrong = ReadTaskFile(dir.Write("w.yaml", "kind: YbisWorkflow\nspec: {}\n"), {});
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("w.yaml:1"), std::string::npos) << wrong.error().message;
  const auto no_objective = ReadTaskFile(
      dir.Write("n.yaml", "kind: YbisTask\nmetadata: {name: n}\nspec: {repository: {url: https://a/b}}\n"),
      {});
  ASSERT_FALSE(no_objective);
  EXPECT_NE(no_objective.error().message.find("objective"), std::string::npos)
      << no_objective.error().message;
}

TEST(TaskFromFlags, NeedsObjectiveAndRepository) {
  EXPECT_NE(TaskFromFlags({}).error().message.find("--objective"), std::string::npos);
  EXPECT_NE(TaskFromFlags({.objective = "x"}).error().message.find("--repo"), std::string::npos);
}

TEST(TaskFromFlags, MakesANameAndDeliversABranch) {
  testing::TempDir dir;
  const auto input = TaskFromFlags(
      {.objective = "@" + dir.Write("o.txt", "Say Hello, World!\n").string(), .repo = Repository(dir)});
  ASSERT_TRUE(input) << input.error().message;
  EXPECT_EQ(input->spec.objective, "Say Hello, World!\n");
  EXPECT_EQ(input->spec.delivery.mode, api::DeliveryMode::kBranch);
  EXPECT_FALSE(TaskFromFlags({.name = "Not a name", .objective = "x", .repo = Repository(dir)}));
  const auto titled =
      TaskFromFlags({.objective = "x", .title = "Say Hello, World!", .repo = Repository(dir)});
  ASSERT_TRUE(titled);
  EXPECT_TRUE(titled->name.starts_with("say-hello-world-")) << titled->name;
}

TEST(CheckAgainst, AsksForAModelOnlyWhereTheWorkflowDoes) {
  testing::TempDir dir;
  const auto input = TaskFromFlags({.objective = "x", .repo = Repository(dir)});
  ASSERT_TRUE(input);
  const control::Config none;
  EXPECT_FALSE(CheckAgainst(none, input->spec, input->workflow, true));
  EXPECT_TRUE(CheckAgainst(none, input->spec, input->workflow, false));
  control::Config one;
  one.models = {{.name = "m"}};
  one.default_model = "m";
  EXPECT_TRUE(CheckAgainst(one, input->spec, input->workflow, true));
  api::TaskSpec other = input->spec;
  other.model.name = "other";
  EXPECT_FALSE(CheckAgainst(one, other, input->workflow, false));
}

TEST(CheckAgainst, TakesATaskThatNamesNoTimeWhateverTheLimit) {
  testing::TempDir dir;
  auto input = TaskFromFlags({.objective = "x", .repo = Repository(dir)});
  ASSERT_TRUE(input);
  control::Config config;
  config.limits.max_timeout_seconds = 600;
  EXPECT_TRUE(CheckAgainst(config, input->spec, input->workflow, false));
  EXPECT_EQ(SubmissionOf(config, *input, "uid").default_timeout_seconds, 600);
  input->spec.limits.timeout_seconds = 3600;
  EXPECT_FALSE(CheckAgainst(config, input->spec, input->workflow, false));
}

TEST(SubmissionOf, AllowsLocalRepositoriesAndTakesTheTaskNamesWorkflow) {
  testing::TempDir dir;
  const auto input = TaskFromFlags({.objective = "x", .repo = Repository(dir), .workflow = "self-improve"});
  ASSERT_TRUE(input) << input.error().message;
  const auto submission = SubmissionOf({}, *input, "uid");
  EXPECT_TRUE(submission.policy.allow_file_urls);
  EXPECT_EQ(submission.spec.workflow, "self-improve");
  EXPECT_EQ(submission.uid, "uid");
}

}  // namespace
}  // namespace ybis::cli
