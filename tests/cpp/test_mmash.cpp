// M&M ASH without R: panel kernels against plain loops, the mixture of one effect against dense
// algebra, sweeps that never lower the bound, .bed decoding.
#include <catch.h>

#include <cmath>
#include <memory>
#include <vector>

#include "core/panel.h"
#include "core/rng.h"
#include "core/simd.h"
#include "engine/vb.h"
#include "models/mmash.h"
#include "models/mmash/bed.h"

using namespace mixology;

namespace {

MatrixXd normal_matrix(Index rows, Index cols, std::uint64_t seed) {
  Rng rng(seed);
  MatrixXd out(rows, cols);
  for (Index i = 0; i < out.size(); ++i) out.data()[i] = rng.normal();
  return out;
}

mmash::Prior small_prior(Index nj) {
  mmash::Prior prior;
  prior.factors = {MatrixXd::Identity(nj, nj), MatrixXd::Ones(nj, 1),
                   MatrixXd::Identity(nj, nj).leftCols(1)};
  prior.variances = (VectorXd(3) << 0.01, 0.25, 1.0).finished();
  return prior;
}

Mmash::Data small_data(Index n, Index p, Index nj, bool standardize) {
  const MatrixXd x = normal_matrix(n, p, 1);
  MatrixXd y = normal_matrix(n, nj, 2) + x.col(0) * VectorXd::Ones(nj).transpose();
  y.rowwise() -= y.colwise().mean().eval();
  mmash::DesignOptions options;
  options.standardize = standardize;
  options.basis = MatrixXd::Zero(n, 0);
  Mmash::Data data;
  data.design = std::make_shared<mmash::DenseDesign>(x, options);
  data.response = MatrixXd::Zero(data.design->leading(), nj);
  data.response.topRows(n) = y;
  data.n = static_cast<double>(n);
  return data;
}

}  // namespace

TEST_CASE("panel kernels are the products they are called, at every instruction set") {
  const simd::Level before = simd::level();
  for (const auto level : {simd::Level::baseline, simd::Level::avx2, simd::Level::avx512}) {
    simd::set_level(level);
    for (const Index nj : {1, 2, 3, 7}) {
      for (const Index nx : {1, 4, 5, 9}) {
        const Index rows = 24;
        const MatrixXd x = normal_matrix(rows, nx, 3);
        const MatrixXd r = normal_matrix(rows, nj, 4);
        const MatrixXd a = normal_matrix(nj, nx, 5);
        MatrixXd out = MatrixXd::Zero(nx, nj);
        panel::cross(x.data(), rows, nx, r.data(), rows, nj, rows, out.data(), nx);
        CHECK((out - x.transpose() * r).norm() < 1e-12);
        MatrixXd left = r;
        panel::subtract(x.data(), rows, nx, a.data(), left.data(), rows, nj, rows);
        CHECK((left - (r - x * a.transpose())).norm() < 1e-12);
      }
    }
    const MatrixXd q = normal_matrix(16, 3, 6);
    const VectorXd v = normal_matrix(3, 1, 7);
    const VectorXd w = normal_matrix(16, 1, 8);
    VectorXd z(16), back(3);
    panel::rotate(q.data(), 16, v.data(), 3, 16, z.data());
    panel::rotate_back(q.data(), 16, w.data(), 3, 16, back.data());
    CHECK((z - q * v).norm() < 1e-13);
    CHECK((back - q.transpose() * w).norm() < 1e-13);
    VectorXd s = normal_matrix(8, 1, 9) * 50.0;
    const VectorXd raw = s;
    const double log_sum = panel::softmax(s.data(), 8);
    CHECK(log_sum == Approx(std::log((raw.array() - raw.maxCoeff()).exp().sum()) + raw.maxCoeff()));
    CHECK(s.sum() == Approx(1.0));
  }
  simd::set_level(before);
}

TEST_CASE("one effect: the factors give what dense algebra gives") {
  const Index nj = 4;
  const mmash::Prior prior = small_prior(nj);
  const MatrixXd root = normal_matrix(nj, nj, 10);
  const MatrixXd precision = 5.0 * (root * root.transpose() + MatrixXd::Identity(nj, nj));
  const VectorXd phi = normal_matrix(nj, 1, 11) * 4.0;
  const VectorXd logs = VectorXd::Constant(prior.components(), -std::log(10.0));
  for (const bool once : {true, false}) {  // tables for one d, and made for this effect
    mmash::Mixture mixture(prior);
    mixture.decompose(precision, once ? 1.0 : 0.0);
    mixture.set_weights(logs);
    mmash::Workspace w;
    mixture.reserve(w);
    const double log_bf = mixture.update(phi.data(), 1.0, w);
    VectorXd score(prior.components());
    MatrixXd means = MatrixXd::Zero(nj, prior.components());
    score[0] = logs[0];
    for (Index t = 1; t < prior.components(); ++t) {
      const MatrixXd& a = prior.factors[static_cast<std::size_t>((t - 1) / 3)];
      const MatrixXd v = prior.variances[(t - 1) % 3] * a * a.transpose();
      const MatrixXd m = (MatrixXd::Identity(nj, nj) + v * precision).inverse();
      means.col(t) = m * v * phi;
      score[t] = logs[t] + 0.5 * std::log(m.determinant()) + 0.5 * phi.dot(means.col(t));
    }
    const VectorXd alpha = (score.array() - log_bf).exp();
    CHECK(alpha.sum() == Approx(1.0).epsilon(1e-12));
    CHECK((w.mean - means * alpha).norm() < 1e-12);
    CHECK(w.alpha[static_cast<std::size_t>(mixture.slot(0))] == Approx(alpha[0]).epsilon(1e-11));
  }
}

TEST_CASE("the bound never falls and a resumed climb goes on bitwise") {
  for (const bool standardize : {true, false}) {
    for (const auto kind :
         {mmash::Residual::full, mmash::Residual::diagonal, mmash::Residual::low_rank}) {
      Mmash::Options options;
      options.residual = kind;
      options.rank = 1;
      const Mmash model(small_data(50, 40, 3, standardize), small_prior(3), options);
      const VectorXd logs = VectorXd::Constant(10, -std::log(10.0));
      Mmash::State state = model.init(MatrixXd::Zero(3, 40), logs, MatrixXd::Identity(3, 3));
      VbOptions settings;
      settings.accelerate = false;
      settings.tolerance = 0.0;
      settings.max_iterations = 12;
      Executor serial;
      Monitor monitor;
      AscentProgress progress;
      const Trace whole = run_vb(model, state, settings, serial, monitor, &progress);
      CHECK(whole.status == Status::max_iterations);
      CHECK(whole.value.size() == 12);
      for (std::size_t i = 1; i < whole.value.size(); ++i) {
        CHECK(whole.value[i] >= whole.value[i - 1] - 1e-9 * std::abs(whole.value[i]));
      }
      Mmash::State again = model.init(MatrixXd::Zero(3, 40), logs, MatrixXd::Identity(3, 3));
      AscentProgress part;
      settings.max_iterations = 5;
      run_vb(model, again, settings, serial, monitor, &part);
      Mmash::State loaded = model.load(model.save(again));
      settings.max_iterations = 7;
      const Trace rest = run_vb(model, loaded, settings, serial, monitor, &part);
      CHECK(rest.last() == whole.last());
      CHECK((loaded.mean.array() == state.mean.array()).all());
    }
  }
}

TEST_CASE("for a normal posterior the merit of a start is the log evidence") {
  const Index n = 40, p = 6, nj = 2;
  mmash::Prior prior;
  const MatrixXd root = normal_matrix(nj, nj, 20);
  prior.factors = {root};
  prior.variances = VectorXd::Constant(1, 0.7);
  prior.null = false;
  Mmash::Options options;
  options.learn_weights = options.learn_residual = false;
  const MatrixXd tilt = normal_matrix(nj, nj, 21);
  const MatrixXd sigma = tilt * tilt.transpose() + MatrixXd::Identity(nj, nj);
  for (const bool gram : {false, true}) {
    Mmash::Data data = small_data(n, p, nj, false);
    MatrixXd x(n, p);  // as the model sees it: centred
    for (Index i = 0; i < p; ++i) {
      std::vector<double> column(static_cast<std::size_t>(data.design->leading()));
      data.design->column(i, column.data());
      x.col(i) = Eigen::Map<const VectorXd>(column.data(), n);
    }
    x += 0.8 * x.col(0) * VectorXd::Ones(p).transpose();
    const MatrixXd y = data.response.topRows(n);
    if (gram) {
      data.design = std::make_shared<mmash::GramDesign>(x.transpose() * x, n, false);
      data.response = MatrixXd::Zero(data.design->leading(), nj);
      data.response.topRows(p) = x.transpose() * y;
      data.cross = y.transpose() * y;
      data.gram = true;
    } else {
      mmash::DesignOptions as_is;
      as_is.basis = MatrixXd::Zero(n, 0);
      data.design = std::make_shared<mmash::DenseDesign>(x, as_is);
    }
    const Mmash model(data, prior, options);
    Mmash::State state = model.init(MatrixXd::Zero(nj, p), VectorXd::Zero(1), sigma);
    VbOptions settings;
    settings.tolerance = 0.0;
    settings.max_iterations = 500;
    Executor serial;
    Monitor monitor;
    const double bound = run_vb(model, state, settings, serial, monitor).last();
    // vec(Y) has covariance V x XX' + Sigma x I
    const MatrixXd v = 0.7 * root * root.transpose();
    const MatrixXd xx = x * x.transpose();
    MatrixXd cov(n * nj, n * nj);
    for (Index a = 0; a < nj; ++a) {
      for (Index b = 0; b < nj; ++b) {
        cov.block(a * n, b * n, n, n) = v(a, b) * xx + sigma(a, b) * MatrixXd::Identity(n, n);
      }
    }
    const mmash::Factored f = mmash::factor(cov);
    const Eigen::Map<const VectorXd> all(y.data(), y.size());
    const double evidence = -0.5 * (static_cast<double>(n * nj) * mmash::kLogTwoPi + f.log_det +
                                    all.dot(f.inverse * all));
    CHECK(bound < evidence - 0.5);
    CHECK(model.merit(state, Mmash::Stats(), bound) == Approx(evidence).epsilon(1e-7));
  }
}

TEST_CASE("two-bit genotypes") {
  CHECK(mmash::bed_fault(nullptr, 0, 1, 1) != "");
  const std::uint8_t file[] = {0x6c, 0x1b, 0x01, 0xe4, 0x02};  // codes 0 1 2 3, then 2
  CHECK(mmash::bed_fault(file, 5, 5, 1) == "");
  CHECK(mmash::bed_fault(file, 4, 5, 1).find("cut short") != std::string::npos);
  const double table[4] = {0.0, -1.0, 1.0, 2.0};
  double out[5];
  mmash::decode_bed(file + 3, 5, table, out);
  const double expected[5] = {0.0, -1.0, 1.0, 2.0, 1.0};
  for (int i = 0; i < 5; ++i) CHECK(out[i] == expected[i]);
  CHECK(mmash::count_missing_bed(file + 3, 5) == 1);
  CHECK(mmash::count_missing_bed(file + 3, 1) == 0);
}
