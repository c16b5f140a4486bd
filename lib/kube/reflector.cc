#include "kube/reflector.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "kube/retry.h"

namespace ybis::kube {
namespace {

/// A watch that ends sooner than this without an event is a failure, or a broken server would be asked
/// without end.
constexpr std::chrono::seconds kShortWatch{1};
constexpr int kSmallestPage = 10;

/// Errors after which the old version is of no use.
bool NeedsList(ErrorCode code) {
  return code == ErrorCode::kGone || code == ErrorCode::kInvalid || code == ErrorCode::kTooLarge;
}

}  // namespace

Reflector::Reflector(Reader& reader, Watcher& watcher, Clock& clock, ReflectorSettings settings,
                     OnChange on_change)
    : reader_(reader),
      watcher_(watcher),
      clock_(clock),
      settings_(std::move(settings)),
      on_change_(std::move(on_change)),
      cache_(clock) {}

Reflector::~Reflector() { Stop(); }

void Reflector::Start() {
  thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
}

void Reflector::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

bool Reflector::WaitForSync(std::chrono::milliseconds timeout, std::stop_token stop) {
  auto error = last_error_.Lock();
  return last_error_.WaitFor(error, stop, timeout, [this](const std::string&) { return synced_.load(); });
}

std::string Reflector::LastError() { return *last_error_.Lock(); }

void Reflector::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    try {
      Status status;
      if (version_.empty()) status = ListAll(stop);
      if (status) status = WatchOnce(stop);
      if (!status) Recover(status.error(), stop);
    } catch (const std::exception& failure) {
      version_.clear();
      Recover({ErrorCode::kInternal, failure.what()}, stop);
    }
  }
}

Status Reflector::ListAll(std::stop_token stop) {
  ListOptions options{.label_selector = settings_.label_selector,
                      .field_selector = settings_.field_selector,
                      .limit = settings_.page_size};
  std::vector<Object> objects;
  std::string version;
  do {
    YBIS_ASSIGN(ListPage page, reader_.List(settings_.resource, settings_.ns, options, stop));
    objects.insert(objects.end(), page.items.begin(), page.items.end());
    options.continue_token = page.continue_token;
    version = page.resource_version;
  } while (!options.continue_token.empty());
  if (version.empty()) return Fail(ErrorCode::kInvalid, "list: metadata.resourceVersion is missing");
  const auto changes = cache_.ReplaceAll(std::move(objects));
  version_ = version;
  lists_.fetch_add(1);
  for (const auto& change : changes) on_change_(change.key, change.object);
  {
    auto error = last_error_.Lock();
    error->clear();
    synced_.store(true);
  }
  last_error_.NotifyAll();
  return {};
}

Status Reflector::WatchOnce(std::stop_token stop) {
  const WatchOptions options{.label_selector = settings_.label_selector,
                             .field_selector = settings_.field_selector,
                             .resource_version = version_,
                             .timeout = RandomBetween(settings_.min_watch, settings_.max_watch)};
  const auto started = std::chrono::steady_clock::now();
  bool any = false;
  const Status status = watcher_.Watch(
      settings_.resource, settings_.ns, options,
      [&](const WatchEvent& event) {
        any = true;
        return Handle(event);
      },
      stop);
  const bool lived = any || std::chrono::steady_clock::now() - started >= kShortWatch;
  if (lived) failures_ = 0;
  if (lived || !status) return status;
  return Fail(ErrorCode::kUnavailable, "the watch ended at once");
}

Status Reflector::Handle(const WatchEvent& event) {
  const std::string version = MetaString(*event.object, "resourceVersion");
  if (event.type == WatchEventType::kDeleted) {
    const Key key = KeyOf(*event.object);
    if (cache_.Remove(key)) on_change_(key, nullptr);
  } else if (event.type != WatchEventType::kBookmark) {
    if (cache_.Put(event.object)) on_change_(KeyOf(*event.object), event.object);
  }
  version_ = version;
  return {};
}

void Reflector::Recover(const Error& error, std::stop_token stop) {
  if (stop.stop_requested()) return;
  *last_error_.Lock() = error.message;
  const bool expired = error.code == ErrorCode::kGone && failures_ == 0;
  if (NeedsList(error.code)) version_.clear();
  if (error.code == ErrorCode::kTooLarge)
    settings_.page_size = std::max(kSmallestPage, settings_.page_size / 2);
  // A version that is too old is a matter of course: list again without a fuss, but not over and over.
  auto wait = expired ? std::chrono::milliseconds(50)
                      : JitteredBackoff(failures_, settings_.min_backoff, settings_.max_backoff);
  wait = std::max(wait, error.retry_after);
  ++failures_;
  if (!expired) {
    log::Warn(
        "list or watch failed",
        {{"resource", settings_.resource.plural}, {"error", error.message}, {"retry_ms", wait.count()}});
  }
  clock_.SleepFor(wait, stop);
}

}  // namespace ybis::kube
