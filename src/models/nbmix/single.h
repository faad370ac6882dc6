// One component alone: Newton from moments, and the Cox-Reid adjusted dispersion
// (Cox & Reid 1987, J. R. Statist. Soc. B 49:1), which maximises over phi
//   l(mu, phi) - c/2 log sum_i s_i mu / (1 + phi s_i mu)
// at the mean that maximises l for that phi. c = 1 is the adjustment itself; c = .99 is what
// glmGamPoi uses, to keep the maximum finite.
#pragma once

#include "models/nbmix/mixture.h"

namespace mixology {

inline ComponentSums all_counts(const Gene& gene) {
  ComponentSums sums{gene, gene.zero_weight, ArrayXd::Zero(gene.sites()),
                     ArrayXd::Zero(gene.table.size())};
  for (Index i = 0; i < gene.sites(); ++i) {
    const Index end = gene.first_item[static_cast<std::size_t>(i) + 1];
    for (Index j = gene.first_item[static_cast<std::size_t>(i)]; j < end; ++j) {
      const auto item = static_cast<std::size_t>(j);
      sums.a[i] += gene.item_weight[item];
      sums.b[i] += gene.item_weight[item] * gene.item_x(j);
      sums.h[gene.item_count[item]] += gene.item_weight[item];
    }
  }
  return sums;
}

struct SingleFit {
  Component component;
  bool converged = true;
};

inline SingleFit fit_single(const ComponentSums& sums) {
  const ComponentLikelihood likelihood(sums);
  Component c = likelihood.poisson();
  const Component raised = likelihood.raise(c, 100);
  if (raised.phi == 0.0) return {raised, true};
  const Slopes at = likelihood.slopes(raised);
  const double size = std::abs(at.value) + 1.0;
  return {raised, std::abs(at.eta) + std::abs(at.psi) < 1e-6 * size};
}

constexpr double kCoxReidDamping = 0.99;

class CoxReid {
 public:
  explicit CoxReid(const ComponentSums& sums) : sums_(sums), likelihood_(sums) {}

  SingleFit fit() const {
    Component c = likelihood_.poisson();
    if (boundary_slope(c) <= 0.0) return {c, true};
    const double phi = likelihood_.moment_phi();
    c.phi = phi > 0.0 ? std::min(phi, 1e3) : 1e-3;
    for (int sweep = 0; sweep < 200; ++sweep) {
      const Component old = c;
      settle_mean(c);
      settle_dispersion(c);
      if (std::abs(c.eta - old.eta) + std::abs(std::log(c.phi / old.phi)) < 1e-11) {
        return {c, true};
      }
    }
    return {c, false};
  }

 private:
  // Slope in phi at phi = 0 of likelihood and adjustment.
  double boundary_slope(const Component& c) const {
    const ArrayXd mean = sums_.gene.s * std::exp(c.eta);
    return likelihood_.boundary_score() +
           0.5 * kCoxReidDamping * (sums_.a * mean.square()).sum() / (sums_.a * mean).sum();
  }

  void settle_mean(Component& c) const {
    for (int i = 0; i < 50; ++i) {
      const Slopes f = likelihood_.slopes(c);
      const double step = std::min(std::max(-f.eta / f.eta_eta, -1.0), 1.0);
      c.eta += step;
      if (std::abs(step) < 1e-12) return;
    }
  }

  // Adjustment and its slopes in psi; w = s mu / (1 + s u), v = s u / (1 + s u).
  void settle_dispersion(Component& c) const {
    for (int i = 0; i < 100; ++i) {
      const Slopes f = likelihood_.slopes(c);
      const ArrayXd mean = sums_.gene.s * std::exp(c.eta);
      const ArrayXd v = mean * c.phi / (1.0 + mean * c.phi);
      const ArrayXd w = sums_.a * mean / (1.0 + mean * c.phi);
      const double wv = (w * v).sum() / w.sum();
      const double half = 0.5 * kCoxReidDamping;
      const double slope = f.psi + half * wv;
      const double bend =
          f.psi_psi + half * ((w * v * (1.0 - 2.0 * v)).sum() / w.sum() + wv * wv);
      double step = bend < 0.0 ? -slope / bend : std::copysign(1.0, slope);
      step = std::min(std::max(step, -1.0), 1.0);
      const double psi = std::min(std::max(std::log(c.phi) + step, kMinPsi), kMaxPsi);
      c.phi = std::exp(psi);
      if (std::abs(step) < 1e-12) return;
    }
  }

  const ComponentSums& sums_;
  ComponentLikelihood likelihood_;
};

}  // namespace mixology
