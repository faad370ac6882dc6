// How a fit went: the objective after each sweep, and why the sweeps ended.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "core/monitor.h"

namespace mixology {

enum class Status {
  running,
  converged,
  max_iterations,
  interrupted,
  time_limit,
  paused,
  objective_fell,
  not_finite
};

inline const char* status_name(Status status) {
  switch (status) {
    case Status::running:
      return "running";
    case Status::converged:
      return "converged";
    case Status::max_iterations:
      return "max_iterations";
    case Status::interrupted:
      return "interrupted";
    case Status::time_limit:
      return "time_limit";
    case Status::paused:
      return "paused";
    case Status::objective_fell:
      return "objective_fell";
    case Status::not_finite:
      return "not_finite";
  }
  return "unknown";
}

inline Status stopped_status(StopReason reason) {
  return reason == StopReason::time_limit ? Status::time_limit : Status::interrupted;
}

struct Trace {
  std::vector<int> iteration;
  std::vector<double> value;
  std::vector<double> seconds;
  Status status = Status::running;
  std::string reason;
  int reached = 0;  // iterations in all: those behind the last record may have led nowhere

  bool converged() const { return status == Status::converged; }
  int iterations() const {
    return iteration.empty() || iteration.back() < reached ? reached : iteration.back();
  }
  double last() const { return value.back(); }

  void record(int iter, double objective) {
    iteration.push_back(iter);
    value.push_back(objective);
    seconds.push_back(elapsed());
  }
  void end(Status why, std::string text) {
    status = why;
    reason = std::move(text);
  }
  double elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace mixology
