// Glue of mmash: one fit by coordinate ascent (vb) or of one SNP at a time (em), and q in full.
#include "rglue/mmash.h"

#include "engine/em.h"
#include "engine/multistart.h"
#include "engine/vb.h"
#include "models/mmash/path.h"
#include "rglue/executor.h"
#include "rglue/monitor.h"
#include "rglue/options.h"

using namespace mixology;

namespace {

// The best of `start` and `count` points of the penalised path after rounds of short runs.
Mmash::State best_start(const Mmash& model, Mmash::State start, int count, AscentOptions options,
                        Executor& executor, Monitor& monitor, Rcpp::List& report) {
  if (count <= 0) return start;
  // Twice the usual length: weights and effects move together, more slowly than clusters do. Not
  // less for fewer iterations: a fit that is resumed has to begin where the long one did.
  options.short_iterations *= 2;
  mmash::GroupLassoPath path(model, std::move(start), mmash::PathOptions());
  auto starts = path.starts(count, monitor);
  StartsReport chosen = run_off(model, starts, options, executor, monitor);
  chosen.complete = !monitor.stopped();  // else a fit that goes on compares them again
  report = to_list(chosen);
  return starts[static_cast<std::size_t>(chosen.chosen)];
}

// Where effects were found one at a time: what all of them together leave of the responses.
void add_joint(const Mmash& model, const Mmash::State& state, Executor& executor, Rcpp::List& out) {
  Mmash::Options options = model.options();
  options.marginal = false;
  const Mmash whole(model.data(), model.prior(), options, &executor);
  const Mmash::State s = whole.init(state.mean, state.log_weights, state.sigma);
  out["residual"] = to_matrix(s.residual.topRows(model.design().rows()));
  out["fixed"] = to_matrix(s.fixed);
}

}  // namespace

// [[Rcpp::export(rng = false)]]
Rcpp::List mmash_fit(Rcpp::List input, Rcpp::List prior, Rcpp::List start, Rcpp::List settings,
                     Rcpp::List control, Rcpp::List monitor, int threads) {
  TbbExecutor executor(threads);
  RMonitor watch(monitor);
  const Mmash model(mmash_data(input, watch), mmash_prior(prior), mmash_options(settings),
                    &executor);
  Rcpp::List starts;
  const int path = start.containsElementNamed("path") ? Rcpp::as<int>(start["path"]) : 0;
  Mmash::State state = interruptible([&] {
    return best_start(model, mmash_state(model, start), path, vb_options(control), executor, watch,
                      starts);
  });
  AscentProgress progress;
  if (start.containsElementNamed("progress")) progress = to_progress(start["progress"]);
  const Trace trace = interruptible([&] {
    return model.options().marginal
               ? run_em(model, state, em_options(control), executor, watch, &progress)
               : run_vb(model, state, vb_options(control), executor, watch, &progress);
  });
  Rcpp::List out = mmash_results(model, state, executor);
  if (model.options().marginal) add_joint(model, state, executor, out);
  if (Rcpp::as<bool>(settings["signals"])) {
    out["signals"] = mmash_signals(model, state, as_vector(out["null"]), watch);
  }
  out["starts"] = starts;
  out["trace"] = to_list(trace);
  out["state"] = to_list(model.save(state));
  out["progress"] = to_list(progress);
  return out;
}

// q of effects p (counted from 0) in full: what the fit keeps is phi (J x P) and, for each effect,
// the precision of what the data say of it.
// [[Rcpp::export(rng = false)]]
Rcpp::List mmash_effect(Rcpp::List prior, Rcpp::NumericVector weights,
                        Rcpp::NumericMatrix precision, Rcpp::NumericVector phi) {
  const VectorXd logs = as_vector(weights).array().log().cwiseMax(mmash::Mixture::kNever);
  const mmash::Effect effect =
      mmash::effect(mmash_prior(prior), logs, as_matrix(precision), as_vector(phi));
  return Rcpp::List::create(Rcpp::Named("alpha") = to_vector(effect.alpha),
                            Rcpp::Named("mean") = to_vector(effect.mean),
                            Rcpp::Named("covariance") = to_matrix(effect.covariance));
}

// Quantiles of the effects of one SNP under q, J x tails.
// [[Rcpp::export(rng = false)]]
Rcpp::NumericMatrix mmash_limits(Rcpp::List prior, Rcpp::NumericVector weights,
                                 Rcpp::NumericMatrix precision, Rcpp::NumericVector phi,
                                 Rcpp::NumericVector tails) {
  mmash::Mixture mixture(mmash_prior(prior));
  mixture.decompose(as_matrix(precision), 1.0);
  mixture.set_weights(as_vector(weights).array().log().cwiseMax(mmash::Mixture::kNever));
  return to_matrix(mmash::quantiles(mixture, as_vector(phi), as_vector(tails)));
}

// What is wrong with the beginning of a .bed file of `size` bytes; "" when nothing is.
// [[Rcpp::export(rng = false)]]
std::string mmash_bed_fault(Rcpp::RawVector head, double size, double samples, double variants) {
  return mmash::bed_fault(head.begin(), static_cast<std::uint64_t>(size),
                          static_cast<std::uint64_t>(samples),
                          static_cast<std::uint64_t>(variants));
}

// Genotypes of some variants (counted from 0) as they are, missing ones NaN.
// [[Rcpp::export(rng = false)]]
Rcpp::NumericMatrix mmash_read(Rcpp::List input, Rcpp::IntegerVector variants) {
  const auto source = mmash_genotypes(input);
  std::vector<double> table(256);
  for (int c = 0; c < source->codes(); ++c) table[static_cast<std::size_t>(c)] = source->value(c);
  Rcpp::NumericMatrix out(static_cast<int>(source->samples()), variants.size());
  for (R_xlen_t i = 0; i < variants.size(); ++i) {
    source->decode(variants[i], table.data(), out.begin() + i * source->samples());
  }
  return out;
}

// Missing genotypes of a .bed file.
// [[Rcpp::export(rng = false)]]
double mmash_count_missing(Rcpp::List input) {
  const auto source = bed_genotypes(input);
  double missing = 0.0;
  for (Index p = 0; p < source->variants(); ++p) {
    Rcpp::checkUserInterrupt();
    missing += static_cast<double>(source->missing(p));
  }
  return missing;
}
