// Parallel loops whose results do not depend on the number of threads: the work is cut into chunks
// of a fixed size, each chunk owns its result, and results are added in the order of the chunks.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "core/monitor.h"
#include "core/types.h"

namespace mixology {

// Runs task(0), ..., task(n - 1) in any order, each once, until the monitor says stop. This one is
// serial; the parallel one is injected. An exception of a task is rethrown to the caller, after
// which no new task starts.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual int threads() const { return 1; }
  virtual void run(Index n, const std::function<void(Index)>& task, Monitor& monitor) {
    for (Index i = 0; i < n && !monitor.stopped(); ++i) {
      task(i);
      monitor.tick_batch(static_cast<double>(i + 1), static_cast<double>(n));
    }
  }
};

inline Index chunk_count(Index n, Index chunk) { return (n + chunk - 1) / chunk; }

inline Range chunk_range(Index i, Index chunk, Index n) {
  const Index begin = i * chunk;
  return {begin, begin + chunk < n ? begin + chunk : n};
}

// Sum over chunks of map(range), added in order. T needs operator+=; n must be positive. A sum is all
// or nothing, half of one would look like a number: it is empty when `watch` stopped it.
template <class T, class Map>
T chunked_sum(Index n, Index chunk, Executor& executor, Monitor& watch, Map map) {
  const Index chunks = chunk_count(n, chunk);
  if (chunks == 1) return map(Range{0, n});
  std::vector<T> part(static_cast<std::size_t>(chunks));
  executor.run(
      chunks, [&](Index i) { part[static_cast<std::size_t>(i)] = map(chunk_range(i, chunk, n)); },
      watch);
  if (watch.stopped()) return T();
  T total = std::move(part[0]);
  for (std::size_t i = 1; i < part.size(); ++i) total += part[i];
  return total;
}
template <class T, class Map>
T chunked_sum(Index n, Index chunk, Executor& executor, Map map) {
  Monitor unstoppable;
  return chunked_sum<T>(n, chunk, executor, unstoppable, map);
}

}  // namespace mixology
