#include "kube/leader_election.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/log.h"
#include "kube/deadline_stop.h"
#include "kube/retry.h"

namespace ybis::kube {
namespace {

using nlohmann::json;
using Milliseconds = std::chrono::milliseconds;
constexpr Milliseconds kReleaseLimit{2'000};
constexpr int64_t kLongestLeaseSeconds = 3600;

const json& SpecOf(const json& lease) {
  static const json kEmpty = json::object();
  const auto found = lease.find("spec");
  return found != lease.end() && found->is_object() ? *found : kEmpty;
}

std::string Text(const json& spec, const char* field) {
  const auto found = spec.find(field);
  return found != spec.end() && found->is_string() ? found->get<std::string>() : std::string();
}

int64_t Number(const json& spec, const char* field) {
  const auto found = spec.find(field);
  return found != spec.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

}  // namespace

LeaderElector::LeaderElector(Reader& reader, Writer& writer, Clock& clock, LeaderElectionSettings settings,
                             LeaderCallbacks callbacks)
    : reader_(reader),
      writer_(writer),
      clock_(clock),
      settings_(std::move(settings)),
      callbacks_(std::move(callbacks)) {}

bool LeaderElector::IsLeader() const {
  const auto renewed =
      std::chrono::steady_clock::time_point(std::chrono::steady_clock::duration(renewed_at_.load()));
  return leading_.load() && settings_.monotonic() < renewed + settings_.renew_deadline;
}

std::string LeaderElector::Leader() { return *leader_.Lock(); }

void LeaderElector::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    if (!Attempt(stop)) {
      const auto wait = JitteredBackoff(0, settings_.retry_period, settings_.retry_period * 2);
      clock_.SleepFor(wait, stop);
      continue;
    }
    Lead(true);
    RenewUntilLost(stop);
    // Our own word comes first: nobody else may lead while we still believe that we do.
    Lead(false);
    if (stop.stop_requested()) Release();
  }
}

void LeaderElector::Lead(bool leading) {
  leading_.store(leading);
  log::Info(leading ? "leading" : "no longer leading", {{"lease", settings_.ns + "/" + settings_.name}});
  if (leading && callbacks_.on_started) callbacks_.on_started();
  if (!leading && callbacks_.on_stopped) callbacks_.on_stopped();
}

void LeaderElector::RenewUntilLost(std::stop_token stop) {
  while (clock_.SleepFor(settings_.retry_period, stop)) {
    if (!Attempt(stop) && !IsLeader()) return;
    if (HeldByOther()) return;
  }
}

bool LeaderElector::Attempt(std::stop_token stop) {
  // The renewal counts from before the request: the lease's holder must not believe in it longer than others
  // do.
  const auto before = settings_.monotonic();
  auto limit = settings_.renew_deadline;
  if (leading_.load()) {
    const auto renewed =
        std::chrono::steady_clock::time_point(std::chrono::steady_clock::duration(renewed_at_.load()));
    limit = std::chrono::duration_cast<Milliseconds>(renewed + settings_.renew_deadline - before);
  }
  const DeadlineStop bounded(stop, std::max(limit, Milliseconds(1)));
  if (!TryAcquireOrRenew(bounded.Token())) return false;
  renewed_at_.store(before.time_since_epoch().count());
  return true;
}

bool LeaderElector::TryAcquireOrRenew(std::stop_token stop) {
  const auto lease = reader_.Get(kLeases, {settings_.ns, settings_.name}, stop);
  if (!lease && lease.error().code == ErrorCode::kNotFound) return CreateLease(stop);
  if (!lease) {
    if (lease.error().code != ErrorCode::kCancelled) {
      log::Warn("cannot read the lease", {{"error", lease.error().message}});
    }
    return false;
  }
  Observe(*lease);
  if (HeldByOther()) {
    const auto patience = std::max<Milliseconds>(
        settings_.lease_duration,
        std::chrono::seconds(
            std::clamp<int64_t>(Number(SpecOf(*lease_), "leaseDurationSeconds"), 0, kLongestLeaseSeconds)));
    if (settings_.monotonic() < observed_at_ + patience) return false;
  }
  return TakeLease(stop);
}

bool LeaderElector::HeldByOther() const {
  const std::string holder = lease_ ? Text(SpecOf(*lease_), "holderIdentity") : std::string();
  return !holder.empty() && holder != settings_.identity;
}

void LeaderElector::Observe(const json& lease) {
  lease_ = std::make_shared<const json>(lease);
  const std::string record = DumpJson(SpecOf(lease));
  if (record != record_) {
    record_ = record;
    observed_at_ = settings_.monotonic();
  }
  const std::string holder = Text(SpecOf(lease), "holderIdentity");
  const bool changed = std::exchange(*leader_.Lock(), holder) != holder;
  if (changed && !holder.empty() && callbacks_.on_new_leader) callbacks_.on_new_leader(holder);
}

json LeaderElector::NextSpec() const {
  const json empty = json::object();
  const json& old = lease_ ? SpecOf(*lease_) : empty;
  const bool ours = Text(old, "holderIdentity") == settings_.identity;
  const std::string now = FormatRfc3339Micro(clock_.Now());
  json spec = old;
  spec["holderIdentity"] = settings_.identity;
  spec["leaseDurationSeconds"] = std::chrono::ceil<std::chrono::seconds>(settings_.lease_duration).count();
  spec["renewTime"] = now;
  if (!ours || Text(old, "acquireTime").empty()) spec["acquireTime"] = now;
  spec["leaseTransitions"] = lease_ ? Number(old, "leaseTransitions") + (ours ? 0 : 1) : 0;
  return spec;
}

bool LeaderElector::CreateLease(std::stop_token stop) {
  lease_.reset();
  const json lease = {{"apiVersion", kLeases.ApiVersion()},
                      {"kind", kLeases.kind},
                      {"metadata", {{"namespace", settings_.ns}, {"name", settings_.name}}},
                      {"spec", NextSpec()}};
  const auto created = writer_.Create(kLeases, lease, stop);
  if (created) Observe(*created);
  return created.has_value();
}

bool LeaderElector::TakeLease(std::stop_token stop) {
  json lease = *lease_;  // with its resourceVersion: of two who try, one gets a conflict
  lease["spec"] = NextSpec();
  const auto taken = writer_.Replace(kLeases, lease, stop);
  if (taken) {
    Observe(*taken);
  } else if (taken.error().code != ErrorCode::kConflict && taken.error().code != ErrorCode::kCancelled) {
    log::Warn("cannot write the lease", {{"error", taken.error().message}});
  }
  return taken.has_value();
}

void LeaderElector::Release() {
  if (!lease_ || HeldByOther()) return;
  const DeadlineStop bounded(std::stop_token(), kReleaseLimit);
  json lease = *lease_;
  json spec = NextSpec();
  spec["holderIdentity"] = "";
  spec["leaseDurationSeconds"] = 1;
  lease["spec"] = spec;
  if (writer_.Replace(kLeases, lease, bounded.Token())) *leader_.Lock() = "";
}

}  // namespace ybis::kube
