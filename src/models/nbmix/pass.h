// The E step: responsibilities of every item and of the zeros at every site, in log space, and the
// sums that the M step needs. Work goes in blocks so that the elementwise functions see arrays.
#pragma once

#include <algorithm>
#include <vector>

#include "models/nbmix/component.h"

namespace mixology {

using Eigen::ArrayXXd;

// What a pass reads. The point mass at zero, when there is one, is the last part and has no tables.
struct PassTables {
  VectorXd log_weight;  // components, the point mass included
  const std::vector<Component>& component;
  const std::vector<ComponentTables>& table;  // of the components
  Index k() const { return static_cast<Index>(component.size()); }
  bool point_mass() const { return log_weight.size() > k(); }
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
  explicit SoftmaxBlock(Index components) : z(kBlock, components), total(kBlock), x(kBlock) {}

  // With `entropy` also the entropy of each row.
  void normalise(Index rows, bool with_entropy = false) {
    if (with_entropy) joint_ = z;
    row_softmax(z.data(), static_cast<std::size_t>(rows), static_cast<std::size_t>(z.cols()),
                static_cast<std::size_t>(kBlock), total.data());
    if (!with_entropy) return;
    entropy.head(rows).setZero();
    for (Index j = 0; j < z.cols(); ++j) {
      const ArrayXd surprise = (total.head(rows) - joint_.col(j).head(rows)).min(700.0);
      entropy.head(rows) += z.col(j).head(rows) * surprise;
    }
  }

  ArrayXXd z;
  ArrayXd total;
  ArrayXd x;  // counts of the items of the block
  ArrayXd entropy = ArrayXd::Zero(kBlock);

 private:
  ArrayXXd joint_;
};

inline void zero_block(const Gene& gene, const PassTables& tables, Index begin, Index rows,
                       SoftmaxBlock& block, bool entropy = false) {
  for (Index j = 0; j < tables.k(); ++j) {
    const auto part = static_cast<std::size_t>(j);
    const auto logs = tables.table[part].logs.segment(begin, rows);
    block.z.col(j).head(rows) = tables.log_weight[j] - zero_costs(gene.s.segment(begin, rows), logs,
                                                                  tables.component[part]);
  }
  if (tables.point_mass()) {
    block.z.col(tables.k()).head(rows).setConstant(tables.log_weight[tables.k()]);
  }
  block.normalise(rows, entropy);
}

// f(begin, rows, site): the pieces of a block of items whose items share a site.
template <class Visit>
void each_site(const Gene& gene, const std::vector<Index>& site_of, Index begin, Index rows,
               Visit visit) {
  for (Index i = 0; i < rows;) {
    const Index site = site_of[static_cast<std::size_t>(begin + i)];
    const Index end = std::min(gene.first_item[static_cast<std::size_t>(site) + 1] - begin, rows);
    visit(i, end - i, site);
    i = end;
  }
}

inline void item_block(const Gene& gene, const PassTables& tables, Index begin, Index rows,
                       const std::vector<Index>& site_of, SoftmaxBlock& block,
                       bool entropy = false) {
  for (Index i = 0; i < rows; ++i) block.x[i] = gene.item_x(begin + i);
  const Index own = gene.sites() - gene.items() + begin;  // the block's sites, where they are own
  for (Index j = 0; j < tables.k(); ++j) {
    const Component& c = tables.component[static_cast<std::size_t>(j)];
    const ComponentTables& at = tables.table[static_cast<std::size_t>(j)];
    auto z = block.z.col(j).head(rows);
    const Index* count = &gene.item_count[static_cast<std::size_t>(begin)];
    for (Index i = 0; i < rows; ++i) z[i] = at.rising.value[count[i]];
    if (gene.one_each) {
      const auto logs = at.logs.segment(own, rows);
      z += tables.log_weight[j] + block.x.head(rows) * (c.eta - logs) -
           zero_costs(gene.s.segment(own, rows), logs, c);
      continue;
    }
    each_site(gene, site_of, begin, rows, [&](Index i, Index n, Index site) {
      const double log = at.logs[site];
      const double cost = c.phi == 0.0 ? gene.s[site] * std::exp(c.eta) : log / c.phi;
      z.segment(i, n) += (tables.log_weight[j] - cost) + (c.eta - log) * block.x.segment(i, n);
    });
  }
  if (tables.point_mass()) block.z.col(tables.k()).head(rows).setConstant(-kInfinity);
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

// Where a pass leaves the expected weights of the sites of its range, and of their counts, if at all.
struct SiteWeights {
  ArrayXXd* a = nullptr;
  ArrayXXd* b = nullptr;
};

inline PassSums pass_zeros(const Gene& gene, const PassTables& tables, Range range, SiteWeights out,
                           bool entropy, PassSums sums) {
  const Index k = tables.k();
  detail::SoftmaxBlock block(tables.log_weight.size());
  for (Index begin = range.begin; begin < range.end; begin += detail::kBlock) {
    const Index rows = std::min(detail::kBlock, range.end - begin);
    const auto w = gene.zero_weight.segment(begin, rows);
    const bool none = (w == 0.0).all();
    if (none) {
      if (out.a != nullptr) out.a->middleRows(begin, rows).setZero();
    } else {
      detail::zero_block(gene, tables, begin, rows, block, entropy);
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
  const Index k = tables.k();
  detail::SoftmaxBlock block(tables.log_weight.size());
  ArrayXd wz(detail::kBlock), wzx(detail::kBlock);
  for (Index begin = range.begin; begin < range.end; begin += detail::kBlock) {
    const Index rows = std::min(detail::kBlock, range.end - begin);
    detail::item_block(gene, tables, begin, rows, site_of, block, entropy);
    const Eigen::Map<const ArrayXd> w(&gene.item_weight[static_cast<std::size_t>(begin)], rows);
    const Index* count = &gene.item_count[static_cast<std::size_t>(begin)];
    sums.log_likelihood += (w * block.total.head(rows)).sum();
    if (entropy) sums.entropy += (w * block.entropy.head(rows)).sum();
    for (Index j = 0; j < k; ++j) {
      wz.head(rows) = w * block.z.col(j).head(rows);
      sums.weight[j] += wz.head(rows).sum();
      for (Index i = 0; i < rows; ++i) sums.h(count[i], j) += wz[i];
      if (out.a == nullptr) continue;
      wzx.head(rows) = wz.head(rows) * block.x.head(rows);
      if (gene.one_each) {
        const Index own = gene.sites() - gene.items() + begin;
        out.a->col(j).segment(own, rows) += wz.head(rows);
        out.b->col(j).segment(own, rows) = wzx.head(rows);
        continue;
      }
      detail::each_site(gene, site_of, begin, rows, [&](Index i, Index n, Index site) {
        (*out.a)(site, j) += wz.segment(i, n).sum();
        (*out.b)(site, j) += wzx.segment(i, n).sum();
      });
    }
  }
  return sums;
}

// The whole E step over a range of sites and their items.
inline PassSums pass(const Gene& gene, const PassTables& tables, const std::vector<Index>& site_of,
                     Range sites, SiteWeights out, bool entropy = false) {
  PassSums sums;
  sums.weight = VectorXd::Zero(tables.log_weight.size());
  sums.h = ArrayXXd::Zero(gene.table.size(), tables.k());
  sums = pass_zeros(gene, tables, sites, out, entropy, std::move(sums));
  const Range items{gene.first_item[static_cast<std::size_t>(sites.begin)],
                    gene.first_item[static_cast<std::size_t>(sites.end)]};
  return pass_items(gene, tables, site_of, items, out, entropy, std::move(sums));
}

}  // namespace mixology
