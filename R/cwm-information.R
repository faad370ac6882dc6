# Standard errors of an EM fit: the observed information over all parameters, restricted to those
# that are free, inverted, and spread out again.

cwm_add_information <- function(fit, input, spec) {
  core <- cwm_core_input(input, spec, fit$covariance)
  core$state <- fit$state$state
  raw <- cwm_information(core, fit$k, spec$noise == "equal", spec$threads)
  free <- cwm_free_directions(fit, raw, spec$noise)
  inner <- crossprod(free, raw$matrix %*% free)
  root <- tryCatch(chol(inner), error = function(e) NULL)
  if (is.null(root)) return(fit)
  spread <- free %*% chol2inv(root) %*% t(free)
  spread <- cwm_to_user(spread, raw$to_user, fit)
  fixed <- cwm_fixed_rows(fit, raw)
  spread[fixed, ] <- NA
  spread[, fixed] <- NA
  table <- cwm_terms(fit$estimate)
  dimnames(spread) <- rep(list(parameter_names(table)), 2)
  fit$vcov <- spread
  fit
}

# Where the parts of a component's parameters are.
cwm_layout <- function(fit) {
  d <- ncol(fit$estimate$means)
  b <- length(fit$estimate$coefficients[[1]])
  m <- dim(fit$estimate$noise)[1]
  sizes <- c(weight = 1, mean = d, covariance = d * (d + 1) / 2, coefficient = b,
             noise = m * (m + 1) / 2)
  ends <- cumsum(sizes)
  parts <- Map(function(end, size) end - size + seq_len(size), ends, sizes)
  c(parts, list(size = sum(sizes), d = d))
}

# Columns: directions in which the parameters of the engine's components may move.
cwm_free_directions <- function(fit, raw, noise) {
  at <- cwm_layout(fit)
  k <- fit$k
  all <- function(part) outer(at[[part]], at$size * (seq_len(k) - 1), `+`)
  unit <- function(rows, value = 1) {
    out <- numeric(at$size * k)
    out[rows] <- value
    out
  }
  weight <- all("weight")
  columns <- c(
    lapply(seq_len(k - 1), function(j) unit(weight[c(j, k)], c(1, -1))),
    lapply(as.vector(all("mean")), unit),
    cwm_covariance_directions(fit$covariance, all("covariance"), at$d, unit),
    lapply(as.vector(all("coefficient")[, !raw$deficient]), unit),
    cwm_noise_directions(all("noise"), noise, raw$at_floor, unit))
  if (length(columns) == 0) matrix(0, at$size * k, 0) else do.call(cbind, columns)
}

cwm_covariance_directions <- function(family, rows, d, unit) {
  if (d == 0) return(list())
  diagonal <- cumsum(c(1, rev(seq_len(d - 1) + 1)))[seq_len(d)]
  groups <- switch(family,
    EII = list(rows[diagonal, ]), VII = lapply(seq_len(ncol(rows)), function(j) rows[diagonal, j]),
    EEI = lapply(diagonal, function(i) rows[i, ]), VVI = as.list(rows[diagonal, ]),
    EEE = lapply(seq_len(nrow(rows)), function(i) rows[i, ]), VVV = as.list(rows))
  lapply(groups, unit)
}

cwm_noise_directions <- function(rows, noise, at_floor, unit) {
  if (noise == "equal") {
    if (any(at_floor)) return(list())
    return(lapply(seq_len(nrow(rows)), function(i) unit(rows[i, ])))
  }
  lapply(as.vector(rows[, !at_floor]), unit)
}

# From the engine's coordinates and order of components to the user's.
cwm_to_user <- function(spread, to_user, fit) {
  size <- nrow(to_user)
  map <- kronecker(diag(fit$k), to_user)
  spread <- map %*% spread %*% t(map)
  at <- as.vector(outer(seq_len(size), size * (fit$order - 1), `+`))
  spread[at, at, drop = FALSE]
}

# Parameters that were held: they have no standard error.
cwm_fixed_rows <- function(fit, raw) {
  at <- cwm_layout(fit)
  held <- lapply(seq_len(fit$k), function(j) {
    engine <- fit$order[j]
    part <- c(if (raw$deficient[engine]) at$coefficient, if (raw$at_floor[engine]) at$noise)
    part + at$size * (j - 1)
  })
  as.integer(unlist(held))
}
