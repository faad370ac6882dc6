# Standard errors of an EM fit: the observed information over all parameters, restricted to those
# that are free, inverted, and spread out again.

cwm_add_information <- function(fit, input, spec) {
  core <- cwm_core_input(input, spec, fit$covariance)
  core$state <- fit$state$state
  raw <- cwm_information(core, fit$k, spec$noise == "equal", spec$threads)
  size <- nrow(raw$matrix)
  free <- cwm_free_directions(fit, raw, spec$noise)
  inner <- cwm_times_map(t(cwm_times_map(raw$matrix, free)), free)
  inverse <- cwm_invert(inner)
  if (nrow(inverse) != nrow(inner)) return(fit)
  half <- cwm_apply_map(cwm_apply_map(inverse, free, size), cwm_user_map(raw$to_user, fit), size)
  spread <- cwm_apply_map(cwm_apply_map(t(half), free, size), cwm_user_map(raw$to_user, fit), size)
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

# A matrix of few non-zero entries, `list(row, column, value)`, because with many parameters
# products with it are what standard errors would cost. Here a times it, and it times a.
cwm_times_map <- function(a, map) {
  out <- a[, map$row, drop = FALSE] * rep(map$value, each = nrow(a))
  if (anyDuplicated(map$column)) out <- t(rowsum(t(out), map$column, reorder = TRUE))
  unname(out)
}

cwm_apply_map <- function(a, map, rows) {
  part <- rowsum(a[map$column, , drop = FALSE] * map$value, map$row, reorder = TRUE)
  out <- matrix(0, rows, ncol(a))
  out[sort(unique(map$row)), ] <- part
  out
}

# Columns: directions in which the parameters of the engine's components may move.
cwm_free_directions <- function(fit, raw, noise) {
  at <- cwm_layout(fit)
  k <- fit$k
  all <- function(part) outer(at[[part]], at$size * (seq_len(k) - 1), `+`)
  unit <- function(rows, value = rep(1, length(rows))) list(row = rows, value = value)
  weight <- all("weight")
  columns <- c(
    lapply(seq_len(k - 1), function(j) unit(weight[c(j, k)], c(1, -1))),
    lapply(as.vector(all("mean")), unit),
    cwm_covariance_directions(fit$covariance, all("covariance"), at$d, unit),
    lapply(as.vector(all("coefficient")[, !raw$deficient]), unit),
    cwm_noise_directions(all("noise"), noise, raw$at_floor, unit))
  rows <- lapply(columns, `[[`, "row")
  list(row = unlist(rows), column = rep(seq_along(columns), lengths(rows)),
       value = unlist(lapply(columns, `[[`, "value")))
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
cwm_user_map <- function(to_user, fit) {
  size <- nrow(to_user)
  at <- which(to_user != 0, arr.ind = TRUE)
  first <- size * (seq_len(fit$k) - 1)
  list(row = as.vector(outer(at[, 1], first, `+`)),
       column = as.vector(outer(at[, 2], size * (fit$order - 1), `+`)),
       value = rep(to_user[at], fit$k))
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
