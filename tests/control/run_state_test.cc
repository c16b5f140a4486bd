#include "control/run_state.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace ybis::control {
namespace {

using Pair = std::pair<RunState, RunEvent>;

TEST(RunStateMachine, EveryPairGoesWhereTheTableSaysOrIsRefused) {
  const std::map<Pair, RunState> allowed = {
      {{RunState::kQueued, RunEvent::kAdmit}, RunState::kDispatched},
      {{RunState::kQueued, RunEvent::kFail}, RunState::kFailed},
      {{RunState::kQueued, RunEvent::kCancel}, RunState::kCancelled},
      {{RunState::kDispatched, RunEvent::kClaim}, RunState::kRunning},
      {{RunState::kDispatched, RunEvent::kFail}, RunState::kFailed},
      {{RunState::kQueued, RunEvent::kHold}, RunState::kQueued},
      {{RunState::kDispatched, RunEvent::kHold}, RunState::kQueued},
      {{RunState::kDispatched, RunEvent::kCancel}, RunState::kCancelled},
      {{RunState::kRunning, RunEvent::kClaim}, RunState::kRunning},
      {{RunState::kRunning, RunEvent::kComplete}, RunState::kCompleted},
      {{RunState::kRunning, RunEvent::kFail}, RunState::kFailed},
      {{RunState::kRunning, RunEvent::kBlock}, RunState::kBlocked},
      {{RunState::kRunning, RunEvent::kRelease}, RunState::kDispatched},
      {{RunState::kRunning, RunEvent::kExpire}, RunState::kDispatched},
      {{RunState::kRunning, RunEvent::kCancel}, RunState::kCancelled},
      {{RunState::kBlocked, RunEvent::kResume}, RunState::kQueued},
      {{RunState::kBlocked, RunEvent::kFail}, RunState::kFailed},
      {{RunState::kBlocked, RunEvent::kCancel}, RunState::kCancelled},
  };
  for (const RunState state : kAllRunStates) {
    for (const RunEvent event : kAllRunEvents) {
      const auto next = Transition(state, event);
      const auto expected = allowed.find({state, event});
      if (expected == allowed.end()) {
        ASSERT_FALSE(next) << ToString(state) << " " << ToString(event);
        EXPECT_EQ(next.error().code, ErrorCode::kConflict);
        EXPECT_NE(next.error().message.find(ToString(state)), std::string::npos);
      } else {
        ASSERT_TRUE(next) << ToString(state) << " " << ToString(event);
        EXPECT_EQ(*next, expected->second);
      }
    }
  }
}

TEST(RunStateMachine, NothingLeavesATerminalState) {
  for (const RunState state : kAllRunStates) {
    if (!IsTerminal(state)) continue;
    for (const RunEvent event : kAllRunEvents) EXPECT_FALSE(Transition(state, event));
  }
}

TEST(RunStateMachine, EveryStateCanEnd) {
  for (const RunState state : kAllRunStates) {
    if (IsTerminal(state)) continue;
    EXPECT_EQ(Transition(state, RunEvent::kFail).value(), RunState::kFailed);
  }
}

TEST(RunStateMachine, NamesAreDistinctAndReadBack) {
  std::set<std::string_view> names;
  for (const RunState state : kAllRunStates) {
    names.insert(ToString(state));
    EXPECT_EQ(ParseRunState(ToString(state)).value(), state);
  }
  EXPECT_EQ(names.size(), kAllRunStates.size());
  std::set<std::string_view> events;
  for (const RunEvent event : kAllRunEvents) events.insert(ToString(event));
  EXPECT_EQ(events.size(), kAllRunEvents.size());
  EXPECT_FALSE(ParseRunState("running"));
}

}  // namespace
}  // namespace ybis::control
