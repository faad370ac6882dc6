# Plots of a cwm fit.

#' @export
autoplot.cwm <- function(object, type = NULL, data = NULL, covariate = NULL, level = 0.9, ...) {
  no_more("autoplot", ...)
  types <- cwm_plot_types(object)
  type <- check_choice(type %||% types[1], types, "autoplot", "type")
  switch(type, trace = autoplot.mixology_fit(object),
         clusters = cwm_plot_clusters(object, cwm_plot_data(object, data), covariate),
         bands = cwm_plot_bands(object, cwm_plot_data(object, data), covariate, level),
         bic = cwm_plot_bic(object), similarity = cwm_plot_similarity(object),
         components = cwm_plot_components(object))
}

cwm_plot_types <- function(fit) {
  c("components", "clusters", if (!is.null(fit$fitted_values)) "bands",
    if (!is.null(fit$candidates)) "bic", if (!is.null(fit$similarity)) "similarity", "trace")
}

# The data, given or found through the call.
cwm_plot_data <- function(fit, data) {
  if (is.null(data)) data <- training_data(fit, NULL, "autoplot", globalenv())
  if (is.matrix(data)) data <- as.data.frame(data)
  if (is_se(data)) data <- cwm_se_newdata(fit, data)
  if (nrow(data) != fit$nobs) {
    abort_arg("autoplot", "data", sprintf("the %d rows of the fit", fit$nobs),
              sprintf("%d rows", nrow(data)))
  }
  data
}

# Points of the ellipse that holds `level` of a bivariate normal.
cwm_ellipse <- function(mean, covariance, level = 0.95, points = 80) {
  angle <- seq(0, 2 * pi, length.out = points)
  root <- t(chol(covariance + diag(1e-12 * max(diag(covariance)), 2)))
  t(mean + root %*% rbind(cos(angle), sin(angle)) * sqrt(stats::qchisq(level, 2)))
}

cwm_colours <- function(k) ggplot2::scale_colour_manual(values = palette_of(k), name = "cluster")

# What was estimated, without the data: coefficients of each cluster, or its means.
cwm_plot_components <- function(fit) {
  table <- tidy(fit, conf.int = TRUE)
  part <- if (is.null(fit$fitted_values)) "mean" else "coefficient"
  table <- table[table$part == part, ]
  table$component <- factor(table$component)
  ggplot2::ggplot(table, ggplot2::aes(.data$component, .data$estimate,
                                      colour = .data$component)) +
    ggplot2::geom_hline(yintercept = 0, colour = "grey70") +
    ggplot2::geom_errorbar(ggplot2::aes(ymin = .data$conf.low, ymax = .data$conf.high),
                           width = 0.2, na.rm = TRUE) +
    ggplot2::geom_point(size = 2) +
    ggplot2::facet_wrap(if (part == "mean") "term" else c("response", "term"), scales = "free_y") +
    cwm_colours(fit$k) +
    ggplot2::labs(x = "cluster", y = part, title = "Clusters and 95% intervals") +
    theme_mixology()
}

# Two clustering covariates: rows and ellipses. One (or none) and a response: rows and lines.
cwm_plot_clusters <- function(fit, data, covariate) {
  x <- colnames(fit$estimate$means)
  y <- colnames(fit$fitted_values)
  shape <- as.data.frame(data)
  shape$.cluster <- factor(fit$clusters, seq_len(fit$k))
  if (length(x) >= 2 && is.null(covariate)) return(cwm_plot_ellipses(fit, shape, x[1:2]))
  if (length(y) == 0) return(cwm_plot_histogram(fit, shape, x[1]))
  covariate <- cwm_plot_covariate(fit, data, covariate)
  shape$.y <- cwm_observed(fit)[, 1]
  lines <- cwm_cluster_lines(fit, data, covariate)
  ggplot2::ggplot(shape, ggplot2::aes(.data[[covariate]], .data$.y, colour = .data$.cluster)) +
    ggplot2::geom_point(alpha = 0.6, na.rm = TRUE) +
    ggplot2::geom_line(data = lines, linewidth = 1) +
    cwm_colours(fit$k) +
    ggplot2::labs(x = covariate, y = y[1], title = "Clusters and their regressions") +
    theme_mixology()
}

cwm_plot_ellipses <- function(fit, shape, x) {
  rings <- do.call(rbind, lapply(seq_len(fit$k), function(k) {
    ring <- cwm_ellipse(fit$estimate$means[k, x], fit$estimate$covariances[x, x, k])
    data.frame(a = ring[, 1], b = ring[, 2], .cluster = factor(k, seq_len(fit$k)))
  }))
  ggplot2::ggplot(shape, ggplot2::aes(.data[[x[1]]], .data[[x[2]]], colour = .data$.cluster)) +
    ggplot2::geom_point(alpha = 0.6, na.rm = TRUE) +
    ggplot2::geom_path(data = rings, ggplot2::aes(.data$a, .data$b), linewidth = 1) +
    cwm_colours(fit$k) +
    ggplot2::labs(title = "Clusters and the ellipses that hold 95% of each") +
    theme_mixology()
}

cwm_plot_histogram <- function(fit, shape, x) {
  ggplot2::ggplot(shape, ggplot2::aes(.data[[x]], fill = .data$.cluster)) +
    ggplot2::geom_histogram(bins = 40, na.rm = TRUE) +
    ggplot2::scale_fill_manual(values = palette_of(fit$k), name = "cluster") +
    ggplot2::labs(title = "Clusters") + theme_mixology()
}

# The responses of the training data, put together again.
cwm_observed <- function(fit) fit$fitted_values + fit$residual_values

cwm_plot_covariate <- function(fit, data, covariate) {
  known <- intersect(c(colnames(fit$estimate$means), all.vars(fit$design$formula[[3]]),
                       fit$design$columns), names(data)[vapply(data, is.numeric, NA)])
  if (length(known) == 0) abort("autoplot", "the model has no numeric covariate to draw against")
  check_choice(covariate %||% known[1], known, "autoplot", "covariate")
}

# A grid along one covariate; the others at their mean or their first level.
cwm_grid <- function(fit, data, covariate, rows = seq_len(nrow(data)), points = 120) {
  centre <- lapply(data, function(v) if (is.numeric(v)) mean(v[rows], na.rm = TRUE) else v[rows][1])
  grid <- as.data.frame(centre, optional = TRUE)[rep(1, points), , drop = FALSE]
  grid[[covariate]] <- seq(min(data[[covariate]][rows], na.rm = TRUE),
                           max(data[[covariate]][rows], na.rm = TRUE), length.out = points)
  grid
}

cwm_cluster_lines <- function(fit, data, covariate) {
  do.call(rbind, lapply(seq_len(fit$k), function(k) {
    rows <- which(fit$clusters == k)
    if (length(rows) < 2) return(NULL)
    grid <- cwm_grid(fit, data, covariate, rows)
    w <- cwm_new_input(fit, grid, "response")$w
    out <- data.frame(grid[[covariate]], .y = (w %*% fit$estimate$coefficients[[k]])[, 1],
                      .cluster = factor(k, seq_len(fit$k)))
    stats::setNames(out, c(covariate, ".y", ".cluster"))
  }))
}

cwm_plot_bands <- function(fit, data, covariate, level) {
  covariate <- cwm_plot_covariate(fit, data, covariate)
  grid <- cwm_grid(fit, data, covariate)
  band <- predict(fit, grid, type = "interval", level = level)
  if (is.list(band)) band <- band[[1]]
  band <- data.frame(at = grid[[covariate]], band)
  points <- data.frame(at = data[[covariate]], y = cwm_observed(fit)[, 1],
                       .cluster = factor(fit$clusters, seq_len(fit$k)))
  ggplot2::ggplot(band, ggplot2::aes(.data$at)) +
    ggplot2::geom_ribbon(ggplot2::aes(ymin = .data$lwr, ymax = .data$upr), alpha = 0.2) +
    ggplot2::geom_point(data = points, ggplot2::aes(y = .data$y, colour = .data$.cluster),
                        alpha = 0.6, na.rm = TRUE) +
    ggplot2::geom_line(ggplot2::aes(y = .data$fit), linewidth = 1) + cwm_colours(fit$k) +
    ggplot2::labs(x = covariate, y = colnames(fit$fitted_values)[1],
                  title = sprintf("Predictive mean and %g%% interval", 100 * level)) +
    theme_mixology()
}

cwm_plot_bic <- function(fit) {
  ggplot2::ggplot(fit$candidates, ggplot2::aes(.data$k, .data$BIC, colour = .data$covariance)) +
    ggplot2::geom_line() + ggplot2::geom_point(size = 2) +
    ggplot2::scale_colour_manual(values = palette_of(8)) +
    ggplot2::labs(x = "clusters", y = "BIC (smaller is better)", title = "Candidates") +
    theme_mixology()
}

cwm_plot_similarity <- function(fit) {
  order <- order(fit$clusters[fit$similarity$rows])
  p <- fit$similarity$matrix[order, order]
  grid <- expand.grid(row = seq_len(nrow(p)), column = seq_len(ncol(p)))
  grid$together <- as.vector(p)
  ggplot2::ggplot(grid, ggplot2::aes(.data$column, .data$row, fill = .data$together)) +
    ggplot2::geom_raster() + ggplot2::scale_y_reverse() +
    ggplot2::scale_fill_gradient(low = "white", high = palette_of(1), limits = c(0, 1),
                                 name = "probability of sharing a cluster") +
    ggplot2::coord_equal() + ggplot2::labs(x = "row", y = "row", title = "Posterior similarity") +
    theme_mixology()
}
