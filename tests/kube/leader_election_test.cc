#include "kube/leader_election.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/kube/fake_api.h"

namespace ybis::kube {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// A candidate on a thread of its own; times are a hundredth of the real ones.
class Candidate {
 public:
  Candidate(FakeApi& api, const std::string& identity, milliseconds lease = milliseconds(300))
      : elector_(api, api, SystemClock(),
                 {.ns = "n",
                  .name = "lock",
                  .identity = identity,
                  .lease_duration = lease,
                  .renew_deadline = milliseconds(200),
                  .retry_period = milliseconds(20)},
                 {.on_started = [this] { ++started; }, .on_stopped = [this] { ++stopped; }}),
        thread_([this](std::stop_token stop) { elector_.Run(stop); }) {}

  bool WaitToLead(milliseconds limit = seconds(5)) {
    for (milliseconds waited{0}; waited < limit; waited += milliseconds(2)) {
      if (elector_.IsLeader()) return true;
      std::this_thread::sleep_for(milliseconds(2));
    }
    return false;
  }
  void Stop() {
    thread_.request_stop();
    thread_.join();
  }
  LeaderElector& Elector() { return elector_; }

  std::atomic<int> started{0};
  std::atomic<int> stopped{0};

 private:
  LeaderElector elector_;
  std::jthread thread_;
};

json Spec(FakeApi& api) { return api.Peek(kLeases, {"n", "lock"})["spec"]; }

TEST(LeaderElection, MakesTheLeaseAndRenewsIt) {
  FakeApi api;
  Candidate a(api, "a");
  ASSERT_TRUE(a.WaitToLead());
  const json first = Spec(api);
  EXPECT_EQ(first["holderIdentity"], "a");
  EXPECT_EQ(first["leaseDurationSeconds"], 1) << "whole seconds, rounded up";
  EXPECT_EQ(first["leaseTransitions"], 0);
  std::this_thread::sleep_for(milliseconds(400));
  EXPECT_TRUE(a.Elector().IsLeader()) << "renewed past the lease's duration";
  EXPECT_NE(Spec(api)["renewTime"], first["renewTime"]);
  EXPECT_EQ(Spec(api)["acquireTime"], first["acquireTime"]);
  EXPECT_EQ(a.started, 1);
}

TEST(LeaderElection, ReleasesOnStopSoThatTheNextNeedNotWait) {
  FakeApi api;
  Candidate a(api, "a");
  ASSERT_TRUE(a.WaitToLead());
  Candidate b(api, "b");
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_FALSE(b.Elector().IsLeader());
  EXPECT_EQ(b.Elector().Leader(), "a");
  a.Stop();
  EXPECT_EQ(a.stopped, 1);
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(b.WaitToLead());
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(250))
      << "did not wait for the lease to run out";
  EXPECT_EQ(Spec(api)["leaseTransitions"], 1);
}

TEST(LeaderElection, TakesOverFromADeadLeaderOnlyWhenItsLeaseHasRunOutOnOurClock) {
  FakeApi api;
  // Written by a machine whose clock is a day ahead: its times must not matter.
  ASSERT_TRUE(api.Create(kLeases,
                         {{"metadata", {{"namespace", "n"}, {"name", "lock"}}},
                          {"spec",
                           {{"holderIdentity", "dead"},
                            {"leaseDurationSeconds", 0},
                            {"renewTime", "2099-01-01T00:00:00.000000Z"},
                            {"leaseTransitions", 4}}}},
                         {}));
  const auto start = std::chrono::steady_clock::now();
  Candidate b(api, "b");
  ASSERT_TRUE(b.WaitToLead());
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(300));
  EXPECT_EQ(Spec(api)["leaseTransitions"], 5);
}

TEST(LeaderElection, StepsDownWhenItCannotRenew) {
  FakeApi api;
  std::atomic<bool> broken{false};
  api.fail = [&](std::string_view, const Resource&, const Key&) -> Status {
    if (broken) return Fail(ErrorCode::kUnavailable, "down");
    return {};
  };
  // Far longer than the deadline, so that a busy machine's scheduling does not decide.
  const milliseconds lease(4'000);
  Candidate a(api, "a", lease);
  ASSERT_TRUE(a.WaitToLead());
  broken = true;
  const auto start = std::chrono::steady_clock::now();
  while (a.stopped == 0 && std::chrono::steady_clock::now() - start < 2 * lease) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_EQ(a.stopped, 1);
  EXPECT_FALSE(a.Elector().IsLeader());
  EXPECT_LT(std::chrono::steady_clock::now() - start, lease) << "before anybody else may take over";
  broken = false;
  EXPECT_TRUE(a.WaitToLead()) << "and stands again";
}

TEST(LeaderElection, StepsDownAtOnceWhenTheLeaseWasTaken) {
  FakeApi api;
  Candidate a(api, "a");
  ASSERT_TRUE(a.WaitToLead());
  json stolen = api.Peek(kLeases, {"n", "lock"});
  stolen["metadata"].erase("resourceVersion");
  stolen["spec"]["holderIdentity"] = "thief";
  ASSERT_TRUE(api.Replace(kLeases, stolen, {}));
  for (int i = 0; i < 500 && a.stopped == 0; ++i) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(a.stopped, 1);
  EXPECT_EQ(a.Elector().Leader(), "thief");
}

TEST(LeaderElection, HasOneLeaderAmongMany) {
  FakeApi api;
  std::vector<std::unique_ptr<Candidate>> candidates;
  for (const char* name : {"a", "b", "c", "d", "e"})
    candidates.push_back(std::make_unique<Candidate>(api, name));
  const auto end = std::chrono::steady_clock::now() + milliseconds(700);
  int most = 0;
  while (std::chrono::steady_clock::now() < end) {
    int leaders = 0;
    for (const auto& candidate : candidates) leaders += candidate->Elector().IsLeader() ? 1 : 0;
    most = std::max(most, leaders);
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_EQ(most, 1);
}

TEST(LeaderElection, ReadsALeaseOfTheWrongTypes) {
  FakeApi api;
  ASSERT_TRUE(api.Create(
      kLeases,
      {{"metadata", {{"namespace", "n"}, {"name", "lock"}}},
       {"spec", {{"holderIdentity", 5}, {"leaseTransitions", "x"}, {"leaseDurationSeconds", "y"}}}},
      {}));
  Candidate a(api, "a");
  EXPECT_TRUE(a.WaitToLead());
}

}  // namespace
}  // namespace ybis::kube
