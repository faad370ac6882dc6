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

}  // namespace

// [[Rcpp::export(rng = false)]]
Rcpp::List nbmix_vb(Rcpp::IntegerVector p, Rcpp::IntegerVector i, Rcpp::NumericVector x,
                    Rcpp::NumericVector size_factors, Rcpp::List settings, Rcpp::List control,
                    Rcpp::List prior, Rcpp::List start, double first_gene, Rcpp::List monitor,
                    int threads) {
  const Cells cells = make_cells(size_factors);
  NbmixOptions options = nbmix_options(settings, control);
  options.start = to_archive(start);
  const VbFitter fitter(cells, options, read_prior(prior));
  RMonitor watch(monitor);
  TbbExecutor executor(threads);
  return fit_block(fitter, GeneBlock{p, i, x}, options, first_gene, watch, executor);
}

// One gene; `before` is a list of saved chains, or empty.
// [[Rcpp::export(rng = false)]]
Rcpp::List nbmix_gibbs(Rcpp::IntegerVector i, Rcpp::NumericVector x,
                       Rcpp::NumericVector size_factors, Rcpp::List settings, Rcpp::List control,
                       Rcpp::List prior, Rcpp::List start, Rcpp::List before, double gene,
                       Rcpp::List monitor, int threads) {
  const Cells cells = make_cells(size_factors);
  NbmixOptions options = nbmix_options(settings, Rcpp::List());
  options.start = to_archive(start);
  const GibbsOptions gibbs = gibbs_options(control);
  std::vector<Archive> saved;
  for (R_xlen_t c = 0; c < before.size(); ++c) saved.push_back(to_archive(before[c]));
  const GibbsFitter fitter(cells, options, gibbs, read_prior(prior));
  RMonitor watch(monitor);
  TbbExecutor executor(threads);
  const SparseCounts data{i.begin(), x.begin(), i.size()};
  watch.tick(0, NA_REAL);  // chains may end before the executor looks at the clock for the first time
  const GibbsRun run = fitter.run(data, static_cast<std::uint64_t>(gene), saved, executor, watch);
  Rcpp::List chains(run.chains.size());
  const Gene layout = make_gene(cells, data, ZeroSum::exact);
  const NbmixGibbs model(layout, NbmixPrior(), gibbs.warmup);
  for (std::size_t c = 0; c < run.chains.size(); ++c) chains[c] = to_list(model, run.chains[c]);
  Rcpp::NumericMatrix prob(run.prob.rows(), run.prob.cols());
  std::copy(run.prob.data(), run.prob.data() + run.prob.size(), prob.begin());
  return Rcpp::List::create(Rcpp::Named("chains") = chains,
                            Rcpp::Named("status") = status_name(run.status),
                            Rcpp::Named("prob") = prob);
}
