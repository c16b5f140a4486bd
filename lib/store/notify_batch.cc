#include "store/notify_batch.h"

#include <chrono>

namespace ybis::store {

/// Puts the messages into the batch that gathers, and waits until that is sent or its turn has come. Null:
/// neither; the caller is stopping.
std::shared_ptr<NotifyBatch::Batch> NotifyBatch::Join(const Messages& messages, std::stop_token stop) {
  auto state = state_.Lock();
  std::shared_ptr<Batch> batch = state->gathering;
  batch->messages.insert(messages.begin(), messages.end());
  const bool ready = state_.WaitFor(state, std::move(stop), std::chrono::minutes(1),
                                    [&](const State& now) { return batch->sent || !now.sending; });
  if (!ready) return nullptr;
  if (batch->sent) return batch;
  state->sending = true;
  state->gathering = std::make_shared<Batch>();
  return batch;
}

Status NotifyBatch::Tell(const Messages& messages, const Send& send, std::stop_token stop) {
  const std::shared_ptr<Batch> batch = Join(messages, std::move(stop));
  if (!batch) return send(messages);
  // One caller's failure, its stop perhaps, is not another's.
  if (batch->sent) return batch->status ? Status{} : send(messages);
  Status status = send(batch->messages);
  {
    auto state = state_.Lock();
    batch->sent = true;
    batch->status = status;
    state->sending = false;
  }
  state_.NotifyAll();
  return status;
}

}  // namespace ybis::store
