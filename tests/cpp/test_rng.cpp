// Random numbers: published Threefry vectors, the meaning of key and counter, and each
// distribution against its exact distribution function (Kolmogorov-Smirnov, chi-squared) and
// moments. Seeds are fixed, so a pass is a pass for ever.
#include "core/rng.h"

#include <catch.h>

#include <algorithm>
#include <array>
#include <boost/math/special_functions/beta.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

using namespace mixology;
using Words = std::array<std::uint64_t, 4>;

namespace {

// Threefry-4x64-20 from the definition (Salmon and others 2011, section 3.2 and table 2).
Words threefry(const Words& key, Words x) {
  static const int rotation[8][2] = {{14, 16}, {52, 57}, {23, 40}, {5, 37},
                                     {25, 33}, {46, 12}, {58, 22}, {32, 32}};
  std::uint64_t k[5] = {key[0], key[1], key[2], key[3], 0x1BD11BDAA9FC1A22ULL};
  for (int i = 0; i < 4; ++i) k[4] ^= key[i];
  for (int i = 0; i < 4; ++i) x[i] += k[i];
  const auto mix = [](std::uint64_t& a, std::uint64_t& b, int bits) {
    a += b;
    b = (b << bits | b >> (64 - bits)) ^ a;
  };
  for (int round = 0; round < 20; ++round) {
    const int odd = round % 2;
    mix(x[0], x[odd ? 3 : 1], rotation[round % 8][0]);
    mix(x[2], x[odd ? 1 : 3], rotation[round % 8][1]);
    if (round % 4 == 3) {
      const int s = round / 4 + 1;
      for (int i = 0; i < 4; ++i) x[i] += k[(s + i) % 5];
      x[3] += s;
    }
  }
  return x;
}

// sqrt(n) times the largest distance between the empirical and the exact distribution function:
// above 1.95 with probability 0.001.
template <typename Cdf>
double kolmogorov(std::vector<double> draws, Cdf cdf) {
  std::sort(draws.begin(), draws.end());
  const double n = static_cast<double>(draws.size());
  double top = 0;
  for (std::size_t i = 0; i < draws.size(); ++i) {
    const double f = cdf(draws[i]);
    top = std::max({top, (i + 1) / n - f, f - i / n});
  }
  return top * std::sqrt(n);
}

template <typename Draw>
std::vector<double> sample(int n, Draw draw) {
  std::vector<double> out(n);
  for (double& v : out) v = draw();
  return out;
}

// Distance of the sample mean from the exact one in standard errors.
double z_of_mean(const std::vector<double>& draws, double mean) {
  double total = 0, squares = 0;
  for (const double v : draws) total += v - mean;
  for (const double v : draws) squares += (v - mean) * (v - mean);
  return total / std::sqrt(squares);
}
double z_of_variance(std::vector<double> draws, double mean, double variance) {
  for (double& v : draws) v = (v - mean) * (v - mean);
  return z_of_mean(draws, variance);
}

// Chi-squared statistic of counts against exp(log_density), pooled to expectations above 5;
// returned as (X - df) / sqrt(2 df).
template <typename LogDensity>
double chi_squared_z(const std::vector<double>& draws, LogDensity log_density) {
  std::vector<double> seen(static_cast<std::size_t>(*std::max_element(draws.begin(), draws.end())) +
                           1);
  for (const double v : draws) seen[static_cast<std::size_t>(v)] += 1;
  double statistic = 0, df = -1, observed = 0, expected = 0, left = 1;
  for (std::size_t x = 0; x < seen.size(); ++x) {
    const double p = std::exp(log_density(static_cast<double>(x)));
    observed += seen[x];
    expected += p * draws.size();
    left -= p;
    if (expected > 5 && left * draws.size() > 5) {
      statistic += (observed - expected) * (observed - expected) / expected;
      df += 1;
      observed = expected = 0;
    }
  }
  expected += left * draws.size();
  statistic += (observed - expected) * (observed - expected) / expected;
  df += 1;
  return (statistic - df) / std::sqrt(2 * df);
}

double gamma_cdf(double shape, double x) { return boost::math::gamma_p(shape, x); }
// The same of the logarithm, where the variate underflows: P(log G < y) ~ e^(a y) / Gamma(a + 1).
double log_gamma_cdf(double shape, double y) {
  if (y > -30) return gamma_cdf(shape, std::exp(y));
  return std::exp(shape * y - log_gamma(shape + 1));
}

const int kDraws = 40000;
const double kLimit = 1.95;

}  // namespace

TEST_CASE("the reference Threefry reproduces the published vectors", "[rng]") {
  const std::uint64_t ones = ~0ULL;
  CHECK((threefry({0, 0, 0, 0}, {0, 0, 0, 0}) ==
         Words{0x09218ebde6c85537, 0x55941f5266d86105, 0x4bd25e16282434dc, 0xee29ec846bd2e40b}));
  CHECK((threefry({ones, ones, ones, ones}, {ones, ones, ones, ones}) ==
         Words{0x29c24097942bba1b, 0x0371bbfb0f6f4e11, 0x3c231ffa33f83a1c, 0xcd29113fde32d168}));
}

TEST_CASE("Rng is Threefry with key (seed, chain) and counter (block, item, iteration, site)",
          "[rng]") {
  const std::uint64_t cases[][5] = {{0, 0, 0, 0, 0},
                                    {1, 0, 0, 0, 0},
                                    {20, 3, 1000, 7, 2},
                                    {0xdeadbeefcafef00d, 1ULL << 40, 1ULL << 33, ~0ULL, 5}};
  for (const auto& c : cases) {
    Rng rng(c[0], c[1], c[2], c[3], c[4]);
    for (std::uint64_t block = 0; block < 3; ++block) {
      const Words want = threefry({c[0], c[1], 0, 0}, {block, c[3], c[2], c[4]});
      for (const std::uint64_t word : want) CHECK(rng() == word);
    }
  }
}

TEST_CASE("a jump equals a fresh construction", "[rng]") {
  Rng walker(5, 2);
  for (int k = 0; k < 7; ++k) walker();
  walker.move_to(9, 4, 1);
  Rng fresh(5, 2, 9, 4, 1);
  for (int k = 0; k < 9; ++k) CHECK(walker() == fresh());
}

TEST_CASE("neighbouring keys and counters give different streams", "[rng]") {
  std::set<std::uint64_t> first;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    for (std::uint64_t chain = 0; chain < 6; ++chain) {
      for (std::uint64_t iteration = 0; iteration < 6; ++iteration) {
        for (std::uint64_t item = 0; item < 6; ++item) {
          for (std::uint64_t site = 0; site < 3; ++site) {
            first.insert(Rng(seed, chain, iteration, item, site)());
          }
        }
      }
    }
  }
  CHECK(first.size() == 6 * 6 * 6 * 6 * 3);
}

TEST_CASE("first draws of consecutive items are independent uniforms", "[rng]") {
  std::vector<double> u, products;
  for (int item = 0; item < kDraws; ++item) u.push_back(Rng(11, 0, 1, item).uniform());
  CHECK(kolmogorov(u, [](double x) { return x; }) < kLimit);
  for (int i = 1; i < kDraws; ++i) products.push_back((u[i] - 0.5) * (u[i - 1] - 0.5));
  CHECK(std::fabs(z_of_mean(products, 0)) < 4);
}

TEST_CASE("uniform, exponential and normal", "[rng]") {
  Rng rng(1);
  const auto u = sample(kDraws, [&] { return rng.uniform(); });
  CHECK(*std::min_element(u.begin(), u.end()) > 0);
  CHECK(*std::max_element(u.begin(), u.end()) < 1);
  CHECK(kolmogorov(u, [](double x) { return x; }) < kLimit);
  CHECK(kolmogorov(sample(kDraws, [&] { return rng.uniform(-2, 3); }),
                   [](double x) { return (x + 2) / 5; }) < kLimit);
  CHECK(kolmogorov(sample(kDraws, [&] { return rng.exponential(); }),
                   [](double x) { return -std::expm1(-x); }) < kLimit);
  CHECK(kolmogorov(sample(kDraws, [&] { return rng.exponential(4.0); }),
                   [](double x) { return -std::expm1(-4 * x); }) < kLimit);
  CHECK(kolmogorov(sample(kDraws, [&] { return rng.normal(); }), normal_cdf) < kLimit);
  CHECK(kolmogorov(sample(kDraws, [&] { return rng.normal(2, 3); }),
                   [](double x) { return normal_cdf((x - 2) / 3); }) < kLimit);
}

TEST_CASE("gamma at every shape", "[rng]") {
  Rng rng(2);
  for (const double shape : {1e-4, 0.01, 0.3, 0.999, 1.0, 1.001, 2.5, 50.0, 1e6}) {
    INFO("shape " << shape);
    const auto logs = sample(kDraws, [&] { return rng.log_gamma_unit(shape); });
    CHECK(std::all_of(logs.begin(), logs.end(), [](double x) { return std::isfinite(x); }));
    CHECK(kolmogorov(logs, [=](double y) { return log_gamma_cdf(shape, y); }) < kLimit);
    // E log G = digamma, Var log G = trigamma
    CHECK(std::fabs(z_of_mean(logs, digamma(shape))) < 4);
    CHECK(std::fabs(z_of_variance(logs, digamma(shape), trigamma(shape))) < 4);
    const auto rate = sample(kDraws, [&] { return rng.gamma_rate(shape, 4.0); });
    CHECK(kolmogorov(rate, [=](double x) { return x == 0 ? 0 : gamma_cdf(shape, 4 * x); }) <
          (shape > 0.005 ? kLimit : HUGE_VAL));
    if (shape >= 0.3) CHECK(std::fabs(z_of_mean(rate, shape / 4)) < 4);
  }
  CHECK(kolmogorov(sample(kDraws, [&] { return rng.gamma_scale(3, 5); }),
                   [](double x) { return gamma_cdf(3, x / 5); }) < kLimit);
  CHECK(kolmogorov(sample(kDraws, [&] { return rng.inverse_gamma(3, 5); }),
                   [](double x) { return boost::math::gamma_q(3, 5 / x); }) < kLimit);
  CHECK(kolmogorov(sample(kDraws, [&] { return rng.chi_squared(7); }),
                   [](double x) { return gamma_cdf(3.5, x / 2); }) < kLimit);
  CHECK(std::fabs(z_of_variance(sample(kDraws, [&] { return rng.student_t(12); }), 0, 1.2)) < 4);
  for (const double bad : {0.0, -1.0, kInfinity, kNaN}) {
    CHECK_THROWS_AS(rng.log_gamma_unit(bad), std::invalid_argument);
    CHECK_THROWS_AS(rng.gamma_rate(bad, 1), std::invalid_argument);
  }
}

TEST_CASE("beta and Dirichlet, with tiny concentrations too", "[rng]") {
  Rng rng(3);
  for (const double a : {0.02, 0.7, 3.0}) {
    for (const double b : {0.02, 1.0, 8.0}) {
      INFO("a " << a << " b " << b);
      const auto draws = sample(kDraws, [&] { return rng.beta(a, b); });
      if (a > 0.1 && b > 0.1) {  // else rounding leaves atoms at 0 and 1
        CHECK(kolmogorov(draws, [=](double x) { return boost::math::ibeta(a, b, x); }) < kLimit);
      }
      CHECK(std::fabs(z_of_mean(draws, a / (a + b))) < 4);
      const auto logs = sample(kDraws, [&] { return rng.log_beta(a, b).second; });
      CHECK(std::all_of(logs.begin(), logs.end(), [](double x) { return std::isfinite(x); }));
      CHECK(std::fabs(z_of_mean(logs, digamma(b) - digamma(a + b))) < 4);
    }
  }
  Eigen::VectorXd alpha(4);
  alpha << 0.001, 2.0, 0.5, 7.0;
  Eigen::MatrixXd draws(kDraws, 4), logs(kDraws, 4);
  for (int i = 0; i < kDraws; ++i) draws.row(i) = rng.dirichlet(alpha);
  for (int i = 0; i < kDraws; ++i) logs.row(i) = rng.log_dirichlet(alpha);
  CHECK((draws.rowwise().sum().array() - 1).abs().maxCoeff() < 1e-14);
  CHECK(logs.allFinite());
  for (int k = 0; k < 4; ++k) {
    const std::vector<double> one(draws.col(k).data(), draws.col(k).data() + kDraws);
    const std::vector<double> log_one(logs.col(k).data(), logs.col(k).data() + kDraws);
    CHECK(std::fabs(z_of_mean(one, alpha[k] / alpha.sum())) < 4);
    CHECK(std::fabs(z_of_mean(log_one, digamma(alpha[k]) - digamma(alpha.sum()))) < 4);
  }
}

TEST_CASE("Poisson and negative binomial counts", "[rng]") {
  Rng rng(4);
  for (const double mean : {0.01, 0.9, 9.99, 10.0, 10.01, 63.0, 2000.0}) {
    INFO("mean " << mean);
    const auto draws = sample(kDraws, [&] { return rng.poisson(mean); });
    CHECK(std::fabs(chi_squared_z(draws, [=](double x) { return log_poisson(x, mean); })) < 4);
    CHECK(std::fabs(z_of_mean(draws, mean)) < 4);
    CHECK(std::fabs(z_of_variance(draws, mean, mean)) < 4);
    for (const double phi : {1e-8, 0.2, 3.0}) {
      INFO("dispersion " << phi);
      const auto nb = sample(kDraws, [&] { return rng.negative_binomial(mean, phi); });
      CHECK(std::fabs(chi_squared_z(
                nb, [=](double x) { return log_negative_binomial(x, mean, phi); })) < 4);
      CHECK(std::fabs(z_of_mean(nb, mean)) < 4);
    }
  }
  const double huge = 3e12;
  const auto draws = sample(kDraws, [&] { return rng.poisson(huge); });
  CHECK(std::fabs(z_of_mean(draws, huge)) < 4);
  CHECK(std::fabs(z_of_variance(draws, huge, huge)) < 4);
  CHECK(rng.poisson(0) == 0);
  CHECK(rng.negative_binomial(0, 2) == 0);
  for (const double bad : {-1.0, kInfinity, kNaN}) {
    CHECK_THROWS_AS(rng.poisson(bad), std::invalid_argument);
  }
}

TEST_CASE("categorical draws", "[rng]") {
  Rng rng(6);
  const double weights[5] = {0.0, 3.0, 1.0, 0.0, 6.0};
  double logs[5];
  for (int k = 0; k < 5; ++k) logs[k] = std::log(weights[k]) - 5000;
  std::array<double, 5> plain{}, from_logs{};
  for (int i = 0; i < kDraws; ++i) plain[rng.categorical(weights, 5)] += 1;
  for (int i = 0; i < kDraws; ++i) from_logs[rng.categorical_log(logs, 5)] += 1;
  for (int k = 0; k < 5; ++k) {
    const double p = weights[k] / 10;
    const double se = std::sqrt(kDraws * p * (1 - p)) + 1e-9;
    CHECK(std::fabs(plain[k] - kDraws * p) < 4 * se);
    CHECK(std::fabs(from_logs[k] - kDraws * p) < 4 * se);
  }
  const Eigen::VectorXd one = Eigen::VectorXd::Constant(1, -1e300);
  CHECK(rng.categorical_log(one) == 0);
  const double none[2] = {0, 0}, no_logs[2] = {-kInfinity, -kInfinity}, nan[2] = {kNaN, kNaN};
  CHECK_THROWS_AS(rng.categorical(none, 2), std::invalid_argument);
  CHECK_THROWS_AS(rng.categorical(nan, 2), std::invalid_argument);
  CHECK_THROWS_AS(rng.categorical_log(no_logs, 2), std::invalid_argument);
  CHECK_THROWS_AS(rng.categorical_log(nan, 2), std::invalid_argument);
  const double half_nan[2] = {0, kNaN};
  CHECK_THROWS_AS(rng.categorical_log(half_nan, 2), std::invalid_argument);
  std::array<double, 3> below{};
  for (int i = 0; i < 30000; ++i) below[rng.below(3)] += 1;
  for (const double count : below) CHECK(std::fabs(count - 10000) < 330);
  CHECK(rng.below(1) == 0);
  CHECK_THROWS_AS(rng.below(0), std::invalid_argument);
  double hits = 0;
  for (int i = 0; i < kDraws; ++i) hits += rng.bernoulli(0.2);
  CHECK(std::fabs(hits - 0.2 * kDraws) < 4 * std::sqrt(0.16 * kDraws));
}

TEST_CASE("multivariate normal, Wishart and inverse Wishart", "[rng]") {
  Rng rng(7);
  const int n = 20000;
  Eigen::MatrixXd chol(3, 3);
  chol << 2, 99, 99, 0.5, 1, 99, -1, 0.3, 0.7;  // what is above the diagonal must not matter
  const Eigen::MatrixXd lower = chol.triangularView<Eigen::Lower>();
  const Eigen::MatrixXd scale = lower * lower.transpose();
  const Eigen::Vector3d mean(1, -2, 3);
  Eigen::MatrixXd covariance = Eigen::MatrixXd::Zero(3, 3), from_precision = covariance;
  Eigen::MatrixXd wishart = covariance, wishart_chol = covariance, inverse = covariance;
  Eigen::Vector3d centre = Eigen::Vector3d::Zero();
  const double df = 9;
  for (int i = 0; i < n; ++i) {
    const Eigen::VectorXd x = rng.mvn(mean, chol);
    centre += x / n;
    covariance += (x - mean) * (x - mean).transpose() / n;
    const Eigen::VectorXd y = rng.mvn_precision(mean, chol) - mean;
    from_precision += y * y.transpose() / n;
    wishart += rng.wishart(df, chol) / n;
    const Eigen::MatrixXd factor = rng.wishart_chol(df, chol);
    REQUIRE(factor(0, 2) == 0.0);
    wishart_chol += factor * factor.transpose() / n;
    inverse += rng.inverse_wishart(df, chol) / n;
  }
  CHECK((centre - mean).cwiseAbs().maxCoeff() < 0.06);
  CHECK((covariance - scale).cwiseAbs().maxCoeff() < 0.04 * scale.maxCoeff());
  const Eigen::MatrixXd precision_inverse = scale.inverse();
  CHECK((from_precision - precision_inverse).cwiseAbs().maxCoeff() <
        0.04 * precision_inverse.maxCoeff());
  CHECK((wishart / df - scale).cwiseAbs().maxCoeff() < 0.02 * scale.maxCoeff());
  CHECK((wishart_chol / df - scale).cwiseAbs().maxCoeff() < 0.02 * scale.maxCoeff());
  CHECK((inverse * (df - 4) - scale).cwiseAbs().maxCoeff() < 0.04 * scale.maxCoeff());
  CHECK_THROWS_AS(rng.wishart(1.9, chol), std::invalid_argument);
}

TEST_CASE("the exact marginals of Wishart draws", "[rng]") {
  Rng rng(8);
  Eigen::MatrixXd chol(2, 2);
  chol << 1.5, 0, 0.4, 0.8;
  const double df = 4.5;
  // W_11 / scale_11 is chi-squared with df; X_11 of the inverse: scale_11 / X_11 with df - p + 1
  const double s11 = 1.5 * 1.5;
  CHECK(kolmogorov(sample(kDraws, [&] { return rng.wishart(df, chol)(0, 0) / s11; }),
                   [=](double x) { return gamma_cdf(df / 2, x / 2); }) < kLimit);
  CHECK(kolmogorov(sample(kDraws, [&] { return s11 / rng.inverse_wishart(df, chol)(0, 0); }),
                   [=](double x) { return gamma_cdf((df - 1) / 2, x / 2); }) < kLimit);
}
