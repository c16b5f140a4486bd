// What is not a whole, unchanged backup of ours is refused with the part named, and nothing is changed.
#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/unique_fd.h"
#include "cli/local/backup/tar_header.h"
#include "cli/local/backup/zstd_file.h"
#include "tests/integration/backup/fixture.h"

namespace ybis::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string Read(const fs::path& path) { return ReadFile(path, 1 << 28).value_or(""); }
void Write(const fs::path& path, const std::string& bytes) {
  fs::remove(path);
  std::ofstream(path, std::ios::binary) << bytes;
}

/// A site with something in every component, a backup of it, and copies of that to spoil.
class Corruption : public ::testing::Test {
 protected:
  void SetUp() override {
    site_.AddRun("one", true);
    site_.dir.Write("config/config.yaml", "then");
    site_.dir.Write("data/runs/r1/runs/r1/artifacts/plan.json", "then");
    site_.dir.Write("data/index/files", "then");
    whole_ = site_.Create({.workspaces = true});
    site_.AddRun("two", true);
    site_.dir.Write("config/config.yaml", "now");
    site_.dir.Write("data/runs/r1/runs/r1/artifacts/plan.json", "now");
    site_.dir.Write("data/index/files", "now");
    now_ = State();
  }

  std::string State() {
    std::string text;
    for (const auto& [table, digest] : site_.Digests()) text += table + " " + digest + "\n";
    for (const auto& file : {site_.folders.config / "config.yaml", site_.folders.data / "index/files",
                             site_.folders.data / "runs/r1/runs/r1/artifacts/plan.json"})
      text += Read(file) + "\n";
    for (const fs::path& folder : {site_.folders.data, site_.folders.config}) {
      for (const auto& entry : fs::directory_iterator(folder)) text += entry.path().filename().string() + " ";
    }
    return text + std::to_string(cli::ListBackups(site_.At().Backups()).size());
  }

  /// Spoils a copy and expects it to be refused by a message that names `part`.
  void ExpectRefused(const std::string& what, const std::string& part,
                     const std::function<void(const fs::path&)>& spoil) {
    const fs::path copy = site_.dir.path() / "copy" / whole_.filename();
    fs::remove_all(copy.parent_path());
    fs::create_directories(copy.parent_path());
    fs::copy(whole_, copy, fs::copy_options::recursive);
    spoil(copy);
    const auto restored = site_.Restore(copy);
    ASSERT_FALSE(restored) << what << " was taken";
    EXPECT_NE(restored.error().message.find(part), std::string::npos)
        << what << ": " << restored.error().message;
    EXPECT_EQ(State(), now_) << what << " changed something";
  }

  /// Changes the manifest and makes its digest fit again.
  static void Forge(const fs::path& copy, const std::function<void(json&)>& change) {
    json body = json::parse(Read(copy / "manifest.json"));
    change(body);
    body.erase("digest");
    body["digest"] = Digest(DumpJson(body));
    Write(copy / "manifest.json", DumpJson(body));
  }

  /// Replaces a part and makes the manifest fit.
  static void ForgePart(const fs::path& copy, const std::string& component, const std::string& bytes) {
    Write(copy / control::BackupFile(component), bytes);
    Forge(copy, [&](json& body) {
      for (json& part : body["parts"]) {
        if (part["name"] != component) continue;
        part["size"] = bytes.size();
        part["digest"] = Digest(bytes);
        part["unpackedSize"] = 1000;
        part["entries"] = 10;
      }
    });
  }

  std::string Packed(const std::vector<cli::TarHeader>& headers) {
    const fs::path file = site_.dir.path() / "packed";
    {
      const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
      cli::ZstdWriter out(fd.get(), "packed");
      for (const auto& header : headers) {
        EXPECT_TRUE(out.Write(cli::TarHeaderText(header)));
        EXPECT_TRUE(out.Write(std::string(static_cast<size_t>(header.size), 'x') +
                              std::string(cli::TarPadding(header.size), '\0')));
      }
      EXPECT_TRUE(out.Write(std::string(1024, '\0')));
      EXPECT_TRUE(out.Finish());
    }
    return Read(file);
  }

  Site site_;
  fs::path whole_;
  std::string now_;
};

TEST_F(Corruption, EveryPartTruncatedFlippedMissingOrALinkIsRefused) {
  for (const std::string_view component : control::kBackupComponents) {
    const std::string part(component), file(control::BackupFile(component));
    ExpectRefused(part + " truncated", part, [&](const fs::path& copy) {
      fs::resize_file(copy / file, fs::file_size(copy / file) - 1);
    });
    ExpectRefused(part + " emptied", part, [&](const fs::path& copy) { fs::resize_file(copy / file, 0); });
    ExpectRefused(part + " lengthened", part, [&](const fs::path& copy) {
      fs::resize_file(copy / file, fs::file_size(copy / file) + 1);
    });
    for (const double where : {0.0, 0.5, 0.999}) {
      ExpectRefused(part + " with a bit flipped", part, [&](const fs::path& copy) {
        std::string bytes = Read(copy / file);
        bytes[static_cast<size_t>(where * static_cast<double>(bytes.size()))] ^= 1;
        Write(copy / file, bytes);
      });
    }
    ExpectRefused(part + " missing", part, [&](const fs::path& copy) { fs::remove(copy / file); });
    ExpectRefused(part + " a link", part, [&](const fs::path& copy) {
      fs::remove(copy / file);
      fs::create_symlink(whole_ / file, copy / file);
    });
    ExpectRefused(part + " a pipe", part, [&](const fs::path& copy) {
      fs::remove(copy / file);
      ASSERT_EQ(::mkfifo((copy / file).c_str(), 0600), 0);
    });
  }
}

TEST_F(Corruption, TheManifestAndTheFolderMustBeWhole) {
  ExpectRefused("no manifest", "manifest.json",
                [](const fs::path& copy) { fs::remove(copy / "manifest.json"); });
  ExpectRefused("half a manifest", "manifest.json", [](const fs::path& copy) {
    fs::resize_file(copy / "manifest.json", fs::file_size(copy / "manifest.json") / 2);
  });
  ExpectRefused("an edited manifest", "manifest.json", [](const fs::path& copy) {
    std::string text = Read(copy / "manifest.json");
    text[text.find("\"safety\": false") + 10] = 't';
    Write(copy / "manifest.json", text);
  });
  ExpectRefused("a linked manifest", "manifest.json", [&](const fs::path& copy) {
    fs::remove(copy / "manifest.json");
    fs::create_symlink(whole_ / "manifest.json", copy / "manifest.json");
  });
  ExpectRefused("an extra file", "evil.sh",
                [](const fs::path& copy) { Write(copy / "evil.sh", "#!/bin/sh"); });
  ExpectRefused("a part that the manifest forgot", "index", [](const fs::path& copy) {
    Forge(copy, [](json& body) { body["parts"].erase(body["parts"].size() - 1); });
  });
}

TEST_F(Corruption, NewerBackupsAreRefused) {
  ExpectRefused("a newer format", "formatVersion",
                [](const fs::path& copy) { Forge(copy, [](json& body) { body["formatVersion"] = 2; }); });
  ExpectRefused("a newer schema", "0099_future", [](const fs::path& copy) {
    Forge(copy, [](json& body) {
      body["schema"]["version"] = 99;
      body["schema"]["migrations"].push_back(
          {{"version", 99}, {"name", "future"}, {"checksum", Digest("x")}});
    });
  });
  ExpectRefused("an edited migration", "0002_queue", [](const fs::path& copy) {
    Forge(copy, [](json& body) { body["schema"]["migrations"][1]["checksum"] = Digest("x"); });
  });
  ExpectRefused("an older schema than the dump's", "another schema", [](const fs::path& copy) {
    Forge(copy, [](json& body) {
      auto& migrations = body["schema"]["migrations"];
      migrations.erase(migrations.size() - 1);
      body["schema"]["version"] = migrations.size();
    });
  });
}

TEST_F(Corruption, ForeignThingsAreRefused) {
  ExpectRefused("another product's folder", "kind", [](const fs::path& copy) {
    Write(copy / "manifest.json", R"({"name":"something","version":3})");
  });
  ExpectRefused("a dump that is none", "database",
                [](const fs::path& copy) { ForgePart(copy, "database", "PGDMP but not really"); });
  const fs::path dump = site_.dir.path() / "other.dump";
  ProcessSpec spec;
  spec.argv = {BackupServer().bin_dir() / "pg_dump", "-Fc", "-f", dump, ""};
  spec.env = {{"PATH", "/usr/bin:/bin"}};
  for (const auto& [sql, named] : std::vector<std::pair<std::string, std::string>>{
           {"CREATE TABLE wp_posts (n int)", "wp_posts"},
           {"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "FUNCTION"},
           {"SELECT 1", "_migrations"}}) {
    Site other(false);
    ASSERT_TRUE(other.pool->Execute(sql, {}, {}));
    spec.argv.back() = other.url;
    const auto dumped = RunProcess(spec, {});
    ASSERT_TRUE(dumped && dumped->exit_code == 0) << dumped->error_output;
    ExpectRefused("a dump of " + named, named,
                  [&](const fs::path& copy) { ForgePart(copy, "database", Read(dump)); });
  }
  EXPECT_FALSE(site_.Restore("/etc/passwd"));
  EXPECT_FALSE(site_.Restore("/nonexistent"));
  EXPECT_FALSE(site_.Restore(site_.dir.path()));
}

TEST_F(Corruption, PathTricksInPackedPartsAreRefused) {
  const std::vector<std::pair<std::string, cli::TarHeader>> tricks = {
      {"up", {.path = "runs/../../evil", .size = 3}},
      {"absolute", {.path = "/tmp/ybis-evil", .size = 3}},
      {"link", {.path = "runs/link", .type = '2'}},
      {"hard link", {.path = "runs/link", .type = '1'}},
      {"device", {.path = "runs/null", .type = '3'}},
      {"another root", {.path = "postgres/password", .size = 3}},
      {"dot", {.path = "runs/./x", .size = 3}},
      {"long way up", {.path = "runs/" + std::string(120, 'x') + "/../../../evil", .size = 3}},
      {"huge", {.path = "runs/huge", .size = 1'000'000}}};
  for (const auto& [what, header] : tricks) {
    const std::string packed = Packed({header});
    ExpectRefused(what, "workspaces", [&](const fs::path& copy) { ForgePart(copy, "workspaces", packed); });
  }
  EXPECT_FALSE(fs::exists("/tmp/ybis-evil"));
  std::vector<cli::TarHeader> many(20, {.path = "runs/r"});
  for (size_t i = 0; i < many.size(); ++i) many[i].path += std::to_string(i);
  const std::string packed = Packed(many);
  ExpectRefused("too many entries", "workspaces",
                [&](const fs::path& copy) { ForgePart(copy, "workspaces", packed); });
  const std::string twice = Packed({{.path = "runs/a", .size = 1}, {.path = "runs/a", .size = 1}});
  ExpectRefused("the same twice", "workspaces",
                [&](const fs::path& copy) { ForgePart(copy, "workspaces", twice); });
  const std::string good = Packed({{.path = "runs/r9/x", .size = 1}});
  ExpectRefused("a cut-off frame", "workspaces", [&](const fs::path& copy) {
    ForgePart(copy, "workspaces", good.substr(0, good.size() - 5));
  });
}

}  // namespace
}  // namespace ybis::testing
