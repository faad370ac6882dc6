// The maths of nbmix by EM: quadrature, sums, slopes, information and limits against direct sums.
#include <catch.h>

#include <cmath>
#include <vector>

#include "core/rng.h"
#include "models/nbmix/fit.h"

using namespace mixology;

namespace {

struct Counts {
  std::vector<int> cell;
  std::vector<double> count;
  SparseCounts view() const { return {cell.data(), count.data(), static_cast<Index>(cell.size())}; }
};

std::vector<double> size_factors(Index n, double spread, Rng& rng) {
  std::vector<double> s(static_cast<std::size_t>(n));
  for (double& v : s) v = std::exp(spread * rng.normal());
  return s;
}

Counts draw(const std::vector<double>& s, const Mixture& m, Rng& rng) {
  Counts out;
  for (std::size_t i = 0; i < s.size(); ++i) {
    const auto k = rng.categorical(m.weight);
    if (static_cast<Index>(k) >= m.k()) continue;
    const Component& c = m.component[k];
    const double x = rng.negative_binomial(s[i] * std::exp(c.eta), c.phi);
    if (x == 0.0) continue;
    out.cell.push_back(static_cast<int>(i));
    out.count.push_back(x);
  }
  return out;
}

Mixture two_parts(double low, double high) {
  Mixture m;
  m.weight = VectorXd(2);
  m.weight << 0.8, 0.2;
  m.component = {{std::log(low), 0.7}, {std::log(high), 0.2}};
  return m;
}

// Density by density over all cells.
double direct(const std::vector<double>& s, const Counts& data, const Mixture& m) {
  std::vector<double> x(s.size(), 0.0);
  for (std::size_t i = 0; i < data.cell.size(); ++i) {
    x[static_cast<std::size_t>(data.cell[i])] = data.count[i];
  }
  double total = 0.0;
  for (std::size_t i = 0; i < s.size(); ++i) {
    std::vector<double> joint;
    for (Index k = 0; k < m.weight.size(); ++k) {
      const double log_density =
          k < m.k() ? log_negative_binomial(x[i], s[i] * std::exp(m.component[std::size_t(k)].eta),
                                            m.component[std::size_t(k)].phi)
                    : (x[i] == 0.0 ? 0.0 : -kInfinity);
      joint.push_back(std::log(m.weight[k]) + log_density);
    }
    total += log_sum_exp(joint.data(), joint.size());
  }
  return total;
}

double through_pass(const Cells& cells, const Counts& data, const Mixture& m, ZeroSum zeros) {
  return evaluate(make_gene(cells, data.view(), zeros), m).log_likelihood;
}

}  // namespace

TEST_CASE("a Gauss rule keeps the moments and is exact for few points") {
  Rng rng(1);
  Rule points;
  for (int i = 0; i < 9000; ++i) {
    points.node.push_back(rng.normal());
    points.weight.push_back(1.0);
  }
  const Rule rule = gauss_rule(points, 12);
  REQUIRE(rule.size() == 12);
  for (int power = 0; power <= 23; ++power) {
    double full = 0.0, size = 0.0, few = 0.0;
    for (double t : points.node) full += std::pow(t, power), size += std::pow(std::abs(t), power);
    for (Index j = 0; j < 12; ++j) few += rule.weight[j] * std::pow(rule.node[j], power);
    CHECK(std::abs(full - few) <= 1e-9 * size);
  }
  const Rule exact = gauss_rule(Rule{{2.0, 5.0, 7.0}, {1.0, 2.0, 3.0}}, 10);
  REQUIRE(exact.size() == 3);
  CHECK(exact.node[1] == Approx(5.0));
  CHECK(exact.weight[1] == Approx(2.0));
}

TEST_CASE("the quadrature of the zeros agrees with the sum over cells") {
  Rng rng(2);
  const std::vector<double> s = size_factors(3000, 0.6, rng);
  const Cells cells(s);
  REQUIRE(cells.has_rule());
  CHECK(cells.rule().size() <= 48);
  for (const double mean : {0.001, 0.02, 0.2}) {
    const Mixture m = two_parts(mean, 20.0 * mean);
    const Counts data = draw(s, m, rng);
    const Gene gene = make_gene(cells, data.view());
    CHECK(gene.quadrature);
    const double full = direct(s, data, m);
    CHECK(evaluate(gene, m).log_likelihood == Approx(full).epsilon(1e-10));
    CHECK(through_pass(cells, data, m, ZeroSum::exact) == Approx(full).epsilon(1e-12));
    const Gene every = make_gene(cells, {}, ZeroSum::exact);
    const FullSums both = evaluate_full(every, gene, m);
    const FullSums exact = evaluate(make_gene(cells, data.view(), ZeroSum::exact), m);
    CHECK(both.log_likelihood == Approx(full).epsilon(1e-12));
    CHECK(both.entropy == Approx(exact.entropy).epsilon(1e-9));
  }
}

TEST_CASE("every layout, the point mass and the Poisson limit give the direct log likelihood") {
  Rng rng(3);
  std::vector<std::vector<double>> factors = {std::vector<double>(200, 1.0),
                                              size_factors(200, 0.5, rng)};
  factors.push_back(factors[0]);
  for (std::size_t i = 0; i < 200; i += 2) factors[2][i] = 3.0;
  for (const auto& s : factors) {
    const Cells cells(s);
    for (const bool point : {false, true}) {
      for (const double phi : {0.0, 1e-12, 1e-3, 5.0}) {
        Mixture m = two_parts(2.0, 30.0);
        m.component[1].phi = phi;
        if (point) m.weight = Eigen::Vector3d(0.5, 0.3, 0.2);
        const Counts data = draw(s, m, rng);
        CHECK(through_pass(cells, data, m, ZeroSum::automatic) ==
              Approx(direct(s, data, m)).epsilon(1e-11));
      }
    }
  }
}

TEST_CASE("the rising table and its slopes agree with their sums in all regimes") {
  const std::vector<double> counts = {1.0, 2.0, 7.0, 8.0, 9.0, 17.0, 1000.0, 3e6};
  const RisingTable table(counts);
  CHECK(table.value(0.0).isZero(0.0));
  for (const double phi : {1e-15, 1e-9, 1e-5, 1e-3, 0.1, 0.125, 0.126, 3.0, 200.0}) {
    const RisingSlopes slopes = table.slopes(phi);
    const ArrayXd value = table.value(phi);
    long double first = 0.0L, second = 0.0L, sum = 0.0L;
    double j = 1.0;
    for (Index d = 0; d < table.size(); ++d) {
      for (; j < counts[static_cast<std::size_t>(d)]; j += 1.0) {
        const long double ratio = j / (1.0L + static_cast<long double>(j) * phi);
        sum += std::log1p(static_cast<long double>(j) * phi);
        first += ratio;
        second -= ratio * ratio;
      }
      INFO("x " << table.x(d) << " phi " << phi);
      CHECK(value[d] == Approx(static_cast<double>(sum)).epsilon(1e-14).margin(1e-16 * phi));
      CHECK(slopes.value[d] == value[d]);
      CHECK(slopes.first[d] == Approx(static_cast<double>(first)).epsilon(1e-13).margin(1e-13));
      CHECK(slopes.second[d] == Approx(static_cast<double>(second)).epsilon(1e-11).margin(1e-11));
    }
  }
}

TEST_CASE("gradient and Hessian of a component are those of its value") {
  Rng rng(4);
  const std::vector<double> s = size_factors(150, 0.5, rng);
  const Cells cells(s);
  for (const double phi : {1e-5, 0.05, 0.8, 30.0}) {
    Mixture one{VectorXd::Ones(1), {{std::log(4.0), std::min(phi, 1.0)}}};
    const Counts data = draw(s, one, rng);
    const Gene gene = make_gene(cells, data.view());
    const ComponentSums sums = all_counts(gene);
    const LogNormalPrior prior;
    for (const LogNormalPrior* p : {static_cast<const LogNormalPrior*>(nullptr), &prior}) {
      const ComponentLikelihood q(sums, p);
      const Component at{std::log(5.0), phi};
      const Slopes f = q.slopes(at);
      CHECK(f.value == Approx(q.value(at)).epsilon(1e-12));
      const double h = 1e-4;
      auto value = [&](double d_eta, double d_psi) {
        return q.value({at.eta + d_eta, at.phi * std::exp(d_psi)});
      };
      const double scale = 1e-6 * (std::abs(f.value) + 1.0);
      CHECK(std::abs(f.eta - (value(h, 0) - value(-h, 0)) / (2 * h)) < scale);
      CHECK(std::abs(f.psi - (value(0, h) - value(0, -h)) / (2 * h)) < scale);
      auto slope = [&](double d_eta, double d_psi) {
        return q.slopes({at.eta + d_eta, at.phi * std::exp(d_psi)});
      };
      CHECK(f.eta_eta == Approx((slope(h, 0).eta - slope(-h, 0).eta) / (2 * h)).epsilon(1e-5));
      CHECK(f.psi_psi ==
            Approx((slope(0, h).psi - slope(0, -h).psi) / (2 * h)).epsilon(1e-5).margin(1e-6));
      CHECK(f.eta_psi ==
            Approx((slope(0, h).eta - slope(0, -h).eta) / (2 * h)).epsilon(1e-5).margin(1e-6));
    }
  }
}

TEST_CASE("the observed information is the Hessian of the log likelihood") {
  Rng rng(5);
  const std::vector<double> s = size_factors(400, 0.4, rng);
  const Cells cells(s);
  Mixture m = two_parts(0.3, 6.0);
  m.weight = Eigen::Vector3d(0.5, 0.3, 0.2);
  const Counts data = draw(s, m, rng);
  const Gene gene = make_gene(cells, data.view());
  const NbmixEm model(gene);
  auto gradient = [&](const VectorXd& theta) {
    NbmixEm::State state = model.init(m);
    model.set_parameters(state, theta);
    const PassSums sums = model.update_local(state, Range{0, model.items()});
    return model.observed(state, sums);
  };
  NbmixEm::State state = model.init(m);
  const VectorXd theta = model.parameters(state);
  const Curvature at = gradient(theta);
  // Free parameters: all of theta but the last log weight, which is the reference.
  for (Index i = 0, free = 0; i < theta.size(); ++i) {
    if (i == 2) continue;
    VectorXd up = theta, down = theta;
    up[i] += 1e-5, down[i] -= 1e-5;
    const VectorXd numeric = (gradient(up).gradient - gradient(down).gradient) / 2e-5;
    CHECK((numeric - at.hessian.col(free)).cwiseAbs().maxCoeff() <
          1e-5 * (1.0 + at.hessian.cwiseAbs().maxCoeff()));
    ++free;
  }
}

TEST_CASE("an M step leaves the tables of where it ends, as does a step of the engine") {
  Rng rng(14);
  for (const bool equal : {true, false}) {
    const std::vector<double> s =
        equal ? std::vector<double>(300, 1.0) : size_factors(300, 0.4, rng);
    const Cells cells(s);
    const Mixture m = two_parts(3.0, 40.0);
    const Gene gene = make_gene(cells, draw(s, m, rng).view());
    const NbmixEm model(gene);
    const Range all{0, model.items()};
    NbmixEm::State state = model.init(m);
    state.mixture.component[1].eta += 0.5;  // some way to go
    for (int sweep = 0; sweep < 4; ++sweep) {
      PassSums sums = model.update_local(state, all);
      NbmixEm::State fresh = model.init(state.mixture);
      const PassSums anew = model.update_local(fresh, all);
      CHECK(sums.log_likelihood == anew.log_likelihood);
      CHECK((sums.h == anew.h).all());
      if (sweep == 1) {
        model.set_parameters(state, model.parameters(state).array() + 0.01);
        sums = model.update_local(state, all);
      }
      model.update_global(state, sums);
    }
  }
}

TEST_CASE("a start that waited goes on as one that did not") {
  Rng rng(16);
  const std::vector<double> s = size_factors(kManySites + 1000, 0.4, rng);
  const Cells cells(s);
  Mixture m = two_parts(3.0, 40.0);
  const Gene gene = make_gene(cells, draw(s, m, rng).view(), ZeroSum::exact);
  const NbmixEm model(gene);
  const Range all{0, model.items()};
  NbmixEm::State state = model.init(m);
  model.update_global(state, model.update_local(state, all));
  NbmixEm::State waited = state;
  model.forget(waited);
  CHECK_FALSE(waited.tables.has_logs);
  CHECK(model.update_local(waited, all).log_likelihood ==
        model.update_local(state, all).log_likelihood);
  CHECK((waited.a == state.a).all());
}

TEST_CASE("very many cells are thinned for the starts, which keep their sums") {
  Rng rng(17);
  const std::vector<double> s = size_factors(300000, 0.4, rng);
  const Cells cells(s);
  const Mixture m = two_parts(3.0, 40.0);
  const Gene gene = make_gene(cells, draw(s, m, rng).view(), ZeroSum::exact);
  const Mixture upper = Starts(gene).make(2, 3, false, rng);  // cut at the upper fifth
  CHECK(upper.weight[0] == Approx(0.8).margin(0.01));
  const double mean = upper.weight[0] * std::exp(upper.component[0].eta) +
                      upper.weight[1] * std::exp(upper.component[1].eta);
  CHECK(mean == Approx(gene.sum_x / gene.sum_s).epsilon(0.05));
}

TEST_CASE("few size factors are told from many") {
  std::vector<double> s;
  for (Index i = 0; i < 500; ++i)
    s.push_back(1.0 + static_cast<double>((7 * i) % Cells::kFewLevels));
  const Cells few(s);
  CHECK_FALSE(few.many_levels());
  CHECK(few.level().size() == Cells::kFewLevels);
  double cells_in_all = 0.0;
  for (double w : few.level().weight) cells_in_all += w;
  CHECK(cells_in_all == 500.0);
  for (Index i = 0; i < 500; ++i) {
    REQUIRE(few.level().node[static_cast<std::size_t>(few.level_of(i))] == few.s(i));
  }
  s.push_back(0.5);
  const Cells many(s);
  CHECK(many.many_levels());
  CHECK(many.level().size() == 501);
}

TEST_CASE("condensed counts keep their sums, small counts, sparse tails and narrow modes") {
  Rng rng(15);
  const std::vector<double> s(2000, 1.0);
  const Cells cells(s);
  Mixture m = two_parts(20.0, 5000.0);
  m.weight = Eigen::Vector2d(0.2, 0.8);
  m.component[1].phi = 0.3;
  const Gene gene = make_gene(cells, draw(s, m, rng).view());
  const Gene few = condensed(gene);
  CHECK(2 * few.items() < gene.items());
  CHECK(all_counts(few).a.sum() == Approx(all_counts(gene).a.sum()));
  CHECK(all_counts(few).sum_zx() == Approx(all_counts(gene).sum_zx()));
  double cells_in_all = 0.0;
  for (Index i = 0, d = 0; i < few.items(); ++i) {
    const double w = few.item_weight[static_cast<std::size_t>(i)];
    cells_in_all += w;
    const double first = gene.item_x(d);
    double last = first, weight = 0.0;
    Index members = 0;
    for (; weight < w; ++d, ++members) {
      last = gene.item_x(d);
      weight += gene.item_weight[static_cast<std::size_t>(d)];
    }
    CHECK(weight == w);
    CHECK((members == 1 || (first > 32.0 && last <= 1.05 * first && w <= gene.n / 128.0)));
  }
  CHECK(cells_in_all + few.zero_weight[0] == gene.n);
  const Mixture other{m.weight, {{m.component[0].eta, 0.5}, {m.component[1].eta + 0.1, 0.4}}};
  const double gap = evaluate(gene, m).log_likelihood - evaluate(gene, other).log_likelihood;
  const double same = evaluate(few, m).log_likelihood - evaluate(few, other).log_likelihood;
  CHECK(same == Approx(gap).epsilon(0.01));
}

TEST_CASE("the Poisson limit is exact, entered by the score and left again") {
  const std::vector<double> s(6, 1.0);
  const Cells cells(s);
  const Counts narrow{{0, 1, 2, 3, 4, 5}, {9, 10, 11, 10, 9, 11}};
  const Gene gene = make_gene(cells, narrow.view());
  const ComponentSums sums = all_counts(gene);
  const ComponentLikelihood q(sums);
  CHECK(q.boundary_score() < 0.0);
  CHECK(q.raise({std::log(10.0), 0.4}, 5).phi == 0.0);
  const Counts wide{{0, 1, 2, 3, 4, 5}, {1, 10, 31, 10, 2, 40}};
  const Gene other = make_gene(cells, wide.view());
  const ComponentSums spread = all_counts(other);
  const ComponentLikelihood p(spread);
  CHECK(p.boundary_score() > 0.0);
  const Component left = p.raise({std::log(10.0), 0.0}, 50);
  CHECK(left.phi > 0.1);
  CHECK(std::abs(p.slopes(left).psi) < 1e-6);
}

TEST_CASE("a fit is the same in chunks and never worse with more components") {
  Rng rng(6);
  const std::vector<double> s = size_factors(900, 0.5, rng);
  const Cells cells(s);
  const Counts data = draw(s, two_parts(0.5, 8.0), rng);
  NbmixOptions options;
  options.k = {1, 2, 3};
  const GeneFitter fitter(cells, options);
  Executor serial;
  Monitor monitor;
  const GeneFit fit = fitter.run(data.view(), 1, serial, monitor);
  REQUIRE(fit.fits.size() == 3);
  CHECK(fit.fits[1].log_likelihood >= fit.fits[0].log_likelihood - 1e-6);
  CHECK(fit.fits[2].log_likelihood >= fit.fits[1].log_likelihood - 1e-6);
  for (const NbmixFit& one : fit.fits) {
    CHECK(one.trace.converged());
    CHECK(one.weight.sum() == Approx(1.0));
    for (Index j = 1; j < one.weight.size(); ++j) CHECK(one.weight[j] <= one.weight[j - 1]);
  }
}
