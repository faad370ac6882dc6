// R lists <-> what models/mmash.h works on.
#pragma once

#include <Rcpp.h>

#include <string>

#include "models/mmash.h"
#include "models/mmash/bed.h"
#include "models/mmash/marginal.h"
#include "models/mmash/posterior.h"
#include "models/mmash/signals.h"
#include "rglue/archive.h"
#include "rglue/fit.h"
#include "rglue/monitor.h"

namespace mixology {

inline MatrixXd as_matrix(SEXP x) {
  const Rcpp::NumericMatrix m(x);
  return Eigen::Map<const MatrixXd>(m.begin(), m.nrow(), m.ncol());
}

inline VectorXd as_vector(SEXP x) {
  const Rcpp::NumericVector v(x);
  return Eigen::Map<const VectorXd>(v.begin(), v.size());
}

inline Rcpp::NumericMatrix to_matrix(const Eigen::Ref<const MatrixXd>& m) {
  Rcpp::NumericMatrix out(static_cast<int>(m.rows()), static_cast<int>(m.cols()));
  Eigen::Map<MatrixXd>(out.begin(), m.rows(), m.cols()) = m;
  return out;
}

inline Rcpp::NumericVector to_vector(const VectorXd& v) {
  return Rcpp::NumericVector(v.data(), v.data() + v.size());
}

inline std::vector<Index> as_indices(SEXP x) {  // counted from 0
  const Rcpp::IntegerVector v(x);
  return std::vector<Index>(v.begin(), v.end());
}

inline std::vector<std::int8_t> as_bytes(const Rcpp::RObject& x) {
  std::vector<std::int8_t> out;
  if (TYPEOF(x) == INTSXP) {
    const Rcpp::IntegerVector v(x);
    for (int value : v) {
      out.push_back(value == NA_INTEGER ? std::int8_t(-128) : static_cast<std::int8_t>(value));
    }
  } else {
    const Rcpp::NumericVector v(x);
    out.reserve(static_cast<std::size_t>(v.size()));
    for (double value : v) {
      out.push_back(std::isnan(value) ? std::int8_t(-128) : static_cast<std::int8_t>(value));
    }
  }
  return out;
}

// Compressed columns of small whole numbers, read where R keeps them (the caller holds `x`).
inline std::shared_ptr<const mmash::Genotypes> sparse_genotypes(const Rcpp::S4& x) {
  const Rcpp::IntegerVector dim = x.slot("Dim");
  const Rcpp::IntegerVector i = x.slot("i");
  const Rcpp::IntegerVector p = x.slot("p");
  const Rcpp::NumericVector value = x.slot("x");
  return std::make_shared<mmash::SparseGenotypes>(p.begin(), i.begin(), value.begin(), dim[0],
                                                  dim[1]);
}

inline std::shared_ptr<const mmash::BedGenotypes> bed_genotypes(const Rcpp::List& input) {
  return mmash::open_bed(Rcpp::as<std::string>(input["x"]), Rcpp::as<int>(input["rows"]),
                         Rcpp::as<int>(input["cols"]), Rcpp::as<bool>(input["count_first"]));
}

// Genotypes that are kept in one byte or two bits, or only where they are not 0.
inline std::shared_ptr<const mmash::Genotypes> mmash_genotypes(const Rcpp::List& input) {
  const Rcpp::RObject x = input["x"];
  const std::string kind = Rcpp::as<std::string>(input["kind"]);
  const Index samples = Rcpp::as<int>(input["rows"]);
  if (kind == "bed") return bed_genotypes(input);
  if (kind == "sparse") return sparse_genotypes(Rcpp::S4(x));
  return std::make_shared<mmash::ByteGenotypes>(as_bytes(x), samples);
}

inline std::shared_ptr<const mmash::Design> mmash_design(const Rcpp::List& input,
                                                         Monitor& monitor) {
  const std::string kind = Rcpp::as<std::string>(input["kind"]);
  mmash::DesignOptions options;
  options.standardize = Rcpp::as<bool>(input["standardize"]);
  if (kind == "gram") {
    return std::make_shared<mmash::GramDesign>(as_matrix(input["x"]), Rcpp::as<double>(input["n"]),
                                               options.standardize);
  }
  options.order = as_indices(input["order"]);
  options.samples = as_indices(input["samples"]);
  options.basis = as_matrix(input["basis"]);
  if (kind == "dense") {
    const Rcpp::NumericMatrix m = input["x"];
    const Eigen::Map<const MatrixXd> view(m.begin(), m.nrow(), m.ncol());
    return std::make_shared<mmash::DenseDesign>(view, options);
  }
  return interruptible([&] {
    return std::make_shared<mmash::CodedDesign>(mmash_genotypes(input), options, monitor);
  });
}

inline std::vector<mmash::Pattern> mmash_patterns(const Rcpp::List& list) {
  std::vector<mmash::Pattern> out;
  for (const Rcpp::List item : list) {
    mmash::Pattern pattern;
    pattern.begin = Rcpp::as<int>(item["begin"]);
    pattern.end = Rcpp::as<int>(item["end"]);
    pattern.seen = as_indices(item["seen"]);
    out.push_back(pattern);
  }
  return out;
}

inline Mmash::Data mmash_data(const Rcpp::List& input, Monitor& monitor) {
  Mmash::Data data;
  data.design = mmash_design(input, monitor);
  data.gram = Rcpp::as<std::string>(input["kind"]) == "gram";
  data.n = Rcpp::as<double>(input["n"]);
  const MatrixXd y = as_matrix(input["y"]);
  data.response = MatrixXd::Zero(data.design->leading(), y.cols());
  data.response.topRows(y.rows()) = y;
  if (data.gram) {
    data.response.topRows(y.rows()) = data.design->scale().cwiseInverse().asDiagonal() * y;
    data.cross = as_matrix(input["cross"]);
    return data;
  }
  data.patterns = mmash_patterns(input["patterns"]);
  if (!data.patterns.empty()) data.fixed = as_matrix(input["fixed"]);
  return data;
}

inline mmash::Prior mmash_prior(const Rcpp::List& list) {
  mmash::Prior prior;
  const Rcpp::List factors = list["factors"];
  for (const SEXP factor : factors) prior.factors.push_back(as_matrix(factor));
  prior.variances = as_vector(list["grid"]).cwiseAbs2();
  prior.null = Rcpp::as<bool>(list["null"]);
  prior.null_penalty = Rcpp::as<double>(list["penalty"]);
  return prior;
}

inline Mmash::Options mmash_options(const Rcpp::List& list) {
  Mmash::Options options;
  options.learn_weights = Rcpp::as<bool>(list["learn_weights"]);
  options.learn_residual = Rcpp::as<bool>(list["learn_residual"]);
  options.marginal = Rcpp::as<bool>(list["marginal"]);
  options.rank = Rcpp::as<int>(list["rank"]);
  const std::string kind = Rcpp::as<std::string>(list["residual"]);
  options.residual = kind == "diagonal"   ? mmash::Residual::diagonal
                     : kind == "low_rank" ? mmash::Residual::low_rank
                                          : mmash::Residual::full;
  return options;
}

// A state to go on from, or mean (P x J, on the scale of the design), weights and sigma.
inline Mmash::State mmash_state(const Mmash& model, const Rcpp::List& start) {
  if (start.containsElementNamed("state")) return model.load(to_archive(start["state"]));
  const VectorXd weights = as_vector(start["weights"]);
  const VectorXd logs = weights.array().log().cwiseMax(mmash::Mixture::kNever);
  const MatrixXd mean = as_matrix(start["mean"]);
  const MatrixXd scaled = mean.transpose() * model.design().scale().asDiagonal();
  return model.init(scaled, logs, as_matrix(start["sigma"]));
}

inline Rcpp::List to_list(const mmash::EffectSummaries& s, const VectorXd& scale) {
  const VectorXd by = scale.cwiseInverse();
  return Rcpp::List::create(Rcpp::Named("sd") = to_matrix((s.sd * by.asDiagonal()).transpose()),
                            Rcpp::Named("positive") = to_matrix(s.positive.transpose()),
                            Rcpp::Named("negative") = to_matrix(s.negative.transpose()),
                            Rcpp::Named("zero") = to_matrix(s.zero.transpose()),
                            Rcpp::Named("null") = to_vector(s.null));
}

inline Rcpp::List to_list(const mmash::PatternSums& sums,
                          const std::vector<mmash::Pattern>& patterns) {
  Rcpp::List zx, zz, seen;
  for (std::size_t m = 0; m < patterns.size(); ++m) {
    zx.push_back(to_matrix(sums.zx[m]));
    zz.push_back(to_matrix(sums.zz[m]));
    Rcpp::IntegerVector conditions(patterns[m].seen.begin(), patterns[m].seen.end());
    seen.push_back(conditions + 1);
  }
  return Rcpp::List::create(Rcpp::Named("square") = to_matrix(sums.square), Rcpp::Named("zx") = zx,
                            Rcpp::Named("zz") = zz, Rcpp::Named("seen") = seen);
}

inline Rcpp::List to_list(const std::vector<mmash::Signal>& signals) {
  using Rcpp::Named;
  Rcpp::List out;
  auto one_based = [](const std::vector<Index>& v) {
    return Rcpp::IntegerVector(v.begin(), v.end()) + 1;
  };
  for (const mmash::Signal& s : signals) {
    out.push_back(Rcpp::List::create(
        Named("lead") = static_cast<int>(s.lead) + 1, Named("mass") = s.mass,
        Named("members") = one_based(s.members), Named("variants") = one_based(s.variants),
        Named("probability") = Rcpp::wrap(s.probability),
        Named("correlation") = to_matrix(s.correlation)));
  }
  return out;
}

// Beyond this many genotypes the signals of a fit that was stopped are not looked for: that takes
// seconds, and there may be many of them yet.
constexpr double kManyGenotypes = 1e8;

// `null`: the probability of the null of each effect; NaN: the prior has none. NULL: not looked for.
inline Rcpp::RObject mmash_signals(const Mmash& model, const Mmash::State& state,
                                   const VectorXd& null, const Monitor& monitor) {
  if (!model.prior().null || model.options().marginal) return Rcpp::List();
  const double genotypes =
      static_cast<double>(model.design().rows()) * static_cast<double>(model.cols());
  if (monitor.stopped() && genotypes > kManyGenotypes) return R_NilValue;
  const VectorXd pip = 1.0 - null.array();
  return to_list(mmash::SignalFinder(model, state, mmash::SignalOptions()).find(pip));
}

// What R makes a fit of; effects on the scale of the input.
inline Rcpp::List mmash_results(const Mmash& model, const Mmash::State& state, Executor& executor) {
  using Rcpp::Named;
  const mmash::Design& design = model.design();
  const VectorXd by = design.scale().cwiseInverse();
  Rcpp::List out = to_list(mmash::summarise(model, state, executor), design.scale());
  out["mean"] = to_matrix((state.mean * by.asDiagonal()).transpose());
  out["weights"] = to_vector(state.log_weights.array().exp());
  out["sigma"] = to_matrix(state.sigma);
  out["residual"] = to_matrix(state.residual.topRows(design.rows()));
  out["fixed"] = to_matrix(state.fixed);
  out["covariates"] = to_matrix(design.basis_part() * state.mean.transpose());
  out["center"] = to_vector(design.center());
  out["scale"] = to_vector(design.scale());
  out["square"] = to_vector(design.squares());
  if (!model.complete()) out["patterns"] = to_list(model.pattern_sums(), model.data().patterns);
  return out;
}

}  // namespace mixology
