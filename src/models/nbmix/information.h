// Gradient and Hessian of the observed log likelihood (Louis 1982, J. R. Statist. Soc. B 44:226):
//   -H = E[complete information | data] - Var[complete score | data].
// Parameters: alpha_1, ..., alpha_{C-1} (log weights against that of the last of the C parts, the
// point mass included), then (eta_k, psi_k) = (log mu_k, log phi_k) of every component. A component
// in its Poisson limit has zero rows for psi.
#pragma once

#include <vector>

#include "models/nbmix/mixture.h"

namespace mixology {

struct Curvature {
  VectorXd gradient;
  MatrixXd hessian;
};

namespace detail {

// Adds up w Var_z[c] of items, c_j = (e_j - pi, g_j in block j):
//   E[c c'] has blocks of its own part alone, and E[c] = (z - pi, z_j g_j).
class ScoreVariance {
 public:
  ScoreVariance(Index parts, Index components)
      : g(kBlock, 2 * components), free_(parts - 1), mean_(kBlock, free_ + 2 * components) {
    sum = MatrixXd::Zero(mean_.cols(), mean_.cols());
  }

  // The first rows of z and g, with weights w.
  template <class Weights>
  void add(const Weights& w, const ArrayXXd& z, Index rows) {
    mean_.leftCols(free_).topRows(rows) = z.leftCols(free_).topRows(rows);
    for (Index i = 0; i < g.cols(); ++i) {
      mean_.col(free_ + i).head(rows) = z.col(i / 2).head(rows) * g.col(i).head(rows);
    }
    const auto size = static_cast<std::size_t>(rows);
    for (Index i = 0; i < mean_.cols(); ++i) {
      const ArrayXd row = w * mean_.col(i).head(rows);
      for (Index j = 0; j <= i; ++j) {
        sum(i, j) += own(row, i, j) - dot(row.data(), &mean_(0, j), size);
      }
    }
  }

  MatrixXd sum;  // lower triangle
  ArrayXXd g;    // scores in eta and psi of every component

 private:
  // E[c_i c_j], where both are of the same part.
  double own(const ArrayXd& row, Index i, Index j) const {
    if (i < free_) return i == j ? row.sum() : 0.0;
    if (j < free_) return (i - free_) / 2 == j ? row.sum() : 0.0;
    if ((i - free_) / 2 != (j - free_) / 2) return 0.0;
    return dot(row.data(), &g(0, j - free_), static_cast<std::size_t>(row.size()));
  }

  Index free_;
  ArrayXXd mean_;
};

// Scores at the sites and counts that all items of a component share.
struct ScoreTables {
  ArrayXXd v;      // s u / (1 + s u), or 0 in the Poisson limit
  ArrayXXd mean;   // r v, or s mu
  ArrayXXd tail;   // r (v - L)
  ArrayXXd slope;  // phi R'(x)
};

inline ScoreTables score_tables(const Gene& gene, const PassTables& at) {
  const Index k = at.k();
  ScoreTables out{ArrayXXd::Zero(gene.sites(), k), ArrayXXd::Zero(gene.sites(), k),
                  ArrayXXd::Zero(gene.sites(), k), ArrayXXd::Zero(gene.table.size(), k)};
  for (Index j = 0; j < k; ++j) {
    const Component& c = at.component[static_cast<std::size_t>(j)];
    const ComponentTables& own = at.table[static_cast<std::size_t>(j)];
    out.mean.col(j) = gene.s * std::exp(c.eta);
    if (c.phi == 0.0) continue;
    const ArrayXd t = out.mean.col(j) * c.phi;
    out.v.col(j) = t / (1.0 + t);
    out.mean.col(j) = out.v.col(j) / c.phi;
    out.tail.col(j) = (out.v.col(j) - own.logs) / c.phi;
    out.slope.col(j) = c.phi * own.rising.first;
  }
  return out;
}

inline MatrixXd score_variance(const Gene& gene, const PassTables& at,
                               const std::vector<Index>& site_of) {
  const ScoreTables scores = score_tables(gene, at);
  const Index k = at.k();
  ScoreVariance variance(at.log_weight.size(), k);
  SoftmaxBlock block(at.log_weight.size());
  for (Index begin = 0; begin < gene.sites(); begin += kBlock) {
    const Index rows = std::min(kBlock, gene.sites() - begin);
    const auto w = gene.zero_weight.segment(begin, rows);
    if ((w == 0.0).all()) continue;
    zero_block(gene, at, begin, rows, block);
    for (Index j = 0; j < k; ++j) {
      variance.g.col(2 * j).head(rows) = -scores.mean.col(j).segment(begin, rows);
      variance.g.col(2 * j + 1).head(rows) = -scores.tail.col(j).segment(begin, rows);
    }
    variance.add(w, block.z, rows);
  }
  for (Index begin = 0; begin < gene.items(); begin += kBlock) {
    const Index rows = std::min(kBlock, gene.items() - begin);
    item_block(gene, at, begin, rows, site_of, block);
    for (Index j = 0; j < k; ++j) {
      for (Index i = 0; i < rows; ++i) {
        const auto item = static_cast<std::size_t>(begin + i);
        const Index site = site_of[item];
        const double xv = block.x[i] * scores.v(site, j);
        variance.g(i, 2 * j) = block.x[i] - xv - scores.mean(site, j);
        variance.g(i, 2 * j + 1) =
            scores.slope(gene.item_count[item], j) - xv - scores.tail(site, j);
      }
    }
    const Eigen::Map<const ArrayXd> w(&gene.item_weight[static_cast<std::size_t>(begin)], rows);
    variance.add(w, block.z, rows);
  }
  return variance.sum;
}

}  // namespace detail

// `site_of` are the items' sites, `state` is that of a climb (its mixture, tables and site weights)
// and `sums` those of its last pass.
template <class State>
Curvature curvature(const Gene& gene, const std::vector<Index>& site_of, const State& state,
                    const PassSums& sums) {
  const Mixture& mixture = state.mixture;
  const Index free = mixture.weight.size() - 1;
  const Index k = mixture.k();
  Curvature out;
  out.gradient = VectorXd::Zero(free + 2 * k);
  out.hessian = detail::score_variance(
      gene, {log_weights(mixture), mixture.component, state.tables.of}, site_of);
  const VectorXd pi = mixture.weight;
  out.gradient.head(free) = sums.weight.head(free) - gene.n * pi.head(free);
  for (Index i = 0; i < free; ++i) {
    for (Index j = 0; j <= i; ++j) out.hessian(i, j) -= gene.n * pi[i] * ((i == j) - pi[j]);
  }
  for (Index j = 0; j < k; ++j) {
    const Component& c = mixture.component[static_cast<std::size_t>(j)];
    const ComponentSums part{gene, state.a.col(j), state.b.col(j), sums.h.col(j)};
    const Index at = free + 2 * j;
    if (c.phi == 0.0) {
      const double mean = (part.a * gene.s).sum() * std::exp(c.eta);
      out.gradient[at] = part.sum_zx() - mean;
      out.hessian(at, at) -= mean;
      out.hessian.row(at + 1).setZero();
      out.hessian.col(at + 1).setZero();
      continue;
    }
    const Slopes slopes =
        ComponentLikelihood(part).slopes(c, state.tables.of[static_cast<std::size_t>(j)]);
    out.gradient[at] = slopes.eta;
    out.gradient[at + 1] = slopes.psi;
    out.hessian(at, at) += slopes.eta_eta;
    out.hessian(at + 1, at) += slopes.eta_psi;
    out.hessian(at + 1, at + 1) += slopes.psi_psi;
  }
  out.hessian = MatrixXd(out.hessian.selfadjointView<Eigen::Lower>());
  return out;
}

}  // namespace mixology
