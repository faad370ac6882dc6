// EM for a mixture of negative binomials, in the form that engine/ascent.h iterates.
//
//     z_i ~ Categorical(pi_1..pi_K),  lambda_i | z_i = k ~ Gamma(1 / phi_k, rate 1 / (phi_k mu_k)),
//     x_i | lambda_i ~ Poisson(s_i lambda_i)
//
// so that x_i | z_i = k is negative binomial with mean s_i mu_k and dispersion phi_k. The M step of
// a component is a Newton step in (log mu, log phi) that never lowers its weighted likelihood.
#pragma once

#include <Eigen/Eigenvalues>
#include <utility>

#include "models/nbmix/information.h"

namespace mixology {

class NbmixEm {
 public:
  struct State {
    Mixture mixture;
    ClimbTables tables;
    ArrayXXd a, b;  // expected weights of the sites, and of their counts
  };
  using Stats = PassSums;

  explicit NbmixEm(const Gene& gene)
      : gene_(gene), site_of_(item_sites(gene)), rounding_(density_rounding(gene)) {}

  Index items() const { return gene_.sites(); }
  Index chunk() const { return 4096; }
  double rounding() const { return rounding_; }
  const Gene& gene() const { return gene_; }

  State init(Mixture mixture) const {
    State state;
    state.a.resize(gene_.sites(), mixture.k());  // written by every local update
    state.b.resize(gene_.sites(), mixture.k());
    state.mixture = std::move(mixture);
    state.tables.place(gene_, state.mixture.component);
    return state;
  }

  void forget(State& state) const {
    if (gene_.sites() > kManySites) state = init(std::move(state.mixture));
  }

  Stats update_local(State& state, Range range) const {
    const Mixture& m = state.mixture;
    state.tables.fill(gene_, m.component, range);
    return pass(gene_, {log_weights(m), m.component, state.tables.of}, site_of_, range,
                SiteWeights{&state.a, &state.b});
  }

  void update_global(State& state, const Stats& stats) const {
    state.mixture.weight = stats.weight.cwiseMax(0.0) / stats.weight.cwiseMax(0.0).sum();
    for (Index j = 0; j < state.mixture.k(); ++j) {
      if (stats.weight[j] < 1e-10) continue;  // nothing left to learn from
      const ComponentSums sums{gene_, state.a.col(j), state.b.col(j), stats.h.col(j)};
      const auto at = static_cast<std::size_t>(j);
      ComponentLikelihood(sums).raise(state.mixture.component[at], state.tables.of[at], kSteps,
                                      kLongStep);
    }
    state.tables.has_logs = true;
  }

  double objective(const State&, const Stats& stats) const {
    return stats.log_likelihood + gene_.constant;
  }

  // log weights, then (eta, psi) of every component; psi of a Poisson stays at kPoissonPsi.
  VectorXd parameters(const State& state) const {
    const Mixture& m = state.mixture;
    VectorXd out(m.weight.size() + 2 * m.k());
    out.head(m.weight.size()) = m.weight.array().max(1e-300).log();
    for (Index j = 0; j < m.k(); ++j) {
      const Component& c = m.component[static_cast<std::size_t>(j)];
      out[m.weight.size() + 2 * j] = c.eta;
      out[m.weight.size() + 2 * j + 1] = c.phi > 0.0 ? std::log(c.phi) : kPoissonPsi;
    }
    return out;
  }

  void set_parameters(State& state, const VectorXd& theta) const {
    Mixture& m = state.mixture;
    const Index parts = m.weight.size();
    const double top = theta.head(parts).maxCoeff();
    m.weight = (theta.head(parts).array() - top).exp();
    m.weight /= m.weight.sum();
    for (Index j = 0; j < m.k(); ++j) {
      Component& c = m.component[static_cast<std::size_t>(j)];
      const double psi = theta[parts + 2 * j + 1];
      c.eta = std::min(std::max(theta[parts + 2 * j], kMinEta), kMaxEta);
      c.phi = psi < kMinPsi ? 0.0 : std::exp(std::min(psi, kMaxPsi));
    }
    state.tables.place(gene_, m.component);
  }

  VectorXd own_step(const State& state, const Stats& stats) const {
    return newton_direction(state, stats);
  }

  // Newton's direction on the observed likelihood, in the order of parameters(). Directions in
  // which the likelihood is not concave are climbed by their slope.
  VectorXd newton_direction(const State& state, const Stats& stats) const {
    const Curvature at = observed(state, stats);
    const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(at.hessian);
    const VectorXd along = eigen.eigenvectors().transpose() * at.gradient;
    const double floor = 1e-9 * eigen.eigenvalues().cwiseAbs().maxCoeff() + 1e-12;
    VectorXd step = VectorXd::Zero(along.size());
    for (Index i = 0; i < along.size(); ++i) {
      step[i] = along[i] / std::max(std::abs(eigen.eigenvalues()[i]), floor);
    }
    step = eigen.eigenvectors() * step;
    const double longest = step.cwiseAbs().maxCoeff();
    if (longest > 2.0) step *= 2.0 / longest;
    const Index free = state.mixture.weight.size() - 1;
    VectorXd out = VectorXd::Zero(step.size() + 1);  // the last log weight is the reference
    out.head(free) = step.head(free);
    out.tail(step.size() - free) = step.tail(step.size() - free);
    return out;
  }

  Curvature observed(const State& state, const Stats& stats) const {
    return curvature(gene_, site_of_, state, stats);
  }

  Archive save(const State& state) const {
    Archive archive;
    save_mixture(archive, state.mixture);
    return archive;
  }

  State load(const Archive& archive) const { return init(load_mixture(archive)); }

 private:
  static constexpr int kSteps = 2;           // of Newton in an M step, the second only when
  static constexpr double kLongStep = 0.01;  // the first was longer than this
  static constexpr double kPoissonPsi = kMinPsi - 1.0;

  const Gene& gene_;
  std::vector<Index> site_of_;
  const double rounding_;
};

}  // namespace mixology
