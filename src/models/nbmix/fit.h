// The EM fit of one gene: every K asked for, starts, standard errors, and the choice of K.
#pragma once

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "engine/em.h"
#include "engine/multistart.h"
#include "models/nbmix/condense.h"
#include "models/nbmix/covariance.h"
#include "models/nbmix/em_model.h"
#include "models/nbmix/results.h"
#include "models/nbmix/single.h"
#include "models/nbmix/starts.h"

namespace mixology {

namespace detail {

// Numbers the parts by decreasing weight, ties by decreasing mean.
inline void pack(const Mixture& m, const MatrixXd& covariance, NbmixFit& fit) {
  const Index parts = m.weight.size();
  VectorXd mean = VectorXd::Zero(parts);
  VectorXd phi = VectorXd::Zero(parts);
  for (Index j = 0; j < m.k(); ++j) {
    mean[j] = std::exp(m.component[static_cast<std::size_t>(j)].eta);
    phi[j] = m.component[static_cast<std::size_t>(j)].phi;
  }
  std::vector<Index> order(static_cast<std::size_t>(parts));
  std::iota(order.begin(), order.end(), Index{0});
  std::sort(order.begin(), order.end(), [&](Index a, Index b) {
    return m.weight[a] != m.weight[b] ? m.weight[a] > m.weight[b] : mean[a] > mean[b];
  });
  fit.weight.resize(parts), fit.mean.resize(parts), fit.dispersion.resize(parts);
  fit.covariance.resize(3 * parts, 3 * parts);
  for (Index i = 0; i < parts; ++i) {
    const Index from = order[static_cast<std::size_t>(i)];
    fit.weight[i] = m.weight[from], fit.mean[i] = mean[from], fit.dispersion[i] = phi[from];
    for (Index j = 0; j < parts; ++j) {
      const Index to = order[static_cast<std::size_t>(j)];
      for (Index a = 0; a < 3; ++a) {
        for (Index b = 0; b < 3; ++b) {
          fit.covariance(a * parts + i, b * parts + j) =
              covariance(a * parts + from, b * parts + to);
        }
      }
    }
  }
}

}  // namespace detail

// With fewer cells it does not matter what the finish of a stopped fit costs.
constexpr Index kManyCells = 50000;

// The finish of a fit that was stopped and has many cells: what is known without going through them.
inline void finish_stopped(const Mixture& mixture, NbmixFit& fit) {
  const Index rows = 3 * mixture.weight.size();
  detail::pack(mixture, MatrixXd::Constant(rows, rows, kNaN), fit);
  fit.log_likelihood = fit.trace.last();
  fit.df = mixture.df();
}

// Parts numbered by size, standard errors, and the log likelihood from the full sum over cells.
inline void finish(const Gene& gene, const Gene& every, const Mixture& mixture, NbmixFit& fit) {
  NbmixEm model(gene);
  NbmixEm::State state = model.init(mixture);
  const PassSums sums = model.update_local(state, Range{0, gene.sites()});
  const Curvature at = model.observed(state, sums);
  detail::pack(mixture, detail::natural_covariance(mixture, at.hessian, sums.weight.sum()), fit);
  const FullSums full = evaluate_full(every, gene, mixture);
  fit.log_likelihood = full.log_likelihood;
  fit.entropy = full.entropy;
  fit.df = mixture.df();
}

class GeneFitter {
 public:
  GeneFitter(const Cells& cells, const NbmixOptions& options)
      : cells_(cells), options_(options), every_(make_gene(cells, {}, ZeroSum::exact)) {}

  // `item` numbers the gene for the random starts.
  GeneFit run(const SparseCounts& data, std::uint64_t item, Executor& executor,
              Monitor& monitor) const {
    GeneFit out;
    const Gene gene = make_gene(cells_, data);
    out.status = kind(data);
    Mixture smaller;
    for (const int k : options_.k) {
      out.fits.emplace_back();
      NbmixFit& fit = out.fits.back();
      fit.k = k;
      if (cells_.size() < k) {
        fit.df = 3 * k - 1 + options_.zero_inflated;
        if (out.fits.size() == 1) out.status = GeneStatus::too_few_cells;
        continue;
      }
      if (out.status == GeneStatus::all_zero || out.status == GeneStatus::one_value) {
        degenerate(gene, k, fit);
        continue;
      }
      if (out.fits.size() > 1 && monitor.stopped()) {
        fit.df = 3 * k - 1 + options_.zero_inflated;
        fit.trace.end(stopped_status(monitor.reason()), "stopped before it began");
        continue;
      }
      fit_k(gene, data, item, smaller, fit, executor, monitor);
    }
    choose(out);
    return out;
  }

 private:
  GeneStatus kind(const SparseCounts& data) const {
    if (data.size == 0) return GeneStatus::all_zero;
    if (data.size < cells_.size() || cells_.level().size() != 1) return GeneStatus::ok;
    const bool same = std::all_of(data.count, data.count + data.size,
                                  [&](double x) { return x == data.count[0]; });
    return same ? GeneStatus::one_value : GeneStatus::ok;
  }

  // Nothing to tell components apart: the first takes all, a Poisson (of mean 0 if need be).
  void degenerate(const Gene& gene, int k, NbmixFit& fit) const {
    const Index parts = k + (options_.zero_inflated ? 1 : 0);
    const double mean = gene.sum_x / gene.sum_s;
    fit.df = static_cast<int>(2 * k + parts - 1);
    fit.weight = VectorXd::Zero(parts);
    fit.weight[0] = 1.0;
    fit.mean = VectorXd::Constant(parts, mean);
    if (options_.zero_inflated) fit.mean[parts - 1] = 0.0;
    fit.dispersion = VectorXd::Zero(parts);
    fit.covariance = MatrixXd::Constant(3 * parts, 3 * parts, kNaN);
    fit.entropy = 0.0;
    fit.log_likelihood = 0.0;
    if (mean > 0.0) {
      fit.covariance(parts, parts) = mean / gene.sum_s;
      Mixture one{VectorXd::Ones(1), {Component{std::log(mean), 0.0}}};
      fit.log_likelihood = evaluate_full(every_, gene, one).log_likelihood;
    }
    fit.trace.record(0, fit.log_likelihood);
    fit.trace.end(Status::converged, "all counts are equal: nothing to fit");
  }

  void fit_k(const Gene& gene, const SparseCounts& data, std::uint64_t item, Mixture& smaller,
             NbmixFit& fit, Executor& executor, Monitor& monitor) const {
    Mixture best;
    if (fit.k == 1 && !options_.zero_inflated) {
      best = single(gene, fit, monitor);
    } else {
      best = climb(gene, item, smaller, fit, executor, monitor);
    }
    finish_or_stop(gene, best, fit, monitor);
    if (gene.quadrature && fit.trace.converged() && quadrature_missed(fit)) {
      fit.exact_zeros = true;
      const Gene exact = make_gene(cells_, data, ZeroSum::exact);
      if (fit.k == 1 && !options_.zero_inflated) {
        best = single(exact, fit, monitor);
      } else {
        best = continue_from(exact, best, fit, executor, monitor);
      }
      finish_or_stop(exact, best, fit, monitor);
    }
    smaller = best;
  }

  void finish_or_stop(const Gene& gene, const Mixture& best, NbmixFit& fit,
                      Monitor& monitor) const {
    if (monitor.stopped() && cells_.size() > kManyCells) {
      finish_stopped(best, fit);
    } else {
      finish(gene, every_, best, fit);
    }
  }

  static bool quadrature_missed(const NbmixFit& fit) {
    const double size = std::abs(fit.log_likelihood) + 1.0;
    return std::abs(fit.trace.last() - fit.log_likelihood) > 1e-8 * size;
  }

  Mixture single(const Gene& gene, NbmixFit& fit, Monitor& monitor) const {
    fit.trace = Trace();
    const ComponentSums sums = all_counts(gene);
    const ComponentLikelihood likelihood(sums);
    fit.trace.record(0, likelihood.value(likelihood.poisson()) + gene.constant);
    const SingleFit found =
        options_.cox_reid ? CoxReid(sums, &monitor).fit() : fit_single(sums, &monitor);
    fit.trace.record(1, likelihood.value(found.component) + gene.constant);
    if (found.converged) {
      fit.trace.end(Status::converged, "Newton's method reached the maximum");
    } else if (monitor.stopped()) {
      fit.trace.end(stopped_status(monitor.reason()), "stopped before it converged");
    } else {
      fit.trace.end(Status::max_iterations, "Newton's steps ran out before the maximum");
    }
    return Mixture{VectorXd::Ones(1), {found.component}};
  }

  Mixture climb(const Gene& gene, std::uint64_t item, const Mixture& smaller, NbmixFit& fit,
                Executor& executor, Monitor& monitor) const {
    const NbmixEm model(gene);
    const Archive& start = options_.start(item);
    if (start.has("weight")) {
      NbmixEm::State state = model.load(start);
      return settle(model, state, start, fit, executor, monitor);
    }
    std::vector<NbmixEm::State> starts = initial(gene, model, item, smaller, fit.k, monitor);
    const bool all_made = !monitor.stopped();
    Executor serial;  // threads for little work cost more than they do
    Executor& pool = gene.sites() + gene.items() < 2048 ? serial : executor;
    AscentProgress progress;
    const EmOptions rest = warm_up(model, starts, options_.em, pool, monitor);
    fit.trace = climb_from_starts(model, starts, rest, pool, monitor, fit.starts, progress);
    fit.starts.complete = fit.starts.complete && all_made;
    return conclude(model, starts[static_cast<std::size_t>(fit.starts.chosen)], progress, fit,
                    monitor);
  }

  std::vector<NbmixEm::State> initial(const Gene& gene, const NbmixEm& model, std::uint64_t item,
                                      const Mixture& smaller, int k, Monitor& monitor) const {
    const bool late = monitor.tick(0, 0.0) == Action::stop;
    const Starts starts(gene, !late);
    std::vector<NbmixEm::State> out;
    for (int i = 0; i < options_.em.restarts; ++i) {
      if (monitor.tick(0, 0.0) == Action::stop && i > 0) break;
      Rng rng(options_.seed, 0, 0, item, static_cast<std::uint64_t>(i));
      out.push_back(
          model.init(starts.make(k, late ? Starts::kSpread : i, options_.zero_inflated, rng)));
    }
    if (smaller.k() == k - 1 && k > 1 && !monitor.stopped()) {  // so that a larger K is never worse
      Index largest = 0;
      smaller.weight.head(smaller.k()).maxCoeff(&largest);
      out.push_back(model.init(Starts::split(smaller, largest)));
    }
    return out;
  }

  Mixture settle(const NbmixEm& model, NbmixEm::State& state, const Archive& start, NbmixFit& fit,
                 Executor& executor, Monitor& monitor, bool may_pause = true) const {
    AscentProgress progress;
    if (start.has("iteration")) {
      progress.iteration = static_cast<int>(start.scalar("iteration"));
      progress.memory = start;
    }
    if (start.has("converged")) {  // a resumed fit that has nowhere to go
      fit.trace.record(progress.iteration, start.scalar("converged"));
      fit.trace.end(Status::converged, "had converged before");
      fit.state = start;
      return state.mixture;
    }
    Ascent<NbmixEm> ascent(model, state, options_.em, executor, monitor);
    fit.trace = ascent.run(&progress, may_pause);
    return conclude(model, state, progress, fit, monitor);
  }

  Mixture conclude(const NbmixEm& model, NbmixEm::State& state, const AscentProgress& progress,
                   NbmixFit& fit, Monitor& monitor) const {
    if (fit.trace.converged() && options_.em.accelerate) polish(model, state, fit, monitor);
    fit.state = model.save(state);
    remember(fit, progress);
    return state.mixture;
  }

  // Newton steps until no parameter moves: the last digits, where the likelihood itself is too flat
  // to say when to stop.
  static void polish(const NbmixEm& model, NbmixEm::State& state, NbmixFit& fit, Monitor& monitor) {
    const Range all{0, model.items()};
    PassSums sums = model.update_local(state, all);
    double value = model.objective(state, sums);
    for (int i = 0; i < 8 && monitor.tick(0, value) != Action::stop; ++i) {
      const VectorXd step = model.newton_direction(state, sums);
      if (!(step.cwiseAbs().maxCoeff() > 1e-9)) break;
      NbmixEm::State trial = state;
      model.set_parameters(trial, model.parameters(state) + step);
      PassSums trial_sums = model.update_local(trial, all);
      const double gain = model.objective(trial, trial_sums) - value;
      if (!(gain >= -1e-13 * (std::abs(value) + 1.0))) break;
      state = std::move(trial);
      sums = std::move(trial_sums);
      value += gain;
    }
    if (value > fit.trace.last()) fit.trace.value.back() = value;
  }

  Mixture continue_from(const Gene& exact, const Mixture& from, NbmixFit& fit, Executor& executor,
                        Monitor& monitor) const {
    const NbmixEm model(exact);
    NbmixEm::State state = model.init(from);
    return settle(model, state, Archive(), fit, executor, monitor, false);
  }

  void choose(GeneFit& out) const {
    double best = kInfinity;
    bool stopped = false;
    bool done = true;
    for (std::size_t i = 0; i < out.fits.size(); ++i) {
      const NbmixFit& fit = out.fits[i];
      stopped = stopped || fit.trace.status == Status::interrupted ||
                fit.trace.status == Status::time_limit;
      done = done && fit.trace.converged();  // a candidate cut short might have won
      const double value = fit.criterion(options_.criterion, static_cast<double>(cells_.size()));
      if (value < best) {
        best = value;
        out.chosen = static_cast<int>(i);
      }
    }
    if (out.status != GeneStatus::ok) return;
    if (stopped)
      out.status = GeneStatus::stopped;
    else if (!done)
      out.status = GeneStatus::not_converged;
  }

  const Cells& cells_;
  const NbmixOptions& options_;
  const Gene every_;  // no counts: the zeros of all cells
};

}  // namespace mixology
