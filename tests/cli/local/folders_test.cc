#include "cli/local/folders.h"

#include <gtest/gtest.h>

#include <unistd.h>
#include <thread>
#include <vector>

#include "cli/local/process_name.h"
#include "cli/local/runner_process.h"
#include "tests/support/temp_dir.h"

namespace ybis::cli {
namespace {

TEST(FoldersOf, FollowsOwnVariablesThenXdgThenHome) {
  const Environment home = {{"HOME", "/home/ada"}};
  EXPECT_EQ(FoldersOf(home, false).data, "/home/ada/.local/share/ybis");
  EXPECT_EQ(FoldersOf(home, false).ConfigFile(), "/home/ada/.config/ybis/config.yaml");
  EXPECT_EQ(FoldersOf(home, true).data, "/var/lib/ybis");
  const Environment xdg = {{"HOME", "/home/ada"}, {"XDG_DATA_HOME", "/d"}, {"XDG_CONFIG_HOME", "relative"}};
  EXPECT_EQ(FoldersOf(xdg, true).data, "/d/ybis");
  EXPECT_EQ(FoldersOf(xdg, true).config, "/home/ada/.config/ybis") << "a relative one does not count";
  EXPECT_EQ(FoldersOf({{"YBIS_DATA_DIR", "/x"}, {"XDG_DATA_HOME", "/d"}}, false).data, "/x");
}

TEST(ProcessName, LivesAsLongAsTheProcess) {
  EXPECT_FALSE(IsGone(ThisProcessName()));
  EXPECT_EQ(ThisProcessName(), ThisProcessName());
}

TEST(ProcessName, StaysTheSameWhateverTheProcessDoes) {
  const std::string name = ThisProcessName();
  const std::vector<char> memory(64 * 1024 * 1024, 'x');
  const std::jthread thread([] {});
  EXPECT_EQ(ThisProcessName(), name);
  EXPECT_FALSE(IsGone(name)) << memory.size();
}

TEST(ProcessName, IsGoneWithAnotherStartTime) {
  std::string name = ThisProcessName();
  EXPECT_TRUE(IsGone(name + "1"));
  EXPECT_FALSE(IsGone("elsewhere" + name)) << "another machine's processes cannot be judged";
  for (const char* other : {"", "local", "a/b/c", "pod-uid", "a/b/c/d", "a/b/c/d/e"})
    EXPECT_FALSE(IsGone(other)) << other;
}

TEST(ProcessName, CannotJudgeAMachineOfTheSameName) {
  std::string name = ThisProcessName();
  const size_t boot = name.find('/') + 1;
  ASSERT_EQ(name.find('/', boot) - boot, 36U) << name;
  name[boot] = name[boot] == '0' ? '1' : '0';
  EXPECT_FALSE(IsGone(name + "1"));
}

TEST(FindRunner, TakesTheNamedOneOrSaysWhereItLooked) {
  testing::TempDir dir;
  const auto program = dir.Write("ybis-runner", "#!/bin/sh\n");
  EXPECT_FALSE(FindRunner({{"YBIS_RUNNER", program}})) << "it may not be executed";
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  EXPECT_EQ(FindRunner({{"YBIS_RUNNER", program}})->string(), program.string());
}

TEST(SecretFolder, SaysWhichFolderPlaysTheSecret) {
  testing::TempDir dir;
  const Folders folders{dir.path() / "data", dir.path()};
  EXPECT_TRUE(SecretFolder(folders, "")->empty());
  const auto missing = SecretFolder(folders, "git");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find((dir.path() / "secrets/git").string()), std::string::npos);
  EXPECT_FALSE(SecretFolder(folders, "../x"));
  dir.Write("secrets/git/token", "t");
  EXPECT_EQ(SecretFolder(folders, "git")->string(), (dir.path() / "secrets/git").string());
}

}  // namespace
}  // namespace ybis::cli
