#include "kube/cache.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ybis::kube {
namespace {

Object Make(const char* name, const char* version, const char* owner = "", const char* uid = "u") {
  nlohmann::json object = {
      {"metadata", {{"namespace", "n"}, {"name", name}, {"resourceVersion", version}, {"uid", uid}}}};
  if (*owner != '\0') object["metadata"]["ownerReferences"] = {{{"uid", owner}, {"controller", true}}};
  return std::make_shared<const nlohmann::json>(std::move(object));
}

class CacheTest : public ::testing::Test {
 protected:
  FakeClock clock_{TimePoint(std::chrono::hours(1))};
  Cache cache_{clock_};
  const Key a_{"n", "a"};
};

TEST_F(CacheTest, KeepsTheLastVersionAndItsOwner) {
  EXPECT_TRUE(cache_.Put(Make("a", "1", "owner-1")));
  EXPECT_FALSE(cache_.Put(Make("a", "1", "owner-1"))) << "nothing new";
  EXPECT_TRUE(cache_.Put(Make("a", "2", "owner-2")));
  EXPECT_TRUE(cache_.ByOwner("owner-1").empty());
  EXPECT_EQ(cache_.ByOwner("owner-2").size(), 1U);
  EXPECT_EQ(MetaString(*cache_.Get(a_), "resourceVersion"), "2");
  EXPECT_NE(cache_.Remove(a_), nullptr);
  EXPECT_EQ(cache_.Remove(a_), nullptr);
  EXPECT_TRUE(cache_.ByOwner("owner-2").empty());
  EXPECT_EQ(cache_.Size(), 0U);
}

TEST_F(CacheTest, ReplacesAllAndTellsWhatChanged) {
  cache_.Put(Make("gone", "1"));
  cache_.Put(Make("same", "2"));
  cache_.Put(Make("changed", "3"));
  cache_.Put(Make("reborn", "4", "", "old"));
  const auto changes = cache_.ReplaceAll(
      {Make("same", "2"), Make("changed", "5"), Make("new", "6"), Make("reborn", "7", "", "new")});
  std::vector<std::string> told;
  for (const auto& change : changes) told.push_back((change.object ? "+" : "-") + change.key.name);
  EXPECT_EQ(told, (std::vector<std::string>{"-gone", "+changed", "+new", "-reborn", "+reborn"}));
  EXPECT_EQ(cache_.Keys().size(), 4U);
  EXPECT_EQ(cache_.List("other").size(), 0U);
  EXPECT_EQ(cache_.List("n").size(), 4U);
}

TEST_F(CacheTest, IsBehindUntilOurOwnWriteArrives) {
  cache_.Put(Make("a", "1"));
  EXPECT_TRUE(cache_.Current(a_));
  cache_.ExpectVersion(a_, "3");
  EXPECT_FALSE(cache_.Current(a_));
  cache_.Put(Make("a", "2"));
  EXPECT_FALSE(cache_.Current(a_)) << "somebody else's write in between";
  cache_.Put(Make("a", "3"));
  EXPECT_TRUE(cache_.Current(a_));
}

TEST_F(CacheTest, KnowsAWriteThatArrivedBeforeItWasExpected) {
  cache_.Put(Make("a", "2"));
  cache_.Put(Make("a", "3"));
  cache_.ExpectVersion(a_, "2");
  EXPECT_TRUE(cache_.Current(a_));
}

TEST_F(CacheTest, DoesNotWaitForEverForAWriteThatARelistSwallowed) {
  cache_.ExpectVersion(a_, "3");
  cache_.Put(Make("a", "4"));
  EXPECT_FALSE(cache_.Current(a_));
  clock_.Advance(std::chrono::seconds(31));
  EXPECT_TRUE(cache_.Current(a_));
}

TEST_F(CacheTest, IsBehindUntilOurDeletionShows) {
  cache_.Put(Make("a", "1"));
  cache_.ExpectDeletion(a_);
  EXPECT_FALSE(cache_.Current(a_));
  nlohmann::json deleting = *Make("a", "2");
  deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  cache_.Put(std::make_shared<const nlohmann::json>(deleting));
  EXPECT_TRUE(cache_.Current(a_));
  cache_.ExpectDeletion({"n", "never-there"});
  EXPECT_TRUE(cache_.Current({"n", "never-there"}));
}

}  // namespace
}  // namespace ybis::kube
