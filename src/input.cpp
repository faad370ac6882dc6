// Rows of a count matrix, gene by gene and without zeros, from the storage that R has.
#include <Rcpp.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

// Compressed rows: entries p[g], ..., p[g + 1] - 1 are cells i (from 0) and counts x of gene g.
Rcpp::List compressed(const Rcpp::IntegerVector& p, const Rcpp::IntegerVector& i,
                      const Rcpp::NumericVector& x) {
  return Rcpp::List::create(Rcpp::Named("p") = p, Rcpp::Named("i") = i, Rcpp::Named("x") = x);
}

// Turns the number of entries of each row into where each row starts.
std::vector<int> row_starts(Rcpp::IntegerVector& p) {
  for (R_xlen_t g = 1; g < p.size(); ++g) p[g] += p[g - 1];
  return std::vector<int>(p.begin(), p.end() - 1);
}

template <class Source>
Rcpp::List dense_rows(const Source& x, int first, int last) {
  const int cells = x.ncol();
  Rcpp::IntegerVector p(last - first + 1);
  for (int cell = 0; cell < cells; ++cell) {
    for (int g = first; g < last; ++g) p[g - first + 1] += x(g, cell) != 0;
  }
  std::vector<int> next = row_starts(p);
  Rcpp::IntegerVector index(p[last - first]);
  Rcpp::NumericVector value(p[last - first]);
  for (int cell = 0; cell < cells; ++cell) {
    for (int g = first; g < last; ++g) {
      if (x(g, cell) == 0) continue;
      const int at = next[static_cast<std::size_t>(g - first)]++;
      index[at] = cell;
      const bool missing = Rcpp::traits::is_na<Source::r_type::value>(x(g, cell));
      value[at] = missing ? NA_REAL : static_cast<double>(x(g, cell));
    }
  }
  return compressed(p, index, value);
}

}  // namespace

// Rows first, ..., last - 1 (from 0) of a dgCMatrix given by its slots.
// [[Rcpp::export(rng = false)]]
Rcpp::List sparse_rows(Rcpp::IntegerVector i, Rcpp::IntegerVector p, Rcpp::NumericVector x,
                       int first, int last) {
  Rcpp::IntegerVector start(last - first + 1);
  for (R_xlen_t at = 0; at < i.size(); ++at) {
    if (i[at] >= first && i[at] < last && x[at] != 0) ++start[i[at] - first + 1];
  }
  std::vector<int> next = row_starts(start);
  Rcpp::IntegerVector index(start[last - first]);
  Rcpp::NumericVector value(start[last - first]);
  for (int cell = 0; cell + 1 < p.size(); ++cell) {
    for (int at = p[cell]; at < p[cell + 1]; ++at) {
      if (i[at] < first || i[at] >= last || x[at] == 0) continue;
      const int to = next[static_cast<std::size_t>(i[at] - first)]++;
      index[to] = cell;
      value[to] = x[at];
    }
  }
  return compressed(start, index, value);
}

// The same of a base matrix, integer or double.
// [[Rcpp::export(rng = false)]]
Rcpp::List matrix_rows(SEXP x, int first, int last) {
  if (TYPEOF(x) == INTSXP) return dense_rows(Rcpp::IntegerMatrix(x), first, last);
  return dense_rows(Rcpp::NumericMatrix(x), first, last);
}

// The first place (from 1) that holds no count, which is a whole number from 0 to 2^31 - 1; 0 when
// there is none.
// [[Rcpp::export(rng = false)]]
double first_not_count(Rcpp::NumericVector x) {
  for (R_xlen_t i = 0; i < x.size(); ++i) {
    const bool count = x[i] >= 0.0 && x[i] <= 2147483647.0 && x[i] == std::floor(x[i]);
    if (!count) return static_cast<double>(i + 1);
  }
  return 0.0;
}

// The distinct counts in increasing order, and how often each occurs.
// [[Rcpp::export(rng = false)]]
Rcpp::List table_of_counts(Rcpp::NumericVector x) {
  constexpr std::size_t kSmall = 1024;
  std::vector<int> small(kSmall, 0);
  std::vector<double> large;
  for (const double value : x) {
    if (value >= 0.0 && value < static_cast<double>(kSmall))
      ++small[static_cast<std::size_t>(value)];
    else
      large.push_back(value);
  }
  std::sort(large.begin(), large.end());
  std::vector<double> count;
  std::vector<int> cells;
  for (std::size_t i = 0; i < kSmall; ++i) {
    if (small[i] > 0) count.push_back(static_cast<double>(i)), cells.push_back(small[i]);
  }
  for (const double value : large) {
    if (count.empty() || count.back() != value) count.push_back(value), cells.push_back(0);
    ++cells.back();
  }
  return Rcpp::List::create(Rcpp::Named("count") = count, Rcpp::Named("cells") = cells);
}
