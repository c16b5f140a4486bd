#include "runner/git/synced_base.h"

#include <fmt/format.h>

#include "runner/git/object_store.h"

namespace ybis::git {
namespace {

GitCall CallOf(const BareRepository& bare, std::vector<std::string> arguments, std::string input) {
  GitCall call;
  call.git_dir = bare.directory();
  call.arguments = std::move(arguments);
  call.input = std::move(input);
  return call;
}

/// The folder's name alone: where it lies is nobody's business who reads the history.
std::string MessageOf(const Checkout& checkout, const Uncommitted& found) {
  std::string name = checkout.folder().filename().string();
  for (char& c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  }
  return fmt::format(
      "Uncommitted work of {}\n\nWhat the checkout held beyond its commit when the run began: {} new, {} "
      "changed "
      "and {}\ndeleted files. The run's own change is the commit after this one.\n",
      name, found.added.size(), found.modified.size(), found.deleted.size());
}

/// The objects that `commit` has and `base` has not.
Result<std::string> PackOf(const GitProgram& program, const BareRepository& bare, const std::string& base,
                           const std::string& commit, std::stop_token stop) {
  GitCall call = CallOf(bare, {"pack-objects", "--revs", "--thin", "--stdout", "-q"},
                        fmt::format("{}\n^{}\n", commit, base));
  call.max_output = kMaxSyncPackBytes;
  auto pack = program.OutputOf(call, std::move(stop));
  if (pack || pack.error().code != ErrorCode::kTooLarge) return pack;
  return Fail(ErrorCode::kTooLarge,
              fmt::format("the checkout's uncommitted files make more than {} bytes even when packed; commit "
                          "them, have .gitignore name them, or use --no-sync",
                          kMaxSyncPackBytes));
}

}  // namespace

Result<SyncedBase> SyncBase(const GitProgram& program, BareRepository& bare, const Checkout& checkout,
                            const UncommittedLimits& limits, std::stop_token stop) {
  const std::string base = bare.base_commit();
  SyncedBase out{.commit = base, .pack = {}, .found = {}};
  YBIS_ASSIGN(out.found, FindUncommitted(program, bare.directory(), checkout, base, limits, stop));
  YBIS_ASSIGN(const std::string head, checkout.Head(stop));
  if (head != base) {
    return Fail(Error{
        .code = ErrorCode::kUnavailable,
        .message = fmt::format("{}: was committed to while its files were read", checkout.folder().string()),
        .retryable = true});
  }
  if (out.found.changes.empty()) return out;
  YBIS_ASSIGN(ObjectStore store, ObjectStore::Open(bare.directory()));
  YBIS_ASSIGN(const std::string base_tree, store.TreeOf(base));
  YBIS_ASSIGN(const std::string tree, store.UpdateTree(base_tree, out.found.changes));
  YBIS_ASSIGN(const TimePoint time, store.TimeOf(base));
  const Signature who{.name = "YBIS", .email = "runner@ybis.dev", .time = time};
  YBIS_ASSIGN(out.commit,
              store.WriteCommit(
                  tree, base, {.message = MessageOf(checkout, out.found), .author = who, .committer = who}));
  YBIS_ASSIGN(out.pack, PackOf(program, bare, base, out.commit, stop));
  YBIS_TRY(bare.AdoptBase(out.commit, std::move(stop)));
  return out;
}

Status RestoreSyncedBase(const GitProgram& program, BareRepository& bare, const std::string& commit,
                         const std::string& pack, std::stop_token stop) {
  const auto has = [&]() -> bool {
    const auto store = ObjectStore::Open(bare.directory());
    return store && store->TreeOf(commit);
  };
  // The volume may have kept the commit but, after a crash of the machine, not all that it names: the pack is
  // small, and what is there already is only written again.
  if (!pack.empty()) {
    YBIS_TRY(program.OutputOf(CallOf(bare, {"index-pack", "--stdin", "--fix-thin"}, pack), stop)
                 .map([](const std::string&) {}));
  }
  if (!has()) {
    return Fail(
        ErrorCode::kInternal,
        fmt::format("the commit {} of the checkout's uncommitted work is neither on the volume nor in "
                    "the run's record",
                    commit));
  }
  return bare.AdoptBase(commit, std::move(stop));
}

}  // namespace ybis::git
