// The one window between a running fit and the outside world. Engines call tick() once per sweep;
// what a tick does (interrupt, progress bar, time limit, checkpoint) is injected.
#pragma once

#include <atomic>

#include "core/archive.h"

namespace mixology {

enum class Action { proceed, stop, checkpoint };
enum class StopReason { none, interrupted, time_limit };

class Monitor {
 public:
  virtual ~Monitor() = default;

  // Safe to call from any thread: an injected monitor acts on the main thread only and elsewhere
  // answers from the flag.
  virtual Action tick(int /*iteration*/, double /*objective*/) { return answer(); }

  // Progress of a batch of independent tasks.
  virtual Action tick_batch(double /*done*/, double /*total*/) { return answer(); }

  // Receives the state after tick() has answered `checkpoint`.
  virtual void checkpoint(int /*iteration*/, const Archive& /*state*/) {}

  bool stopped() const noexcept { return reason() != StopReason::none; }
  StopReason reason() const noexcept { return reason_.load(std::memory_order_relaxed); }

 protected:
  void request_stop(StopReason reason) noexcept { reason_.store(reason); }
  Action answer() const noexcept { return stopped() ? Action::stop : Action::proceed; }

 private:
  std::atomic<StopReason> reason_{StopReason::none};
};

}  // namespace mixology
