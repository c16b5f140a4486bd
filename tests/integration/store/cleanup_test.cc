// What the watchdog deletes from the record, over a real Postgres.
#include "control/record_cleanup.h"

#include <nlohmann/json.hpp>
#include <thread>

#include "base/digest.h"
#include "control/metrics.h"
#include "store/artifact_store.h"
#include "store/learning_store.h"
#include "store/rerun_store.h"
#include "tests/integration/store/fixture.h"

namespace ybis::testing {
namespace {

using control::CleanedUp;
using control::RecordCleanUp;
using store::ArtifactStore;
using store::Transaction;
using namespace std::chrono_literals;

/// As if all contents had been given two hours ago.
void Age(World& world) {
  YBIS_ASSERT_OK(world.pool.Execute("UPDATE blobs SET created = now() - interval '2 hours'", {}, {}));
}

int64_t Blobs(World& world) { return Count(world.pool, "SELECT count(*) FROM blobs"); }

/// Sweeps until every content has been looked at, wherever the sweeps began.
CleanedUp SweepAll(RecordCleanUp& clean_up, int64_t blobs) {
  CleanedUp all;
  for (int64_t looked = -RecordCleanUp::kLooks; looked <= blobs; looked += RecordCleanUp::kLooks) {
    const auto swept = clean_up.Sweep({});
    EXPECT_TRUE(swept) << Message(swept);
    if (!swept) break;
    all.blobs += swept->blobs;
    all.bytes += swept->bytes;
  }
  return all;
}

struct Artifacts {
  explicit Artifacts(World& given) : world(given), run_id(Dispatched(world, "t")) {
    epoch = Claimed(world, run_id);
  }
  void Put(const std::string& name, const std::string& bytes) {
    YBIS_ASSERT_OK(world.ledger.PutArtifact(run_id, epoch, name, bytes, {}));
  }
  World& world;
  std::string run_id;
  int64_t epoch = 0;
};

TEST(RecordCleanUp, DeletesOldContentsThatNoRunNamesAndNoOthers) {
  World world(Server().NewDatabase());
  Artifacts artifacts(world);
  for (const char* lines : {"1", "12", "123"}) artifacts.Put("logs.jsonl", lines);
  artifacts.Put("plan.json", "1");  // named again
  Age(world);
  artifacts.Put("gate.json", "gate");
  artifacts.Put("gate.json", "newer gate");
  control::Metrics metrics;
  RecordCleanUp clean_up(world.pool, &metrics);
  const auto cleaned = SweepAll(clean_up, 5);
  EXPECT_EQ(cleaned.blobs, 1);  // "12"; "gate" is young
  EXPECT_EQ(cleaned.bytes, 2);
  EXPECT_EQ(Blobs(world), 4);
  EXPECT_EQ(*world.ledger.GetArtifact(artifacts.run_id, "logs.jsonl", {}), "123");
  EXPECT_EQ(*world.ledger.GetArtifact(artifacts.run_id, "plan.json", {}), "1");
  const std::string text = metrics.Serialize();
  EXPECT_NE(text.find("ybis_blobs_deleted_total 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("ybis_blob_bytes_deleted_total 2\n"), std::string::npos) << text;
  Age(world);
  EXPECT_EQ(SweepAll(clean_up, 4).blobs, 1);
  EXPECT_EQ(SweepAll(clean_up, 3).blobs, 0);
}

TEST(RecordCleanUp, ComesRoundToEveryContentAndLooksAtSoManyAtATime) {
  World world(Server().NewDatabase());
  constexpr int64_t kBlobs = 2'500;
  YBIS_ASSERT_OK(world.pool.Execute(
      "INSERT INTO blobs (digest, size, bytes, created) SELECT 'sha256:' || encode(sha256(i::text::bytea), "
      "'hex'), 1, 'x', now() - interval '2 hours' FROM generate_series(1, $1) i",
      {kBlobs}, {}));
  RecordCleanUp clean_up(world.pool);
  const auto first = clean_up.Sweep({});
  YBIS_ASSERT_OK(first);
  EXPECT_LE(first->blobs, RecordCleanUp::kLooks);
  EXPECT_EQ(first->blobs + SweepAll(clean_up, kBlobs).blobs, kBlobs);
  EXPECT_EQ(Blobs(world), 0);
}

TEST(RecordCleanUp, LooksAtSoManyBytesInOneStepAndAtOneContentAtLeast) {
  World world(Server().NewDatabase());
  YBIS_ASSERT_OK(
      world.pool.Execute("INSERT INTO blobs (digest, size, bytes, created) SELECT i::text, i * 100, 'x', "
                         "now() - interval '2 hours' FROM generate_series(1, 5) i",
                         {}, {}));
  std::vector<int64_t> looked;
  std::string after;
  do {
    const auto swept = world.pool.Single(
        [&](Transaction& tx) { return ArtifactStore(tx).DeleteUnnamed(after, 10, 350, 1h); },
        std::stop_token{});
    YBIS_ASSERT_OK(swept);
    EXPECT_EQ(swept->deleted, swept->looked);
    looked.push_back(swept->looked);
    after = swept->last;
  } while (!after.empty());
  EXPECT_EQ(looked, (std::vector<int64_t>{2, 1, 1, 1}));
  EXPECT_EQ(Blobs(world), 0);
}

TEST(RecordCleanUp, GetsThroughWhatTakesTooLongAsAWhole) {
  World world(Server().NewDatabase());
  YBIS_ASSERT_OK(world.pool.Execute(
      "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.02); "
      "RETURN OLD; END $$",
      {}, {}));
  YBIS_ASSERT_OK(world.pool.Execute(
      "CREATE TRIGGER slow BEFORE DELETE ON blobs FOR EACH ROW EXECUTE FUNCTION slow()", {}, {}));
  YBIS_ASSERT_OK(
      world.pool.Execute("INSERT INTO blobs (digest, size, bytes, created) SELECT 'sha256:' || i, 1, 'x', "
                         "now() - interval '2 hours' FROM generate_series(1, 60) i",
                         {}, {}));
  auto settings = SettingsFor(world.url);
  settings.statement_timeout = 500ms;
  store::Pool pool(settings);
  RecordCleanUp clean_up(pool);
  for (int i = 0; i < 20 && Blobs(world) > 0; ++i) (void)clean_up.Sweep({});
  EXPECT_EQ(Blobs(world), 0);
}

TEST(RecordCleanUp, ContentThatSomebodyIsAboutToNameStays) {
  World world(Server().NewDatabase());
  Artifacts artifacts(world);
  artifacts.Put("logs.jsonl", "old");
  artifacts.Put("logs.jsonl", "new");
  const std::string digest = Digest("old");
  RecordCleanUp clean_up(world.pool);
  for (const bool sent_again : {false, true}) {
    Age(world);
    const auto named = world.pool.Transact(
        [&](Transaction& tx) -> Result<bool> {
          ArtifactStore store(tx);
          if (sent_again) {
            YBIS_TRY(store.PutBlob(digest, "old"));
          } else {
            YBIS_ASSIGN(const bool known, store.RenewBlob(digest));
            EXPECT_TRUE(known);
          }
          EXPECT_EQ(SweepAll(clean_up, 2).blobs, 0);
          return store.Name(artifacts.run_id, artifacts.epoch, {sent_again ? "b" : "a", digest, 3});
        },
        std::stop_token{});
    YBIS_ASSERT_OK(named);
    EXPECT_TRUE(*named);
    EXPECT_EQ(SweepAll(clean_up, 2).blobs, 0);
    YBIS_ASSERT_OK(world.pool.Execute("DELETE FROM artifacts WHERE name IN ('a', 'b')", {}, {}));
  }
}

TEST(RecordCleanUp, ContentThatIsJustBeingDeletedIsKeptAnew) {
  World world(Server().NewDatabase());
  Artifacts artifacts(world);
  artifacts.Put("logs.jsonl", "old");
  artifacts.Put("logs.jsonl", "new");
  Age(world);
  std::jthread putter;
  const auto deleted = world.pool.Transact(
      [&](Transaction& tx) -> Result<int64_t> {
        YBIS_ASSIGN(const auto swept, ArtifactStore(tx).DeleteUnnamed("", 10, 1000, 1h));
        putter = std::jthread([&] { artifacts.Put("again", "old"); });
        EXPECT_TRUE(SomebodyWaits(world)) << "whoever gives the content waits for the clean-up";
        return swept.deleted;
      },
      std::stop_token{});
  putter.join();
  YBIS_ASSERT_OK(deleted);
  EXPECT_EQ(*deleted, 1);
  EXPECT_EQ(*world.ledger.GetArtifact(artifacts.run_id, "again", {}), "old");
}

TEST(RecordCleanUp, ARunThatIsCopiedWhileItGoesOnGivesWhatItNamesLast) {
  World world(Server().NewDatabase());
  Artifacts artifacts(world);
  artifacts.Put("base.json", "old");
  artifacts.Put("other", "new");
  const std::string copy = Dispatched(world, "copy");
  std::jthread copier;
  const Status named = world.pool.Transact(
      [&](Transaction& tx) -> Status {
        YBIS_TRY(ArtifactStore(tx).Name(artifacts.run_id, artifacts.epoch, {"base.json", Digest("new"), 3}));
        copier = std::jthread([&] {
          YBIS_EXPECT_OK(world.pool.Transact(
              [&](Transaction& other) {
                return store::RerunStore(other).Copy(artifacts.run_id, copy, 0, "planner");
              },
              std::stop_token{}));
        });
        EXPECT_TRUE(SomebodyWaits(world));
        return {};
      },
      std::stop_token{});
  copier.join();
  YBIS_ASSERT_OK(named);
  EXPECT_EQ(*world.ledger.GetArtifact(copy, "base.json", {}), "new");
}

/// Three contents under one name, each given and replaced all the time, and made old whenever nobody names
/// it.
TEST(RecordCleanUp, NoArtifactIsRefusedOrLostWhileItSweeps) {
  World world(Server().NewDatabase(), {}, {}, 16);
  Artifacts artifacts(world);
  std::atomic<int64_t> deleted{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&](std::stop_token stop) {
        RecordCleanUp clean_up(world.pool);
        while (!stop.stop_requested()) {
          YBIS_EXPECT_OK(world.pool.Execute(
              "UPDATE blobs b SET created = now() - interval '2 hours' WHERE digest IN (SELECT digest FROM "
              "blobs WHERE digest NOT IN (SELECT digest FROM artifacts) FOR UPDATE SKIP LOCKED)",
              {}, {}));
          const auto swept = clean_up.Sweep({});
          YBIS_EXPECT_OK(swept);
          if (swept) deleted += swept->blobs;
        }
      });
    }
    std::vector<std::jthread> putters;
    for (int thread = 0; thread < 3; ++thread) {
      putters.emplace_back([&, thread] {
        for (int i = 0; i < 300; ++i) {
          artifacts.Put("name" + std::to_string(thread), "content " + std::to_string((i + thread) % 3));
        }
      });
    }
  }
  EXPECT_GT(deleted, 10);
  for (int thread = 0; thread < 3; ++thread) {
    EXPECT_EQ(*world.ledger.GetArtifact(artifacts.run_id, "name" + std::to_string(thread), {}),
              "content " + std::to_string((299 + thread) % 3));
  }
}

TEST(RecordCleanUp, KeepsThePatternsSeenLast) {
  World world(Server().NewDatabase());
  constexpr int64_t kMore = 1'500;
  YBIS_ASSERT_OK(
      world.pool.Execute("INSERT INTO error_patterns (fingerprint, class, reason, pattern, last_seen) SELECT "
                         "i::text, '', '', '', "
                         "now() - i * interval '1 minute' FROM generate_series(1, $1) i",
                         {RecordCleanUp::kPatterns + kMore}, {}));
  const std::string seen_again = std::to_string(RecordCleanUp::kPatterns + 1);
  YBIS_ASSERT_OK(world.pool.Execute("UPDATE error_patterns SET last_seen = now() WHERE fingerprint = $1",
                                    {seen_again}, {}));
  RecordCleanUp clean_up(world.pool);
  for (const int64_t forgotten : {1'000, 500, 0}) EXPECT_EQ(clean_up.Sweep({})->patterns, forgotten);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM error_patterns"), RecordCleanUp::kPatterns);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM error_patterns WHERE fingerprint = $1", {seen_again}), 1);
  EXPECT_EQ(Count(world.pool, "SELECT max(fingerprint::bigint) FROM error_patterns WHERE fingerprint <> $1",
                  {seen_again}),
            RecordCleanUp::kPatterns - 1);
}

TEST(RecordCleanUp, APatternThatIsJustSeenAgainStays) {
  World world(Server().NewDatabase());
  YBIS_ASSERT_OK(
      world.pool.Execute("INSERT INTO error_patterns (fingerprint, class, reason, pattern, last_seen) SELECT "
                         "i::text, '', '', '', "
                         "now() - i * interval '1 minute' FROM generate_series(1, 3) i",
                         {}, {}));
  const auto forget = [&] {
    const auto forgotten = world.pool.Single(
        [](Transaction& tx) { return store::LearningStore(tx).ForgetPatterns(2, 10); }, std::stop_token{});
    EXPECT_TRUE(forgotten) << Message(forgotten);
    return forgotten.value_or(-1);
  };
  YBIS_ASSERT_OK(world.pool.Transact(
      [&](Transaction& tx) -> Status {
        YBIS_TRY(tx.Exec("UPDATE error_patterns SET last_seen = now() WHERE fingerprint = '3'"));
        EXPECT_EQ(forget(), 0);
        return {};
      },
      std::stop_token{}));
  EXPECT_EQ(forget(), 1);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM error_patterns WHERE fingerprint = '2'"), 0);
}

TEST(WatchdogThread, ClearsUpTheRecord) {
  World world(Server().NewDatabase());
  Artifacts artifacts(world);
  artifacts.Put("logs.jsonl", "old");
  artifacts.Put("logs.jsonl", "new");
  Age(world);
  const control::WatchdogThread thread(world.pool, 10ms);
  for (int i = 0; i < 500 && Blobs(world) > 1; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(Blobs(world), 1);
}

}  // namespace
}  // namespace ybis::testing
