// Parallel loops on TBB through RcppParallel. The loop runs beside the calling thread, which stays
// free to poll for interrupts and to draw progress.
#pragma once

// RcppParallel.h itself also brings wrappers of R's matrices, which C++17 calls deprecated.
#include <RcppParallel/Common.h>
#include <RcppParallel/TBB.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "core/parallel.h"

namespace mixology {

class TbbExecutor : public Executor {
 public:
  explicit TbbExecutor(int threads) : threads_(std::max(1, threads)) {}
  int threads() const override { return threads_; }

  void run(Index n, const std::function<void(Index)>& task, Monitor& monitor) override {
    if (threads_ == 1 || n <= 1) return Executor::run(n, task, monitor);
    Loop loop(task, monitor);
    std::thread beside([&] {
      try {
        RcppParallel::tbbParallelFor(0, static_cast<std::size_t>(n), loop, 1, threads_);
      } catch (...) {
        loop.fail(std::current_exception());
      }
      loop.finish();
    });
    while (!loop.wait(std::chrono::milliseconds(20))) {
      monitor.tick_batch(static_cast<double>(loop.done()), static_cast<double>(n));
    }
    beside.join();
    loop.rethrow();
  }

 private:
  class Loop : public RcppParallel::Worker {
   public:
    Loop(const std::function<void(Index)>& task, Monitor& monitor)
        : task_(task), monitor_(monitor) {}

    void operator()(std::size_t begin, std::size_t end) override {
      for (std::size_t i = begin; i < end && !failed_ && !monitor_.stopped(); ++i) {
        try {
          task_(static_cast<Index>(i));
          ++done_;
        } catch (...) {
          fail(std::current_exception());
        }
      }
    }

    void fail(std::exception_ptr error) {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!failed_) error_ = error;
      failed_ = true;
    }
    void finish() {
      std::lock_guard<std::mutex> lock(mutex_);
      finished_ = true;
      end_.notify_all();
    }
    bool wait(std::chrono::milliseconds pause) {
      std::unique_lock<std::mutex> lock(mutex_);
      return end_.wait_for(lock, pause, [&] { return finished_; });
    }
    void rethrow() {
      if (error_) std::rethrow_exception(error_);
    }
    Index done() const { return done_.load(); }

   private:
    const std::function<void(Index)>& task_;
    Monitor& monitor_;
    std::atomic<Index> done_{0};
    std::atomic<bool> failed_{false};
    std::exception_ptr error_;
    std::mutex mutex_;
    std::condition_variable end_;
    bool finished_ = false;
  };

  const int threads_;
};

}  // namespace mixology
