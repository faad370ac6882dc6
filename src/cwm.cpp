// R entry points that fit cwm: unpack, call, pack.
#include "engine/em.h"
#include "engine/multistart.h"
#include "rglue/cwm.h"

using namespace mixology;

// [[Rcpp::export(rng = false)]]
Rcpp::List cwm_fit_em(Rcpp::List input, int k, bool equal_noise, Rcpp::List control, double seed,
                      int threads, Rcpp::List settings) {
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
  return Rcpp::List::create(
      Rcpp::Named("state") = to_list(model.save(state)), Rcpp::Named("trace") = to_list(trace),
      Rcpp::Named("memory") = to_list(progress.memory), Rcpp::Named("starts") = to_list(report),
      Rcpp::Named("estimate") = to_list(cwm::pack(cwm::estimate(model, state))),
      Rcpp::Named("membership") = cwm::to_list(cwm::membership(data, state.kernel, executor)),
      Rcpp::Named("degenerate") = Rcpp::wrap(model.degenerate_components(state)),
      Rcpp::Named("deficient") = Rcpp::wrap(state.deficient),
      Rcpp::Named("at_floor") = Rcpp::wrap(cwm::noise_at_floor(state)));
}

// The observed information in the engine's coordinates and order, and how they map to the user's.
// [[Rcpp::export(rng = false)]]
Rcpp::List cwm_information(Rcpp::List input, int k, bool equal_noise, int threads) {
  const cwm::Data data = cwm::read_data(input);
  const cwm::Em model(data, k, cwm::family_from(Rcpp::as<std::string>(input["family"])),
                      equal_noise);
  const Rcpp::List saved = input["state"];
  const cwm::Em::State state = model.load(to_archive(saved));
  TbbExecutor executor(threads);
  const cwm::Membership found = cwm::sorted_membership(data, state.kernel, executor);
  const cwm::Information information(model, state, found.responsibility);
  return Rcpp::List::create(Rcpp::Named("matrix") = cwm::to_matrix(information.matrix(executor)),
                            Rcpp::Named("to_user") = cwm::to_matrix(information.to_user()),
                            Rcpp::Named("at_floor") = Rcpp::wrap(cwm::noise_at_floor(state)),
                            Rcpp::Named("deficient") = Rcpp::wrap(state.deficient));
}

// The inverse of a positive definite matrix; 0 x 0 for one that is not.
// [[Rcpp::export(rng = false)]]
Rcpp::NumericMatrix cwm_invert(Rcpp::NumericMatrix a) {
  const Eigen::LLT<MatrixXd> llt(cwm::as_map(a));
  if (llt.info() != Eigen::Success) return Rcpp::NumericMatrix(0, 0);
  return cwm::to_matrix(llt.solve(MatrixXd::Identity(a.nrow(), a.nrow())));
}
