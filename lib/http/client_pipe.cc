#include "http/client_pipe.h"

#include <utility>

namespace ybis::http {

void ClientPipe::SetHead(ClientResponse head) {
  state_.Lock()->head = std::move(head);
  state_.NotifyAll();
}

void ClientPipe::Push(std::string_view bytes, OnRoom on_room) {
  bool wanted = true;
  {
    auto state = state_.Lock();
    wanted = !state->abandoned;
    if (wanted) {
      state->bytes.append(bytes);
      if (state->bytes.size() >= kCapacity) state->on_room = std::exchange(on_room, nullptr);
    }
  }
  state_.NotifyAll();
  if (on_room) on_room(wanted);
}

void ClientPipe::Finish(Status status) {
  {
    auto state = state_.Lock();
    if (!state->finished) state->finished = std::move(status);
  }
  state_.NotifyAll();
}

template <class Ready>
Status ClientPipe::WaitUntil(Sync<State>::Locked& state, std::optional<SteadyTime> deadline,
                             const std::stop_token& stop, Ready ready) {
  bool done = false;
  if (deadline) {
    done = state_.WaitFor(state, stop, *deadline - std::chrono::steady_clock::now(), ready);
  } else {
    done = state_.Wait(state, stop, ready);
  }
  if (stop.stop_requested()) return Fail(ErrorCode::kCancelled, "stopped");
  if (!done) return Fail(ErrorCode::kTimeout, "no answer in time");
  return {};
}

Result<ClientResponse> ClientPipe::Head(std::optional<SteadyTime> deadline, std::stop_token stop) {
  auto state = state_.Lock();
  YBIS_TRY(WaitUntil(state, deadline, stop, [](const State& s) { return s.head || s.finished; }));
  if (state->head) return *std::move(state->head);
  if (!*state->finished) return Fail(state->finished->error());
  return Fail(ErrorCode::kUnavailable, "the connection ended before an answer");
}

Result<std::string> ClientPipe::Next(std::optional<SteadyTime> deadline, std::stop_token stop) {
  std::string bytes;
  OnRoom on_room;
  {
    auto state = state_.Lock();
    YBIS_TRY(WaitUntil(state, deadline, stop, [](const State& s) { return !s.bytes.empty() || s.finished; }));
    if (state->bytes.empty() && !*state->finished) return Fail(state->finished->error());
    bytes.swap(state->bytes);
    on_room = std::exchange(state->on_room, nullptr);
  }
  if (on_room) on_room(true);
  return bytes;
}

void ClientPipe::Abandon() {
  OnRoom on_room;
  {
    auto state = state_.Lock();
    state->abandoned = true;
    state->bytes.clear();
    on_room = std::exchange(state->on_room, nullptr);
  }
  if (on_room) on_room(false);
}

}  // namespace ybis::http
