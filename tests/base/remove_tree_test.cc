#include "base/remove_tree.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/temp_dir.h"

namespace ybis {
namespace {

namespace fs = std::filesystem;
using testing::TempDir;

TEST(RemoveTree, RemovesLockedAndVeryDeepFoldersButFollowsNothing) {
  const TempDir folder;
  folder.Write("outside/kept", "s");
  folder.Write("tree/locked/file", "x");
  fs::create_directory_symlink("../outside", folder.path() / "tree/link");
  folder.Write("tree/modules/read only/file", "x");
  ::chmod((folder.path() / "tree/locked").c_str(), 0);
  ::chmod((folder.path() / "tree/modules/read only").c_str(), 0500);
  ::chmod((folder.path() / "tree/modules").c_str(), 0500);
  fs::path deep = folder.path() / "tree";
  for (int i = 0; i < 400; ++i) deep /= "d";
  fs::create_directories(deep);
  ASSERT_TRUE(RemoveTree(folder.path() / "tree"));
  EXPECT_FALSE(fs::exists(folder.path() / "tree"));
  EXPECT_TRUE(fs::exists(folder.path() / "outside/kept"));
  EXPECT_TRUE(RemoveTree(folder.path() / "tree"));
}

}  // namespace
}  // namespace ybis
