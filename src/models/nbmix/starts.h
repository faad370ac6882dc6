// Starting points of the mixture of one gene: cells ordered by x / s are cut into groups, and each
// group gives a component its weight, mean and dispersion by moments.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/rng.h"
#include "models/nbmix/mixture.h"

namespace mixology {

class Starts {
 public:
  // The start that needs no order of the cells.
  static constexpr int kSpread = 2;

  // Without `order` only kSpread can be made; a fit that is to stop at once needs no other.
  explicit Starts(const Gene& gene, bool order = true) : gene_(gene) {
    lumps_.reserve(static_cast<std::size_t>(gene.items()) + 1);
    for (Index i = 0; i < gene.sites(); ++i) {
      const Index end = gene.first_item[static_cast<std::size_t>(i) + 1];
      for (Index j = gene.first_item[static_cast<std::size_t>(i)]; j < end; ++j) {
        add(gene.item_x(j), gene.s[i], gene.item_weight[static_cast<std::size_t>(j)]);
      }
    }
    Lump zero{0.0, gene.n, 0.0, gene.sum_s, gene.sum_ss, 0.0, 0.0};
    for (const Lump& l : lumps_) zero.n -= l.n, zero.s -= l.s, zero.ss -= l.ss;
    thin();
    if (zero.n > 0.5) lumps_.push_back(zero);
    if (!order) return;
    std::sort(lumps_.begin(), lumps_.end(), [](const Lump& a, const Lump& b) { return a.y < b.y; });
  }

  // The first starts are fixed in kind: k-means, hierarchical clusters, spread dispersions, cuts in
  // the upper tail; the others cut at random quantiles.
  Mixture make(Index k, int start, bool point_mass, Rng& rng) const {
    Mixture out;
    if (start == 0)
      out = from_groups(k_means(k));
    else if (start == 1)
      out = from_groups(agglomerate(k));
    else if (start == kSpread)
      out = spread(k);
    else if (start == 3)
      out = from_groups(cut(even(k, 0.2)));
    else if (start == 4)
      out = from_groups(cut(even(k, 0.05)));
    else
      out = from_groups(cut(random(k, rng)));
    return point_mass ? with_point_mass(std::move(out)) : out;
  }

  // One component of a smaller mixture split in two along its mean.
  static Mixture split(Mixture m, Index which) {
    const auto at = static_cast<std::size_t>(which);
    const Component c = m.component[at];
    const double gap = 0.3 + 0.5 * std::sqrt(c.phi);
    m.component[at].eta = c.eta + gap;
    m.component.insert(m.component.begin() + which + 1, Component{c.eta - gap, 0.5 * c.phi});
    VectorXd weight(m.weight.size() + 1);
    weight.head(which + 1) = m.weight.head(which + 1);
    weight.tail(m.weight.size() - which) = m.weight.tail(m.weight.size() - which);
    weight[which] = weight[which + 1] = 0.5 * m.weight[which];
    m.weight = weight;
    return m;
  }

 private:
  // Sums over cells of equal x / s.
  struct Lump {
    double y, n, x, s, ss, xx, xs;
    void add(const Lump& o, double f) {
      n += f * o.n, x += f * o.x, s += f * o.s, ss += f * o.ss, xx += f * o.xx, xs += f * o.xs;
    }
  };

  void add(double x, double s, double w) {
    lumps_.push_back({x / s, w, w * x, w * s, w * s * s, w * x * x, w * x * s});
  }

  // Of very many lumps every so many-th stands for those that follow it.
  void thin() {
    constexpr std::size_t kMany = 1 << 17;
    const std::size_t step = (lumps_.size() + kMany - 1) / kMany;
    if (step < 2) return;
    std::vector<Lump> kept;
    for (std::size_t i = 0; i < lumps_.size(); i += step) {
      kept.push_back(Lump{lumps_[i].y, 0, 0, 0, 0, 0, 0});
      kept.back().add(lumps_[i], static_cast<double>(std::min(step, lumps_.size() - i)));
    }
    lumps_ = std::move(kept);
  }

  // Cut points in cumulated mass: k equal groups inside the upper `tail`.
  std::vector<double> even(Index k, double tail) const {
    std::vector<double> cuts;
    for (Index j = 1; j < k; ++j) {
      const double at = static_cast<double>(j) / static_cast<double>(k);
      cuts.push_back(1.0 - tail * (1.0 - (at - 1.0 / static_cast<double>(k))));
    }
    return cuts;
  }

  static std::vector<double> random(Index k, Rng& rng) {
    std::vector<double> cuts;
    for (Index j = 1; j < k; ++j) {
      const double u = rng.uniform();
      cuts.push_back(rng.uniform() < 0.5 ? u : 1.0 - 0.3 * u * u);
    }
    std::sort(cuts.begin(), cuts.end());
    return cuts;
  }

  // A lump across a cut is shared out.
  std::vector<Lump> cut(const std::vector<double>& cuts) const {
    std::vector<Lump> groups(cuts.size() + 1, Lump{0, 0, 0, 0, 0, 0, 0});
    double mass = 0.0;
    std::size_t group = 0;
    for (const Lump& lump : lumps_) {
      double left = lump.n;
      while (left > 0.0) {
        const double room = group < cuts.size() ? cuts[group] * gene_.n - mass : left;
        const double take = std::min(left, std::max(room, 0.0));
        groups[group].add(lump, take / lump.n);
        mass += take;
        left -= take;
        if (left > 0.0) ++group;
      }
    }
    return groups;
  }

  // Lloyd's algorithm on log(1 + x / s), from centres spread evenly over the range.
  std::vector<Lump> k_means(Index k) const {
    std::vector<double> y;
    for (const Lump& l : lumps_) y.push_back(std::log1p(l.y));
    std::vector<double> centre;
    for (Index j = 0; j < k; ++j) {
      const double at = (static_cast<double>(j) + 0.5) / static_cast<double>(k);
      centre.push_back(y.front() + at * (y.back() - y.front()));
    }
    std::vector<Lump> groups;
    for (int sweep = 0; sweep < 15; ++sweep) {
      groups.assign(centre.size(), Lump{0, 0, 0, 0, 0, 0, 0});
      std::vector<double> total(centre.size(), 0.0);
      std::size_t at = 0;
      for (std::size_t i = 0; i < y.size(); ++i) {
        while (at + 1 < centre.size() && y[i] > 0.5 * (centre[at] + centre[at + 1])) ++at;
        groups[at].add(lumps_[i], 1.0);
        total[at] += lumps_[i].n * y[i];
      }
      for (std::size_t j = 0; j < centre.size(); ++j) {
        if (groups[j].n > 0.0) centre[j] = total[j] / groups[j].n;
      }
    }
    return groups;
  }

  // A run of neighbouring lumps, on the scale of log(1 + x / s).
  struct Cluster {
    Lump sum;
    double low, high;
    void join(const Cluster& next) {
      high = next.high;
      sum.add(next.sum, 1.0);
    }
  };

  // What joining two neighbours costs: Ward's sum of squares with the gap between them in place of
  // the distance of their centres, which finds small outer clusters.
  static double cost(const Cluster& a, const Cluster& b) {
    const double gap = b.low - a.high;
    return a.sum.n * b.sum.n / (a.sum.n + b.sum.n) * gap * gap;
  }

  // Joins the cheapest neighbours until k clusters are left.
  std::vector<Lump> agglomerate(Index k) const {
    constexpr std::size_t kPieces = 256;  // more lumps than that are first joined by number
    const std::size_t step = (lumps_.size() + kPieces - 1) / kPieces;
    std::vector<Cluster> clusters;
    for (std::size_t i = 0; i < lumps_.size(); ++i) {
      const double y = std::log1p(lumps_[i].y);
      const Cluster one{lumps_[i], y, y};
      if (i % step == 0)
        clusters.push_back(one);
      else
        clusters.back().join(one);
    }
    while (clusters.size() > static_cast<std::size_t>(k)) {
      std::size_t best = 0;
      double least = kInfinity;
      for (std::size_t i = 0; i + 1 < clusters.size(); ++i) {
        const double next = cost(clusters[i], clusters[i + 1]);
        if (next < least) least = next, best = i;
      }
      clusters[best].join(clusters[best + 1]);
      clusters.erase(clusters.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    std::vector<Lump> groups(static_cast<std::size_t>(k), Lump{0, 0, 0, 0, 0, 0, 0});
    for (std::size_t j = 0; j < clusters.size(); ++j) groups[j] = clusters[j].sum;
    return groups;
  }

  double overall_mean() const { return std::max(gene_.sum_x, 0.5) / gene_.sum_s; }

  Component moments(const Lump& g) const {
    // A group without counts stands for a mean below what its size could show.
    const double least = 0.05 * overall_mean();
    const double mean = g.x > 0.0 ? std::max(g.x / g.s, 1e-3 * least) : least;
    const double excess = g.xx - 2.0 * mean * g.xs + mean * mean * g.ss - g.x;
    const double phi = g.ss > 0.0 ? excess / (mean * mean * g.ss) : 0.1;
    return {std::log(mean), std::min(std::max(phi, 0.01), 20.0)};
  }

  Mixture from_groups(const std::vector<Lump>& groups) const {
    Mixture out;
    out.weight.resize(static_cast<Index>(groups.size()));
    for (std::size_t j = 0; j < groups.size(); ++j) {
      out.weight[static_cast<Index>(j)] = std::max(groups[j].n, 0.02 * gene_.n);
      out.component.push_back(moments(groups[j]));
    }
    out.weight /= out.weight.sum();
    return out;
  }

  // One mean, dispersions a factor 4 apart: modes that differ in spread alone.
  Mixture spread(Index k) const {
    Lump all{0, 0, 0, 0, 0, 0, 0};
    for (const Lump& l : lumps_) all.add(l, 1.0);
    const Component c = moments(all);
    Mixture out;
    out.weight = VectorXd::Constant(k, 1.0 / static_cast<double>(k));
    for (Index j = 0; j < k; ++j) {
      const double at = static_cast<double>(j) - 0.5 * static_cast<double>(k - 1);
      out.component.push_back({c.eta + 0.1 * at, c.phi * std::pow(4.0, at)});
    }
    return out;
  }

  static Mixture with_point_mass(Mixture m) {
    VectorXd weight(m.weight.size() + 1);
    weight << 0.9 * m.weight, 0.1;
    m.weight = weight;
    return m;
  }

  const Gene& gene_;
  std::vector<Lump> lumps_;
};

}  // namespace mixology
