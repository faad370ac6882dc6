// A mixture's parameters, its likelihood on a gene, and its information matrix.
#pragma once

#include <Eigen/Cholesky>
#include <cmath>
#include <numeric>
#include <vector>

#include "models/nbmix/pass.h"

namespace mixology {

struct Mixture {
  VectorXd weight;                    // components, then the point mass at zero if there is one
  std::vector<Component> component;
  Index k() const { return static_cast<Index>(component.size()); }
  bool point_mass() const { return weight.size() > k(); }
  // Free parameters; a dispersion at its boundary counts, the order of a model is not estimated.
  int df() const { return static_cast<int>(2 * k() + weight.size() - 1); }
};

inline PassTables make_tables(const Gene& gene, const std::vector<Component>& component,
                              const VectorXd& log_weight, Range sites) {
  PassTables tables;
  const ArrayXd s = gene.s.segment(sites.begin, sites.size());
  tables.first_site = sites.begin;
  const Index k = static_cast<Index>(component.size());
  tables.log_weight = log_weight;
  tables.eta.resize(k);
  tables.logs.resize(sites.size(), k);
  tables.cost.resize(sites.size(), k);
  tables.rising.resize(gene.table.size(), k);
  for (Index j = 0; j < k; ++j) {
    const Component& c = component[static_cast<std::size_t>(j)];
    tables.eta[j] = c.eta;
    const ArrayXd logs = site_logs(s, c);
    tables.logs.col(j) = logs;
    tables.cost.col(j) = zero_costs(s, logs, c);
    tables.rising.col(j) = gene.table.value(c.phi);
  }
  return tables;
}

inline PassTables make_tables(const Gene& gene, const Mixture& mixture, Range sites) {
  const VectorXd log_weight = mixture.weight.array().max(1e-300).log();
  return make_tables(gene, mixture.component, log_weight, sites);
}

struct FullSums {
  double log_likelihood = 0.0;
  double entropy = 0.0;
};

// Log likelihood (all constants included) and entropy of the responsibilities.
inline FullSums evaluate(const Gene& gene, const Mixture& mixture) {
  const Range all{0, gene.sites()};
  const PassSums sums = pass(gene, make_tables(gene, mixture, all), item_sites(gene), all,
                             SiteWeights{}, true);
  return {sums.log_likelihood + gene.constant, std::max(sums.entropy, 0.0)};
}

}  // namespace mixology
