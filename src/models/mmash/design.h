// The columns of X as the sweep wants them: centred, freed of the covariates, scaled if asked,
// with rows padded by zeros to a multiple of 8 and handed out in blocks.
//
//   d_p = x_p'x_p                 squares()
//   G = X_b'X_b of a block b      gram(b): corrects X_b'R for what moved inside the block
//
// Genotypes kept in one byte or two bits are decoded block by block; with sufficient statistics
// the "columns" are those of X'X.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/monitor.h"
#include "core/panel.h"
#include "core/types.h"

namespace mixology {
namespace mmash {

// SNPs of a block: enough for matrix products, few enough that a block stays in the cache.
constexpr Index kBlock = 32;

struct DesignOptions {
  bool standardize = false;
  MatrixXd basis;              // orthonormal columns orthogonal to 1: what covariates span
  std::vector<Index> order;    // column of the input that comes first, second, ...; empty: as is
  std::vector<Index> samples;  // row of the input that comes first, ...; empty: as is
};

class Design {
 public:
  virtual ~Design() = default;

  Index rows() const { return rows_; }  // of a column, without the padding
  Index leading() const { return leading_; }
  Index cols() const { return center_.size(); }
  Index blocks() const { return (cols() + kBlock - 1) / kBlock; }
  Index first(Index block) const { return block * kBlock; }
  Index count(Index block) const { return std::min(kBlock, cols() - first(block)); }

  // Columns of a block, leading() apart, where they are kept; else null, and column() makes one.
  virtual const double* stored(Index /*block*/) const { return nullptr; }
  virtual void column(Index p, double* out) const = 0;
  // Inner products of some columns.
  virtual MatrixXd inner(const std::vector<Index>& which) const {
    const Index n = static_cast<Index>(which.size());
    MatrixXd x(leading_, n);
    for (Index i = 0; i < n; ++i) column(which[static_cast<std::size_t>(i)], x.col(i).data());
    MatrixXd out = MatrixXd::Zero(n, n);
    add_inner(x.data(), n, out.data(), n);
    return out;
  }

  // out += x'right for nx and nr columns; so many rows at a time that they stay in the cache.
  void add_products(const double* x, Index nx, const double* right, Index nr, double* out,
                    Index ldo) const {
    constexpr Index kRows = 2048;
    for (Index i = 0; i < leading_; i += kRows) {
      panel::cross(x + i, leading_, nx, right + i, leading_, nr, std::min(kRows, leading_ - i), out,
                   ldo);
    }
  }

  const double* gram(Index block) const { return gram_.data() + block * kBlock * kBlock; }
  double square(Index p) const { return squares_[p]; }
  const VectorXd& squares() const { return squares_; }
  const VectorXd& center() const { return center_; }  // what was taken off ...
  const VectorXd& scale() const { return scale_; }    // ... and divided by
  // What the covariates' basis explains of each scaled column.
  const MatrixXd& basis_part() const { return basis_part_; }
  // One d for all SNPs, or 0: the tables of the prior are then built once.
  double common_square() const { return common_; }

 protected:
  void allocate(Index rows, Index cols) {
    rows_ = rows;
    leading_ = panel::padded(rows);
    center_ = VectorXd::Zero(cols);
    scale_ = VectorXd::Ones(cols);
    squares_ = VectorXd::Zero(cols);
    basis_part_.resize(0, cols);
    gram_.assign(static_cast<std::size_t>(blocks() * kBlock * kBlock), 0.0);
  }

  void fill_gram(Index block, const double* x) {
    add_inner(x, count(block), gram_.data() + block * kBlock * kBlock, kBlock);
  }

  void add_inner(const double* x, Index n, double* out, Index ldo) const {
    add_products(x, n, x, n, out, ldo);
  }

  void find_common_square() {
    const double high = squares_.maxCoeff();  // SNPs without variation do not count
    const double low = (squares_.array() > 0.0).select(squares_, high).minCoeff();
    common_ = high > 0.0 && high - low <= 1e-12 * high ? high : 0.0;
  }

  // A column without variation keeps scale 1 and becomes zeros: it has no effect on anything.
  static bool constant(double square, double raw_square) {
    return square <= 1e-20 * raw_square || square <= 0.0;
  }

  Index rows_ = 0;
  Index leading_ = 0;
  VectorXd center_, scale_, squares_;
  MatrixXd basis_part_;
  std::vector<double> gram_;
  double common_ = 0.0;
};

// X'right for `right` of leading() rows.
inline MatrixXd products(const Design& design, const MatrixXd& right) {
  MatrixXd out = MatrixXd::Zero(design.cols(), right.cols());
  std::vector<double> buffer(static_cast<std::size_t>(design.leading() * kBlock));
  for (Index block = 0; block < design.blocks(); ++block) {
    const double* x = design.stored(block);
    for (Index i = 0; x == nullptr && i < design.count(block); ++i) {
      design.column(design.first(block) + i, buffer.data() + i * design.leading());
    }
    design.add_products(x != nullptr ? x : buffer.data(), design.count(block), right.data(),
                        right.cols(), out.data() + design.first(block), out.rows());
  }
  return out;
}

inline MatrixXd correlations(const Design& design, const std::vector<Index>& which) {
  const MatrixXd product = design.inner(which);
  const VectorXd by = product.diagonal().cwiseSqrt().cwiseInverse();
  return by.asDiagonal() * product * by.asDiagonal();
}

// Doubles, copied once.
class DenseDesign : public Design {
 public:
  DenseDesign(const Eigen::Ref<const MatrixXd>& x, const DesignOptions& options) {
    const auto& samples = options.samples;
    allocate(samples.empty() ? x.rows() : static_cast<Index>(samples.size()), x.cols());
    basis_part_ = MatrixXd::Zero(options.basis.cols(), cols());
    x_ = MatrixXd::Zero(leading_, x.cols());
    for (Index p = 0; p < cols(); ++p) {
      const Index from = options.order.empty() ? p : options.order[static_cast<std::size_t>(p)];
      for (Index i = 0; i < rows_; ++i) {
        x_(i, p) = x(samples.empty() ? i : samples[static_cast<std::size_t>(i)], from);
      }
      prepare(p, options);
    }
    for (Index b = 0; b < blocks(); ++b) fill_gram(b, x_.data() + first(b) * leading_);
    find_common_square();
  }

  const double* stored(Index block) const override { return x_.data() + first(block) * leading_; }
  void column(Index p, double* out) const override {
    std::copy(x_.col(p).data(), x_.col(p).data() + leading_, out);
  }

 private:
  void prepare(Index p, const DesignOptions& options) {
    auto column = x_.col(p).head(rows_);
    const double raw = column.squaredNorm();
    center_[p] = column.mean();
    column.array() -= center_[p];
    basis_part_.col(p) = options.basis.transpose() * column;
    const VectorXd centred = column;
    column -= options.basis * basis_part_.col(p);
    squares_[p] = column.squaredNorm();
    if (constant(squares_[p], raw)) {
      squares_[p] = 0.0;
      column.setZero();
    } else if (options.standardize) {  // in the order of CodedDesign, to the last bit
      const double df = static_cast<double>(rows_) - 1.0;
      scale_[p] = std::sqrt(squares_[p] / df);
      basis_part_.col(p) /= scale_[p];
      column = centred / scale_[p];
      if (basis_part_.rows() > 0) column -= options.basis * basis_part_.col(p);
      squares_[p] = df;
    }
  }

  MatrixXd x_;
};

// Where genotypes of one byte or two bits come from. A value is looked up in a table of its codes.
class Genotypes {
 public:
  virtual ~Genotypes() = default;
  virtual Index samples() const = 0;
  virtual Index variants() const = 0;
  virtual int codes() const = 0;             // number of codes, at most 256
  virtual double value(int code) const = 0;  // NaN: missing
  virtual void decode(Index variant, const double* table, double* out) const = 0;
};

class CodedDesign : public Design {
 public:
  // Going through many genotypes takes seconds: left by Interrupted when the monitor says so.
  CodedDesign(std::shared_ptr<const Genotypes> source, const DesignOptions& options,
              Monitor& monitor)
      : source_(std::move(source)), options_(options) {
    const bool all = options_.samples.empty();
    allocate(all ? source_->samples() : static_cast<Index>(options_.samples.size()),
             source_->variants());
    whole_ = all ? 0 : source_->samples();
    basis_part_ = MatrixXd::Zero(options_.basis.cols(), cols());
    std::vector<double> buffer(static_cast<std::size_t>(leading_ * kBlock), 0.0);
    for (Index b = 0; b < blocks(); ++b) {
      leave_if_interrupted(monitor);
      for (Index i = 0; i < count(b); ++i) prepare(first(b) + i, buffer.data() + i * leading_);
      fill_gram(b, buffer.data());
    }
    find_common_square();
  }

  void column(Index p, double* out) const override {
    double table[256];
    for (int c = 0; c < source_->codes(); ++c) {
      const double value = source_->value(c);
      table[c] = std::isnan(value) ? 0.0 : (value - center_[p]) / scale_[p];
    }
    decode(p, table, out);
    for (Index i = rows_; i < leading_; ++i) out[i] = 0.0;
    if (basis_part_.rows() > 0) {
      Eigen::Map<VectorXd>(out, rows_) -= options_.basis * basis_part_.col(p);
    }
  }

  Index missing() const { return missing_; }  // genotypes replaced by the mean of their SNP

 private:
  Index input_column(Index p) const {
    return options_.order.empty() ? p : options_.order[static_cast<std::size_t>(p)];
  }

  void decode(Index p, const double* table, double* out) const {
    if (whole_ == 0) return source_->decode(input_column(p), table, out);
    std::vector<double> whole(static_cast<std::size_t>(whole_));
    source_->decode(input_column(p), table, whole.data());
    for (Index i = 0; i < rows_; ++i) {
      out[i] = whole[static_cast<std::size_t>(options_.samples[static_cast<std::size_t>(i)])];
    }
  }

  void prepare(Index p, double* out) {
    double table[256];
    for (int c = 0; c < source_->codes(); ++c) table[c] = source_->value(c);
    decode(p, table, out);
    double sum = 0.0;
    Index seen = 0;
    for (Index i = 0; i < rows_; ++i) {
      if (!std::isnan(out[i])) sum += out[i], ++seen;
    }
    missing_ += rows_ - seen;
    center_[p] = seen > 0 ? sum / static_cast<double>(seen) : 0.0;
    this->column(p, out);
    Eigen::Map<VectorXd> column(out, rows_);
    basis_part_.col(p) = options_.basis.transpose() * column;
    column -= options_.basis * basis_part_.col(p);
    const double square = column.squaredNorm();
    if (constant(square, sum * sum + 1.0)) {
      scale_[p] = 1.0;
      column.setZero();
      return;
    }
    squares_[p] = square;
    if (!options_.standardize) return;
    const double df = static_cast<double>(rows_) - 1.0;
    scale_[p] = std::sqrt(square / df);
    basis_part_.col(p) /= scale_[p];
    squares_[p] = df;
    this->column(p, out);
  }

  std::shared_ptr<const Genotypes> source_;
  DesignOptions options_;
  Index whole_ = 0;
  Index missing_ = 0;
};

// One byte each; -128 is missing.
class ByteGenotypes : public Genotypes {
 public:
  ByteGenotypes(std::vector<std::int8_t> values, Index samples)
      : values_(std::move(values)), samples_(samples) {}
  Index samples() const override { return samples_; }
  Index variants() const override { return static_cast<Index>(values_.size()) / samples_; }
  int codes() const override { return 256; }
  double value(int code) const override {
    return code == 128 ? std::nan("") : static_cast<double>(static_cast<std::int8_t>(code));
  }
  void decode(Index variant, const double* table, double* out) const override {
    const std::int8_t* from = values_.data() + variant * samples_;
    for (Index i = 0; i < samples_; ++i) out[i] = table[static_cast<std::uint8_t>(from[i])];
  }

 private:
  std::vector<std::int8_t> values_;
  Index samples_;
};

// Compressed columns of whole numbers as the caller keeps them: nothing is copied.
class SparseGenotypes : public Genotypes {
 public:
  // Entries start[p], ..., start[p + 1] - 1 belong to variant p; NaN is missing.
  SparseGenotypes(const int* start, const int* row, const double* value, Index samples,
                  Index variants)
      : start_(start), row_(row), value_(value), samples_(samples), variants_(variants) {}
  Index samples() const override { return samples_; }
  Index variants() const override { return variants_; }
  int codes() const override { return 256; }
  double value(int code) const override {
    return code == 128 ? std::nan("") : static_cast<double>(static_cast<std::int8_t>(code));
  }
  void decode(Index variant, const double* table, double* out) const override {
    std::fill(out, out + samples_, table[0]);
    for (int at = start_[variant]; at < start_[variant + 1]; ++at) {
      const auto byte = static_cast<std::int8_t>(std::isnan(value_[at]) ? -128.0 : value_[at]);
      out[row_[at]] = table[static_cast<std::uint8_t>(byte)];
    }
  }

 private:
  const int* start_;
  const int* row_;
  const double* value_;
  Index samples_, variants_;
};

// X'X of centred columns.
class GramDesign : public Design {
 public:
  GramDesign(const Eigen::Ref<const MatrixXd>& xtx, double n, bool standardize) : n_(n) {
    allocate(xtx.rows(), xtx.cols());
    x_ = MatrixXd::Zero(leading_, cols());
    x_.topRows(rows_) = xtx;
    for (Index p = 0; p < cols(); ++p) {
      squares_[p] = std::max(0.0, xtx(p, p));
      if (squares_[p] <= 0.0) continue;
      if (standardize) scale_[p] = std::sqrt(squares_[p] / (n - 1.0));
    }
    if (standardize) {
      const VectorXd by = scale_.cwiseInverse();
      x_.topRows(rows_) = by.asDiagonal() * x_.topRows(rows_) * by.asDiagonal();
      for (Index p = 0; p < cols(); ++p) {
        if (squares_[p] > 0.0) x_(p, p) = squares_[p] = n - 1.0;
      }
    }
    for (Index b = 0; b < blocks(); ++b) {
      Eigen::Map<MatrixXd>(gram_.data() + b * kBlock * kBlock, kBlock, kBlock)
          .topLeftCorner(count(b), count(b)) = x_.block(first(b), first(b), count(b), count(b));
    }
    find_common_square();
  }

  const double* stored(Index block) const override { return x_.data() + first(block) * leading_; }
  void column(Index p, double* out) const override {
    std::copy(x_.col(p).data(), x_.col(p).data() + leading_, out);
  }
  MatrixXd inner(const std::vector<Index>& which) const override {
    const Index n = static_cast<Index>(which.size());
    MatrixXd out(n, n);
    for (Index i = 0; i < n; ++i) {
      for (Index k = 0; k < n; ++k) {
        out(i, k) = x_(which[static_cast<std::size_t>(i)], which[static_cast<std::size_t>(k)]);
      }
    }
    return out;
  }

 private:
  double n_;
  MatrixXd x_;
};

}  // namespace mmash
}  // namespace mixology
