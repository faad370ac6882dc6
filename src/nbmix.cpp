// Glue of nbmix by EM: blocks of genes in parallel, responsibilities and densities of counts.
#include "models/nbmix/posterior.h"
#include "rglue/nbmix_block.h"

using namespace mixology;

// Genes in compressed rows. `start` is empty, or holds the state to begin with: one for all genes
// or one for each.
// [[Rcpp::export(rng = false)]]
Rcpp::List nbmix_em(Rcpp::IntegerVector p, Rcpp::IntegerVector i, Rcpp::NumericVector x,
                    Rcpp::NumericVector size_factors, Rcpp::List settings, Rcpp::List control,
                    Rcpp::List start, double first_gene, Rcpp::List monitor, int threads) {
  RMonitor watch(monitor);  // its clock runs from here
  const Cells cells = make_cells(size_factors, watch);
  NbmixOptions options = nbmix_options(settings, control);
  read_starts(start, first_gene, options);
  const GeneFitter fitter(cells, options);
  TbbExecutor executor(threads);
  return fit_block(fitter, GeneBlock{p, i, x}, options, first_gene, watch, executor);
}

// Log density of each count, and the responsibilities of the parts (cells x parts).
// [[Rcpp::export(rng = false)]]
Rcpp::List nbmix_posterior(Rcpp::NumericVector x, Rcpp::NumericVector size_factors,
                           Rcpp::NumericVector weight, Rcpp::NumericVector mean,
                           Rcpp::NumericVector dispersion) {
  std::vector<Part> parts;
  for (R_xlen_t j = 0; j < weight.size(); ++j) {
    parts.push_back({weight[j], mean[j], dispersion[j]});
  }
  Rcpp::NumericMatrix prob(Rcpp::no_init(x.size(), weight.size()));
  Rcpp::NumericVector log_density(Rcpp::no_init(x.size()));
  cell_posterior(x.begin(), size_factors.begin(), x.size(), std::move(parts),
                 {prob.begin(), log_density.begin()});
  return Rcpp::List::create(Rcpp::Named("prob") = prob, Rcpp::Named("log_density") = log_density);
}

// Which parts have no counts but zero: those without a standard error of mean and dispersion.
// [[Rcpp::export(rng = false)]]
Rcpp::LogicalVector nbmix_always_zero(Rcpp::NumericVector mean, Rcpp::NumericVector dispersion) {
  Rcpp::LogicalVector out(mean.size());
  for (R_xlen_t j = 0; j < mean.size(); ++j) {
    out[j] = mean[j] == 0.0 || detail::always_zero(dispersion[j]);
  }
  return out;
}
