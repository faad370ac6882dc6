# Plots of a cwm fit.

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
  if (!is.data.frame(data)) {
    abort_arg("autoplot", "data", "the data frame of the fit", describe_value(data))
  }
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

# Clustering covariates as the fit has them: columns that may be transformations of those of `data`.
cwm_plot_points <- function(fit, data) {
  x <- cwm_new_input(fit, data, "response")$x
  y <- cwm_observed(fit)
  list(x = x, y = y, cluster = factor(fit$clusters, seq_len(fit$k)))
}

# Two clustering covariates: a panel of rows and ellipses, and a panel per response of rows and
# regression lines. One (or none) and a response: rows and lines. Nothing to draw against: a
# histogram.
cwm_plot_clusters <- function(fit, data, covariate) {
  points <- cwm_plot_points(fit, data)
  names <- colnames(points$x)
  against <- cwm_plot_covariates(fit, data)
  if (length(names) >= 2 && is.null(covariate)) return(cwm_plot_ellipses(fit, data, points))
  if (is.null(points$y)) return(cwm_plot_histogram(fit, points$x[, 1], names[1], points$cluster))
  if (length(against) == 0 && is.null(covariate)) {
    return(cwm_plot_histogram(fit, points$y[, 1], colnames(points$y)[1], points$cluster))
  }
  covariate <- check_choice(covariate %||% against[1], against, "autoplot", "covariate")
  panels <- cwm_response_panels(points, data[[covariate]])
  lines <- cwm_cluster_lines(fit, data, covariate)
  figure <- cwm_plot_panels(fit, panels, lines, NULL) + ggplot2::labs(x = covariate)
  if (ncol(points$y) > 1) return(figure)
  figure + ggplot2::labs(y = colnames(points$y)) + ggplot2::facet_null()
}

# One row per data row and response.
cwm_response_panels <- function(points, at) {
  y <- points$y
  n <- nrow(y)
  data.frame(at = rep(at, ncol(y)), value = as.vector(y), .cluster = rep(points$cluster, ncol(y)),
             panel = rep(colnames(y) %||% character(), each = n))
}

cwm_plot_ellipses <- function(fit, data, points) {
  x <- colnames(points$x)[1:2]
  rings <- do.call(rbind, lapply(seq_len(fit$k), function(k) {
    ring <- cwm_ellipse(fit$estimate$means[k, x], fit$estimate$covariances[x, x, k])
    data.frame(at = ring[, 1], value = ring[, 2], .cluster = factor(k, seq_len(fit$k)))
  }))
  rings$panel <- x[2]
  panels <- data.frame(at = points$x[, 1], value = points$x[, 2], .cluster = points$cluster,
                       panel = x[2])
  lines <- NULL
  if (!is.null(points$y) && x[1] %in% cwm_plot_covariates(fit, data)) {
    panels <- rbind(panels, cwm_response_panels(points, points$x[, 1]))
    lines <- cwm_cluster_lines(fit, data, x[1])
  }
  figure <- cwm_plot_panels(fit, panels, lines, rings) + ggplot2::labs(x = x[1])
  if (is.null(lines)) figure + ggplot2::labs(y = x[2]) + ggplot2::facet_null() else figure
}

# Rows, regression lines and ellipses; one panel per quantity on the vertical axis.
cwm_plot_panels <- function(fit, panels, lines, rings) {
  order <- unique(panels$panel)
  panels$panel <- factor(panels$panel, order)
  figure <- ggplot2::ggplot(panels, ggplot2::aes(.data$at, .data$value,
                                                 colour = .data$.cluster)) +
    ggplot2::geom_point(alpha = 0.6, na.rm = TRUE)
  if (!is.null(rings)) {
    rings$panel <- factor(rings$panel, order)
    figure <- figure + ggplot2::geom_path(data = rings, linewidth = 1)
  }
  if (!is.null(lines)) {
    lines$panel <- factor(lines$panel, order)
    figure <- figure + ggplot2::geom_line(data = lines, linewidth = 1)
  }
  what <- c(if (!is.null(rings)) "95% ellipses", if (!is.null(lines)) "regressions")
  figure + ggplot2::facet_wrap("panel", scales = "free_y", strip.position = "left") +
    cwm_colours(fit$k) + theme_mixology() + ggplot2::theme(strip.placement = "outside") +
    ggplot2::labs(y = NULL, title = paste("Clusters and their", paste(what, collapse = " and ")))
}

cwm_plot_histogram <- function(fit, values, name, cluster) {
  ggplot2::ggplot(data.frame(value = values, .cluster = cluster),
                  ggplot2::aes(.data$value, fill = .data$.cluster)) +
    ggplot2::geom_histogram(bins = 40, na.rm = TRUE) +
    ggplot2::scale_fill_manual(values = palette_of(fit$k), name = "cluster") +
    ggplot2::labs(x = name, title = "Clusters") + theme_mixology()
}

# The responses of the training data, put together again.
cwm_observed <- function(fit) {
  if (!is.null(fit$fitted_values)) fit$fitted_values + fit$residual_values
}

# Columns of the data that a regression or a cluster can be drawn against.
cwm_plot_covariates <- function(fit, data) {
  right <- if (!is.null(fit$design$formula)) all.vars(fit$design$formula[[3]])
  known <- intersect(c(colnames(fit$estimate$means), right, fit$design$columns), names(data))
  known[vapply(known, function(name) is.numeric(data[[name]]) && is.null(dim(data[[name]])), NA)]
}

# A grid along one covariate; the others at their mean or their first level.
cwm_grid <- function(fit, data, covariate, rows = seq_len(nrow(data)), points = 120) {
  grid <- data[rep(rows[1], points), , drop = FALSE]
  for (name in names(data)) {
    v <- data[[name]]
    if (!is.numeric(v)) next
    centre <- colMeans(as.matrix(v)[rows, , drop = FALSE], na.rm = TRUE)
    grid[[name]] <- if (is.matrix(v)) {
      matrix(centre, points, ncol(v), TRUE, list(NULL, colnames(v)))
    } else centre
  }
  grid[[covariate]] <- seq(min(data[[covariate]][rows], na.rm = TRUE),
                           max(data[[covariate]][rows], na.rm = TRUE), length.out = points)
  grid
}

cwm_cluster_lines <- function(fit, data, covariate) {
  do.call(rbind, lapply(seq_len(fit$k), function(k) {
    rows <- which(fit$clusters == k)
    if (length(rows) < 2) return(NULL)
    grid <- cwm_grid(fit, data, covariate, rows)
    y <- cwm_new_input(fit, grid, "response")$w %*% fit$estimate$coefficients[[k]]
    data.frame(at = rep(grid[[covariate]], ncol(y)), value = as.vector(y),
               .cluster = factor(k, seq_len(fit$k)), panel = rep(colnames(y), each = nrow(y)))
  }))
}

cwm_plot_bands <- function(fit, data, covariate, level) {
  known <- cwm_plot_covariates(fit, data)
  if (length(known) == 0) abort("autoplot", "the model has no numeric covariate to draw against")
  covariate <- check_choice(covariate %||% known[1], known, "autoplot", "covariate")
  grid <- cwm_grid(fit, data, covariate)
  bands <- predict(fit, grid, type = "interval", level = level)
  y <- cwm_observed(fit)
  if (!is.list(bands)) bands <- stats::setNames(list(bands), colnames(y))
  band <- do.call(rbind, lapply(names(bands), function(name) {
    data.frame(at = grid[[covariate]], unname(bands[[name]]), panel = name)
  }))
  names(band)[2:4] <- c("fit", "lwr", "upr")
  points <- cwm_response_panels(list(y = y, cluster = factor(fit$clusters, seq_len(fit$k))),
                                data[[covariate]])
  ggplot2::ggplot(band, ggplot2::aes(.data$at)) +
    ggplot2::geom_ribbon(ggplot2::aes(ymin = .data$lwr, ymax = .data$upr), alpha = 0.2) +
    ggplot2::geom_point(data = points, ggplot2::aes(y = .data$value, colour = .data$.cluster),
                        alpha = 0.6, na.rm = TRUE) +
    ggplot2::geom_line(ggplot2::aes(y = .data$fit), linewidth = 1) + cwm_colours(fit$k) +
    ggplot2::facet_wrap("panel", scales = "free_y", strip.position = "left") +
    ggplot2::labs(x = covariate, y = NULL,
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
