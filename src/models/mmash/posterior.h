// What q says of each effect: standard deviations, sign probabilities, probability of the null.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "models/mmash.h"

namespace mixology {
namespace mmash {

struct EffectSummaries {
  MatrixXd sd, positive, negative, zero;  // J x P
  VectorXd null;                          // P; NaN without a null component
};

inline double normal_cdf(double x) { return 0.5 * std::erfc(-x * 0.70710678118654752440); }

// Components that carry less of q than this add nothing that can be seen.
constexpr double kUnseen = 1e-14;

// Calls use(t, alpha_t, m_t, v_t) with mean and variances of each component but the null one.
template <class Use>
void each_component(const Mixture& mixture, const Workspace& w, Use use) {
  const Index nj = mixture.conditions();
  const Prior& prior = mixture.prior();
  VectorXd m(nj), v(nj);
  for (Index k = 0; k < mixture.matrices(); ++k) {
    for (Index l = 0; l < prior.scales(); ++l) {
      const double alpha = w.alpha[static_cast<std::size_t>(l + k * mixture.lanes())];
      if (alpha < kUnseen) continue;
      m.setZero();
      v.setZero();
      for (Index i = mixture.start(k); i < mixture.start(k + 1); ++i) {
        const double g = mixture.g(w, l, i);
        const double gz = g * w.z[static_cast<std::size_t>(i)];
        for (Index j = 0; j < nj; ++j) {
          const double q = mixture.q(j, i);
          m[j] += q * gz;
          v[j] += q * q * g;
        }
      }
      use((prior.null ? 1 : 0) + k * prior.scales() + l, alpha, m, v);
    }
  }
}

// phi, d: as the model keeps them; d is 1 where `mixture` was made for one SNP.
inline void summarise_effect(const Mixture& mixture, const double* phi, double d, Workspace& w,
                             Index p, EffectSummaries& out) {
  mixture.update(phi, d, w);
  const Index nj = mixture.conditions();
  VectorXd square = VectorXd::Zero(nj);
  VectorXd positive = VectorXd::Zero(nj);
  VectorXd negative = VectorXd::Zero(nj);
  const double null = w.alpha[static_cast<std::size_t>(mixture.matrices() * mixture.lanes())];
  VectorXd zero = VectorXd::Constant(nj, null);  // added up, not left over: it may be tiny
  each_component(mixture, w, [&](Index, double alpha, const VectorXd& m, const VectorXd& v) {
    for (Index j = 0; j < nj; ++j) {
      if (v[j] <= 0.0) {  // this component says exactly 0
        zero[j] += alpha;
        continue;
      }
      const double up = normal_cdf(m[j] / std::sqrt(v[j]));
      square[j] += alpha * (v[j] + m[j] * m[j]);
      positive[j] += alpha * up;
      negative[j] += alpha * normal_cdf(-m[j] / std::sqrt(v[j]));
    }
  });
  out.sd.col(p) = (square - w.mean.cwiseAbs2()).cwiseMax(0.0).cwiseSqrt();
  out.positive.col(p) = positive;
  out.negative.col(p) = negative;
  out.zero.col(p) = zero;
  out.null[p] = mixture.prior().null ? null : std::nan("");
}

inline EffectSummaries summarise(const Mmash& model, const Mmash::State& s, Executor& executor) {
  constexpr Index kSnps = 64;  // of one task
  const Index nj = model.conditions();
  EffectSummaries out;
  out.sd = out.positive = out.negative = out.zero = MatrixXd::Zero(nj, model.cols());
  out.null = VectorXd::Zero(model.cols());
  Monitor unstoppable;
  executor.run(
      chunk_count(model.cols(), kSnps),
      [&](Index i) {
        const Range range = chunk_range(i, kSnps, model.cols());
        Workspace w;
        s.mixture->reserve(w);
        for (Index p = range.begin; p < range.end; ++p) {
          if (model.design().square(p) <= 0.0) {  // the data say nothing: the prior
            Mixture mixture = *s.mixture;
            mixture.decompose(MatrixXd::Zero(nj, nj), 1.0);
            Workspace alone;
            mixture.reserve(alone);
            const VectorXd phi = VectorXd::Zero(nj);
            summarise_effect(mixture, phi.data(), 1.0, alone, p, out);
          } else if (model.complete()) {
            summarise_effect(*s.mixture, s.phi.col(p).data(), model.design().square(p), w, p, out);
          } else {
            const Mixture mixture = model.mixture_of(s, p);
            mixture.reserve(w);
            summarise_effect(mixture, s.phi.col(p).data(), 1.0, w, p, out);
          }
        }
      },
      unstoppable);
  return out;
}

// q of one effect in full: alpha, mean, covariance.
struct Effect {
  VectorXd alpha, mean;
  MatrixXd covariance;
};

inline Effect effect(const Prior& prior, const VectorXd& log_weights, const MatrixXd& precision,
                     const VectorXd& phi) {
  Mixture mixture(prior);
  mixture.decompose(precision, 1.0);
  mixture.set_weights(log_weights);
  Workspace w;
  mixture.reserve(w);
  mixture.update(phi.data(), 1.0, w);
  SecondMoments moments(mixture);
  moments.add(w, 1.0);
  Effect out;
  out.mean = w.mean;
  out.covariance = moments.total() - w.mean * w.mean.transpose();
  out.alpha.resize(prior.components());
  for (Index t = 0; t < out.alpha.size(); ++t) {
    out.alpha[t] = w.alpha[static_cast<std::size_t>(mixture.slot(t))];
  }
  return out;
}

// Quantiles of each condition's effect under q, a mixture of normals and a point at 0: J x tails.
inline MatrixXd quantiles(const Mixture& mixture, const VectorXd& phi, const VectorXd& tails) {
  Workspace w;
  mixture.reserve(w);
  mixture.update(phi.data(), 1.0, w);
  std::vector<VectorXd> mean, sd;
  std::vector<double> alpha;
  each_component(mixture, w, [&](Index, double a, const VectorXd& m, const VectorXd& v) {
    alpha.push_back(a);
    mean.push_back(m);
    sd.push_back(v.cwiseSqrt());
  });
  MatrixXd out = MatrixXd::Zero(phi.size(), tails.size());
  for (Index j = 0; j < out.rows(); ++j) {
    double low = 0.0, high = 0.0, positive = 0.0, negative = 0.0;
    // of normals alone: the points that are 0 exactly come in between negative and positive
    auto below = [&](double x) {
      double sum = 0.0;
      for (std::size_t t = 0; t < alpha.size(); ++t) {
        if (sd[t][j] > 0.0) sum += alpha[t] * normal_cdf((x - mean[t][j]) / sd[t][j]);
      }
      return sum;
    };
    for (std::size_t t = 0; t < alpha.size(); ++t) {
      if (sd[t][j] <= 0.0) continue;
      low = std::min(low, mean[t][j] - 40.0 * sd[t][j]);
      high = std::max(high, mean[t][j] + 40.0 * sd[t][j]);
      positive += alpha[t] * normal_cdf(mean[t][j] / sd[t][j]);
      negative += alpha[t] * normal_cdf(-mean[t][j] / sd[t][j]);
    }
    for (Index i = 0; i < tails.size(); ++i) {
      const bool left = tails[i] < negative;
      const double wanted = left ? tails[i] : tails[i] - (1.0 - positive - negative);
      if (!left && 1.0 - tails[i] >= positive) continue;  // the point at 0
      double from = left ? low : 0.0, to = left ? 0.0 : high;
      for (int step = 0; step < 100; ++step) {
        const double middle = 0.5 * (from + to);
        (below(middle) < wanted ? from : to) = middle;
      }
      out(j, i) = 0.5 * (from + to);
    }
  }
  return out;
}

}  // namespace mmash
}  // namespace mixology
