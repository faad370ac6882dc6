# Plots of mmash fits.

#' Plots of an mmash fit
#'
#' `"variants"` (the default where the prior has a null component): the probability of each variant
#' that it has an effect, credible sets in colour. `"effects"`: estimates and 95% intervals of the
#' variants with the smallest lfsr, condition by condition. `"weights"`: the share of the effects
#' that each prior matrix and scale explains. `"trace"`: the bound after each sweep, or the chains.
#'
#' @param object A fit by [mmash()].
#' @param type Which plot.
#' @param most Variants of `"effects"` at most. Default 12.
#' @param ... Not used.
#' @return A ggplot object.
#' @examples
#' set.seed(1)
#' d <- simulate_mmash(150, 30, conditions = 3, causal = 3)
#' fit <- mmash(d$x, d$y, seed = 1)
#' autoplot(fit)
#' autoplot(fit, type = "effects")
#' @export
autoplot.mmash <- function(object, type = NULL, most = 12, ...) {
  no_more("autoplot", ...)
  types <- c(if (object$prior$null) "variants", "effects", "weights", "trace")
  type <- check_choice(type %||% types[1], types, "autoplot", "type")
  most <- check_count(most, "autoplot", "most")
  switch(type, trace = autoplot.mixology_fit(object), variants = mmash_plot_variants(object),
         effects = mmash_plot_effects(object, most), weights = mmash_plot_weights(object))
}

mmash_plot_variants <- function(fit) {
  table <- data.frame(position = seq_along(pip(fit)), pip = pip(fit))
  sets <- if (fit$method == "em") NULL else credible_sets(fit)
  first <- !duplicated(sets$position) # a variant of several sets has the colour of the first
  members <- data.frame(position = sets$position[first], pip = table$pip[sets$position[first]],
                        set = factor(sets$set[first]))
  figure <- ggplot2::ggplot(table, ggplot2::aes(.data$position, .data$pip)) +
    ggplot2::geom_point(size = 1, colour = "grey60") +
    ggplot2::labs(x = "variant", y = "probability of an effect",
                  title = "Variants with an effect") +
    ggplot2::ylim(0, 1) + theme_mixology()
  if (nrow(members) == 0) return(figure)
  figure + ggplot2::geom_point(ggplot2::aes(colour = .data$set), members, size = 2.5) +
    ggplot2::scale_colour_manual(values = palette_of(nlevels(members$set)), name = "credible set")
}

mmash_plot_effects <- function(fit, most) {
  table <- tidy(fit, conf.int = TRUE)
  best <- sort(tapply(table$lfsr, table$variant, min))
  shown <- utils::head(names(best), most)
  table <- table[table$variant %in% shown, ]
  table$variant <- factor(table$variant, intersect(unique(table$variant), shown))
  table$condition <- factor(table$condition, rev(unique(table$condition)))
  table$called <- factor(table$lfsr < 0.05, c(TRUE, FALSE), c("below 0.05", "0.05 or more"))
  ggplot2::ggplot(table, ggplot2::aes(.data$estimate, .data$condition, colour = .data$called)) +
    ggplot2::geom_vline(xintercept = 0, colour = "grey70") +
    ggplot2::geom_errorbarh(ggplot2::aes(xmin = .data$conf.low, xmax = .data$conf.high),
                            height = 0.2, na.rm = TRUE) +
    ggplot2::geom_point(size = 2) +
    ggplot2::facet_wrap("variant") +
    ggplot2::scale_colour_manual(values = c(palette_of(1), "grey60"), name = "lfsr", drop = FALSE) +
    ggplot2::labs(x = "effect and 95% interval", y = NULL, title = "Effects by condition") +
    theme_mixology()
}

mmash_plot_weights <- function(fit) {
  title <- "Prior weights"
  if (fit$prior$null) title <- sprintf("%s (null %.3f)", title, fit$estimate$weights[1])
  ggplot2::ggplot(weight_table(fit), ggplot2::aes(.data$scale, .data$matrix,
                                                  fill = .data$weight)) +
    ggplot2::geom_tile(colour = "white") +
    ggplot2::scale_fill_gradient(low = "grey95", high = palette_of(1),
                                 guide = ggplot2::guide_colourbar(barwidth = 12)) +
    ggplot2::scale_x_discrete(labels = function(x) signif(as.numeric(x), 2),
                              guide = ggplot2::guide_axis(check.overlap = TRUE)) +
    ggplot2::labs(x = "prior standard deviation", y = NULL, title = title) +
    theme_mixology()
}

weight_table <- function(fit) {
  weights <- fit$estimate$weights
  if (fit$prior$null) weights <- weights[-1]
  scale <- distinct_labels(fit$prior$grid)
  data.frame(matrix = rep(names(fit$prior$matrices), each = length(scale)),
             scale = factor(rep(scale, length(fit$prior$matrices)), scale),
             weight = unname(weights))
}
