# What a cwm fit answers: coefficients, tables, predictions, simulations.

#' @export
coef.cwm <- function(object, ...) {
  no_more("coef", ...)
  object$estimate$coefficients
}

#' @export
fitted.cwm <- function(object, ...) {
  no_more("fitted", ...)
  cwm_drop(cwm_need_response(object, "fitted")$fitted_values)
}

#' @export
residuals.cwm <- function(object, data = NULL, ...) {
  no_more("residuals", ...)
  cwm_drop(cwm_need_response(object, "residuals")$residual_values)
}

cwm_need_response <- function(fit, fun) {
  if (is.null(fit$fitted_values)) {
    abort(fun, "the model has no response; try clusters(fit) or predict(fit, type = \"density\")")
  }
  fit
}

# One response: a named vector, as lm() gives.
cwm_drop <- function(a) if (ncol(a) == 1) a[, 1] else a

#' @export
augment.cwm <- function(x, data, ...) {
  no_more("augment", ...)
  if (!is.null(x$fitted_values)) return(NextMethod())
  if (missing(data) || nrow(data) != x$nobs) {
    abort_arg("augment", "data", sprintf("the %d rows of the fit", x$nobs),
              if (missing(data)) "nothing" else sprintf("%d rows", nrow(data)))
  }
  prob <- as.data.frame(unname(x$responsibilities))
  names(prob) <- paste0(".prob_", seq_along(prob))
  cbind(as.data.frame(data), .cluster = unname(x$clusters), prob)
}

# What resume() takes from the fit and not from where its call finds it.
#' @export
kept_arguments.cwm <- function(fit) {
  out <- list(noise = fit$noise)
  if (!is.null(fit$prior)) out$prior <- fit$prior
  if (!is.null(fit$candidates)) {
    out$k <- unique(fit$candidates$k)
    out$covariance <- unique(fit$candidates$covariance)
  }
  out
}

# ---- parameters -------------------------------------------------------------

# One row per parameter, component by component: weight, mean, covariance, coefficient, noise.
cwm_terms <- function(estimate) {
  do.call(rbind, lapply(seq_along(estimate$weights), function(k) {
    cwm_component_terms(estimate, k)
  }))
}

cwm_component_terms <- function(estimate, k) {
  x <- colnames(estimate$means)
  b <- estimate$coefficients[[k]]
  y <- colnames(b)
  spread <- cwm_lower(estimate$covariances, k, x)
  noise <- cwm_lower(estimate$noise, k, y)
  part <- function(name, response, term, value, scale) {
    data.frame(component = rep(k, length(value)), part = rep(name, length(value)),
               response = response, term = term, estimate = value, scale = scale)
  }
  rbind(
    part("weight", NA_character_, "weight", unname(estimate$weights[k]), "logit"),
    if (length(x) > 0) part("mean", NA_character_, x, unname(estimate$means[k, ]), "identity"),
    if (length(x) > 0) part("covariance", NA_character_, spread$term, spread$value, spread$scale),
    if (length(b) > 0) {
      part("coefficient", rep(y, each = nrow(b)), rep(rownames(b), length(y)), as.vector(b),
           "identity")
    },
    if (length(y) > 0) part("noise", noise$row, noise$term, noise$value, noise$scale))
}

# Lower triangle of matrix k of an array, column by column.
cwm_lower <- function(a, k, names) {
  p <- length(names)
  at <- which(lower.tri(diag(p), diag = TRUE), arr.ind = TRUE)
  diagonal <- at[, 1] == at[, 2]
  list(value = a[, , k][at[, 1] + p * (at[, 2] - 1)], row = names[at[, 1]],
       term = ifelse(diagonal, names[at[, 1]], paste(names[at[, 2]], names[at[, 1]], sep = ":")),
       scale = ifelse(diagonal, "log", "identity"))
}

parameter_table.cwm <- function(fit, level = NULL) {
  table <- cwm_terms(fit$estimate)
  table$std.error <- if (is.null(fit$vcov)) NA_real_ else sqrt(pmax(diag(fit$vcov), 0))
  if (fit$method != "em") table <- cwm_posterior_table(fit, table, level)
  if (fit$method == "em" && fit$k == 1) table$scale[table$part == "weight"] <- "identity"
  table[c("component", "part", "response", "term", "estimate", "std.error",
          intersect(c("scale", "conf.low", "conf.high"), names(table)))]
}

# From draws of q for a variational fit.
#' @export
vcov.cwm <- function(object, ...) {
  no_more("vcov", ...)
  if (object$method != "vb") return(NextMethod())
  stats::cov(with_seed(object$control$seed, posterior_sample(object, 2000)))
}

# ---- prediction -------------------------------------------------------------

#' @export
predict.cwm <- function(object, newdata = NULL,
                        type = c("response", "interval", "density", "cluster", "prob", "draws"),
                        level = 0.95, draws = 1000, log = FALSE, seed = NULL, threads = NULL,
                        ...) {
  check_no_dots(list(...), "predict", names(formals()))
  types <- c("response", "interval", "density", "cluster", "prob", "draws")
  type <- check_choice(type, types, "predict", "type")
  level <- check_number(level, "predict", "level", 0, 1, open = TRUE)
  log <- check_flag(log, "predict", "log")
  if (is.null(newdata)) return(cwm_predict_training(object, type))
  if (type %in% c("response", "interval", "draws")) cwm_need_response(object, "predict")
  input <- cwm_new_input(object, newdata, type)
  settings <- list(level = level, draws = check_count(draws, "predict", "draws"),
                   log = log, threads = resolve_threads(threads, "predict"),
                   seed = if (type == "draws") resolve_seed(seed, "predict") else 0)
  cwm_predict_typed(object, input, type, settings)
}

cwm_predict_training <- function(object, type) {
  switch(type, response = fitted(object), cluster = clusters(object),
         prob = responsibilities(object),
         abort_arg("predict", "newdata", sprintf("given for type = \"%s\"", type), "nothing",
                   "the data of the fit, which keeps no copy of them"))
}

# Covariates (and responses, where they are used and there) of new rows.
cwm_new_input <- function(object, newdata, type) {
  if (is_se(newdata)) newdata <- cwm_se_newdata(object, newdata)
  uses_y <- type %in% c("density", "cluster", "prob")
  slim <- object$design
  if (is.null(slim$design)) return(cwm_new_matrix(object, newdata, uses_y))
  if (is.matrix(newdata)) newdata <- as.data.frame(newdata)
  w <- design_matrix(slim$design, newdata, "predict")
  x <- matrix(0, nrow(w), 0)
  if (ncol(object$estimate$means) > 0) x <- design_matrix(slim$cluster, newdata, "predict")
  y <- if (uses_y) cwm_new_response(object, newdata, type)
  cwm_new_rows(object, x, w, y, rownames(w))
}

cwm_new_rows <- function(object, x, w, y, rows) {
  if (is.null(object$fitted_values)) w <- w[, 0, drop = FALSE]
  bad <- rowSums(!is.finite(x)) + rowSums(!is.finite(w)) > 0
  list(x = cwm_plain(x), w = cwm_plain(w), y = y %||% matrix(0, nrow(w), 0), bad = bad,
       rows = cwm_row_names(rows))
}

cwm_new_matrix <- function(object, newdata, uses_y) {
  columns <- object$design$columns
  if (is.null(dim(newdata))) newdata <- matrix(newdata, 1, dimnames = list(NULL, names(newdata)))
  newdata <- as.matrix(newdata)
  if (is.null(colnames(newdata)) && ncol(newdata) == length(columns)) colnames(newdata) <- columns
  lacking <- setdiff(columns, colnames(newdata))
  if (!is.numeric(newdata) || length(lacking) > 0) {
    abort_arg("predict", "newdata", "a numeric matrix with the columns of the fit",
              if (length(lacking) > 0) sprintf("no column '%s'", lacking[1]) else
                describe_value(newdata))
  }
  responses <- colnames(object$fitted_values)
  y <- if (uses_y && length(responses) > 0 && all(responses %in% colnames(newdata))) {
    newdata[, responses, drop = FALSE]
  }
  cwm_new_rows(object, newdata[, object$design$cluster_columns, drop = FALSE],
               cbind(1, newdata[, columns, drop = FALSE]), y, rownames(newdata))
}

cwm_new_response <- function(object, newdata, type) {
  responses <- colnames(object$fitted_values)
  if (length(responses) == 0) return(NULL)
  left <- object$design$formula[[2]]
  there <- all(all.vars(left) %in% names(newdata))
  if (!there) {
    if (type != "density") return(NULL)
    lacking <- setdiff(all.vars(left), names(newdata))[1]
    abort_arg("predict", "newdata", "given with the response for type = \"density\"",
              sprintf("no column '%s'", lacking))
  }
  y <- eval(left, newdata, environment(object$design$formula))
  matrix(as.double(as.matrix(y)), nrow(newdata), dimnames = list(NULL, responses))
}

cwm_se_newdata <- function(object, se) {
  call <- object$call
  value <- function(name) if (is.null(call[[name]])) NULL else eval(call[[name]], parent.frame(3))
  cwm_se_frame(se, value("response"), value("covariates"), value("reduced"), value("dims") %||% 2,
               value("assay"))$frame
}

cwm_predict_typed <- function(object, input, type, settings) {
  run <- function(what, levels = 0.5) {
    out <- cwm_predict_core(object, input$x, input$w, input$y, what, levels, settings$draws,
                            settings$seed, settings$threads)
    out[input$bad, ] <- NA
    rownames(out) <- input$rows
    out
  }
  responses <- colnames(object$fitted_values)
  m <- length(responses)
  switch(type,
    response = {
      out <- run("response")
      colnames(out) <- responses
      cwm_drop(out)
    },
    interval = cwm_intervals(run("response"), run("quantile", c(0.5 - settings$level / 2,
                                                                0.5 + settings$level / 2)),
                             responses),
    density = {
      out <- run("density")[, if (m > 0) 1 else 2]
      if (settings$log) out else exp(out)
    },
    prob = cwm_name_clusters(run("prob")),
    cluster = stats::setNames(cwm_which_max(run("prob")), input$rows),
    draws = cwm_shape_draws(run("draws"), responses))
}

cwm_predict_core <- function(object, x, w, y, type, levels = 0.5, draws = 1, seed = 0,
                             threads = 1) {
  cwm_predict_rows(object$mixture, x, w, y, type, levels, draws, seed, threads)
}

cwm_name_clusters <- function(prob) {
  colnames(prob) <- seq_len(ncol(prob))
  prob
}

cwm_which_max <- function(prob) {
  apply(prob, 1, function(row) if (anyNA(row)) NA_integer_ else which.max(row))
}

cwm_intervals <- function(mean, quantiles, responses) {
  one <- function(j) {
    out <- cbind(fit = mean[, j], lwr = quantiles[, 2 * j - 1], upr = quantiles[, 2 * j])
    rownames(out) <- rownames(mean) %||% seq_len(nrow(mean))
    out
  }
  if (length(responses) == 1) return(one(1))
  stats::setNames(lapply(seq_along(responses), one), responses)
}

# rows x draws, for several responses rows x draws x responses.
cwm_shape_draws <- function(out, responses) {
  m <- length(responses)
  if (m == 1) return(out)
  aperm(array(out, c(nrow(out), m, ncol(out) / m), list(rownames(out), responses, NULL)),
        c(1, 3, 2))
}

# The Gaussian mixture of point estimates, as the predicting code reads it.
cwm_plug_in <- function(estimate) {
  c(cwm_core_values(estimate), list(cluster = seq_along(estimate$weights)))
}

# With `data`: responses for those covariates (columns sim_1, ...); without: whole data sets.
#' @export
simulate.cwm <- function(object, nsim = 1, seed = NULL, data = NULL, ...) {
  no_more("simulate", ...)
  nsim <- check_count(nsim, "simulate", "nsim")
  with_seed(seed, {
    if (is.null(data)) {
      out <- replicate(nsim, cwm_simulate_once(object), simplify = FALSE)
      stats::setNames(out, paste0("sim_", seq_len(nsim)))
    } else {
      cwm_simulate_given(object, nsim, data)
    }
  })
}

cwm_simulate_given <- function(object, nsim, data) {
  out <- predict(object, data, type = "draws", draws = nsim)
  if (length(dim(out)) == 3) return(lapply(seq_len(nsim), function(i) out[, i, ]))
  stats::setNames(as.data.frame(out), paste0("sim_", seq_len(nsim)))
}

# One data set of the fit's size: clusters, clustering covariates, and the responses where the
# regression covariates are the clustering covariates.
cwm_simulate_once <- function(fit) {
  e <- fit$estimate
  z <- draw_labels(fit$nobs, e$weights)
  d <- ncol(e$means)
  x <- matrix(0, fit$nobs, d, dimnames = list(NULL, colnames(e$means)))
  for (k in unique(z)) {
    at <- z == k
    if (d > 0) {
      x[at, ] <- rep(e$means[k, ], each = sum(at)) +
        draw_normal(sum(at), matrix(e$covariances[, , k], d))
    }
  }
  data.frame(x, cwm_simulate_response(fit, x, z), .cluster = z, check.names = FALSE)
}

cwm_simulate_response <- function(fit, x, z) {
  if (is.null(fit$fitted_values)) return(data.frame(row.names = seq_len(nrow(x))))
  w <- tryCatch(cwm_new_input(fit, as.data.frame(x), "response")$w, error = function(e) NULL)
  if (is.null(w)) {
    abort("simulate", "covariates of the regression that do not cluster have no distribution; ",
          "try predict(fit, newdata, type = \"draws\")")
  }
  m <- ncol(fit$fitted_values)
  y <- matrix(0, nrow(x), m, dimnames = list(NULL, colnames(fit$fitted_values)))
  for (k in unique(z)) {
    at <- z == k
    y[at, ] <- w[at, , drop = FALSE] %*% fit$estimate$coefficients[[k]] +
      draw_normal(sum(at), matrix(fit$estimate$noise[, , k], m))
  }
  as.data.frame(y, optional = TRUE)
}
