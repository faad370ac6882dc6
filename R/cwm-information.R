# Standard errors of an EM fit.

cwm_add_information <- function(fit, input, spec) fit
