// Options of the engines. The defaults are written here and nowhere else: the R functions
// em_control(), vb_control() and gibbs_control() read them back.
#pragma once

namespace mixology {

// What every engine that climbs an objective understands.
struct AscentOptions {
  double tolerance = 1e-10;           // relative change of the objective that ends the fit
  double parameter_tolerance = 1e-8;  // largest relative change of a parameter that ends the fit
  int max_iterations = 5000;          // sweeps, extrapolations included
  int restarts = 10;                  // starting points tried
  int short_iterations = 10;          // sweeps given to each start before the best goes on
  bool accelerate = true;             // SQUAREM-type extrapolation with a monotone fallback
};

struct EmOptions : AscentOptions {};

struct VbOptions : AscentOptions {
  VbOptions() { tolerance = 1e-8; }
};

struct GibbsOptions {
  int chains = 4;         // independent chains
  int iterations = 2000;  // sweeps of a chain, warm-up included
  int warmup = 1000;      // sweeps at the head of a chain that are not kept
  int thin = 1;           // one sweep in `thin` is kept
};

}  // namespace mixology
