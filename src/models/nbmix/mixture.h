// A mixture's parameters, its likelihood on a gene, and its information matrix.
#pragma once

#include <Eigen/Cholesky>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/archive.h"
#include "models/nbmix/pass.h"

namespace mixology {

struct Mixture {
  VectorXd weight;  // components, then the point mass at zero if there is one
  std::vector<Component> component;
  Index k() const { return static_cast<Index>(component.size()); }
  bool point_mass() const { return weight.size() > k(); }
  // Free parameters; a dispersion at its boundary counts, the order of a model is not estimated.
  int df() const { return static_cast<int>(2 * k() + weight.size() - 1); }
};

// A mixture as every engine saves it; `name` is that of its weights.
inline void save_mixture(Archive& archive, const Mixture& m, const char* name = "weight") {
  VectorXd eta(m.k()), phi(m.k());
  for (Index j = 0; j < m.k(); ++j) {
    eta[j] = m.component[static_cast<std::size_t>(j)].eta;
    phi[j] = m.component[static_cast<std::size_t>(j)].phi;
  }
  archive.put(name, m.weight);
  archive.put("log_mean", eta);
  archive.put("dispersion", phi);
}

inline Mixture load_mixture(const Archive& archive, const char* name = "weight") {
  Mixture m;
  m.weight = archive.vector(name);
  const VectorXd eta = archive.vector("log_mean");
  const VectorXd phi = archive.vector("dispersion");
  for (Index j = 0; j < eta.size(); ++j) m.component.push_back({eta[j], phi[j]});
  return m;
}

inline VectorXd log_weights(const Mixture& mixture) {
  return mixture.weight.array().max(1e-300).log();
}

// Tables of densities alone, without slopes.
inline std::vector<ComponentTables> density_tables(const Gene& gene, const Mixture& mixture) {
  std::vector<ComponentTables> out;
  for (const Component& c : mixture.component) {
    out.push_back({site_logs(gene.s, c), {gene.table.value(c.phi), {}, {}}});
  }
  return out;
}

// With fewer sites what a waiting start keeps is nothing.
constexpr Index kManySites = 50000;

// The tables of the components of a climb. Those of the sites are made by the local update, for the
// sites of its range, unless the M step has left them.
struct ClimbTables {
  std::vector<ComponentTables> of;
  bool has_logs = false;

  void place(const Gene& gene, const std::vector<Component>& component) {
    of.resize(component.size());
    for (std::size_t j = 0; j < of.size(); ++j) {
      of[j].logs.resize(gene.sites());
      of[j].rising = gene.table.slopes(component[j].phi);
    }
    has_logs = false;
  }

  void fill(const Gene& gene, const std::vector<Component>& component, Range sites) {
    if (has_logs) return;
    const ArrayXd s = gene.s.segment(sites.begin, sites.size());
    for (std::size_t j = 0; j < of.size(); ++j) {
      of[j].logs.segment(sites.begin, sites.size()) = site_logs(s, component[j]);
    }
  }
};

struct FullSums {
  double log_likelihood = 0.0;
  double entropy = 0.0;
};

// Counts from here on lose digits in the sums that EM uses: x log mu and log x! nearly cancel.
constexpr double kLargeCount = 1e5;

namespace detail {

// The same as evaluate(), density by density.
inline FullSums evaluate_large(const Gene& gene, const Mixture& mixture) {
  const std::vector<Index> site_of = item_sites(gene);
  std::vector<double> joint(static_cast<std::size_t>(mixture.weight.size()));
  FullSums out;
  auto add = [&](double x, double s, double w) {
    for (std::size_t j = 0; j < joint.size(); ++j) {
      const bool point = static_cast<Index>(j) >= mixture.k();
      const Component c = point ? Component{-kInfinity, 0.0} : mixture.component[j];
      joint[j] = std::log(mixture.weight[static_cast<Index>(j)]) +
                 log_negative_binomial(x, s * std::exp(c.eta), c.phi);
    }
    const double total = log_sum_exp(joint.data(), joint.size());
    out.log_likelihood += w * total;
    for (const double term : joint) {
      if (term > -kInfinity) out.entropy -= w * std::exp(term - total) * (term - total);
    }
  };
  for (Index i = 0; i < gene.sites(); ++i) {
    if (gene.zero_weight[i] != 0.0) add(0.0, gene.s[i], gene.zero_weight[i]);
  }
  for (Index j = 0; j < gene.items(); ++j) {
    add(gene.item_x(j), gene.s[site_of[static_cast<std::size_t>(j)]],
        gene.item_weight[static_cast<std::size_t>(j)]);
  }
  return out;
}

}  // namespace detail

// Log likelihood (all constants included) and entropy of the responsibilities.
inline FullSums evaluate(const Gene& gene, const Mixture& mixture) {
  if (gene.items() > 0 && gene.table.x(gene.table.size() - 1) > kLargeCount) {
    return detail::evaluate_large(gene, mixture);
  }
  const std::vector<ComponentTables> tables = density_tables(gene, mixture);
  const PassSums sums = pass(gene, {log_weights(mixture), mixture.component, tables},
                             item_sites(gene), Range{0, gene.sites()}, SiteWeights{}, true);
  return {sums.log_likelihood + gene.constant, std::max(sums.entropy, 0.0)};
}

// The same by the full sum over cells for a gene whose zeros go through the quadrature. `every` is
// a gene without counts and with exact zeros: the zeros of all cells, from which the sites of the
// non-zero cells take theirs back.
inline FullSums evaluate_full(const Gene& every, const Gene& gene, const Mixture& mixture) {
  if (!gene.quadrature) return evaluate(gene, mixture);
  const Range own{gene.sites() - gene.items(), gene.sites()};
  const VectorXd log_weight = log_weights(mixture);
  const std::vector<ComponentTables> of_every = density_tables(every, mixture);
  const std::vector<ComponentTables> of_gene = density_tables(gene, mixture);
  const PassSums zeros =
      pass(every, {log_weight, mixture.component, of_every}, {}, Range{0, every.sites()}, {}, true);
  const PassSums counts =
      pass(gene, {log_weight, mixture.component, of_gene}, item_sites(gene), own, {}, true);
  return {zeros.log_likelihood + counts.log_likelihood + gene.constant,
          std::max(zeros.entropy + counts.entropy, 0.0)};
}

}  // namespace mixology
