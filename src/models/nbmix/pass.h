// The E step: responsibilities of every item and of the zeros at every site, in log space, and the
// sums that the M step needs. Work goes in blocks so that the elementwise functions see arrays.
#pragma once

#include <algorithm>
#include <vector>

#include "models/nbmix/component.h"

namespace mixology {

using Eigen::ArrayXXd;

// What a pass reads: per component the log weight, eta, and the tables of one gene. The point mass
// at zero, when there is one, is the last component and has no tables.
struct PassTables {
  VectorXd log_weight;   // components, the point mass included
  VectorXd eta;          // components without the point mass
  Index first_site = 0;  // row 0 of the next two
  ArrayXXd logs;         // sites x components: log(1 + s u)
  ArrayXXd cost;         // sites x components: -log P(0)
  ArrayXXd rising;       // distinct counts x components
  bool point_mass() const { return log_weight.size() > eta.size(); }
};

// Sums over items and zeros of a range of sites.
struct PassSums {
  double log_likelihood = 0.0;  // without the gene's constant
  double entropy = 0.0;         // of the responsibilities; only when asked for
  VectorXd weight;              // expected number of cells, per component
  ArrayXXd h;                   // distinct counts x components

  PassSums& operator+=(const PassSums& other) {
    log_likelihood += other.log_likelihood;
    entropy += other.entropy;
    weight += other.weight;
    h += other.h;
    return *this;
  }
};

namespace detail {

constexpr Index kBlock = 256;

// Rows of log joint densities -> log density in `total`, responsibilities in place.
class SoftmaxBlock {
 public:
  explicit SoftmaxBlock(Index components) : z(kBlock, components), total(kBlock) {}

  // With `entropy` also the entropy of each row.
  void normalise(Index rows, bool with_entropy = false) {
    const Index k = z.cols();
    if (with_entropy) entropy.head(rows).setZero();
    if (k == 1) {
      total.head(rows) = z.col(0).head(rows);
      z.col(0).head(rows).setOnes();
      return;
    }
    top_.head(rows) = z.col(0).head(rows);
    for (Index j = 1; j < k; ++j) top_.head(rows) = top_.head(rows).max(z.col(j).head(rows));
    total.head(rows).setZero();
    for (Index j = 0; j < k; ++j) {
      z.col(j).head(rows) -= top_.head(rows);
      if (with_entropy) shifted_.head(rows) = z.col(j).head(rows).max(-700.0);
      array_exp(&z(0, j), &z(0, j), rows);
      total.head(rows) += z.col(j).head(rows);
      if (with_entropy) entropy.head(rows) -= z.col(j).head(rows) * shifted_.head(rows);
    }
    for (Index j = 0; j < k; ++j) z.col(j).head(rows) /= total.head(rows);
    if (with_entropy) entropy.head(rows) /= total.head(rows);
    array_log(total.data(), total.data(), rows);
    if (with_entropy) entropy.head(rows) += total.head(rows);
    total.head(rows) += top_.head(rows);
  }

  ArrayXXd z;
  ArrayXd total;
  ArrayXd entropy = ArrayXd::Zero(kBlock);

 private:
  ArrayXd top_ = ArrayXd::Zero(kBlock);
  ArrayXd shifted_ = ArrayXd::Zero(kBlock);
};

inline void zero_block(const PassTables& tables, Index begin, Index rows, SoftmaxBlock& block,
                       bool entropy = false) {
  const Index k = tables.eta.size();
  const Index row = begin - tables.first_site;
  for (Index j = 0; j < k; ++j) {
    block.z.col(j).head(rows) = tables.log_weight[j] - tables.cost.col(j).segment(row, rows);
  }
  if (tables.point_mass()) block.z.col(k).head(rows).setConstant(tables.log_weight[k]);
  block.normalise(rows, entropy);
}

inline void item_block(const Gene& gene, const PassTables& tables, Index begin, Index rows,
                       const std::vector<Index>& site_of, SoftmaxBlock& block,
                       bool entropy = false) {
  const Index k = tables.eta.size();
  for (Index j = 0; j < k; ++j) {
    for (Index i = 0; i < rows; ++i) {
      const auto item = static_cast<std::size_t>(begin + i);
      const Index site = site_of[item] - tables.first_site;
      const Index count = gene.item_count[item];
      block.z(i, j) = tables.log_weight[j] + tables.rising(count, j) - tables.cost(site, j) +
                      gene.table.x(count) * (tables.eta[j] - tables.logs(site, j));
    }
  }
  if (tables.point_mass()) block.z.col(k).head(rows).setConstant(-kInfinity);
  block.normalise(rows, entropy);
}

}  // namespace detail

inline std::vector<Index> item_sites(const Gene& gene) {
  std::vector<Index> site(static_cast<std::size_t>(gene.items()));
  for (Index i = 0; i < gene.sites(); ++i) {
    const Index end = gene.first_item[static_cast<std::size_t>(i) + 1];
    for (Index j = gene.first_item[static_cast<std::size_t>(i)]; j < end; ++j) {
      site[static_cast<std::size_t>(j)] = i;
    }
  }
  return site;
}

// Where a pass leaves the expected weights of the sites of its range; either may be absent.
struct SiteWeights {
  ArrayXXd* a = nullptr;
  ArrayXXd* b = nullptr;
};

inline PassSums pass_zeros(const Gene& gene, const PassTables& tables, Range range, SiteWeights out,
                           bool entropy, PassSums sums) {
  const Index k = tables.eta.size();
  detail::SoftmaxBlock block(tables.log_weight.size());
  for (Index begin = range.begin; begin < range.end; begin += detail::kBlock) {
    const Index rows = std::min(detail::kBlock, range.end - begin);
    const auto w = gene.zero_weight.segment(begin, rows);
    const bool none = (w == 0.0).all();
    if (none) {
      if (out.a != nullptr) out.a->middleRows(begin, rows).setZero();
    } else {
      detail::zero_block(tables, begin, rows, block, entropy);
      sums.log_likelihood += (w * block.total.head(rows)).sum();
      for (Index j = 0; j < sums.weight.size(); ++j) {
        sums.weight[j] += (w * block.z.col(j).head(rows)).sum();
        if (out.a != nullptr && j < k) {
          out.a->col(j).segment(begin, rows) = w * block.z.col(j).head(rows);
        }
      }
      if (entropy) sums.entropy += (w * block.entropy.head(rows)).sum();
    }
    if (out.b != nullptr) out.b->middleRows(begin, rows).setZero();
  }
  return sums;
}

inline PassSums pass_items(const Gene& gene, const PassTables& tables,
                           const std::vector<Index>& site_of, Range range, SiteWeights out,
                           bool entropy, PassSums sums) {
  const Index k = tables.eta.size();
  detail::SoftmaxBlock block(tables.log_weight.size());
  for (Index begin = range.begin; begin < range.end; begin += detail::kBlock) {
    const Index rows = std::min(detail::kBlock, range.end - begin);
    detail::item_block(gene, tables, begin, rows, site_of, block, entropy);
    for (Index i = 0; i < rows; ++i) {
      const auto item = static_cast<std::size_t>(begin + i);
      const double w = gene.item_weight[item];
      const Index count = gene.item_count[item];
      sums.log_likelihood += w * block.total[i];
      if (entropy) sums.entropy += w * block.entropy[i];
      for (Index j = 0; j < k; ++j) {
        const double wz = w * block.z(i, j);
        sums.weight[j] += wz;
        sums.h(count, j) += wz;
        if (out.a != nullptr) (*out.a)(site_of[item], j) += wz;
        if (out.b != nullptr) (*out.b)(site_of[item], j) += wz * gene.table.x(count);
      }
    }
  }
  return sums;
}

// The whole E step over a range of sites and their items.
inline PassSums pass(const Gene& gene, const PassTables& tables, const std::vector<Index>& site_of,
                     Range sites, SiteWeights out, bool entropy = false) {
  PassSums sums;
  sums.weight = VectorXd::Zero(tables.log_weight.size());
  sums.h = ArrayXXd::Zero(gene.table.size(), tables.eta.size());
  sums = pass_zeros(gene, tables, sites, out, entropy, std::move(sums));
  const Range items{gene.first_item[static_cast<std::size_t>(sites.begin)],
                    gene.first_item[static_cast<std::size_t>(sites.end)]};
  return pass_items(gene, tables, site_of, items, out, entropy, std::move(sums));
}

}  // namespace mixology
