// Weights that run ahead of the sweeps. With the effects' own data phi_p held they maximise
//   sum_p log sum_t pi_t BF_pt + (penalty - 1) log pi_0,
// which EM climbs by products with the P x T matrix of Bayes factors, each step far cheaper than a
// sweep. Where it arrives is proposed to the ascent, which goes there if the bound rises. EM and not
// Newton: along the ridge between neighbouring scales rounding must not grow.
#pragma once

#include <vector>

#include "models/mmash.h"

namespace mixology {
namespace mmash {

constexpr double kActive = 1e-20;  // lighter components take the one step of the sweep
constexpr int kWeightSteps = 100;

// likelihood: components x P, each column up to a factor; extra: what the prior adds to the counts.
inline VectorXd climb_weights(const MatrixXd& likelihood, const VectorXd& extra, VectorXd weights) {
  for (int step = 0; step < kWeightSteps; ++step) {
    const VectorXd marginal = likelihood.transpose() * weights;
    weights = weights.cwiseProduct(likelihood * marginal.cwiseInverse()) + extra;
    weights /= weights.sum();
  }
  return weights;
}

}  // namespace mmash

// alpha_pt / pi_t of the components listed, a column for each effect that the data speak of.
inline MatrixXd Mmash::bayes_factors(const State& s, const std::vector<Index>& components) const {
  MatrixXd out(static_cast<Index>(components.size()), cols());
  mmash::Mixture mixture = *s.mixture;
  const std::vector<Index> matrices = mixture.matrices_of(components);
  mmash::Workspace w;
  mixture.reserve(w);
  Index filled = 0;
  for (Index p = 0; p < cols(); ++p) {
    const double d = design().square(p);
    if (d <= 0.0) continue;
    if (!complete()) {
      mixture.decompose(mmash::profile(s.precision, sums_, p).precision, matrices);
    }
    mixture.update(s.phi.col(p).data(), complete() ? d : 1.0, w);
    for (Index i = 0; i < out.rows(); ++i) {
      const Index t = components[static_cast<std::size_t>(i)];
      const auto slot = static_cast<std::size_t>(mixture.slot(t));
      out(i, filled) = w.alpha[slot] / std::exp(s.log_weights[t]);
    }
    ++filled;
  }
  return out.leftCols(filled);
}

inline VectorXd Mmash::own_step(const State& s, const Stats& stats) const {
  std::vector<Index> active;
  for (Index t = 0; t < s.log_weights.size(); ++t) {
    const bool null = prior_.null && t == 0;
    if (null || s.log_weights[t] > std::log(mmash::kActive)) active.push_back(t);
  }
  const auto at = [&](Index i) { return active[static_cast<std::size_t>(i)]; };
  VectorXd weights(static_cast<Index>(active.size()));
  VectorXd extra = VectorXd::Zero(weights.size());
  for (Index i = 0; i < weights.size(); ++i) weights[i] = std::exp(s.log_weights[at(i)]);
  if (prior_.null) extra[0] = prior_.null_penalty - 1.0;
  weights = mmash::climb_weights(bayes_factors(s, active), extra, weights);
  VectorXd next = updated_weights(stats);
  for (Index i = 0; i < weights.size(); ++i) next[at(i)] = std::log(weights[i]);
  return next.cwiseMax(kTinyLog) - parameters(s);
}

}  // namespace mixology
