#' mixology: mixture and latent-variable models for counts and eQTL data
#'
#' Every model here is a mixture, and each is fitted by expectation-maximisation
#' (`method = "em"`), coordinate-ascent variational Bayes (`"vb"`) or Gibbs
#' sampling (`"gibbs"`): three engines on one model, which check one another.
#'
#' @keywords internal
#' @useDynLib mixology, .registration = TRUE
#' @importFrom Rcpp evalCpp
#' @importFrom RcppParallel RcppParallelLibs
#' @importClassesFrom Matrix dgCMatrix
#' @importFrom generics tidy glance augment
#' @importFrom ggplot2 autoplot
#' @importFrom rlang .data
#' @importFrom stats coef fitted residuals predict simulate logLik AIC BIC nobs
#'   vcov confint formula update
"_PACKAGE"
