// Between R and models/nbmix: options, the shared cells, and tables of results for many genes.
#pragma once

#include <Rcpp.h>

#include <string>
#include <vector>

#include "models/nbmix/fit.h"
#include "rglue/fit.h"
#include "rglue/options.h"

namespace mixology {

inline Cells make_cells(const Rcpp::NumericVector& size_factors, Monitor& monitor) {
  return Cells(std::vector<double>(size_factors.begin(), size_factors.end()), &monitor);
}

inline Criterion criterion_of(const std::string& name) {
  return name == "ICL" ? Criterion::icl : name == "AIC" ? Criterion::aic : Criterion::bic;
}

inline NbmixOptions nbmix_options(const Rcpp::List& settings, const Rcpp::List& control) {
  NbmixOptions options;
  options.em = em_options(control);
  options.k = Rcpp::as<std::vector<int>>(settings["k"]);
  options.zero_inflated = Rcpp::as<bool>(settings["zero_inflated"]);
  options.cox_reid = Rcpp::as<bool>(settings["cox_reid"]);
  options.criterion = criterion_of(Rcpp::as<std::string>(settings["criterion"]));
  options.seed = static_cast<std::uint64_t>(Rcpp::as<double>(settings["seed"]));
  return options;
}

// `start`: no state, one for all genes, or one for each (some of them empty lists).
inline void read_starts(const Rcpp::List& start, double first_gene, NbmixOptions& options) {
  for (const Rcpp::List one : start) options.starts.push_back(to_archive(one));
  options.first_item = static_cast<std::uint64_t>(first_gene);
}

inline Mixture mixture_of(const Rcpp::NumericVector& weight, const Rcpp::NumericVector& mean,
                          const Rcpp::NumericVector& dispersion) {
  Mixture mixture;
  std::vector<double> parts;
  double point_mass = 0.0;
  bool has_point_mass = false;
  for (R_xlen_t j = 0; j < weight.size(); ++j) {
    if (mean[j] > 0.0) {
      parts.push_back(weight[j]);
      mixture.component.push_back({std::log(mean[j]), dispersion[j]});
    } else {
      point_mass += weight[j];
      has_point_mass = true;
    }
  }
  if (has_point_mass) parts.push_back(point_mass);
  mixture.weight = Eigen::Map<VectorXd>(parts.data(), static_cast<Index>(parts.size()));
  return mixture;
}

// What could not be had is NA in R.
inline double or_na(double x) { return std::isnan(x) ? NA_REAL : x; }

// One row per gene and K tried.
class CandidateTable {
 public:
  void add(int gene, const NbmixFit& fit, Criterion) {
    gene_.push_back(gene);
    k_.push_back(fit.k);
    df_.push_back(fit.df);
    log_lik_.push_back(or_na(fit.log_likelihood));
    entropy_.push_back(or_na(fit.entropy));
    evidence_.push_back(or_na(fit.evidence));
    const bool tried = !fit.trace.value.empty();
    objective_.push_back(tried ? or_na(fit.trace.last()) : NA_REAL);
    converged_.push_back(tried && fit.trace.converged());
    const bool ended = fit.trace.status != Status::running;
    status_.push_back(ended ? status_name(fit.trace.status) : "not_tried");
    iterations_.push_back(fit.trace.iterations());
    seconds_.push_back(tried ? fit.trace.seconds.back() : NA_REAL);
  }
  Rcpp::List list() const {
    using Rcpp::Named;
    return Rcpp::List::create(Named("gene") = gene_, Named("k") = k_, Named("df") = df_,
                              Named("logLik") = log_lik_, Named("entropy") = entropy_,
                              Named("objective") = objective_, Named("converged") = converged_,
                              Named("status") = status_, Named("iterations") = iterations_,
                              Named("seconds") = seconds_, Named("evidence") = evidence_);
  }

 private:
  std::vector<int> gene_, k_, df_, iterations_;
  std::vector<double> log_lik_, entropy_, objective_, seconds_, evidence_;
  std::vector<bool> converged_;
  std::vector<std::string> status_;
};

// One row per gene and part of the chosen fit; covariances of a gene as its lower triangle.
class EstimateTable {
 public:
  void add(int gene, const NbmixFit& fit) {
    const Index parts = fit.weight.size();
    for (Index j = 0; j < parts; ++j) {
      gene_.push_back(gene);
      weight_.push_back(fit.weight[j] < kEmptyWeight ? 0.0 : fit.weight[j]);
      mean_.push_back(fit.mean[j]);
      dispersion_.push_back(fit.dispersion[j]);
    }
    for (Index c = 0; c < 3 * parts; ++c) {
      for (Index r = c; r < 3 * parts; ++r) covariance_.push_back(or_na(fit.covariance(r, c)));
    }
  }
  Rcpp::List list() const {
    using Rcpp::Named;
    return Rcpp::List::create(Named("gene") = gene_, Named("weight") = weight_,
                              Named("mean") = mean_, Named("dispersion") = dispersion_,
                              Named("covariance") = covariance_);
  }

 private:
  std::vector<int> gene_;
  std::vector<double> weight_, mean_, dispersion_, covariance_;
};

}  // namespace mixology
