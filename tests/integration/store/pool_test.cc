#include <signal.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "base/log.h"
#include "store/listener.h"
#include "tests/integration/store/fixture.h"

namespace ybis::testing {
namespace {

using store::InDoubt;
using store::Param;
using store::Pool;
using store::Transaction;
using namespace std::chrono_literals;

TEST(Pool, CarriesEveryTypeThereAndBack) {
  Pool pool(SettingsFor(Server().NewDatabase()));
  const TimePoint time = *ParseRfc3339("2026-01-31T12:00:00.123456Z");
  std::string bytes("\0\x01'\\\xff", 5);
  const auto rows = pool.Execute(
      "SELECT $1::text, $2::bigint, $3::double precision, $4::boolean, $5::timestamptz, $6::bytea, $7::json, "
      "$8::text[]::text, $9::text, $10::timestamptz",
      {"it's \\ \"quoted\"", int64_t{-5}, 0.1, true, time, Param::Bytes(bytes),
       Param::Json(nlohmann::json{{"a", "\u00e9"}}), std::vector<std::string>{"a,b", "\"c\\"},
       std::optional<std::string>(), nullptr},
      {});
  YBIS_ASSERT_OK(rows);
  const auto row = (*rows)[0];
  EXPECT_EQ(row.Text(0), "it's \\ \"quoted\"");
  EXPECT_EQ(row.Int(1), -5);
  EXPECT_EQ(row.Double(2), 0.1);
  EXPECT_TRUE(row.Bool(3));
  EXPECT_EQ(row.Time(4), time);
  EXPECT_EQ(row.Bytes(5), bytes);
  EXPECT_EQ(row.Json(6)->at("a"), "\u00e9");
  EXPECT_EQ(row.Text(7), R"({"a,b","\"c\\"})");
  EXPECT_TRUE(row.IsNull(8));
  EXPECT_EQ(row.OptionalTime(9), std::nullopt);
}

TEST(Pool, RefusesNulBytesInTextByParameterNumber) {
  Pool pool(SettingsFor(Server().NewDatabase()));
  const auto rows = pool.Execute("SELECT $1::text, $2::text", {"fine", std::string("cut\0here", 8)}, {});
  YBIS_EXPECT_CODE(rows, kInvalid);
  EXPECT_NE(rows.error().message.find("$2"), std::string::npos);
}

TEST(Pool, NeverShowsThePasswordOfItsUrl) {
  Pool unreadable(SettingsFor("postgresql://user:tops3cret@[bad"));
  const auto first = unreadable.Execute("SELECT 1", {}, {});
  YBIS_EXPECT_CODE(first, kInvalid);
  EXPECT_EQ(first.error().message.find("tops3cret"), std::string::npos);
  auto settings = SettingsFor("postgresql://user:tops3cret@127.0.0.1:1/none");
  settings.acquire_timeout = 50ms;
  Pool unreachable(settings);
  const auto second = unreachable.Execute("SELECT 1", {}, {});
  YBIS_EXPECT_CODE(second, kUnavailable);
  EXPECT_EQ(second.error().message.find("tops3cret"), std::string::npos);
  EXPECT_TRUE(second.error().retryable);
}

TEST(Pool, ShowsNoPartOfASecretInALongError) {
  Pool pool(SettingsFor(Server().NewDatabase()));
  const std::string secret = "cut-in-two-" + std::string(100, 's');
  log::RegisterSecret(secret);
  for (size_t before = 480; before < 600; before += 20) {
    const auto refused = pool.Execute("SELECT $1::text::bigint", {std::string(before, 'x') + secret}, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message.find("cut-in"), std::string::npos) << refused.error().message;
  }
}

TEST(Pool, FailsAtOnceWhenTheDatabaseIsNotThere) {
  Pool pool(SettingsFor(Server().Url() + "&dbname=nowhere"));
  const auto begin = std::chrono::steady_clock::now();
  YBIS_EXPECT_CODE(pool.Execute("SELECT 1", {}, {}), kUnavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
}

TEST(Pool, EndsASlowStatementAtItsTimeLimit) {
  auto settings = SettingsFor(Server().NewDatabase());
  settings.statement_timeout = 100ms;
  Pool pool(settings);
  YBIS_EXPECT_CODE(pool.Execute("SELECT pg_sleep(30)", {}, {}), kTimeout);
  EXPECT_EQ(Count(pool, "SELECT 7"), 7);
}

TEST(Pool, CutsOffAServerThatIsSilentAndNoTransactionThatIsMerelyLong) {
  auto settings = SettingsFor(Server().NewDatabase());
  settings.statement_timeout = 200ms;
  settings.cut_grace = 200ms;
  settings.acquire_timeout = 100ms;
  Pool pool(settings);
  YBIS_EXPECT_OK(pool.Transact(
      [](Transaction& tx) -> Status {
        for (int i = 0; i < 10; ++i) YBIS_TRY(tx.Exec("SELECT pg_sleep(0.1)"));
        YBIS_TRY(tx.NoTimeLimit());
        YBIS_TRY(tx.Exec("SELECT pg_sleep(1)"));
        return {};
      },
      {}));
  YBIS_EXPECT_CODE(pool.Transact(
                       [](Transaction& tx) -> Status {
                         // The server's own limit is lifted: as good as a server that hangs.
                         YBIS_TRY(tx.Exec("SET LOCAL statement_timeout = 0"));
                         YBIS_TRY(tx.Exec("SELECT pg_sleep(30)"));
                         return {};
                       },
                       {}),
                   kUnavailable);
  EXPECT_EQ(Count(pool, "SELECT 3"), 3);
}

TEST(Pool, CutsOffAServerThatIsSilentAtTheBeginning) {
  auto settings = SettingsFor(Server().NewDatabase(), 1);
  settings.statement_timeout = 200ms;
  settings.cut_grace = 200ms;
  Pool pool(settings);
  const auto backend = static_cast<pid_t>(Count(pool, "SELECT pg_backend_pid()"));
  ASSERT_EQ(::kill(backend, SIGSTOP), 0);
  // Ends the test, not the suite, when nothing cuts the connection.
  std::jthread late([backend](const std::stop_token& stop) {
    for (int i = 0; i < 500 && !stop.stop_requested(); ++i) std::this_thread::sleep_for(10ms);
    ::kill(backend, SIGCONT);
  });
  const auto begin = std::chrono::steady_clock::now();
  const auto done = pool.Transact(
      [](Transaction& tx) -> Status {
        YBIS_TRY(tx.Exec("SELECT 1"));
        return {};
      },
      {});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s) << Message(done);
}

TEST(Pool, StopsWithinMillisecondsInTheMiddleOfAStatement) {
  Pool pool(SettingsFor(Server().NewDatabase()));
  std::stop_source source;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(100ms);
    source.request_stop();
  });
  const auto begin = std::chrono::steady_clock::now();
  YBIS_EXPECT_CODE(pool.Execute("SELECT pg_sleep(30)", {}, source.get_token()), kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s);
}

TEST(Pool, WaitsForAFreeConnectionUntilItsLimit) {
  auto settings = SettingsFor(Server().NewDatabase(), 1);
  settings.acquire_timeout = 200ms;
  Pool pool(settings);
  const auto outer = pool.Transact(
      [&](Transaction&) -> Status {
        YBIS_EXPECT_CODE(pool.Execute("SELECT 1", {}, {}), kUnavailable);
        return {};
      },
      {});
  YBIS_EXPECT_OK(outer);
}

TEST(Pool, RetriesTransactionsThatLoseARace) {
  Pool pool(SettingsFor(Server().NewDatabase()));
  YBIS_ASSERT_OK(pool.Execute("CREATE TABLE counter (n bigint)", {}, {}));
  YBIS_ASSERT_OK(pool.Execute("INSERT INTO counter VALUES (0)", {}, {}));
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) {
        YBIS_EXPECT_OK(pool.Transact(
            [](Transaction& tx) -> Status {
              YBIS_TRY(tx.Exec("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"));
              YBIS_ASSIGN(const auto rows, tx.Exec("SELECT n FROM counter"));
              YBIS_TRY(tx.Exec("UPDATE counter SET n = $1", {rows[0].Int(0) + 1}));
              return {};
            },
            {}));
      }
    });
  }
  threads.clear();
  EXPECT_EQ(Count(pool, "SELECT n FROM counter"), 100);
}

TEST(Pool, RollsBackWhenTheWorkFails) {
  Pool pool(SettingsFor(Server().NewDatabase()));
  YBIS_ASSERT_OK(pool.Execute("CREATE TABLE t (n bigint PRIMARY KEY)", {}, {}));
  const auto failed = pool.Transact(
      [](Transaction& tx) -> Status {
        YBIS_TRY(tx.Exec("INSERT INTO t VALUES (1)"));
        return Fail(ErrorCode::kInvalid, "changed my mind");
      },
      {});
  YBIS_EXPECT_CODE(failed, kInvalid);
  EXPECT_EQ(Count(pool, "SELECT count(*) FROM t"), 0);
  YBIS_ASSERT_OK(pool.Execute("INSERT INTO t VALUES (1)", {}, {}));
  YBIS_EXPECT_CODE(pool.Execute("INSERT INTO t VALUES (1)", {}, {}), kExists);
}

TEST(Pool, ReplacesConnectionsTheServerEnded) {
  Pool pool(SettingsFor(Server().NewDatabase(), 2));
  EXPECT_EQ(Count(pool, "SELECT 1"), 1);
  Pool other(SettingsFor(pool.settings().url));
  YBIS_ASSERT_OK(
      other.Execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()",
                    {}, {}));
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(Count(pool, "SELECT 2"), 2);
}

TEST(Pool, SaysInDoubtWhenLostDuringTheCommitAndRepeatsWhenAllowed) {
  // A deferred trigger ends the session while COMMIT runs.
  Pool pool(SettingsFor(Server().NewDatabase(), 2));
  YBIS_ASSERT_OK(pool.Transact(
      [](Transaction& tx) {
        return tx.ExecScript(
            "CREATE TABLE t (n bigint); CREATE TABLE deaths (left_over bigint); INSERT INTO deaths VALUES "
            "(1);"
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF NEW.n = 13 OR EXISTS (SELECT 1 FROM pg_prepared_xacts) THEN "
            "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); END IF; RETURN NULL; END "
            "$$;"
            "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION die()");
      },
      {}));
  const auto reported =
      pool.Transact([](Transaction& tx) { return tx.Exec("INSERT INTO t VALUES (13)"); }, {});
  YBIS_EXPECT_CODE(reported, kUnavailable);
  EXPECT_NE(reported.error().message.find("in doubt"), std::string::npos) << reported.error().message;
  int tries = 0;
  const auto repeated = pool.Transact(
      [&](Transaction& tx) { return tx.Exec("INSERT INTO t VALUES ($1)", {++tries == 1 ? 13 : 14}); }, {},
      InDoubt::kRepeat);
  YBIS_EXPECT_OK(repeated);
  EXPECT_EQ(tries, 2);
  EXPECT_EQ(Count(pool, "SELECT sum(n) FROM t"), 14);
}

TEST(Listener, HearsNotificationsAndConnectsAgain) {
  const std::string url = Server().NewDatabase();
  Pool pool(SettingsFor(url));
  std::atomic<int> connected{0};
  std::atomic<int> heard{0};
  store::ListenerSettings settings{url, {"ybis_test"}};
  settings.retry = 20ms;
  store::Listener listener(
      settings, [&](std::string_view, std::string_view payload) { heard += payload == "hello" ? 1 : 0; },
      [&] { ++connected; });
  const auto wait = [](auto ready) {
    for (int i = 0; i < 500 && !ready(); ++i) std::this_thread::sleep_for(10ms);
    return ready();
  };
  ASSERT_TRUE(wait([&] { return connected == 1; }));
  YBIS_ASSERT_OK(pool.Execute("SELECT pg_notify('ybis_test', 'hello')", {}, {}));
  EXPECT_TRUE(wait([&] { return heard == 1; }));
  YBIS_ASSERT_OK(
      pool.Execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                   "WHERE application_name = 'ybis-listener' AND datname = current_database()",
                   {}, {}));
  ASSERT_TRUE(wait([&] { return connected == 2; }));
  YBIS_ASSERT_OK(pool.Execute("SELECT pg_notify('ybis_test', 'hello')", {}, {}));
  EXPECT_TRUE(wait([&] { return heard == 2; }));
}

TEST(Listener, StopsAtOnce) {
  auto listener = std::make_unique<store::Listener>(
      store::ListenerSettings{Server().Url(), {"ybis_test"}}, [](auto, auto) {}, [] {});
  std::this_thread::sleep_for(100ms);
  const auto begin = std::chrono::steady_clock::now();
  listener.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 200ms);
}

}  // namespace
}  // namespace ybis::testing
