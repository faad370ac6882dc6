// Variational Bayes for a mixture of negative binomials, in the form of engine/ascent.h.
//
//     pi ~ Dirichlet(alpha_0 / C),  log mu_k ~ N(m_0, v_0),  log phi_k ~ N(m_1, v_1),
//     z and x as in em_model.h; C counts the point mass at zero where there is one
//
// q(z) is categorical, q(pi) Dirichlet, and (log mu_k, log phi_k) are held at points, the modes of
// E_q log p. The bound, after a local update, is
//     sum_i log sum_k exp(E log pi_k + log f_k(x_i)) - KL(q(pi) | p(pi)) + log p(points).
// A component without cells goes to its prior mode and its weight to alpha_0 / C.
#pragma once

#include <algorithm>
#include <utility>

#include "models/nbmix/mixture.h"

namespace mixology {

struct NbmixPrior {
  double alpha = 1.0;  // alpha_0, shared out among the parts
  LogNormalPrior point;
  // Gibbs: mu_k ~ inverse gamma, conjugate given the rates
  double mean_shape = 0.5;
  double mean_rate = 1.0;
};

// KL(Dirichlet(a) | Dirichlet(b)).
inline double dirichlet_divergence(const VectorXd& a, const VectorXd& b) {
  double out = log_gamma(a.sum()) - log_gamma(b.sum());
  const double psi = digamma(a.sum());
  for (Index j = 0; j < a.size(); ++j) {
    out += log_gamma(b[j]) - log_gamma(a[j]) + (a[j] - b[j]) * (digamma(a[j]) - psi);
  }
  return out;
}

class NbmixVb {
 public:
  struct State {
    VectorXd dirichlet;
    std::vector<Component> component;
    ClimbTables tables;
    ArrayXXd a, b;
  };
  using Stats = PassSums;

  NbmixVb(const Gene& gene, const NbmixPrior& prior)
      : gene_(gene), prior_(prior), site_of_(item_sites(gene)), rounding_(density_rounding(gene)) {}

  Index items() const { return gene_.sites(); }
  Index chunk() const { return 4096; }
  double rounding() const { return rounding_; }

  State init(const Mixture& mixture) const {
    State state;
    state.dirichlet = gene_.n * mixture.weight.array() + prior_alpha(mixture.weight.size());
    state.component = mixture.component;
    for (Component& c : state.component) c.phi = std::max(c.phi, 1e-6);
    state.a.resize(gene_.sites(), mixture.k());  // written by every local update
    state.b.resize(gene_.sites(), mixture.k());
    state.tables.place(gene_, state.component);
    return state;
  }

  void forget(State& state) const {
    if (gene_.sites() > kManySites) state = load(save(state));
  }

  Stats update_local(State& state, Range range) const {
    VectorXd log_weight(state.dirichlet.size());
    const double total = digamma(state.dirichlet.sum());
    for (Index j = 0; j < log_weight.size(); ++j) {
      log_weight[j] = digamma(state.dirichlet[j]) - total;
    }
    state.tables.fill(gene_, state.component, range);
    return pass(gene_, {log_weight, state.component, state.tables.of}, site_of_, range,
                SiteWeights{&state.a, &state.b});
  }

  void update_global(State& state, const Stats& stats) const {
    state.dirichlet = stats.weight.cwiseMax(0.0).array() + prior_alpha(stats.weight.size());
    for (std::size_t j = 0; j < state.component.size(); ++j) {
      const auto col = static_cast<Index>(j);
      const ComponentSums sums{gene_, state.a.col(col), state.b.col(col), stats.h.col(col)};
      ComponentLikelihood(sums, &prior_.point).raise(state.component[j], state.tables.of[j], 3);
    }
    state.tables.has_logs = true;
  }

  double objective(const State& state, const Stats& stats) const {
    const Index parts = state.dirichlet.size();
    double out =
        stats.log_likelihood + gene_.constant -
        dirichlet_divergence(state.dirichlet, VectorXd::Constant(parts, prior_alpha(parts)));
    for (const Component& c : state.component) out += prior_.point.log_density(c);
    return out;
  }

  VectorXd parameters(const State& state) const {
    const Index parts = state.dirichlet.size();
    const Index k = static_cast<Index>(state.component.size());
    VectorXd out(parts + 2 * k);
    out.head(parts) = state.dirichlet.array().log();
    for (Index j = 0; j < k; ++j) {
      const Component& c = state.component[static_cast<std::size_t>(j)];
      out[parts + 2 * j] = c.eta;
      out[parts + 2 * j + 1] = std::log(c.phi);
    }
    return out;
  }

  // The weights of an extrapolated point keep their sum.
  void set_parameters(State& state, const VectorXd& theta) const {
    const Index parts = state.dirichlet.size();
    const double total = state.dirichlet.sum();
    const double least = prior_alpha(parts);
    state.dirichlet = theta.head(parts).array().exp().max(least);
    state.dirichlet *= total / state.dirichlet.sum();
    for (std::size_t j = 0; j < state.component.size(); ++j) {
      const Index at = parts + 2 * static_cast<Index>(j);
      state.component[j].eta = std::min(std::max(theta[at], kMinEta), kMaxEta);
      state.component[j].phi = std::exp(std::min(std::max(theta[at + 1], kMinPsi), kMaxPsi));
    }
    state.tables.place(gene_, state.component);
  }

  // Covariance of (weights, means, dispersions): that of the Dirichlet, and of the points by
  // Laplace's method with q(z) fixed.
  MatrixXd covariance(const State& state, const Stats& stats) const {
    const Index parts = state.dirichlet.size();
    MatrixXd out = MatrixXd::Zero(3 * parts, 3 * parts);
    const double total = state.dirichlet.sum();
    const VectorXd mean = state.dirichlet / total;
    out.topLeftCorner(parts, parts) = -mean * mean.transpose() / (total + 1.0);
    out.diagonal().head(parts) += mean / (total + 1.0);
    for (Index j = 0; j < parts; ++j) {
      if (j >= static_cast<Index>(state.component.size())) {  // the point mass: a weight, no more
        out(parts + j, parts + j) = out(2 * parts + j, 2 * parts + j) = kNaN;
        continue;
      }
      const Component& c = state.component[static_cast<std::size_t>(j)];
      const Eigen::Matrix2d v = point_covariance(state, stats, j);
      const double mu = std::exp(c.eta);
      const Index m = parts + j;
      const Index p = 2 * parts + j;
      out(m, m) = mu * mu * v(0, 0);
      out(m, p) = out(p, m) = mu * c.phi * v(0, 1);
      out(p, p) = c.phi * c.phi * v(1, 1);
    }
    return out;
  }

  // Adds components without cells, at the mode of their prior, up to `k`.
  Mixture with_empty(Mixture mixture, Index k) const {
    const Index have = mixture.k();
    VectorXd weight = VectorXd::Zero(k + mixture.weight.size() - have);
    weight.head(have) = mixture.weight.head(have);
    if (mixture.point_mass()) weight[k] = mixture.weight[have];
    mixture.weight = weight;
    mixture.component.resize(static_cast<std::size_t>(k),
                             {prior_.point.eta_mean, std::exp(prior_.point.psi_mean)});
    return mixture;
  }

  // 1/2 log det(2 pi V_k) summed over the components, V_k the covariance of (log mu_k, log phi_k).
  // Added to the bound it makes the points normals by Laplace's method: the sum does not change
  // with the units of the parameters or by an empty component, so that it compares different K.
  double point_entropy(const State& state, const Stats& stats) const {
    double out = 0.0;
    for (Index j = 0; j < static_cast<Index>(state.component.size()); ++j) {
      out += 2.0 * kHalfLog2Pi + 0.5 * std::log(point_covariance(state, stats, j).determinant());
    }
    return out;
  }

  // Starts are compared as different K are: by the bound alone a component split in two may win.
  double merit(const State& state, const Stats& stats, double) const {
    return objective(state, stats) + point_entropy(state, stats);
  }

  Archive save(const State& state) const {
    Archive archive;
    save_mixture(archive, {state.dirichlet, state.component}, "dirichlet");
    return archive;
  }

  // Of a state of its own, or of a mixture.
  State load(const Archive& archive) const {
    const bool exact = archive.has("dirichlet");
    const Mixture mixture = load_mixture(archive, exact ? "dirichlet" : "weight");
    State state = init(mixture);
    if (exact) state.dirichlet = mixture.weight;
    return state;
  }

 private:
  double prior_alpha(Index parts) const { return prior_.alpha / static_cast<double>(parts); }

  Eigen::Matrix2d point_covariance(const State& state, const Stats& stats, Index j) const {
    const ComponentSums sums{gene_, state.a.col(j), state.b.col(j), stats.h.col(j)};
    const auto at = static_cast<std::size_t>(j);
    const Slopes f =
        ComponentLikelihood(sums, &prior_.point).slopes(state.component[at], state.tables.of[at]);
    Eigen::Matrix2d precision;
    precision << -f.eta_eta, -f.eta_psi, -f.eta_psi, -f.psi_psi;
    if (!(precision(0, 0) > 0.0) || !(precision.determinant() > 0.0)) {
      return Eigen::Matrix2d::Constant(kNaN);
    }
    return precision.inverse();
  }

  const Gene& gene_;
  const NbmixPrior prior_;
  std::vector<Index> site_of_;
  const double rounding_;
};

}  // namespace mixology
