// What the entry points of cwm share: input lists, packed results.
#pragma once

#include "models/cwm.h"
#include "rglue/archive.h"
#include "rglue/executor.h"
#include "rglue/fit.h"
#include "rglue/monitor.h"
#include "rglue/options.h"

namespace mixology {
namespace cwm {

inline Eigen::Map<const MatrixXd> as_map(const Rcpp::NumericMatrix& a) {
  return {a.begin(), a.nrow(), a.ncol()};
}

// `input`: x, w, y, link (matrices), family.
inline Data read_data(const Rcpp::List& input) {
  const Rcpp::NumericMatrix x = input["x"], w = input["w"], y = input["y"], link = input["link"];
  const Family family = family_from(Rcpp::as<std::string>(input["family"]));
  return make_data(as_map(x), as_map(w), as_map(y), as_map(link), spherical(family));
}

// Labels counted from 1, in the user's order of rows.
inline Labels read_labels(const Rcpp::IntegerVector& given, const Data& data) {
  Labels out(static_cast<std::size_t>(data.n()));
  for (Index i = 0; i < data.n(); ++i) {
    out[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(given[data.row(i)] - 1);
  }
  return out;
}

// weight, mean, covariance, coef, noise; matrices side by side.
inline Estimate read_estimate(const Rcpp::List& values) {
  const Archive a = to_archive(values);
  return {a.vector("weight"), a.matrix("mean"), a.matrix("covariance"), a.matrix("coef"),
          a.matrix("noise")};
}

inline std::vector<bool> noise_at_floor(const Em::State& state) {
  std::vector<bool> out;
  for (const Factor& f : state.noise) out.push_back(f.at_floor);
  return out;
}

// Where a stopped climb stood.
inline AscentProgress read_progress(const Rcpp::List& input) {
  const Rcpp::List memory = input["memory"];
  return {Rcpp::as<int>(input["iteration"]), to_archive(memory)};
}

// The numbers of cwm_prior(), in the user's units.
inline Prior read_prior(const Rcpp::List& list) {
  const Archive a = mixology::to_archive(Rcpp::List(list["core"]));
  Prior out;
  out.stick_breaking = a.scalar("stick_breaking") != 0.0;
  out.concentration = a.scalar("concentration");
  out.family = family_from(Rcpp::as<std::string>(list["family"]));
  out.equal_noise = a.scalar("equal_noise") != 0.0;
  out.part.beta = a.scalar("mean_precision");
  out.part.nu = a.scalar("covariance_df");
  out.part.mean = a.vector("mean");
  out.part.scale = a.matrix("covariance_scale");
  out.part.eta = a.scalar("noise_df");
  out.part.coef = a.matrix("coefficients");
  out.part.precision = a.matrix("coefficient_precision");
  out.part.residual = a.matrix("noise_scale");
  return out;
}

// Short runs of small data cost next to nothing, and likelihoods have many maxima: EM then begins
// each restart from several partitions.
inline int partitions_per_restart(Index n) {
  return static_cast<int>(std::max<Index>(1, std::min<Index>(4, 8000 / std::max<Index>(n, 1))));
}

// One state per start: given labels, or the model's own partitions.
template <class Model>
std::vector<typename Model::State> make_starts(const Model& model, const Rcpp::List& input,
                                               int restarts, double seed) {
  std::vector<typename Model::State> out;
  if (!Rf_isNull(input["labels"])) {
    const Rcpp::IntegerVector labels = input["labels"];
    out.push_back(model.from_labels(read_labels(labels, model.data())));
    return out;
  }
  if (std::is_same<Model, Em>::value && restarts > 1) {
    restarts *= partitions_per_restart(model.data().n());
  }
  if (model.k() == 1) restarts = 1;
  for (int s = 0; s < restarts; ++s) {
    out.push_back(model.from_labels(
        starting_labels(model.data(), model.k(), s, static_cast<std::uint64_t>(seed))));
  }
  return out;
}

inline Rcpp::NumericMatrix to_matrix(const MatrixXd& a) {
  Rcpp::NumericMatrix out(
      Rcpp::no_init_matrix(static_cast<int>(a.rows()), static_cast<int>(a.cols())));
  std::copy(a.data(), a.data() + a.size(), out.begin());
  return out;
}

// Responsibilities as a fit keeps them, components by decreasing size: `order` takes the engine's
// numbering to that one, `labels` is the likeliest component of each row. `rows`: their names.
inline Rcpp::List to_clusters(const Eigen::Ref<const MatrixXd>& responsibility, SEXP rows) {
  const std::vector<int> order = by_size(responsibility);
  const Index n = responsibility.rows(), k = responsibility.cols();
  Rcpp::NumericMatrix sorted(Rcpp::no_init_matrix(static_cast<int>(n), static_cast<int>(k)));
  Rcpp::IntegerVector labels(Rcpp::no_init(n)), numbers(k);
  Rcpp::CharacterVector names(k);
  Eigen::Map<MatrixXd> to(sorted.begin(), n, k);
  for (Index j = 0; j < k; ++j) {
    const int from = order[static_cast<std::size_t>(j)];
    to.col(j) = responsibility.col(from);
    numbers[j] = from + 1;
    names[j] = std::to_string(j + 1);
  }
  for (Index i = 0; i < n; ++i) {
    Index best = 0;
    for (Index j = 1; j < k; ++j) best = to(i, j) > to(i, best) ? j : best;
    labels[i] = static_cast<int>(best) + 1;
  }
  sorted.attr("dimnames") = Rcpp::List::create(rows, names);
  if (!Rf_isNull(rows)) labels.attr("names") = rows;
  return Rcpp::List::create(
      Rcpp::Named("order") = numbers, Rcpp::Named("responsibilities") = sorted,
      Rcpp::Named("labels") = labels, Rcpp::Named("entropy") = entropy(responsibility));
}

}  // namespace cwm
}  // namespace mixology
