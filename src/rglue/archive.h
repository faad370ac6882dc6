// Archive <-> named R list of numeric vectors and matrices.
#pragma once

#include <Rcpp.h>

#include "core/archive.h"

namespace mixology {

inline Rcpp::List to_list(const Archive& archive) {
  const auto& items = archive.items();
  Rcpp::List out(items.size());
  Rcpp::CharacterVector names(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    const Array& array = items[i].second;
    Rcpp::NumericVector values(array.values.begin(), array.values.end());
    if (array.cols >= 0) values.attr("dim") = Rcpp::Dimension(array.rows, array.cols);
    out[i] = values;
    names[i] = items[i].first;
  }
  out.attr("names") = names;
  return out;
}

inline Archive to_archive(const Rcpp::List& list) {
  Archive archive;
  if (list.size() == 0) return archive;
  const Rcpp::CharacterVector names = list.attr("names");
  for (R_xlen_t i = 0; i < list.size(); ++i) {
    const Rcpp::NumericVector values(static_cast<SEXP>(list[i]));
    Array array;
    array.values.assign(values.begin(), values.end());
    array.rows = values.size();
    if (values.hasAttribute("dim")) {
      const Rcpp::IntegerVector dim = values.attr("dim");
      array.rows = dim[0];
      array.cols = dim[1];
    }
    archive.add(Rcpp::as<std::string>(names[i]), std::move(array));
  }
  return archive;
}

}  // namespace mixology
