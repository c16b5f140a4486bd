#include "cli/local/backup/pack.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "base/file.h"
#include "base/unique_fd.h"
#include "cli/local/backup/pg_tools.h"
#include "cli/local/backup/tar_header.h"
#include "tests/support/temp_dir.h"

namespace ybis::cli {
namespace {

namespace fs = std::filesystem;

class PackTest : public ::testing::Test {
 protected:
  PackTotals Packed(const PackPlan& plan) {
    const UniqueFd fd(::open(file_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    const auto totals = Pack(plan, fd.get(), "pack", {});
    EXPECT_TRUE(totals) << totals.error().message;
    return totals.value_or(PackTotals{});
  }
  Result<PackTotals> Unpacked(const fs::path& target, const UnpackLimits& limits = {1 << 20, 100}) {
    fs::create_directories(target);
    const UniqueFd fd(::open(file_.c_str(), O_RDONLY));
    return Unpack(fd.get(), "pack", target, limits, {});
  }

  testing::TempDir dir_;
  fs::path file_ = dir_.path() / "pack.tar.zst";
};

TEST_F(PackTest, WhatGoesInComesOut) {
  const std::string deep = "in/" + std::string(90, 'd') + "/" + std::string(90, 'e') + "/ä ö.txt";
  const std::vector<std::pair<std::string, std::string>> files = {{"in/empty", ""},
                                                                  {"in/block", std::string(512, 'b')},
                                                                  {"in/big", std::string(700'000, 'x')},
                                                                  {deep, "deep"}};
  for (const auto& [name, bytes] : files) dir_.Write(name, bytes);
  dir_.Write("in/run.sh", "#!/bin/sh\n");
  ::chmod((dir_.path() / "in/run.sh").c_str(), 0755);
  fs::create_directories(dir_.path() / "in/hollow");
  const auto totals = Packed({dir_.path(), {"in", "missing"}, {}});
  const auto unpacked = Unpacked(dir_.path() / "out");
  ASSERT_TRUE(unpacked) << unpacked.error().message;
  EXPECT_EQ(unpacked->bytes, totals.bytes);
  EXPECT_EQ(unpacked->entries, totals.entries);
  for (const auto& [name, bytes] : files)
    EXPECT_EQ(ReadFile(dir_.path() / "out" / name).value_or("none"), bytes);
  EXPECT_TRUE(fs::is_directory(dir_.path() / "out/in/hollow"));
  EXPECT_NE(fs::status(dir_.path() / "out/in/run.sh").permissions() & fs::perms::owner_exec, fs::perms::none);
}

TEST_F(PackTest, AFolderThatGoesMeanwhileIsNoError) {
  dir_.Write("in/comes-and-goes/a", "a");
  const fs::path folder = dir_.path() / "in/comes-and-goes", away = dir_.path() / "away";
  const std::jthread mover([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      ::rename(folder.c_str(), away.c_str());
      ::rename(away.c_str(), folder.c_str());
    }
  });
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (std::chrono::steady_clock::now() < until && !HasFailure()) Packed({dir_.path(), {"in"}, {}});
}

TEST_F(PackTest, LeavesOutWhatItIsTold) {
  dir_.Write("in/keep/a", "a");
  dir_.Write("in/drop/b", "b");
  Packed({dir_.path(), {"in"}, [](const fs::path& path) { return path == "in/drop"; }});
  ASSERT_TRUE(Unpacked(dir_.path() / "out"));
  EXPECT_TRUE(fs::exists(dir_.path() / "out/in/keep/a"));
  EXPECT_FALSE(fs::exists(dir_.path() / "out/in/drop"));
}

TEST_F(PackTest, LimitsHold) {
  dir_.Write("in/a", "12345");
  Packed({dir_.path(), {"in"}, {}});
  EXPECT_FALSE(Unpacked(dir_.path() / "few-bytes", {4, 10}));
  EXPECT_FALSE(Unpacked(dir_.path() / "few-entries", {10, 1}));
  EXPECT_TRUE(Unpacked(dir_.path() / "enough", {5, 2}));
}

TEST_F(PackTest, AnyDamageIsNoticed) {
  dir_.Write("in/a", std::string(3000, 'a') + "end");
  Packed({dir_.path(), {"in"}, {}});
  const std::string bytes = ReadFile(file_).value();
  for (size_t length = 0; length < bytes.size(); length += 5) {
    dir_.Write("pack.tar.zst", bytes.substr(0, length));
    EXPECT_FALSE(Unpacked(dir_.path() / ("cut" + std::to_string(length)))) << length;
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    dir_.Write("pack.tar.zst", changed);
    const fs::path out = dir_.path() / ("bit" + std::to_string(at));
    // The frame's checksum notices; a bit that zstd ignores must not matter.
    if (Unpacked(out)) {
      EXPECT_EQ(ReadFile(out / "in/a").value_or(""), std::string(3000, 'a') + "end") << at;
    }
  }
}

TEST(TarHeader, ComesBackAsItWasWritten) {
  const TarHeader header{"a/b c", '0', 0640, 12345, 1'700'000'000};
  const auto read = ParseTarHeader(TarHeaderText(header));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(std::tie(read->path, read->type, read->mode, read->size, read->mtime),
            std::tie(header.path, header.type, header.mode, header.size, header.mtime));
}

TEST(CheckPackedPath, RefusesWaysOut) {
  for (const char* path : {"", "/", "/etc", "..", "a/..", "../a", "a/../b", "a//b", "a/", "./a", "a/."})
    EXPECT_FALSE(CheckPackedPath(path)) << path;
  EXPECT_FALSE(CheckPackedPath(std::string("a\0b", 3)));
  EXPECT_FALSE(CheckPackedPath(std::string(300, 'a')));
  for (const char* path : {"a", "a/b", "...", ".hidden/x", "a..b"})
    EXPECT_TRUE(CheckPackedPath(path)) << path;
}

TEST(ParsePaxPath, TakesAPathAndNothingElse) {
  EXPECT_EQ(ParsePaxPath("11 path=ab\n").value_or("none"), "ab");
  for (const char* record :
       {"", "12 path=ab\n", "11 path=ab", "13 linkpath=a\n", "x path=ab\n", "11 size=ab\n"})
    EXPECT_FALSE(ParsePaxPath(record)) << record;
}

TEST(ParseDumpEntry, NamesKindAndObject) {
  const auto expect = [](const char* line, const char* kind, const char* name) {
    const DumpEntry entry = ParseDumpEntry(line);
    EXPECT_EQ(entry.kind, kind) << line;
    if (*name != 0) {
      EXPECT_EQ(entry.name, name) << line;
    }
  };
  expect("; Archive created at", "", "");
  expect("", "", "");
  expect("215; 1259 16385 TABLE public runs ybis", "TABLE", "runs");
  expect("3390; 0 16385 TABLE DATA public runs ybis", "TABLE DATA", "runs");
  expect("3391; 0 0 SEQUENCE SET public queue_position ybis", "SEQUENCE SET", "queue_position");
  expect("3218; 2606 16400 FK CONSTRAINT public runs runs_task_uid_fkey ybis", "FK CONSTRAINT", "runs");
  expect("3230; 2620 16400 TRIGGER public events events_kept ybis", "TRIGGER", "events");
  expect("220; 1255 16400 FUNCTION public f() ybis", "FUNCTION", "");
  expect("nonsense", "unreadable", "");
  expect("1; 2", "unreadable", "");
}

}  // namespace
}  // namespace ybis::cli
