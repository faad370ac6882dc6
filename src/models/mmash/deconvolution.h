// Extreme deconvolution of effects of one SNP at a time (Bovy, Hogg and Roweis 2011, Annals of
// Applied Statistics 5:1657):
//   b_i ~ sum_k w_k N(0, U_k + S_i),   S_i = diag(standard errors squared)
// With T = U_k + S_i: E(beta | b, k) = U_k T^-1 b, Cov = U_k - U_k T^-1 U_k (their eq. 16).
#pragma once

#include <cmath>
#include <vector>

#include "core/archive.h"
#include "core/parallel.h"
#include "core/types.h"

namespace mixology {
namespace mmash {

class Deconvolution {
 public:
  struct State {
    VectorXd weights;
    std::vector<MatrixXd> u;
  };
  struct Stats {
    double log_likelihood = 0.0;
    VectorXd count;
    std::vector<MatrixXd> second;
    Stats& operator+=(const Stats& other) {
      log_likelihood += other.log_likelihood;
      count += other.count;
      for (std::size_t k = 0; k < second.size(); ++k) second[k] += other.second[k];
      return *this;
    }
  };

  Deconvolution(MatrixXd b, MatrixXd s) : b_(std::move(b)), s_(std::move(s)) {}

  Index items() const { return b_.cols(); }
  Index chunk() const { return 64; }

  Stats update_local(State& state, Range range) const {
    const Index nj = b_.rows();
    const auto parts = static_cast<Index>(state.u.size());
    Stats stats;
    stats.count = VectorXd::Zero(parts);
    stats.second.assign(state.u.size(), MatrixXd::Zero(nj, nj));
    std::vector<MatrixXd> second(state.u.size());
    VectorXd score(parts);
    for (Index i = range.begin; i < range.end; ++i) {
      for (Index k = 0; k < parts; ++k) {
        const MatrixXd& u = state.u[static_cast<std::size_t>(k)];
        const MatrixXd t = u + MatrixXd(s_.col(i).cwiseAbs2().asDiagonal());
        const Eigen::LLT<MatrixXd> llt(t);
        const VectorXd solved = llt.solve(b_.col(i));
        const VectorXd mean = u * solved;
        second[static_cast<std::size_t>(k)] = mean * mean.transpose() + u - u * llt.solve(u);
        const MatrixXd lower = llt.matrixL();
        score[k] = std::log(state.weights[k]) - lower.diagonal().array().log().sum() -
                   0.5 * b_.col(i).dot(solved);
      }
      const double top = score.maxCoeff();
      const VectorXd weight = (score.array() - top).exp();
      const double total = weight.sum();
      stats.log_likelihood +=
          top + std::log(total) - 0.5 * static_cast<double>(nj) * 1.837877066409345483560659;
      for (Index k = 0; k < parts; ++k) {
        const double r = weight[k] / total;
        stats.count[k] += r;
        stats.second[static_cast<std::size_t>(k)] += r * second[static_cast<std::size_t>(k)];
      }
    }
    return stats;
  }

  void update_global(State& state, const Stats& stats) const {
    for (std::size_t k = 0; k < state.u.size(); ++k) {
      const double count = stats.count[static_cast<Index>(k)];
      if (count < 1e-8) continue;  // nothing to learn from; its weight goes to 0
      state.u[k] = 0.5 / count * (stats.second[k] + stats.second[k].transpose());
    }
    const VectorXd count = stats.count.array() + 1e-12;
    state.weights = count / count.sum();
  }

  double objective(const State&, const Stats& stats) const { return stats.log_likelihood; }
  VectorXd parameters(const State&) const { return VectorXd(); }
  void set_parameters(State&, const VectorXd&) const {}
  Archive save(const State& state) const {
    Archive out;
    out.put("weights", state.weights);
    return out;
  }

 private:
  MatrixXd b_, s_;  // J x n
};

}  // namespace mmash
}  // namespace mixology
