// What a fit says, in the user's units.
#pragma once

#include "core/archive.h"
#include "models/cwm/em.h"
#include "models/cwm/vb.h"

namespace mixology {
namespace cwm {

// One point estimate of the parameters; matrices side by side, one block of columns per component.
struct Estimate {
  VectorXd weight;
  MatrixXd mean;        // D x K
  MatrixXd covariance;  // D x (D K)
  MatrixXd coef;        // R x (M K)
  MatrixXd noise;       // M x (M K)
};

inline Estimate blank_estimate(const Data& data, int k) {
  Estimate out;
  out.weight.resize(k);
  out.mean.resize(data.d(), k);
  out.covariance.resize(data.d(), data.d() * k);
  out.coef.resize(data.r(), data.m() * k);
  out.noise.resize(data.m(), data.m() * k);
  return out;
}

// Writes component k, given in the coordinates of `data`.
inline void set_component(const Data& data, Index k, double weight, const VectorXd& mean,
                          const MatrixXd& covariance, const MatrixXd& coef, const MatrixXd& noise,
                          Estimate& out) {
  const Index d = data.d(), m = data.m();
  out.weight[k] = weight;
  out.mean.col(k) = data.centre + data.scale.cwiseProduct(mean);
  out.covariance.middleCols(k * d, d) =
      data.scale.asDiagonal() * covariance * data.scale.asDiagonal();
  out.coef.middleCols(k * m, m) = data.basis * coef * data.y_scale.asDiagonal();
  out.noise.middleCols(k * m, m) = data.y_scale.asDiagonal() * noise * data.y_scale.asDiagonal();
}

inline Estimate estimate(const Em& model, const Em::State& state) {
  const Data& data = model.data();
  Estimate out = blank_estimate(data, model.k());
  const VectorXd weight = state.log_weight.array().exp();
  for (int k = 0; k < model.k(); ++k) {
    const auto slot = static_cast<std::size_t>(k);
    const MatrixXd& spread = state.spread[slot].lower;
    const MatrixXd& noise = state.noise[slot].lower;
    set_component(data, k, weight[k] / weight.sum(), state.mean.col(k), spread * spread.transpose(),
                  state.coef[slot], noise * noise.transpose(), out);
  }
  return out;
}

// Covariances of the components as members of `family`, which may be narrower: the expectation of
// the scatter that an M step would see, without the means' part.
inline std::vector<Factor> as_family(const std::vector<MatrixXd>& covariance,
                                     const VectorXd& weight, Family family, bool same) {
  MatrixXd pooled = MatrixXd::Zero(covariance[0].rows(), covariance[0].cols());
  for (std::size_t k = 0; k < covariance.size(); ++k) {
    pooled += weight[static_cast<Index>(k)] * covariance[k];
  }
  std::vector<Factor> out;
  for (const MatrixXd& one : covariance) {
    out.push_back(factor_covariance(project(same ? pooled : one, family)));
  }
  return out;
}

// The inverse of estimate(), for an estimate of any family.
inline Em::State state_from(const Em& model, const Estimate& e) {
  const Data& data = model.data();
  const Index d = data.d(), m = data.m();
  const VectorXd unit_x = data.scale.cwiseInverse(), unit_y = data.y_scale.cwiseInverse();
  Em::State state = model.blank();
  const VectorXd weight = e.weight / e.weight.sum();
  state.log_weight = weight.array().max(1e-300).log();
  std::vector<MatrixXd> spread, noise;
  for (int k = 0; k < model.k(); ++k) {
    const auto slot = static_cast<std::size_t>(k);
    state.mean.col(k) = (e.mean.col(k) - data.centre).cwiseProduct(unit_x);
    spread.push_back(unit_x.asDiagonal() * e.covariance.middleCols(k * d, d) * unit_x.asDiagonal());
    if (m > 0) state.coef[slot] = in_basis(data, e.coef.middleCols(k * m, m)) * unit_y.asDiagonal();
    noise.push_back(unit_y.asDiagonal() * e.noise.middleCols(k * m, m) * unit_y.asDiagonal());
  }
  state.spread = as_family(spread, weight, model.family(), shared(model.family()));
  state.noise = as_family(noise, weight, Family::VVV, model.equal_noise());
  model.refresh(state);
  return state;
}

// q of a component in the user's units.
inline Conjugate in_user_units(const Data& data, Conjugate q) {
  q.mean = data.centre + data.scale.cwiseProduct(q.mean);
  q.scale = data.scale.asDiagonal() * q.scale * data.scale.asDiagonal();
  if (data.m() == 0) return q;
  const MatrixXd back = in_basis(data, MatrixXd::Identity(data.r(), data.r()));
  q.precision = back.transpose() * q.precision * back;
  q.coef = data.basis * q.coef * data.y_scale.asDiagonal();
  q.residual = data.y_scale.asDiagonal() * q.residual * data.y_scale.asDiagonal();
  return q;
}

inline Archive posterior_archive(const Vb& model, const Vb::State& state) {
  Archive out;
  out.put("a", state.weight.a);
  out.put("b", state.weight.b);
  out.put("weight", expected_weight(model.prior(), state.weight));
  for (int k = 0; k < model.k(); ++k) {
    const Conjugate q = in_user_units(model.data(), state.part[static_cast<std::size_t>(k)]);
    save(out, std::to_string(k + 1), q);
  }
  return out;
}

inline Archive pack(const Estimate& estimate) {
  Archive out;
  out.put("weight", estimate.weight);
  out.put("mean", estimate.mean);
  out.put("covariance", estimate.covariance);
  out.put("coef", estimate.coef);
  out.put("noise", estimate.noise);
  return out;
}

// Responsibilities and log densities; rows as in Data (sorted) or in the user's order.
struct Membership {
  MatrixXd responsibility;
  VectorXd log_density;
};

// A pass over all rows for what its rule keeps.
template <class Rule>
void pass_over(const Data& data, const std::vector<Kernel>& kernels, Rule rule,
               Executor& executor) {
  Monitor unstoppable;
  executor.run(
      chunk_count(data.n(), kChunk),
      [&](Index i) { local_pass(data, kernels, chunk_range(i, kChunk, data.n()), rule); },
      unstoppable);
}

inline Membership sorted_membership(const Data& data, const std::vector<Kernel>& kernels,
                                    Executor& executor) {
  Membership sorted;
  sorted.responsibility.resize(data.n(), static_cast<Index>(kernels.size()));
  sorted.log_density.resize(data.n());
  pass_over(data, kernels, KeepSoftmax{sorted.responsibility, sorted.log_density}, executor);
  return sorted;
}

// With the density and the order of rows of the user's data.
inline Membership in_user_order(const Data& data, Membership sorted) {
  for (const Pattern& p : data.patterns) {
    sorted.log_density.segment(p.rows.begin, p.rows.size()).array() += data.log_jacobian(p);
  }
  if (data.source.empty()) return sorted;
  Membership out = sorted;
  for (Index i = 0; i < data.n(); ++i) {
    out.responsibility.row(data.row(i)) = sorted.responsibility.row(i);
    out.log_density[data.row(i)] = sorted.log_density[i];
  }
  return out;
}

inline Membership membership(const Data& data, const std::vector<Kernel>& kernels,
                             Executor& executor) {
  return in_user_order(data, sorted_membership(data, kernels, executor));
}

// E(y | x), or given what is seen of x: the regressions mixed by p(k | x), in the user's units and
// order of rows.
inline MatrixXd fitted_values(const Data& data, const std::vector<Kernel>& kernels,
                              Executor& executor) {
  MatrixXd sorted = MatrixXd::Zero(data.n(), data.m());
  pass_over(data, kernels, MixRegressions{kernels, sorted}, executor);
  sorted *= data.y_scale.asDiagonal();
  if (data.source.empty()) return sorted;
  MatrixXd out(data.n(), data.m());
  for (Index i = 0; i < data.n(); ++i) out.row(data.row(i)) = sorted.row(i);
  return out;
}

// Components by decreasing size; those of one size as they come.
inline std::vector<int> by_size(const MatrixXd& responsibility) {
  const VectorXd size = responsibility.colwise().sum();
  std::vector<int> order(static_cast<std::size_t>(size.size()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return size[a] > size[b]; });
  return order;
}

// - sum r log r
inline double entropy(const MatrixXd& responsibility) {
  double logs[kBlock], out = 0.0;
  const double* r = responsibility.data();
  for (Index at = 0; at < responsibility.size(); at += kBlock) {
    const Index size = std::min<Index>(kBlock, responsibility.size() - at);
    for (Index i = 0; i < size; ++i) logs[i] = std::max(r[at + i], 1e-300);
    vlog(logs, logs, static_cast<std::size_t>(size));
    out -= dot(r + at, logs, static_cast<std::size_t>(size));
  }
  return out;
}

}  // namespace cwm
}  // namespace mixology
