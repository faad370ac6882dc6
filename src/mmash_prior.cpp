// Glue of what mash_prior() learns from data: effects of single SNPs, refined matrices.
#include "rglue/mmash.h"

#include "engine/em.h"
#include "models/mmash/deconvolution.h"
#include "rglue/executor.h"
#include "rglue/monitor.h"

using namespace mixology;

// Effects of one SNP at a time (with intercept and covariates) and their standard errors, P x J;
// NA where the SNP does not vary.
// [[Rcpp::export(rng = false)]]
Rcpp::List mmash_marginal(Rcpp::List input) {
  RMonitor watch;
  const Mmash::Data data = mmash_data(input, watch);
  const Rcpp::NumericMatrix basis =
      data.gram ? Rcpp::NumericMatrix(0, 0) : Rcpp::as<Rcpp::NumericMatrix>(input["basis"]);
  const mmash::Marginal marginal = mmash::marginal_effects(data, basis.ncol());
  return Rcpp::List::create(Rcpp::Named("bhat") = to_matrix(marginal.estimate),
                            Rcpp::Named("shat") = to_matrix(marginal.error));
}

// Covariances of strong effects (n x J) with their standard errors, refined by EM from `start`.
// [[Rcpp::export(rng = false)]]
Rcpp::List mmash_refine(Rcpp::NumericMatrix bhat, Rcpp::NumericMatrix shat, Rcpp::List start,
                        int iterations, double tolerance, int threads) {
  const mmash::Deconvolution model(as_matrix(bhat).transpose(), as_matrix(shat).transpose());
  mmash::Deconvolution::State state;
  for (const SEXP u : start) state.u.push_back(as_matrix(u));
  const auto parts = static_cast<Index>(state.u.size());
  state.weights = VectorXd::Constant(parts, 1.0 / static_cast<double>(parts));
  EmOptions options;
  options.max_iterations = iterations;
  options.tolerance = tolerance;
  TbbExecutor executor(threads);
  Monitor monitor;
  const Trace trace = run_em(model, state, options, executor, monitor);
  Rcpp::List matrices;
  for (const MatrixXd& u : state.u) matrices.push_back(to_matrix(u));
  return Rcpp::List::create(Rcpp::Named("matrices") = matrices,
                            Rcpp::Named("weights") = to_vector(state.weights),
                            Rcpp::Named("trace") = to_list(trace));
}
