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

inline SingleFit fit_single(const ComponentSums& sums, Monitor* monitor = nullptr) {
  const ComponentLikelihood likelihood(sums);
  Component c = likelihood.poisson();
  ComponentTables tables = component_tables(sums.gene, c);
  likelihood.raise(c, tables, 100, 1e-7, monitor);
  if (c.phi == 0.0) return {c, true};
  const Slopes at = likelihood.slopes(c, tables);
  const double size = std::abs(at.value) + 1.0;
  return {c, std::abs(at.eta) + std::abs(at.psi) < 1e-6 * size};
}

constexpr double kCoxReidDamping = 0.99;

class CoxReid {
 public:
  explicit CoxReid(const ComponentSums& sums, Monitor* monitor = nullptr)
      : sums_(sums), likelihood_(sums), monitor_(monitor) {}

  SingleFit fit() const {
    const Component poisson = likelihood_.poisson();
    if (boundary_slope(poisson) <= 0.0) return {poisson, true};
    const double phi = likelihood_.moment_phi();
    Component c{poisson.eta, phi > 0.0 ? std::min(phi, 1e3) : 1e-3};
    // A bracket of the root of the slope, then the Illinois form of false position.
    double low = std::log(c.phi), high = low;
    double f_low = slope(c, low), f_high = f_low;
    while (f_low < 0.0 && low > kMinPsi && !stopped()) {
      high = low, f_high = f_low;
      f_low = slope(c, low -= 1.0);
    }
    while (f_high > 0.0 && high < kMaxPsi && !stopped()) {
      low = high, f_low = f_high;
      f_high = slope(c, high += 1.0);
    }
    bool last_low = false, last_high = false;
    for (int i = 0; i < 200 && !stopped(); ++i) {
      const double width = high - low;
      double at = f_low == f_high ? low : low + width * f_low / (f_low - f_high);
      if (!(at > low && at < high)) at = 0.5 * (low + high);
      const double f = slope(c, at);
      if (std::abs(width) < 1e-12 || f == 0.0) return {c, true};
      if (f > 0.0) {
        if (last_low) f_high *= 0.5;
        if (at - low < 1e-13) return {c, true};
        low = at, f_low = f, last_low = true, last_high = false;
      } else {
        if (last_high) f_low *= 0.5;
        if (high - at < 1e-13) return {c, true};
        high = at, f_high = f, last_high = true, last_low = false;
      }
    }
    return {c, false};
  }

 private:
  bool stopped() const { return monitor_ != nullptr && monitor_->tick(0, 0.0) == Action::stop; }

  // Slope in phi at phi = 0 of the adjusted profile likelihood; the mean moves with phi by
  // -sum (x - m) m / sum m.
  double boundary_slope(const Component& c) const {
    const double mu = std::exp(c.eta);
    const ArrayXd& s = sums_.gene.s;
    const double square = mu * mu * (sums_.a * s.square()).sum();
    const double drift = mu * (sums_.b * s).sum() - square;
    return likelihood_.boundary_score() +
           0.5 * kCoxReidDamping * (square + drift) / (mu * sums_.sum_zs());
  }

  // Slope in psi = log phi of the adjusted profile likelihood at `psi`; leaves the profile's mean
  // and phi in c. w = s mu / (1 + s u), v = s u / (1 + s u).
  double slope(Component& c, double psi) const {
    c.phi = std::exp(psi);
    ComponentTables tables = component_tables(sums_.gene, c);
    Slopes f = likelihood_.slopes(c, tables);
    for (int i = 0; i < 50; ++i) {
      const double step = std::min(std::max(-f.eta / f.eta_eta, -1.0), 1.0);
      c.eta += step;
      tables.logs = site_logs(sums_.gene.s, c);
      f = likelihood_.slopes(c, tables);
      if (std::abs(step) < 1e-11) break;
    }
    const ArrayXd t = sums_.gene.s * (std::exp(c.eta) * c.phi);
    const ArrayXd v = t / (1.0 + t);
    const ArrayXd w = sums_.a * (t / c.phi) / (1.0 + t);
    const double along_psi = (w * v).sum() / w.sum();
    const double along_eta = -(w * (1.0 - v)).sum() / w.sum();
    const double drift = -f.eta_psi / f.eta_eta;
    return f.psi + 0.5 * kCoxReidDamping * (along_psi + along_eta * drift);
  }

  const ComponentSums& sums_;
  ComponentLikelihood likelihood_;
  Monitor* monitor_;
};

}  // namespace mixology
