#include "control/token_auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"

namespace ybis::control {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;
using Kind = AuthVerdict::Kind;

class FakeReviewer final : public kube::TokenReviewer {
 public:
  Result<kube::TokenIdentity> Review(std::string_view token, const std::vector<std::string>& audiences,
                                     std::stop_token) override {
    ++reviews;
    EXPECT_EQ(audiences, std::vector<std::string>{"ybis"});
    if (down) return Fail(ErrorCode::kDenied, "may not create tokenreviews");
    kube::TokenIdentity identity = answer;
    identity.authenticated = answer.authenticated && token == good;
    return identity;
  }
  std::string good = "aaa.bbb.ccc";
  kube::TokenIdentity answer{.authenticated = true,
                             .audiences = {"ybis"},
                             .ns = "team",
                             .service_account = "default",
                             .pod_name = "run-pod",
                             .pod_uid = "uid-1"};
  bool down = false;
  int reviews = 0;
};

class FakePods final : public PodOwnership {
 public:
  Result<bool> PodRunsRun(const std::string& ns, const std::string& name, const std::string& uid,
                          const std::string& run_id, std::stop_token) override {
    return ns == "team" && name == "run-pod" && uid == "uid-1" && run_id == run;
  }
  std::string run = "run-1";
};

class PodTokenTest : public ::testing::Test {
 protected:
  AuthVerdict Ask(const std::string& token, const std::string& run = "run-1",
                  const std::string& peer = "10.0.0.1") {
    auto verdict = auth_.Authenticate(token, run, peer, {});
    EXPECT_TRUE(verdict);
    return verdict ? *verdict : AuthVerdict();
  }
  FakeReviewer reviewer_;
  FakePods pods_;
  FakeClock clock_{*ParseRfc3339("2026-03-01T12:00:00Z")};
  PodTokenAuthenticator auth_{reviewer_, pods_, clock_, {.max_entries = 8}};
};

TEST_F(PodTokenTest, AllowsThePodOfTheRun) {
  const AuthVerdict verdict = Ask("aaa.bbb.ccc");
  EXPECT_EQ(verdict.kind, Kind::kAllowed);
  EXPECT_EQ(verdict.holder, "uid-1");
}

TEST_F(PodTokenTest, ForbidsThePodOfAnotherRun) {
  const AuthVerdict verdict = Ask("aaa.bbb.ccc", "run-2");
  EXPECT_EQ(verdict.kind, Kind::kForbidden);
  EXPECT_THAT(verdict.reason, HasSubstr("team/run-pod"));
}

TEST_F(PodTokenTest, ForbidsATokenWithoutAPod) {
  reviewer_.answer.pod_uid.clear();
  EXPECT_EQ(Ask("aaa.bbb.ccc").kind, Kind::kForbidden);
}

TEST_F(PodTokenTest, RefusesATokenForAnotherAudience) {
  reviewer_.answer.audiences = {"https://kubernetes.default.svc"};
  EXPECT_EQ(Ask("aaa.bbb.ccc").kind, Kind::kUnauthenticated);
}

TEST_F(PodTokenTest, RefusesBadTokensWithoutQuotingThem) {
  const AuthVerdict verdict = Ask("xxx.yyy.zzz");
  EXPECT_EQ(verdict.kind, Kind::kUnauthenticated);
  EXPECT_THAT(verdict.reason, Not(HasSubstr("xxx")));
}

TEST_F(PodTokenTest, DoesNotBotherTheServerWithWhatIsNoToken) {
  for (const std::string& token : {std::string(), std::string("abc"), std::string("a b.c.d"),
                                   std::string("a.b.c\r\n"), std::string(20'000, 'a') + ".b.c"}) {
    EXPECT_EQ(Ask(token).kind, Kind::kUnauthenticated);
  }
  EXPECT_EQ(reviewer_.reviews, 0);
}

TEST_F(PodTokenTest, RemembersForAMinute) {
  Ask("aaa.bbb.ccc");
  clock_.Advance(seconds(59));
  Ask("aaa.bbb.ccc");
  EXPECT_EQ(reviewer_.reviews, 1);
  clock_.Advance(seconds(2));
  reviewer_.answer.authenticated = false;
  EXPECT_EQ(Ask("aaa.bbb.ccc").kind, Kind::kUnauthenticated);
  EXPECT_EQ(reviewer_.reviews, 2);
}

TEST_F(PodTokenTest, RemembersRefusalsForSecondsOnly) {
  pods_.run = "not yet seen";
  EXPECT_EQ(Ask("aaa.bbb.ccc").kind, Kind::kForbidden);
  pods_.run = "run-1";
  EXPECT_EQ(Ask("aaa.bbb.ccc").kind, Kind::kForbidden);
  clock_.Advance(seconds(6));
  EXPECT_EQ(Ask("aaa.bbb.ccc").kind, Kind::kAllowed);
}

TEST_F(PodTokenTest, RemembersNoFailureToFindOut) {
  reviewer_.down = true;
  const auto verdict = auth_.Authenticate("aaa.bbb.ccc", "run-1", "10.0.0.1", {});
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(verdict.error().retryable);
  reviewer_.down = false;
  EXPECT_EQ(Ask("aaa.bbb.ccc").kind, Kind::kAllowed);
}

TEST_F(PodTokenTest, RemembersABoundedNumber) {
  for (int i = 0; i < 20; ++i) Ask("aaa.bbb.ccc", "run-" + std::to_string(i));
  const int before = reviewer_.reviews;
  Ask("aaa.bbb.ccc", "run-19");
  EXPECT_EQ(reviewer_.reviews, before);
  Ask("aaa.bbb.ccc", "run-0");
  EXPECT_EQ(reviewer_.reviews, before + 1);
}

TEST_F(PodTokenTest, ReviewsMadeUpTokensOfAPeerAtABoundedRate) {
  const auto made_up = [](int i) { return fmt::format("a{}.b.c", i); };
  for (int i = 0; i < 64; ++i) EXPECT_EQ(Ask(made_up(i)).kind, Kind::kUnauthenticated);
  const auto refused = auth_.Authenticate(made_up(64), "run-1", "10.0.0.1", {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(reviewer_.reviews, 64);
  EXPECT_EQ(Ask("aaa.bbb.ccc", "run-1", "10.0.0.2").kind, Kind::kAllowed) << "others are asked about";
  clock_.Advance(seconds(1));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Ask(made_up(100 + i)).kind, Kind::kUnauthenticated);
  EXPECT_FALSE(auth_.Authenticate(made_up(104), "run-1", "10.0.0.1", {}));
}

TEST_F(PodTokenTest, GoodTokensOfOneAddressAreNotBounded) {
  for (int i = 0; i < 200; ++i) {
    pods_.run = fmt::format("run-{}", i);
    EXPECT_EQ(Ask("aaa.bbb.ccc", pods_.run).kind, Kind::kAllowed) << i;
  }
}

TEST(LocalTokens, HoldForTheirRunAlone) {
  LocalTokens tokens;
  const std::string first = tokens.Issue("run-1");
  const std::string second = tokens.Issue("run-2");
  const auto kind = [&](const std::string& token, const std::string& run) {
    return tokens.Authenticate(token, run, "unix", {})->kind;
  };
  EXPECT_EQ(kind(first, "run-1"), Kind::kAllowed);
  EXPECT_EQ(kind(first, "run-2"), Kind::kForbidden);
  EXPECT_EQ(kind("guess", "run-1"), Kind::kUnauthenticated);
  EXPECT_EQ(kind("", "run-1"), Kind::kUnauthenticated);
  EXPECT_EQ(kind(second, "run-3"), Kind::kForbidden);
  tokens.Revoke("run-1");
  EXPECT_EQ(kind(first, "run-1"), Kind::kUnauthenticated);
  const std::string anew = tokens.Issue("run-2");
  EXPECT_EQ(kind(second, "run-2"), Kind::kUnauthenticated);
  EXPECT_EQ(kind(anew, "run-2"), Kind::kAllowed);
  EXPECT_EQ(log::Redact(anew), "***");
  EXPECT_EQ(log::Redact(second), second) << "what opens nothing any more is not searched for in every record";
  tokens.Revoke("run-2");
  EXPECT_EQ(log::Redact(anew), anew);
}

}  // namespace
}  // namespace ybis::control
