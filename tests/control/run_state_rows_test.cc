#include "control/run_state_rows.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ybis::control {
namespace {

TEST(Cleaned, LeavesOnlyWhatATextColumnTakes) {
  EXPECT_EQ(Cleaned("caf\xE9", 100), "caf\xEF\xBF\xBD");
  EXPECT_EQ(Cleaned(std::string("a\0b", 3), 100),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(Cleaned("a€b", 3), "a");
  EXPECT_EQ(Cleaned("\xE9\xE9", 4), "\xEF\xBF\xBD") << "what replaces counts too";
}

}  // namespace
}  // namespace ybis::control
