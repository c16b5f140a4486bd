// What comes along from a checkout, compared with what git itself says of it.
#include "runner/git/uncommitted.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <random>

#include "base/file.h"
#include "tests/runner/git/checkout_fixture.h"

namespace ybis::git {
namespace {

namespace fs = std::filesystem;
using Paths = std::vector<std::string>;
using namespace std::string_literals;
using ::testing::UnitTest;

class UncommittedTest : public ::testing::Test {
 protected:
  /// Syncs, checks the tree out, and makes sure that the checkout is as it was.
  SyncedBase Sync(const UncommittedLimits& limits = {}) {
    const std::string before = source_.Fingerprint();
    tree_.reset();
    bare_.reset();
    bare_.emplace(volume_.Open());
    SyncedBase base = volume_.Sync(*bare_, limits);
    tree_.emplace(Worktree::Create(*bare_, "task-1-run-1", volume_.tree(), {}).value());
    EXPECT_EQ(source_.Fingerprint(), before) << "the checkout was written to";
    EXPECT_EQ(tree_->Snapshot({}).value(), "") << "what came along is no change of the run's";
    return base;
  }
  std::string Read(const std::string& name) const {
    return ReadFile(volume_.tree() / name).value_or("(none)");
  }
  static const LeftOut* Find(const SyncedBase& base, const std::string& path) {
    for (const LeftOut& one : base.found.left_out) {
      if (one.path == path) return &one;
    }
    return nullptr;
  }

  SourceCheckout source_;
  Volume volume_{source_};
  std::optional<BareRepository> bare_;
  std::optional<Worktree> tree_;
};

TEST_F(UncommittedTest, BringsEveryKindOfChange) {
  for (const char* name : {"kept", "modified", "staged", "deleted", "renamed", "run.sh", "a b/ü\xc3\xa7.txt"})
    source_.Write(name, std::string(name) + "\n");
  fs::create_symlink("kept", source_.path() / "link");
  source_.Commit();
  source_.Write("modified", "more\n");
  source_.Write("staged", "half\n");
  source_.Git({"add", "staged"});
  source_.Write("staged", "whole\n");
  fs::remove(source_.path() / "deleted");
  source_.Git({"mv", "renamed", "new name"});
  fs::permissions(source_.path() / "run.sh", fs::perms(0755));
  fs::remove(source_.path() / "link");
  fs::create_symlink("/etc/passwd", source_.path() / "link");
  source_.Write("a b/ü\xc3\xa7.txt", "ö\n");
  source_.Write("untracked \xff\n\"odd\"", "new\n");
  const SyncedBase base = Sync();
  EXPECT_EQ(Read("modified"), "more\n");
  EXPECT_EQ(Read("staged"), "whole\n");
  EXPECT_EQ(Read("deleted"), "(none)");
  EXPECT_EQ(Read("renamed"), "(none)");
  EXPECT_EQ(Read("new name"), "renamed\n");
  EXPECT_EQ(Read("a b/ü\xc3\xa7.txt"), "ö\n");
  EXPECT_EQ(Read("untracked \xff\n\"odd\""), "new\n");
  EXPECT_EQ(fs::read_symlink(volume_.tree() / "link"), "/etc/passwd");
  EXPECT_NE(fs::status(volume_.tree() / "run.sh").permissions() & fs::perms::owner_exec, fs::perms::none);
  EXPECT_EQ(base.found.added, (Paths{"new name", "untracked \xff\n\"odd\""}));
  EXPECT_EQ(base.found.deleted, (Paths{"deleted", "renamed"}));
  EXPECT_EQ(FilesOf(source_, volume_.bare(), base.commit), source_.WholeTree());
}

TEST_F(UncommittedTest, LeavesOutWhatIsIgnoredLargeOrNeverTaken) {
  source_.Write(".gitignore", "*.log\n/build/\n!keep.log\n");
  source_.Write("sub/.gitignore", "local.txt\n");
  source_.Write("src/main.c", "int main;\n");
  source_.Commit();
  for (const char* name :
       {"a.log", "keep.log", "build/x", "sub/local.txt", "sub/other.txt", "node_modules/m/i.js",
        ".venv/bin/p", "sub/__pycache__/a.pyc", ".chroma/db", "excluded", "users", "forced.log"})
    source_.Write(name, "x\n");
  source_.Write(".git/info/exclude", "excluded\n");
  fs::create_directories(source_.home() / ".config/git");
  ASSERT_TRUE(WriteFileAtomic(source_.home() / ".config/git/ignore", "users\n"));
  source_.Git({"add", "-f", "forced.log"});
  source_.Write("large.bin", std::string(10 * 1024 * 1024 + 1, 'x'));
  source_.Write("just.bin", std::string(10 * 1024 * 1024, 'y'));
  const SyncedBase base = Sync();
  Paths expected = {"forced.log", "just.bin", "keep.log", "sub/other.txt"};
  Paths added = base.found.added;
  std::sort(added.begin(), added.end());
  EXPECT_EQ(added, expected);
  ASSERT_NE(Find(base, "large.bin"), nullptr);
  EXPECT_EQ(Find(base, "large.bin")->size, 10 * 1024 * 1024 + 1);
  EXPECT_EQ(base.found.left_out.size(), 1U);
}

TEST_F(UncommittedTest, ReadsWhatTheOwnersConfigurationNamesAsIgnored) {
  source_.Commit();
  ASSERT_TRUE(WriteFileAtomic(source_.home() / "mine", "*.tmp\n"));
  ASSERT_TRUE(WriteFileAtomic(source_.home() / ".gitconfig", "[core]\n\texcludesFile = ~/mine\n"));
  source_.Write("a.tmp", "x");
  source_.Write("b.txt", "x");
  EXPECT_EQ(Sync().found.added, (Paths{"b.txt"}));
}

TEST_F(UncommittedTest, NothingUncommittedIsTheCommitItself) {
  source_.Write("a", "1\n");
  source_.Commit();
  const SyncedBase base = Sync();
  EXPECT_EQ(base.commit + "\n", source_.Git({"rev-parse", "HEAD"}));
  EXPECT_TRUE(base.pack.empty());
}

TEST_F(UncommittedTest, SubmodulesAndOtherRepositoriesStayAsTheyAre) {
  SourceCheckout other;
  other.Write("inner", "1\n");
  other.Commit();
  source_.Git({"submodule", "--quiet", "add", other.path().string(), "mod"});
  source_.Commit();
  source_.Write("mod/inner", "changed\n");
  source_.Git({"init", "-q", "nested"});
  source_.Write("nested/file", "x\n");
  source_.Write("plain", "x\n");
  const SyncedBase base = Sync();
  EXPECT_EQ(base.found.added, (Paths{"plain"}));
  EXPECT_TRUE(base.found.modified.empty() && base.found.deleted.empty());
  ASSERT_NE(Find(base, "mod"), nullptr);
  EXPECT_EQ(Find(base, "mod")->why, "is a submodule: its commit stands");
  EXPECT_NE(Find(base, "nested/"), nullptr);
}

TEST_F(UncommittedTest, FilesThatGitWasToldNotToLookAtStayAsCommitted) {
  for (const char* name : {"sparse", "assumed", "plain"}) source_.Write(name, "1\n");
  source_.Commit();
  source_.Git({"update-index", "--skip-worktree", "sparse"});
  source_.Git({"update-index", "--assume-unchanged", "assumed"});
  fs::remove(source_.path() / "sparse");
  source_.Write("assumed", "mine\n");
  source_.Write("plain", "2\n");
  const SyncedBase base = Sync();
  EXPECT_EQ(base.found.count(), 1U);
  EXPECT_EQ(Read("sparse"), "1\n");
  EXPECT_EQ(Read("assumed"), "1\n");
}

/// What the checkout leaves out is in no folder of it, and the index that says so is of a newer form.
TEST_F(UncommittedTest, WhatASparseIndexLeavesOutIsNotDeleted) {
  for (const char* name : {"shop/app.py", "docs/guide/index.md", "legal/terms.md", "old"})
    source_.Write(name, "1\n");
  source_.Commit();
  source_.Git({"sparse-checkout", "init", "--cone", "--sparse-index"});
  source_.Git({"sparse-checkout", "set", "shop"});
  ASSERT_FALSE(fs::exists(source_.path() / "docs"));
  source_.Write("shop/app.py", "2\n");
  source_.Write("shop/new.py", "new\n");
  fs::remove(source_.path() / "old");
  source_.Write("old/now a folder", "new\n");
  const SyncedBase base = Sync();
  EXPECT_EQ(base.found.deleted, (Paths{"old"}));
  EXPECT_EQ(base.found.modified, (Paths{"shop/app.py"}));
  EXPECT_EQ(base.found.added, (Paths{"old/now a folder", "shop/new.py"}));
  EXPECT_EQ(Read("docs/guide/index.md"), "1\n");
  EXPECT_EQ(Read("legal/terms.md"), "1\n");
  ASSERT_EQ(base.found.notes.size(), 1U);
  EXPECT_NE(base.found.notes[0].find("stay as committed"), std::string::npos) << base.found.notes[0];
}

TEST_F(UncommittedTest, LineEndsAndLargeFileStoragesAreNoChanges) {
  source_.Write("text", "one\ntwo\n");
  source_.Write("big.dat",
                "version https://git-lfs.github.com/spec/v1\n"
                "oid sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\nsize 1\n");
  source_.Commit();
  source_.Write("text", "one\r\ntwo\r\n");
  source_.Write("big.dat", "x");  // what the pointer stands for
  EXPECT_EQ(Sync().found.count(), 0U);
  source_.Write("big.dat", "y");
  const SyncedBase base = Sync();
  EXPECT_EQ(base.found.count(), 0U);
  EXPECT_NE(Find(base, "big.dat"), nullptr);
}

/// As in a checkout with git-crypt: the repository has other bytes than the folder, and they are to stay
/// there.
TEST_F(UncommittedTest, WhatAFilterKeepsInAnotherFormIsNotTakenInPlain) {
  source_.Write(".gitattributes",
                "*.key filter=crypt\n*.ini working-tree-encoding=UTF-16\nplain.key -filter\n");
  source_.Git({"config", "filter.crypt.clean", "sed s/secret/ENCRYPTED/"});
  source_.Git({"config", "filter.crypt.smudge", "sed s/ENCRYPTED/secret/"});
  for (const char* name : {"a.key", "b.key", "plain.key", "c.txt"}) source_.Write(name, "secret\n");
  source_.Commit();
  source_.Write("a.key", "secret\n");  // touched alone: git has not noted this file
  source_.Write("b.key", "another secret\n");
  source_.Write("new.key", "secret\n");
  source_.Write("new.ini", "s\0"s);
  source_.Write("plain.key", "2\n");
  source_.Write("c.txt", "2\n");
  const SyncedBase base = Sync();
  EXPECT_EQ(base.found.modified, (Paths{"c.txt", "plain.key"}));
  EXPECT_TRUE(base.found.added.empty());
  EXPECT_EQ(Read("a.key"), "ENCRYPTED\n");
  EXPECT_EQ(Read("b.key"), "ENCRYPTED\n");
  for (const char* name : {"b.key", "new.key", "new.ini"}) EXPECT_NE(Find(base, name), nullptr) << name;
  EXPECT_NE(Find(base, "b.key")->why.find("filter crypt"), std::string::npos);
}

TEST_F(UncommittedTest, PipesAndNamesOfGitsOwnFilesStay) {
  source_.Write("a", "1\n");
  source_.Commit();
  fs::remove(source_.path() / "a");
  ASSERT_EQ(::mkfifo((source_.path() / "a").c_str(), 0600), 0);
  ASSERT_EQ(::mkfifo((source_.path() / "pipe").c_str(), 0600), 0);
  source_.Write("git~1", "x");
  const SyncedBase base = Sync();
  EXPECT_EQ(base.found.count(), 0U);
  EXPECT_NE(Find(base, "a"), nullptr);
  EXPECT_NE(Find(base, "git~1"), nullptr);
}

TEST_F(UncommittedTest, ALinkedWorktreeIsACheckoutToo) {
  source_.Write("a", "1\n");
  source_.Commit();
  const fs::path linked = source_.home() / "linked";
  source_.Git({"worktree", "add", "-q", linked.string()});
  ASSERT_TRUE(WriteFileAtomic(linked / "b", "2\n"));
  ASSERT_TRUE(WriteFileAtomic(source_.path() / ".git/info/exclude", "c\n"));
  ASSERT_TRUE(WriteFileAtomic(linked / "c", "3\n"));
  BareRepository bare = volume_.Open();
  const Checkout checkout = Checkout::Open(volume_.program(), linked).value();
  const auto base = SyncBase(volume_.program(), bare, checkout, {}, {});
  ASSERT_TRUE(base) << base.error().message;
  EXPECT_EQ(base->found.added, (Paths{"b"}));
}

TEST_F(UncommittedTest, AGitThatIsKilledOverASettingSaysNothingOfIt) {
  testing::TempDir folder;
  Settings settings;
  settings.private_dir = folder.path() / "private";
  settings.git = folder.path() / "git";
  ASSERT_TRUE(WriteFileAtomic(settings.git,
                              "#!/bin/sh\nfor word; do [ \"$word\" != config ] || kill -9 $$; done\n"
                              "exec /usr/bin/git \"$@\"\n",
                              0755));
  const GitProgram program = GitProgram::Create(settings).value();
  const Checkout checkout =
      Checkout::Open(program, source_.path(), {.home = source_.home(), .xdg_config = {}}).value();
  const auto ignores = checkout.Ignores({});
  ASSERT_FALSE(ignores) << "what core.excludesFile keeps out would come along";
  EXPECT_NE(ignores.error().message.find("git config was killed"), std::string::npos)
      << ignores.error().message;
  EXPECT_FALSE(checkout.KeepsModes({}));
  ASSERT_TRUE(WriteFileAtomic(source_.home() / ".gitconfig", "[core\n"));
  EXPECT_FALSE(volume_.Source().Ignores({})) << "nor does one that cannot read it";
}

TEST_F(UncommittedTest, CapsNameAFileAndWhatToDo) {
  source_.Commit();
  for (int i = 0; i < 5; ++i) source_.Write("f" + std::to_string(i), std::string(100, 'x'));
  BareRepository bare = volume_.Open();
  const Checkout checkout = volume_.Source();
  const auto many = SyncBase(volume_.program(), bare, checkout, {.max_files = 4}, {});
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().code, ErrorCode::kTooLarge);
  EXPECT_NE(many.error().message.find("more than 4 uncommitted files, f4 among them"), std::string::npos)
      << many.error().message;
  const auto heavy = SyncBase(volume_.program(), bare, checkout, {.max_total_bytes = 250}, {});
  ASSERT_FALSE(heavy);
  EXPECT_NE(heavy.error().message.find("--no-sync"), std::string::npos) << heavy.error().message;
}

TEST_F(UncommittedTest, TheSameWorkIsTheSameCommitAndItsPackMakesItAgainElsewhere) {
  source_.Write("a", "1\n");
  source_.Commit();
  const std::string head = source_.Git({"rev-parse", "HEAD"}).substr(0, 40);
  source_.Write("a", "2\n");
  source_.Write("b \xff", std::string(50'000, 'z'));
  const SyncedBase base = Sync();
  const Volume second(source_);
  BareRepository again = second.Open();
  EXPECT_EQ(second.Sync(again).commit, base.commit);
  source_.Write("a", "3\n");
  source_.Commit();
  const Volume third(source_);
  BareRepository later = third.Open(head);
  const Status restored = RestoreSyncedBase(third.program(), later, base.commit, base.pack, {});
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(later.base_commit(), base.commit);
  const auto tree = Worktree::Create(later, "task-1-run-1", third.tree(), {});
  ASSERT_TRUE(tree) << tree.error().message;
  EXPECT_EQ(tree->ReadFileAt("a", 10).value(), "2\n");
  EXPECT_EQ(tree->ReadFileAt("b \xff", 60'000)->size(), 50'000U);
  BareRepository wrong = Volume(source_).Open(head);
  EXPECT_FALSE(RestoreSyncedBase(third.program(), wrong, base.commit, "", {}));
}

TEST_F(UncommittedTest, TheCommitOnTopIsDeliveredWithItsOwnLabel) {
  source_.Write("a", "1\n");
  source_.Commit();
  source_.Write("a", "2\n");
  const SyncedBase base = Sync();
  ASSERT_TRUE(WriteFileAtomic(volume_.tree() / "c", "change\n"));
  const Signature who{.name = "YBIS", .email = "y@example.com", .time = {}};
  const auto commit = tree_->Commit({.message = "Change", .author = who, .committer = who}, {});
  ASSERT_TRUE(commit) << commit.error().message;
  const auto pushed = tree_->Push(*commit, "ybis/x", std::nullopt, {});
  ASSERT_TRUE(pushed) << pushed.error().message;
  EXPECT_EQ(source_.Git({"log", "--format=%s", "ybis/x"}), "Change\nUncommitted work of shop\nwork\n");
  EXPECT_EQ(source_.Git({"diff", "--name-only", base.commit, "ybis/x"}), "c\n");
}

/// A configuration, hooks and attributes that would run a program at every turn.
TEST_F(UncommittedTest, NothingThatAHostileCheckoutNamesIsRun) {
  source_.Write("a", "1\n");
  source_.Write(".gitattributes", "* diff=evil merge=evil\na filter=evil\n");
  source_.Commit();
  const fs::path ran = source_.home() / "ran";
  const fs::path evil = source_.home() / "evil.sh";
  ASSERT_TRUE(WriteFileAtomic(evil, "#!/bin/sh\necho \"$0 $*\" >> " + ran.string() + "\ncat\n", 0755));
  std::string config = ReadFile(source_.path() / ".git/config").value();
  for (const char* line :
       {"[core]\n\tfsmonitor = EVIL\n\tpager = EVIL\n\teditor = EVIL\n\tsshCommand = EVIL\n\taskPass = EVIL\n"
        "\tgitProxy = EVIL\n\talternateRefsCommand = EVIL\n\thooksPath = HOOKS\n\tattributesFile = "
        "/dev/zero\n"
        "\texcludesFile = /dev/zero\n",
        "[filter \"evil\"]\n\tclean = EVIL\n\tsmudge = EVIL\n\tprocess = EVIL\n\trequired = true\n",
        "[diff \"evil\"]\n\tcommand = EVIL\n\ttextconv = EVIL\n", "[merge \"evil\"]\n\tdriver = EVIL\n",
        "[uploadpack]\n\tpackObjectsHook = EVIL\n", "[credential]\n\thelper = EVIL\n",
        "[alias]\n\trev-parse = !EVIL\n\tls-files = !EVIL\n", "[gc]\n\trecentObjectsHook = EVIL\n",
        "[receive]\n\tautogc = true\n", "[trace2]\n\teventTarget = TRACE\n",
        "[include]\n\tpath = /dev/zero\n"})
    config += line;
  for (const auto& [name, value] : std::map<std::string, fs::path>{
           {"EVIL", evil}, {"HOOKS", source_.home() / "hooks"}, {"TRACE", source_.home() / "trace"}}) {
    for (size_t at; (at = config.find(name)) != std::string::npos;) config.replace(at, name.size(), value);
  }
  // The include would stop git itself; it is for what reads the text.
  config.erase(config.find("[include]"));
  for (const char* hook : {"pre-receive", "post-receive", "update", "post-update", "reference-transaction",
                           "post-index-change", "post-checkout", "proc-receive", "push-to-checkout"}) {
    for (const fs::path& folder : {source_.home() / "hooks", source_.path() / ".git/hooks"}) {
      fs::create_directories(folder);
      fs::copy_file(evil, folder / hook, fs::copy_options::overwrite_existing);
    }
  }
  ASSERT_TRUE(WriteFileAtomic(source_.path() / ".git/config", config));
  ASSERT_TRUE(WriteFileAtomic(source_.path() / ".git/objects/info/alternates",
                              (source_.path() / ".git/objects").string() + "\n"));
  source_.Write("a", "2\n");
  source_.Write("b", "new\n");
  const SyncedBase base = Sync();
  EXPECT_EQ(base.found.added, (Paths{"b"}));
  EXPECT_EQ(base.found.count(), 1U);
  EXPECT_EQ(Read("a"), "1\n");
  ASSERT_TRUE(WriteFileAtomic(volume_.tree() / "c", "change\n"));
  const Signature who{.name = "YBIS", .email = "y@example.com", .time = {}};
  const auto commit = tree_->Commit({.message = "Change", .author = who, .committer = who}, {});
  ASSERT_TRUE(commit);
  const auto pushed = tree_->Push(*commit, "ybis/x", std::nullopt, {});
  ASSERT_TRUE(pushed) << pushed.error().message;
  EXPECT_FALSE(fs::exists(ran)) << ReadFile(ran).value_or("");
  EXPECT_FALSE(fs::exists(source_.home() / "trace"));
}

TEST_F(UncommittedTest, NoPathLeadsOutOfTheCheckout) {
  ASSERT_TRUE(WriteFileAtomic(source_.home() / "secret", "s3cret\n"));
  source_.Write("dir/file", "1\n");
  source_.Commit();
  fs::remove_all(source_.path() / "dir");
  ASSERT_TRUE(WriteFileAtomic(source_.home() / "file", "s3cret\n"));
  fs::create_directory_symlink(source_.home(), source_.path() / "dir");
  fs::create_symlink(source_.home() / "secret", source_.path() / ".gitignore");
  const SyncedBase base = Sync();
  EXPECT_TRUE(fs::is_symlink(volume_.tree() / "dir"));
  EXPECT_EQ(base.found.deleted, (Paths{"dir/file"}));
  for (const auto& [path, blob] : FilesOf(source_, volume_.bare(), base.commit))
    EXPECT_EQ(blob.substr(0, 6), "120000") << path;
}

/// One random step of somebody's work.
class Worker {
 public:
  Worker(const SourceCheckout& source, unsigned seed) : source_(source), random_(seed) {}

  void Begin() {
    source_.Write(".gitignore", "*.o\n/out/\nsecret*\n!secret.pub\n");
    source_.Write("d/.gitignore", "*.txt\n!keep.txt\n");
    for (int i = 0; i < 12; ++i) {
      if (const std::string name = Name(); Free(name)) source_.Write(name, Text());
    }
    source_.Git({"add", "-A"});
    if (Chance(3)) source_.Git({"add", "-A", "-f"});
    source_.Git({"commit", "-q", "--allow-empty", "-m", "start"});
  }

  void Step() {
    const std::string name = Name();
    const fs::path file = source_.path() / name;
    switch (Up(9)) {
      case 0:
      case 1:
        if (Free(name)) source_.Write(name, Text());
        return;
      case 2:
        fs::remove_all(file);
        return;
      case 3:
        if (fs::is_regular_file(fs::symlink_status(file)))
          fs::permissions(file, fs::perms(Chance(2) ? 0755 : 0644));
        return;
      case 4:
        if (!Free(name)) return;
        fs::remove(file);
        fs::create_directories(file.parent_path());
        fs::create_symlink(Chance(2) ? "/etc/hostname" : "d", file);
        return;
      case 5:  // a folder where a file was
        if (!Free(file.parent_path().lexically_relative(source_.path()).string())) return;
        fs::remove_all(file);
        source_.Write(name + "/inside", Text());
        return;
      case 6:
        source_.Git({"add", "-A"});
        return;
      case 7:
        if (fs::is_regular_file(fs::symlink_status(file))) source_.Git({"add", "-f", "--", name});
        return;
      default:
        source_.Git({"rm", "-r", "-q", "--cached", "--ignore-unmatch", "--", name});
    }
  }

 private:
  unsigned Up(unsigned below) { return static_cast<unsigned>(random_() % below); }
  bool Chance(unsigned of) { return Up(of) == 0; }
  std::string Text() { return std::string(Up(300), static_cast<char>('a' + Up(26))) + "\n"; }
  std::string Name() {
    static const char* const kFolders[] = {"", "d/", "d/e/", "out/", "a b/", "node_modules/x/", "\xc3\xa9/"};
    static const char* const kNames[] = {"one",        "two.txt",     "keep.txt",   "obj.o",    "secret.pub",
                                         "secret.key", "-dash",       "sp ace",     "\xff\xfe", "q\"uote",
                                         "new\nline",  "back\\slash", "\xc3\xbc.c", "run"};
    return std::string(kFolders[Up(7)]) + kNames[Up(14)];
  }
  /// Whether a file may be written there: no file or link stands on the way, no folder in its place.
  bool Free(const std::string& name) const {
    fs::path at = source_.path();
    for (const fs::path& part : fs::path(name).parent_path()) {
      at /= part;
      const auto kind = fs::symlink_status(at).type();
      if (kind != fs::file_type::directory && kind != fs::file_type::not_found) return false;
    }
    return !fs::is_directory(fs::symlink_status(source_.path() / name));
  }

  const SourceCheckout& source_;
  std::mt19937 random_;
};

/// Whatever state a checkout is in: the run starts from the tree that `git add -A` would make of it, but for
/// the folders that never come along; and the checkout is as it was.
TEST(Uncommitted, IsWhatGitWouldCommitInRandomCheckouts) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    const SourceCheckout source;
    Worker worker(source, seed);
    worker.Begin();
    const auto committed = FilesOf(source, source.path(), "HEAD");
    for (unsigned i = 0; i < 5 + seed % 20; ++i) worker.Step();
    auto expected = source.WholeTree();
    std::erase_if(expected, [](const auto& file) { return IsNeverTaken(file.first); });
    for (const auto& file : committed) {
      if (IsNeverTaken(file.first)) expected.insert(file);
    }
    const std::string before = source.Fingerprint();
    const Volume volume(source);
    BareRepository bare = volume.Open();
    const SyncedBase base = volume.Sync(bare);
    EXPECT_EQ(source.Fingerprint(), before);
    EXPECT_EQ(FilesOf(source, volume.bare(), base.commit), expected);
    const auto tree = Worktree::Create(bare, "task-1-run-1", volume.tree(), {});
    ASSERT_TRUE(tree) << tree.error().message;
    EXPECT_EQ(tree->Snapshot({}).value_or("(error)"), "");
    for (const auto& [path, entry] : expected) {
      const bool link = entry.starts_with("120000");
      const fs::path here = volume.tree() / path;
      if (link) {
        EXPECT_EQ(fs::read_symlink(here), fs::read_symlink(source.path() / path)) << path;
      } else if (!IsNeverTaken(path)) {
        EXPECT_EQ(ReadFile(here).value_or("(none)"), ReadFile(source.path() / path).value_or("?")) << path;
      }
    }
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(IsNeverTaken, LooksAtEveryPart) {
  for (const char* path : {".git", "a/.git/x", "node_modules/a", "a/node_modules", "x/.venv/y", ".chroma"})
    EXPECT_TRUE(IsNeverTaken(path)) << path;
  for (const char* path : {"a", "gitx", "node_modules2/a", ".gitignore", "a/.venvs"})
    EXPECT_FALSE(IsNeverTaken(path)) << path;
}

}  // namespace
}  // namespace ybis::git
