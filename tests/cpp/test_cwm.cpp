// cwm: the streamed local update against direct sums, missing values against the joint Gaussian,
// EM's monotone climb, and that sums do not depend on chunks.
#include "models/cwm.h"

#include <catch.h>

#include <cmath>
#include <limits>

#include "engine/em.h"
#include "engine/multistart.h"
#include "models/cwm/predict.h"

using namespace mixology;
using namespace mixology::cwm;

namespace {

struct Raw {
  MatrixXd x, w, y, link;
};

// Two clusters; w = (1, x); two responses.
Raw simulate(Index n, Index d, Index m, std::uint64_t seed) {
  Rng rng(seed);
  Raw out;
  out.x.resize(n, d);
  out.w.resize(n, d + 1);
  out.y.resize(n, m);
  out.link = MatrixXd::Zero(d + 1, d);
  out.link.bottomRows(d).setIdentity();
  for (Index i = 0; i < n; ++i) {
    const double side = i % 3 == 0 ? 1.0 : -1.0;
    for (Index j = 0; j < d; ++j) out.x(i, j) = 2.0 * side + rng.normal();
    out.w(i, 0) = 1.0;
    out.w.row(i).tail(d) = out.x.row(i);
    for (Index j = 0; j < m; ++j) {
      out.y(i, j) = side * out.x.row(i).sum() + double(j) + 0.3 * rng.normal();
    }
  }
  return out;
}

Labels two_halves(Index n) {
  Labels out(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) out[static_cast<std::size_t>(i)] = (i * 7 % 5) < 2;
  return out;
}

double log_normal(const VectorXd& v, const VectorXd& mean, const MatrixXd& cov) {
  const Eigen::LLT<MatrixXd> llt(cov);
  const MatrixXd lower = llt.matrixL();
  return -0.5 * (v - mean).dot(llt.solve(v - mean)) - lower.diagonal().array().log().sum() -
         0.5 * double(v.size()) * kLog2Pi;
}

// Density of one row by the joint Gaussian of (x, y), missing values dropped.
double row_density(const Estimate& e, const VectorXd& x, const VectorXd& y, Index d, Index m) {
  double total = 0.0;
  for (Index k = 0; k < e.weight.size(); ++k) {
    const MatrixXd sigma = e.covariance.middleCols(k * d, d);
    const MatrixXd b = e.coef.middleCols(k * m, m);
    const MatrixXd slope = b.bottomRows(d);
    VectorXd mean(d + m), v(d + m);
    mean << e.mean.col(k), b.row(0).transpose() + slope.transpose() * e.mean.col(k);
    v << x, y;
    MatrixXd cov(d + m, d + m);
    cov << sigma, sigma * slope, slope.transpose() * sigma,
        slope.transpose() * sigma * slope + e.noise.middleCols(k * m, m);
    std::vector<Index> seen;
    for (Index j = 0; j < d + m; ++j) {
      if (!std::isnan(v[j])) seen.push_back(j);
    }
    const auto s = static_cast<Index>(seen.size());
    VectorXd v1(s), mean1(s);
    MatrixXd cov1(s, s);
    for (Index a = 0; a < s; ++a) {
      v1[a] = v[seen[std::size_t(a)]];
      mean1[a] = mean[seen[std::size_t(a)]];
      for (Index b1 = 0; b1 < s; ++b1)
        cov1(a, b1) = cov(seen[std::size_t(a)], seen[std::size_t(b1)]);
    }
    total += e.weight[k] * std::exp(log_normal(v1, mean1, cov1));
  }
  return std::log(total);
}

}  // namespace

TEST_CASE("scores and sums equal direct ones") {
  for (Index d : {1, 3, 5}) {
    for (Index m : {1, 2}) {
      const Raw raw = simulate(301, d, m, 5);
      const Data data = make_data(raw.x, raw.w, raw.y, raw.link, false);
      const Em model(data, 2, Family::VVV, false);
      Em::State state = model.from_labels(two_halves(301));
      const Estimate e = estimate(model, state);
      Executor serial;
      const Membership found = membership(data, state.kernel, serial);
      for (Index i = 0; i < 301; i += 13) {
        const double direct = row_density(e, raw.x.row(i), raw.y.row(i), d, m);
        CHECK(found.log_density[i] == Approx(direct).epsilon(1e-10));
      }
      const Stats stats = model.update_local(state, {0, 301});
      CHECK(stats.rows(0) == Approx(found.responsibility.col(0).sum()).epsilon(1e-12));
      MatrixXd direct = MatrixXd::Zero(d, d);
      for (Index i = 0; i < 301; ++i) {
        const VectorXd v = data.x.row(i).transpose() - state.mean.col(1);
        direct += found.responsibility(i, 1) * v * v.transpose();
      }
      CHECK((stats.xx[1].bottomRightCorner(d, d) - direct).norm() < 1e-9 * direct.norm());
      MatrixXd cross = MatrixXd::Zero(d + 1, m);
      for (Index i = 0; i < 301; ++i) {
        const VectorXd residual =
            data.y.row(i).transpose() - state.coef[0].transpose() * data.w.row(i).transpose();
        cross += found.responsibility(i, 0) * data.w.row(i).transpose() * residual.transpose();
      }
      CHECK((stats.wy[0].topRightCorner(d + 1, m) - cross).norm() < 1e-8 * (1.0 + cross.norm()));
    }
  }
}

TEST_CASE("missing values are integrated out") {
  Raw raw = simulate(200, 2, 2, 9);
  raw.y(0, 0) = raw.y(1, 1) = raw.y(2, 0) = raw.y(2, 1) = kNaN;
  raw.x(3, 0) = raw.w(3, 1) = kNaN;
  raw.x(4, 1) = raw.w(4, 2) = raw.y(4, 0) = kNaN;
  raw.x(5, 0) = raw.w(5, 1) = raw.x(5, 1) = raw.w(5, 2) = kNaN;
  raw.x(6, 0) = raw.w(6, 1) = raw.y(6, 0) = raw.y(6, 1) = kNaN;
  const Data data = make_data(raw.x, raw.w, raw.y, raw.link, false);
  const Em model(data, 2, Family::VVV, false);
  Em::State state = model.from_labels(two_halves(200));
  Executor serial;
  Monitor monitor;
  EmOptions options;
  options.max_iterations = 3;
  run_em(model, state, options, serial, monitor);
  const Estimate e = estimate(model, state);
  const Membership found = membership(data, state.kernel, serial);
  for (Index i = 0; i < 12; ++i) {
    const double direct = row_density(e, raw.x.row(i), raw.y.row(i), 2, 2);
    INFO("row " << i);
    CHECK(found.log_density[i] == Approx(direct).epsilon(1e-9));
  }
  options.max_iterations = 300;
  const Trace trace = run_em(model, state, options, serial, monitor);
  CHECK(trace.converged());
  for (std::size_t i = 1; i < trace.value.size(); ++i) {
    CHECK(trace.value[i] >= trace.value[i - 1] - 1e-9 * std::abs(trace.value[i]));
  }
}

TEST_CASE("every family climbs, from every kind of start") {
  const Raw raw = simulate(400, 2, 1, 3);
  for (Family f : {Family::EII, Family::VII, Family::EEI, Family::VVI, Family::EEE, Family::VVV}) {
    for (bool equal : {false, true}) {
      const Data data = make_data(raw.x, raw.w, raw.y, raw.link, spherical(f));
      const Em model(data, 3, f, equal);
      std::vector<Em::State> starts;
      for (int s = 0; s < 5; ++s)
        starts.push_back(model.from_labels(starting_labels(data, 3, s, 1)));
      Executor serial;
      Monitor monitor;
      StartsReport report;
      AscentProgress progress;
      const Trace trace =
          climb_from_starts(model, starts, EmOptions(), serial, monitor, report, progress);
      CHECK(trace.converged());
      for (std::size_t i = 1; i < trace.value.size(); ++i) {
        CHECK(trace.value[i] >= trace.value[i - 1] - 1e-9 * std::abs(trace.value[i]));
      }
      const Em::State& state = starts[static_cast<std::size_t>(report.chosen)];
      const VectorXd theta = model.parameters(state);
      Em::State copy = state;
      model.set_parameters(copy, theta);
      CHECK((model.parameters(copy) - theta).norm() < 1e-8 * theta.norm());
    }
  }
}

TEST_CASE("no clustering covariates, no response, one component, and no rows with a response") {
  const Raw raw = simulate(100, 2, 1, 4);
  const MatrixXd none(100, 0);
  const Data regression = make_data(none, raw.w, raw.y, MatrixXd(3, 0), false);
  const Data gaussian = make_data(raw.x, none, none, MatrixXd(0, 2), false);
  for (const Data* data : {&regression, &gaussian}) {
    for (int k : {1, 2}) {
      const Em model(*data, k, Family::VVV, false);
      Em::State state = model.from_labels(starting_labels(*data, k, 0, 1));
      Executor serial;
      Monitor monitor;
      const Trace trace = run_em(model, state, EmOptions(), serial, monitor);
      CHECK(trace.converged());
      CHECK(std::isfinite(trace.last()));
    }
  }
}

TEST_CASE("identical rows and a perfect fit stay finite") {
  Raw raw = simulate(100, 2, 1, 4);
  for (Index i = 40; i < 100; ++i) {
    raw.x.row(i) = raw.x.row(40);
    raw.w.row(i) = raw.w.row(40);
    raw.y.row(i) = raw.y.row(40);
  }
  const Data data = make_data(raw.x, raw.w, raw.y, raw.link, false);
  const Em model(data, 3, Family::VVV, false);
  Em::State state = model.from_labels(starting_labels(data, 3, 0, 1));
  Executor serial;
  Monitor monitor;
  const Trace trace = run_em(model, state, EmOptions(), serial, monitor);
  CHECK(trace.status != Status::not_finite);
  CHECK(trace.status != Status::objective_fell);
  CHECK(model.degenerate(state));
}

TEST_CASE("a few rows on a line are spurious, a regression without noise is not") {
  const Index n = 200;
  MatrixXd x(n, 0), w(n, 2), y(n, 1), link(2, 0);
  Rng rng(3, 0, 0, 0);
  for (Index i = 0; i < n; ++i) {
    w.row(i) << 1.0, rng.normal();
    y(i, 0) = 2.0 * w(i, 1) + (i < 100 ? 0.0 : 1.0 + w(i, 1));
  }
  Labels labels(static_cast<std::size_t>(n), 0);
  std::fill(labels.begin() + 100, labels.end(), std::uint8_t{1});
  auto spurious = [&](const Labels& start) {
    const Data data = make_data(x, w, y, link, false);
    const Em model(data, 2, Family::VVV, false);
    return model.degenerate_components(model.from_labels(start));
  };
  CHECK((spurious(labels) == std::vector<bool>{false, false}));
  for (Index i = 3; i < n; ++i) y(i, 0) += rng.normal();
  std::fill(labels.begin(), labels.begin() + 3, std::uint8_t{0});
  std::fill(labels.begin() + 3, labels.end(), std::uint8_t{1});
  CHECK((spurious(labels) == std::vector<bool>{true, false}));
}

TEST_CASE("a regression without covariates is fitted") {
  Raw raw = simulate(60, 1, 1, 5);
  const MatrixXd none(60, 0), link(0, 1);
  const Data data = make_data(raw.x, none, raw.y, link, false);
  const Em model(data, 2, Family::VVV, false);
  Em::State state = model.from_labels(starting_labels(data, 2, 3, 1));
  Executor serial;
  Monitor monitor;
  CHECK(run_em(model, state, EmOptions(), serial, monitor).converged());
}

TEST_CASE("sticks prefer decreasing sizes at a small concentration, a large last one else") {
  Prior prior;
  prior.stick_breaking = true;
  VectorXd down(3), up(3);
  down << 60.0, 30.0, 10.0;
  up << 10.0, 30.0, 60.0;
  prior.concentration = 0.5;
  CHECK(log_stick_evidence(prior, down) > log_stick_evidence(prior, up));
  prior.concentration = 100.0;
  CHECK(log_stick_evidence(prior, down) < log_stick_evidence(prior, up));
}

TEST_CASE("cwm: tabulated tails are the exact ones") {
  for (const double df : {1.0, 2.5, 7.0, 200.0, HUGE_VAL}) {
    const Tail tail(df);
    const double peak = cwm::detail::log_peak(df);
    for (double z = -14.0; z <= 14.0; z += 0.0137) {
      const std::pair<double, double> here = tail.at(z);
      REQUIRE(std::abs(here.first - cwm::detail::cdf(z, df)) < 1e-11);
      REQUIRE(std::abs(here.second - cwm::detail::pdf(z, df, peak)) < 1e-8);
      if (z < -1.0)
        REQUIRE(here.first == Approx(cwm::detail::cdf(z, df)).epsilon(1e-9).margin(1e-30));
    }
  }
}

TEST_CASE("cwm: a mixture's quantiles are roots of its distribution function") {
  std::vector<PredictiveComponent> components(2);
  for (std::size_t c = 0; c < 2; ++c) {
    PredictiveComponent& k = components[c];
    k.log_weight = std::log(0.5);
    k.cluster = static_cast<int>(c);
    k.mean = VectorXd::Zero(1);
    k.spread = MatrixXd::Identity(1, 1);
    k.coef = MatrixXd::Constant(1, 1, c == 0 ? -2.0 : 3.0);
    k.noise = MatrixXd::Constant(1, 1, c == 0 ? 0.5 : 2.0);
    k.noise_df = c == 0 ? 4.0 : HUGE_VAL;
  }
  const Predictive predictive(components, 2);
  const PredictiveIntervals intervals(predictive);
  const VectorXd one = VectorXd::Ones(1), half = VectorXd::Constant(2, 0.5);
  const Univariate y = intervals.response(half, one, 0);
  for (const double p : {1e-6, 0.025, 0.4, 0.5, 0.9, 0.999}) {
    const double at = y.quantile(p, intervals.standard_quantiles(p));
    const double cdf = 0.5 * cwm::detail::cdf((at + 2.0) / 0.5, 4.0) +
                       0.5 * cwm::detail::cdf((at - 3.0) / 2.0, HUGE_VAL);
    REQUIRE(cdf == Approx(p).epsilon(1e-9));
  }
}
