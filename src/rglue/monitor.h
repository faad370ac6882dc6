// The monitor of a fit called from R: interrupts, progress, time limit, pauses to be saved. It enters R
// on the main thread only; from any other thread it answers from the flag.
#pragma once

#include <Rcpp.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <thread>

#include "core/monitor.h"

namespace mixology {

class RMonitor : public Monitor {
 public:
  // Interrupts alone.
  RMonitor() : time_limit_(HUGE_VAL), pause_after_(HUGE_VAL), progress_(R_NilValue) {}

  // `settings` comes from new_monitor() in R.
  explicit RMonitor(const Rcpp::List& settings)
      : time_limit_(Rcpp::as<double>(settings["time_limit"])),
        pause_after_(Rcpp::as<double>(settings["pause_after"])),
        progress_(settings["progress"]) {}

  Action tick(int iteration, double objective) override {
    if (!on_main_thread()) return answer();
    look();
    report(iteration, NA_REAL, objective);
    if (stopped()) return Action::stop;
    return seconds() >= pause_after_ ? Action::pause : Action::proceed;
  }

  Action tick_batch(double done, double total) override {
    if (!on_main_thread()) return answer();
    look();
    report(done, total, NA_REAL);
    return answer();
  }

  Action poll() override {
    if (on_main_thread()) look();
    return answer();
  }

 private:
  using Clock = std::chrono::steady_clock;

  bool on_main_thread() const { return std::this_thread::get_id() == main_thread_; }
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  void look() {
    if (stopped()) return;
    try {
      Rcpp::checkUserInterrupt();
    } catch (Rcpp::internal::InterruptedException&) {
      request_stop(StopReason::interrupted);
      return;
    }
    if (seconds() > time_limit_) request_stop(StopReason::time_limit);
  }

  // The bar is redrawn ten times a second at most.
  void report(double done, double total, double objective) {
    if (progress_ == R_NilValue || seconds() - last_report_ < 0.1) return;
    last_report_ = seconds();
    const Rcpp::Function draw(progress_);
    draw(done, total, objective);
  }

  const std::thread::id main_thread_ = std::this_thread::get_id();
  const Clock::time_point start_ = Clock::now();
  const double time_limit_;
  const double pause_after_;
  Rcpp::RObject progress_;
  double last_report_ = 0.0;
};

// What the core leaves by Interrupted is an interrupt of R.
template <class Call>
auto interruptible(Call call) {
  try {
    return call();
  } catch (const Interrupted&) {
    throw Rcpp::internal::InterruptedException();
  }
}

}  // namespace mixology
