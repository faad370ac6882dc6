// R entry points that predict from a cwm fit: unpack, call, pack.
#include "models/cwm/predict.h"

#include "rglue/cwm.h"

using namespace mixology;

namespace {

MatrixXd block(const Rcpp::List& list, const char* name, int k, int size) {
  const Rcpp::NumericMatrix all = list[name];
  return cwm::as_map(all).middleCols(k * size, size);
}

double degrees(const Rcpp::List& list, const char* name, int k) {
  if (!list.containsElementNamed(name)) return HUGE_VAL;
  return Rcpp::as<Rcpp::NumericVector>(list[name])[k];
}

MatrixXd lower_factor(const MatrixXd& a) { return a.llt().matrixL(); }

// `list`: weight, cluster, mean, covariance, coef, noise, and for Student components
// covariance_df, noise_df, leverage (and `independent`, for x by a product of them). Matrices side
// by side, one block of columns per component.
cwm::Predictive read_predictive(const Rcpp::List& list) {
  const Rcpp::NumericVector weight = list["weight"];
  const Rcpp::IntegerVector cluster = list["cluster"];
  const Rcpp::NumericMatrix mean = list["mean"], coef = list["coef"], noise = list["noise"];
  std::vector<cwm::PredictiveComponent> out;
  for (int k = 0; k < weight.size(); ++k) {
    cwm::PredictiveComponent c;
    c.log_weight = std::log(weight[k]);
    c.cluster = cluster[k] - 1;
    c.mean = cwm::as_map(mean).col(k);
    c.spread = lower_factor(block(list, "covariance", k, mean.nrow()));
    c.spread_df = degrees(list, "covariance_df", k);
    c.independent = list.containsElementNamed("independent");
    c.coef = block(list, "coef", k, noise.nrow());
    c.noise = lower_factor(block(list, "noise", k, noise.nrow()));
    c.noise_df = degrees(list, "noise_df", k);
    if (list.containsElementNamed("leverage")) {
      c.leverage = lower_factor(block(list, "leverage", k, coef.nrow()));
    }
    out.push_back(c);
  }
  return {out, Rcpp::max(cluster)};
}

// Columns of the answer of one row.
int answer_width(const std::string& type, int clusters, int m, int draws, int levels) {
  if (type == "response") return m;
  if (type == "prob") return clusters;
  if (type == "density") return 2;
  if (type == "interval") return m * (1 + levels);
  return m * draws;
}

}  // namespace

// type: "response" (n x M), "prob" (n x K; uses what is seen of y), "density" (log p(y | x) and
// log p(x, y)), "interval" (n x (M + levels M): means, then quantiles, levels first) or "draws"
// (n x (M draws)).
// [[Rcpp::export(rng = false)]]
Rcpp::NumericMatrix cwm_predict_rows(Rcpp::List mixture, Rcpp::NumericMatrix x,
                                     Rcpp::NumericMatrix w, Rcpp::NumericMatrix y, std::string type,
                                     Rcpp::NumericVector levels, int draws, double seed,
                                     int threads) {
  const cwm::Predictive predictive = read_predictive(mixture);
  const cwm::PredictiveIntervals intervals(predictive);
  const auto xs = cwm::as_map(x), ws = cwm::as_map(w), ys = cwm::as_map(y);
  const int m = Rcpp::as<Rcpp::NumericMatrix>(mixture["noise"]).nrow();
  const std::vector<double> p(levels.begin(), levels.end());
  std::vector<std::vector<double>> standard;
  for (double level : p) standard.push_back(intervals.standard_quantiles(level));
  const int width = answer_width(type, predictive.clusters(), m, draws, static_cast<int>(p.size()));
  Rcpp::NumericMatrix out(x.nrow(), width);
  Eigen::Map<MatrixXd> answer(out.begin(), x.nrow(), width);
  auto row = [&](Index i) {
    const VectorXd xi = xs.row(i), wi = ws.row(i);
    const VectorXd yi = ys.row(i);
    if (type == "prob") {
      answer.row(i) = predictive.cluster_probabilities(predictive.scores(xi, wi, yi));
      return;
    }
    const VectorXd gate = predictive.scores(xi, wi, VectorXd());
    if (type == "density") {
      const double joint = cwm::Predictive::total(predictive.scores(xi, wi, yi));
      answer(i, 0) = joint - cwm::Predictive::total(gate);
      answer(i, 1) = joint;
      return;
    }
    const VectorXd probability = cwm::Predictive::probabilities(gate);
    if (type == "response") {
      answer.row(i) = predictive.mean(probability, wi);
    } else if (type == "interval") {
      answer.row(i).head(m) = predictive.mean(probability, wi);
      for (int j = 0; j < m; ++j) {
        const cwm::Univariate mixture_of_row = intervals.response(probability, wi, j);
        for (std::size_t l = 0; l < p.size(); ++l) {
          answer(i, m + j * static_cast<Index>(p.size()) + static_cast<Index>(l)) =
              mixture_of_row.quantile(p[l], standard[l]);
        }
      }
    } else {
      Rng rng(static_cast<std::uint64_t>(seed), 0, 0, static_cast<std::uint64_t>(i));
      for (int s = 0; s < draws; ++s) {
        answer.block(i, s * m, 1, m) = predictive.draw(probability, wi, rng).transpose();
      }
    }
  };
  constexpr Index kRows = 256;
  Monitor unstoppable;
  TbbExecutor executor(threads);
  executor.run(
      chunk_count(x.nrow(), kRows),
      [&](Index i) {
        const Range rows = chunk_range(i, kRows, x.nrow());
        for (Index at = rows.begin; at < rows.end; ++at) row(at);
      },
      unstoppable);
  return out;
}
