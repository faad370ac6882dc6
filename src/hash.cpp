// Hashes by which the counts of a gene are known again, whatever their storage.
#include <Rcpp.h>

#include <cstdint>
#include <cstring>

namespace {

// One step of a multiplicative hash: the word is folded in, then the high bits into the low ones.
std::uint64_t fold(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
  return hash ^ (hash >> 32);
}

// All missing values are one.
std::uint64_t bits_of(double x) {
  if (x != x) return ~std::uint64_t{0};
  std::uint64_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

}  // namespace

// Of each gene of compressed rows (see input.cpp) the hash of its counts over so many cells: the
// 53 bits that a double holds exactly.
// [[Rcpp::export(rng = false)]]
Rcpp::NumericVector row_hashes(Rcpp::IntegerVector p, Rcpp::IntegerVector i, Rcpp::NumericVector x,
                               double cells) {
  Rcpp::NumericVector out(p.size() - 1);
  for (R_xlen_t g = 0; g < out.size(); ++g) {
    std::uint64_t hash = fold(0, bits_of(cells));
    for (int at = p[g]; at < p[g + 1]; ++at) {
      hash = fold(fold(hash, static_cast<std::uint64_t>(i[at])), bits_of(x[at]));
    }
    out[g] = static_cast<double>(fold(hash, 1) >> 11);
  }
  return out;
}
