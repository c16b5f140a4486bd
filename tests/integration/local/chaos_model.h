#pragma once
// A model endpoint in the test's own process that counts what it is asked: the bill against which the record
// is held.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/sync.h"
#include "http/server.h"

namespace ybis::testing {

/// Speaks the OpenAI protocol on a loopback port; answers every run with one new file, answer.txt, that holds
/// the run's id. Thread-safe.
class CountingModel {
 public:
  /// One question that was answered, and so paid.
  struct Paid {
    TimePoint asked;
    TimePoint answered;
  };

  CountingModel();
  std::string Endpoint() const;
  /// By "RUN SCHEMA", oldest first.
  std::map<std::string, std::vector<Paid>> Bill();

 private:
  http::Response Answer(const http::Request& request, const std::stop_token& stop);

  Sync<std::map<std::string, std::vector<Paid>>> bill_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace ybis::testing
