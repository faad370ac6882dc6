// The cells that all genes share: size factors, their distinct values, and the quadrature rule
// that replaces a sum over all cells of a smooth function of the size factor.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "core/monitor.h"
#include "core/types.h"
#include "models/nbmix/kernels.h"
#include "models/nbmix/quadrature.h"

namespace mixology {

using Eigen::ArrayXd;

class Cells {
 public:
  // At most this many distinct size factors are summed over directly.
  static constexpr Index kFewLevels = 48;

  // Without a rule, which is right but slower, when the monitor says stop.
  explicit Cells(std::vector<double> size_factors, Monitor* monitor = nullptr)
      : s_(std::move(size_factors)) {
    log_s_.resize(s_.size());
    array_log(s_.data(), log_s_.data(), static_cast<Index>(s_.size()));
    sum_s_ = std::accumulate(s_.begin(), s_.end(), 0.0);
    sum_ss_ = std::inner_product(s_.begin(), s_.end(), s_.begin(), 0.0);
    find_levels();
    if (many_levels()) choose_rule(monitor);
  }

  Index size() const { return static_cast<Index>(s_.size()); }
  double s(Index cell) const { return s_[static_cast<std::size_t>(cell)]; }
  double sum_s() const { return sum_s_; }
  double sum_ss() const { return sum_ss_; }
  double log_s(Index cell) const { return log_s_[static_cast<std::size_t>(cell)]; }
  bool many_levels() const { return level_of_.empty() && !s_.empty(); }
  Index level_of(Index cell) const { return level_of_[static_cast<std::size_t>(cell)]; }
  // Distinct size factors, where they are few, and how many cells have each; else those of all cells.
  const Rule& level() const { return level_; }
  // Nodes are size factors; empty when the levels are few or no rule passed the check.
  const Rule& rule() const { return rule_; }
  bool has_rule() const { return rule_.size() > 0; }

 private:
  Index levels() const { return static_cast<Index>(level_.node.size()); }

  // Searching among the few that were seen costs less than sorting them all.
  void find_levels() {
    std::vector<double>& seen = level_.node;
    for (const double s : s_) {
      const auto at = std::lower_bound(seen.begin(), seen.end(), s);
      if (at != seen.end() && *at == s) continue;
      if (levels() == kFewLevels) {
        level_ = Rule{s_, std::vector<double>(s_.size(), 1.0)};
        return;
      }
      seen.insert(at, s);
    }
    level_.weight.assign(seen.size(), 0.0);
    for (const double s : s_) {
      const auto at = std::lower_bound(seen.begin(), seen.end(), s) - seen.begin();
      level_.weight[static_cast<std::size_t>(at)] += 1.0;
      level_of_.push_back(at);
    }
  }

  // The smallest rule in log s that agrees with the full sum on functions of the kind that EM
  // sums; none is kept when even the largest does not.
  void choose_rule(Monitor* monitor) {
    const auto stop = [&] { return monitor != nullptr && monitor->tick(0, 0.0) == Action::stop; };
    if (stop()) return;
    Rule points = level_;
    for (double& t : points.node) t = std::log(t);
    const ArrayXd full = probe(level_);
    for (const Index nodes : {Index{16}, Index{24}, Index{32}, Index{48}}) {
      Rule trial = gauss_rule(points, nodes, stop);
      if (trial.size() == 0) return;
      for (double& t : trial.node) t = std::exp(t);
      if (((probe(trial) - full) / full).abs().maxCoeff() < 1e-11) {
        rule_ = std::move(trial);
        return;
      }
    }
  }

  // The sums by one rule, over a grid of means, of log(1 + s u) and of the responsibility and log
  // density of a zero under two components whose means differ thirtyfold.
  static ArrayXd probe(const Rule& rule) {
    constexpr int kMeans = 10;
    constexpr Index kBlock = 1024;
    ArrayXd out = ArrayXd::Zero(3 * kMeans);
    for (Index begin = 0; begin < rule.size(); begin += kBlock) {
      const Index rows = std::min(kBlock, rule.size() - begin);
      const Eigen::Map<const ArrayXd> s(&rule.node[static_cast<std::size_t>(begin)], rows);
      const Eigen::Map<const ArrayXd> w(&rule.weight[static_cast<std::size_t>(begin)], rows);
      for (int i = 0; i < kMeans; ++i) {
        const ArrayXd su = s * std::exp(i - 6.0);
        const ArrayXd odds = ((1.0 + su / 15.0) / (1.0 + 2.0 * su)).sqrt();
        ArrayXd logs(rows), density(rows);
        array_log1p(su.data(), logs.data(), rows);
        array_log1p(odds.data(), density.data(), rows);
        out[3 * i] += (w * logs).sum();
        out[3 * i + 1] += (w / (1.0 + odds)).sum();
        out[3 * i + 2] += (w * density).sum();
      }
    }
    return out;
  }

  std::vector<double> s_;
  std::vector<double> log_s_;
  double sum_s_ = 0.0;
  double sum_ss_ = 0.0;
  std::vector<Index> level_of_;  // empty where the levels are many
  Rule level_;
  Rule rule_;
};

}  // namespace mixology
