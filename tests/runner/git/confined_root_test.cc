#include "runner/git/confined_root.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "runner/git/object_store.h"
#include "tests/support/temp_dir.h"

namespace ybis::git {
namespace {

namespace fs = std::filesystem;
using testing::TempDir;

TEST(CheckWorktreePath, TakesFilesBelowTheRootOnly) {
  for (const char* path : {"a", "a/b.c", ".github/x", ".gitignore", "a/.gitattributes", "..a"}) {
    EXPECT_TRUE(CheckWorktreePath(path)) << path;
  }
  for (const char* path : {"", "/a", "../a", "a/../b", "a//b", "a/", "./a", ".git", ".git/config", "a/.git/x",
                           ".GIT/x", ".git./x", ".git /x", "git~1", ".git::$INDEX_ALLOCATION/x"}) {
    EXPECT_EQ(CheckWorktreePath(path).error().code, ErrorCode::kInvalid) << path;
  }
  EXPECT_FALSE(CheckWorktreePath(std::string_view("a\0b", 3)));
}

TEST(ConfinedRoot, ReadsNothingThroughSymlinks) {
  const TempDir folder;
  folder.Write("outside/secret", "s");
  folder.Write("root/file", "content");
  fs::create_directory_symlink("../outside", folder.path() / "root/link");
  fs::create_symlink("../outside/secret", folder.path() / "root/direct");
  ASSERT_EQ(::mkfifo((folder.path() / "root/pipe").c_str(), 0600), 0);
  const auto root = ConfinedRoot::Open(folder.path() / "root").value();
  EXPECT_EQ(root.ReadRegular("file", 7).value(), "content");
  EXPECT_EQ(root.ReadRegular("file", 6).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(root.ReadRegular("absent", 9).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(root.ReadRegular("pipe", 9).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(root.ReadHead("file", 3).value(), "con");
  EXPECT_EQ(root.ReadHead("file", 9).value(), "content");
  for (const char* path : {"link/secret", "direct", "../outside/secret", "/etc/passwd"}) {
    EXPECT_EQ(root.ReadHead(path, 9).error().code, ErrorCode::kInvalid) << path;
    EXPECT_EQ(root.ReadRegular(path, 9).error().code, ErrorCode::kInvalid) << path;
  }
  EXPECT_EQ(root.ReadLink("direct").value(), "../outside/secret");
  EXPECT_TRUE(S_ISLNK((*root.Stat("direct"))->st_mode));
  EXPECT_FALSE(root.Stat("link/secret").value().has_value());
}

TEST(IsCleanUtf8, RefusesWhatJsonCannotHold) {
  EXPECT_TRUE(IsCleanUtf8("plain, ünïcode, 😀\r\n"));
  for (const std::string& text :
       {std::string("a\0b", 3), std::string("\xff"), std::string("\xc3"), std::string("\xc0\xaf"),
        std::string("\xed\xa0\x80"), std::string("\xf5\x80\x80\x80")}) {
    EXPECT_FALSE(IsCleanUtf8(text));
  }
}

}  // namespace
}  // namespace ybis::git
