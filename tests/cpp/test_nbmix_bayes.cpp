// Variational Bayes and Gibbs sampling of the negative binomial mixture against brute force.
#include <catch.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "models/nbmix/bayes_fit.h"

using namespace mixology;

namespace {

struct Data {
  std::vector<double> s;
  std::vector<double> x;  // of every cell
  std::vector<int> cell;
  std::vector<double> count;

  void set(std::vector<double> counts) {
    x = std::move(counts);
    cell.clear(), count.clear();
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (x[i] > 0.0) cell.push_back(static_cast<int>(i)), count.push_back(x[i]);
    }
  }
  SparseCounts sparse() const {
    return {cell.data(), count.data(), static_cast<Index>(cell.size())};
  }
};

struct Truth {
  std::vector<double> weight, mean, phi;
  double zero = 0.0;
};

std::vector<double> draw_counts(const Truth& t, const std::vector<double>& s, Rng& rng) {
  std::vector<double> x;
  for (const double size : s) {
    const std::size_t k = rng.categorical(t.weight.data(), t.weight.size());
    const bool zero = rng.bernoulli(t.zero);
    x.push_back(zero ? 0.0 : rng.negative_binomial(size * t.mean[k], t.phi[k]));
  }
  return x;
}

Data make_data(Index n, const Truth& t, double spread, std::uint64_t seed) {
  Rng rng(seed);
  Data data;
  for (Index i = 0; i < n; ++i) data.s.push_back(std::exp(spread * rng.normal()));
  data.set(draw_counts(t, data.s, rng));
  return data;
}

const Truth kTwoModes{{0.3, 0.7}, {5.0, 60.0}, {0.3, 0.1}, 0.0};
const Truth kLow{{0.5, 0.5}, {0.5, 6.0}, {0.5, 0.3}, 0.2};

// What R asks for by default: centred by the gene.
NbmixPrior open_prior() {
  NbmixPrior prior;
  prior.point.eta_mean = kNaN;
  prior.mean_rate = kNaN;
  return prior;
}

// The bound written out cell by cell, with q(z) given.
double slow_bound(const Data& data, const NbmixPrior& prior, const VectorXd& alpha,
                  const std::vector<Component>& component, const MatrixXd& q) {
  const Index parts = alpha.size();
  const double a0 = prior.alpha / static_cast<double>(parts);
  double out = 0.0;
  VectorXd e_log(parts);
  for (Index j = 0; j < parts; ++j) e_log[j] = digamma(alpha[j]) - digamma(alpha.sum());
  for (Index i = 0; i < q.rows(); ++i) {
    for (Index j = 0; j < parts; ++j) {
      if (q(i, j) == 0.0) continue;
      const auto at = static_cast<std::size_t>(j);
      const auto c = static_cast<std::size_t>(i);
      const double f =
          at < component.size()
              ? log_negative_binomial(data.x[c], data.s[c] * std::exp(component[at].eta),
                                      component[at].phi)
              : 0.0;
      out += q(i, j) * (e_log[j] + f - std::log(q(i, j)));
    }
  }
  // E log p(pi) - E log q(pi)
  out += log_gamma(a0 * static_cast<double>(parts)) - log_gamma(alpha.sum());
  for (Index j = 0; j < parts; ++j) {
    out += log_gamma(alpha[j]) - log_gamma(a0) + (a0 - alpha[j]) * e_log[j];
  }
  for (const Component& c : component) {
    const double u = c.eta - prior.point.eta_mean;
    const double v = std::log(c.phi) - prior.point.psi_mean;
    const double eta_var = prior.point.eta_var;
    const double psi_var = prior.point.psi_var;
    out -= 0.5 * (u * u / eta_var + std::log(2.0 * M_PI * eta_var));
    out -= 0.5 * (v * v / psi_var + std::log(2.0 * M_PI * psi_var));
  }
  return out;
}

MatrixXd slow_responsibilities(const Data& data, const VectorXd& alpha,
                               const std::vector<Component>& component) {
  MatrixXd q(static_cast<Index>(data.x.size()), alpha.size());
  for (Index i = 0; i < q.rows(); ++i) {
    for (Index j = 0; j < q.cols(); ++j) {
      const auto at = static_cast<std::size_t>(j);
      const auto c = static_cast<std::size_t>(i);
      const double f =
          at < component.size()
              ? log_negative_binomial(data.x[c], data.s[c] * std::exp(component[at].eta),
                                      component[at].phi)
              : (data.x[c] == 0.0 ? 0.0 : -kInfinity);
      q(i, j) = digamma(alpha[j]) - digamma(alpha.sum()) + f;
    }
    q.row(i) = (q.row(i).array() - q.row(i).maxCoeff()).exp().matrix();
    q.row(i) /= q.row(i).sum();
  }
  return q;
}

NbmixOptions vb_settings(int k, bool zero_inflated = false) {
  NbmixOptions out;
  out.em.tolerance = VbOptions().tolerance;
  out.k = {k};
  out.zero_inflated = zero_inflated;
  out.seed = 3;
  return out;
}

GeneFit vb_fit(const Data& data, const NbmixOptions& settings) {
  const Cells cells(data.s);
  Executor serial;
  Monitor quiet;
  return VbFitter(cells, settings, open_prior()).run(data.sparse(), 1, serial, quiet);
}

// Components with more than one expected cell.
int occupied(const NbmixFit& fit, double n) {
  const double parts = static_cast<double>(fit.weight.size());
  return static_cast<int>((fit.weight.array() * (n + 1.0) - 1.0 / parts > 1.0).count());
}

bool never_falls(const Trace& trace) {
  for (std::size_t i = 1; i < trace.value.size(); ++i) {
    if (trace.value[i] < trace.value[i - 1] - 1e-10 * std::abs(trace.value[i])) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("the variational bound equals the formula summed cell by cell") {
  for (const double spread : {0.0, 0.4}) {
    for (const bool zero : {false, true}) {
      const Data data = make_data(300, kLow, spread, 11);
      const Cells cells(data.s);
      const Gene gene = make_gene(cells, data.sparse(), ZeroSum::exact);
      const NbmixPrior prior = gene_prior(open_prior(), gene);
      const NbmixVb model(gene, prior);
      Rng rng(5);
      Mixture start = Starts(gene).make(3, 1, zero, rng);
      NbmixVb::State state = model.init(model.with_empty(start, 4));
      for (int sweep = 0; sweep < 3; ++sweep) {
        const PassSums sums = model.update_local(state, Range{0, gene.sites()});
        const MatrixXd q = slow_responsibilities(data, state.dirichlet, state.component);
        const double slow = slow_bound(data, prior, state.dirichlet, state.component, q);
        CHECK(model.objective(state, sums) == Approx(slow).epsilon(1e-11));
        CHECK((q.colwise().sum().transpose() - sums.weight).cwiseAbs().maxCoeff() < 1e-8);
        model.update_global(state, sums);
      }
    }
  }
}

TEST_CASE("the bound never falls, with and without extrapolation") {
  for (const bool accelerate : {false, true}) {
    for (const bool zero : {false, true}) {
      for (const double spread : {0.0, 0.4}) {
        const Data data = make_data(400, kLow, spread, 21);
        NbmixOptions settings = vb_settings(4, zero);
        settings.em.accelerate = accelerate;
        settings.em.restarts = 6;
        const GeneFit fit = vb_fit(data, settings);
        CHECK(fit.fits[0].trace.status != Status::objective_fell);
        CHECK(never_falls(fit.fits[0].trace));
        CHECK(std::isfinite(fit.fits[0].evidence));
      }
    }
  }
}

TEST_CASE("at convergence no factor of q can be bettered") {
  const Data data = make_data(500, kTwoModes, 0.3, 31);
  const Cells cells(data.s);
  const Gene gene = make_gene(cells, data.sparse(), ZeroSum::exact);
  NbmixOptions settings = vb_settings(2);
  settings.em.tolerance = 1e-14;
  const NbmixPrior prior = gene_prior(open_prior(), gene);
  const NbmixVb model(gene, prior);
  const GeneFit fit = vb_fit(data, settings);
  const NbmixVb::State best = model.load(fit.fits[0].state);
  const MatrixXd q = slow_responsibilities(data, best.dirichlet, best.component);
  const double top = slow_bound(data, prior, best.dirichlet, best.component, q);
  CHECK(top == Approx(fit.fits[0].trace.last()).epsilon(1e-11));
  for (Index j = 0; j < 2; ++j) {
    for (const double step : {-0.02, 0.02}) {
      VectorXd alpha = best.dirichlet;
      alpha[j] *= 1.0 + step;
      CHECK(slow_bound(data, prior, alpha, best.component, q) < top);
      auto moved = best.component;
      moved[static_cast<std::size_t>(j)].eta += step;
      CHECK(slow_bound(data, prior, best.dirichlet, moved, q) < top);
      moved = best.component;
      moved[static_cast<std::size_t>(j)].phi *= 1.0 + step;
      CHECK(slow_bound(data, prior, best.dirichlet, moved, q) < top);
    }
  }
}

TEST_CASE("the covariance under q is the curvature of the bound") {
  const Data data = make_data(500, kTwoModes, 0.3, 31);
  const Cells cells(data.s);
  const Gene gene = make_gene(cells, data.sparse(), ZeroSum::exact);
  const NbmixPrior prior = gene_prior(open_prior(), gene);
  const NbmixVb model(gene, prior);
  NbmixVb::State state = model.load(vb_fit(data, vb_settings(2)).fits[0].state);
  const PassSums sums = model.update_local(state, Range{0, gene.sites()});
  const MatrixXd q = slow_responsibilities(data, state.dirichlet, state.component);
  for (Index j = 0; j < 2; ++j) {
    const auto value = [&](double eta, double psi) {
      auto moved = state.component;
      Component& c = moved[static_cast<std::size_t>(j)];
      c = {c.eta + eta, c.phi * std::exp(psi)};
      return slow_bound(data, prior, state.dirichlet, moved, q);
    };
    const double h = 1e-3;
    Eigen::Matrix2d hessian;
    hessian(0, 0) = (value(h, 0) - 2 * value(0, 0) + value(-h, 0)) / (h * h);
    hessian(1, 1) = (value(0, h) - 2 * value(0, 0) + value(0, -h)) / (h * h);
    hessian(0, 1) = hessian(1, 0) =
        (value(h, h) - value(h, -h) - value(-h, h) + value(-h, -h)) / (4 * h * h);
    const Component& c = state.component[static_cast<std::size_t>(j)];
    const Eigen::Vector2d scale(std::exp(c.eta), c.phi);
    const Eigen::Matrix2d slow = -(scale.asDiagonal() * hessian.inverse() * scale.asDiagonal());
    const MatrixXd all = model.covariance(state, sums);
    Eigen::Matrix2d fast;
    fast << all(2 + j, 2 + j), all(2 + j, 4 + j), all(4 + j, 2 + j), all(4 + j, 4 + j);
    CHECK((slow - fast).cwiseAbs().maxCoeff() < 1e-4 * slow.cwiseAbs().maxCoeff());
  }
}

TEST_CASE("superfluous components empty by themselves") {
  const Data two = make_data(2000, kTwoModes, 0.0, 41);
  const GeneFit fit = vb_fit(two, vb_settings(6));
  CHECK(occupied(fit.fits[0], 2000.0) == 2);
  CHECK(fit.fits[0].trace.converged());
  CHECK(fit.fits[0].weight[0] == Approx(0.7).margin(0.03));
  CHECK(fit.fits[0].mean[0] == Approx(60.0).epsilon(0.05));
  CHECK(fit.fits[0].weight[2] < 1e-3);

  const Truth poisson{{1.0}, {100.0}, {0.0}, 0.0};
  const GeneFit one = vb_fit(make_data(1000, poisson, 0.0, 42), vb_settings(4));
  CHECK(occupied(one.fits[0], 1000.0) == 1);
  CHECK(one.fits[0].dispersion[0] > 0.0);  // the prior leaves no mass at the Poisson limit
  CHECK(one.fits[0].dispersion[0] < 1e-3);
}

TEST_CASE("the evidence chooses the number of components") {
  NbmixOptions settings = vb_settings(1);
  settings.k = {1, 2, 3};
  CHECK(vb_fit(make_data(1000, kTwoModes, 0.3, 43), settings).chosen == 1);
  const Truth single{{1.0}, {3000.0}, {0.33}, 0.0};
  CHECK(vb_fit(make_data(1000, single, 0.3, 44), settings).chosen == 0);
}

TEST_CASE("the order of the components of a start does not matter") {
  const Data data = make_data(400, kLow, 0.3, 51);
  const Cells cells(data.s);
  const Gene gene = make_gene(cells, data.sparse());
  const NbmixVb model(gene, gene_prior(open_prior(), gene));
  Rng rng(2);
  Mixture start = Starts(gene).make(3, 1, false, rng);
  Mixture turned = start;
  std::reverse(turned.component.begin(), turned.component.end());
  turned.weight = start.weight.reverse().eval();
  Executor serial;
  Monitor quiet;
  VbOptions options;
  options.max_iterations = 20;
  NbmixVb::State a = model.init(start);
  NbmixVb::State b = model.init(turned);
  const Trace first = run_vb(model, a, options, serial, quiet);
  const Trace second = run_vb(model, b, options, serial, quiet);
  CHECK(first.last() == Approx(second.last()).epsilon(1e-10));
  CHECK((a.dirichlet - b.dirichlet.reverse()).cwiseAbs().maxCoeff() < 1e-5);
}

TEST_CASE("all counts zero, one cell: a proper posterior") {
  Data zeros;
  zeros.s = {1.0, 2.0, 0.5};
  zeros.set({0.0, 0.0, 0.0});
  const GeneFit fit = vb_fit(zeros, vb_settings(2));
  CHECK(fit.status == GeneStatus::all_zero);
  CHECK(fit.fits[0].mean.allFinite());
  CHECK(fit.fits[0].dispersion.allFinite());
  CHECK(fit.fits[0].mean[0] < 1.0);
  Data one;
  one.s = {1.0};
  one.set({7.0});
  CHECK(vb_fit(one, vb_settings(1)).fits[0].mean[0] == Approx(7.0).epsilon(0.5));
}

TEST_CASE("counts near 2^31 climb to an end that rounding does not take for a fall") {
  Rng rng(6);
  for (const double mean : {1e6, 1e8, 1e9}) {
    Data data;
    std::vector<double> x;
    for (int i = 0; i < 100; ++i) {
      data.s.push_back(1.0);
      x.push_back(std::min(rng.negative_binomial(mean, 0.3), 2147483647.0));
    }
    data.set(x);
    const Cells cells(data.s);
    Executor serial;
    Monitor quiet;
    NbmixOptions options = vb_settings(2);
    const GeneFit em = GeneFitter(cells, options).run(data.sparse(), 1, serial, quiet);
    CHECK(em.fits[0].trace.status == Status::converged);
    const GeneFit vb = vb_fit(data, options);
    CHECK(vb.fits[0].trace.status == Status::converged);
    CHECK(vb.fits[0].mean[0] == Approx(mean).epsilon(0.5));
  }
}

// ---- Gibbs ----------------------------------------------------------------------------------

namespace {

// log p(x, z, pi, log mu, log phi), and with rates log p(x, lambda, z, pi, log mu, log phi).
double slow_joint(const Data& data, const std::vector<Index>& z, const Mixture& m,
                  const NbmixPrior& prior, const VectorXd* lambda = nullptr) {
  const Index parts = m.weight.size();
  const double a0 = prior.alpha / static_cast<double>(parts);
  double out = log_gamma(prior.alpha) - static_cast<double>(parts) * log_gamma(a0);
  for (Index j = 0; j < parts; ++j) out += (a0 - 1.0) * std::log(m.weight[j]);
  for (std::size_t i = 0; i < z.size(); ++i) {
    out += std::log(m.weight[z[i]]);
    if (z[i] == m.k()) continue;
    const Component& c = m.component[static_cast<std::size_t>(z[i])];
    if (lambda == nullptr) {
      out += log_negative_binomial(data.x[i], data.s[i] * std::exp(c.eta), c.phi);
      continue;
    }
    const double rate = (*lambda)[static_cast<Index>(i)];
    const double shape = 1.0 / c.phi;
    const double scale = std::exp(c.eta) * c.phi;
    out += log_poisson(data.x[i], data.s[i] * rate) + (shape - 1.0) * std::log(rate) -
           rate / scale - log_gamma(shape) - shape * std::log(scale);
  }
  for (const Component& c : m.component) {
    const double v = (std::log(c.phi) - prior.point.psi_mean) / std::sqrt(prior.point.psi_var);
    out += log_normal_pdf(v) - prior.mean_shape * c.eta - prior.mean_rate * std::exp(-c.eta);
  }
  return out;
}

// The sums of a labelling, as the sampler draws them; few levels, so that a site is a level.
NbmixGibbs::Draws labelled(const Data& data, const Gene& gene, const Cells& cells,
                           const std::vector<Index>& z, const Mixture& m) {
  NbmixGibbs::Draws out{VectorXd::Zero(m.weight.size()), VectorXd::Zero(m.k()),
                        ArrayXXd::Zero(gene.sites(), m.k()), ArrayXXd::Zero(gene.sites(), m.k()),
                        ArrayXXd::Zero(gene.table.size(), m.k())};
  for (std::size_t i = 0; i < z.size(); ++i) {
    out.count[z[i]] += 1.0;
    if (z[i] == m.k()) continue;
    const Index site = cells.level_of(static_cast<Index>(i));
    out.a(site, z[i]) += 1.0;
    out.b(site, z[i]) += data.x[i];
    for (Index d = 0; d < gene.table.size(); ++d) {
      if (gene.table.x(d) == data.x[i]) out.h(d, z[i]) += 1.0;
    }
  }
  return out;
}

struct GibbsSetting {
  NbmixOptions options;
  GibbsOptions gibbs;
  std::vector<Archive> before;
};

GibbsSetting gibbs_settings(int k, int iterations, int chains = 2) {
  GibbsSetting out;
  out.options.k = {k};
  out.options.seed = 17;
  out.gibbs.chains = chains;
  out.gibbs.iterations = iterations;
  out.gibbs.warmup = iterations / 2;
  return out;
}

GibbsRun gibbs_fit(const Data& data, const GibbsSetting& set) {
  const Cells cells(data.s);
  Executor serial;
  Monitor quiet;
  return GibbsFitter(cells, set.options, set.gibbs, open_prior())
      .run(data.sparse(), 1, set.before, serial, quiet);
}

double log_dirichlet(const VectorXd& w, const VectorXd& a) {
  double out = log_gamma(a.sum());
  for (Index j = 0; j < a.size(); ++j) out += (a[j] - 1.0) * std::log(w[j]) - log_gamma(a[j]);
  return out;
}

double log_inverse_gamma_of_log(double eta, double shape, double rate) {
  return -shape * eta - rate * std::exp(-eta);
}

}  // namespace

TEST_CASE("every full conditional has the ratios of the joint density") {
  Data data;
  data.s = {0.5, 1.0, 1.0, 2.0, 1.0, 0.5, 1.0, 1.0};
  data.set({0.0, 3.0, 0.0, 12.0, 3.0, 1.0, 250.0, 0.0});
  const Cells cells(data.s);
  const Gene gene = make_gene(cells, data.sparse(), ZeroSum::exact);
  NbmixPrior prior = gene_prior(open_prior(), gene);
  prior.alpha = 2.0;
  const NbmixGibbs model(gene, prior, 0);
  Mixture m;
  m.component = {{std::log(2.0), 0.4}, {std::log(40.0), 1.7}};
  m.weight = Eigen::Vector3d(0.3, 0.5, 0.2);
  const std::vector<Index> z = {0, 0, 2, 1, 0, 0, 1, 0};
  const NbmixGibbs::Draws draws = labelled(data, gene, cells, z, m);
  const double joint = slow_joint(data, z, m, prior);
  VectorXd lambda(8);
  lambda << 0.5, 2.0, 9.0, 8.0, 3.0, 1.5, 180.0, 0.2;
  const double full = slow_joint(data, z, m, prior, &lambda);

  for (const double step : {-3.0, -0.5, 0.2, 4.0}) {
    for (Index j = 0; j < 2; ++j) {
      const auto at = static_cast<std::size_t>(j);
      const NbmixGibbs::OwnCells own(gene, draws, j);
      Mixture moved = m;
      Component& c = moved.component[at];
      c.eta += step;
      CHECK(model.log_mean_conditional(own, c) - model.log_mean_conditional(own, m.component[at]) ==
            Approx(slow_joint(data, z, moved, prior) - joint).epsilon(1e-10));
      double rates = 0.0;
      for (std::size_t i = 0; i < z.size(); ++i) {
        if (z[i] == j) rates += lambda[static_cast<Index>(i)];
      }
      const double shape = model.mean_shape(own.n, c);
      const double rate = model.mean_rate(rates, c);
      CHECK(log_inverse_gamma_of_log(c.eta, shape, rate) -
                log_inverse_gamma_of_log(m.component[at].eta, shape, rate) ==
            Approx(slow_joint(data, z, moved, prior, &lambda) - full).epsilon(1e-10));
      moved = m;
      moved.component[at].phi *= std::exp(step);
      CHECK(model.log_dispersion_conditional(own, moved.component[at]) -
                model.log_dispersion_conditional(own, m.component[at]) ==
            Approx(slow_joint(data, z, moved, prior) - joint).epsilon(1e-10));
    }
  }
  Mixture moved = m;
  moved.weight = Eigen::Vector3d(0.05, 0.15, 0.8);
  const VectorXd posterior = model.weight_concentration(draws.count);
  CHECK(log_dirichlet(moved.weight, posterior) - log_dirichlet(m.weight, posterior) ==
        Approx(slow_joint(data, z, moved, prior) - joint).epsilon(1e-10));
}

TEST_CASE("allocations are drawn with the ratios of the joint density") {
  Data data;
  data.s = {1.0, 1.0, 2.0};
  data.set({0.0, 4.0, 9.0});
  const Cells cells(data.s);
  const Gene gene = make_gene(cells, data.sparse(), ZeroSum::exact);
  const NbmixPrior prior = gene_prior(open_prior(), gene);
  const NbmixGibbs model(gene, prior, 1 << 30);
  Mixture m;
  m.component = {{std::log(2.0), 0.4}, {std::log(6.0), 0.2}};
  m.weight = Eigen::Vector3d(0.3, 0.5, 0.2);
  // Every labelling, its probability, and the number of cells it puts into component 0.
  double total = 0.0;
  VectorXd expected = VectorXd::Zero(4);
  VectorXd points = VectorXd::Zero(2);
  double expected_rate = 0.0;
  for (Index code = 0; code < 27; ++code) {
    const std::vector<Index> z = {code % 3, code / 3 % 3, code / 9};
    if (z[1] == 2 || z[2] == 2) continue;
    const double p = std::exp(slow_joint(data, z, m, prior));
    total += p;
    expected[std::count(z.begin(), z.end(), 0)] += p;
    points[z[0] == 2] += p;
    // E lambda_i = (x_i + 1 / phi) / (s_i + 1 / (phi mu))
    for (std::size_t i = 0; i < 3; ++i) {
      if (z[i] == 2) continue;
      const Component& c = m.component[static_cast<std::size_t>(z[i])];
      expected_rate += p * (data.x[i] + 1.0 / c.phi) / (data.s[i] + std::exp(-c.eta) / c.phi);
    }
  }
  expected /= total;
  points /= total;
  expected_rate /= total;
  VectorXd seen = VectorXd::Zero(4);
  double at_zero = 0.0, rate = 0.0;
  Monitor unstoppable;
  const int draws = 20000;
  for (int i = 0; i < draws; ++i) {
    NbmixGibbs::State state = model.init(m);
    const SweepKey key{9, 0, static_cast<std::uint64_t>(i)};
    const NbmixGibbs::Draws cells_drawn = model.draw_cells(state, key, false, unstoppable);
    seen[static_cast<Index>(cells_drawn.count[0])] += 1.0;
    at_zero += cells_drawn.count[2];
    rate += cells_drawn.rates.sum();
    REQUIRE(cells_drawn.count.sum() == 3.0);
    REQUIRE(cells_drawn.b.sum() == 13.0);
  }
  const VectorXd wanted = draws * expected;
  const double chi2 = ((seen - wanted).array().square() / wanted.array()).sum();
  CHECK(chi2 < 16.3);  // 99.9% point on 3 degrees of freedom
  CHECK(at_zero / draws == Approx(points[1]).margin(4.0 * 0.5 / std::sqrt(draws)));
  CHECK(rate / draws == Approx(expected_rate).epsilon(0.01));
}

TEST_CASE("slice sampling leaves a skewed density invariant for any width") {
  // log of a Gamma(2, 1) variate: mean digamma(2), variance trigamma(2).
  for (const double width : {0.1, 1.0, 20.0}) {
    double y = 0.0, sum = 0.0, square = 0.0;
    const int draws = 20000;
    for (int i = 0; i < draws; ++i) {
      Rng rng(4, 0, static_cast<std::uint64_t>(i));
      y = slice_sample(rng, y, width, [](double v) { return 2.0 * v - std::exp(v); });
      sum += y, square += y * y;
    }
    const double mean = sum / draws;
    CHECK(mean == Approx(digamma(2.0)).margin(0.03));
    CHECK(square / draws - mean * mean == Approx(trigamma(2.0)).margin(0.05));
  }
}

TEST_CASE("alternating sweeps and new data returns the prior (Geweke 2004)") {
  NbmixPrior prior;
  prior.mean_shape = 4.0, prior.mean_rate = 30.0;
  prior.point.psi_mean = std::log(0.4), prior.point.psi_var = 0.5;
  prior.alpha = 3.0;
  Data data;
  data.s = {0.5, 1.0, 1.0, 1.5, 2.0, 1.0, 0.5, 1.0, 1.5, 1.0};
  const Cells cells(data.s);
  Executor serial;
  // Functions that no relabelling changes: sums over components of eta, eta^2, psi, psi^2, the
  // weight of the point mass and its square, and eta weighted by pi.
  auto summaries = [](const Mixture& m) {
    VectorXd out = VectorXd::Zero(7);
    for (Index j = 0; j < m.k(); ++j) {
      const Component& c = m.component[static_cast<std::size_t>(j)];
      const double psi = std::log(c.phi);
      out[0] += c.eta, out[1] += c.eta * c.eta, out[2] += psi, out[3] += psi * psi;
      out[6] += m.weight[j] * c.eta;
    }
    out[4] = m.weight[2], out[5] = m.weight[2] * m.weight[2];
    return out;
  };
  const VectorXd alpha = VectorXd::Constant(3, 1.0);
  auto from_prior = [&](Rng& rng) {
    Mixture m;
    m.weight = rng.dirichlet(alpha);
    for (int j = 0; j < 2; ++j) {
      const double eta = std::log(rng.inverse_gamma(prior.mean_shape, prior.mean_rate));
      const double psi = rng.normal(prior.point.psi_mean, std::sqrt(prior.point.psi_var));
      m.component.push_back({eta, std::exp(psi)});
    }
    return m;
  };
  Monitor unstoppable;
  const int rounds = 20000, batches = 40;
  MatrixXd direct(rounds, 7), chain(rounds, 7);
  Rng rng(77);
  Mixture m = from_prior(rng);
  for (int i = 0; i < rounds; ++i) {
    direct.row(i) = summaries(from_prior(rng)).transpose();
    Truth truth;
    truth.zero = m.weight[2];
    for (Index j = 0; j < 2; ++j) {
      const Component& c = m.component[static_cast<std::size_t>(j)];
      truth.weight.push_back(m.weight[j] + 1e-300);
      truth.mean.push_back(std::exp(c.eta)), truth.phi.push_back(c.phi);
    }
    data.set(draw_counts(truth, data.s, rng));
    const Gene gene = make_gene(cells, data.sparse(), ZeroSum::exact);
    const NbmixGibbs model(gene, prior, 1 << 30);
    NbmixGibbs::State state = model.init(m);
    state.mixture = m;
    model.gibbs_sweep(state, SweepKey{1, 0, static_cast<std::uint64_t>(i)}, serial, unstoppable);
    m = state.mixture;
    chain.row(i) = summaries(m).transpose();
  }
  for (Index f = 0; f < 7; ++f) {
    VectorXd mean(batches);
    for (Index b = 0; b < batches; ++b) {
      mean[b] = chain.col(f).segment(b * rounds / batches, rounds / batches).mean();
    }
    const double spread = (mean.array() - mean.mean()).square().sum() / (batches - 1) / batches;
    const double noise = (direct.col(f).array() - direct.col(f).mean()).square().mean() / rounds;
    const double z = (mean.mean() - direct.col(f).mean()) / std::sqrt(spread + noise);
    INFO("function " << f << ", z = " << z);
    CHECK(std::abs(z) < 4.0);
  }
}

TEST_CASE("posterior means lie within two posterior deviations of the maximum") {
  const Data data = make_data(2000, kTwoModes, 0.0, 61);
  const Cells cells(data.s);
  Executor serial;
  Monitor quiet;
  NbmixOptions options;
  options.k = {2};
  const NbmixFit em = GeneFitter(cells, options).run(data.sparse(), 1, serial, quiet).fits[0];
  const GibbsRun fit = gibbs_fit(data, gibbs_settings(2, 1000));
  VectorXd mean = VectorXd::Zero(7), square = VectorXd::Zero(7);
  double count = 0.0;
  for (const auto& chain : fit.chains) {
    for (const VectorXd& draw : chain.draws) {
      mean += draw;
      square += draw.cwiseProduct(draw);
      count += 1.0;
    }
  }
  mean /= count;
  const VectorXd sd = (square / count - mean.cwiseProduct(mean)).cwiseSqrt();
  // EM numbers by weight (60 first), draws by mean (5 first).
  const VectorXd mle =
      (VectorXd(6) << em.weight.reverse(), em.mean.reverse(), em.dispersion.reverse()).finished();
  for (Index j = 0; j < 6; ++j) {
    INFO("parameter " << j);
    CHECK(std::abs(mean[j] - mle[j]) < 2.0 * sd[j]);
    CHECK(std::abs(mean[j] - mle[j]) < 0.05 * mle[j] + 0.02);
  }
}

TEST_CASE("a chain goes on bitwise from its saved state") {
  const Data data = make_data(200, kLow, 0.3, 71);
  GibbsSetting settings = gibbs_settings(2, 50);
  settings.options.zero_inflated = true;
  settings.gibbs.warmup = 10;
  const GibbsRun whole = gibbs_fit(data, settings);
  settings.gibbs.iterations = 30;
  const GibbsRun first = gibbs_fit(data, settings);
  settings.gibbs.iterations = 50;
  const Cells cells(data.s);
  const Gene gene = make_gene(cells, data.sparse(), ZeroSum::exact);
  const NbmixGibbs model(gene, open_prior(), settings.gibbs.warmup);
  for (const auto& chain : first.chains) {
    settings.before.push_back(model.save(chain.state));
    settings.before.back().put("iteration", static_cast<double>(chain.iteration));
  }
  const GibbsRun rest = gibbs_fit(data, settings);
  for (std::size_t c = 0; c < 2; ++c) {
    REQUIRE(whole.chains[c].draws.size() == 40);
    REQUIRE(rest.chains[c].draws.size() == 20);
    for (std::size_t i = 0; i < 20; ++i) {
      CHECK(whole.chains[c].draws[20 + i] == rest.chains[c].draws[i]);
      CHECK(whole.chains[c].draws[i] == first.chains[c].draws[i]);
    }
  }
  CHECK(whole.chains[0].draws[5] != whole.chains[1].draws[5]);
  CHECK(whole.prob == rest.prob);
  CHECK((whole.prob.rowwise().sum().array() - 1.0).abs().maxCoeff() < 1e-12);
}

TEST_CASE("the components of a draw come by their means, the point mass last") {
  const Data data = make_data(50, kTwoModes, 0.0, 81);
  const Cells cells(data.s);
  const Gene gene = make_gene(cells, data.sparse(), ZeroSum::exact);
  const NbmixGibbs model(gene, gene_prior(open_prior(), gene), 0);
  Mixture m;
  m.component = {{3.0, 0.1}, {-5.0, 0.2}, {1.0, 0.3}};
  m.weight = Eigen::Vector4d(0.4, 0.1, 0.3, 0.2);
  const VectorXd draw = model.draw(model.init(m));
  CHECK(draw.head(4) == Eigen::Vector4d(0.1, 0.3, 0.4, 0.2));
  CHECK(draw[4] == Approx(std::exp(-5.0)));
  CHECK(draw[7] == 0.0);
  CHECK(draw[8] == 0.2);
  CHECK(draw[12] == Approx(evaluate(gene, m).log_likelihood));
}
