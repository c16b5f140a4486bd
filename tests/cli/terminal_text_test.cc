#include "cli/terminal_text.h"

#include <gtest/gtest.h>

#include <sstream>

#include "cli/dry_run.h"
#include "cli/views.h"
#include "workflow/loader.h"

namespace ybis::cli {
namespace {

TEST(Visible, ShowsWhatATerminalWouldObey) {
  EXPECT_EQ(Visible("plain, größe, 漢字, 🙂\tand\n"), "plain, größe, 漢字, 🙂\tand\n");
  EXPECT_EQ(Visible("+\x1b[1A\x1b[2Kgone"), "+^[[1A^[[2Kgone");
  EXPECT_EQ(Visible("seen\rhidden\x7f\b"), "seen^Mhidden^?^H");
  EXPECT_EQ(Visible("a\u202Eb\u2066c\u200F"), "a<U+202E>b<U+2066>c<U+200F>");
  EXPECT_EQ(Visible("\u009B2K"), "<U+009B>2K");
}

TEST(Visible, ShowsWhatIsNoCharacter) {
  EXPECT_EQ(Visible("\x9b"), "<9B>") << "8-bit controls of old terminals";
  EXPECT_EQ(Visible("\xc3"), "<C3>");
  EXPECT_EQ(Visible("\xe2\x80("), "<E2><80>(");
  EXPECT_EQ(Visible("\xe0\x80\xaf"), "<E0><80><AF>") << "longer than it need be";
}

TEST(PrintDryRun, AsksNothingOfATerminal) {
  Rehearsal rehearsal{"x", {}, *workflow::BuiltInWorkflow("ybis-native")};
  rehearsal.spec.repository.url = "https://h/\x1b[2Jx";
  rehearsal.spec.verification.commands = {{"make", "\x1b[8mtest"}};
  std::ostringstream out;
  PrintDryRun(out, rehearsal, nullptr);
  EXPECT_EQ(out.str().find('\x1b'), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("https://h/ [2Jx"), std::string::npos) << out.str();
}

TEST(PaintedPatch, HidesNoLineOfAChangeOnATerminal) {
  const std::string patch = "+ok\n+evil()\x1b[1A\x1b[2K\n+\x1b[8mhidden\rfine\n";
  EXPECT_EQ(PaintedPatch(patch, {.on = false, .terminal = true}),
            "+ok\n+evil()^[[1A^[[2K\n+^[[8mhidden^Mfine\n")
      << "without colours, too";
  EXPECT_EQ(PaintedPatch("+a\x1b[8m\n", {.on = true, .terminal = true}), "\x1b[32m+a^[[8m\x1b[0m\n");
  EXPECT_EQ(PaintedPatch(patch, {}), patch) << "git apply reads it as it is";
}

}  // namespace
}  // namespace ybis::cli
