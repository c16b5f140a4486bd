#pragma once
// What an I/O thread hands to the thread that waits for a response: the head, then a bounded number of body
// bytes.
#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "base/sync.h"
#include "http/client.h"

namespace ybis::http {

/// One response on its way from the library's threads to the caller's. Shared by both sides; either may go
/// first. Thread-safe.
class ClientPipe {
 public:
  using SteadyTime = std::chrono::steady_clock::time_point;
  static constexpr size_t kCapacity = 256 * 1024;

  /// Called once the reader has made room, or has gone away (`wanted` false).
  using OnRoom = std::function<void(bool wanted)>;

  // The I/O side.
  void SetHead(ClientResponse head);
  /// Takes the bytes. `on_room` is called at once, or when the bytes waiting are below the capacity again.
  void Push(std::string_view bytes, OnRoom on_room);
  void Finish(Status status);

  // The caller's side.
  /// Waits for the head. Errors: kTimeout, kCancelled, and what Finish was given.
  Result<ClientResponse> Head(std::optional<SteadyTime> deadline, std::stop_token stop);
  /// The bytes that have arrived, at least one; empty at the end of the body.
  Result<std::string> Next(std::optional<SteadyTime> deadline, std::stop_token stop);
  /// No more will be read: releases a writer that waits for room.
  void Abandon();

 private:
  struct State {
    std::optional<ClientResponse> head;
    std::string bytes;
    OnRoom on_room;
    std::optional<Status> finished;
    bool abandoned = false;
  };
  template <class Ready>
  Status WaitUntil(Sync<State>::Locked& state, std::optional<SteadyTime> deadline,
                   const std::stop_token& stop, Ready ready);

  Sync<State> state_;
};

}  // namespace ybis::http
