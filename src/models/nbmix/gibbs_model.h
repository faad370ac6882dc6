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
// Labels: the components of every draw are put in the order of their means, those with less than
// the share of one cell after all others: what the prior says of an empty component's mean is not to
// be mixed with what the data say of another.
#pragma once

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/rng.h"
#include "core/slice.h"
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

  void gibbs_sweep(State& state, const SweepKey& key, Executor&, Monitor& watch) const {
    const bool late = key.iteration >= static_cast<std::uint64_t>(warmup_);
    if (late) state.sweeps += 1.0;
    const Draws draws = draw_cells(state, key, late, watch);
    if (watch.stopped()) return;
    Mixture& m = state.mixture;
    Rng rng(key.seed, key.chain, key.iteration, kParameterItem);
    m.weight = rng.dirichlet(weight_concentration(draws.count));
    for (Index j = 0; j < m.k(); ++j) {
      Component& c = m.component[static_cast<std::size_t>(j)];
      const double mu =
          rng.inverse_gamma(mean_shape(draws.count[j], c), mean_rate(draws.rates[j], c));
      c.eta = std::min(std::max(std::log(mu), kMinEta), kMaxEta);
      slice_component(OwnCells(gene_, draws, j), c, rng);
    }
  }

  // Weights, means, dispersions (components in the order of their labels, the point mass last), and
  // the log likelihood.
  VectorXd draw(const State& state) const {
    const Mixture& m = state.mixture;
    const std::vector<Index> order = labels(m);
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
    Archive archive;
    save_mixture(archive, state.mixture);
    archive.put("prob", MatrixXd(state.prob.matrix()));
    archive.put("sweeps", state.sweeps);
    return archive;
  }

  State load(const Archive& archive) const {
    State state = init(load_mixture(archive));
    if (archive.has("prob")) {
      state.prob = archive.matrix("prob").array();
      state.sweeps = archive.scalar("sweeps");
    }
    return state;
  }

  // ---- the full conditionals, each to be held against the joint density ------------------------

  // What a sweep draws for the cells: numbers of cells and sums of rates per part, and cells and
  // counts per site and per distinct count.
  struct Draws {
    VectorXd count, rates;
    ArrayXXd a, b, h;
  };

  // The cells of one component, where there are any: sites, and distinct counts.
  struct OwnCells {
    OwnCells(const Gene& gene, const Draws& draws, Index j) {
      const Index sites = gene.sites();
      s.resize(sites), a.resize(sites), b.resize(sites);
      Index size = 0;
      for (Index i = 0; i < sites; ++i) {
        if (draws.a(i, j) == 0.0) continue;
        s[size] = gene.s[i], a[size] = draws.a(i, j), b[size++] = draws.b(i, j);
      }
      s.conservativeResize(size), a.conservativeResize(size), b.conservativeResize(size);
      x.resize(gene.table.size()), h.resize(gene.table.size());
      size = 0;
      for (Index d = 0; d < gene.table.size(); ++d) {
        if (draws.h(d, j) > 0.0) x[size] = gene.table.x(d), h[size++] = draws.h(d, j);
      }
      x.conservativeResize(size), h.conservativeResize(size);
      n = a.sum();
      zx = b.sum();
    }

    // sum of h R(x; phi), see rising.h: lgamma differences, whose rounding of 1e-9 at the largest
    // counts and smallest phi is far below what a random draw can show.
    double rising(double phi) const {
      ArrayXd value(x.size());
      vlgamma_diff(x.data(), 1.0 / phi, value.data(), static_cast<std::size_t>(x.size()));
      return (h * (value + x * std::log(phi))).sum();
    }

    ArrayXd s, a, b;  // size factors, cells, sums of counts
    ArrayXd x, h;     // distinct counts, cells
    double n = 0.0, zx = 0.0;
  };

  // mu | lambda, phi ~ inverse gamma(mean_shape, mean_rate) for n cells whose rates sum to `rates`.
  double mean_shape(double n, const Component& c) const { return prior_.mean_shape + n / c.phi; }
  double mean_rate(double rates, const Component& c) const {
    return prior_.mean_rate + rates / c.phi;
  }

  // log p(log mu | z, phi, x) up to a constant.
  double log_mean_conditional(const OwnCells& own, const Component& c) const {
    if (!(c.eta > kMinEta && c.eta < kMaxEta)) return -kInfinity;
    return own.zx * c.eta - log1p_sum(own, c) - prior_.mean_shape * c.eta -
           prior_.mean_rate * std::exp(-c.eta);
  }

  // log p(log phi | z, mu, x) up to a constant.
  double log_dispersion_conditional(const OwnCells& own, const Component& c) const {
    const double psi = std::log(c.phi);
    if (!(psi > kMinPsi && psi < kMaxPsi)) return -kInfinity;
    const double d = psi - prior_.point.psi_mean;
    return own.rising(c.phi) - log1p_sum(own, c) - 0.5 * d * d / prior_.point.psi_var;
  }

  VectorXd weight_concentration(const VectorXd& count) const {
    return count.array() + prior_.alpha / static_cast<double>(count.size());
  }

  // Labels and rates of all cells; random numbers belong to blocks of sites or of items.
  Draws draw_cells(State& state, const SweepKey& key, bool late, Monitor& watch) const {
    const Mixture& m = state.mixture;
    const Index parts = m.weight.size();
    Draws out{VectorXd::Zero(parts), VectorXd::Zero(m.k()), ArrayXXd::Zero(gene_.sites(), m.k()),
              ArrayXXd::Zero(gene_.sites(), m.k()), ArrayXXd::Zero(gene_.table.size(), m.k())};
    const std::vector<ComponentTables> of_components = density_tables(gene_, m);
    const PassTables tables{log_weights(m), m.component, of_components};
    const std::vector<Index> order = labels(m);
    detail::SoftmaxBlock block(parts);
    std::vector<double> p(static_cast<std::size_t>(parts));
    std::vector<double> count(p.size());
    const std::vector<RatePrior> rate_prior = rate_priors(m);
    const Index rows_in_all = gene_.sites() + gene_.items();
    for (Index begin = 0; begin < rows_in_all && watch.poll() != Action::stop;) {
      const bool zero = begin < gene_.sites();
      const Index end = zero ? gene_.sites() : rows_in_all;
      const Index rows = std::min(kCellsPerStream, end - begin);
      Rng rng(key.seed, key.chain, key.iteration, static_cast<std::uint64_t>(begin));
      if (zero)
        detail::zero_block(gene_, tables, begin, rows, block);
      else
        detail::item_block(gene_, tables, begin - gene_.sites(), rows, site_of_, block);
      for (Index i = 0; i < rows; ++i) {
        for (Index j = 0; j < parts; ++j) p[static_cast<std::size_t>(j)] = block.z(i, j);
        draw_row(begin + i, p, rate_prior, rng, count, out);
        if (!late) continue;
        for (Index j = 0; j < parts; ++j) {
          state.prob(begin + i, j) += block.z(i, order[static_cast<std::size_t>(j)]);
        }
      }
      begin += rows;
    }
    return out;
  }

 private:
  static constexpr std::uint64_t kParameterItem = ~std::uint64_t{0};
  static constexpr Index kCellsPerStream = 256;

  std::vector<Index> labels(const Mixture& m) const {
    std::vector<Index> order(static_cast<std::size_t>(m.weight.size()));
    std::iota(order.begin(), order.end(), Index{0});
    const auto key = [&](Index j) {
      return std::make_pair(m.weight[j] * gene_.n < 1.0,
                            m.component[static_cast<std::size_t>(j)].eta);
    };
    std::stable_sort(order.begin(), order.begin() + m.k(),
                     [&](Index a, Index b) { return key(a) < key(b); });
    return order;
  }

  // sum of (x + 1 / phi) log(1 + s u) over the cells.
  static double log1p_sum(const OwnCells& own, const Component& c) {
    return ((own.a / c.phi + own.b) * site_logs(own.s, c)).sum();
  }

  // Of the rates of a component's cells, before their counts are seen.
  struct RatePrior {
    double shape, rate;
  };

  static std::vector<RatePrior> rate_priors(const Mixture& m) {
    std::vector<RatePrior> out;
    for (const Component& c : m.component) out.push_back({1.0 / c.phi, std::exp(-c.eta) / c.phi});
    return out;
  }

  // The cells of one row (equal count and size factor); `count` is room for a number per part.
  void draw_row(Index row, const std::vector<double>& p, const std::vector<RatePrior>& prior,
                Rng& rng, std::vector<double>& count, Draws& out) const {
    const bool zero = row < gene_.sites();
    const auto item = static_cast<std::size_t>(zero ? 0 : row - gene_.sites());
    const Index site = zero ? row : site_of_[item];
    const double cells = zero ? gene_.zero_weight[row] : gene_.item_weight[item];
    const double x = zero ? 0.0 : gene_.table.x(gene_.item_count[item]);
    if (p.size() == 1) {
      count[0] = std::max(cells, 0.0);
    } else {
      std::fill(count.begin(), count.end(), 0.0);
      for (double c = 0.5; c < cells; c += 1.0) count[rng.categorical(p.data(), p.size())] += 1.0;
    }
    for (std::size_t part = 0; part < p.size(); ++part) {
      const auto j = static_cast<Index>(part);
      if (count[part] == 0.0) continue;
      out.count[j] += count[part];
      if (part >= prior.size()) continue;  // the point mass has no rates
      out.rates[j] +=
          rng.gamma_rate(count[part] * (x + prior[part].shape), gene_.s[site] + prior[part].rate);
      out.a(site, j) += count[part];
      out.b(site, j) += count[part] * x;
      if (!zero) out.h(gene_.item_count[item], j) += count[part];
    }
  }

  // The width of the first interval is some standard deviations of the conditional; neither depends
  // on the variable that is drawn.
  void slice_component(const OwnCells& own, Component& c, Rng& rng) const {
    const double mean_count = own.zx / std::max(own.n, 1.0);
    const double precision = own.n * mean_count / (1.0 + c.phi * mean_count);
    const double width = 4.0 / std::sqrt(precision + prior_.mean_shape);
    c.eta = slice_sample(rng, c.eta, width, [&](double eta) {
      return log_mean_conditional(own, {eta, c.phi});
    });
    constexpr double kPsiWidth = 0.7;
    const double psi = slice_sample(rng, std::log(c.phi), kPsiWidth, [&](double value) {
      return log_dispersion_conditional(own, {c.eta, std::exp(value)});
    });
    c.phi = std::exp(psi);
  }

  const Gene& gene_;
  const NbmixPrior prior_;
  const int warmup_;
  std::vector<Index> site_of_;
};

}  // namespace mixology
