# Checks and draws that the generators share. They use R's own random numbers: set.seed() governs.

# Weights of k components, rescaled to sum to one.
simulated_weights <- function(weights, fun, length = NULL) {
  weights <- check_positive(weights, fun, "weights", length, zero = TRUE)
  if (sum(weights) <= 0) abort_arg(fun, "weights", "numbers with a positive sum", "only zeros")
  weights / sum(weights)
}

# One value per component; a single one is repeated.
per_component <- function(x, k, fun, arg, zero = FALSE) {
  if (is.numeric(x) && length(x) == 1) x <- rep(x, k)
  check_positive(x, fun, arg, k, zero = zero)
}

# Evaluates with R's generator at `seed` (NULL: as it stands), then puts it back where it was.
with_seed <- function(seed, code, fun = "simulate") {
  if (is.null(seed)) return(code)
  seed <- check_count(seed, fun, "seed", lower = 0)
  old <- get0(".Random.seed", globalenv(), inherits = FALSE)
  on.exit(if (is.null(old)) rm(".Random.seed", envir = globalenv()) else
    assign(".Random.seed", old, globalenv()))
  set.seed(seed)
  code
}

# What simulate() gives, with the attribute "seed" as that of stats::simulate(): the seed and the
# kind of generator, or without a seed the state that it had.
simulated <- function(seed, code) {
  if (is.null(seed) && !exists(".Random.seed", globalenv(), inherits = FALSE)) stats::runif(1)
  state <- if (is.null(seed)) get(".Random.seed", globalenv()) else
    structure(seed, kind = as.list(RNGkind()))
  structure(with_seed(seed, code), seed = state)
}

draw_labels <- function(n, weights) {
  sample.int(length(weights), n, replace = TRUE, prob = weights)
}

# A symmetric positive semi-definite size x size matrix; `or_number`: or one number, for that
# multiple of the identity.
check_covariance <- function(x, size, fun, arg, or_number = TRUE) {
  must <- paste0(sprintf("a symmetric positive semi-definite %d x %d matrix", size, size),
                 if (or_number) ", or one number")
  if (or_number && is_number(x) && x >= 0 && is.finite(x)) return(diag(as.double(x), size))
  square <- is.numeric(x) && is.matrix(x) && all(dim(x) == size) && all(is.finite(x))
  if (!square) abort_arg(fun, arg, must, not_finite(x) %||% describe_value(x))
  if (!isSymmetric(unname(x))) abort_arg(fun, arg, must, "an asymmetric matrix")
  low <- min(0, eigen(x, symmetric = TRUE, only.values = TRUE)$values)
  if (low < -1e-8 * max(abs(x), 1e-300)) {
    abort_arg(fun, arg, must, sprintf("a smallest eigenvalue of %.3g", low))
  }
  unname(x)
}

# n draws from N(0, v), one per row; v may be singular.
draw_normal <- function(n, v) {
  e <- eigen(v, symmetric = TRUE)
  values <- ifelse(e$values > 1e-14 * max(e$values), e$values, 0)
  root <- e$vectors %*% (sqrt(values) * t(e$vectors))
  matrix(stats::rnorm(n * ncol(v)), n) %*% root
}
