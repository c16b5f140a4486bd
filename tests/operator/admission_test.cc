#include "operator/task/admission.h"

#include <gtest/gtest.h>

#include "tests/operator/world.h"

namespace ybis::op {
namespace {

using namespace testing;

TEST(ImageAllowed, TakesTheDefaultExactNamesAndPrefixesThatSayWhereTheyEnd) {
  const control::RunnerConfig runner = SomeConfig().runner;
  EXPECT_TRUE(ImageAllowed(runner, "registry.example.com/ybis-runner:1"));
  EXPECT_TRUE(ImageAllowed(runner, "registry.example.com/exact:2"));
  EXPECT_TRUE(ImageAllowed(runner, "registry.example.com/team/x:9"));
  EXPECT_FALSE(ImageAllowed(runner, "registry.example.com/exact:2-evil"));
  EXPECT_FALSE(ImageAllowed(runner, "registry.example.com/ybis-runner:10"));
  EXPECT_FALSE(ImageAllowed(runner, "registry.example.com.evil.com/team/x:9"));
}

TEST(ImageAllowed, LetsNothingThroughAnEmptyEntry) {
  control::RunnerConfig runner;
  runner.image = "own:1";
  runner.image_allow = {""};
  EXPECT_FALSE(ImageAllowed(runner, "evil:1"));
}

TEST(FindRejection, SaysWhatThereIsInstead) {
  Snapshot snapshot = SnapshotOf(TaskObject());
  snapshot.task.spec.model.name = "huge";
  const auto rejection = FindRejection(snapshot, SomeSettings());
  ASSERT_TRUE(rejection);
  EXPECT_EQ(rejection->message, "spec.model.name: 'huge' is not configured; there are: small, large");
}

TEST(FindCredentialsRejection, TakesExactNamesAndPrefixesOfTheList) {
  Snapshot snapshot = SnapshotOf(TaskObject());
  const auto reason = [&](const std::string& secret, std::vector<std::string> allowed) {
    snapshot.task.spec.repository.credentials_secret = secret;
    TaskSettings settings = SomeSettings();
    settings.config.runner.credentials_secret_allow = std::move(allowed);
    const auto found = FindRejection(snapshot, settings);
    return found ? found->reason : "";
  };
  EXPECT_EQ(reason("database-admin", {}), "") << "no list allows any";
  EXPECT_EQ(reason("", {"git-*"}), "");
  EXPECT_EQ(reason("git-login", {"other", "git-login"}), "");
  EXPECT_EQ(reason("git-login", {"git-*"}), "");
  EXPECT_EQ(reason("database-admin", {"git-*", "database"}), "SecretNotAllowed");
  EXPECT_EQ(reason("git", {""}), "SecretNotAllowed");
}

TEST(FindRejection, FindsNothingInAGoodTask) {
  EXPECT_FALSE(FindRejection(SnapshotOf(TaskObject()), SomeSettings()));
}

}  // namespace
}  // namespace ybis::op
