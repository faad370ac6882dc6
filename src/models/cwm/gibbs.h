// Gibbs sampling for cwm: components given z, weights given z, z given both. Two weights priors:
// Dirichlet, and a stick-breaking process cut off after K sticks (Ishwaran & James 2001), where
// sweeps also try to swap two labels, since sticks are ordered (Papaspiliopoulos & Roberts 2008).
//
// Draws are relabelled to agree best with a fixed partition, the pivot: the permutation that
// maximises the number of rows with the same label (assignment by Hungarian algorithm).
#pragma once

#include "engine/gibbs.h"
#include "models/cwm/assignment.h"
#include "models/cwm/em.h"
#include "models/cwm/prior.h"

namespace mixology {
namespace cwm {

class Gibbs {
 public:
  struct State {
    std::vector<std::uint8_t> z;
    VectorXd log_weight;
    std::vector<Kernel> kernel;
    std::vector<MatrixXd> spread, noise;  // Sigma_k, Psi_k
    Stats stats;                          // sums of the current z about the current kernels
    double log_likelihood = 0.0;          // of the current parameters, z summed out
  };

  Gibbs(const Data& data, int k, const Prior& prior, Labels pivot, bool keep_labels)
      : data_(data),
        k_(k),
        prior_(in_coordinates(prior, data)),
        pivot_(std::move(pivot)),
        keep_labels_(keep_labels) {}

  const Data& data() const { return data_; }
  int k() const { return k_; }

  State from_labels(const Labels& labels) const {
    State state;
    const auto k = static_cast<std::size_t>(k_);
    const Index d = data_.d(), m = data_.m();
    state.z = labels;
    state.log_weight = VectorXd::Constant(k_, -std::log(double(k_)));
    state.spread.assign(k, MatrixXd::Identity(d, d));
    state.noise.assign(k, MatrixXd::Identity(m, m));
    state.kernel.resize(k);
    for (std::size_t j = 0; j < k; ++j) {
      state.kernel[j].mean = VectorXd::Zero(d);
      state.kernel[j].coef = data_.pooled;
      set_kernel(state, j);
    }
    state.stats = local_pass(data_, state.kernel, Range{0, data_.n()}, GivenLabels{state.z});
    return state;
  }

  void gibbs_sweep(State& state, const SweepKey& key, Executor& executor, Monitor& watch) const {
    Rng rng(key.seed, key.chain, key.iteration, 0, 1);
    draw_components(state, rng);
    draw_weights(state, rng);
    for (std::size_t j = 0; j < state.kernel.size(); ++j) set_kernel(state, j);
    state.stats = chunked_sum<Stats>(data_.n(), kChunk, executor, watch, [&](Range range) {
      Rng local(key.seed, key.chain, key.iteration, static_cast<std::uint64_t>(range.begin), 2);
      return local_pass(data_, state.kernel, range, DrawLabels{state.z, local});
    });
    state.log_likelihood = state.stats.total + data_.jacobian;
  }

  // Per component: weight, mean, lower triangle of Sigma, vec Theta, that of Psi, in the user's
  // units; then the log likelihood and the number of occupied components.
  VectorXd draw(const State& state) const {
    const Index d = data_.d(), r = data_.r(), m = data_.m();
    std::vector<double> out;
    auto push = [&](const MatrixXd& a) { out.insert(out.end(), a.data(), a.data() + a.size()); };
    auto push_lower = [&](const MatrixXd& a) {
      for (Index j = 0; j < a.cols(); ++j) {
        for (Index i = j; i < a.rows(); ++i) out.push_back(a(i, j));
      }
    };
    const VectorXd weight = state.log_weight.array().exp();
    for (int target : order(state)) {
      const auto j = static_cast<std::size_t>(target);
      const Kernel& kernel = state.kernel[j];
      out.push_back(weight[target] / weight.sum());
      if (d > 0) push(data_.centre + data_.scale.cwiseProduct(kernel.mean));
      push_lower(data_.scale.asDiagonal() * state.spread[j] * data_.scale.asDiagonal());
      if (m > 0 && r > 0) push(data_.basis * kernel.coef * data_.y_scale.asDiagonal());
      push_lower(data_.y_scale.asDiagonal() * state.noise[j] * data_.y_scale.asDiagonal());
    }
    out.push_back(state.log_likelihood);
    out.push_back(occupied(state));
    return Eigen::Map<const VectorXd>(out.data(), static_cast<Index>(out.size()));
  }

  // In the user's order of rows, numbered as the draw is; none where rows are many.
  std::vector<std::uint8_t> labels(const State& state) const {
    if (!keep_labels_) return {};
    std::vector<std::uint8_t> name(static_cast<std::size_t>(k_));
    const std::vector<int> by = order(state);
    for (std::size_t j = 0; j < by.size(); ++j) {
      name[static_cast<std::size_t>(by[j])] = static_cast<std::uint8_t>(j);
    }
    std::vector<std::uint8_t> out(state.z.size());
    for (Index i = 0; i < data_.n(); ++i) {
      out[static_cast<std::size_t>(data_.row(i))] = name[state.z[static_cast<std::size_t>(i)]];
    }
    return out;
  }

  Archive save(const State& state) const {
    Archive out;
    out.put("z", std::vector<double>(state.z.begin(), state.z.end()));
    out.put("log_weight", state.log_weight);
    out.put("log_likelihood", state.log_likelihood);
    for (int k = 0; k < k_; ++k) {
      const auto slot = static_cast<std::size_t>(k);
      const std::string id = std::to_string(k + 1);
      out.put("mean" + id, state.kernel[slot].mean);
      out.put("coef" + id, state.kernel[slot].coef);
      out.put("spread" + id, state.spread[slot]);
      out.put("noise" + id, state.noise[slot]);
      out.put("xx" + id, state.stats.xx[slot]);
      out.put("wy" + id, state.stats.wy[slot]);
    }
    out.put("rows_y", state.stats.rows_y);
    return out;
  }
  State load(const Archive& archive) const {
    const std::vector<double>& z = archive.values("z");
    State state = from_labels(Labels(z.begin(), z.end()));
    state.log_weight = archive.vector("log_weight");
    state.log_likelihood = archive.scalar("log_likelihood");
    for (int k = 0; k < k_; ++k) {
      const auto slot = static_cast<std::size_t>(k);
      const std::string id = std::to_string(k + 1);
      state.kernel[slot].mean = archive.vector("mean" + id);
      state.kernel[slot].coef = archive.matrix("coef" + id);
      state.spread[slot] = archive.matrix("spread" + id);
      state.noise[slot] = archive.matrix("noise" + id);
      state.stats.xx[slot] = archive.matrix("xx" + id);
      state.stats.wy[slot] = archive.matrix("wy" + id);
    }
    state.stats.rows_y = archive.values("rows_y");
    return state;
  }

 private:
  // Sigma, mu, Psi, Theta from their conjugate posteriors.
  void draw_components(State& state, Rng& rng) const {
    const std::vector<Conjugate> parts = posteriors(prior_, state.stats, state.kernel);
    for (std::size_t j = 0; j < parts.size(); ++j) {
      Kernel& kernel = state.kernel[j];
      const Conjugate& q = parts[j];
      if (data_.d() > 0) {
        const bool same = j > 0 && shared(prior_.family);
        state.spread[j] = same ? state.spread[0] : draw_spread(q, rng);
        kernel.mean =
            rng.mvn(q.mean, MatrixXd(state.spread[j].llt().matrixL()) / std::sqrt(q.beta));
      }
      if (data_.m() > 0) {
        state.noise[j] = j > 0 && prior_.equal_noise
                             ? state.noise[0]
                             : floored(rng.inverse_wishart(q.eta, q.residual.llt().matrixL()));
        MatrixXd z(data_.r(), data_.m());
        rng.normal(z.data(), static_cast<std::size_t>(z.size()));
        const MatrixXd columns = state.noise[j].llt().matrixL();
        kernel.coef = q.coef + q.precision.llt().matrixU().solve(z) * columns.transpose();
      }
    }
  }

  MatrixXd draw_spread(const Conjugate& q, Rng& rng) const {
    if (!diagonal(prior_.family)) {
      return floored(rng.inverse_wishart(q.nu, q.scale.llt().matrixL()));
    }
    MatrixXd out = q.scale;
    double chi = 0.0;
    for (Index j = 0; j < out.rows(); ++j) {
      if (j == 0 || !spherical(prior_.family)) chi = rng.chi_squared(q.nu);
      out(j, j) /= chi;
    }
    return floored(out);
  }

  void draw_weights(State& state, Rng& rng) const {
    VectorXd rows(k_);
    for (int k = 0; k < k_; ++k) rows[k] = state.stats.rows(k);
    if (!prior_.stick_breaking) {
      state.log_weight = rng.log_dirichlet(weight_posterior(prior_, rows).a);
      return;
    }
    const WeightPosterior q = weight_posterior(prior_, rows);
    double left = 0.0;
    for (int k = 0; k < k_; ++k) {
      const std::pair<double, double> v =
          k + 1 < k_ ? rng.log_beta(q.a[k], q.b[k]) : std::pair<double, double>{0.0, 0.0};
      state.log_weight[k] = left + v.first;
      left += v.second;
    }
    for (int k = 0; k < k_; ++k) try_swap(state, rows, rng);
  }

  // Exchanges the components behind two sticks: ratio (pi_a / pi_b)^(n_b - n_a). The labels follow
  // when z is drawn next.
  void try_swap(State& state, VectorXd& rows, Rng& rng) const {
    const auto a = static_cast<Index>(rng.below(std::uint64_t(k_)));
    const auto b = static_cast<Index>(rng.below(std::uint64_t(k_)));
    const double ratio = (state.log_weight[a] - state.log_weight[b]) * (rows[b] - rows[a]);
    if (a == b || std::log(rng.uniform()) > ratio) return;
    const auto i = static_cast<std::size_t>(a), j = static_cast<std::size_t>(b);
    std::swap(rows[a], rows[b]);
    std::swap(state.kernel[i], state.kernel[j]);
    std::swap(state.spread[i], state.spread[j]);
    std::swap(state.noise[i], state.noise[j]);
  }

  // A draw of almost no variance is lifted to the smallest number that can be factored.
  static MatrixXd floored(MatrixXd a) {
    a.diagonal().array() += 1e-14;
    return a;
  }

  void set_kernel(State& state, std::size_t j) const {
    Kernel& kernel = state.kernel[j];
    const Factor x = factor_from_lower(MatrixXd(state.spread[j].llt().matrixL()));
    const Factor y = factor_from_lower(MatrixXd(state.noise[j].llt().matrixL()));
    const auto k = static_cast<Index>(j);
    kernel.white_x = x.inverse;
    kernel.white_y = y.inverse;
    kernel.diagonal_x = diagonal(prior_.family);
    kernel.constant_x =
        std::max(state.log_weight[k], -690.0) - 0.5 * (double(data_.d()) * kLog2Pi + x.log_det);
    kernel.constant_y = -0.5 * (double(data_.m()) * kLog2Pi + y.log_det);
  }

  double occupied(const State& state) const {
    double out = 0.0;
    for (int k = 0; k < k_; ++k) out += state.stats.rows(k) > 0.5;
    return out;
  }

  // order[j]: the component that the pivot calls j.
  std::vector<int> order(const State& state) const {
    MatrixXd agree = MatrixXd::Zero(k_, k_);
    for (std::size_t i = 0; i < pivot_.size(); ++i) agree(pivot_[i], state.z[i]) += 1.0;
    return best_assignment(-agree);
  }

  const Data& data_;
  const int k_;
  const Prior prior_;
  const Labels pivot_;  // rows as in Data
  const bool keep_labels_;
};

}  // namespace cwm
}  // namespace mixology
