#include "runner/policy/glob.h"

#include <gtest/gtest.h>

namespace ybis::runner {
namespace {

struct GlobCase {
  const char* pattern;
  const char* path;
  bool covers;
};

class GlobTest : public ::testing::TestWithParam<GlobCase> {};

TEST_P(GlobTest, CoversAsDocumented) {
  EXPECT_EQ(GlobCovers(GetParam().pattern, GetParam().path), GetParam().covers)
      << GetParam().pattern << " against " << GetParam().path;
}

INSTANTIATE_TEST_SUITE_P(Cases, GlobTest,
                         ::testing::Values(GlobCase{"Makefile", "Makefile", true},                 //
                                           GlobCase{"Makefile", "src/Makefile", true},             //
                                           GlobCase{"/Makefile", "src/Makefile", false},           //
                                           GlobCase{"/Makefile", "Makefile", true},                //
                                           GlobCase{"*.lock", "a/b/c.lock", true},                 //
                                           GlobCase{"src/*.py", "src/a.py", true},                 //
                                           GlobCase{"src/*.py", "src/sub/a.py", false},            //
                                           GlobCase{"src/**", "src/a/b/c", true},                  //
                                           GlobCase{"src/**", "src", false},                       //
                                           GlobCase{"**/secrets/**", "a/b/secrets/c", true},       //
                                           GlobCase{"**/secrets/**", "secrets/c", true},           //
                                           GlobCase{"a/**/z", "a/z", true},                        //
                                           GlobCase{"a/**/z", "a/b/c/z", true},                    //
                                           GlobCase{"a/**/z", "a/b/c/y", false},                   //
                                           GlobCase{".github", ".github/workflows/ci.yml", true},  //
                                           GlobCase{".github/", ".github/workflows/x", true},      //
                                           GlobCase{".github/workflows", ".github/x", false},      //
                                           GlobCase{"file?.txt", "file1.txt", true},               //
                                           GlobCase{"file?.txt", "file10.txt", false},             //
                                           GlobCase{"v[0-9].c", "v7.c", true},                     //
                                           GlobCase{"v[!0-9].c", "v7.c", false},                   //
                                           GlobCase{"v[.c", "v[.c", true},                         //
                                           GlobCase{R"(\*.c)", "a.c", false},                      //
                                           GlobCase{R"(\*.c)", "*.c", true},                       //
                                           GlobCase{"", "a", false},                               //
                                           GlobCase{"**", "any/thing", true},                      //
                                           GlobCase{"*", "any/thing", true},                       //
                                           GlobCase{"./a.txt", "a.txt", true}));

TEST(GlobCovers, EndsQuicklyOnPatternsMadeToBacktrack) {
  std::string stars, path;
  for (int i = 0; i < 200; ++i) {
    stars += "*a";
    path += "a";
  }
  EXPECT_FALSE(GlobCovers(stars + "b", path + path));
  std::string deep, folders;
  for (int i = 0; i < 100; ++i) {
    deep += "**/a/";
    folders += "a/";
  }
  EXPECT_FALSE(GlobCovers(deep + "b", folders + folders + "c"));
}

TEST(FirstCovering, NamesTheGlobThatMatched) {
  EXPECT_EQ(FirstCovering({"docs/**", "*.key"}, "a/b.key"), "*.key");
  EXPECT_EQ(FirstCovering({"docs/**"}, "src/a"), "");
}

}  // namespace
}  // namespace ybis::runner
