// The counts of one gene in the form that EM sums over: sites and items.
//
// A site is a value s of the size factor. Zero counts sit at sites with a weight, non-zero counts
// are items (count, site, how often). Three layouts give the same sums:
//   few distinct size factors   one site per value, items are distinct (count, value) pairs
//   mostly zeros                the quadrature nodes carry the zeros of ALL cells, and the site of
//                               each non-zero cell carries weight -1 to take its zero back
//   else                        every zero cell is a site of its own
// so a pass costs O(non-zeros + nodes) where most counts are zero.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "core/special.h"
#include "models/nbmix/cells.h"
#include "models/nbmix/rising.h"

namespace mixology {

// Non-zero counts of one gene: cells in increasing order, and their counts.
struct SparseCounts {
  const int* cell = nullptr;
  const double* count = nullptr;
  Index size = 0;
};

enum class ZeroSum { automatic, exact };

struct Gene {
  ArrayXd s;                      // sites
  ArrayXd zero_weight;            // how many zero counts a site stands for; -1 takes one back
  std::vector<Index> first_item;  // items of site i: first_item[i], ..., first_item[i + 1] - 1
  std::vector<Index> item_count;  // index into table
  std::vector<double> item_weight;
  RisingTable table;      // distinct non-zero counts
  double constant = 0.0;  // sum of x log s - log x!
  double n = 0.0;         // cells
  double sum_x = 0.0;
  double sum_s = 0.0;
  double sum_ss = 0.0;
  bool quadrature = false;  // zeros go through the rule
  bool one_each = false;    // the last sites are those of the items, one each and in their order

  Index sites() const { return s.size(); }
  Index items() const { return static_cast<Index>(item_count.size()); }
  double item_x(Index item) const { return table.x(item_count[static_cast<std::size_t>(item)]); }
};

// A log density is the difference of terms of the size of x log x: rounding moves the sum of all
// of them by up to this, which only counts above a million make visible.
inline double density_rounding(const Gene& gene) {
  double size = 0.0;
  for (Index i = 0; i < gene.items(); ++i) {
    const double x = gene.item_x(i);
    size += gene.item_weight[static_cast<std::size_t>(i)] * x * (1.0 + std::log(x));
  }
  return 1e-15 * size;
}

namespace detail {

// Where counts are no larger than `most`, which is not much more than their number: by ticking off.
inline std::vector<double> tick_off(const SparseCounts& data, double most,
                                    std::vector<Index>& index) {
  std::vector<Index> place(static_cast<std::size_t>(most) + 1, 0);
  for (Index i = 0; i < data.size; ++i) place[static_cast<std::size_t>(data.count[i])] = 1;
  std::vector<double> x;
  for (std::size_t v = 0; v < place.size(); ++v) {
    if (place[v] == 0) continue;
    place[v] = static_cast<Index>(x.size());
    x.push_back(static_cast<double>(v));
  }
  for (Index i = 0; i < data.size; ++i) {
    index[static_cast<std::size_t>(i)] = place[static_cast<std::size_t>(data.count[i])];
  }
  return x;
}

inline RisingTable distinct_counts(const SparseCounts& data, std::vector<Index>& index) {
  index.resize(static_cast<std::size_t>(data.size));
  const double most = data.size > 0 ? *std::max_element(data.count, data.count + data.size) : 0.0;
  if (most <= 4.0 * static_cast<double>(data.size)) {
    return RisingTable(tick_off(data, most, index));
  }
  std::vector<double> x(data.count, data.count + data.size);
  std::sort(x.begin(), x.end());
  x.erase(std::unique(x.begin(), x.end()), x.end());
  for (Index i = 0; i < data.size; ++i) {
    const auto at = std::lower_bound(x.begin(), x.end(), data.count[i]);
    index[static_cast<std::size_t>(i)] = at - x.begin();
  }
  return RisingTable(std::move(x));
}

// One site per distinct size factor, equal counts put together.
inline void lay_levels(const Cells& cells, const SparseCounts& data,
                       const std::vector<Index>& index, Gene& gene) {
  const Rule& level = cells.level();
  gene.s = Eigen::Map<const ArrayXd>(level.node.data(), level.size());
  gene.zero_weight = Eigen::Map<const ArrayXd>(level.weight.data(), level.size());
  std::vector<std::pair<Index, Index>> pairs;  // (site, count)
  for (Index i = 0; i < data.size; ++i) {
    const Index site = cells.level_of(data.cell[i]);
    gene.zero_weight[site] -= 1.0;
    pairs.emplace_back(site, index[static_cast<std::size_t>(i)]);
  }
  std::sort(pairs.begin(), pairs.end());
  gene.first_item.assign(static_cast<std::size_t>(level.size()) + 1, 0);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (i > 0 && pairs[i] == pairs[i - 1]) {
      gene.item_weight.back() += 1.0;
      continue;
    }
    gene.item_count.push_back(pairs[i].second);
    gene.item_weight.push_back(1.0);
    ++gene.first_item[static_cast<std::size_t>(pairs[i].first) + 1];
  }
  for (std::size_t i = 1; i < gene.first_item.size(); ++i) {
    gene.first_item[i] += gene.first_item[i - 1];
  }
}

// Zero sites first, then one site per non-zero cell with its item.
inline void lay_cells(const Cells& cells, const SparseCounts& data, std::vector<Index> index,
                      Gene& gene) {
  const Rule& rule = cells.rule();
  const Index zeros = gene.quadrature ? rule.size() : cells.size() - data.size;
  const Index sites = zeros + data.size;
  gene.s.resize(sites);
  gene.zero_weight.resize(sites);
  if (gene.quadrature) {
    gene.s.head(zeros) = Eigen::Map<const ArrayXd>(rule.node.data(), zeros);
    gene.zero_weight.head(zeros) = Eigen::Map<const ArrayXd>(rule.weight.data(), zeros);
  } else {
    Index at = 0;
    Index next = 0;
    for (Index cell = 0; cell < cells.size(); ++cell) {
      if (next < data.size && data.cell[next] == cell) {
        ++next;
      } else {
        gene.s[at++] = cells.s(cell);
      }
    }
    gene.zero_weight.head(zeros).setOnes();
  }
  gene.zero_weight.tail(data.size).setConstant(gene.quadrature ? -1.0 : 0.0);
  for (Index i = 0; i < data.size; ++i) gene.s[zeros + i] = cells.s(data.cell[i]);
  gene.one_each = true;
  gene.item_count = std::move(index);
  gene.item_weight.assign(static_cast<std::size_t>(data.size), 1.0);
  gene.first_item.assign(static_cast<std::size_t>(sites) + 1, 0);
  for (Index i = 1; i <= data.size; ++i) {
    gene.first_item[static_cast<std::size_t>(zeros + i)] = i;
  }
}

}  // namespace detail

inline Gene make_gene(const Cells& cells, const SparseCounts& data,
                      ZeroSum zeros = ZeroSum::automatic) {
  Gene gene;
  gene.n = static_cast<double>(cells.size());
  for (Index i = 0; i < data.size; ++i) {
    gene.sum_x += data.count[i];
    gene.constant += data.count[i] * cells.log_s(data.cell[i]);
  }
  gene.sum_s = cells.sum_s();
  gene.sum_ss = cells.sum_ss();
  std::vector<Index> index;
  gene.table = detail::distinct_counts(data, index);
  const ArrayXd factorials = gene.table.log_factorials();
  for (const Index at : index) gene.constant -= factorials[at];
  if (!cells.many_levels()) {
    detail::lay_levels(cells, data, index, gene);
  } else {
    gene.quadrature = zeros == ZeroSum::automatic && cells.has_rule() &&
                      2 * data.size + cells.rule().size() < cells.size();
    detail::lay_cells(cells, data, std::move(index), gene);
  }
  return gene;
}

}  // namespace mixology
