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

// Adds w Var_z[c] of one item, c_j = (e_j - pi, g_j in block j).
class ScoreVariance {
 public:
  ScoreVariance(Index parts, Index components) : parts_(parts), k_(components), g_(components, 2) {
    sum = MatrixXd::Zero(parts - 1 + 2 * k_, parts - 1 + 2 * k_);
  }

  void set(Index j, double eta, double psi) { g_(j, 0) = eta, g_(j, 1) = psi; }

  template <class Row>
  void add(double w, const Row& z) {
    const Index free = parts_ - 1;
    for (Index i = 0; i < free; ++i) {
      for (Index j = 0; j <= i; ++j) sum(i, j) += w * z(i) * ((i == j) - z(j));
    }
    for (Index j = 0; j < k_; ++j) {
      for (Index part = 0; part < 2; ++part) {
        const Index row = free + 2 * j + part;
        const double wzg = w * z(j) * g_(j, part);
        if (wzg == 0.0) continue;
        for (Index i = 0; i < free; ++i) sum(row, i) += wzg * ((i == j) - z(i));
        for (Index l = 0; l <= j; ++l) {
          const double c = wzg * ((l == j) - z(l));
          sum(row, free + 2 * l) += c * g_(l, 0);
          sum(row, free + 2 * l + 1) += c * g_(l, 1);
        }
      }
    }
  }

  MatrixXd sum;  // lower triangle; entries above a diagonal block's are not read

 private:
  Index parts_;
  Index k_;
  Eigen::ArrayX2d g_;
};

// Scores at the sites and counts that all items of a component share.
struct ScoreTables {
  ArrayXXd v;      // s u / (1 + s u), or 0 in the Poisson limit
  ArrayXXd mean;   // r v, or s mu
  ArrayXXd tail;   // r (v - L)
  ArrayXXd slope;  // phi R'(x)
};

inline ScoreTables score_tables(const Gene& gene, const Mixture& mixture) {
  const Index k = mixture.k();
  ScoreTables out{ArrayXXd::Zero(gene.sites(), k), ArrayXXd::Zero(gene.sites(), k),
                  ArrayXXd::Zero(gene.sites(), k), ArrayXXd::Zero(gene.table.size(), k)};
  for (Index j = 0; j < k; ++j) {
    const Component& c = mixture.component[static_cast<std::size_t>(j)];
    const ArrayXd mean = gene.s * std::exp(c.eta);
    out.mean.col(j) = mean;
    if (c.phi == 0.0) continue;
    const ArrayXd t = mean * c.phi;
    out.v.col(j) = t / (1.0 + t);
    out.mean.col(j) = mean / (1.0 + t);
    out.tail.col(j) = (out.v.col(j) - site_logs(gene.s, c)) / c.phi;
    out.slope.col(j) = c.phi * gene.table.slopes(c.phi).first;
  }
  return out;
}

inline MatrixXd score_variance(const Gene& gene, const Mixture& mixture) {
  const Range all{0, gene.sites()};
  const PassTables tables = make_tables(gene, mixture, all);
  const std::vector<Index> site_of = item_sites(gene);
  const ScoreTables scores = score_tables(gene, mixture);
  const Index k = mixture.k();
  ScoreVariance variance(mixture.weight.size(), k);
  SoftmaxBlock block(mixture.weight.size());
  for (Index begin = 0; begin < gene.sites(); begin += kBlock) {
    const Index rows = std::min(kBlock, gene.sites() - begin);
    if ((gene.zero_weight.segment(begin, rows) == 0.0).all()) continue;
    zero_block(tables, begin, rows, block);
    for (Index i = 0; i < rows; ++i) {
      for (Index j = 0; j < k; ++j) {
        variance.set(j, -scores.mean(begin + i, j), -scores.tail(begin + i, j));
      }
      variance.add(gene.zero_weight[begin + i], block.z.row(i));
    }
  }
  for (Index begin = 0; begin < gene.items(); begin += kBlock) {
    const Index rows = std::min(kBlock, gene.items() - begin);
    item_block(gene, tables, begin, rows, site_of, block);
    for (Index i = 0; i < rows; ++i) {
      const auto item = static_cast<std::size_t>(begin + i);
      const Index site = site_of[item];
      const Index count = gene.item_count[item];
      const double x = gene.table.x(count);
      for (Index j = 0; j < k; ++j) {
        const double xv = x * scores.v(site, j);
        variance.set(j, x - xv - scores.mean(site, j),
                     scores.slope(count, j) - xv - scores.tail(site, j));
      }
      variance.add(gene.item_weight[item], block.z.row(i));
    }
  }
  return variance.sum;
}

}  // namespace detail

// `sums` are those of a pass at the mixture's parameters, a and b its site weights.
inline Curvature curvature(const Gene& gene, const Mixture& mixture, const PassSums& sums,
                           const ArrayXXd& a, const ArrayXXd& b) {
  const Index free = mixture.weight.size() - 1;
  const Index k = mixture.k();
  Curvature out;
  out.gradient = VectorXd::Zero(free + 2 * k);
  out.hessian = detail::score_variance(gene, mixture);
  const VectorXd pi = mixture.weight;
  out.gradient.head(free) = sums.weight.head(free) - gene.n * pi.head(free);
  for (Index i = 0; i < free; ++i) {
    for (Index j = 0; j <= i; ++j) out.hessian(i, j) -= gene.n * pi[i] * ((i == j) - pi[j]);
  }
  for (Index j = 0; j < k; ++j) {
    const Component& c = mixture.component[static_cast<std::size_t>(j)];
    const ComponentSums part{gene, a.col(j), b.col(j), sums.h.col(j)};
    const Index at = free + 2 * j;
    if (c.phi == 0.0) {
      const double mean = (part.a * gene.s).sum() * std::exp(c.eta);
      out.gradient[at] = part.sum_zx() - mean;
      out.hessian(at, at) -= mean;
      out.hessian.row(at + 1).setZero();
      out.hessian.col(at + 1).setZero();
      continue;
    }
    const Slopes slopes = ComponentLikelihood(part).slopes(c);
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
