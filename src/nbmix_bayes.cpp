// Glue of nbmix by variational Bayes and Gibbs sampling.
#include "models/nbmix/bayes_fit.h"
#include "rglue/nbmix_block.h"

using namespace mixology;

namespace {

NbmixPrior read_prior(const Rcpp::List& list) {
  NbmixPrior prior;
  prior.alpha = Rcpp::as<double>(list["concentration"]);
  const Rcpp::NumericVector mean = list["log_mean"];
  const Rcpp::NumericVector dispersion = list["log_dispersion"];
  const Rcpp::NumericVector inverse_gamma = list["mean"];
  prior.point = {mean[0], mean[1] * mean[1], dispersion[0], dispersion[1] * dispersion[1]};
  prior.mean_shape = inverse_gamma[0];
  prior.mean_rate = inverse_gamma[1];
  return prior;
}

// Of one gene among many only the draws are kept.
Rcpp::List pack_run(const GibbsRun& run, bool alone) {
  const Gene none;
  const NbmixGibbs model(none, NbmixPrior(), 0);
  Rcpp::List chains(run.chains.size());
  for (std::size_t c = 0; c < run.chains.size(); ++c) chains[c] = to_list(model, run.chains[c]);
  Rcpp::List out = Rcpp::List::create(Rcpp::Named("chains") = chains,
                                      Rcpp::Named("status") = status_name(run.status),
                                      Rcpp::Named("seconds") = run.seconds);
  if (alone) {
    Rcpp::NumericMatrix prob(run.prob.rows(), run.prob.cols());
    std::copy(run.prob.data(), run.prob.data() + run.prob.size(), prob.begin());
    out["prob"] = prob;
  }
  return out;
}

}  // namespace

// [[Rcpp::export(rng = false)]]
Rcpp::List nbmix_vb(Rcpp::IntegerVector p, Rcpp::IntegerVector i, Rcpp::NumericVector x,
                    Rcpp::NumericVector size_factors, Rcpp::List settings, Rcpp::List control,
                    Rcpp::List prior, Rcpp::List start, double first_gene, Rcpp::List monitor,
                    int threads) {
  RMonitor watch(monitor);  // its clock runs from here
  const Cells cells = make_cells(size_factors, watch);
  NbmixOptions options = nbmix_options(settings, control);
  read_starts(start, first_gene, options);
  const VbFitter fitter(cells, options, read_prior(prior));
  TbbExecutor executor(threads);
  return fit_block(fitter, GeneBlock{p, i, x}, options, first_gene, watch, executor);
}

// A list with an entry per gene, NULL for those that were not reached. `before`: the saved chains
// of a single gene, or empty.
// [[Rcpp::export(rng = false)]]
Rcpp::List nbmix_gibbs(Rcpp::IntegerVector p, Rcpp::IntegerVector i, Rcpp::NumericVector x,
                       Rcpp::NumericVector size_factors, Rcpp::List settings, Rcpp::List control,
                       Rcpp::List prior, Rcpp::List start, Rcpp::List before, double first_gene,
                       Rcpp::List monitor, int threads) {
  RMonitor watch(monitor);  // its clock runs from here
  const Cells cells = make_cells(size_factors, watch);
  const GeneBlock block{p, i, x};
  NbmixOptions options = nbmix_options(settings, Rcpp::List());
  read_starts(start, first_gene, options);
  const GibbsOptions gibbs = gibbs_options(control);
  std::vector<Archive> saved;
  for (R_xlen_t c = 0; c < before.size(); ++c) saved.push_back(to_archive(before[c]));
  const GibbsFitter fitter(cells, options, gibbs, read_prior(prior));
  TbbExecutor executor(threads);
  watch.tick(0, NA_REAL);  // chains may end before the executor looks at the clock
  std::vector<GibbsRun> runs(static_cast<std::size_t>(block.genes()));
  auto run = [&](Index g, Executor& inner) {
    const auto item = static_cast<std::uint64_t>(first_gene) + static_cast<std::uint64_t>(g);
    if (!count_fault(block.gene(g)).empty()) return;
    runs[static_cast<std::size_t>(g)] = fitter.run(block.gene(g), item, saved, inner, watch);
  };
  const bool alone = block.genes() == 1;
  if (alone) {
    run(0, executor);
  } else {
    executor.run(
        block.genes(),
        [&](Index g) {
          Executor serial;
          run(g, serial);
          for (auto& chain : runs[static_cast<std::size_t>(g)].chains)
            chain.state.prob.resize(0, 0);
        },
        watch);
  }
  Rcpp::List out(runs.size());
  for (std::size_t g = 0; g < runs.size(); ++g) {
    if (!runs[g].chains.empty()) out[g] = pack_run(runs[g], alone);
  }
  return out;
}
