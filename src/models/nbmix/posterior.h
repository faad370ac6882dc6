// Log density and responsibilities of every cell under a mixture, in the order of the cells.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "models/nbmix/gene.h"
#include "models/nbmix/mixture.h"

namespace mixology {

// One part as it is reported: a mean of 0 is the point mass.
struct Part {
  double weight, mean, dispersion;
};

struct CellPosterior {
  double* prob;         // cells x parts
  double* log_density;  // of the cells
};

namespace detail {

class CellDensities {
 public:
  CellDensities(const double* x, const double* s, Index n, std::vector<Part> parts)
      : x_(x), s_(s), n_(n), parts_(std::move(parts)), index_(static_cast<std::size_t>(n), 0) {
    std::vector<int> cell;
    std::vector<double> count;
    for (Index i = 0; i < n; ++i) {
      if (x[i] == 0.0 || !tabled(x[i])) continue;
      cell.push_back(static_cast<int>(i));
      count.push_back(x[i]);
    }
    std::vector<Index> place;
    const RisingTable table =
        distinct_counts({cell.data(), count.data(), Index(cell.size())}, place);
    for (std::size_t i = 0; i < cell.size(); ++i) {
      index_[static_cast<std::size_t>(cell[i])] = place[i] + 1;
    }
    const ArrayXd factorials = table.log_factorials();
    terms_ = ArrayXXd::Zero(table.size() + 1, static_cast<Index>(parts_.size()));
    for (std::size_t j = 0; j < parts_.size(); ++j) {
      terms_.col(static_cast<Index>(j)).tail(table.size()) =
          table.value(parts_[j].dispersion) - factorials;
    }
  }

  void write(CellPosterior out) const {
    SoftmaxBlock block(static_cast<Index>(parts_.size()));
    ArrayXd log_s(kBlock);
    for (Index begin = 0; begin < n_; begin += kBlock) {
      const Index rows = std::min(kBlock, n_ - begin);
      array_log(s_ + begin, log_s.data(), rows);
      const bool all_tabled = std::all_of(x_ + begin, x_ + begin + rows, tabled);
      for (std::size_t j = 0; j < parts_.size(); ++j) {
        auto z = block.z.col(static_cast<Index>(j)).head(rows);
        if (all_tabled && !extreme(parts_[j])) {
          from_table(begin, log_s.head(rows), j, z);
        } else {
          one_by_one(begin, j, z);
        }
      }
      block.normalise(rows);
      copy(block, begin, rows, out);
    }
  }

 private:
  // Counts for which no digits are lost in the difference of large terms.
  static bool tabled(double x) { return x >= 0.0 && x <= kLargeCount && x == std::floor(x); }
  static bool extreme(const Part& part) { return part.mean == 0.0 || part.dispersion > 1e15; }

  // log weight + x log m - (x + r) log(1 + m phi) + R(x) - log x!, m = s mean.
  template <class Logs, class Out>
  void from_table(Index begin, const Logs& log_s, std::size_t j, Out& z) const {
    const Eigen::Map<const ArrayXd> x(x_ + begin, z.size()), s(s_ + begin, z.size());
    const Component c{std::log(parts_[j].mean), parts_[j].dispersion};
    const ArrayXd logs = site_logs(s, c);
    const double* terms = &terms_(0, static_cast<Index>(j));
    for (Index i = 0; i < z.size(); ++i) z[i] = terms[index_[static_cast<std::size_t>(begin + i)]];
    z += std::log(parts_[j].weight) + x * (c.eta + log_s - logs) - zero_costs(s, logs, c);
  }

  template <class Out>
  void one_by_one(Index begin, std::size_t j, Out& z) const {
    const Part& part = parts_[j];
    for (Index i = 0; i < z.size(); ++i) {
      z[i] = std::log(part.weight) +
             log_negative_binomial(x_[begin + i], s_[begin + i] * part.mean, part.dispersion);
    }
  }

  // Of a count that no part can have the responsibilities are the weights.
  void copy(const SoftmaxBlock& block, Index begin, Index rows, CellPosterior out) const {
    std::copy_n(block.total.data(), rows, out.log_density + begin);
    for (std::size_t j = 0; j < parts_.size(); ++j) {
      const Index col = static_cast<Index>(j);
      double* to = out.prob + begin + col * n_;
      for (Index i = 0; i < rows; ++i) {
        to[i] = block.total[i] > -kInfinity ? block.z(i, col) : parts_[j].weight;
      }
    }
  }

  const double* x_;
  const double* s_;
  Index n_;
  std::vector<Part> parts_;
  std::vector<Index> index_;  // row of terms_ for each cell
  ArrayXXd terms_;            // R(x) - log x!, first of a zero, then of the distinct counts
};

}  // namespace detail

inline void cell_posterior(const double* x, const double* s, Index n, std::vector<Part> parts,
                           CellPosterior out) {
  detail::CellDensities(x, s, n, std::move(parts)).write(out);
}

}  // namespace mixology
