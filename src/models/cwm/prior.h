// The conjugate prior of cwm and the posterior of one component given its sums.
//
//   Sigma ~ IW(nu, S), mu | Sigma ~ N(m, Sigma / beta)            Lambda = Sigma^-1 ~ W(S^-1, nu)
//   Psi ~ IW(eta, G), Theta | Psi ~ MN(B, A^-1, Psi)
// (Bishop 2006, equations 10.40, 10.60-10.63; the regression part is the same conjugate update with
// a design matrix.) Priors and posteriors have the same form, so one struct serves both.
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
  Conjugate part;  // in the coordinates of Data
};

// From the user's units to those of Data.
inline Prior in_coordinates(Prior prior, const Data& data) {
  Conjugate& c = prior.part;
  const VectorXd unit_x = data.scale.cwiseInverse(), unit_y = data.y_scale.cwiseInverse();
  c.mean = (c.mean - data.centre).cwiseProduct(unit_x);
  c.scale = unit_x.asDiagonal() * c.scale * unit_x.asDiagonal();
  if (data.m() == 0) return prior;
  c.precision = data.basis.transpose() * c.precision * data.basis;
  c.coef = data.basis.partialPivLu().solve(c.coef) * unit_y.asDiagonal();
  c.residual = unit_y.asDiagonal() * c.residual * unit_y.asDiagonal();
  return prior;
}

// `xx` and `wy` are sums about `mean` and `coef` (struct Stats), `rows_y` the rows with a response.
inline Conjugate posterior(const Conjugate& prior, const MatrixXd& xx, const MatrixXd& wy,
                           double rows_y, const VectorXd& mean, const MatrixXd& coef) {
  Conjugate out = prior;
  const Index d = mean.size(), r = coef.rows(), m = coef.cols();
  const double rows = xx(0, 0);
  out.beta = prior.beta + rows;
  out.nu = prior.nu + rows;
  if (d > 0) {
    const VectorXd sum = xx.col(0).tail(d);
    // about `mean`: the prior mean is off by `gap`, the posterior mean by `step`
    const VectorXd gap = prior.mean - mean;
    const VectorXd step = (prior.beta * gap + sum) / out.beta;
    out.mean = mean + step;
    out.scale = prior.scale + xx.bottomRightCorner(d, d) + prior.beta * gap * gap.transpose() -
                out.beta * step * step.transpose();
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
inline double expected_log_det(const MatrixXd& scale, double df) {
  double out = static_cast<double>(scale.rows()) * std::log(2.0) - log_det(scale);
  for (Index i = 0; i < scale.rows(); ++i) out += digamma(0.5 * (df - static_cast<double>(i)));
  return out;
}

inline double wishart_divergence(const MatrixXd& q, double df_q, const MatrixXd& p, double df_p) {
  if (q.rows() == 0) return 0.0;
  const double size = static_cast<double>(q.rows());
  return log_wishart_normaliser(q, df_q) - log_wishart_normaliser(p, df_p) +
         0.5 * (df_q - df_p) * expected_log_det(q, df_q) - 0.5 * df_q * size +
         0.5 * df_q * q.llt().solve(p).trace();
}

}  // namespace detail

// Kullback-Leibler divergence from q to the prior p, all blocks of a component.
inline double divergence(const Conjugate& q, const Conjugate& p) {
  const double d = static_cast<double>(q.mean.size()), r = static_cast<double>(q.coef.rows()),
               m = static_cast<double>(q.coef.cols());
  double out = 0.0;
  if (d > 0.0) {
    const VectorXd gap = q.mean - p.mean;
    out += detail::wishart_divergence(q.scale, q.nu, p.scale, p.nu);
    out += 0.5 * (d * (p.beta / q.beta - 1.0 - std::log(p.beta / q.beta)) +
                  p.beta * q.nu * gap.dot(q.scale.llt().solve(gap)));
  }
  if (m > 0.0) {
    const MatrixXd gap = q.coef - p.coef;
    out += detail::wishart_divergence(q.residual, q.eta, p.residual, p.eta);
    out += 0.5 * (m * (q.precision.llt().solve(p.precision).trace() - r +
                       detail::log_det(q.precision) - detail::log_det(p.precision)) +
                  q.eta * q.residual.llt().solve(gap.transpose() * p.precision * gap).trace());
  }
  return out;
}

// Row scores under q: expectations of the log density (Bishop 10.64, 10.65).
inline Kernel expected_kernel(const Conjugate& q, double expected_log_weight) {
  const Index d = q.mean.size(), m = q.coef.cols();
  Kernel out;
  out.mean = q.mean;
  out.coef = q.coef;
  out.constant_x = expected_log_weight;
  out.white_x.resize(d, d);
  if (d > 0) {
    out.constant_x +=
        0.5 * (detail::expected_log_det(q.scale, q.nu) - double(d) * kLog2Pi - double(d) / q.beta);
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
