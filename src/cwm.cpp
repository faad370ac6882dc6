// R entry points that fit cwm: unpack, call, pack.
#include "engine/em.h"
#include "engine/multistart.h"
#include "models/cwm/columns.h"
#include "rglue/cwm.h"

using namespace mixology;

namespace {

// Of the estimates, in the engine's order of components; NA for what is held. NULL where it is not
// wanted or does not exist.
Rcpp::RObject covariance_of(const cwm::Em& model, const cwm::Em::State& state,
                            const MatrixXd& responsibility, bool wanted, Executor& executor) {
  if (!wanted) return R_NilValue;
  Rcpp::NumericMatrix out =
      cwm::to_matrix(cwm::estimate_covariance(model, state, responsibility, executor));
  for (double& value : out) {
    if (std::isnan(value)) value = NA_REAL;
  }
  return out.size() > 0 ? Rcpp::RObject(out) : Rcpp::RObject(R_NilValue);
}

// E(y | x), with the names of `input`.
Rcpp::NumericMatrix fitted_rows(const cwm::Data& data, const std::vector<cwm::Kernel>& kernels,
                                const Rcpp::List& input, Executor& executor) {
  Rcpp::NumericMatrix out = cwm::to_matrix(cwm::fitted_values(data, kernels, executor));
  const Rcpp::NumericMatrix y = input["y"];
  const SEXP rows = input["rows"];
  out.attr("dimnames") = Rcpp::List::create(rows, Rcpp::colnames(y));
  return out;
}

}  // namespace

// [[Rcpp::export(rng = false)]]
Rcpp::List cwm_fit_em(Rcpp::List input, int k, bool equal_noise, Rcpp::List control, double seed,
                      int threads, bool std_errors, Rcpp::List settings) {
  const cwm::Data data = cwm::read_data(input);
  const cwm::Em model(data, k, cwm::family_from(Rcpp::as<std::string>(input["family"])),
                      equal_noise);
  const EmOptions options = em_options(control);
  TbbExecutor executor(threads);
  RMonitor monitor(settings);
  StartsReport report;
  std::vector<cwm::Em::State> states;
  Trace trace;
  AscentProgress progress;
  if (!Rf_isNull(input["state"])) {
    const Rcpp::List saved = input["state"];
    states.push_back(model.load(to_archive(saved)));
    progress = cwm::read_progress(input);
    trace = run_em(model, states[0], options, executor, monitor, &progress);
  } else if (!Rf_isNull(input["values"])) {
    const Rcpp::List values = input["values"];
    states.push_back(cwm::state_from(model, cwm::read_estimate(values)));
    trace = run_em(model, states[0], options, executor, monitor, &progress);
  } else {
    states = cwm::make_starts(model, input, options.restarts, seed);
    trace = climb_from_starts(model, states, options, executor, monitor, report, progress);
  }
  const cwm::Em::State& state = states[static_cast<std::size_t>(report.chosen)];
  cwm::Membership found = cwm::sorted_membership(data, state.kernel, executor);
  const Rcpp::RObject covariance =
      covariance_of(model, state, found.responsibility, std_errors, executor);
  found = cwm::in_user_order(data, std::move(found));
  const double log_lik = found.log_density.sum();
  const SEXP rows = input["rows"];
  const Rcpp::List clusters = cwm::to_clusters(found.responsibility, rows);
  return Rcpp::List::create(
      Rcpp::Named("state") = to_list(model.save(state)), Rcpp::Named("trace") = to_list(trace),
      Rcpp::Named("memory") = to_list(progress.memory), Rcpp::Named("starts") = to_list(report),
      Rcpp::Named("estimate") = to_list(cwm::pack(cwm::estimate(model, state))),
      Rcpp::Named("covariance") = covariance,
      Rcpp::Named("fitted") = fitted_rows(data, state.kernel, input, executor),
      Rcpp::Named("log_lik") = log_lik, Rcpp::Named("clusters") = clusters,
      Rcpp::Named("degenerate") = Rcpp::wrap(model.degenerate_components(state)),
      Rcpp::Named("deficient") = Rcpp::wrap(state.deficient),
      Rcpp::Named("at_floor") = Rcpp::wrap(cwm::noise_at_floor(state)));
}

// The covariance of the estimates of a fit that was made without it.
// [[Rcpp::export(rng = false)]]
Rcpp::RObject cwm_covariance(Rcpp::List input, int k, bool equal_noise, int threads) {
  const cwm::Data data = cwm::read_data(input);
  const cwm::Em model(data, k, cwm::family_from(Rcpp::as<std::string>(input["family"])),
                      equal_noise);
  const Rcpp::List saved = input["state"];
  const cwm::Em::State state = model.load(to_archive(saved));
  TbbExecutor executor(threads);
  const cwm::Membership found = cwm::sorted_membership(data, state.kernel, executor);
  return covariance_of(model, state, found.responsibility, true, executor);
}

// Responsibilities (rows x components) as a fit keeps them; see rglue/cwm.h.
// [[Rcpp::export(rng = false)]]
Rcpp::List cwm_sort_clusters(Rcpp::NumericMatrix responsibility, SEXP rows) {
  return cwm::to_clusters(cwm::as_map(responsibility), rows);
}

// 2 x columns: the least and the greatest value of each, NA left out.
// [[Rcpp::export(rng = false)]]
Rcpp::NumericMatrix cwm_ranges(Rcpp::NumericMatrix a) {
  return cwm::to_matrix(cwm::column_ranges(cwm::as_map(a)));
}

// Are column j of `a` and column l of `b` (from 1) the same numbers, missing in the same places?
// [[Rcpp::export(rng = false)]]
bool cwm_same_column(Rcpp::NumericMatrix a, int j, Rcpp::NumericMatrix b, int l) {
  return cwm::same_numbers(cwm::as_map(a).col(j - 1), cwm::as_map(b).col(l - 1));
}

// [[Rcpp::export(rng = false)]]
bool cwm_clearly_independent(Rcpp::NumericMatrix a, bool centred) {
  return cwm::clearly_independent(cwm::as_map(a), centred);
}
