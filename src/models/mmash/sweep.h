// The sweep of mmash.h over all SNPs, in blocks: X_b'R by a matrix product, corrected inside the
// block by its Gram matrix, then one product that takes the block's changes off R.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "models/mmash.h"

namespace mixology {

namespace mmash {
constexpr double kLogTwoPi = 1.837877066409345483560659;

inline double trace_product(const MatrixXd& a, const MatrixXd& b) {
  return a.cwiseProduct(b).sum();  // of symmetric matrices
}
}  // namespace mmash

inline void Mmash::for_rows(const std::function<void(Index, Range)>& task) const {
  const Index rows = design().leading();
  const Index chunks = chunk_count(rows, kRowChunk);
  auto run = [&](Index i) { task(i, chunk_range(i, kRowChunk, rows)); };
  Monitor unstoppable;
  Executor serial;
  Executor& executor = executor_ == nullptr || chunks == 1 ? serial : *executor_;
  executor.run(chunks, run, unstoppable);
}

inline const double* Mmash::fetch(Index block, std::vector<double>& buffer) const {
  const double* stored = design().stored(block);
  if (stored != nullptr) return stored;
  const Index ld = design().leading();
  buffer.resize(static_cast<std::size_t>(ld * mmash::kBlock));
  const Index first = design().first(block);
  auto decode = [&](Index i) { design().column(first + i, buffer.data() + i * ld); };
  Monitor unstoppable;
  Executor serial;
  Executor& executor = executor_ == nullptr || ld <= kRowChunk ? serial : *executor_;
  executor.run(design().count(block), decode, unstoppable);
  return buffer.data();
}

// out(i, j) = x_i'R_j of the block's columns; the partial sums of row chunks are added in order.
inline void Mmash::cross(const double* x, Index block, const MatrixXd& residual,
                         double* out) const {
  constexpr Index b = mmash::kBlock;
  const Index nj = conditions();
  const Index count = design().count(block);
  if (data_.gram) {
    Eigen::Map<MatrixXd>(out, b, nj).topRows(count) =
        residual.middleRows(design().first(block), count);
    return;
  }
  const Index ld = design().leading();
  const auto size = static_cast<std::size_t>(b * nj);
  std::vector<double> part(size * static_cast<std::size_t>(chunk_count(ld, kRowChunk)), 0.0);
  for_rows([&](Index i, Range r) {
    panel::cross(x + r.begin, ld, count, residual.data() + r.begin, residual.rows(), nj, r.size(),
                 part.data() + size * static_cast<std::size_t>(i), b);
  });
  std::copy(part.begin(), part.begin() + static_cast<std::ptrdiff_t>(size), out);
  for (std::size_t i = size; i < part.size(); ++i) out[i % size] += part[i];
}

// R -= sum_p x_p change_p', change stored SNP after SNP.
inline void Mmash::subtract(const double* x, Index count, const double* change,
                            MatrixXd& residual) const {
  const Index nj = conditions();
  if (std::all_of(change, change + count * nj, [](double v) { return v == 0.0; })) return;
  const Index ld = design().leading();
  for_rows([&](Index, Range r) {
    panel::subtract(x + r.begin, ld, count, change, residual.data() + r.begin, residual.rows(), nj,
                    r.size());
  });
}

inline void Mmash::subtract_all(const MatrixXd& mean, MatrixXd& residual) const {
  if (mean.isZero(0.0)) return;
  std::vector<double> buffer;
  for (Index block = 0; block < design().blocks(); ++block) {
    const double* x = fetch(block, buffer);
    subtract(x, design().count(block), mean.data() + design().first(block) * conditions(),
             residual);
  }
}

// Mean square of each condition's responses, as far as they are observed.
inline VectorXd Mmash::response_variance() const {
  if (data_.gram) return data_.cross.diagonal() / data_.n;
  VectorXd seen = VectorXd::Constant(conditions(), complete() ? data_.n : 0.0);
  for (const mmash::Pattern& at : data_.patterns) {
    for (Index j : at.seen) seen[j] += static_cast<double>(at.size());
  }
  return data_.response.colwise().squaredNorm().transpose().cwiseQuotient(seen);
}

template <class Visit>
void Mmash::visit_all(State& s, mmash::Workspace& w, Monitor& watch, Visit visit) const {
  if (!complete()) return visit_patterns(s, w, watch, visit);
  std::vector<double> buffer;
  for (Index block = 0; block < design().blocks() && watch.poll() != Action::stop; ++block) {
    visit_block(s, w, block, fetch(block, buffer), visit);
  }
}

template <class Visit>
void Mmash::visit_block(State& s, mmash::Workspace& w, Index block, const double* x,
                        Visit& visit) const {
  constexpr Index b = mmash::kBlock;
  const Index nj = conditions();
  const Index count = design().count(block);
  MatrixXd raw(b, nj), change = MatrixXd::Zero(nj, count);
  cross(x, block, s.residual, raw.data());
  const double* gram = design().gram(block);
  for (Index i = 0; i < count; ++i) {
    const Index p = design().first(block) + i;
    const double d = design().square(p);
    if (d <= 0.0) continue;
    VectorXd evidence = raw.row(i);
    if (!options_.marginal) evidence += d * s.mean.col(p);
    s.phi.col(p).noalias() = s.inverse.inverse * evidence;
    const VectorXd& next = visit(p, *s.mixture, s.phi.col(p).data(), d, w);
    change.col(i) = next - s.mean.col(p);
    s.mean.col(p) = next;
    if (options_.marginal) continue;
    const Index from = i / panel::kPad * panel::kPad;
    panel::subtract(gram + i * b + from, b, 1, change.col(i).data(), raw.data() + from, b, nj,
                    b - from);
  }
  if (!options_.marginal) subtract(x, count, change.data(), s.residual);
}

inline Mmash::Stats Mmash::update_local(State& s, Range, Monitor& watch) const {
  return complete() ? sweep_complete(s, watch) : sweep_patterns(s, watch);
}

namespace mmash {
// Sums over SNPs that every sweep needs.
struct Tally {
  explicit Tally(const Mixture& mixture) : alpha(VectorXd::Zero(mixture.size())) {}
  void add(const Mixture& mixture, const Workspace& w, const double* phi, double log_bf) {
    mixture.count(w, alpha);
    fit += log_bf - w.mean.dot(Eigen::Map<const VectorXd>(phi, w.mean.size()));
  }
  // `precision`: diagonal of what the data's word on the effect has for its precision, over d.
  void moved_to(const VectorXd& mean, const Eigen::Ref<const VectorXd>& before,
                const Eigen::Ref<const VectorXd>& precision, double d) {
    if (mean == before) return;
    const double square = ((mean - before).cwiseAbs2().array() * precision.array()).maxCoeff() * d;
    moved = std::max(moved, std::sqrt(square));
  }
  VectorXd components(const Mixture& mixture) const {
    VectorXd out(mixture.prior().components());
    for (Index t = 0; t < out.size(); ++t) out[t] = alpha[mixture.slot(t)];
    return out;
  }
  VectorXd alpha;
  double fit = 0.0;
  double moved = 0.0;
};
}  // namespace mmash

inline Mmash::Stats Mmash::sweep_complete(State& s, Monitor& watch) const {
  const mmash::Mixture& mixture = *s.mixture;
  mmash::Workspace w;
  mixture.reserve(w);
  mmash::Tally tally(mixture);
  mmash::SecondMoments moments(mixture);
  const VectorXd variances = s.inverse.inverse.diagonal();
  double log_bf_sum = 0.0;
  visit_all(s, w, watch,
            [&](Index p, const mmash::Mixture& m, const double* phi, double d,
                mmash::Workspace& work) -> const VectorXd& {
              const double log_bf = m.update(phi, d, work);
              tally.add(m, work, phi, log_bf);
              tally.moved_to(work.mean, s.mean.col(p), variances, d);
              log_bf_sum += log_bf;
              if (options_.learn_residual) moments.add(work, d);
              return work.mean;
            });
  const Index nj = conditions();
  Stats stats =
      complete_stats(s, options_.learn_residual ? moments.total() : MatrixXd::Zero(nj, nj));
  stats.alpha = tally.components(mixture);
  stats.moved = tally.moved;
  if (options_.marginal)
    stats.fit = log_bf_sum;
  else
    stats.fit += tally.fit;
  return stats;
}

inline MatrixXd Mmash::residual_cross(const State& s) const {
  if (!data_.gram) return s.residual.transpose() * s.residual;
  if (options_.marginal) return data_.cross;  // no effect has been taken off
  const auto xty = data_.response.topRows(cols());
  MatrixXd rr = data_.cross - xty.transpose() * s.mean.transpose();
  rr -= s.mean * s.residual.topRows(cols());
  return 0.5 * (rr + rr.transpose());
}

inline MatrixXd Mmash::plain_residual(const State& s) const {
  const std::vector<MatrixXd> none(data_.patterns.size(),
                                   MatrixXd::Zero(conditions(), conditions()));
  const MatrixXd c =
      complete() ? MatrixXd(residual_cross(s) / data_.n) : pattern_stats(s, none).cross;
  return residual_update(c, options_.residual, options_.rank, floor_);
}

inline Mmash::Stats Mmash::complete_stats(const State& s, const MatrixXd& second) const {
  Stats stats;
  const MatrixXd at_mean = s.mean * design().squares().asDiagonal() * s.mean.transpose();
  const MatrixXd rr = residual_cross(s);
  const double nj = static_cast<double>(conditions());
  stats.residual = -0.5 * (data_.n * nj * mmash::kLogTwoPi + data_.n * s.inverse.log_det +
                           mmash::trace_product(s.inverse.inverse, rr));
  stats.fit = 0.5 * mmash::trace_product(s.inverse.inverse, at_mean);
  stats.cross = (rr + second - at_mean) / data_.n;
  return stats;
}

inline double Mmash::log_likelihood(const State& s) const {
  const MatrixXd none = MatrixXd::Zero(conditions(), conditions());
  if (complete()) return complete_stats(s, none).residual;
  return pattern_stats(s, std::vector<MatrixXd>(data_.patterns.size(), none)).residual;
}

// ---- responses with gaps ----

inline void Mmash::measure_patterns() {
  const Index f = data_.fixed.cols();
  sums_.square.resize(static_cast<Index>(data_.patterns.size()), cols());
  for (const mmash::Pattern& at : data_.patterns) {
    const auto z = data_.fixed.middleRows(at.begin, at.size());
    sums_.zz.push_back(z.transpose() * z);
    sums_.zx.emplace_back(f, cols());
  }
  sums_.by.assign(static_cast<std::size_t>(f), MatrixXd(sums_.square.rows(), cols()));
  std::vector<double> buffer;
  for (Index block = 0; block < design().blocks(); ++block) {
    const double* x = fetch(block, buffer);
    for (Index i = 0; i < design().count(block); ++i) {
      const Eigen::Map<const VectorXd> column(x + i * design().leading(), design().rows());
      const Index p = design().first(block) + i;
      for (std::size_t m = 0; m < data_.patterns.size(); ++m) {
        const mmash::Pattern& at = data_.patterns[m];
        const auto part = column.segment(at.begin, at.size());
        sums_.square(static_cast<Index>(m), p) = part.squaredNorm();
        sums_.zx[m].col(p) = data_.fixed.middleRows(at.begin, at.size()).transpose() * part;
        for (Index k = 0; k < f; ++k) {
          sums_.by[static_cast<std::size_t>(k)](static_cast<Index>(m), p) = sums_.zx[m](k, p);
        }
      }
    }
  }
}

inline void Mmash::set_precisions(State& s) const {
  const Index f = data_.fixed.cols();
  s.precision = mmash::precisions(data_.patterns, s.sigma);
  s.precision.fixed.compute(
      mmash::kronecker_sum(s.precision, f, f, [&](std::size_t m) { return sums_.zz[m]; }));
}

inline mmash::Mixture Mmash::mixture_of(const State& s, Index p) const {
  mmash::Mixture mixture = *s.mixture;
  if (!complete()) mixture.decompose(mmash::profile(s.precision, sums_, p).precision, 1.0);
  return mixture;
}

inline VectorXd Mmash::evidence(const State& s, Index p, const MatrixXd& residual,
                                const double* x) const {
  const Eigen::Map<const VectorXd> column(x, design().rows());
  const Index n = design().rows();
  if (complete()) {
    const VectorXd raw =
        data_.gram ? VectorXd(residual.row(p)) : VectorXd(residual.topRows(n).transpose() * column);
    return s.inverse.inverse * raw;
  }
  const Index nj = conditions();
  VectorXd phi = VectorXd::Zero(nj);
  VectorXd raw(nj);
  for (std::size_t m = 0; m < data_.patterns.size(); ++m) {
    const mmash::Pattern& at = data_.patterns[m];
    raw.noalias() = residual.middleRows(at.begin, at.size())
                        .transpose()
                        .lazyProduct(column.segment(at.begin, at.size()));
    phi.noalias() += s.precision.padded[m].lazyProduct(raw);
  }
  return phi;
}

template <class Visit>
void Mmash::visit_patterns(State& s, mmash::Workspace& w, Monitor& watch, Visit& visit) const {
  std::vector<double> buffer;
  mmash::Mixture mixture = *s.mixture;
  mixture.reserve(w);
  for (Index block = 0; block < design().blocks() && watch.poll() != Action::stop; ++block) {
    const double* x = fetch(block, buffer);
    const mmash::ProfileParts parts =
        mmash::profile_parts(s.precision, sums_, design().first(block), design().count(block));
    for (Index i = 0; i < design().count(block); ++i) {
      const Index p = design().first(block) + i;
      if (design().square(p) <= 0.0) continue;
      const double* column = x + i * design().leading();
      const mmash::Profile profile = mmash::profile(s.precision, parts, i);
      w.profile = &profile;
      s.phi.col(p) = evidence(s, p, s.residual, column);
      if (!options_.marginal) s.phi.col(p) += profile.precision * s.mean.col(p);
      mixture.decompose(profile.precision, mixture.audible(profile.most(s.phi.col(p))));
      const VectorXd& next = visit(p, mixture, s.phi.col(p).data(), 1.0, w);
      const VectorXd change = next - s.mean.col(p);
      s.mean.col(p) = next;
      if (options_.marginal) continue;
      const MatrixXd moved = profile.moved(change, data_.fixed.cols());
      s.fixed -= moved;
      subtract(column, 1, change.data(), s.residual);
      s.residual.topRows(design().rows()).noalias() += data_.fixed * moved;
    }
  }
}

// Generalised least squares for the coefficients of Z given B:
//   K vec(change) = vec(sum_m Z_m'R_m P_m)
inline void Mmash::update_fixed(State& s) const {
  const Index f = data_.fixed.cols();
  MatrixXd right = MatrixXd::Zero(f, conditions());
  for (std::size_t m = 0; m < data_.patterns.size(); ++m) {
    const mmash::Pattern& at = data_.patterns[m];
    right += data_.fixed.middleRows(at.begin, at.size()).transpose() *
             s.residual.middleRows(at.begin, at.size()) * s.precision.padded[m];
  }
  const VectorXd solved =
      s.precision.fixed.solve(Eigen::Map<const VectorXd>(right.data(), right.size()));
  const Eigen::Map<const MatrixXd> change(solved.data(), f, conditions());
  s.fixed += change;
  s.residual.topRows(design().rows()) -= data_.fixed * change;
}

inline Mmash::Stats Mmash::sweep_patterns(State& s, Monitor& watch) const {
  mmash::Workspace w;
  s.mixture->reserve(w);
  mmash::Tally tally(*s.mixture);
  double log_bf_sum = 0.0;
  mmash::PatternSpread spread(sums_, conditions());
  std::unique_ptr<mmash::SecondMoments> moments;
  visit_all(s, w, watch,
            [&](Index p, const mmash::Mixture& m, const double* phi, double d,
                mmash::Workspace& work) -> const VectorXd& {
              const double log_bf = m.update(phi, d, work);
              tally.add(m, work, phi, log_bf);
              log_bf_sum += log_bf;
              const mmash::Profile& profile = *work.profile;
              tally.moved_to(work.mean, s.mean.col(p), profile.precision.diagonal(), 1.0);
              tally.fit += 0.5 * work.mean.dot(profile.precision * work.mean);
              if (options_.learn_residual) {
                if (moments == nullptr)  // m stays where it is from effect to effect
                  moments = std::make_unique<mmash::SecondMoments>(m);
                else
                  moments->clear();
                moments->add(work, 1.0);
                spread.add(p, profile, moments->total() - work.mean * work.mean.transpose());
              }
              return work.mean;
            });
  Stats stats = pattern_stats(s, spread.totals());
  stats.alpha = tally.components(*s.mixture);
  stats.moved = tally.moved;
  stats.fit = options_.marginal ? log_bf_sum : tally.fit;
  return stats;
}

inline Mmash::Stats Mmash::pattern_stats(const State& s,
                                         const std::vector<MatrixXd>& spread) const {
  Stats stats;
  std::vector<MatrixXd> observed(spread);
  for (std::size_t m = 0; m < data_.patterns.size(); ++m) {
    const mmash::Pattern& at = data_.patterns[m];
    const auto r = s.residual.middleRows(at.begin, at.size());
    const MatrixXd rr = r.transpose() * r;
    observed[m] += rr;
    const double seen = static_cast<double>(at.seen.size()) * mmash::kLogTwoPi;
    stats.residual -= 0.5 * (static_cast<double>(at.size()) * (seen + s.precision.log_det[m]) +
                             mmash::trace_product(s.precision.padded[m], rr));
  }
  stats.cross = mmash::completed_cross(data_.patterns, s.precision, observed, s.sigma);
  return stats;
}

}  // namespace mixology
