#include "store/conninfo.h"

#include <gtest/gtest.h>

namespace ybis::store {
namespace {

TEST(ConnectionString, QuotesWhatTheUrlHolds) {
  const auto text =
      ConnectionString("postgresql://u:it%27s@h/db?sslmode=require", std::chrono::seconds(7), "a b");
  ASSERT_TRUE(text);
  EXPECT_NE(text->find("password='it\\'s'"), std::string::npos);
  EXPECT_NE(text->find("sslmode='require'"), std::string::npos);
  EXPECT_NE(text->find("connect_timeout='7'"), std::string::npos);
  EXPECT_NE(text->find("application_name='a b'"), std::string::npos);
}

TEST(ConnectionString, RefusesWhatItCannotReadWithoutQuotingIt) {
  for (const char* url : {"postgresql://u:secretword@[x", "password=secretword host", "secretword"}) {
    const auto text = ConnectionString(url, std::chrono::seconds(1), "t");
    ASSERT_FALSE(text) << url;
    EXPECT_EQ(text.error().message.find("secretword"), std::string::npos);
  }
}

TEST(ClientEnvironment, HasWhatTheUrlNamesAndNothingElse) {
  const auto environment = ClientEnvironment("postgresql://u:it%27s@h:5433/db?sslmode=require");
  ASSERT_TRUE(environment);
  EXPECT_EQ(environment->at("PGHOST"), "h");
  EXPECT_EQ(environment->at("PGPORT"), "5433");
  EXPECT_EQ(environment->at("PGPASSWORD"), "it's");
  EXPECT_EQ(environment->at("PGSSLMODE"), "require");
  EXPECT_FALSE(environment->contains("PGOPTIONS"));
}

TEST(ClientEnvironment, RefusesWhatItCannotReadWithoutQuotingIt) {
  const auto environment = ClientEnvironment("postgresql://u:secretword@[x");
  ASSERT_FALSE(environment);
  EXPECT_EQ(environment.error().message.find("secretword"), std::string::npos);
}

}  // namespace
}  // namespace ybis::store
