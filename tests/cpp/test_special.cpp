// Scalar special functions against long double definitions, at the edges, and against each other.
#include "core/special.h"

#include <catch.h>

#include <cmath>
#include <limits>
#include <vector>

#include "reference.h"

using namespace mixology;
using reference::epsilons;
using reference::log_grid;
using reference::Real;
using reference::ulps;

namespace {

template <typename Function, typename Reference>
double worst(const std::vector<double>& x, Function f, Reference want, double floor) {
  double top = 0, where = 0;
  for (const double v : x) {
    const double e = epsilons(f(v), want(static_cast<Real>(v)), floor);
    if (!(e <= top)) {
      top = e;
      where = v;
    }
  }
  INFO("worst at " << where);
  CHECK(top < HUGE_VAL);
  return top;
}

const double kCounts[] = {0, 1, 2, 3, 7, 8, 9, 10, 11, 31, 100, 1000, 4321};

// Sum of the probabilities of a count distribution by its log density.
template <typename LogDensity>
double total_probability(LogDensity f, double last) {
  double total = 0;
  for (double x = 0; x <= last; x += 1) total += std::exp(f(x));
  return total;
}

}  // namespace

TEST_CASE("log_gamma, digamma and trigamma", "[special]") {
  const auto wide = log_grid(1e-300, 1e300, 5001);
  const auto middle = reference::grid(0.01, 30, 20001);
  CHECK(worst(wide, log_gamma, reference::lgamma, 1e-300) < 4);
  CHECK(worst(middle, log_gamma, reference::lgamma, 0.05) < 12);
  CHECK(worst(reference::grid(0.999, 1.001, 999), log_gamma, reference::lgamma, 1e-6) < 4);
  CHECK(worst(reference::grid(1.999, 2.001, 999), log_gamma, reference::lgamma, 1e-6) < 4);
  CHECK(log_gamma(1.0) == 0.0);
  CHECK(log_gamma(2.0) == 0.0);
  CHECK(worst(log_grid(1e-150, 1e15, 5001), digamma, reference::digamma, 1) < 8);
  CHECK(worst(middle, digamma, reference::digamma, 1) < 8);
  CHECK(worst(log_grid(1e-150, 1e15, 5001), trigamma, reference::trigamma, 1e-300) < 8);
  CHECK(worst(middle, trigamma, reference::trigamma, 1e-300) < 8);
  CHECK(log_gamma(0.0) == kInfinity);
  CHECK(digamma(0.0) == -kInfinity);
  CHECK(trigamma(0.0) == kInfinity);
  CHECK(log_gamma(kInfinity) == kInfinity);
  for (const double bad : {-0.5, -3.0, -kInfinity, kNaN}) {
    CHECK(std::isnan(log_gamma(bad)));
    CHECK(std::isnan(digamma(bad)));
    CHECK(std::isnan(trigamma(bad)));
  }
}

TEST_CASE("differences of the gamma family keep their digits for every r", "[special]") {
  for (const double r : log_grid(1e-12, 1e15, 163)) {
    for (const double x : kCounts) {
      INFO("x " << x << " r " << r);
      CHECK(epsilons(lgamma_diff(x, r), reference::lgamma_diff(x, r)) < 24);
      CHECK(epsilons(digamma_diff(x, r), reference::digamma_diff(x, r), 1e-300) < 16);
      CHECK(epsilons(trigamma_diff(x, r), reference::trigamma_diff(x, r), 1e-300) < 16);
    }
  }
  // the plain difference is off by 3e-3 here
  CHECK(lgamma_diff(100, 1e12) == Approx(2763.1021115978048).epsilon(1e-15));
}

TEST_CASE("differences take real x", "[special]") {
  for (const double r : log_grid(1e-3, 1e3, 61)) {
    for (const double x : {1e-6, 0.1, 0.5, 1.5, 2.7, 9.9, 33.3, 1e4}) {
      const Real top = static_cast<Real>(x) + static_cast<Real>(r);
      INFO("x " << x << " r " << r);
      const Real want = reference::lgamma(top) - reference::lgamma(static_cast<Real>(r));
      CHECK(epsilons(lgamma_diff(x, r), want) < 32);
      CHECK(epsilons(digamma_diff(x, r), reference::digamma(top) - reference::digamma(r)) < 16);
      CHECK(epsilons(trigamma_diff(x, r), reference::trigamma(top) - reference::trigamma(r)) < 16);
    }
  }
}

TEST_CASE("differences at the edges", "[special]") {
  CHECK(lgamma_diff(0, 3) == 0);
  CHECK(lgamma_diff(5, 1e200) == Approx(5 * std::log(1e200)).epsilon(1e-15));
  CHECK(lgamma_diff(3, 1e-300) == Approx(std::log(2.0) + std::log(1e-300)).epsilon(1e-15));
  for (const double bad : {-1.0, 0.0, kNaN}) {
    CHECK(std::isnan(lgamma_diff(1, bad)));
    CHECK(std::isnan(digamma_diff(1, bad)));
    CHECK(std::isnan(trigamma_diff(1, bad)));
  }
  CHECK(std::isnan(lgamma_diff(-1, 1)));
  CHECK(std::isnan(log_rising(-1, 1)));
  CHECK(std::isnan(log_rising(1, -1)));
}

TEST_CASE("the scaled rising factorial is smooth through the Poisson limit", "[special]") {
  for (const double phi : log_grid(1e-18, 1e6, 97)) {
    for (const double x : kCounts) {
      INFO("x " << x << " phi " << phi);
      CHECK(epsilons(log_rising(x, phi), reference::log_rising(x, phi)) < 32);
    }
  }
  CHECK(log_rising(1000, 0) == 0.0);
  CHECK(log_rising(1000, 1e-300) == Approx(1000 * 999 / 2 * 1e-300).epsilon(1e-12));
}

TEST_CASE("Poisson log density", "[special]") {
  for (const double mean : log_grid(1e-12, 1e6, 37)) {
    for (const double x : {0., 1., 2., 9., 10., 11., 100., 5000.}) {
      const Real want = x * std::log(static_cast<Real>(mean)) - mean -
                        reference::lgamma(static_cast<Real>(x) + 1);
      INFO("x " << x << " mean " << mean);
      CHECK(epsilons(log_poisson(x, mean), want) < 40);
    }
  }
  // at the mode of a huge mean the value is -log(2 pi m) / 2, which a plain formula loses
  CHECK(log_poisson(1e15, 1e15) == Approx(-0.5 * std::log(2 * 3.141592653589793 * 1e15)));
  CHECK(log_poisson(0, 0) == 0);
  CHECK(log_poisson(1, 0) == -kInfinity);
  CHECK(log_poisson(-1, 3) == -kInfinity);
  CHECK(std::isnan(log_poisson(1, -3)));
  CHECK(std::isnan(log_poisson(kNaN, 3)));
}

TEST_CASE("negative binomial log density", "[special]") {
  for (const double mean : log_grid(1e-8, 1e6, 29)) {
    for (const double phi : log_grid(1e-14, 1e4, 37)) {
      for (const double x : {0., 1., 2., 9., 10., 100., 5000.}) {
        const Real t = static_cast<Real>(phi) * mean;
        const Real want =
            reference::log_rising(x, phi) - reference::lgamma(static_cast<Real>(x) + 1) +
            x * (std::log(static_cast<Real>(mean)) - std::log1p(t)) - std::log1p(t) / phi;
        INFO("x " << x << " mean " << mean << " phi " << phi);
        CHECK(epsilons(log_negative_binomial(x, mean, phi), want) < 64);
      }
    }
  }
}

TEST_CASE("negative binomial at its limits", "[special]") {
  for (const double x : {0., 1., 5., 60., 1e6}) {
    for (const double mean : {1e-300, 0.1, 5., 1e6}) {
      const double limit = log_poisson(x, mean);
      CHECK(log_negative_binomial(x, mean, 0) == limit);
      for (const double phi : {1e-305, 1e-200, 1e-101, 1e-99, 1e-50, 1e-30}) {
        INFO("x " << x << " mean " << mean << " phi " << phi);
        CHECK(epsilons(log_negative_binomial(x, mean, phi), limit) < 8);
      }
    }
  }
  // first-order expansion: f(phi) = f(0) + phi / 2 [(x - m)^2 - x] + O(phi^2)
  const double slope = (log_negative_binomial(7, 3, 1e-7) - log_poisson(7, 3)) / 1e-7;
  CHECK(slope == Approx(0.5 * ((7 - 3) * (7 - 3) - 7)).epsilon(1e-5));
  CHECK(log_negative_binomial(0, 0, 1) == 0);
  CHECK(log_negative_binomial(2, 0, 1) == -kInfinity);
  CHECK(log_negative_binomial(-2, 1, 1) == -kInfinity);
  CHECK(std::isnan(log_negative_binomial(1, -1, 1)));
  CHECK(std::isnan(log_negative_binomial(1, 1, -1)));
  CHECK(std::isnan(log_negative_binomial(1, kNaN, 1)));
  CHECK(std::isnan(log_negative_binomial(1, 1, kNaN)));
  CHECK(std::isfinite(log_negative_binomial(1e9, 1e-300, 1e300)));
  CHECK(std::isfinite(log_negative_binomial(1e15, 1e300, 1e-90)));
}

TEST_CASE("densities sum to one", "[special]") {
  for (const double mean : {0.01, 1., 9.9, 40.}) {
    CHECK(total_probability([=](double x) { return log_poisson(x, mean); }, 400) ==
          Approx(1).epsilon(1e-13));
    for (const double phi : {1e-9, 0.1, 1., 2.}) {
      INFO("mean " << mean << " phi " << phi);
      const auto f = [=](double x) { return log_negative_binomial(x, mean, phi); };
      CHECK(total_probability(f, 4000) == Approx(1).epsilon(1e-12));
    }
  }
}

TEST_CASE("logarithms of sums and differences", "[special]") {
  for (const double x : reference::grid(-745, 60, 4001)) {
    const Real e = std::exp(static_cast<Real>(x));
    CHECK(ulps(log1pexp(x), x > 40 ? x + std::log1p(1 / e) : std::log1p(e)) < 3);
  }
  for (const double x : log_grid(1e-20, 700, 4001)) {
    const Real e = std::exp(-static_cast<Real>(x));
    const Real want = x < 0.5 ? std::log(-std::expm1(-static_cast<Real>(x))) : std::log1p(-e);
    CHECK(ulps(log1mexp(-x), want) < 4);
  }
  for (const double t : reference::grid(-0.99, 3, 9001)) {
    // the series below 0.01 where even long double cancels
    const Real v = t;
    Real want = std::log1p(v) - v;
    if (std::fabs(t) < 0.01) {
      want = 0;
      for (int k = 14; k >= 2; --k) want += (k % 2 ? 1 : -1) * std::pow(v, k) / k;
    }
    CHECK(epsilons(log1pmx(t), want, 1e-300) < 12);
  }
  CHECK(log1pmx(0) == 0);
  CHECK(log1pmx(1e-200) == 0);
  CHECK(log1p_over(0) == 1);
  CHECK(log1p_over(1e-10) == Approx(1 - 0.5e-10).epsilon(1e-16));
  CHECK(log1mexp(0) == -kInfinity);
  CHECK(log1pexp(kInfinity) == kInfinity);
  CHECK(log1pexp(-kInfinity) == 0);
}

TEST_CASE("log-sum-exp", "[special]") {
  CHECK(log_sum_exp(-1e300, 5.0) == 5.0);
  CHECK(log_sum_exp(2.0, 2.0) == Approx(2 + std::log(2.0)));
  CHECK(log_sum_exp(-kInfinity, -kInfinity) == -kInfinity);
  CHECK(log_sum_exp(-kInfinity, 3.0) == 3.0);
  CHECK(log_sum_exp(kInfinity, 3.0) == kInfinity);
  CHECK(std::isnan(log_sum_exp(kNaN, 3.0)));
  CHECK(std::isnan(log_sum_exp(3.0, kNaN)));
  const double x[] = {1000, 1001, 1002};
  CHECK(log_sum_exp(x, 3) == Approx(1002 + std::log(1 + std::exp(-1.0) + std::exp(-2.0))));
  CHECK(log_sum_exp(x, 0) == -kInfinity);
}

TEST_CASE("multivariate gamma", "[special]") {
  CHECK(log_multivariate_gamma(3.7, 1) == log_gamma(3.7));
  // Gamma_p(a) = pi^((p-1)/2) Gamma(a) Gamma_{p-1}(a - 1/2)
  const double want = 1.5 * kLogPi + log_gamma(5.2) + log_multivariate_gamma(4.7, 3);
  CHECK(log_multivariate_gamma(5.2, 4) == Approx(want).epsilon(1e-14));
}

TEST_CASE("normal distribution in both tails", "[special]") {
  for (const double z : reference::grid(-37, 8, 2001)) {
    const Real want = 0.5L * std::erfc(-static_cast<Real>(z) * std::sqrt(0.5L));
    const Real upper = 0.5L * std::erfc(static_cast<Real>(z) * std::sqrt(0.5L));
    const Real log_want = z > 0 ? std::log1p(-upper) : std::log(want);
    INFO("z " << z);
    CHECK(epsilons(normal_cdf(z), want, 1e-300) < 4 + z * z);  // the argument's own rounding
    CHECK(epsilons(log_normal_cdf(z), log_want, 1e-300) < 4 + z * z);
  }
  // Mills' ratio far out: log Phi(z) ~ -z^2/2 - log(-z) - log(2 pi)/2 - 1/z^2
  CHECK(log_normal_cdf(-1e5) == Approx(-5e9 - std::log(1e5) - kHalfLog2Pi).epsilon(1e-15));
  CHECK(log_normal_cdf(-kInfinity) == -kInfinity);
  CHECK(log_normal_cdf(kInfinity) == 0);
  CHECK(std::isnan(log_normal_cdf(kNaN)));
  for (const double p : log_grid(1e-300, 0.5, 301)) {
    INFO("p " << p);
    CHECK(normal_cdf(normal_quantile(p)) == Approx(p).epsilon(1e-12));
    if (p > 1e-15) CHECK(normal_quantile(1 - p) == Approx(-normal_quantile(p)).epsilon(1e-2));
  }
  for (const double log_p : {-1e10, -1e4, -800., -20., -0.7, -0.6, -1e-5, -1e-14}) {
    INFO("log p " << log_p);
    CHECK(log_normal_cdf(normal_quantile_log(log_p)) == Approx(log_p).epsilon(1e-12));
  }
  CHECK(std::fabs(normal_quantile(0.5)) < 1e-15);
  CHECK(normal_quantile(0.975) == Approx(1.959963984540054).epsilon(1e-15));
  CHECK(normal_quantile(0) == -kInfinity);
  CHECK(normal_quantile(1) == kInfinity);
  CHECK(std::isnan(normal_quantile(1.5)));
  CHECK(std::isnan(normal_quantile(kNaN)));
}
