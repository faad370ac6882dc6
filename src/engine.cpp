// Glue of what belongs to no model: the defaults of the engines.
#include <Rcpp.h>

#include "rglue/options.h"

// [[Rcpp::export(rng = false)]]
Rcpp::List engine_defaults(std::string engine) {
  if (engine == "em") return mixology::to_list(mixology::EmOptions());
  if (engine == "vb") return mixology::to_list(mixology::VbOptions());
  if (engine == "gibbs") return mixology::to_list(mixology::GibbsOptions());
  Rcpp::stop("no engine is called '%s'", engine);
}
