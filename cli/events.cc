#include <deque>
#include <nlohmann/json.hpp>
#include <set>

#include "base/json.h"
#include "cli/backend.h"
#include "cli/signals.h"
#include "cli/table.h"
#include "cli/verb.h"

namespace ybis::cli {
namespace {

struct Options {
  BackendOptions backend;
  std::string id;
  bool follow = false;
  std::string output = "table";
};

void Print(Context& context, const control::JournalEntry& entry, const std::string& output) {
  if (output == "json") {
    nlohmann::json line = {{"id", entry.id},
                           {"runId", entry.run_id},
                           {"time", FormatRfc3339Micro(entry.time)},
                           {"type", entry.type},
                           {"message", entry.message}};
    if (!entry.trace_id.empty()) line["traceId"] = entry.trace_id;
    if (entry.fields) line["fields"] = *entry.fields;
    context.out << DumpJson(line) << std::endl;
    return;
  }
  context.out << fmt::format("{}  {:<22}  {}", FormatRfc3339(entry.time), entry.type,
                             OneLine(entry.message, 200))
              << std::endl;
}

/// What is new in a journal. An entry's number is taken before its transaction commits, so that a lower one
/// may turn up after a higher one was read: the last seconds are read again each time.
class Tail {
 public:
  Tail(Backend& backend, TaskView task) : backend_(backend), task_(std::move(task)) {}

  Result<std::vector<control::JournalEntry>> Next() {
    const auto now = std::chrono::steady_clock::now();
    while (!recent_.empty() && now - recent_.front().second > kSettled) {
      settled_ = std::max(settled_, recent_.front().first);
      recent_.pop_front();
    }
    std::erase_if(seen_, [this](int64_t id) { return id <= settled_; });
    std::vector<control::JournalEntry> fresh;
    for (int64_t after = settled_;;) {
      YBIS_ASSIGN(auto entries, backend_.Events(task_, after, kPage, {}));
      for (control::JournalEntry& entry : entries) {
        after = entry.id;
        if (!seen_.insert(entry.id).second) continue;
        recent_.emplace_back(entry.id, now);
        fresh.push_back(std::move(entry));
      }
      if (static_cast<int64_t>(entries.size()) < kPage) return fresh;
    }
  }

 private:
  static constexpr int64_t kPage = 1000;
  static constexpr auto kSettled = std::chrono::seconds(5);

  Backend& backend_;
  TaskView task_;
  int64_t settled_ = 0;  ///< nothing new comes at or below it
  std::set<int64_t> seen_;
  std::deque<std::pair<int64_t, std::chrono::steady_clock::time_point>> recent_;
};

int Events(Context& context, const Options& options) {
  StopOnSignals signals;
  const auto found = OpenTask(options.backend, options.id, signals.token());
  if (!found) return Explain(context, found.error());
  TaskView task = found->task;
  bool over = IsOver(task);
  Tail tail(*found->backend, task);
  for (;;) {
    const auto entries = tail.Next();
    if (!entries) return Explain(context, entries.error());
    for (const auto& entry : *entries) Print(context, entry, options.output);
    if (!options.follow || over) return kExitOk;
    if (!context.out) return kExitFailed;
    if (!SystemClock().SleepFor(std::chrono::milliseconds(300), signals.token())) return kExitOk;
    // Asked before the journal is read, so that its last entries are not missed.
    const auto ended = HasEnded(*found->backend, task, {});
    if (!ended) return Explain(context, ended.error());
    over = *ended;
  }
}

}  // namespace

void AddEvents(Command app, Context& context) {
  Command verb = app.Add("events", "Print the journal of a task's newest run");
  auto options = std::make_shared<Options>();
  verb.Option("ID", options->id, "Name, uid or run id").Required();
  verb.Switch("-f,--follow", options->follow, "Go on until the run is over");
  verb.Option("-o,--output", options->output, "table, or json: one object a line").OneOf({"table", "json"});
  AddBackendOptions(verb, options->backend);
  verb.Footer("Examples:\n  ybis events hello\n  ybis events hello -f -o json");
  verb.OnParsed(
      [&context, options] { context.action = [&context, options] { return Events(context, *options); }; });
}

}  // namespace ybis::cli
