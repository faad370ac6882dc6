// The conjugate prior of cwm and the posterior of one component given its sums.
//
//   Sigma ~ IW(nu, S), mu | Sigma ~ N(m, Sigma / beta)            Lambda = Sigma^-1 ~ W(S^-1, nu)
//   Psi ~ IW(eta, G), Theta | Psi ~ MN(B, A^-1, Psi)
// (Bishop 2006, equations 10.40, 10.60-10.63; the regression part is the same conjugate update with
// a design matrix.) Priors and posteriors have the same form, so one struct serves both.
//
// Families of covariance: a diagonal Sigma has independent one-dimensional IW(nu, S_jj), a spherical
// one a single IW(nu, s) with S = s I; in both nu is that of an entry of the diagonal of a full
// Sigma, nu_0 - D + 1. Sigma or Psi that components share takes the sums of all of them.
#pragma once

#include "core/archive.h"
#include "core/special.h"
#include "models/cwm/covariance.h"
#include "models/cwm/kernel.h"

namespace mixology {
namespace cwm {

struct Conjugate {
  double beta = 0.0, nu = 0.0;
  VectorXd mean;
  MatrixXd scale;  // S, D x D
  double eta = 0.0;
  MatrixXd coef;       // B, R x M
  MatrixXd precision;  // A, R x R
  MatrixXd residual;   // G, M x M
};

struct Prior {
  bool stick_breaking = false;
  double concentration = 1.0;
  Family family = Family::VVV;
  bool equal_noise = false;
  Conjugate part;  // in the coordinates of Data
};

// From the user's units to those of Data, and from a full Sigma to that of the family.
inline Prior in_coordinates(Prior prior, const Data& data) {
  Conjugate& c = prior.part;
  const VectorXd unit_x = data.scale.cwiseInverse(), unit_y = data.y_scale.cwiseInverse();
  c.mean = (c.mean - data.centre).cwiseProduct(unit_x);
  c.scale = project(unit_x.asDiagonal() * c.scale * unit_x.asDiagonal(), prior.family);
  if (diagonal(prior.family) && data.d() > 0) c.nu -= double(data.d() - 1);
  if (data.m() == 0) return prior;
  c.precision = data.basis.transpose() * c.precision * data.basis;
  c.coef = in_basis(data, c.coef) * unit_y.asDiagonal();
  c.residual = unit_y.asDiagonal() * c.residual * unit_y.asDiagonal();
  return prior;
}

// `xx` and `wy` are sums about `mean` and `coef` (struct Stats), `rows_y` the rows with a response.
inline Conjugate posterior(const Conjugate& prior, Family family, const MatrixXd& xx,
                           const MatrixXd& wy, double rows_y, const VectorXd& mean,
                           const MatrixXd& coef) {
  Conjugate out = prior;
  const Index d = mean.size(), r = coef.rows(), m = coef.cols();
  const double rows = xx(0, 0);
  out.beta = prior.beta + rows;
  const double entries = spherical(family) ? double(d) : 1.0;  // of a row that inform one variance
  out.nu = prior.nu + entries * rows;
  if (d > 0) {
    const VectorXd sum = xx.col(0).tail(d);
    // about `mean`: the prior mean is off by `gap`, the posterior mean by `step`
    const VectorXd gap = prior.mean - mean;
    const VectorXd step = (prior.beta * gap + sum) / out.beta;
    out.mean = mean + step;
    const MatrixXd scatter = xx.bottomRightCorner(d, d) + prior.beta * gap * gap.transpose() -
                             out.beta * step * step.transpose();
    out.scale = prior.scale + entries * project(scatter, family);
  }
  if (m == 0) return out;
  out.eta = prior.eta + rows_y;
  out.precision = prior.precision + wy.topLeftCorner(r, r);
  const MatrixXd gap = prior.coef - coef;
  const MatrixXd step = out.precision.llt().solve(wy.topRightCorner(r, m) + prior.precision * gap);
  out.coef = coef + step;
  const MatrixXd cross = step.transpose() * wy.topRightCorner(r, m);
  const MatrixXd from_prior = out.coef - prior.coef;
  out.residual = prior.residual + wy.bottomRightCorner(m, m) - cross - cross.transpose() +
                 step.transpose() * wy.topLeftCorner(r, r) * step +
                 from_prior.transpose() * prior.precision * from_prior;
  return out;
}

namespace detail {

// What the components share: the sums of all of them.
inline void pool(const Conjugate& prior, double Conjugate::*df, MatrixXd Conjugate::*scale,
                 std::vector<Conjugate>& parts) {
  Conjugate all = prior;
  for (const Conjugate& part : parts) {
    all.*df += part.*df - prior.*df;
    all.*scale += part.*scale - prior.*scale;
  }
  for (Conjugate& part : parts) {
    part.*df = all.*df;
    part.*scale = all.*scale;
  }
}

inline double log_det(const MatrixXd& a) {
  if (a.rows() == 0) return 0.0;
  const MatrixXd lower = a.llt().matrixL();
  return 2.0 * lower.diagonal().array().log().sum();
}

// log of the normaliser of W(S^-1, df) without its constant in pi (Bishop B.79).
inline double log_wishart_normaliser(const MatrixXd& scale, double df) {
  const double p = static_cast<double>(scale.rows());
  return 0.5 * df * log_det(scale) - 0.5 * df * p * std::log(2.0) -
         log_multivariate_gamma(0.5 * df, static_cast<int>(scale.rows()));
}

// E log |Lambda| under W(S^-1, df) (Bishop B.81).
inline double expected_log_det(const MatrixXd& scale, double df, Family family = Family::VVV) {
  double out = static_cast<double>(scale.rows()) * std::log(2.0) - log_det(scale);
  for (Index i = 0; i < scale.rows(); ++i) {
    out += digamma(0.5 * (diagonal(family) ? df : df - static_cast<double>(i)));
  }
  return out;
}

inline double wishart_divergence(const MatrixXd& q, double df_q, const MatrixXd& p, double df_p) {
  if (q.rows() == 0) return 0.0;
  const double size = static_cast<double>(q.rows());
  return log_wishart_normaliser(q, df_q) - log_wishart_normaliser(p, df_p) +
         0.5 * (df_q - df_p) * expected_log_det(q, df_q) - 0.5 * df_q * size +
         0.5 * df_q * q.llt().solve(p).trace();
}

// The covariance of x; entries of a diagonal one are independent, of a spherical one the same.
inline double spread_divergence(const Conjugate& q, const Conjugate& p, Family family) {
  if (!diagonal(family)) return wishart_divergence(q.scale, q.nu, p.scale, p.nu);
  double out = 0.0;
  for (Index j = 0; j < (spherical(family) ? 1 : q.scale.rows()); ++j) {
    out += wishart_divergence(q.scale.block(j, j, 1, 1), q.nu, p.scale.block(j, j, 1, 1), p.nu);
  }
  return out;
}

// Mean and coefficients given the covariances, expected over them.
inline double location_divergence(const Conjugate& q, const Conjugate& p) {
  const double d = static_cast<double>(q.mean.size()), r = static_cast<double>(q.coef.rows()),
               m = static_cast<double>(q.coef.cols());
  double out = 0.0;
  if (d > 0.0) {
    const VectorXd gap = q.mean - p.mean;
    out += 0.5 * (d * (p.beta / q.beta - 1.0 - std::log(p.beta / q.beta)) +
                  p.beta * q.nu * gap.dot(q.scale.llt().solve(gap)));
  }
  if (m > 0.0) {
    const MatrixXd gap = q.coef - p.coef;
    out += 0.5 * (m * (q.precision.llt().solve(p.precision).trace() - r + log_det(q.precision) -
                       log_det(p.precision)) +
                  q.eta * q.residual.llt().solve(gap.transpose() * p.precision * gap).trace());
  }
  return out;
}

}  // namespace detail

// Posteriors of all components given their sums.
inline std::vector<Conjugate> posteriors(const Prior& prior, const Stats& stats,
                                         const std::vector<Kernel>& about) {
  std::vector<Conjugate> out;
  for (std::size_t k = 0; k < about.size(); ++k) {
    out.push_back(posterior(prior.part, prior.family, stats.xx[k], stats.wy[k], stats.rows_y[k],
                            about[k].mean, about[k].coef));
  }
  if (shared(prior.family)) detail::pool(prior.part, &Conjugate::nu, &Conjugate::scale, out);
  if (prior.equal_noise) detail::pool(prior.part, &Conjugate::eta, &Conjugate::residual, out);
  return out;
}

// Kullback-Leibler divergence from q to the prior, all blocks of all components.
inline double divergence(const std::vector<Conjugate>& q, const Prior& prior) {
  const Conjugate& p = prior.part;
  double out = 0.0;
  for (std::size_t k = 0; k < q.size(); ++k) {
    const bool first = k == 0;
    out += detail::location_divergence(q[k], p);
    if (p.mean.size() > 0 && (first || !shared(prior.family))) {
      out += detail::spread_divergence(q[k], p, prior.family);
    }
    if (p.coef.cols() > 0 && (first || !prior.equal_noise)) {
      out += detail::wishart_divergence(q[k].residual, q[k].eta, p.residual, p.eta);
    }
  }
  return out;
}

// Row scores under q: expectations of the log density (Bishop 10.64, 10.65).
inline Kernel expected_kernel(const Conjugate& q, Family family, double expected_log_weight) {
  const Index d = q.mean.size(), m = q.coef.cols();
  Kernel out;
  out.mean = q.mean;
  out.coef = q.coef;
  out.constant_x = expected_log_weight;
  out.diagonal_x = diagonal(family);
  out.white_x.resize(d, d);
  if (d > 0) {
    out.constant_x += 0.5 * (detail::expected_log_det(q.scale, q.nu, family) - double(d) * kLog2Pi -
                             double(d) / q.beta);
    const MatrixXd lower = q.scale.llt().matrixL();
    out.white_x = factor_from_lower(lower).inverse * std::sqrt(q.nu);
  }
  out.white_y.resize(m, m);
  if (m > 0) {
    out.constant_y = 0.5 * (detail::expected_log_det(q.residual, q.eta) - double(m) * kLog2Pi);
    const MatrixXd lower = q.residual.llt().matrixL();
    out.white_y = factor_from_lower(lower).inverse * std::sqrt(q.eta);
    const MatrixXd rows = q.precision.llt().matrixL();
    out.white_w = factor_from_lower(rows).inverse;
  }
  return out;
}

// E log pi and the divergence of q(pi) from its prior. Dirichlet: `a` are its parameters;
// stick-breaking: v_k ~ Beta(a_k, b_k), k < K.
struct WeightPosterior {
  VectorXd a, b;
};

inline WeightPosterior weight_posterior(const Prior& prior, const VectorXd& rows) {
  WeightPosterior out;
  const Index k = rows.size();
  out.a = rows.array() + (prior.stick_breaking ? 1.0 : prior.concentration);
  out.b = VectorXd::Zero(k);
  if (!prior.stick_breaking) return out;
  double after = 0.0;
  for (Index j = k - 1; j >= 0; --j) {
    out.b[j] = prior.concentration + after;
    after += rows[j];
  }
  return out;
}

// log p(z) of these counts with the sticks integrated out: what the order of the sticks is worth.
inline double log_stick_evidence(const Prior& prior, const VectorXd& rows) {
  const WeightPosterior q = weight_posterior(prior, rows);
  double out = 0.0;
  for (Index j = 0; j + 1 < rows.size(); ++j) {
    out += log_gamma(q.a[j]) + log_gamma(q.b[j]) - log_gamma(q.a[j] + q.b[j]);
  }
  return out;
}

inline VectorXd expected_log_weight(const Prior& prior, const WeightPosterior& q) {
  const Index k = q.a.size();
  VectorXd out(k);
  if (!prior.stick_breaking) {
    const double total = digamma(q.a.sum());
    for (Index j = 0; j < k; ++j) out[j] = digamma(q.a[j]) - total;
    return out;
  }
  double before = 0.0;
  for (Index j = 0; j < k; ++j) {
    const double total = digamma(q.a[j] + q.b[j]);
    out[j] = before + (j + 1 < k ? digamma(q.a[j]) - total : 0.0);
    before += digamma(q.b[j]) - total;
  }
  return out;
}

inline double weight_divergence(const Prior& prior, const WeightPosterior& q) {
  const Index k = q.a.size();
  const VectorXd expected = expected_log_weight(prior, q);
  double out = 0.0;
  if (!prior.stick_breaking) {
    const double alpha = prior.concentration;
    out = log_gamma(q.a.sum()) - log_gamma(double(k) * alpha);
    for (Index j = 0; j < k; ++j) {
      out += log_gamma(alpha) - log_gamma(q.a[j]) + (q.a[j] - alpha) * expected[j];
    }
    return out;
  }
  for (Index j = 0; j + 1 < k; ++j) {
    const double a = q.a[j], b = q.b[j], total = digamma(a + b);
    out += log_gamma(a + b) - log_gamma(a) - log_gamma(b) - std::log(prior.concentration) +
           (a - 1.0) * (digamma(a) - total) + (b - prior.concentration) * (digamma(b) - total);
  }
  return out;
}

// E pi under q.
inline VectorXd expected_weight(const Prior& prior, const WeightPosterior& q) {
  const Index k = q.a.size();
  if (!prior.stick_breaking) return q.a / q.a.sum();
  VectorXd out(k);
  double left = 1.0;
  for (Index j = 0; j < k; ++j) {
    const double v = j + 1 < k ? q.a[j] / (q.a[j] + q.b[j]) : 1.0;
    out[j] = left * v;
    left *= 1.0 - v;
  }
  return out;
}

inline void save(Archive& out, const std::string& id, const Conjugate& c) {
  out.put("counts" + id, std::vector<double>{c.beta, c.nu, c.eta});
  out.put("mean" + id, c.mean);
  out.put("scale" + id, c.scale);
  out.put("coef" + id, c.coef);
  out.put("precision" + id, c.precision);
  out.put("residual" + id, c.residual);
}
inline Conjugate load(const Archive& in, const std::string& id) {
  Conjugate c;
  const VectorXd counts = in.vector("counts" + id);
  c.beta = counts[0];
  c.nu = counts[1];
  c.eta = counts[2];
  c.mean = in.vector("mean" + id);
  c.scale = in.matrix("scale" + id);
  c.coef = in.matrix("coef" + id);
  c.precision = in.matrix("precision" + id);
  c.residual = in.matrix("residual" + id);
  return c;
}

}  // namespace cwm
}  // namespace mixology
