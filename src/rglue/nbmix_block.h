// One block of genes through a fitter: tasks of a few genes in parallel, a fault of one gene is its
// status and nobody else's, and everything is packed for R.
#pragma once

#include "rglue/executor.h"
#include "rglue/monitor.h"
#include "rglue/nbmix.h"

namespace mixology {

constexpr Index kGenesPerTask = 8;

struct GeneBlock {
  Rcpp::IntegerVector p, i;
  Rcpp::NumericVector x;
  Index genes() const { return p.size() - 1; }
  SparseCounts gene(Index g) const { return {i.begin() + p[g], x.begin() + p[g], p[g + 1] - p[g]}; }
};

// What is wrong with the counts of a gene; empty when nothing is.
inline std::string count_fault(const SparseCounts& data) {
  for (Index j = 0; j < data.size; ++j) {
    const double x = data.count[j];
    if (x >= 0.0 && x <= 2147483647.0 && x == std::floor(x)) continue;
    char text[96];
    if (std::isnan(x))
      std::snprintf(text, sizeof text, "NA in cell %d", data.cell[j] + 1);
    else
      std::snprintf(text, sizeof text, "%.6g in cell %d", x, data.cell[j] + 1);
    return text;
  }
  return "";
}

template <class Fitter>
GeneFit fit_gene(const Fitter& fitter, const SparseCounts& data, std::uint64_t item,
                 Executor& executor, Monitor& monitor) {
  GeneFit out;
  out.message = count_fault(data);
  if (!out.message.empty()) {
    out.status = GeneStatus::invalid;
    return out;
  }
  try {
    return fitter.run(data, item, executor, monitor);
  } catch (const std::exception& error) {
    out.status = GeneStatus::invalid;
    out.message = error.what();
    return out;
  }
}

inline Rcpp::List pack_genes(const std::vector<GeneFit>& genes, const NbmixOptions& options) {
  CandidateTable candidates;
  EstimateTable estimates;
  Rcpp::CharacterVector status(genes.size()), message(genes.size());
  Rcpp::IntegerVector chosen(genes.size());
  for (std::size_t g = 0; g < genes.size(); ++g) {
    const GeneFit& gene = genes[g];
    const bool fitted = !gene.fits.empty();
    status[g] =
        fitted || gene.status == GeneStatus::invalid ? gene_status_name(gene.status) : "stopped";
    message[g] = gene.message;
    chosen[g] = fitted ? gene.chosen + 1 : NA_INTEGER;
    for (const NbmixFit& fit : gene.fits) {
      candidates.add(static_cast<int>(g) + 1, fit, options.criterion);
    }
    if (fitted) estimates.add(static_cast<int>(g) + 1, gene.fits[gene.chosen]);
  }
  return Rcpp::List::create(Rcpp::Named("status") = status, Rcpp::Named("message") = message,
                            Rcpp::Named("chosen") = chosen,
                            Rcpp::Named("candidates") = candidates.list(),
                            Rcpp::Named("estimates") = estimates.list());
}

// The trace, the starts and where a later run goes on: only for one gene on its own. A gene that was
// stopped says so even where the K that stands so far had converged.
inline Rcpp::List single_details(const GeneFit& gene, const Monitor& monitor) {
  const NbmixFit& fit = gene.fits[static_cast<std::size_t>(gene.chosen)];
  Trace trace = fit.trace;
  if (gene.status == GeneStatus::stopped && trace.converged()) {
    trace.end(stopped_status(monitor.reason()), "stopped before every k was fitted");
  }
  return Rcpp::List::create(
      Rcpp::Named("trace") = to_list(trace), Rcpp::Named("starts") = to_list(fit.starts),
      Rcpp::Named("state") = to_list(fit.state), Rcpp::Named("exact_zeros") = fit.exact_zeros);
}

template <class Fitter>
Rcpp::List fit_block(const Fitter& fitter, const GeneBlock& block, const NbmixOptions& options,
                     double first_gene, RMonitor& watch, Executor& executor) {
  std::vector<GeneFit> genes(static_cast<std::size_t>(block.genes()));
  const bool one = block.genes() == 1;
  watch.tick_batch(0.0, static_cast<double>(block.genes()));
  auto run = [&](Index g, Executor& inner) {
    const auto item = static_cast<std::uint64_t>(first_gene) + static_cast<std::uint64_t>(g);
    genes[static_cast<std::size_t>(g)] = fit_gene(fitter, block.gene(g), item, inner, watch);
  };
  if (one) {
    run(0, executor);
  } else {
    executor.run(
        chunk_count(block.genes(), kGenesPerTask),
        [&](Index task) {
          Executor serial;
          const Range range = chunk_range(task, kGenesPerTask, block.genes());
          for (Index g = range.begin; g < range.end && !watch.stopped(); ++g) run(g, serial);
        },
        watch);
  }
  Rcpp::List out = pack_genes(genes, options);
  if (one && !genes[0].fits.empty()) {
    out["details"] = single_details(genes[0], watch);
  }
  return out;
}

}  // namespace mixology
