# Credible sets: for each signal the posterior of its single causal variant.
mmash_signals <- function(fit, inputs) list()
