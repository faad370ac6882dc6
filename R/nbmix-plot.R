# Plots of nbmix fits.

#' Plots of an nbmix fit
#'
#' For a fit of one gene: `"histogram"` (the counts with the fitted mass of each component),
#' `"rootogram"` (square roots of the observed frequencies hanging from the fitted ones, so that
#' misfit shows as a bar that misses the zero line) and `"trace"`. For a fit of many genes:
#' `"genes"` (mean and dispersion of every component).
#'
#' @param object A fit by [nbmix()].
#' @param type Which plot.
#' @param data The counts, for a gene out of so many that the fit keeps none, where its call no
#'   longer finds them.
#' @param bins Bars at most. Default 60; neighbouring counts share one when there are more.
#' @param ... Not used.
#' @return A ggplot object.
#' @examples
#' set.seed(1)
#' fit <- nbmix(simulate_nbmix(500, c(.3, .7), c(5, 60), .2)$x, k = 2, seed = 1)
#' autoplot(fit)
#' autoplot(fit, type = "rootogram")
#' @export
autoplot.nbmix <- function(object, type = NULL, bins = 60, data = NULL, ...) {
  no_more("autoplot", ...)
  types <- if (holds_units(object)) "genes" else c("histogram", "rootogram", "trace")
  type <- check_choice(type %||% types[1], types, "autoplot", "type")
  bins <- check_count(bins, "autoplot", "bins")
  if (length(object$estimate[[1]]) == 0) abort("autoplot", "the gene was not fitted")
  if (type %in% c("histogram", "rootogram") && is.null(object$histogram)) {
    counts <- nbmix_training_counts(object, data, "autoplot", parent.frame())
    object$histogram <- nbmix_histogram(counts)
  }
  switch(type, genes = nbmix_plot_genes(object), trace = autoplot.mixology_fit(object),
         histogram = nbmix_plot_histogram(object, bins),
         rootogram = nbmix_plot_rootogram(object, bins))
}

# Bins of neighbouring counts, how many cells fall into each, and how many each component expects.
nbmix_mass <- function(fit, bins) {
  seen <- fit$histogram
  top <- max(seen$count)
  width <- max(1, ceiling((top + 1) / bins))
  lower <- seq(0, top, by = width)
  bin <- factor(findInterval(seen$count, lower), seq_along(lower))
  observed <- as.vector(tapply(seen$cells, bin, sum, default = 0))
  # Size factors by their quantiles: the curve is for the eye.
  s <- fit$size_factors
  if (length(s) > 200) s <- stats::quantile(s, (seq_len(200) - 0.5) / 200, names = FALSE)
  e <- fit$estimate
  expected <- vapply(seq_along(e$weight), function(j) {
    part <- list(weight = e$weight[j], mean = e$mean[j], dispersion = e$dispersion[j])
    vapply(lower, function(a) {
      mean(nbmix_cdf(part, a + width - 1, s, TRUE) - nbmix_cdf(part, a - 1, s, TRUE))
    }, 0) * fit$nobs
  }, lower + 0)
  list(bins = data.frame(at = lower + (width - 1) / 2, observed = observed), width = width,
       expected = matrix(expected, length(lower)))
}

nbmix_plot_histogram <- function(fit, bins) {
  mass <- nbmix_mass(fit, bins)
  parts <- ncol(mass$expected)
  curve <- data.frame(at = rep(mass$bins$at, parts), cells = as.vector(mass$expected),
                      component = factor(rep(seq_len(parts), each = nrow(mass$bins))))
  ggplot2::ggplot(mass$bins, ggplot2::aes(.data$at)) +
    ggplot2::geom_col(ggplot2::aes(y = .data$observed), width = 0.9 * mass$width,
                      fill = "grey80") +
    ggplot2::geom_line(data = curve, ggplot2::aes(y = .data$cells, colour = .data$component)) +
    ggplot2::geom_point(data = curve, ggplot2::aes(y = .data$cells, colour = .data$component),
                        size = 0.8) +
    ggplot2::scale_colour_manual(values = palette_of(parts)) +
    ggplot2::labs(x = "count", y = "cells", title = fit$gene) +
    theme_mixology()
}

nbmix_plot_rootogram <- function(fit, bins) {
  mass <- nbmix_mass(fit, bins)
  at <- data.frame(at = mass$bins$at, top = sqrt(rowSums(mass$expected)))
  at$bottom <- at$top - sqrt(mass$bins$observed)
  half <- 0.45 * mass$width
  ggplot2::ggplot(at, ggplot2::aes(.data$at)) +
    ggplot2::geom_rect(ggplot2::aes(xmin = .data$at - half, xmax = .data$at + half,
                                    ymin = .data$bottom, ymax = .data$top), fill = "grey75") +
    ggplot2::geom_line(ggplot2::aes(y = .data$top), colour = palette_of(1)) +
    ggplot2::geom_hline(yintercept = 0) +
    ggplot2::labs(x = "count", y = "square root of cells", title = fit$gene) +
    theme_mixology()
}

nbmix_plot_genes <- function(fit) {
  e <- fit$estimate
  e <- e[e$mean > 0, ]
  e$k <- factor(fit$units$k[match(e$gene, fit$units$gene)])
  poisson <- e$dispersion == 0
  least <- if (all(poisson)) 1e-3 else min(e$dispersion[!poisson])
  e$shown <- ifelse(poisson, least / 2, e$dispersion)
  ggplot2::ggplot(e, ggplot2::aes(.data$mean, .data$shown, colour = .data$k)) +
    ggplot2::geom_point(size = 0.8, alpha = 0.6) +
    ggplot2::scale_x_log10() +
    ggplot2::scale_y_log10() +
    ggplot2::scale_colour_manual(values = palette_of(nlevels(e$k))) +
    ggplot2::labs(x = "mean", y = "dispersion (Poisson at the lower edge)", colour = "components") +
    theme_mixology()
}
