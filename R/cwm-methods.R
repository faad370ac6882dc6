# What a cwm fit answers: coefficients, tables, predictions, simulations.

coef.cwm <- function(object, ...) {
  no_more("coef", ...)
  object$estimate$coefficients
}

fitted.cwm <- function(object, ...) {
  no_more("fitted", ...)
  cwm_drop(cwm_need_response(object, "fitted")$fitted_values)
}

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
cwm_drop <- function(a) if (ncol(a) == 1) stats::setNames(a[, 1], rownames(a)) else a

augment.cwm <- function(x, data, ...) {
  no_more("augment", ...)
  if (missing(data)) abort("augment", "'data' must be given: a fit keeps no copy of its data")
  data <- cwm_augmented(x, data)
  out <- if (is.data.frame(data)) data else data.frame(x = data)
  for (part in c("fitted", "resid")) {
    values <- x[[if (part == "fitted") "fitted_values" else "residual_values"]]
    one <- identical(ncol(values), 1L)
    for (j in seq_len(NCOL(values) * !is.null(values))) {
      out[[paste0(".", part, if (!one) paste0("_", colnames(values)[j]))]] <- unname(values[, j])
    }
  }
  out$.cluster <- unname(x$clusters)
  for (k in seq_len(x$k)) out[[paste0(".prob_", k)]] <- unname(x$responsibilities[, k])
  out
}

# The data of the fit, as a data frame where they can be one. Of variables that were in no frame
# only the number of rows is compared.
cwm_augmented <- function(fit, data) {
  loose <- identical(fit$data_info$class, "list")
  if (!loose) data <- training_data(fit, data, "augment", parent.frame())
  if (is_se(data)) data <- cwm_se_newdata(fit, data)
  if (is.matrix(data)) data <- as.data.frame(data)
  if (NROW(data) == fit$nobs) return(data)
  abort_arg("augment", "data", sprintf("the %d observations of the fit", fit$nobs),
            sprintf("%d", NROW(data)))
}

# What resume() takes from the fit and not from where its call finds it.
#' @export
kept_arguments.cwm <- function(fit) {
  tried <- fit$candidates %||% list(k = fit$candidates_k, covariance = fit$covariance)
  out <- list(noise = fit$noise, k = unique(tried$k_max %||% tried$k),
              covariance = unique(tried$covariance))
  out$prior <- fit$given_prior %||% fit$prior # what other candidates' numbers follow from
  out
}

# ---- parameters -------------------------------------------------------------

# One row per parameter, component by component: weight, mean, covariance, coefficient, noise.
cwm_terms <- function(estimate) {
  k <- length(estimate$weights)
  x <- colnames(estimate$means)
  w <- rownames(estimate$coefficients[[1]])
  y <- colnames(estimate$coefficients[[1]])
  spread <- cwm_lower(x)
  noise <- cwm_lower(y)
  sizes <- c(weight = 1, mean = length(x), covariance = length(spread$at),
             coefficient = length(w) * length(y), noise = length(noise$at))
  none <- rep(NA_character_, 1 + length(x) + length(spread$at))
  value <- vapply(seq_len(k), function(j) {
    c(estimate$weights[[j]], estimate$means[j, ], estimate$covariances[, , j][spread$at],
      estimate$coefficients[[j]], estimate$noise[, , j][noise$at])
  }, numeric(sum(sizes)))
  part <- rep(names(sizes), sizes)
  data.frame(component = rep(seq_len(k), each = sum(sizes)), part = rep(part, k),
             response = rep(c(none, rep(y, each = length(w)), noise$row), k),
             term = rep(c("weight", x, spread$term, rep(w, length(y)), noise$term), k),
             estimate = as.vector(value),
             scale = rep(c("logit", rep("identity", length(x)), spread$scale,
                           rep("identity", length(w) * length(y)), noise$scale), k))
}

# The lower triangle of a square matrix, column by column.
cwm_lower <- function(names) {
  p <- length(names)
  column <- rep(seq_len(p), rev(seq_len(p)))
  row <- sequence(rev(seq_len(p)), seq_len(p))
  diagonal <- row == column
  list(at = row + p * (column - 1), row = names[row],
       term = ifelse(diagonal, names[row], paste(names[column], names[row], sep = ":")),
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
vcov.cwm <- function(object, ...) {
  no_more("vcov", ...)
  if (object$method == "gibbs") { # without the log likelihood and the number of clusters
    terms <- seq_len(nrow(cwm_terms(object$estimate)))
    return(draws_covariance(object$posterior$draws[, , terms, drop = FALSE]))
  }
  if (object$method == "em") {
    out <- NextMethod()
    dimnames(out) <- rep(list(parameter_names(cwm_terms(object$estimate))), 2)
    return(out)
  }
  stats::cov(with_seed(object$control$seed, posterior_sample(object, 2000)))
}

# Of the components in use, whose weights are taken to sum to one.
#' @export
pointwise_log_lik.cwm <- function(fit, draws, data, env) {
  data <- training_data(fit, data, "loo", env)
  input <- cwm_new_input(fit, data, "density")
  if (is.null(fit$design$design) && ncol(input$y) < length(colnames(fit$fitted_values))) {
    abort("loo", "the responses of the matrix interface are not kept; try the formula interface")
  }
  e <- fit$estimate
  sizes <- c(ncol(e$means), nrow(e$coefficients[[1]]), ncol(e$coefficients[[1]]))
  one <- function(i) {
    mixture <- c(cwm_values_of_draw(draws[i, ], fit$k, sizes), list(cluster = seq_len(fit$k)))
    core <- list(mixture = mixture)
    cwm_predict_core(core, input$x, input$w, input$y, "density", threads = 1)[, 2]
  }
  do.call(rbind, lapply(seq_len(nrow(draws)), one))
}

# ---- prediction -------------------------------------------------------------

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
  if (is.null(slim$design)) return(cwm_new_matrix(object, newdata, uses_y, type))
  if (is.matrix(newdata)) newdata <- as.data.frame(newdata)
  for (part in slim[c("design", "cluster")]) cwm_check_numeric(part, newdata)
  w <- design_matrix(slim$design, newdata, "predict")
  x <- matrix(0, nrow(w), 0)
  if (ncol(object$estimate$means) > 0) x <- design_matrix(slim$cluster, newdata, "predict")
  y <- if (uses_y) cwm_new_response(object, newdata, type)
  cwm_new_rows(object, x, w, y, rownames(w))
}

# Covariates that were numbers are numbers.
cwm_check_numeric <- function(design, newdata) {
  classes <- attr(stats::delete.response(design$terms), "dataClasses")
  numeric <- intersect(names(classes)[classes == "numeric"], names(newdata))
  bad <- numeric[!vapply(numeric, function(name) is.numeric(newdata[[name]]), NA)]
  if (length(bad) == 0) return(invisible())
  abort_arg("predict", "newdata", sprintf("numeric in '%s', as the data of the fit", bad[1]),
            describe_value(newdata[[bad[1]]]))
}

cwm_new_rows <- function(object, x, w, y, rows) {
  if (is.null(object$fitted_values)) w <- w[, 0, drop = FALSE]
  y <- if (is.null(y)) matrix(0, nrow(w), 0) else cwm_plain(y)
  bad <- rowSums(!is.finite(x)) + rowSums(!is.finite(w)) + rowSums(is.infinite(y)) > 0
  list(x = cwm_plain(x), w = cwm_plain(w), y = y, bad = bad,
       dark = ncol(y) > 0 & rowSums(!is.na(y)) == 0, rows = cwm_row_names(rows))
}

cwm_new_matrix <- function(object, newdata, uses_y, type) {
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
  seen <- intersect(responses, colnames(newdata))
  y <- if (uses_y && length(seen) > 0) {
    newdata[, match(responses, colnames(newdata)), drop = FALSE]
  } else if (uses_y && length(responses) > 0) {
    cwm_no_response(lapply(responses, as.name), NULL, type)
  }
  cwm_new_rows(object, newdata[, object$design$cluster_columns, drop = FALSE],
               cbind(1, newdata[, columns, drop = FALSE]), y, rownames(newdata))
}

# The responses that `newdata` has, NA for the others; NULL when it has none.
cwm_new_response <- function(object, newdata, type) {
  responses <- colnames(object$fitted_values)
  if (length(responses) == 0) return(NULL)
  left <- cwm_response_call(object$design$design)
  parts <- if (length(responses) > 1 && is.call(left) && identical(left[[1]], quote(cbind))) {
    as.list(left)[-1]
  } else list(left)
  env <- environment(object$design$formula)
  there <- vapply(parts, cwm_found, NA, newdata, env)
  if (!any(there)) return(cwm_no_response(parts, newdata, type))
  values <- lapply(which(there), function(i) cwm_response_value(parts[[i]], newdata, env))
  if (length(parts) == 1) return(matrix(values[[1]], nrow(newdata), length(responses)))
  out <- matrix(NA_real_, nrow(newdata), length(responses))
  widths <- vapply(values, NCOL, 1L)
  if (all(there) && sum(widths) == length(responses)) return(unname(do.call(cbind, values)))
  out[, which(there)[widths == 1]] <- do.call(cbind, values[widths == 1])
  out
}

# The response as data-dependent transformations of it were in the training data.
cwm_response_call <- function(design) {
  at <- attr(design$terms, "response")
  (attr(design$terms, "predvars") %||% attr(design$terms, "variables"))[[at + 1]]
}

# Can `part` be evaluated for new rows? What it takes from the environment are parameters, unless
# all of it comes from there.
cwm_found <- function(part, newdata, env) {
  names <- all.vars(part)
  here <- names %in% names(newdata)
  any(here) && all(here | vapply(names, exists, NA, envir = env))
}

cwm_no_response <- function(parts, newdata, type) {
  if (type != "density") return(NULL)
  wanted <- setdiff(unlist(lapply(parts, all.vars)), names(newdata))[1]
  abort_arg("predict", "newdata", "given with the response for type = \"density\"",
            sprintf("no column '%s'", wanted))
}

cwm_response_value <- function(part, newdata, env) {
  value <- eval(part, newdata, env)
  if (is.logical(value) && all(is.na(value))) value <- NA_real_ + value
  if (!is.numeric(value)) {
    abort_arg("predict", "newdata", sprintf("numeric in '%s'", deparse1(part)),
              describe_value(value))
  }
  if (is.matrix(value)) value else as.double(value)
}

# The columns of an experiment that the fit uses; of the responses those that it has.
cwm_se_newdata <- function(object, se) {
  parts <- object$experiment
  if (is.null(parts)) {
    abort("predict", "the fit was not made from an experiment; try colData as a data frame")
  }
  parts$response <- intersect(parts$response, c(names(se_cells(se)), rownames(se)))
  do.call(cwm_se_frame, c(list(se), parts))$frame
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
    interval = cwm_intervals(run("interval", 0.5 + c(-0.5, 0.5) * settings$level), responses),
    density = {
      out <- stats::setNames(run("density")[, if (m > 0) 1 else 2], input$rows)
      out[input$dark] <- NA # no response of the row is there to have a density
      if (settings$log) out else exp(out)
    },
    prob = cwm_name_clusters(run("prob")),
    cluster = stats::setNames(cwm_which_max(run("prob")), input$rows),
    draws = cwm_shape_draws(run("draws"), responses))
}

cwm_predict_core <- function(object, x, w, y, type, levels = 0.5, draws = 1, seed = 0,
                             threads = 1) {
  mixture <- object$mixture %||% cwm_plug_in(object$estimate)
  cwm_predict_rows(mixture, x, w, y, type, levels, draws, seed, threads)
}

cwm_name_clusters <- function(prob) {
  colnames(prob) <- seq_len(ncol(prob))
  prob
}

cwm_which_max <- function(prob) {
  out <- max.col(prob, "first")
  out[is.na(prob[, 1])] <- NA
  out
}

# From means, then two quantiles per response.
cwm_intervals <- function(values, responses) {
  m <- length(responses)
  one <- function(j) {
    out <- values[, c(j, m + 2 * j - 1, m + 2 * j), drop = FALSE]
    dimnames(out) <- list(rownames(values) %||% seq_len(nrow(values)), c("fit", "lwr", "upr"))
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

# With `data`: responses for those covariates (columns sim_1, ...); without: whole data sets, or,
# where the model has no distribution for the covariates, responses for those of the fit.
simulate.cwm <- function(object, nsim = 1, seed = NULL, data = NULL, ...) {
  no_more("simulate", ...)
  nsim <- check_count(nsim, "simulate", "nsim")
  if (is.null(data) && !cwm_draws_covariates(object)) {
    data <- training_data(object, NULL, "simulate", parent.frame())
  }
  simulated(seed, {
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

# Do the clustering covariates determine those of the regression?
cwm_draws_covariates <- function(fit) {
  if (is.null(fit$fitted_values)) return(TRUE)
  slim <- fit$design$design
  needed <- if (is.null(slim)) fit$design$columns else {
    setdiff(all.vars(stats::delete.response(slim$terms)), slim$parameters)
  }
  all(needed %in% colnames(fit$estimate$means))
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
  w <- cwm_new_input(fit, as.data.frame(x), "response")$w
  m <- ncol(fit$fitted_values)
  y <- matrix(0, nrow(x), m, dimnames = list(NULL, colnames(fit$fitted_values)))
  for (k in unique(z)) {
    at <- z == k
    y[at, ] <- w[at, , drop = FALSE] %*% fit$estimate$coefficients[[k]] +
      draw_normal(sum(at), matrix(fit$estimate$noise[, , k], m))
  }
  as.data.frame(y, optional = TRUE)
}
