// Variational Bayes for cwm: q(z) q(pi) prod_k q(mu_k, Sigma_k) q(Theta_k, Psi_k), all conjugate;
// where the components share Sigma it is q(Sigma) prod_k q(mu_k | Sigma), and Psi likewise.
// After a local update the bound is the sum of the log normalisers of q(z) minus the divergences of
// the other factors from their priors.
#pragma once

#include "models/cwm/local.h"
#include "models/cwm/prior.h"

namespace mixology {
namespace cwm {

class Vb {
 public:
  struct State {
    WeightPosterior weight;
    std::vector<Conjugate> part;
    std::vector<Kernel> kernel;
    VectorXd rows;
  };
  using Stats = cwm::Stats;

  Vb(const Data& data, int k, const Prior& prior)
      : data_(data), k_(k), prior_(in_coordinates(prior, data)) {}

  const Data& data() const { return data_; }
  int k() const { return k_; }
  const Prior& prior() const { return prior_; }
  Index items() const { return data_.n(); }
  Index chunk() const { return kChunk; }
  double objective_scale() const { return data_.objective_scale(); }

  Stats update_local(State& state, Range range) const {
    return local_pass(data_, state.kernel, range, Softmax{});
  }

  double objective(const State& state, const Stats& stats) const {
    double out = stats.total + data_.jacobian - weight_divergence(prior_, state.weight);
    return out - divergence(state.part, prior_);
  }

  // Sticks go into the order of decreasing size where the prior likes that better. It need not: under
  // a large concentration the last stick, which takes all that is left, is expected to be the largest.
  void update_global(State& state, const Stats& given) const {
    Stats stats = given;
    if (prior_.stick_breaking) sort_by_size(state, stats);
    for (int k = 0; k < k_; ++k) state.rows[k] = stats.rows(k);
    state.part = posteriors(prior_, stats, state.kernel);
    state.weight = weight_posterior(prior_, state.rows);
    refresh(state);
  }

  State from_labels(const std::vector<std::uint8_t>& labels) const {
    State state = blank();
    const Stats stats = local_pass(data_, state.kernel, Range{0, data_.n()}, GivenLabels{labels});
    update_global(state, stats);
    return state;
  }

  // No extrapolation: components empty one by one, and a long step would jump over that.
  VectorXd parameters(const State&) const { return VectorXd(); }
  void set_parameters(State&, const VectorXd&) const {}

  Archive save(const State& state) const {
    Archive out;
    out.put("rows", state.rows);
    for (int k = 0; k < k_; ++k) {
      cwm::save(out, std::to_string(k + 1), state.part[static_cast<std::size_t>(k)]);
    }
    return out;
  }
  State load(const Archive& archive) const {
    State state = blank();
    state.rows = archive.vector("rows");
    for (int k = 0; k < k_; ++k) {
      state.part[static_cast<std::size_t>(k)] = cwm::load(archive, std::to_string(k + 1));
    }
    state.weight = weight_posterior(prior_, state.rows);
    refresh(state);
    return state;
  }

  void refresh(State& state) const {
    const VectorXd log_weight = expected_log_weight(prior_, state.weight);
    for (int k = 0; k < k_; ++k) {
      const auto slot = static_cast<std::size_t>(k);
      state.kernel[slot] = expected_kernel(state.part[slot], prior_.family, log_weight[k]);
    }
  }

  // Each component in use merged into the one whose score it is nearest to.
  std::vector<State> proposals(const State& state, const Stats& stats) const {
    std::vector<State> out;
    for (int from = 0; from < k_; ++from) {
      if (stats.rows(from) < 0.5) continue;
      int nearest = -1;
      double best = HUGE_VAL;
      for (int to = 0; to < k_; ++to) {
        if (to == from || stats.rows(to) < 0.5) continue;
        const double loss = merge_loss(state, from, to);
        if (loss < best) {
          best = loss;
          nearest = to;
        }
      }
      if (nearest >= 0) out.push_back(merged(state, stats, from, nearest));
    }
    return out;
  }

  // Component `from` given to `to`.
  State merged(const State& state, const Stats& stats, int from, int to) const {
    State out = state;
    Stats sums = stats;
    const auto a = static_cast<std::size_t>(from), b = static_cast<std::size_t>(to);
    add_about(state.kernel[a], state.kernel[b], sums.xx[a], sums.wy[a], sums.xx[b], sums.wy[b]);
    sums.rows_y[b] += sums.rows_y[a];
    sums.xx[a].setZero();
    sums.wy[a].setZero();
    sums.rows_y[a] = 0.0;
    update_global(out, sums);
    return out;
  }

 private:
  // How badly `to` would score what `from` holds: the quadratic forms at from's mean and regression.
  double merge_loss(const State& state, int from, int to) const {
    const Kernel &a = state.kernel[std::size_t(from)], &b = state.kernel[std::size_t(to)];
    double out = 0.0;
    if (data_.d() > 0) out += (b.white_x * (a.mean - b.mean)).squaredNorm();
    if (data_.m() > 0) out += (b.white_y * (a.coef - b.coef).transpose()).squaredNorm();
    return out;
  }

  State blank() const {
    State state;
    const auto k = static_cast<std::size_t>(k_);
    state.rows = VectorXd::Constant(k_, double(data_.n()) / k_);
    state.weight = weight_posterior(prior_, state.rows);
    state.part.assign(k, prior_.part);
    for (Conjugate& part : state.part) {
      part.mean = VectorXd::Zero(data_.d());
      part.coef = data_.pooled;
    }
    state.kernel.resize(k);
    refresh(state);
    return state;
  }

  // Sums about component a's mean and regression, added to sums about b's.
  void add_about(const Kernel& a, const Kernel& b, const MatrixXd& xx_a, const MatrixXd& wy_a,
                 MatrixXd& xx_b, MatrixXd& wy_b) const {
    const Index d = data_.d(), r = data_.r(), m = data_.m();
    MatrixXd move = MatrixXd::Identity(d + 1, d + 1);  // [1; d_b] = move [1; d_a]
    move.col(0).tail(d) = a.mean - b.mean;
    xx_b += move * xx_a * move.transpose();
    MatrixXd shift = MatrixXd::Identity(r + m, r + m);  // [w; e_b] = shift [w; e_a]
    if (m > 0) shift.bottomLeftCorner(m, r) = (a.coef - b.coef).transpose();
    wy_b += shift * wy_a * shift.transpose();
  }

  void sort_by_size(State& state, Stats& stats) const {
    std::vector<std::size_t> order(static_cast<std::size_t>(k_));
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return stats.xx[a](0, 0) > stats.xx[b](0, 0);
    });
    VectorXd now(k_), then(k_);
    for (int k = 0; k < k_; ++k) {
      now[k] = stats.rows(k);
      then[k] = stats.rows(static_cast<int>(order[static_cast<std::size_t>(k)]));
    }
    if (log_stick_evidence(prior_, then) <= log_stick_evidence(prior_, now)) return;
    const Stats old = stats;
    const std::vector<Kernel> kernel = state.kernel;
    for (std::size_t k = 0; k < order.size(); ++k) {
      stats.xx[k] = old.xx[order[k]];
      stats.wy[k] = old.wy[order[k]];
      stats.rows_y[k] = old.rows_y[order[k]];
      state.kernel[k] = kernel[order[k]];
    }
  }

  const Data& data_;
  const int k_;
  const Prior prior_;
};

}  // namespace cwm
}  // namespace mixology
