// Variational and Gibbs fits of one gene: priors that depend on its mean, starts, results.
#pragma once

#include "engine/vb.h"
#include "models/nbmix/fit.h"
#include "models/nbmix/gibbs_model.h"
#include "models/nbmix/vb_model.h"

namespace mixology {

// What the prior leaves open (NaN) is set by the gene's mean.
inline NbmixPrior gene_prior(NbmixPrior prior, const Gene& gene) {
  const double mean = std::max(gene.sum_x, 0.5) / gene.sum_s;
  if (std::isnan(prior.point.eta_mean)) prior.point.eta_mean = std::log(mean);
  if (std::isnan(prior.mean_rate)) prior.mean_rate = 0.05 * mean;
  return prior;
}

class VbFitter {
 public:
  VbFitter(const Cells& cells, const NbmixOptions& options, const NbmixPrior& prior)
      : cells_(cells), options_(options), prior_(prior) {}

  GeneFit run(const SparseCounts& data, std::uint64_t item, Executor& executor,
              Monitor& monitor) const {
    GeneFit out;
    const Gene gene = make_gene(cells_, data);
    const Gene exact = gene.quadrature ? make_gene(cells_, data, ZeroSum::exact) : gene;
    if (data.size == 0) out.status = GeneStatus::all_zero;
    double best = -kInfinity;
    bool done = true;
    for (const int k : options_.k) {
      out.fits.emplace_back();
      NbmixFit& fit = out.fits.back();
      fit.k = k;
      if (out.fits.size() > 1 && monitor.stopped()) {
        fit.df = 3 * k - 1 + options_.zero_inflated;
        fit.trace.end(stopped_status(monitor.reason()), "stopped before it began");
        out.status = GeneStatus::stopped;
        continue;
      }
      fit_k(gene, exact, item, fit, executor, monitor);
      const bool stopped =
          fit.trace.status == Status::interrupted || fit.trace.status == Status::time_limit;
      if (stopped) out.status = GeneStatus::stopped;
      done = done && fit.trace.converged();  // a candidate cut short might have won
      if (fit.evidence > best) {
        best = fit.evidence;
        out.chosen = static_cast<int>(out.fits.size()) - 1;
      }
    }
    if (out.status == GeneStatus::ok && !done) out.status = GeneStatus::not_converged;
    return out;
  }

 private:
  void fit_k(const Gene& gene, const Gene& exact, std::uint64_t item, NbmixFit& fit,
             Executor& executor, Monitor& monitor) const {
    const NbmixPrior prior = gene_prior(prior_, gene);
    const NbmixVb quick(gene, prior);
    const NbmixVb full(exact, prior);
    const Archive& start = options_.start(item);
    fit.exact_zeros = start.has("exact");
    const NbmixVb& model = fit.exact_zeros ? full : quick;
    const Gene& data = fit.exact_zeros ? exact : gene;
    NbmixVb::State state;
    if (start.items().empty()) {
      state = climb_starts(data, model, item, fit, executor, monitor);
    } else {
      climb(model, state = model.load(start), start, fit, executor, monitor);
    }
    if (monitor.stopped() && cells_.size() > kManyCells) {
      finish_stopped(Mixture{state.dirichlet / state.dirichlet.sum(), state.component}, fit);
      fit.evidence = fit.trace.last();
      if (fit.exact_zeros && !fit.state.has("exact")) fit.state.put("exact", 1.0);
      return;
    }
    double bound = finish(full, exact, state, fit);
    if (fit.trace.converged() &&
        std::abs(fit.trace.last() - bound) > 1e-8 * (std::abs(bound) + 1.0)) {
      fit.exact_zeros = true;  // the quadrature was not good enough here
      climb(full, state = full.load(full.save(state)), Archive(), fit, executor, monitor);
      bound = finish(full, exact, state, fit);
    }
    if (fit.exact_zeros && !fit.state.has("exact")) fit.state.put("exact", 1.0);
  }

  // Estimates, their covariance and the evidence from the full sum over cells; returns the bound.
  double finish(const NbmixVb& model, const Gene& exact, const NbmixVb::State& at,
                NbmixFit& fit) const {
    NbmixVb::State state = model.load(model.save(at));
    const NbmixVb::Stats sums = model.update_local(state, Range{0, exact.sites()});
    const Mixture mixture{state.dirichlet / state.dirichlet.sum(), state.component};
    detail::pack(mixture, model.covariance(state, sums), fit);
    fit.df = mixture.df();
    const double bound = model.objective(state, sums);
    fit.evidence = bound + model.point_entropy(state, sums);
    return bound;
  }

  NbmixVb::State climb_starts(const Gene& gene, const NbmixVb& model, std::uint64_t item,
                              NbmixFit& fit, Executor& executor, Monitor& monitor) const {
    std::vector<NbmixVb::State> starts = initial(gene, model, item, fit.k, monitor);
    const bool all_made = !monitor.stopped();
    AscentProgress progress;
    fit.trace =
        climb_from_starts(model, starts, options_.em, executor, monitor, fit.starts, progress);
    fit.starts.complete = fit.starts.complete && all_made;
    NbmixVb::State& state = starts[static_cast<std::size_t>(fit.starts.chosen)];
    fit.state = model.save(state);
    remember(fit, progress);
    return std::move(state);
  }

  // The starts of EM, and for every smaller number of components one in which the others are empty:
  // an empty component stays so, and without these the climb would have to empty it first.
  std::vector<NbmixVb::State> initial(const Gene& gene, const NbmixVb& model, std::uint64_t item,
                                      int k, Monitor& monitor) const {
    const bool late = monitor.tick(0, 0.0) == Action::stop;
    const Starts starts(gene, !late);
    std::vector<NbmixVb::State> out;
    for (int i = 0; i < options_.em.restarts; ++i) {
      if (monitor.tick(0, 0.0) == Action::stop && i > 0) return out;
      Rng rng(options_.seed, 0, 0, item, static_cast<std::uint64_t>(i));
      out.push_back(
          model.init(starts.make(k, late ? Starts::kSpread : i, options_.zero_inflated, rng)));
    }
    if (late) return out;  // what follows needs ordered cells
    for (int fewer = k - 1; fewer > 0; --fewer) {
      Rng rng(options_.seed, 0, 0, item, 0);
      Mixture start = starts.make(fewer, 0, options_.zero_inflated, rng);
      out.push_back(model.init(model.with_empty(std::move(start), k)));
    }
    return out;
  }

  void climb(const NbmixVb& model, NbmixVb::State& state, const Archive& start, NbmixFit& fit,
             Executor& executor, Monitor& monitor) const {
    AscentProgress progress;
    if (start.has("iteration")) {
      progress = {static_cast<int>(start.scalar("iteration")), start};
    }
    if (start.has("converged")) {
      fit.trace.record(progress.iteration, start.scalar("converged"));
      fit.trace.end(Status::converged, "had converged before");
      fit.state = start;
      return;
    }
    VbOptions options;
    static_cast<AscentOptions&>(options) = options_.em;
    fit.trace = run_vb(model, state, options, executor, monitor, &progress);
    fit.state = model.save(state);
    remember(fit, progress);
  }

  const Cells& cells_;
  const NbmixOptions& options_;
  const NbmixPrior prior_;
};

// Where each cell stands among the rows of NbmixGibbs::State::prob.
inline std::vector<Index> cell_rows(const Cells& cells, const Gene& gene,
                                    const SparseCounts& data) {
  std::vector<Index> row(static_cast<std::size_t>(cells.size()));
  const bool levels = !cells.many_levels();
  Index next = 0;
  Index zero = 0;
  for (Index cell = 0; cell < cells.size(); ++cell) {
    Index& at = row[static_cast<std::size_t>(cell)];
    const bool counted = next < data.size && data.cell[next] == cell;
    if (!counted) {
      at = levels ? cells.level_of(cell) : zero++;
      continue;
    }
    at = gene.sites() + next;
    if (levels) {
      Index item = gene.first_item[static_cast<std::size_t>(cells.level_of(cell))];
      while (gene.item_x(item) != data.count[next]) ++item;
      at = gene.sites() + item;
    }
    ++next;
  }
  return row;
}

struct GibbsRun {
  std::vector<Chain<NbmixGibbs::State>> chains;
  Status status = Status::running;
  MatrixXd prob;  // cells x parts, components in the order of their labels
  double seconds = 0.0;
};

class GibbsFitter {
 public:
  GibbsFitter(const Cells& cells, const NbmixOptions& options, const GibbsOptions& gibbs,
              const NbmixPrior& prior)
      : cells_(cells), options_(options), gibbs_(gibbs), prior_(prior) {}

  // `before` holds one saved chain each, or nothing.
  GibbsRun run(const SparseCounts& data, std::uint64_t item, const std::vector<Archive>& before,
               Executor& executor, Monitor& monitor) const {
    const Gene gene = make_gene(cells_, data, ZeroSum::exact);
    const NbmixGibbs model(gene, gene_prior(prior_, gene), gibbs_.warmup);
    const Starts starts(gene);
    GibbsRun out;
    for (int c = 0; c < gibbs_.chains; ++c) {
      Chain<NbmixGibbs::State> chain;
      if (before.empty()) {
        Rng rng(options_.seed, static_cast<std::uint64_t>(c), 0, item, 1);
        const Mixture start = starts.make(options_.k[0], c, options_.zero_inflated, rng);
        const Archive& given = options_.start(item);
        chain.state = given.items().empty() ? model.init(start) : model.load(given);
      } else {
        const Archive& saved = before[static_cast<std::size_t>(c)];
        chain.state = model.load(saved);
        chain.iteration = static_cast<int>(saved.scalar("iteration"));
      }
      out.chains.push_back(std::move(chain));
    }
    // Genes differ in their key, so that two of them never share random numbers.
    const std::uint64_t seed = options_.seed + (item << 32);
    const Trace clock;
    out.status = run_gibbs(model, out.chains, gibbs_, seed, executor, monitor);
    out.seconds = clock.elapsed();
    out.prob = probabilities(gene, data, out);
    return out;
  }

 private:
  MatrixXd probabilities(const Gene& gene, const SparseCounts& data, const GibbsRun& run) const {
    ArrayXXd sum = run.chains[0].state.prob;
    double sweeps = run.chains[0].state.sweeps;
    for (std::size_t c = 1; c < run.chains.size(); ++c) {
      sum += run.chains[c].state.prob;
      sweeps += run.chains[c].state.sweeps;
    }
    const std::vector<Index> row = cell_rows(cells_, gene, data);
    MatrixXd out(cells_.size(), sum.cols());
    for (Index cell = 0; cell < cells_.size(); ++cell) {
      out.row(cell) = sum.row(row[static_cast<std::size_t>(cell)]).matrix() / sweeps;
    }
    return out;
  }

  const Cells& cells_;
  const NbmixOptions& options_;
  const GibbsOptions& gibbs_;
  const NbmixPrior prior_;
};

}  // namespace mixology
