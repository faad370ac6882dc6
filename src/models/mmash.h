// M&M ASH: multivariate multiple regression with a mixture-of-normals prior on the effects
// (notebook of October 2016; Morgante et al. 2023, PLoS Genetics 19:e1010539).
//
//   Y (N x J) = X (N x P) B + E,   rows of E ~ N(0, Sigma)
//   row beta_p of B ~ sum_t pi_t N(0, V_t),   V_t = omega_l^2 U_k, or a point mass at 0
//   q(B) = prod_p sum_t alpha_pt N(mu_pt, S_pt)
//
// One sweep updates q(beta_p) for p = 1, ..., P given the others (eq. 20-24); pi and Sigma follow
// from the sums of the sweep. An intercept (and covariates) are profiled out by centring.
//
//   R        residual Y - X E(B); with sufficient statistics X'R in its place
//   phi_p    Sigma^-1 (R'x_p + d_p E(beta_p)): the data's word on beta_p
//   C        [R'R + sum_p d_p Cov(beta_p)] / N, the expected residual cross-product
#pragma once

#include <cmath>
#include <memory>
#include <vector>

#include "core/archive.h"
#include "core/parallel.h"
#include "models/mmash/design.h"
#include "models/mmash/missing.h"
#include "models/mmash/mixture.h"
#include "models/mmash/residual.h"

namespace mixology {

class Mmash {
 public:
  struct Data {
    std::shared_ptr<const mmash::Design> design;
    bool gram = false;  // sufficient statistics: the design's columns are those of X'X
    MatrixXd response;  // Y, or X'Y; rows padded as the design's columns
    MatrixXd cross;     // Y'Y
    double n = 0.0;
    std::vector<mmash::Pattern> patterns;  // of missing responses; none: Y is complete
    MatrixXd fixed;  // N x f, intercept and covariates: used only when Y has gaps
  };

  struct Options {
    bool learn_weights = true;
    bool learn_residual = true;
    mmash::Residual residual = mmash::Residual::full;
    Index rank = 0;
    bool marginal = false;  // one SNP at a time, the others ignored: mash
  };

  struct Stats {
    VectorXd alpha;         // sum_p alpha_pt
    double fit = 0.0;       // sum_p log sum_t pi_t BF_pt - mu_p'phi_p + mu_p'L_p mu_p / 2
    double residual = 0.0;  // expected log likelihood at the mean of q, constants included
    MatrixXd cross;         // C
    double moved = 0.0;     // largest change of an effect, in standard errors
    Stats& operator+=(const Stats&) { return *this; }  // a sweep is one chunk
  };

  struct State {
    MatrixXd mean;      // J x P
    MatrixXd phi;       // J x P, as it was when q(beta_p) was updated
    MatrixXd residual;  // R
    MatrixXd fixed;     // f x J coefficients of Data::fixed
    VectorXd log_weights;
    MatrixXd sigma;
    mmash::Factored inverse;
    mmash::Precisions precision;  // one per pattern
    std::shared_ptr<const mmash::Mixture> mixture;
  };

  Mmash(Data data, mmash::Prior prior, Options options, Executor* executor = nullptr)
      : data_(std::move(data)), prior_(std::move(prior)), options_(options), executor_(executor) {
    if (!complete()) measure_patterns();
    floor_ = kLeastVariance * response_variance();
  }

  Index items() const { return cols(); }
  Index chunk() const { return cols(); }  // a sweep is sequential
  Index cols() const { return design().cols(); }
  Index conditions() const { return data_.response.cols(); }
  const mmash::Prior& prior() const { return prior_; }
  const mmash::Design& design() const { return *data_.design; }
  const Data& data() const { return data_; }
  const Options& options() const { return options_; }
  bool complete() const { return data_.patterns.empty(); }

  // mean: J x P on the scale of the design.
  State init(const MatrixXd& mean, const VectorXd& log_weights, const MatrixXd& sigma) const {
    State s;
    s.mean = mean;
    s.phi = MatrixXd::Zero(conditions(), cols());
    s.log_weights = log_weights;
    s.fixed = MatrixXd::Zero(data_.fixed.cols(), conditions());
    s.residual = data_.response;
    if (!options_.marginal) subtract_all(s.mean, s.residual);
    set_residual(s, sigma);
    if (!complete()) update_fixed(s);
    return s;
  }

  // ---- sweeps (models/mmash/sweep.h) ----
  Stats update_local(State& s, Range, Monitor& watch) const;
  // Calls visit(p, d, phi, workspace) -> new mean for every SNP in turn, keeping R up to date, until
  // the monitor says stop.
  template <class Visit>
  void visit_all(State& s, mmash::Workspace& w, Monitor& watch, Visit visit) const;

  void update_global(State& s, const Stats& stats) const {
    if (options_.learn_weights) s.log_weights = updated_weights(stats);
    if (options_.learn_residual) {
      set_residual(s, residual_update(stats.cross, options_.residual, options_.rank, floor_));
      if (!complete()) update_fixed(s);
    } else {
      set_mixture(s);
    }
  }

  // The bound, and the log density of the Dirichlet prior of the weights where it is not flat.
  double objective(const State& s, const Stats& stats) const {
    double value = stats.fit + stats.residual;
    if (options_.learn_weights && prior_.null && prior_.null_penalty != 1.0) {
      value += (prior_.null_penalty - 1.0) * s.log_weights[0];
    }
    return value;
  }

  // One unit of log likelihood per number observed, whatever the units of Y; one SNP at a time sees
  // each number as often as there are SNPs.
  double objective_scale() const {
    const double times = options_.marginal ? static_cast<double>(cols()) : 1.0;
    return times * data_.n * static_cast<double>(conditions());
  }

  double longest_step() const { return kLongestStep; }

  // The trace of Sigma^-1 R'R is a sum of terms of this size.
  double rounding(const State& s) const {
    const MatrixXd inverse = complete() ? s.inverse.inverse : mmash::factor(s.sigma).inverse;
    return 2e-15 * data_.n * inverse.diagonal().dot(floor_) / kLeastVariance;
  }

  // The largest change of an effect in units of its standard error, or of a weight. Over 1000: a
  // parameter tolerance of 1e-8 then is one of 1e-5 standard errors.
  double movement(const State& s, const Stats& stats) const {
    double moved = stats.moved;
    if (options_.learn_weights) {
      const VectorXd change = updated_weights(stats).array().exp() - s.log_weights.array().exp();
      moved = std::max(moved, change.cwiseAbs().maxCoeff());
    }
    return moved / 1000.0;
  }
  // Weights ahead of the sweeps (models/mmash/weights.h).
  VectorXd own_step(const State& s, const Stats& stats) const;
  // What starting points are compared by (models/mmash/evidence.h).
  double merit(const State& s, const Stats&, double objective) const;

  VectorXd parameters(const State& s) const {
    return options_.learn_weights ? s.log_weights.cwiseMax(kTinyLog) : VectorXd();
  }
  void set_parameters(State& s, const VectorXd& theta) const {
    const double top = theta.maxCoeff();
    const VectorXd relative = (theta.array() - top).cwiseMax(kTinyLog).exp();
    s.log_weights = (relative / relative.sum()).array().log();
    set_mixture(s);
  }

  Archive save(const State& s) const {
    Archive out;
    out.put("mean", s.mean);
    out.put("phi", s.phi);
    out.put("residual", s.residual);
    out.put("fixed", s.fixed);
    out.put("log_weights", s.log_weights);
    out.put("sigma", s.sigma);
    return out;
  }

  State load(const Archive& archive) const {
    State s;
    s.mean = archive.matrix("mean");
    s.phi = archive.matrix("phi");
    s.residual = archive.matrix("residual");
    s.fixed = archive.matrix("fixed");
    s.log_weights = archive.vector("log_weights");
    set_residual(s, archive.matrix("sigma"));
    return s;
  }

  void put_stats(Archive& out, const Stats& stats) const {
    out.put("alpha", stats.alpha);
    out.put("cross", stats.cross);
    out.put("fit", stats.fit);
    out.put("log_likelihood", stats.residual);
  }
  Stats get_stats(const Archive& archive) const {
    Stats stats;
    stats.alpha = archive.vector("alpha");
    stats.cross = archive.matrix("cross");
    stats.fit = archive.scalar("fit");
    stats.residual = archive.scalar("log_likelihood");
    return stats;
  }

  // phi_p at the present residual: what the data say of beta_p when the other SNPs are at their
  // means. `mixture` is what turns it into q(beta_p); it is the state's own unless Y has gaps.
  VectorXd evidence(const State& s, Index p, const MatrixXd& residual, const double* column) const;
  mmash::Mixture mixture_of(const State& s, Index p) const;

  // The columns of a block, in place or decoded into the buffer.
  const double* fetch(Index block, std::vector<double>& buffer) const;
  const mmash::PatternSums& pattern_sums() const { return sums_; }

  void set_residual(State& s, const MatrixXd& sigma) const {
    s.sigma = sigma;
    if (complete())
      s.inverse = mmash::factor(sigma);
    else
      set_precisions(s);
    s.mixture.reset();
    set_mixture(s);
  }

  void set_mixture(State& s) const {
    auto next = s.mixture ? std::make_shared<mmash::Mixture>(*s.mixture)
                          : std::make_shared<mmash::Mixture>(prior_);
    if (!s.mixture && complete()) next->decompose(s.inverse.inverse, design().common_square());
    next->set_weights(s.log_weights);
    s.mixture = std::move(next);
  }

  MatrixXd residual_cross(const State& s) const;  // R'R
  double log_likelihood(const State& s) const;    // at the mean
  // Sigma as the residuals at the mean of q have it.
  MatrixXd plain_residual(const State& s) const;
  void update_fixed(State& s) const;

  VectorXd updated_weights(const Stats& stats) const {
    VectorXd count = stats.alpha;
    if (prior_.null) count[0] += prior_.null_penalty - 1.0;
    return (count / count.sum()).array().log().cwiseMax(mmash::Mixture::kNever);
  }

 private:
  // An extrapolation by a multiplies an error in a mode that sweeps shrink by c with
  // [c (1 - a (1 - c))]^2. Below 3 + 2 sqrt(2) this is less than 1 for every c: rounding is then not
  // amplified, and data that are the same up to rounding give the same fit.
  static constexpr double kLongestStep = 5.8;
  static constexpr double kTinyLog = -200.0;      // below this a weight is not extrapolated
  static constexpr double kLeastVariance = 1e-8;  // of the residual, of that of the responses
  static constexpr Index kRowChunk = 8192;        // rows of one parallel task

  void cross(const double* x, Index block, const MatrixXd& residual, double* out) const;
  void subtract(const double* x, Index count, const double* change, MatrixXd& residual) const;
  void subtract_all(const MatrixXd& mean, MatrixXd& residual) const;
  void for_rows(const std::function<void(Index, Range)>& task) const;
  template <class Visit>
  void visit_block(State& s, mmash::Workspace& w, Index block, const double* x, Visit& visit) const;
  template <class Visit>
  void visit_patterns(State& s, mmash::Workspace& w, Monitor& watch, Visit& visit) const;
  void measure_patterns();
  void set_precisions(State& s) const;
  Stats complete_stats(const State& s, const MatrixXd& second) const;
  Stats pattern_stats(const State& s, const std::vector<MatrixXd>& spread) const;
  Stats sweep_complete(State& s, Monitor& watch) const;
  Stats sweep_patterns(State& s, Monitor& watch) const;

  VectorXd response_variance() const;
  MatrixXd bayes_factors(const State& s, const std::vector<Index>& components) const;

  Data data_;
  VectorXd floor_;  // least residual variance, one number per condition
  mmash::Prior prior_;
  Options options_;
  Executor* executor_;
  mmash::PatternSums sums_;
};

}  // namespace mixology

#include "models/mmash/evidence.h"
#include "models/mmash/sweep.h"
#include "models/mmash/weights.h"
