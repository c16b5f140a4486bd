#include <gtest/gtest.h>

#include "store/connection.h"
#include "store/database.h"
#include "store/migrations.h"

namespace ybis::store {
namespace {

TEST(CodeOfSqlState, SaysWhatACallerCanDo) {
  EXPECT_EQ(CodeOfSqlState("40001"), ErrorCode::kConflict);
  EXPECT_EQ(CodeOfSqlState("23505"), ErrorCode::kExists);
  EXPECT_EQ(CodeOfSqlState("23514"), ErrorCode::kInvalid);
  EXPECT_EQ(CodeOfSqlState("22021"), ErrorCode::kInvalid);
  EXPECT_EQ(CodeOfSqlState("57014"), ErrorCode::kTimeout);
  EXPECT_EQ(CodeOfSqlState("57P03"), ErrorCode::kUnavailable);
  EXPECT_EQ(CodeOfSqlState("53100"), ErrorCode::kUnavailable);
  EXPECT_EQ(CodeOfSqlState("28P01"), ErrorCode::kDenied);
  EXPECT_EQ(CodeOfSqlState("42P01"), ErrorCode::kInternal);
  EXPECT_EQ(CodeOfSqlState(""), ErrorCode::kInternal);
}

TEST(BuiltInMigrations, AreNumberedFromOneWithoutGapsAndHaveBothDirections) {
  int64_t version = 0;
  for (const Migration& migration : BuiltInMigrations()) {
    EXPECT_EQ(migration.version, ++version);
    EXPECT_FALSE(migration.name.empty());
    EXPECT_FALSE(migration.up.empty());
    EXPECT_FALSE(migration.down.empty());
  }
  EXPECT_GE(version, 5);
}

}  // namespace
}  // namespace ybis::store
