#pragma once
// A transport whose answers a test writes down, and which remembers what was asked.
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "base/sync.h"
#include "http/client.h"

namespace ybis::kube {

/// Answers requests in order from `answers` (the last one again and again), streams `chunks`. Thread-safe.
class FakeTransport final : public http::Transport {
 public:
  void Answer(int status, std::string body, std::map<std::string, std::string> headers = {}) {
    answers_.Lock()->push_back(http::ClientResponse{status, std::move(headers), std::move(body)});
  }
  void Fail(Error error) { answers_.Lock()->push_back(tl::make_unexpected(std::move(error))); }

  Result<http::ClientResponse> Send(const http::ClientRequest& request, std::stop_token) override {
    requests.push_back(request);
    auto answers = answers_.Lock();
    if (answers->empty()) return ybis::Fail(ErrorCode::kInternal, "the test has no more answers");
    auto answer = answers->front();
    if (answers->size() > 1) answers->pop_front();
    return answer;
  }
  Status Stream(const http::ClientRequest& request, const http::StreamHandler& handler,
                std::stop_token) override {
    requests.push_back(request);
    if (handler.on_head) YBIS_TRY(handler.on_head(stream_head));
    for (const std::string& chunk : chunks) YBIS_TRY(handler.on_chunk(chunk));
    return stream_end;
  }

  std::vector<http::ClientRequest> requests;
  http::ClientResponse stream_head{.status = 200};
  std::vector<std::string> chunks;
  Status stream_end;

 private:
  Sync<std::deque<Result<http::ClientResponse>>> answers_;
};

}  // namespace ybis::kube
