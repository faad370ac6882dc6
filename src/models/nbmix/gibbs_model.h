// Gibbs sampling for a mixture of negative binomials, in the form of engine/gibbs.h.
//
//     pi ~ Dirichlet(alpha_0 / C),  mu_k ~ inverse gamma(a, b),  log phi_k ~ N(m_1, v_1)
//
// One sweep, each step drawn with the rates lambda summed out where it says x:
//     z | pi, mu, phi, x      categorical
//     lambda | z, mu, phi, x  Gamma(x_i + 1 / phi_k, s_i + 1 / (phi_k mu_k))
//     pi | z                  Dirichlet
//     mu_k | lambda, z, phi   inverse gamma(a + n_k / phi_k, b + sum lambda / phi_k)
//     mu_k | z, phi, x        slice sampling of log mu: without it small phi freezes mu
//     phi_k | z, mu, x        slice sampling of log phi
// Lambda enters through its sum over a component alone, and cells of equal (x, s) share one gamma
// draw. Nothing that was drawn given lambda is used after lambda is summed out, so the chain has
// the posterior as its limit (van Dyk & Park 2008, J. Am. Statist. Assoc. 103:790).
//
// Labels: the components of every draw are put in the order of their means.
#pragma once

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/archive.h"
#include "core/rng.h"
#include "engine/gibbs.h"
#include "models/nbmix/vb_model.h"

namespace mixology {

class NbmixGibbs {
 public:
  struct State {
    Mixture mixture;
    ArrayXXd prob;  // sums over sweeps after warm-up: sites (for their zeros), then items
    double sweeps = 0.0;
  };

  // `gene` must have exact zeros: cells are drawn, not summed.
  NbmixGibbs(const Gene& gene, const NbmixPrior& prior, int warmup)
      : gene_(gene), prior_(prior), warmup_(warmup), site_of_(item_sites(gene)) {}

  State init(Mixture mixture) const {
    State state;
    for (Component& c : mixture.component) c.phi = std::max(c.phi, 1e-4);
    state.prob = ArrayXXd::Zero(gene_.sites() + gene_.items(), mixture.weight.size());
    state.mixture = std::move(mixture);
    return state;
  }

  void gibbs_sweep(State& state, const SweepKey& key, Executor&) const {
    const bool late = key.iteration >= static_cast<std::uint64_t>(warmup_);
    if (late) state.sweeps += 1.0;
    const Draws draws = draw_cells(state, key, late);
    Mixture& m = state.mixture;
    Rng rng(key.seed, key.chain, key.iteration, kParameterItem);
    m.weight = rng.dirichlet(draws.count.array() +
                             prior_.alpha / static_cast<double>(m.weight.size()));
    for (Index j = 0; j < m.k(); ++j) {
      Component& c = m.component[static_cast<std::size_t>(j)];
      const double mu = rng.inverse_gamma(prior_.mean_shape + draws.count[j] / c.phi,
                                          prior_.mean_rate + draws.rates[j] / c.phi);
      c.eta = std::min(std::max(std::log(mu), kMinEta), kMaxEta);
      const ComponentSums sums{gene_, draws.a.col(j), draws.b.col(j), draws.h.col(j)};
      slice_component(ComponentLikelihood(sums), c, rng);
    }
  }

  // Weights, means, dispersions (components by increasing mean, the point mass last), and the log
  // likelihood.
  VectorXd draw(const State& state) const {
    const Mixture& m = state.mixture;
    const std::vector<Index> order = by_mean(m);
    const Index parts = m.weight.size();
    VectorXd out = VectorXd::Zero(3 * parts + 1);
    out[3 * parts] = evaluate(gene_, m).log_likelihood;
    for (Index i = 0; i < parts; ++i) {
      const Index j = order[static_cast<std::size_t>(i)];
      out[i] = m.weight[j];
      if (j >= m.k()) continue;
      out[parts + i] = std::exp(m.component[static_cast<std::size_t>(j)].eta);
      out[2 * parts + i] = m.component[static_cast<std::size_t>(j)].phi;
    }
    return out;
  }

  Archive save(const State& state) const {
    const Mixture& m = state.mixture;
    VectorXd eta(m.k()), phi(m.k());
    for (Index j = 0; j < m.k(); ++j) {
      eta[j] = m.component[static_cast<std::size_t>(j)].eta;
      phi[j] = m.component[static_cast<std::size_t>(j)].phi;
    }
    Archive archive;
    archive.put("weight", m.weight);
    archive.put("log_mean", eta);
    archive.put("dispersion", phi);
    archive.put("prob", MatrixXd(state.prob.matrix()));
    archive.put("sweeps", state.sweeps);
    return archive;
  }

  State load(const Archive& archive) const {
    Mixture mixture;
    mixture.weight = archive.vector("weight");
    const VectorXd eta = archive.vector("log_mean");
    const VectorXd phi = archive.vector("dispersion");
    for (Index j = 0; j < eta.size(); ++j) mixture.component.push_back({eta[j], phi[j]});
    State state = init(std::move(mixture));
    if (archive.has("prob")) {
      state.prob = archive.matrix("prob").array();
      state.sweeps = archive.scalar("sweeps");
    }
    return state;
  }

 private:
  static constexpr std::uint64_t kParameterItem = ~std::uint64_t{0};
  static constexpr Index kCellsPerStream = 256;

  struct Draws {
    VectorXd count, rates;
    ArrayXXd a, b, h;
  };

  static std::vector<Index> by_mean(const Mixture& m) {
    std::vector<Index> order(static_cast<std::size_t>(m.weight.size()));
    std::iota(order.begin(), order.end(), Index{0});
    std::stable_sort(order.begin(), order.begin() + m.k(), [&](Index a, Index b) {
      return m.component[static_cast<std::size_t>(a)].eta <
             m.component[static_cast<std::size_t>(b)].eta;
    });
    return order;
  }

  // Labels and rates of all cells; random numbers belong to blocks of sites or of items.
  Draws draw_cells(State& state, const SweepKey& key, bool late) const {
    const Mixture& m = state.mixture;
    const Index parts = m.weight.size();
    Draws out{VectorXd::Zero(parts), VectorXd::Zero(m.k()), ArrayXXd::Zero(gene_.sites(), m.k()),
              ArrayXXd::Zero(gene_.sites(), m.k()), ArrayXXd::Zero(gene_.table.size(), m.k())};
    const PassTables tables = make_tables(gene_, m, Range{0, gene_.sites()});
    const std::vector<Index> order = by_mean(m);
    detail::SoftmaxBlock block(parts);
    std::vector<double> p(static_cast<std::size_t>(parts));
    const Index rows_in_all = gene_.sites() + gene_.items();
    for (Index begin = 0; begin < rows_in_all;) {
      const bool zero = begin < gene_.sites();
      const Index end = zero ? gene_.sites() : rows_in_all;
      const Index rows = std::min(kCellsPerStream, end - begin);
      Rng rng(key.seed, key.chain, key.iteration, static_cast<std::uint64_t>(begin));
      if (zero) detail::zero_block(tables, begin, rows, block);
      else detail::item_block(gene_, tables, begin - gene_.sites(), rows, site_of_, block);
      for (Index i = 0; i < rows; ++i) {
        for (Index j = 0; j < parts; ++j) p[static_cast<std::size_t>(j)] = block.z(i, j);
        draw_row(begin + i, p, m, rng, out);
        if (!late) continue;
        for (Index j = 0; j < parts; ++j) {
          state.prob(begin + i, j) += block.z(i, order[static_cast<std::size_t>(j)]);
        }
      }
      begin += rows;
    }
    return out;
  }

  // The cells of one row (equal count and size factor).
  void draw_row(Index row, const std::vector<double>& p, const Mixture& m, Rng& rng,
                Draws& out) const {
    const bool zero = row < gene_.sites();
    const auto item = static_cast<std::size_t>(zero ? 0 : row - gene_.sites());
    const Index site = zero ? row : site_of_[item];
    const double cells = zero ? gene_.zero_weight[row] : gene_.item_weight[item];
    const double x = zero ? 0.0 : gene_.table.x(gene_.item_count[item]);
    VectorXd count = VectorXd::Zero(out.count.size());
    for (double c = 0.5; c < cells; c += 1.0) {
      count[static_cast<Index>(rng.categorical(p.data(), p.size()))] += 1.0;
    }
    out.count += count;
    for (Index j = 0; j < m.k(); ++j) {
      if (count[j] == 0.0) continue;
      const Component& c = m.component[static_cast<std::size_t>(j)];
      const double shape = count[j] * (x + 1.0 / c.phi);
      out.rates[j] += rng.gamma_rate(shape, gene_.s[site] + std::exp(-c.eta) / c.phi);
      out.a(site, j) += count[j];
      out.b(site, j) += count[j] * x;
      if (!zero) out.h(gene_.item_count[item], j) += count[j];
    }
  }

  void slice_component(const ComponentLikelihood& q, Component& c, Rng& rng) const {
    c.eta = slice(c.eta, kMinEta, kMaxEta, rng, [&](double eta) {
      return q.value({eta, c.phi}) - prior_.mean_shape * eta - prior_.mean_rate * std::exp(-eta);
    });
    const double psi = slice(std::log(c.phi), kMinPsi, kMaxPsi, rng, [&](double value) {
      const double d = value - prior_.point.psi_mean;
      return q.value({c.eta, std::exp(value)}) - 0.5 * d * d / prior_.point.psi_var;
    });
    c.phi = std::exp(psi);
  }

  // Stepping out and shrinkage (Neal 2003, Ann. Statist. 31:705, figures 3 and 5).
  template <class F>
  static double slice(double x, double low, double high, Rng& rng, F log_density) {
    constexpr double kWidth = 0.5;
    constexpr int kSteps = 40;
    const double level = log_density(x) - rng.exponential();
    double left = x - kWidth * rng.uniform();
    double right = left + kWidth;
    int down = static_cast<int>(kSteps * rng.uniform());
    int up = kSteps - 1 - down;
    for (; down > 0 && left > low && log_density(left) > level; --down) left -= kWidth;
    for (; up > 0 && right < high && log_density(right) > level; --up) right += kWidth;
    left = std::max(left, low);
    right = std::min(right, high);
    for (int trial = 0; trial < 200; ++trial) {
      const double at = left + rng.uniform() * (right - left);
      if (log_density(at) > level) return at;
      (at < x ? left : right) = at;
    }
    return x;
  }

  const Gene& gene_;
  const NbmixPrior prior_;
  const int warmup_;
  std::vector<Index> site_of_;
};

}  // namespace mixology
