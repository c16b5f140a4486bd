#pragma once
// The bytes of a watch turned into events, a whole line at a time.
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kube/client.h"

namespace ybis::kube {

/// Buffers bytes up to the newline and parses whole lines only. An error is final: throw the decoder away and
/// list again. Not thread-safe.
class WatchDecoder {
 public:
  /// A line (one event) longer than `max_line` bytes is kTooLarge.
  explicit WatchDecoder(size_t max_line = 4 * 1024 * 1024) : max_line_(max_line) {}

  /// Adds bytes and calls back for each event that they complete. Errors: kGone for an ERROR event (whatever
  /// its code: list again), kInvalid for what is not an event, kTooLarge, and the callback's.
  template <class OnEvent>
  Status Feed(std::string_view bytes, OnEvent&& on_event) {
    while (!bytes.empty()) {
      bool complete = false;
      YBIS_TRY(TakeLine(bytes, complete));
      if (!complete) break;
      std::string line;
      line.swap(buffer_);
      if (line.empty() || line == "\r") continue;
      YBIS_ASSIGN(WatchEvent event, Decode(line));
      YBIS_TRY(on_event(std::move(event)));
    }
    return {};
  }

  /// Bytes of a line that has not ended yet.
  size_t Pending() const { return buffer_.size(); }

  /// Reads one line.
  static Result<WatchEvent> Decode(std::string_view line);

 private:
  Status TakeLine(std::string_view& bytes, bool& complete);

  size_t max_line_;
  std::string buffer_;
};

}  // namespace ybis::kube
