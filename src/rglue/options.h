// Options structs <-> R lists. A name that the list lacks keeps its C++ default.
#pragma once

#include <Rcpp.h>

#include "core/options.h"

namespace mixology {

template <class T>
void read(const Rcpp::List& list, const char* name, T& value) {
  if (list.containsElementNamed(name)) value = Rcpp::as<T>(list[name]);
}

inline void read_ascent(const Rcpp::List& list, AscentOptions& options) {
  read(list, "tolerance", options.tolerance);
  read(list, "parameter_tolerance", options.parameter_tolerance);
  read(list, "max_iterations", options.max_iterations);
  read(list, "restarts", options.restarts);
  read(list, "short_iterations", options.short_iterations);
  read(list, "accelerate", options.accelerate);
}

inline EmOptions em_options(const Rcpp::List& list) {
  EmOptions options;
  read_ascent(list, options);
  return options;
}

inline VbOptions vb_options(const Rcpp::List& list) {
  VbOptions options;
  read_ascent(list, options);
  return options;
}

inline GibbsOptions gibbs_options(const Rcpp::List& list) {
  GibbsOptions options;
  read(list, "chains", options.chains);
  read(list, "iterations", options.iterations);
  read(list, "warmup", options.warmup);
  read(list, "thin", options.thin);
  return options;
}

inline Rcpp::List to_list(const AscentOptions& options) {
  using Rcpp::Named;
  return Rcpp::List::create(Named("tolerance") = options.tolerance,
                            Named("parameter_tolerance") = options.parameter_tolerance,
                            Named("max_iterations") = options.max_iterations,
                            Named("restarts") = options.restarts,
                            Named("short_iterations") = options.short_iterations,
                            Named("accelerate") = options.accelerate);
}

inline Rcpp::List to_list(const GibbsOptions& options) {
  using Rcpp::Named;
  return Rcpp::List::create(Named("chains") = options.chains,
                            Named("iterations") = options.iterations,
                            Named("warmup") = options.warmup, Named("thin") = options.thin);
}

}  // namespace mixology
