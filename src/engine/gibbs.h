// Gibbs sampling: several chains, each a sequence of sweeps with counter-based random numbers.
//
// Beside what ascent.h asks, a model supplies
//   void gibbs_sweep(State&, const SweepKey&, Executor&, Monitor&) const
//        one sweep, left early when the monitor's poll() says stop (the chain then goes back to where
//        it began); every random number comes from Rng(key.seed, key.chain, key.iteration, item),
//        so a sweep depends on its key and the state and on nothing else
//   VectorXd draw(const State&) const        what is kept of a sweep, label rules applied later
// and, if it has discrete labels worth keeping,
//   std::vector<std::uint8_t> labels(const State&) const
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/options.h"
#include "core/parallel.h"
#include "core/trace.h"

namespace mixology {

struct SweepKey {
  std::uint64_t seed = 0;
  std::uint64_t chain = 0;
  std::uint64_t iteration = 0;
};

// What a chain has drawn so far. `iteration` sweeps are behind it; `state` is where it stands.
template <class State>
struct Chain {
  State state;
  int iteration = 0;
  std::vector<VectorXd> draws;
  std::vector<std::vector<std::uint8_t>> labels;
};

template <class Model, class = void>
struct has_labels : std::false_type {};
template <class Model>
struct has_labels<Model, std::void_t<decltype(std::declval<const Model&>().labels(
                             std::declval<const typename Model::State&>()))>> : std::true_type {};

template <class Model>
void keep(const Model& model, Chain<typename Model::State>& chain) {
  chain.draws.push_back(model.draw(chain.state));
  if constexpr (has_labels<Model>::value) chain.labels.push_back(model.labels(chain.state));
}

// How many sweeps the chains take before they wait for one another: as many as take a fifth of a
// second.
class Leg {
 public:
  int end(int from, int last) const { return length_ > last - from ? last : from + length_; }
  void adapt() {
    if (clock_.elapsed() < 0.1 && length_ < (1 << 20)) length_ *= 2;
    clock_ = Trace();
  }

 private:
  int length_ = 1;
  Trace clock_;
};

// Where the chains stood when a leg began.
template <class State>
class Mark {
 public:
  explicit Mark(const std::vector<Chain<State>>& chains) {
    for (const auto& chain : chains) {
      at_.push_back({chain.state, chain.iteration, chain.draws.size(), chain.labels.size()});
    }
  }
  void take_back(std::vector<Chain<State>>& chains) {
    for (std::size_t i = 0; i < chains.size(); ++i) {
      chains[i].state = std::move(at_[i].state);
      chains[i].iteration = at_[i].iteration;
      chains[i].draws.resize(at_[i].draws);
      chains[i].labels.resize(at_[i].labels);
    }
  }

 private:
  struct At {
    State state;
    int iteration;
    std::size_t draws, labels;
  };
  std::vector<At> at_;
};

// Takes every chain to options.iterations sweeps in all; a chain that has some behind it goes on
// exactly as if it had never stopped. A pause or a stop finds all chains at the same sweep: the leg
// that was stopped counts for nothing. One chain may use the executor inside its sweeps, several
// chains share it among themselves.
template <class Model>
Status run_gibbs(const Model& model, std::vector<Chain<typename Model::State>>& chains,
                 const GibbsOptions& options, std::uint64_t seed, Executor& executor,
                 Monitor& monitor) {
  Executor serial;
  Executor& inner = chains.size() == 1 ? executor : serial;
  int target = 0;
  auto run_chain = [&](Index i) {
    auto& chain = chains[static_cast<std::size_t>(i)];
    Watch watch(monitor);
    while (chain.iteration < target) {
      model.gibbs_sweep(chain.state,
                        SweepKey{seed, static_cast<std::uint64_t>(i),
                                 static_cast<std::uint64_t>(chain.iteration)},
                        inner, watch);
      if (watch.stopped() || monitor.stopped()) return;
      ++chain.iteration;
      const int after = chain.iteration - options.warmup;
      if (after > 0 && after % options.thin == 0) keep(model, chain);
      monitor.tick(chain.iteration, 0.0);
    }
  };
  monitor.tick(0, 0.0);  // chains shorter than a poll would not notice that time is up
  for (const auto& chain : chains) target = std::max(target, chain.iteration);
  Leg leg;
  Watch legs(monitor);  // what is reported is sweeps, not chains
  bool paused = false;
  while (target < options.iterations && !monitor.stopped() && !paused) {
    Mark<typename Model::State> mark(chains);
    target = leg.end(target, options.iterations);
    if (chains.size() == 1) {
      run_chain(0);
    } else {
      executor.run(static_cast<Index>(chains.size()), run_chain, legs);
    }
    const bool all = std::all_of(chains.begin(), chains.end(),
                                 [&](const auto& chain) { return chain.iteration == target; });
    if (!all) mark.take_back(chains);
    leg.adapt();
    paused = target < options.iterations && monitor.tick(target, 0.0) == Action::pause;
  }
  if (paused) return Status::paused;
  return monitor.stopped() ? stopped_status(monitor.reason()) : Status::converged;
}

}  // namespace mixology
