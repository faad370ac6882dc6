// The one window between a running fit and the outside world. Engines call tick() once per sweep;
// what a tick does (interrupt, progress bar, time limit, checkpoint) is injected.
#pragma once

#include <atomic>

namespace mixology {

// `pause`: stop at the next place from which the fit goes on exactly, so that it can be saved.
enum class Action { proceed, stop, pause };
enum class StopReason { none, interrupted, time_limit };

class Monitor {
 public:
  virtual ~Monitor() = default;

  // Safe to call from any thread: an injected monitor acts on the main thread only and elsewhere
  // answers from the flag.
  virtual Action tick(int /*iteration*/, double /*objective*/) { return answer(); }

  // Progress of a batch of independent tasks.
  virtual Action tick_batch(double /*done*/, double /*total*/) { return answer(); }

  // May tick() answer `pause`? An engine whose places to pause cost time asks.
  virtual bool pauses() const { return false; }

  bool stopped() const noexcept { return reason() != StopReason::none; }
  StopReason reason() const noexcept { return reason_.load(std::memory_order_relaxed); }

 protected:
  void request_stop(StopReason reason) noexcept { reason_.store(reason); }
  Action answer() const noexcept { return stopped() ? Action::stop : Action::proceed; }

 private:
  std::atomic<StopReason> reason_{StopReason::none};
};

}  // namespace mixology
