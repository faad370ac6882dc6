// Array kernels: accuracy against long double, special values, and independence from position,
// each at every instruction set this machine has.
#include "core/simd.h"

#include <catch.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "core/special.h"
#include "reference.h"

using namespace mixology;
using reference::Real;
using Vector = std::vector<double>;
using Kernel = void (*)(const double*, double*, std::size_t);

namespace {

const double kMax = std::numeric_limits<double>::max();
const double kTiny = std::numeric_limits<double>::denorm_min();
const double kNormal = std::numeric_limits<double>::min();

bool same_bits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

// Runs the body at every level and returns to the best one.
void at_every_level(const std::function<void()>& body) {
  for (const simd::Level level : {simd::Level::baseline, simd::Level::avx2, simd::Level::avx512}) {
    if (simd::set_level(level) != level) continue;
    INFO("level " << simd::level_name(level));
    body();
  }
  simd::set_level(simd::best_level());
}

Vector run(Kernel kernel, const Vector& x) {
  Vector y(x.size());
  kernel(x.data(), y.data(), x.size());
  return y;
}

template <typename Reference, typename Error>
double worst(Kernel kernel, const Vector& x, Reference want, Error error) {
  const Vector y = run(kernel, x);
  double top = 0, where = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double e = error(y[i], want(static_cast<Real>(x[i])));
    if (e > top) {
      top = e;
      where = x[i];
    }
  }
  INFO("worst at " << where);
  CHECK(top < HUGE_VAL);
  return top;
}

Vector both_signs(Vector x) {
  const std::size_t n = x.size();
  for (std::size_t i = 0; i < n; ++i) x.push_back(-x[i]);
  return x;
}

double ulps(double got, Real want) { return reference::ulps(got, want); }
double epsilons(double got, Real want) { return reference::epsilons(got, want); }
double relative(double got, Real want) { return reference::epsilons(got, want, 1e-300); }

}  // namespace

TEST_CASE("exp is within two units in the last place", "[simd]") {
  const auto f = [](Real x) { return std::exp(x); };
  at_every_level([&] {
    CHECK(worst(vexp, reference::grid(-708.3, 709.7, 100001), f, ulps) < 1.5);
    CHECK(worst(vexp, both_signs(reference::log_grid(1e-300, 1, 20001)), f, ulps) < 1.5);
    // results in the subnormal range are rounded once
    CHECK(worst(vexp, reference::grid(-745.2, -708.3, 20001), f, ulps) < 1.5);
  });
}

TEST_CASE("log and log1p are within two units in the last place", "[simd]") {
  const auto log = [](Real x) { return std::log(x); };
  const auto log1p = [](Real x) { return std::log1p(x); };
  at_every_level([&] {
    CHECK(worst(vlog, reference::log_grid(kNormal, kMax / 2, 100001), log, ulps) < 1.5);
    CHECK(worst(vlog, reference::grid(0.5, 2.0, 100001), log, ulps) < 1.5);
    CHECK(worst(vlog, reference::grid(1 - 1e-7, 1 + 1e-7, 10001), log, ulps) < 1.5);
    CHECK(worst(vlog, {kTiny, 3 * kTiny, kNormal / 3, kNormal, kMax}, log, ulps) < 1.5);
    CHECK(worst(vlog1p, reference::log_grid(1e-300, kMax / 2, 100001), log1p, ulps) < 1.6);
    CHECK(worst(vlog1p, reference::grid(-0.9999, 3.0, 100001), log1p, ulps) < 1.6);
    CHECK(worst(vlog1p, {-1e-300, -1e-17, -1e-9, -0.5, -1 + 0x1p-53, kTiny}, log1p, ulps) < 1.6);
  });
}

TEST_CASE("log1pexp is within two units in the last place", "[simd]") {
  const auto f = [](Real x) {
    return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
  };
  at_every_level([&] {
    CHECK(worst(vlog1pexp, reference::grid(-740, 40, 100001), f, ulps) < 2);
    CHECK(worst(vlog1pexp, both_signs(reference::log_grid(1e-20, 1e20, 20001)), f, ulps) < 2);
  });
}

TEST_CASE("gamma family kernels agree with the definitions", "[simd]") {
  at_every_level([&] {
    const Vector x = reference::log_grid(1e-10, 1e15, 40001);
    const Vector unit = reference::grid(0.01, 20, 40001);
    CHECK(worst(vlgamma, x, reference::lgamma, epsilons) < 8);
    CHECK(worst(vlgamma, unit, reference::lgamma, epsilons) < 8);
    CHECK(worst(vdigamma, x, reference::digamma, epsilons) < 8);
    CHECK(worst(vdigamma, unit, reference::digamma, epsilons) < 12);
    CHECK(worst(vtrigamma, x, reference::trigamma, relative) < 32);
    CHECK(worst(vtrigamma, unit, reference::trigamma, relative) < 32);
  });
}

TEST_CASE("lgamma differences are exact for tiny and for huge r", "[simd]") {
  Vector x, r, want;
  for (const double rr : reference::log_grid(1e-8, 1e15, 240)) {
    for (const double xx : {0., 1., 2., 3., 7., 8., 9., 10., 31., 100., 1000., 4321.}) {
      x.push_back(xx);
      r.push_back(rr);
    }
  }
  at_every_level([&] {
    Vector y(x.size()), shared(x.size());
    vlgamma_diff(x.data(), r.data(), y.data(), x.size());
    double top = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double e = epsilons(y[i], reference::lgamma_diff(x[i], r[i]));
      if (e > top) {
        INFO("x " << x[i] << " r " << r[i] << " error " << e);
        CHECK(e < 40);
        top = e;
      }
    }
    // one r for all gives the same bits
    vlgamma_diff(x.data(), 2.5, shared.data(), x.size());
    const Vector constant(x.size(), 2.5);
    vlgamma_diff(x.data(), constant.data(), y.data(), x.size());
    CHECK(std::equal(y.begin(), y.end(), shared.begin(), same_bits));
  });
}

TEST_CASE("lgamma differences take real x and agree with the scalar function", "[simd]") {
  Vector x, r;
  for (const double rr : reference::log_grid(1e-3, 1e12, 60)) {
    for (const double xx : reference::log_grid(1e-3, 1e8, 60)) {
      x.push_back(xx);
      r.push_back(rr);
    }
  }
  at_every_level([&] {
    Vector y(x.size());
    vlgamma_diff(x.data(), r.data(), y.data(), x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      INFO("x " << x[i] << " r " << r[i]);
      CHECK(epsilons(y[i], lgamma_diff(x[i], r[i])) < 60);
    }
  });
}

TEST_CASE("special values", "[simd]") {
  const double inf = kInfinity;
  const double nan = kNaN;
  struct Case {
    Kernel kernel;
    double x, want;
  };
  const Case cases[] = {
      {vexp, 0., 1.},          {vexp, -0., 1.},          {vexp, inf, inf},
      {vexp, -inf, 0.},        {vexp, nan, nan},         {vexp, 710., inf},
      {vexp, -746., 0.},       {vexp, kMax, inf},        {vexp, -kMax, 0.},
      {vexp, kTiny, 1.},       {vlog, 0., -inf},         {vlog, -0., -inf},
      {vlog, 1., 0.},          {vlog, -1., nan},         {vlog, -kTiny, nan},
      {vlog, inf, inf},        {vlog, -inf, nan},        {vlog, nan, nan},
      {vlog1p, 0., 0.},        {vlog1p, -0., -0.},       {vlog1p, -1., -inf},
      {vlog1p, -1.5, nan},     {vlog1p, inf, inf},       {vlog1p, nan, nan},
      {vlog1p, kTiny, kTiny},  {vlog1p, -kTiny, -kTiny}, {vlog1pexp, inf, inf},
      {vlog1pexp, -inf, 0.},   {vlog1pexp, nan, nan},    {vlog1pexp, -1e10, 0.},
      {vlog1pexp, kMax, kMax}, {vlgamma, 0., inf},       {vlgamma, inf, inf},
      {vlgamma, -1.5, nan},    {vlgamma, nan, nan},      {vdigamma, 0., -inf},
      {vdigamma, inf, inf},    {vdigamma, -1.5, nan},    {vdigamma, nan, nan},
      {vtrigamma, 0., inf},    {vtrigamma, inf, 0.},     {vtrigamma, -1.5, nan},
      {vtrigamma, nan, nan},   {vtrigamma, 1e-200, inf}, {vlgamma, kTiny, -std::log(kTiny)}};
  at_every_level([&] {
    for (std::size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
      const double y = run(cases[i].kernel, {cases[i].x})[0];
      INFO("case " << i << " x " << cases[i].x << " got " << y);
      if (std::isnan(cases[i].want)) {
        CHECK(std::isnan(y));
      } else {
        CHECK(ulps(y, cases[i].want) <= 4);
        CHECK(std::signbit(y) == std::signbit(cases[i].want));
      }
    }
    double y;
    const double bad[][3] = {{-1, 1, nan},   {1, 0, nan},   {1, -1, nan},
                             {nan, 1, nan},  {1, nan, nan}, {0, 1, 0},
                             {0, 1e-300, 0}, {0, 1e300, 0}, {5, 1e200, 5 * std::log(1e200)}};
    for (const auto& b : bad) {
      vlgamma_diff(&b[0], &b[1], &y, 1);
      INFO("x " << b[0] << " r " << b[1] << " got " << y);
      CHECK(ulps(y, b[2]) <= 1);
    }
  });
}

TEST_CASE("vrising and its slopes, through the limit of large a") {
  const Vector x = {0, 1, 2, 3, 5, 8, 9, 17, 100, 1000, 54321};
  at_every_level([&] {
    for (const double a : {8.0, 8.5, 33.3, 1e3, 1e9, 1e16, 1.6e18}) {
      Vector value(x.size()), first(x.size()), second(x.size()), alone(x.size());
      vrising(x.data(), a, alone.data(), x.size());
      vrising_slopes(x.data(), a, value.data(), first.data(), second.data(), x.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        Real sum = 0, slope = 0, curve = 0;
        for (double j = 1; j < x[i]; ++j) {
          const Real ratio = j / (1 + j / static_cast<Real>(a));
          sum += std::log1p(j / static_cast<Real>(a));
          slope += ratio;
          curve += ratio * ratio;
        }
        INFO("x " << x[i] << " a " << a);
        CHECK(std::fabs(value[i] - static_cast<double>(sum)) <=
              1e-15 * static_cast<double>(sum) + 1e-15 / a);
        CHECK(same_bits(value[i], alone[i]));
        CHECK(std::fabs(first[i] - static_cast<double>(slope)) <=
              4e-15 * (1 + static_cast<double>(slope)));
        CHECK(std::fabs(second[i] + static_cast<double>(curve)) <=
              4e-13 * (1 + static_cast<double>(curve)));
      }
    }
  });
}

TEST_CASE("a result does not depend on its place in the array", "[simd]") {
  Vector x;
  for (const double v : reference::log_grid(1e-12, 600, 37)) {
    x.push_back(v);
    x.push_back(std::round(v));
  }
  for (const double v : {0.0, kInfinity, kNaN, 8.0, 9.0, 1e300, kTiny}) x.push_back(v);
  const Kernel kernels[] = {
      vexp,      vlog,
      vlog1p,    vlog1pexp,
      vlgamma,   vdigamma,
      vtrigamma, [](const double* a, double* b, std::size_t n) {
                              vlgamma_diff(a, 0.7, b, n); }};
  at_every_level([&] {
    for (const Kernel kernel : kernels) {
      const Vector whole = run(kernel, x);
      for (std::size_t begin = 0; begin < 20; ++begin) {
        for (std::size_t n = 0; n < 20; ++n) {
          Vector part(n, -7.0);
          kernel(x.data() + begin, part.data(), n);
          REQUIRE(std::equal(part.begin(), part.end(), whole.begin() + begin, same_bits));
        }
      }
      for (std::size_t i = 0; i < x.size(); ++i) {  // alone, and in place
        double y = x[i];
        kernel(&y, &y, 1);
        REQUIRE(same_bits(y, whole[i]));
      }
    }
  });
}

TEST_CASE("kernels write nothing outside their range", "[simd]") {
  at_every_level([&] {
    for (std::size_t n = 0; n < 40; ++n) {
      Vector x(n + 2, 1.5), y(n + 2, -9.0);
      vexp(x.data() + 1, y.data() + 1, n);
      CHECK(y.front() == -9.0);
      CHECK(y.back() == -9.0);
      std::fill(y.begin(), y.end(), -9.0);
      axpy(2.0, x.data() + 1, y.data() + 1, n);
      CHECK(y.front() == -9.0);
      CHECK(y.back() == -9.0);
      if (n > 0) CHECK(y[1] == -6.0);
      if (n > 0) CHECK(y[n] == -6.0);
    }
  });
}

TEST_CASE("sums", "[simd]") {
  Vector w, x, y;
  for (int i = 0; i < 1003; ++i) {
    w.push_back(1 + i % 7);
    x.push_back(std::sin(i));
    y.push_back(std::cos(3 * i));
  }
  at_every_level([&] {
    for (const std::size_t n : {0, 1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 100, 1003}) {
      Real s = 0, d = 0, wd = 0, ws = 0, top = 0;
      for (std::size_t i = 0; i < n; ++i) {
        s += x[i];
        d += static_cast<Real>(x[i]) * y[i];
        wd += static_cast<Real>(w[i]) * x[i] * y[i];
        ws += static_cast<Real>(w[i]) * (x[i] - 0.3L) * (x[i] - 0.3L);
        top += std::exp(static_cast<Real>(x[i]));
      }
      INFO("n " << n);
      CHECK(epsilons(vsum(x.data(), n), s) < 100);
      CHECK(epsilons(dot(x.data(), y.data(), n), d) < 100);
      CHECK(epsilons(weighted_dot(w.data(), x.data(), y.data(), n), wd) < 400);
      CHECK(epsilons(weighted_square_sum(w.data(), x.data(), 0.3, n), ws) < 100);
      CHECK(epsilons(vlog_sum_exp(x.data(), n), std::log(top)) < 10);
      CHECK(epsilons(vlog_sum_exp(x.data(), n), log_sum_exp(x.data(), n)) < 10);
    }
    // a non-finite value beyond the end is not read into the sum
    Vector z(17, 1.0);
    z[5] = kNaN;
    CHECK(vsum(z.data(), 5) == 5.0);
    CHECK(std::isnan(vsum(z.data(), 6)));
  });
}

TEST_CASE("a plain sum is the same at every level", "[simd]") {
  Vector x;
  for (int i = 0; i < 777; ++i) x.push_back(std::exp(std::sin(i) * 20));
  simd::set_level(simd::Level::baseline);
  const double first = vsum(x.data(), x.size());
  at_every_level([&] { CHECK(same_bits(vsum(x.data(), x.size()), first)); });
}

TEST_CASE("log-sum-exp at the edges", "[simd]") {
  const double inf = kInfinity;
  at_every_level([&] {
    const Vector none(5, -inf), huge{1e308, 1e308, -1e308}, far{-1e5, -1e5}, up{0, inf, 1};
    CHECK(vlog_sum_exp(none.data(), 0) == -inf);
    CHECK(vlog_sum_exp(none.data(), 5) == -inf);
    CHECK(vlog_sum_exp(huge.data(), 3) == 1e308);
    CHECK(vlog_sum_exp(far.data(), 2) == Approx(-1e5 + std::log(2.0)));
    CHECK(vlog_sum_exp(up.data(), 3) == inf);
    const Vector bad{0, kNaN, 1};
    CHECK(std::isnan(vlog_sum_exp(bad.data(), 3)));
  });
}

TEST_CASE("row log-sum-exp and softmax", "[simd]") {
  at_every_level([&] {
    for (const std::size_t n : {1, 2, 7, 8, 9, 16, 23}) {
      for (const std::size_t k : {1, 2, 3, 11}) {
        const std::size_t ld = n + 3;
        Vector x(ld * k, 77.0), lse(n), again(n);
        for (std::size_t c = 0; c < k; ++c) {
          for (std::size_t i = 0; i < n; ++i) x[c * ld + i] = 40 * std::sin(1.7 * i + 5.0 * c);
        }
        Vector p = x;
        row_log_sum_exp(x.data(), n, k, ld, lse.data());
        row_softmax(p.data(), n, k, ld, again.data());
        CHECK(std::equal(lse.begin(), lse.end(), again.begin(), same_bits));
        for (std::size_t i = 0; i < n; ++i) {
          Vector row(k);
          for (std::size_t c = 0; c < k; ++c) row[c] = x[c * ld + i];
          const double want = log_sum_exp(row.data(), k);
          CHECK(epsilons(lse[i], want) < 4);
          double total = 0;
          for (std::size_t c = 0; c < k; ++c) {
            CHECK(p[c * ld + i] == Approx(std::exp(row[c] - want)).epsilon(1e-13));
            total += p[c * ld + i];
          }
          CHECK(total == Approx(1.0).epsilon(1e-14));
        }
        // rows outside the matrix are untouched
        for (std::size_t c = 0; c < k; ++c) {
          for (std::size_t i = n; i < ld; ++i) CHECK(p[c * ld + i] == 77.0);
        }
      }
    }
    Vector edge{-kInfinity, -kInfinity, 0, -kInfinity};  // rows (-Inf, 0), (-Inf, -Inf)
    Vector lse(2);
    row_softmax(edge.data(), 2, 2, 2, lse.data());
    CHECK(edge[0] == 0.0);
    CHECK(edge[2] == 1.0);
    CHECK(std::isnan(edge[1]));
    CHECK(lse[0] == 0.0);
    CHECK(lse[1] == -kInfinity);
  });
}
