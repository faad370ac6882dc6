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

inline Membership sorted_membership(const Data& data, const std::vector<Kernel>& kernels,
                                    Executor& executor) {
  Membership sorted;
  sorted.responsibility.resize(data.n(), static_cast<Index>(kernels.size()));
  sorted.log_density.resize(data.n());
  Monitor unstoppable;
  executor.run(
      chunk_count(data.n(), kChunk),
      [&](Index i) {
        local_pass(data, kernels, chunk_range(i, kChunk, data.n()),
                   KeepSoftmax{sorted.responsibility, sorted.log_density});
      },
      unstoppable);
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

// E(y | x) where no covariate is missing: the regressions mixed by p(k | x), in the user's units
// and order of rows.
inline MatrixXd fitted_values(const Data& data, const std::vector<Kernel>& kernels,
                              Executor& executor) {
  MatrixXd out(data.n(), data.m());
  const auto k = static_cast<Index>(kernels.size());
  const auto block = [&](Index first, Index size) {
    Block gate(kBlock, k);
    MatrixXd mean = MatrixXd::Zero(size, data.m());
    for (Index j = 0; j < k; ++j) {
      const Kernel& kernel = kernels[static_cast<std::size_t>(j)];
      const MatrixXd d = data.x.middleRows(first, size).rowwise() - kernel.mean.transpose();
      gate.col(j).head(size) =
          kernel.constant_x -
          0.5 * (d * kernel.white_x.transpose()).rowwise().squaredNorm().array();
    }
    double total[kBlock];
    row_softmax(gate.data(), static_cast<std::size_t>(size), static_cast<std::size_t>(k), kBlock,
                total);
    for (Index j = 0; j < k; ++j) {
      mean += gate.col(j).head(size).asDiagonal() *
              (data.w.middleRows(first, size) * kernels[static_cast<std::size_t>(j)].coef);
    }
    mean *= data.y_scale.asDiagonal();
    for (Index i = 0; i < size; ++i) out.row(data.row(first + i)) = mean.row(i);
  };
  Monitor unstoppable;
  executor.run(
      chunk_count(data.n(), kChunk),
      [&](Index i) {
        const Range rows = chunk_range(i, kChunk, data.n());
        for (Index at = rows.begin; at < rows.end; at += kBlock) {
          block(at, std::min<Index>(kBlock, rows.end - at));
        }
      },
      unstoppable);
  return out;
}

}  // namespace cwm
}  // namespace mixology
