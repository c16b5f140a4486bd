#include "runner/git/remote_refs.h"

#include <gtest/gtest.h>

namespace ybis::git {
namespace {

const std::string kA(40, 'a'), kB(40, 'b'), kC(40, 'c');

RemoteRefs Some() {
  return ParseRemoteRefs("ref: refs/heads/trunk\tHEAD\n" + kA + "\tHEAD\n" + kA + "\trefs/heads/trunk\n" +
                         kB + "\trefs/heads/v1\n" + kC + "\trefs/tags/v1\n" + kB + "\trefs/tags/v2\n" + kC +
                         "\trefs/tags/v2^{}\n")
      .value();
}

TEST(ResolveRemoteRef, TakesTheDefaultBranchWhenNoneIsNamed) {
  for (const char* ref : {"", "HEAD"}) {
    const auto found = ResolveRemoteRef(Some(), ref, "u");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->name, "refs/heads/trunk");
    EXPECT_EQ(found->commit, kA);
  }
}

TEST(ResolveRemoteRef, NeedsOnlyHeadForTheDefaultBranch) {
  const auto refs = ParseRemoteRefs("ref: refs/heads/trunk\tHEAD\n" + kA + "\tHEAD\n").value();
  const auto found = ResolveRemoteRef(refs, "", "u");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->name, "refs/heads/trunk");
  EXPECT_EQ(found->commit, kA);
}

TEST(ResolveRemoteRef, PutsBranchesBeforeTagsAndPeelsTags) {
  EXPECT_EQ(ResolveRemoteRef(Some(), "v1", "u")->name, "refs/heads/v1");
  EXPECT_EQ(ResolveRemoteRef(Some(), "refs/tags/v1", "u")->commit, kC);
  EXPECT_EQ(ResolveRemoteRef(Some(), "v2", "u")->commit, kC);
}

TEST(ResolveRemoteRef, NamesWhatIsMissing) {
  const auto found = ResolveRemoteRef(Some(), "nope", "https://host/a");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kNotFound);
  EXPECT_NE(found.error().message.find("'nope'"), std::string::npos);
  EXPECT_NE(found.error().message.find("https://host/a"), std::string::npos);
  EXPECT_EQ(ResolveRemoteRef(RemoteRefs{}, "", "u").error().code, ErrorCode::kNotFound);
}

TEST(ParseRemoteRefs, RefusesSha256AndNonsense) {
  EXPECT_EQ(ParseRemoteRefs(std::string(64, 'a') + "\tHEAD\n").error().code, ErrorCode::kUnsupported);
  EXPECT_FALSE(ParseRemoteRefs("hello\n"));
  EXPECT_FALSE(ParseRemoteRefs("xyz\tHEAD\n"));
}

}  // namespace
}  // namespace ybis::git
