// R entry points of cwm by variational Bayes and Gibbs sampling: unpack, call, pack.
#include "engine/gibbs.h"
#include "engine/multistart.h"
#include "engine/vb.h"
#include "rglue/cwm.h"

using namespace mixology;

namespace {

cwm::Vb::State fit_vb(const cwm::Vb& model, const Rcpp::List& input, const VbOptions& options,
                      double seed, Executor& executor, Monitor& monitor, Trace& trace,
                      AscentProgress& progress, StartsReport& report) {
  std::vector<cwm::Vb::State> states;
  if (!Rf_isNull(input["state"])) {
    const Rcpp::List saved = input["state"];
    states.push_back(model.load(to_archive(saved)));
    progress = cwm::read_progress(input);
    trace = run_vb(model, states[0], options, executor, monitor, &progress);
  } else {
    states = cwm::make_starts(model, input, options.restarts, seed);
    trace = climb_from_starts(model, states, options, executor, monitor, report, progress);
  }
  cwm::Vb::State state = states[static_cast<std::size_t>(report.chosen)];
  try_proposals(model, state, options, executor, monitor, trace);
  if (trace.converged() && monitor.stopped()) {  // before every proposal had its climb
    trace.end(stopped_status(monitor.reason()), "stopped before it converged");
    report.complete = false;
  }
  return state;
}

std::vector<std::uint8_t> most_likely(const cwm::Membership& membership) {
  std::vector<std::uint8_t> out(static_cast<std::size_t>(membership.responsibility.rows()));
  for (Index i = 0; i < membership.responsibility.rows(); ++i) {
    Index best = 0;
    membership.responsibility.row(i).maxCoeff(&best);
    out[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(best);
  }
  return out;
}

}  // namespace

// [[Rcpp::export(rng = false)]]
Rcpp::List cwm_fit_vb(Rcpp::List input, int k, Rcpp::List control, double seed, int threads,
                      Rcpp::List settings) {
  const cwm::Data data = cwm::read_data(input);
  const cwm::Vb model(data, k, cwm::read_prior(input));
  TbbExecutor executor(threads);
  RMonitor monitor(settings);
  Trace trace;
  AscentProgress progress;
  StartsReport report;
  const cwm::Vb::State state =
      fit_vb(model, input, vb_options(control), seed, executor, monitor, trace, progress, report);
  return Rcpp::List::create(
      Rcpp::Named("state") = to_list(model.save(state)), Rcpp::Named("trace") = to_list(trace),
      Rcpp::Named("memory") = to_list(progress.memory), Rcpp::Named("starts") = to_list(report),
      Rcpp::Named("posterior") = to_list(cwm::posterior_archive(model, state)),
      Rcpp::Named("responsibility") =
          cwm::to_matrix(cwm::membership(data, state.kernel, executor).responsibility));
}

// Labels (from 1, in the user's order) that draws are matched to and chains start from, and how the
// fit that they come from ended.
// [[Rcpp::export(rng = false)]]
Rcpp::List cwm_pivot(Rcpp::List input, int k, double seed, int threads, Rcpp::List settings) {
  const cwm::Data data = cwm::read_data(input);
  const cwm::Vb model(data, k, cwm::read_prior(input));
  TbbExecutor executor(threads);
  RMonitor monitor(settings);
  VbOptions options;
  options.tolerance = 1e-6;
  Trace trace;
  AscentProgress progress;
  StartsReport report;
  const cwm::Vb::State state =
      fit_vb(model, input, options, seed, executor, monitor, trace, progress, report);
  const auto labels = most_likely(cwm::membership(data, state.kernel, executor));
  Rcpp::IntegerVector out(static_cast<R_xlen_t>(labels.size()));
  for (std::size_t i = 0; i < labels.size(); ++i) out[static_cast<R_xlen_t>(i)] = labels[i] + 1;
  return Rcpp::List::create(Rcpp::Named("labels") = out,
                            Rcpp::Named("status") = status_name(trace.status));
}

// `chains`: NULL, or list(state, iteration) of each chain to go on with.
// [[Rcpp::export(rng = false)]]
Rcpp::List cwm_fit_gibbs(Rcpp::List input, int k, Rcpp::List control, double seed, int threads,
                         bool keep_labels, Rcpp::List settings) {
  const cwm::Data data = cwm::read_data(input);
  const Rcpp::IntegerVector given = input["pivot"];
  const cwm::Labels pivot = cwm::read_labels(given, data);
  const cwm::Gibbs model(data, k, cwm::read_prior(input), pivot, keep_labels);
  const GibbsOptions options = gibbs_options(control);
  TbbExecutor executor(threads);
  RMonitor monitor(settings);
  std::vector<Chain<cwm::Gibbs::State>> chains(static_cast<std::size_t>(options.chains));
  for (std::size_t c = 0; c < chains.size(); ++c) {
    if (Rf_isNull(input["chains"])) {
      chains[c].state = model.from_labels(pivot);
      continue;
    }
    const Rcpp::List all = input["chains"], one = all[static_cast<R_xlen_t>(c)];
    const Rcpp::List saved = one["state"];
    chains[c].state = model.load(to_archive(saved));
    chains[c].iteration = Rcpp::as<int>(one["iteration"]);
  }
  const Trace clock;
  const Status status =
      run_gibbs(model, chains, options, static_cast<std::uint64_t>(seed), executor, monitor);
  Rcpp::List packed(static_cast<R_xlen_t>(chains.size()));
  for (std::size_t c = 0; c < chains.size(); ++c) {
    // stopped before its first draw: where it stands
    if (chains[c].iteration - options.warmup < options.thin) keep(model, chains[c]);
    packed[static_cast<R_xlen_t>(c)] = to_list(model, chains[c]);
  }
  return Rcpp::List::create(Rcpp::Named("chains") = packed,
                            Rcpp::Named("status") = status_name(status),
                            Rcpp::Named("seconds") = clock.elapsed());
}

// Responsibilities under one point estimate in the user's units.
// [[Rcpp::export(rng = false)]]
Rcpp::NumericMatrix cwm_memberships(Rcpp::List input, int k, Rcpp::List values, int threads) {
  const cwm::Data data = cwm::read_data(input);
  const cwm::Em model(data, k, cwm::Family::VVV, false);
  const cwm::Em::State state = cwm::state_from(model, cwm::read_estimate(values));
  TbbExecutor executor(threads);
  return cwm::to_matrix(cwm::membership(data, state.kernel, executor).responsibility);
}
