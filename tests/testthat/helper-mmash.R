# Data, priors and settings that the tests of mmash share.

quick_prior <- function(j = 3, weights = NULL, null = TRUE) {
  u <- matrix(.9, j, j) + diag(.1, j)
  only <- diag(as.numeric(seq_len(j) == 1), j)
  mash_prior(matrices = list(same = u, any = diag(j), first = only), grid = c(.1, .5, 1),
             null = null, weights = weights)
}

oracle_prior <- function(prior, weights) {
  parts <- mixology:::component_covariances(prior)
  j <- nrow(prior$matrices[[1]])
  v <- vapply(parts, function(u) if (is.null(u)) matrix(0, j, j) else u, matrix(0, j, j))
  list(weights = weights, v = array(v, c(j, j, length(parts))))
}

plain <- function(iterations, ...) {
  vb_control(tolerance = 0, parameter_tolerance = 0, max_iterations = iterations,
             accelerate = FALSE, ...)
}

quiet_mmash <- function(...) suppressWarnings(mmash(...))

random_spd <- function(j) crossprod(matrix(stats::rnorm(j * j), j)) / j + diag(.5, j)

mixed_data <- function(seed = 1, n = 60, p = 15, j = 3, ...) {
  set.seed(seed)
  simulate_mmash(n, p, conditions = j, causal = 3, x_correlation = .4, ...)
}

tight <- function(...) vb_control(tolerance = 1e-13, max_iterations = 3000, ...)

# A .bed file by hand: bytes of 2-bit codes, first sample in the low bits.
write_bed <- function(x, stem, magic = c(0x6c, 0x1b, 0x01)) {
  code <- matrix(c(0L, 2L, 3L)[x + 1], nrow(x))
  code[is.na(code)] <- 1L
  code <- rbind(code, matrix(0L, (4 - nrow(x) %% 4) %% 4, ncol(x)))
  bytes <- colSums(array(code, c(4, nrow(code) / 4, ncol(x))) * c(1, 4, 16, 64))
  writeBin(as.raw(c(magic, as.vector(bytes))), paste0(stem, ".bed"))
  writeLines(sprintf("1 %s 0 %d A B", colnames(x), seq_len(ncol(x))), paste0(stem, ".bim"))
  writeLines(sprintf("%s %s 0 0 0 0", rownames(x), rownames(x)), paste0(stem, ".fam"))
  paste0(stem, ".bed")
}
