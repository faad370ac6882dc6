// Gibbs sampling of the model of mmash.h.
//
// One sweep: for p = 1, ..., P the component of beta_p and then beta_p itself, given the others;
//   pi ~ Dirichlet(null penalty + n_0, 1 / (T - 1) + n_t)
//   Sigma given R'R (residual_draw.h), the prior mean of its diagonal being that of the residual
//   covariance where the fit started
// Intercept and covariates have a flat prior and are integrated out, which leaves N - 1 - f
// residuals. With gaps in Y, B is drawn given what is observed alone, their coefficients and the
// missing residuals just before Sigma.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/rng.h"
#include "engine/gibbs.h"
#include "models/mmash.h"
#include "models/mmash/residual_draw.h"

namespace mixology {

class MmashGibbs {
 public:
  struct State {
    Mmash::State model;                        // its mean is the current draw of B
    double kept = 0.0;                         // sweeps behind the sums
    MatrixXd sum, square, positive, negative;  // J x P
    VectorXd null;                             // P, sums of probabilities
    VectorXd effects;                          // P, sweeps whose draw was not the null
    VectorXd weights;
    MatrixXd sigma;
  };

  // Sums begin after `warmup`; the draws kept have the effects among them or not.
  MmashGibbs(const Mmash& model, VectorXd prior_variance, int warmup, bool keep_effects)
      : model_(model),
        residual_(model.options().residual, model.options().rank, std::move(prior_variance)),
        warmup_(warmup),
        keep_effects_(keep_effects) {}

  State init(Mmash::State start) const {
    State s;
    s.sum = MatrixXd::Zero(start.mean.rows(), start.mean.cols());
    s.square = s.positive = s.negative = s.sum;
    s.null = s.effects = VectorXd::Zero(start.mean.cols());
    s.weights = VectorXd::Zero(start.log_weights.size());
    s.sigma = MatrixXd::Zero(start.sigma.rows(), start.sigma.cols());
    s.model = std::move(start);
    return s;
  }

  void gibbs_sweep(State& s, const SweepKey& key, Executor&, Monitor& watch) const {
    Rng rng(key.seed, key.chain, key.iteration);
    const bool summing = key.iteration >= static_cast<std::uint64_t>(warmup_);
    VectorXd count = VectorXd::Zero(model_.prior().components());
    mmash::Workspace w;
    s.model.mixture->reserve(w);
    model_.visit_all(s.model, w, watch,
                     [&](Index p, const mmash::Mixture& m, const double* phi, double d,
                         mmash::Workspace& work) -> const VectorXd& {
                       m.update(phi, d, work);
                       rng.move_to(key.iteration, static_cast<std::uint64_t>(p));
                       if (summing && m.prior().null) s.null[p] += null_probability(m, work);
                       const Index drawn = draw_effect(m, work, rng);
                       count[drawn] += 1.0;
                       if (summing && !(m.prior().null && drawn == 0)) s.effects[p] += 1.0;
                       return work.mean;
                     });
    if (watch.stopped()) return;
    const auto site = static_cast<std::uint64_t>(model_.cols());
    if (model_.options().learn_weights) {
      rng.move_to(key.iteration, site);
      s.model.log_weights = rng.log_dirichlet(count + concentration());
      if (!model_.options().learn_residual) model_.set_mixture(s.model);
    }
    if (model_.options().learn_residual) {
      rng.move_to(key.iteration, site + 1);
      draw_residual(s.model, rng);
    }
    if (summing) add(s);
  }

  VectorXd draw(const State& s) const {
    const Index effects = keep_effects_ ? s.model.mean.size() : 0;
    const Index nj = model_.conditions();
    const Index parts = model_.prior().components();
    VectorXd out(effects + parts + nj * (nj + 1) / 2 + 1);
    if (keep_effects_) {
      const MatrixXd scaled = s.model.mean * model_.design().scale().cwiseInverse().asDiagonal();
      out.head(effects) = Eigen::Map<const VectorXd>(scaled.data(), effects);
    }
    out.segment(effects, parts) = s.model.log_weights.array().exp();
    Index at = effects + parts;
    for (Index b = 0; b < nj; ++b) {
      for (Index a = b; a < nj; ++a) out[at++] = s.model.sigma(a, b);
    }
    out[at] = model_.log_likelihood(s.model);
    return out;
  }

  Archive save(const State& s) const {
    Archive out = model_.save(s.model);
    out.put("kept", s.kept);
    out.put("sum", s.sum);
    out.put("square", s.square);
    out.put("positive", s.positive);
    out.put("negative", s.negative);
    out.put("null", s.null);
    out.put("effects", s.effects);
    out.put("mean_weights", s.weights);
    out.put("mean_sigma", s.sigma);
    return out;
  }

  State load(const Archive& archive) const {
    State s;
    s.model = model_.load(archive);
    s.kept = archive.scalar("kept");
    s.sum = archive.matrix("sum");
    s.square = archive.matrix("square");
    s.positive = archive.matrix("positive");
    s.negative = archive.matrix("negative");
    s.null = archive.vector("null");
    s.effects = archive.vector("effects");
    s.weights = archive.vector("mean_weights");
    s.sigma = archive.matrix("mean_sigma");
    return s;
  }

 private:
  double null_probability(const mmash::Mixture& m, const mmash::Workspace& w) const {
    return w.alpha[static_cast<std::size_t>(m.matrices() * m.lanes())];
  }

  // beta = Q (g o z + sqrt(g) o noise) of the component drawn, into w.mean; returns its number.
  Index draw_effect(const mmash::Mixture& m, mmash::Workspace& w, Rng& rng) const {
    const Index slot = static_cast<Index>(rng.categorical(w.alpha.data(), w.alpha.size()));
    w.mean.setZero();
    if (slot >= m.matrices() * m.lanes()) return 0;
    const Index k = slot / m.lanes();
    const Index l = slot % m.lanes();
    for (Index i = m.start(k); i < m.start(k + 1); ++i) {
      const double g = m.g(w, l, i);
      const double c = g * w.z[static_cast<std::size_t>(i)] + std::sqrt(g) * rng.normal();
      for (Index j = 0; j < w.mean.size(); ++j) w.mean[j] += m.q(j, i) * c;
    }
    return (m.prior().null ? 1 : 0) + k * m.prior().scales() + l;
  }

  void add(State& s) const {
    const MatrixXd& b = s.model.mean;
    s.kept += 1.0;
    s.sum += b;
    s.square += b.cwiseAbs2();
    s.positive += (b.array() > 0.0).cast<double>().matrix();
    s.negative += (b.array() < 0.0).cast<double>().matrix();
    s.weights += s.model.log_weights.array().exp().matrix();
    s.sigma += s.model.sigma;
  }

  VectorXd concentration() const {
    const Index parts = model_.prior().components();
    const bool null = model_.prior().null;
    const double others = 1.0 / static_cast<double>(std::max<Index>(1, parts - (null ? 1 : 0)));
    VectorXd out = VectorXd::Constant(parts, others);
    if (null) out[0] = model_.prior().null_penalty;
    return out;
  }

  void draw_residual(Mmash::State& s, Rng& rng) const {
    double n = model_.data().n;
    MatrixXd cross;
    if (model_.complete()) {
      n -= 1.0 + static_cast<double>(model_.design().basis_part().rows());
      cross = model_.residual_cross(s);
    } else {
      cross = completed_residuals(s, rng);
    }
    model_.set_residual(s, residual_(s.sigma, cross, n, rng));
    if (!model_.complete()) model_.update_fixed(s);
  }

  // E'E of residuals whose gaps are filled from their conditional distribution, after a draw of
  // the coefficients of Z.
  MatrixXd completed_residuals(Mmash::State& s, Rng& rng) const {
    const MatrixXd& z = model_.data().fixed;
    const Index nj = model_.conditions();
    const VectorXd jump =
        rng.mvn_precision(VectorXd::Zero(z.cols() * nj), s.precision.fixed.matrixL());
    const MatrixXd residual =
        s.residual.topRows(z.rows()) - z * Eigen::Map<const MatrixXd>(jump.data(), z.cols(), nj);
    MatrixXd sum = MatrixXd::Zero(nj, nj);
    for (std::size_t m = 0; m < model_.data().patterns.size(); ++m) {
      const mmash::Pattern& at = model_.data().patterns[m];
      const MatrixXd gain = s.sigma * s.precision.padded[m];  // J x J, zero where unseen
      const MatrixXd root = unseen_root(s.sigma - gain * s.sigma, at);
      for (Index i = at.begin; i < at.end; ++i) {
        const VectorXd filled = gain * residual.row(i).transpose() + root * rng.normal_vector(nj);
        sum += filled * filled.transpose();
      }
    }
    return sum;
  }

  // Root of the conditional covariance, which is zero in what is seen.
  static MatrixXd unseen_root(MatrixXd covariance, const mmash::Pattern& pattern) {
    for (Index j : pattern.seen) {
      covariance.row(j).setZero();
      covariance.col(j).setZero();
    }
    const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(covariance);
    return eigen.eigenvectors() * eigen.eigenvalues().cwiseMax(0.0).cwiseSqrt().asDiagonal();
  }

  const Mmash& model_;
  mmash::ResidualDraw residual_;
  int warmup_;
  bool keep_effects_;
};

}  // namespace mixology
