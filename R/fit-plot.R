# Plots that every fit has, and the frame for those of a model.

#' Plot a fit
#'
#' `autoplot()` gives a ggplot; `plot()` draws it and returns it invisibly. Every fit but one of
#' many genes, which keeps no sweeps, has `type = "trace"`: the log likelihood or bound after each
#' sweep, or the draws of each chain. The draws of a gene out of many are those of `fit[["gene"]]`.
#' The other types are listed in the help page of the model.
#'
#' @param object,x A fit.
#' @param type Which plot.
#' @param ... Further arguments of the model's own plots.
#' @return A ggplot object.
#' @examples
#' fit <- nbmix(c(0, 1, 2, 1, 0, 30, 28, 41, 35, 2), k = 2, seed = 1)
#' autoplot(fit, type = "trace")
#' @name plot
NULL

#' @rdname plot
#' @export
autoplot.mixology_fit <- function(object, type = "trace", ...) {
  no_more("autoplot", ...)
  check_choice(type, "trace", "autoplot", "type")
  need_one_unit(object, "autoplot", "autoplot(fit[[\"gene\"]])")
  if (is.null(object$posterior$draws)) plot_objective(object) else plot_chains(object)
}

#' @rdname plot
#' @export
plot.mixology_fit <- function(x, type = NULL, ...) {
  figure <- if (is.null(type)) autoplot(x, ...) else autoplot(x, type = type, ...)
  print(figure)
  invisible(figure)
}

plot_objective <- function(fit) {
  label <- if (fit$method == "vb") "lower bound" else
    if (is.null(fit$log_lik)) "objective" else "log likelihood"
  ggplot2::ggplot(fit$objective, ggplot2::aes(.data$iter, .data$value)) +
    ggplot2::geom_line(colour = palette_of(1)) +
    ggplot2::geom_point(size = 1, colour = palette_of(1)) +
    ggplot2::labs(x = "sweep", y = label, title = paste(model_title(fit$model), "- trace")) +
    ggplot2::scale_y_continuous(labels = distinct_labels) +
    theme_mixology()
}

# As few digits as keep the numbers apart: an objective may be large and change little.
distinct_labels <- function(x) {
  for (digits in 4:15) {
    label <- ifelse(is.na(x), NA, sprintf(paste0("%.", digits, "g"), x))
    if (!anyDuplicated(label[!is.na(x)])) break
  }
  label
}

plot_chains <- function(fit, most = 12) {
  draws <- fit$posterior$draws
  shown <- seq_len(min(most, dim(draws)[3]))
  draws <- draws[, , shown, drop = FALSE]
  at <- expand.grid(sweep = seq_len(dim(draws)[1]), chain = seq_len(dim(draws)[2]),
                    variable = dimnames(draws)[[3]])
  at$value <- as.vector(draws)
  at$chain <- factor(at$chain)
  ggplot2::ggplot(at, ggplot2::aes(.data$sweep, .data$value, colour = .data$chain)) +
    ggplot2::geom_line(linewidth = 0.3) +
    ggplot2::facet_wrap("variable", scales = "free_y") +
    ggplot2::scale_x_continuous(n.breaks = 3, guide = ggplot2::guide_axis(check.overlap = TRUE)) +
    ggplot2::scale_colour_manual(values = palette_of(nlevels(at$chain))) +
    ggplot2::labs(x = "kept sweep (warm-up is not shown)", y = NULL, colour = "chain") +
    theme_mixology() +
    ggplot2::theme(plot.margin = ggplot2::margin(5.5, 16, 5.5, 5.5)) # for half of the last label
}

# Colours that stay apart for colour-blind readers (Okabe and Ito), repeated beyond eight.
palette_of <- function(n) {
  colours <- c("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999",
               "#F0E442")
  rep_len(colours, n)
}

theme_mixology <- function() {
  ggplot2::theme_minimal(base_size = 12) +
    ggplot2::theme(panel.grid.minor = ggplot2::element_blank(), legend.position = "bottom")
}
