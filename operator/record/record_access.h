#pragma once
// Who may read which run's record: the API server is asked, and its answer kept a little while.
#include <map>
#include <string>

#include "base/clock.h"
#include "base/sync.h"
#include "kube/client.h"
#include "operator/record/front_proxy.h"

namespace ybis::op {

/// A part of a run's record: "" (the run itself), events, nodes or artifacts.
struct RecordQuestion {
  std::string ns;
  std::string run_id;
  std::string part;
};

/// Thread-safe; the references must outlive it.
class RecordAccess {
 public:
  RecordAccess(kube::AccessReviewer& reviewer, Clock& clock) : reviewer_(reviewer), clock_(clock) {}

  /// kDenied with what is missing, in the API server's own words.
  Status MayRead(const RemoteUser& user, const RecordQuestion& question, std::stop_token stop);

 private:
  struct Answer {
    bool allowed = false;
    TimePoint until;
  };
  kube::AccessReviewer& reviewer_;
  Clock& clock_;
  Sync<std::map<std::string, Answer>> answers_;
};

}  // namespace ybis::op
