// Signals and the posterior of each signal's single causal SNP.
//
// SNPs that probably have an effect are grouped around the most probable of each group, the most
// correlated first, as long as their inclusion probabilities do not add up to more than one causal
// SNP can have: two correlated SNPs that both have an effect are two signals. A group whose
// probabilities add up to a half is a signal. Its effects are put back into the residual, from which
// those of all other signals stay taken off, and every SNP is asked how well it explains what is
// there alone:
//   alpha_p prop. to sum over components but the null of pi_t BF_t(phi_p)
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "models/mmash.h"

namespace mixology {
namespace mmash {

struct Signal {
  Index lead = 0;
  double mass = 0.0;            // sum of the inclusion probabilities of its SNPs
  std::vector<Index> members;   // SNPs whose effects make up the signal
  std::vector<Index> variants;  // by decreasing probability
  std::vector<double> probability;
  MatrixXd correlation;  // of `variants`
};

struct SignalOptions {
  double candidate = 0.05;   // inclusion probability from which a SNP may belong to a signal
  double together = 0.5;     // |correlation| that lets a SNP into the group of another ...
  double most_mass = 1.1;    // ... whose probabilities may add up to this ...
  double same = 0.99;        // ... unless the SNPs are as good as one
  double mass = 0.5;         // of a group that is a signal
  double negligible = 1e-6;  // probability below which a SNP is not listed
  Index most_candidates = 200;
  Index most_signals = 50;
  Index most_variants = 100;  // listed for a signal
  Index numbers = 20000000;   // doubles in memory at a time
};

class SignalFinder {
 public:
  SignalFinder(const Mmash& model, const Mmash::State& state, const SignalOptions& options)
      : model_(model), state_(state), options_(options) {}

  std::vector<Signal> find(const VectorXd& pip) {
    std::vector<Signal> signals = groups(pip);
    if (signals.empty()) return signals;
    // one pass over the SNPs for as many signals as fit into the memory allowed
    const Index size = state_.residual.rows() * model_.conditions();
    const Index all = static_cast<Index>(signals.size());
    const Index at_once = model_.complete() ? all : std::max<Index>(1, options_.numbers / size);
    for (Index i = 0; i < all; i += at_once) score_all(signals, {i, std::min(i + at_once, all)});
    return signals;
  }

 private:
  const Design& design() const { return model_.design(); }

  void score_all(std::vector<Signal>& signals, Range range) const {
    const MatrixXd evidence = all_evidence(signals, range);
    Workspace w;
    state_.mixture->reserve(w);
    MatrixXd score(model_.cols(), range.size());
    for (Index p = 0; p < model_.cols(); ++p) score_snp(p, evidence, w, score);
    for (Index s = 0; s < range.size(); ++s) {
      Signal& signal = signals[static_cast<std::size_t>(range.begin + s)];
      list_variants(score.col(s), signal);
      signal.correlation = correlations(design(), signal.variants);
    }
  }

  std::vector<Signal> groups(const VectorXd& pip) const {
    std::vector<Index> order;
    for (Index p = 0; p < pip.size(); ++p) {
      if (pip[p] >= options_.candidate && design().square(p) > 0.0) order.push_back(p);
    }
    std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return pip[a] > pip[b]; });
    const auto most = static_cast<std::size_t>(std::max<Index>(
        1, std::min(options_.most_candidates, options_.numbers / design().leading())));
    if (order.size() > most) order.resize(most);
    const MatrixXd r = correlations(design(), order);
    std::vector<bool> used(order.size(), false);
    std::vector<Signal> out;
    for (std::size_t a = 0; a < order.size(); ++a) {
      if (static_cast<Index>(out.size()) >= options_.most_signals) break;
      if (used[a]) continue;
      Signal signal = grow(static_cast<Index>(a), order, pip, r, used);
      if (signal.mass >= options_.mass) out.push_back(std::move(signal));
    }
    return out;
  }

  // The group of order[lead], of those not used yet.
  Signal grow(Index lead, const std::vector<Index>& order, const VectorXd& pip, const MatrixXd& r,
              std::vector<bool>& used) const {
    std::vector<Index> near;
    for (Index b = lead; b < r.cols(); ++b) {
      const bool close = b == lead || std::abs(r(lead, b)) >= options_.together;
      if (close && !used[static_cast<std::size_t>(b)]) near.push_back(b);
    }
    std::stable_sort(near.begin() + 1, near.end(),
                     [&](Index a, Index b) { return std::abs(r(lead, a)) > std::abs(r(lead, b)); });
    Signal out;
    out.lead = order[static_cast<std::size_t>(lead)];
    for (Index b : near) {
      const Index snp = order[static_cast<std::size_t>(b)];
      const bool same = b == lead || std::abs(r(lead, b)) >= options_.same;
      if (!same && out.mass + pip[snp] > options_.most_mass) continue;
      used[static_cast<std::size_t>(b)] = true;
      out.members.push_back(snp);
      out.mass += pip[snp];
    }
    return out;
  }

  VectorXd column(Index p) const {
    VectorXd out = VectorXd::Zero(design().leading());
    design().column(p, out.data());
    return out;
  }

  // X'right, which sufficient statistics have as it is.
  MatrixXd products(const MatrixXd& right) const {
    return model_.data().gram ? right.topRows(model_.cols()) : mmash::products(design(), right);
  }

  // phi of every SNP for each signal of the range: column s J + j, row p.
  MatrixXd all_evidence(const std::vector<Signal>& signals, Range range) const {
    return model_.complete() ? complete_evidence(signals, range) : pattern_evidence(signals, range);
  }

  // With a signal's effects put back into R, phi_p = Sigma^-1 (R'x_p + sum_q beta_q x_q'x_p).
  MatrixXd complete_evidence(const std::vector<Signal>& signals, Range range) const {
    const Index nj = model_.conditions();
    std::vector<Index> members;
    for (Index s = range.begin; s < range.end; ++s) {
      const Signal& signal = signals[static_cast<std::size_t>(s)];
      members.insert(members.end(), signal.members.begin(), signal.members.end());
    }
    MatrixXd stacked(state_.residual.rows(), nj + static_cast<Index>(members.size()));
    stacked.leftCols(nj) = state_.residual;
    for (std::size_t i = 0; i < members.size(); ++i) {
      stacked.col(nj + static_cast<Index>(i)) = column(members[i]);
    }
    const MatrixXd product = products(stacked);
    MatrixXd out(model_.cols(), nj * range.size());
    Index next = nj;
    for (Index s = 0; s < range.size(); ++s) {
      MatrixXd raw = product.leftCols(nj);
      for (Index q : signals[static_cast<std::size_t>(range.begin + s)].members) {
        raw += product.col(next++) * state_.mean.col(q).transpose();
      }
      out.middleCols(s * nj, nj) = raw * state_.inverse.inverse;
    }
    return out;
  }

  // Where responses have gaps the rows of the residual are weighted each by its precision.
  MatrixXd pattern_evidence(const std::vector<Signal>& signals, Range range) const {
    const Index nj = model_.conditions();
    MatrixXd stacked(state_.residual.rows(), nj * range.size());
    for (Index s = 0; s < range.size(); ++s) {
      stacked.middleCols(s * nj, nj) =
          weighted_residual(signals[static_cast<std::size_t>(range.begin + s)]);
    }
    return products(stacked);
  }

  MatrixXd weighted_residual(const Signal& signal) const {
    MatrixXd residual = state_.residual;
    const MatrixXd& z = model_.data().fixed;
    for (Index q : signal.members) {
      residual += column(q) * state_.mean.col(q).transpose();
      const Profile at = profile(state_.precision, model_.pattern_sums(), q);
      residual.topRows(z.rows()) -= z * at.moved(state_.mean.col(q), z.cols());
    }
    MatrixXd weighted = MatrixXd::Zero(residual.rows(), residual.cols());
    for (std::size_t m = 0; m < model_.data().patterns.size(); ++m) {
      const Pattern& at = model_.data().patterns[m];
      weighted.middleRows(at.begin, at.size()) =
          residual.middleRows(at.begin, at.size()) * state_.precision.padded[m];
    }
    return weighted;
  }

  void score_snp(Index p, const MatrixXd& evidence, Workspace& w, MatrixXd& score) const {
    const Index nj = model_.conditions();
    score.row(p).setConstant(Mixture::kNever);
    if (design().square(p) <= 0.0) return;
    const bool own = !model_.complete();
    const Mixture local = own ? model_.mixture_of(state_, p) : *state_.mixture;
    if (own) local.reserve(w);
    for (Index s = 0; s < score.cols(); ++s) {
      const VectorXd phi = evidence.block(p, s * nj, 1, nj).transpose();
      const double log_bf = local.update(phi.data(), own ? 1.0 : design().square(p), w);
      const double null = w.alpha[static_cast<std::size_t>(local.matrices() * local.lanes())];
      score(p, s) = log_bf + std::log(std::max(1.0 - null, 1e-300));
    }
  }

  void list_variants(const VectorXd& score, Signal& signal) const {
    const VectorXd weight = (score.array() - score.maxCoeff()).max(-700.0).exp();
    const double total = weight.sum();
    std::vector<Index> order(static_cast<std::size_t>(weight.size()));
    std::iota(order.begin(), order.end(), Index(0));
    std::stable_sort(order.begin(), order.end(),
                     [&](Index a, Index b) { return weight[a] > weight[b]; });
    for (Index p : order) {
      if (static_cast<Index>(signal.variants.size()) >= options_.most_variants) break;
      if (weight[p] < options_.negligible * total) break;
      signal.variants.push_back(p);
      signal.probability.push_back(weight[p] / total);
    }
  }

  const Mmash& model_;
  const Mmash::State& state_;
  SignalOptions options_;
};

}  // namespace mmash
}  // namespace mixology
