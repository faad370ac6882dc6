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

  // Looks for a reason to stop and reports nothing. Safe from any thread, like tick().
  virtual Action poll() { return answer(); }

  // Progress of a batch of independent tasks.
  virtual Action tick_batch(double /*done*/, double /*total*/) { return answer(); }

  bool stopped() const noexcept { return reason() != StopReason::none; }
  StopReason reason() const noexcept { return reason_.load(std::memory_order_relaxed); }

 protected:
  void request_stop(StopReason reason) noexcept { reason_.store(reason); }
  Action answer() const noexcept { return stopped() ? Action::stop : Action::proceed; }

 private:
  std::atomic<StopReason> reason_{StopReason::none};
};

// Leaves what there is no result of yet. A time limit waits for the first sweep.
struct Interrupted {};
inline void leave_if_interrupted(Monitor& monitor) {
  monitor.poll();
  if (monitor.reason() == StopReason::interrupted) throw Interrupted();
}

// Stands before another monitor where the steps of one sweep are no progress worth reporting.
class Watch : public Monitor {
 public:
  explicit Watch(Monitor& outer) : outer_(outer) {}
  Action tick_batch(double, double) override { return poll(); }
  Action poll() override {
    if (outer_.poll() == Action::stop) request_stop(outer_.reason());
    return answer();
  }

 private:
  Monitor& outer_;
};

}  // namespace mixology
