// The engines on the smallest model that exercises them: a mixture of unit-variance normals in one
// dimension with unknown weights and means, and ways to break it on purpose.
#include <catch.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <thread>

#include "core/rng.h"
#include "engine/em.h"
#include "engine/gibbs.h"
#include "engine/multistart.h"
#include "engine/vb.h"

using namespace mixology;

namespace {

// z_i ~ Categorical(w), x_i | z_i = k ~ N(m_k, 1); flat prior on w, N(0, 100) on m (Gibbs only).
struct TinyMixture {
  struct State {
    VectorXd weight;
    VectorXd mean;
  };
  struct Stats {
    VectorXd n, sum;
    double log_lik = 0.0;
    Stats& operator+=(const Stats& other) {
      n += other.n;
      sum += other.sum;
      log_lik += other.log_lik;
      return *this;
    }
  };

  VectorXd x;
  Index chunk_size = 64;
  double fall = 0.0;  // lowers the objective by this at every sweep: a fault of the model

  Index items() const { return x.size(); }
  Index chunk() const { return chunk_size; }

  Stats update_local(State& state, Range range) const {
    const Eigen::Index k = state.mean.size();
    Stats stats{VectorXd::Zero(k), VectorXd::Zero(k), 0.0};
    for (Index i = range.begin; i < range.end; ++i) {
      VectorXd p = state.weight.array().log() - 0.5 * (x[i] - state.mean.array()).square();
      const double top = p.maxCoeff();
      p = (p.array() - top).exp();
      stats.log_lik += top + std::log(p.sum());
      p /= p.sum();
      stats.n += p;
      stats.sum += x[i] * p;
    }
    return stats;
  }
  void update_global(State& state, const Stats& stats) const {
    state.weight = stats.n / stats.n.sum();
    state.mean = stats.sum.cwiseQuotient(stats.n);
    if (fall != 0.0) updates_ += 1;  // starts run in parallel only without the fault
  }
  double objective(const State&, const Stats& stats) const {
    return fall == 0.0 ? stats.log_lik : stats.log_lik - fall * updates_;
  }

  VectorXd parameters(const State& state) const {
    VectorXd theta(2 * state.mean.size());
    theta << state.weight.array().log().matrix(), state.mean;
    return theta;
  }
  void set_parameters(State& state, const VectorXd& theta) const {
    const Eigen::Index k = theta.size() / 2;
    state.weight = (theta.head(k).array() - theta.head(k).maxCoeff()).exp();
    state.weight /= state.weight.sum();
    state.mean = theta.tail(k);
  }

  void gibbs_sweep(State& state, const SweepKey& key, Executor&, Monitor&) const {
    const Eigen::Index k = state.mean.size();
    VectorXd n = VectorXd::Zero(k), sum = VectorXd::Zero(k);
    for (Index i = 0; i < items(); ++i) {
      VectorXd p = state.weight.array() * (-0.5 * (x[i] - state.mean.array()).square()).exp();
      const double u = Rng(key.seed, key.chain, key.iteration, i).uniform() * p.sum();
      const Eigen::Index z = u < p[0] ? 0 : 1;
      n[z] += 1.0;
      sum[z] += x[i];
    }
    Rng rng(key.seed, key.chain, key.iteration, items());
    const double w = rng.beta(1.0 + n[0], 1.0 + n[1]);
    state.weight << w, 1.0 - w;
    for (Eigen::Index j = 0; j < k; ++j) {
      const double precision = n[j] + 0.01;
      state.mean[j] = sum[j] / precision + rng.normal() / std::sqrt(precision);
    }
  }
  VectorXd draw(const State& state) const { return state.mean; }

  Archive save(const State& state) const {
    Archive archive;
    archive.put("weight", state.weight);
    archive.put("mean", state.mean);
    return archive;
  }
  State load(const Archive& archive) const {
    return {archive.vector("weight"), archive.vector("mean")};
  }

  mutable int updates_ = 0;
};

TinyMixture tiny_model(Index n = 500, double gap = 2.0) {
  TinyMixture model;
  model.x.resize(n);
  Rng rng(7);
  for (Index i = 0; i < n; ++i) model.x[i] = rng.normal() + (rng.uniform() < 0.3 ? gap : 0.0);
  return model;
}

TinyMixture::State tiny_start() { return {Eigen::Vector2d(0.5, 0.5), Eigen::Vector2d(-0.1, 0.4)}; }

// Threads without any library, to test that results do not depend on them.
class ThreadExecutor : public Executor {
 public:
  explicit ThreadExecutor(int threads) : threads_(threads) {}
  int threads() const override { return threads_; }
  void run(Index n, const std::function<void(Index)>& task, Monitor& monitor) override {
    std::atomic<Index> next{0};
    std::vector<std::thread> pool;
    for (int t = 0; t < threads_; ++t) {
      pool.emplace_back([&] {
        for (Index i = next++; i < n && !monitor.stopped(); i = next++) task(i);
      });
    }
    for (auto& thread : pool) thread.join();
  }

 private:
  int threads_;
};

class StopAfter : public Monitor {
 public:
  explicit StopAfter(int ticks) : ticks_(ticks) {}
  Action tick(int, double) override {
    if (++seen_ >= ticks_) request_stop(StopReason::interrupted);
    return answer();
  }

 private:
  const int ticks_;
  std::atomic<int> seen_{0};
};

class PauseAt : public Monitor {
 public:
  explicit PauseAt(int iteration) : at_(iteration) {}
  Action tick(int iteration, double) override {
    return iteration >= at_ ? Action::pause : Action::proceed;
  }

 private:
  const int at_;
};

// Says stop at the n-th look.
class StopAtPoll : public Monitor {
 public:
  explicit StopAtPoll(int polls) : polls_(polls) {}
  Action poll() override {
    if (++seen_ == polls_) request_stop(StopReason::interrupted);
    return answer();
  }

 private:
  const int polls_;
  int seen_ = 0;
};

// Sweeps that take so long that they can be given up.
struct SlowMixture : TinyMixture {
  static constexpr int kPieces = 4;
  explicit SlowMixture(const TinyMixture& model) : TinyMixture(model) {
    chunk_size = model.x.size() / kPieces;
  }
  static void wait() {
    std::this_thread::sleep_for(std::chrono::duration<double>(1.1 * kLongSweep / kPieces));
  }
  Stats update_local(State& state, Range range) const {
    wait();
    return TinyMixture::update_local(state, range);
  }
  void gibbs_sweep(State& state, const SweepKey& key, Executor& executor, Monitor& watch) const {
    for (int i = 0; i < kPieces; ++i) {
      wait();
      if (watch.poll() == Action::stop) return;
      state.mean[0] += 1.0;  // what is given up must leave no trace
    }
    state.mean[0] -= kPieces;
    TinyMixture::gibbs_sweep(state, key, executor, watch);
  }
};

bool never_falls(const Trace& trace) {
  for (std::size_t i = 1; i < trace.value.size(); ++i) {
    if (trace.value[i] < trace.value[i - 1] - 1e-9 * std::abs(trace.value[i])) return false;
  }
  return true;
}

Trace climb(const TinyMixture& model, TinyMixture::State& state, const EmOptions& options) {
  Executor serial;
  Monitor quiet;
  return run_em(model, state, options, serial, quiet);
}

}  // namespace

TEST_CASE("EM climbs to a stationary point and says why it stopped") {
  const TinyMixture model = tiny_model();
  auto state = tiny_start();
  EmOptions options;
  options.max_iterations = 20000;
  const Trace trace = climb(model, state, options);
  REQUIRE(trace.converged());
  REQUIRE(!trace.reason.empty());
  REQUIRE(never_falls(trace));
  // At the maximum another plain sweep moves nothing.
  auto again = state;
  model.update_global(again, model.update_local(again, {0, model.items()}));
  REQUIRE((again.mean - state.mean).norm() < 1e-3);
}

TEST_CASE("extrapolation reaches the same maximum in far fewer sweeps") {
  const TinyMixture model = tiny_model();
  EmOptions options;
  options.max_iterations = 100000;
  options.tolerance = 1e-13;
  auto fast = tiny_start();
  const Trace with = climb(model, fast, options);
  options.accelerate = false;
  auto plain = tiny_start();
  const Trace without = climb(model, plain, options);
  REQUIRE(with.converged());
  REQUIRE(never_falls(with));
  REQUIRE(with.last() >= without.last() - 1e-6);
  REQUIRE(with.iterations() * 2 < without.iterations());
}

TEST_CASE("a falling objective is an error state and never converged") {
  TinyMixture model = tiny_model();
  model.fall = 50.0;
  auto state = tiny_start();
  const Trace trace = climb(model, state, EmOptions());
  REQUIRE(trace.status == Status::objective_fell);
  REQUIRE(!trace.converged());
}

TEST_CASE("an objective that is not a number ends the fit") {
  TinyMixture model = tiny_model();
  model.x[3] = std::nan("");
  auto state = tiny_start();
  REQUIRE(climb(model, state, EmOptions()).status == Status::not_finite);
}

TEST_CASE("iterations that run out are not convergence") {
  const TinyMixture model = tiny_model();
  auto state = tiny_start();
  EmOptions options;
  options.max_iterations = 3;
  const Trace trace = climb(model, state, options);
  REQUIRE(trace.status == Status::max_iterations);
  REQUIRE(trace.iterations() == 3);
}

TEST_CASE("chunked sums are bitwise the same for any number of threads") {
  const TinyMixture model = tiny_model(5000);
  EmOptions options;
  options.max_iterations = 50;
  auto serial_state = tiny_start();
  const Trace serial = climb(model, serial_state, options);
  for (int threads : {1, 2, 4}) {
    ThreadExecutor pool(threads);
    Monitor quiet;
    auto state = tiny_start();
    const Trace trace = run_em(model, state, options, pool, quiet);
    REQUIRE(trace.value == serial.value);
    REQUIRE(state.mean == serial_state.mean);
  }
}

TEST_CASE("a stopped climb goes on bitwise from its saved state") {
  const TinyMixture model = tiny_model();
  Executor serial;
  Monitor quiet;
  for (bool accelerate : {false, true}) {
    for (int cut : {6, 7, 8}) {
      EmOptions options;
      options.accelerate = accelerate;
      options.max_iterations = 20;
      auto whole = tiny_start();
      const Trace long_trace = climb(model, whole, options);
      options.max_iterations = cut;
      auto first = tiny_start();
      AscentProgress progress;
      run_em(model, first, options, serial, quiet, &progress);
      auto second = model.load(model.save(first));
      options.max_iterations = 20 - cut;
      const Trace rest = run_em(model, second, options, serial, quiet, &progress);
      REQUIRE(second.mean == whole.mean);
      REQUIRE(rest.iterations() == 20);
      REQUIRE(rest.last() == long_trace.last());
    }
  }
}

TEST_CASE("a long sweep is given up when the monitor says stop, and repeated by what goes on") {
  const SlowMixture model(tiny_model());
  Executor serial;
  Monitor quiet;
  EmOptions options;
  options.max_iterations = 4;
  auto whole = tiny_start();
  const Trace long_trace = run_em(model, whole, options, serial, quiet);
  for (int poll : {2, 10}) {  // in the middle of a sweep, of the step after two
    StopAtPoll impatient(poll);
    auto state = tiny_start();
    AscentProgress progress;
    const Trace first = run_em(model, state, options, serial, impatient, &progress);
    REQUIRE(first.status == Status::interrupted);
    REQUIRE(first.iterations() == progress.iteration);
    REQUIRE(progress.iteration == (poll - 2) / SlowMixture::kPieces);
    options.max_iterations = 4 - progress.iteration;
    auto rest = model.load(model.save(state));
    const Trace second = run_em(model, rest, options, serial, quiet, &progress);
    REQUIRE(rest.mean == whole.mean);
    REQUIRE(second.last() == long_trace.last());
    options.max_iterations = 4;
  }
}

// A model whose local update is one long loop.
struct LongLoop : SlowMixture {
  using SlowMixture::SlowMixture;
  Index chunk() const { return items(); }
  Stats update_local(State& state, Range range, Monitor& watch) const {
    for (int i = 0; i < 2 * kPieces; ++i) {
      wait();
      if (watch.poll() == Action::stop) break;
    }
    return TinyMixture::update_local(state, range);
  }
};

TEST_CASE("a long first sweep is left when the user interrupts it") {
  const LongLoop model(tiny_model());
  Executor serial;
  StopAtPoll impatient(1);  // the first look that is passed on, after the time of a long sweep
  auto state = tiny_start();
  REQUIRE_THROWS_AS(run_em(model, state, EmOptions(), serial, impatient), Interrupted);
}

TEST_CASE("a long Gibbs sweep is given up when the monitor says stop") {
  const SlowMixture model(tiny_model());
  Executor serial;
  GibbsOptions options;
  options.iterations = 3;
  options.warmup = 0;
  Monitor quiet;
  std::vector<Chain<TinyMixture::State>> whole(1);
  whole[0].state = tiny_start();
  run_gibbs(model, whole, options, 5, serial, quiet);
  StopAtPoll impatient(SlowMixture::kPieces + 2);  // in the second sweep
  std::vector<Chain<TinyMixture::State>> chains(1);
  chains[0].state = tiny_start();
  REQUIRE(run_gibbs(model, chains, options, 5, serial, impatient) == Status::interrupted);
  REQUIRE(chains[0].iteration == 1);
  run_gibbs(model, chains, options, 5, serial, quiet);
  REQUIRE(chains[0].state.mean == whole[0].state.mean);
  REQUIRE(chains[0].draws.size() == 3);
}

TEST_CASE("chains that share a thread go ahead together") {
  const TinyMixture model = tiny_model(20000);
  Executor serial;
  GibbsOptions options;
  options.iterations = 100000;
  options.warmup = 0;
  StopAfter impatient(400);
  std::vector<Chain<TinyMixture::State>> chains(3);
  for (auto& chain : chains) chain.state = tiny_start();
  run_gibbs(model, chains, options, 5, serial, impatient);
  REQUIRE(chains[0].iteration >= 50);
  for (const auto& chain : chains) {
    REQUIRE(chain.iteration == chains[0].iteration);
    REQUIRE(chain.draws.size() == static_cast<std::size_t>(chain.iteration));
  }
}

TEST_CASE("the monitor stops a climb, or has it pause where it goes on exactly") {
  const TinyMixture model = tiny_model();
  Executor serial;
  Monitor quiet;
  StopAfter stop(4);
  auto state = tiny_start();
  const Trace trace = run_vb(model, state, VbOptions(), serial, stop);
  REQUIRE(trace.status == Status::interrupted);
  REQUIRE(trace.iterations() <= 4);
  EmOptions options;
  options.tolerance = 0.0;
  options.max_iterations = 30;
  auto whole = tiny_start();
  const Trace once = run_em(model, whole, options, serial, quiet);
  PauseAt pause(5);
  state = tiny_start();
  AscentProgress progress;
  REQUIRE(run_em(model, state, options, serial, pause, &progress).status == Status::paused);
  REQUIRE(progress.iteration == 5);
  options.max_iterations = 25;
  REQUIRE(run_em(model, state, options, serial, quiet, &progress).last() == once.last());
  REQUIRE_THROWS_AS(Archive().vector("no such thing"), std::invalid_argument);
}

TEST_CASE("the best start goes on, whatever the order of the threads") {
  const TinyMixture model = tiny_model(500, 4.0);
  AscentOptions options;
  auto starts = [] {
    return std::vector<TinyMixture::State>{
        {Eigen::Vector2d(0.5, 0.5), Eigen::Vector2d(1.0, 1.0)},  // a saddle: stays where it is
        tiny_start(),
        {Eigen::Vector2d(0.7, 0.3), Eigen::Vector2d(0.0, 4.0)}};
  };
  auto serial_starts = starts();
  Executor serial;
  Monitor quiet;
  const StartsReport report = short_runs(model, serial_starts, options, serial, quiet);
  REQUIRE(report.chosen == 2);
  auto pool_starts = starts();
  ThreadExecutor pool(3);
  const StartsReport other = short_runs(model, pool_starts, options, pool, quiet);
  REQUIRE(other.objective == report.objective);
  REQUIRE(pool_starts[2].mean == serial_starts[2].mean);
}

namespace {

// A climb to `top`, of which each sweep leaves the share `left`.
struct Slope {
  struct State {
    double top = 0.0, gap = 1.0, left = 0.5;
  };
  struct Stats {
    double gap = 0.0;
    Stats& operator+=(const Stats& other) {
      gap += other.gap;
      return *this;
    }
  };
  Index items() const { return 1; }
  Index chunk() const { return 1; }
  Stats update_local(State& state, Range) const { return {state.gap}; }
  void update_global(State& state, const Stats&) const { state.gap *= state.left; }
  double objective(const State& state, const Stats& stats) const { return state.top - stats.gap; }
  VectorXd parameters(const State&) const { return VectorXd(); }
  void set_parameters(State&, const VectorXd&) const {}
};

}  // namespace

TEST_CASE("of many starts one that is late is chosen if it is ahead after a second round") {
  const Slope model;
  Executor serial;
  Monitor quiet;
  for (const std::size_t size : {19, 20}) {
    std::vector<Slope::State> starts(size, {-5.0, 1.0, 0.5});
    starts[3] = starts[5] = {0.0, 1.0, 0.5};
    starts[4] = {1.0, 10.0, 0.8};  // at -0.07 after ten sweeps, at 0.99 after thirty
    for (const int sweeps : {7, 15, 30, 31, 500}) {
      EmOptions options;
      options.max_iterations = sweeps;
      std::vector<Slope::State> here = starts;
      StartsReport report;
      AscentProgress progress;
      const Trace trace = climb_from_starts(model, here, options, serial, quiet, report, progress);
      REQUIRE(report.chosen == (size < kManyStarts ? 3 : 4));
      REQUIRE(trace.iterations() <= sweeps);
      // one climb, whatever was tried on the way
      Slope::State alone = starts[static_cast<std::size_t>(report.chosen)];
      const Trace direct = run_em(model, alone, options, serial, quiet);
      REQUIRE(trace.value == direct.value);
      REQUIRE(trace.iteration == direct.iteration);
    }
  }
}

TEST_CASE("Gibbs chains depend on the seed, not on threads or stops") {
  const TinyMixture model = tiny_model(200, 4.0);
  GibbsOptions options;
  options.iterations = 60;
  options.warmup = 20;
  options.thin = 2;
  Executor serial;
  Monitor quiet;
  auto chains = [] { return std::vector<Chain<TinyMixture::State>>(3, {tiny_start(), 0, {}, {}}); };
  auto whole = chains();
  REQUIRE(run_gibbs(model, whole, options, 5, serial, quiet) == Status::converged);
  REQUIRE(whole[0].draws.size() == 20);
  REQUIRE(whole[0].draws[0] != whole[1].draws[0]);
  auto pooled = chains();
  ThreadExecutor pool(3);
  run_gibbs(model, pooled, options, 5, pool, quiet);
  auto resumed = chains();
  options.iterations = 31;
  run_gibbs(model, resumed, options, 5, serial, quiet);
  options.iterations = 60;
  run_gibbs(model, resumed, options, 5, serial, quiet);
  for (std::size_t c = 0; c < 3; ++c) {
    REQUIRE(pooled[c].draws == whole[c].draws);
    REQUIRE(resumed[c].draws == whole[c].draws);
  }
}

TEST_CASE("Gibbs draws have the posterior's moments") {
  const TinyMixture model = tiny_model(400, 5.0);
  GibbsOptions options;
  options.chains = 1;
  options.iterations = 3000;
  options.warmup = 500;
  Executor serial;
  Monitor quiet;
  std::vector<Chain<TinyMixture::State>> chain{{tiny_start(), 0, {}, {}}};
  run_gibbs(model, chain, options, 1, serial, quiet);
  auto mle = tiny_start();
  climb(model, mle, EmOptions());
  VectorXd mean = VectorXd::Zero(2);
  for (const VectorXd& draw : chain[0].draws) mean += draw / 2500.0;
  std::sort(mean.data(), mean.data() + 2);
  REQUIRE((mean - mle.mean).cwiseAbs().maxCoeff() < 0.02);
}

namespace {

// A hill of one parameter, of which a sweep climbs a thousandth and a Newton step is `overshoot`
// times too long. Nothing is to be gained by an extrapolation.
struct SlowHill {
  struct State {
    double at = 0.0;
  };
  struct Stats {
    double height = 0.0;
    Stats& operator+=(const Stats& other) {
      height += other.height;
      return *this;
    }
  };
  double overshoot = 1.0;

  Index items() const { return 1; }
  Index chunk() const { return 1; }
  Stats update_local(State& state, Range) const { return {-state.at * state.at}; }
  void update_global(State& state, const Stats&) const { state.at *= 0.999; }
  double objective(const State&, const Stats& stats) const { return stats.height; }
  VectorXd parameters(const State& state) const { return VectorXd::Constant(1, state.at); }
  void set_parameters(State& state, const VectorXd& theta) const { state.at = theta[0]; }
  VectorXd own_step(const State& state, const Stats&) const {
    return VectorXd::Constant(1, -overshoot * state.at);
  }
  double longest_step() const { return 1.0; }
  Archive save(const State& state) const {
    Archive archive;
    archive.put("at", state.at);
    return archive;
  }
  State load(const Archive& archive) const { return {archive.scalar("at")}; }
};

}  // namespace

TEST_CASE("Newton steps that are too long by far are shortened from cycle to cycle") {
  for (const double overshoot : {1.0, 50.0, 1e3}) {
    const SlowHill hill{overshoot};
    SlowHill::State state{10.0};
    Executor serial;
    Monitor monitor;
    const Trace trace = Ascent<SlowHill>(hill, state, EmOptions(), serial, monitor).run();
    CHECK(trace.converged());
    CHECK(trace.iterations() < 100);
    CHECK(std::abs(state.at) < 1e-2);
  }
}

TEST_CASE("a climb that was stopped remembers how far its Newton steps reach") {
  const SlowHill hill{1e3};
  for (const int first : {4, 7, 11, 14}) {
    EmOptions options;
    options.max_iterations = 20;
    Executor serial;
    Monitor monitor;
    SlowHill::State whole{10.0}, parts{10.0};
    Ascent<SlowHill>(hill, whole, options, serial, monitor).run();
    AscentProgress progress;
    options.max_iterations = first;
    Ascent<SlowHill>(hill, parts, options, serial, monitor).run(&progress);
    options.max_iterations = 20 - first;
    Ascent<SlowHill>(hill, parts, options, serial, monitor).run(&progress);
    CHECK(parts.at == whole.at);
  }
}

TEST_CASE("an exception in a task reaches the caller") {
  Executor serial;
  Monitor quiet;
  REQUIRE_THROWS_AS(serial.run(
                        3,
                        [](Index i) {
                          if (i == 1) throw std::runtime_error("task");
                        },
                        quiet),
                    std::runtime_error);
}
