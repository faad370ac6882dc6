# The residual covariance of mmash(): kept, or learned as diagonal, full or low rank.

#' A residual covariance of low rank
#'
#' Asks [mmash()] for a residual covariance `sigma2 I + W W'` with `W` of `rank` columns, updated
#' in closed form by probabilistic principal components.
#'
#' @param rank Columns of `W`, from 0 (`sigma2 I`) to J - 1 (no restriction), or `"auto"`: ranks
#'   are tried from 0 upwards as long as BIC, with the bound in the place of the log likelihood,
#'   falls; a fit that ran out of sweeps does not end the search, and the choice then has not
#'   converged. The time limit and the seconds of `objective()` are those of all ranks together.
#' @return An object for the argument `residual` of [mmash()].
#' @references Tipping and Bishop (1999) Probabilistic principal component analysis. Journal of the
#'   Royal Statistical Society B 61:611 (equations 7 and 8).
#' @examples
#' low_rank(2)
#' @export
low_rank <- function(rank = "auto") {
  if (!identical(rank, "auto")) rank <- check_count(rank, "low_rank", "rank", 0)
  structure(list(rank = rank), class = "mixology_low_rank")
}

#' @export
print.mixology_low_rank <- function(x, ...) {
  cat("residual covariance sigma2 I + W W', rank", format(x$rank), "\n")
  invisible(x)
}

# list(kind = "fixed" | "diagonal" | "full" | "low_rank", rank, matrix or NULL)
resolve_residual <- function(residual, conditions, fun) {
  size <- length(conditions)
  if (inherits(residual, "mixology_low_rank")) {
    if (!identical(residual$rank, "auto") && residual$rank >= size && size > 1) {
      abort_arg(fun, "residual", sprintf("low_rank() of rank at most %d", size - 1),
                sprintf("rank %d", residual$rank), "residual = \"full\"")
    }
    return(list(kind = "low_rank", rank = residual$rank))
  }
  if (is.numeric(residual) || is.matrix(residual)) {
    return(list(kind = "fixed", rank = 0L,
                matrix = check_residual(residual, conditions, fun, "residual")))
  }
  kinds <- c("full", "diagonal")
  if (!is.character(residual) || length(residual) != 1 || !residual %in% kinds) {
    abort_arg(fun, "residual", sprintf("a %d x %d covariance matrix, \"full\", \"diagonal\" or %s",
                                       size, size, "low_rank(rank)"), describe_value(residual),
              closest_name(residual, kinds))
  }
  list(kind = residual, rank = 0L)
}

# A residual covariance that is given: J x J, positive definite, in the order of the conditions.
check_residual <- function(x, conditions, fun, arg) {
  size <- length(conditions)
  if (!is.matrix(x) && (length(x) != 1 || size > 1)) {
    abort_arg(fun, arg, sprintf("a %d x %d covariance matrix", size, size), describe_value(x),
              if (is.numeric(x) && length(x) == size) "diag() of it")
  }
  at <- match_conditions(colnames(x) %||% rownames(x), conditions, fun, arg)
  x <- check_covariance(as.matrix(x), size, fun, arg, or_number = FALSE)
  if (!is.null(at)) x <- x[at, at, drop = FALSE]
  # of the correlations: conditions may be on scales that differ by orders of magnitude
  if (min(diag(x)) <= 0 || min(eigen(stats::cov2cor(x), TRUE, TRUE)$values) < 1e-14) {
    abort_arg(fun, arg, "positive definite", "a singular matrix")
  }
  x
}

# A condition that does not vary has no residual variance that could be learned.
check_varying <- function(input, residual, conditions, fun) {
  if (residual$kind == "fixed") return(invisible())
  size <- if (input$kind == "gram") diag(input$cross) else colSums(input$y^2)
  flat <- which(size <= 1e-20 * input$n * input$center^2 | size <= 0)
  if (length(flat) > 0) {
    abort_arg(fun, "y", "varying in every condition, or 'residual' a matrix",
              sprintf("a constant condition %s", conditions[flat[1]]), "dropping it")
  }
}

# Conditions that depend on one another linearly, or more of them than samples, have a singular
# covariance: chains start from its diagonal, for their prior keeps them from the edge.
check_start_residual <- function(v, method, fun) {
  low <- min(eigen(stats::cov2cor(v), symmetric = TRUE, only.values = TRUE)$values)
  if (low > 1e-14) return(v)
  if (method == "gibbs") return(diag(diag(v), nrow(v)))
  abort_arg(fun, "y", "of linearly independent conditions, fewer than the samples",
            "responses with a singular covariance",
            "residual = \"diagonal\", low_rank(1) or a matrix, or method = \"gibbs\"")
}

# Where the residual starts when it is not given: the covariance of the responses.
start_residual <- function(residual, input) {
  if (!is.null(residual$matrix)) return(residual$matrix)
  v <- if (input$kind == "gram") input$cross / (input$n - 1) else response_covariance(input)
  if (residual$kind == "full") v else residual_part(v, residual)
}

# The member of the family that is learned nearest to v.
residual_part <- function(v, residual) {
  if (residual$kind == "fixed") return(v)
  if (residual$kind == "diagonal") return(diag(diag(v), nrow(v)))
  if (residual$kind == "low_rank") return(low_rank_part(v, residual$rank))
  scale <- sqrt(diag(v))
  e <- eigen(v / tcrossprod(scale), symmetric = TRUE)
  if (min(e$values) >= 1e-8) return(v) # else some responses are combinations of the others
  e$vectors %*% (pmax(e$values, 1e-8) * t(e$vectors)) * tcrossprod(scale)
}

of_family <- function(v, residual, inputs) {
  if (inputs$learned$residual) residual_part(v, residual) else v
}

# Pairwise over the samples observed where responses have gaps, bent to be positive definite.
response_covariance <- function(input) {
  if (length(input$patterns) == 0) return(crossprod(input$y) / (input$n - 1))
  seen <- array(0, dim(input$y))
  for (pattern in input$patterns) seen[(pattern$begin + 1):pattern$end, pattern$seen + 1] <- 1
  v <- crossprod(input$y) / pmax(crossprod(seen) - 1, 1)
  e <- eigen(v, symmetric = TRUE)
  floor <- 0.01 * mean(diag(v))
  if (min(e$values) >= floor) return(v)
  e$vectors %*% (pmax(e$values, floor) * t(e$vectors))
}

low_rank_part <- function(v, rank) {
  e <- eigen(v, symmetric = TRUE)
  size <- nrow(v)
  if (rank >= size) return(v)
  values <- e$values
  values[(rank + 1):size] <- max(mean(values[(rank + 1):size]), 1e-8 * mean(diag(v)))
  e$vectors %*% (values * t(e$vectors))
}

residual_df <- function(residual, size) {
  switch(residual$kind, fixed = 0, diagonal = size, full = size * (size + 1) / 2,
         low_rank = size * residual$rank - residual$rank * (residual$rank - 1) / 2 + 1)
}

# Neither the maximum of the bound nor the posterior has degrees of freedom left to say that it
# follows noise.
warn_few_samples <- function(fit) {
  conditions <- ncol(fit$posterior$mean)
  learned <- fit$method != "em" && fit$residual$kind == "full"
  if (learned && conditions > 1 && fit$nobs < 10 * conditions) {
    warning(sprintf(paste("mmash: the full residual covariance of %d conditions is learned from %g",
                          "samples: effects may follow noise; try residual = low_rank(1),",
                          "\"diagonal\" or a matrix, or a larger penalty"), conditions, fit$nobs),
            call. = FALSE)
  }
}
