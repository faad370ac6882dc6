// One negative binomial component and its weighted log likelihood
//   Q(mu, phi) = sum z [x log mu - (x + r) log(1 + s u) + R(x; phi)],  r = 1 / phi, u = mu phi,
// over weighted counts z, of which only sums per site and per distinct count are needed:
//   a = sum z and b = sum z x at each site, h = sum z at each distinct count.
// Newton works on (eta, psi) = (log mu, log phi) and never lets Q fall. phi = 0 is the Poisson.
#pragma once

#include <cmath>
#include <utility>

#include "core/monitor.h"
#include "core/special.h"
#include "models/nbmix/gene.h"
#include "models/nbmix/kernels.h"

namespace mixology {

struct Component {
  double eta = 0.0;  // log mean of a cell with size factor 1
  double phi = 0.0;  // dispersion
};

constexpr double kMinEta = -60.0;
constexpr double kMaxEta = 60.0;
constexpr double kMaxPsi = 16.0;   // phi = 9e6
constexpr double kMinPsi = -42.0;  // phi = 6e-19: the Poisson to the last bit

// L = log(1 + s mu phi) at the sites.
template <class Sites>
ArrayXd site_logs(const Sites& s, const Component& c) {
  ArrayXd out = s * (std::exp(c.eta) * c.phi);
  if (c.phi == 0.0) return out;
  array_log1p(out.data(), out.data(), out.size());
  return out;
}

// -log probability of a zero at the sites: r L, or s mu in the limit.
template <class Sites, class Logs>
ArrayXd zero_costs(const Sites& s, const Logs& logs, const Component& c) {
  if (c.phi == 0.0) return s * std::exp(c.eta);
  return logs * (1.0 / c.phi);
}

// All that a component costs to evaluate on a gene, made once at every point that is visited.
struct ComponentTables {
  ArrayXd logs;         // L at the sites
  RisingSlopes rising;  // R of the distinct counts
};

inline ComponentTables component_tables(const Gene& gene, const Component& c) {
  return {site_logs(gene.s, c), gene.table.slopes(c.phi)};
}

struct ComponentSums {
  const Gene& gene;
  ArrayXd a;
  ArrayXd b;
  ArrayXd h;
  double sum_zx() const { return b.sum(); }
  double sum_zs() const { return (a * gene.s).sum(); }
};

struct Slopes {
  double value = 0.0;
  double eta = 0.0, psi = 0.0;                         // gradient
  double eta_eta = 0.0, eta_psi = 0.0, psi_psi = 0.0;  // Hessian
};

// log mu ~ N(eta_mean, eta_var), log phi ~ N(psi_mean, psi_var).
struct LogNormalPrior {
  double eta_mean = 0.0, eta_var = 9.0;
  double psi_mean = -2.0, psi_var = 4.0;

  double log_density(const Component& c) const {
    const double eta = c.eta - eta_mean;
    const double psi = std::log(c.phi) - psi_mean;
    return -0.5 * (eta * eta / eta_var + psi * psi / psi_var + std::log(eta_var * psi_var)) -
           2.0 * kHalfLog2Pi;
  }
};

class ComponentLikelihood {
 public:
  // With a prior the function is the log posterior of the component, and phi is never 0.
  explicit ComponentLikelihood(const ComponentSums& sums, const LogNormalPrior* prior = nullptr)
      : sums_(sums), zx_(sums.sum_zx()), prior_(prior) {}

  double value(const Component& c) const {
    const ArrayXd logs = site_logs(sums_.gene.s, c);
    double out = zx_ * c.eta - (sums_.a * zero_costs(sums_.gene.s, logs, c)).sum();
    if (c.phi > 0.0) {
      out += (sums_.h * sums_.gene.table.value(c.phi)).sum() - (sums_.b * logs).sum();
    }
    return out + (prior_ != nullptr ? prior_->log_density(c) : 0.0);
  }

  // Value, gradient and Hessian in (eta, psi); phi must be positive.
  Slopes slopes(const Component& c) const { return slopes(c, component_tables(sums_.gene, c)); }
  Slopes slopes(const Component& c, const ComponentTables& at) const {
    const double r = 1.0 / c.phi;
    const double u = std::exp(c.eta) * c.phi;
    const ArrayXd v = sums_.gene.s * u / (1.0 + sums_.gene.s * u);
    const ArrayXd a_v = sums_.a * v;
    const ArrayXd b_v = sums_.b * v;
    const double bv = b_v.sum();
    const double bvv = array_dot(b_v, v);
    const double av = a_v.sum();
    const double avv = array_dot(a_v, v);
    const double al = array_dot(sums_.a, at.logs);
    const double rise = c.phi * array_dot(sums_.h, at.rising.first);
    Slopes out;
    out.value =
        zx_ * c.eta - array_dot(sums_.b, at.logs) - r * al + array_dot(sums_.h, at.rising.value);
    out.eta = zx_ - bv - r * av;
    out.psi = rise - bv - r * (av - al);
    out.eta_eta = -(bv - bvv) - r * (av - avv);
    out.eta_psi = -(bv - bvv) + r * avv;
    out.psi_psi = rise + c.phi * c.phi * array_dot(sums_.h, at.rising.second) - (bv - bvv) -
                  r * (al - av - avv);
    if (prior_ != nullptr) add_prior(c, out);
    return out;
  }

  // Maximum over the mean at phi = 0.
  Component poisson() const {
    const double mean = zx_ / sums_.sum_zs();
    return {std::min(std::max(std::log(mean), kMinEta), kMaxEta), 0.0};
  }

  // Score in phi at phi = 0: 1/2 sum z [(x - s m)^2 - x].
  double boundary_score() const { return 0.5 * excess(std::exp(poisson().eta)); }

  // Moment estimate of phi with the mean of the Poisson limit.
  double moment_phi() const {
    const double mean = std::exp(poisson().eta);
    const double denominator = mean * mean * (sums_.a * sums_.gene.s.square()).sum();
    return excess(mean) / denominator;
  }

  // Raises Q from `c` by at most `steps` Newton steps, fewer when a monitor says stop or after one
  // shorter than `enough`; the result is never worse than `c`. `at` are the tables of c, and of where
  // it ends.
  void raise(Component& c, ComponentTables& at, int steps, double enough = 1e-7,
             Monitor* monitor = nullptr) const {
    if (prior_ == nullptr && !may_step(c, at)) return;
    Slopes here = slopes(c, at);
    for (int i = 0; i < steps; ++i) {
      if (!(newton(c, at, here) > enough)) break;
      if (monitor != nullptr && monitor->tick(i, here.value) == Action::stop) break;
    }
  }
  Component raise(Component c, int steps) const {
    ComponentTables at = component_tables(sums_.gene, c);
    raise(c, at, steps);
    return c;
  }

 private:
  // Goes to the Poisson limit where that is best, or leaves it; false when nothing is left to do.
  bool may_step(Component& c, ComponentTables& at) const {
    if (!(zx_ > 0.0) || !(sums_.sum_zs() > 0.0)) return false;
    const Component limit = poisson();
    const bool poisson_best =
        boundary_score() <= 0.0 && value(limit) >= (c.phi > 0.0 ? slopes(c, at).value : value(c));
    if (c.phi > 0.0 && !poisson_best) return true;
    const bool left = !poisson_best && leave_boundary(c);
    if (poisson_best) c = limit;
    at = component_tables(sums_.gene, c);
    return left;
  }

  void add_prior(const Component& c, Slopes& out) const {
    const double eta = c.eta - prior_->eta_mean;
    const double psi = std::log(c.phi) - prior_->psi_mean;
    out.value += prior_->log_density(c);
    out.eta -= eta / prior_->eta_var;
    out.psi -= psi / prior_->psi_var;
    out.eta_eta -= 1.0 / prior_->eta_var;
    out.psi_psi -= 1.0 / prior_->psi_var;
  }

  double excess(double mean) const {
    const Gene& g = sums_.gene;
    const double xx = (sums_.h * g.table.counts().square()).sum();
    const double xs = (sums_.b * g.s).sum();
    const double ss = (sums_.a * g.s.square()).sum();
    return xx - 2.0 * mean * xs + mean * mean * ss - zx_;
  }

  bool leave_boundary(Component& c) const {
    const Component start = poisson();
    const double floor = std::max(value(start), value(c));
    double phi = moment_phi();
    for (int i = 0; i < 40 && phi > 0.0; ++i, phi *= 0.5) {
      const Component trial{start.eta, std::min(phi, std::exp(kMaxPsi))};
      if (value(trial) >= floor) {
        c = trial;
        return true;
      }
    }
    if (value(start) >= value(c)) c = start;
    return false;
  }

  // One step, after which `at` and `f` are those of where c is. Its full length; 0 when nothing more
  // is to be gained.
  double newton(Component& c, ComponentTables& at, Slopes& f) const {
    const double middle = 0.5 * (f.eta_eta + f.psi_psi);
    const double radius = std::hypot(0.5 * (f.eta_eta - f.psi_psi), f.eta_psi);
    double ee = f.eta_eta, pp = f.psi_psi, ep = f.eta_psi;
    if (middle + radius >= 0.0) {  // not concave here: climb along each axis on its own
      ee = std::min(ee, -1e-8 - std::abs(f.eta));
      pp = -std::abs(pp) - 0.1 * std::abs(f.psi) - 1e-8;
      ep = 0.0;
    }
    const double det = ee * pp - ep * ep;
    double d_eta = -(pp * f.eta - ep * f.psi) / det;
    double d_psi = -(ee * f.psi - ep * f.eta) / det;
    const double longest = std::max(std::abs(d_eta), std::abs(d_psi));
    if (!std::isfinite(longest) || longest < 1e-10) return 0.0;
    // Close to the maximum the value can no longer tell a step from rounding; the slopes can.
    const double slack = longest < 1e-4 ? 1e-14 * (std::abs(f.value) + 1.0) : 0.0;
    double step = longest > 2.0 ? 2.0 / longest : 1.0;
    for (int half = 0; half < 30; ++half, step *= 0.5) {
      Component trial;
      trial.eta = std::min(std::max(c.eta + step * d_eta, kMinEta), kMaxEta);
      trial.phi = std::exp(std::min(std::max(std::log(c.phi) + step * d_psi, kMinPsi), kMaxPsi));
      ComponentTables trial_at = component_tables(sums_.gene, trial);
      const Slopes there = slopes(trial, trial_at);
      if (there.value - f.value >= -slack) {
        c = trial;
        at = std::move(trial_at);
        f = there;
        return longest;
      }
    }
    return 0.0;
  }

  const ComponentSums& sums_;
  const double zx_;
  const LogNormalPrior* prior_;
};

}  // namespace mixology
