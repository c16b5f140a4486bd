#pragma once
// A run killed at a call to the control core, and taken up by another attempt.
#include "tests/runner/engine/engine_fixture.h"

namespace ybis::runner {

/// A task that needs one repair, so that every node type is walked.
class ResumeTest : public EngineTest {
 public:
  ResumeTest() {
    edits_ = {WriteEdit("hello.py", "print('wrong')\n"), WriteEdit("hello.py", "print('hello')\n")};
    commands_.run = PassesWhen("hello.py", "hello");
  }

  /// What one undisturbed run comes to.
  struct Expected {
    std::string tree;
    std::string patch;
    int paid_calls = 0;
    std::vector<std::string> calls;
  };
  static const Expected& Undisturbed();

  /// Kills the first attempt before or after the effect of a call, lets a second one end the run, and looks
  /// at the world.
  void KillAndResume(int call, bool after, bool fresh_volume);
};

}  // namespace ybis::runner
