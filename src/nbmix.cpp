// Glue of nbmix by EM: blocks of genes in parallel, responsibilities and densities of counts.
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

namespace {
constexpr std::size_t kSmallCount = 1024;
}

// Log density of each count, and the responsibilities of the parts (cells x parts).
// [[Rcpp::export(rng = false)]]
Rcpp::List nbmix_posterior(Rcpp::NumericVector x, Rcpp::NumericVector size_factors,
                           Rcpp::NumericVector weight, Rcpp::NumericVector mean,
                           Rcpp::NumericVector dispersion) {
  const R_xlen_t n = x.size();
  const R_xlen_t parts = weight.size();
  Rcpp::NumericMatrix prob(n, parts);
  Rcpp::NumericVector log_density(n);
  std::vector<double> joint(static_cast<std::size_t>(parts));
  std::vector<R_xlen_t> seen(kSmallCount, -1);  // the last cell with this count
  for (R_xlen_t i = 0; i < n; ++i) {
    if (x[i] >= 0.0 && x[i] < static_cast<double>(kSmallCount)) {
      R_xlen_t& last = seen[static_cast<std::size_t>(x[i])];
      const R_xlen_t twin = last;
      last = i;
      if (twin >= 0 && size_factors[twin] == size_factors[i] && x[twin] == x[i]) {
        log_density[i] = log_density[twin];
        for (R_xlen_t j = 0; j < parts; ++j) prob(i, j) = prob(twin, j);
        continue;
      }
    }
    for (R_xlen_t j = 0; j < parts; ++j) {
      joint[j] = weight[j] > 0.0
                     ? std::log(weight[j]) +
                           log_negative_binomial(x[i], size_factors[i] * mean[j], dispersion[j])
                     : -kInfinity;
    }
    const double total = log_sum_exp(joint.data(), joint.size());
    log_density[i] = total;
    for (R_xlen_t j = 0; j < parts; ++j) {
      prob(i, j) = total > -kInfinity ? std::exp(joint[j] - total) : weight[j];
    }
  }
  return Rcpp::List::create(Rcpp::Named("prob") = prob, Rcpp::Named("log_density") = log_density);
}
