// Glue of mmash by Gibbs sampling.
#include "rglue/mmash.h"

#include "models/mmash/gibbs.h"
#include "rglue/executor.h"
#include "rglue/monitor.h"
#include "rglue/options.h"

using namespace mixology;

namespace {

using GibbsChain = Chain<MmashGibbs::State>;

// New chains start where `start` says; resumed ones come as list(iteration, state).
std::vector<GibbsChain> make_chains(const Mmash& model, const MmashGibbs& sampler,
                                    const Rcpp::List& start, int count) {
  std::vector<GibbsChain> chains;
  if (start.containsElementNamed("chains")) {
    const Rcpp::List saved = start["chains"];
    for (const Rcpp::List item : saved) {
      GibbsChain chain;
      chain.state = sampler.load(to_archive(item["state"]));
      chain.iteration = Rcpp::as<int>(item["iteration"]);
      chains.push_back(std::move(chain));
    }
    if (chains.empty()) Rcpp::stop("mmash: there are no chains to go on with");
    return chains;
  }
  for (int i = 0; i < count; ++i) {
    GibbsChain chain;
    chain.state = sampler.init(mmash_state(model, start));
    chains.push_back(std::move(chain));
  }
  return chains;
}

MmashGibbs::State pooled(const std::vector<GibbsChain>& chains) {
  MmashGibbs::State all = chains.front().state;
  for (std::size_t i = 1; i < chains.size(); ++i) {
    const MmashGibbs::State& s = chains[i].state;
    all.kept += s.kept;
    all.sum += s.sum;
    all.square += s.square;
    all.positive += s.positive;
    all.negative += s.negative;
    all.null += s.null;
    all.effects += s.effects;
    all.weights += s.weights;
    all.sigma += s.sigma;
  }
  return all;
}

// What the draws say of each effect. A SNP without variation is never visited: it keeps its prior.
// The probability of the null is a mean of probabilities, finer than a count of draws; signs are
// counted among the draws that are not null and share out the rest of it, so that the two agree.
void summarise_draws(const Mmash& model, const MmashGibbs::State& all, mmash::EffectSummaries& s) {
  for (Index p = 0; p < model.cols(); ++p) {
    if (model.design().square(p) <= 0.0) continue;
    const VectorXd mean = all.sum.col(p) / all.kept;
    const VectorXd square = all.square.col(p) / all.kept;
    s.sd.col(p) = (square - mean.cwiseAbs2()).cwiseMax(0.0).cwiseSqrt();
    const double effect = 1.0 - all.null[p] / all.kept;
    if (all.effects[p] > 0.0) {
      s.positive.col(p) = effect * all.positive.col(p) / all.effects[p];
      s.negative.col(p) = effect * all.negative.col(p) / all.effects[p];
    } else {
      s.positive.col(p).setConstant(0.5 * effect);
      s.negative.col(p).setConstant(0.5 * effect);
    }
    s.zero.col(p) = (1.0 - s.positive.col(p).array() - s.negative.col(p).array()).cwiseMax(0.0);
    if (model.prior().null) s.null[p] = all.null[p] / all.kept;
  }
}

// Posterior means and what goes with them; of chains still in warm-up, where the first one stands.
Rcpp::List results(const Mmash& model, const std::vector<GibbsChain>& chains, Executor& executor,
                   const Monitor& monitor) {
  const MmashGibbs::State all = pooled(chains);
  if (all.kept == 0.0) return mmash_results(model, all.model, executor);
  const VectorXd weights = all.weights / all.kept;
  const VectorXd logs = weights.array().log().cwiseMax(mmash::Mixture::kNever);
  const Mmash::State centre = model.init(all.sum / all.kept, logs, all.sigma / all.kept);
  Rcpp::List out = mmash_results(model, centre, executor);
  mmash::EffectSummaries s = mmash::summarise(model, centre, executor);
  summarise_draws(model, all, s);
  const Rcpp::List effects = to_list(s, model.design().scale());
  for (const char* name : {"sd", "positive", "negative", "zero", "null"}) out[name] = effects[name];
  out["signals"] = mmash_signals(model, centre, s.null, monitor);
  return out;
}

}  // namespace

// [[Rcpp::export(rng = false)]]
Rcpp::List mmash_gibbs(Rcpp::List input, Rcpp::List prior, Rcpp::List start, Rcpp::List settings,
                       Rcpp::NumericVector prior_variance, bool keep_effects, Rcpp::List control,
                       double seed, Rcpp::List monitor, int threads) {
  TbbExecutor executor(threads);
  RMonitor watch(monitor);
  // several chains share the threads among themselves: none for the inside of a sweep
  const Mmash model(mmash_data(input, watch), mmash_prior(prior), mmash_options(settings), nullptr);
  const GibbsOptions options = gibbs_options(control);
  const MmashGibbs sampler(model, as_vector(prior_variance), options.warmup, keep_effects);
  std::vector<GibbsChain> chains = make_chains(model, sampler, start, options.chains);
  const Status status =
      run_gibbs(sampler, chains, options, static_cast<std::uint64_t>(seed), executor, watch);
  Rcpp::List out = results(model, chains, executor, watch);
  Rcpp::List list(chains.size());
  for (std::size_t i = 0; i < chains.size(); ++i) list[i] = to_list(sampler, chains[i]);
  out["chains"] = list;
  out["status"] = status_name(status);
  return out;
}
