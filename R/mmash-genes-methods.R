# What the object of mmash_genes() answers: its tables, and where to have what it does not keep.

#' @export
subset_units.mmash_genes <- function(fit, i) {
  out <- unclass(fit)
  out$units <- `rownames<-`(fit$units[i, ], NULL)
  rows_of <- function(table) {
    at <- match(table$gene, out$units$gene)
    `rownames<-`(table[order(at, na.last = NA), ], NULL)
  }
  out$results <- rows_of(fit$results)
  out["sets"] <- list(if (!is.null(fit$sets)) rows_of(fit$sets))
  out$objective <- final_objectives(out$units)
  out$convergence <- genes_convergence(out$units)
  out$df <- out$units$df
  out$nobs <- sum(out$units$nobs, na.rm = TRUE)
  class(out) <- class(fit)
  out
}

#' @export
parameter_table.mmash_genes <- function(fit, level = NULL) {
  if (!is.null(level)) abort_one_gene(fit, "tidy", "tidy(%s, conf.int = TRUE)")
  fit$results
}

#' @export
describe_fit.mmash_genes <- function(fit) {
  units <- fit$units
  top <- utils::head(sort(fit$weights, decreasing = TRUE), 4)
  c(sprintf("%s mapped by mmash: %d with credible sets, %d not fitted or not converged",
            count_of(nrow(units), "gene"), sum(units$sets > 0, na.rm = TRUE),
            sum(units$status != "ok")),
    sprintf("%s reported", count_of(nrow(unique(fit$results[c("gene", "variant")])), "variant")),
    paste("shared weights:", toString(sprintf("%s %.3g", names(top), top))))
}

#' @export
credible_sets.mmash_genes <- function(x, coverage = 0.95, min_correlation = 0.5, ...) {
  check_no_dots(list(...), "credible_sets", c("coverage", "min_correlation"))
  if (!missing(coverage) || !missing(min_correlation)) {
    abort_one_gene(x, "credible_sets", "credible_sets(%s, coverage, min_correlation)")
  }
  if (!x$prior$null) abort("credible_sets", "the prior has no null component, so no signals")
  x$sets %||% data.frame(gene = character(), set = integer())
}

# Into an experiment genes x samples: what glance() says of a gene, and all effects reported.
#' @export
result_columns.mmash_genes <- function(fit) {
  units <- fit$units
  columns <- c("converged", "status", "variants", "sets", "min_lfsr")
  list(row = `rownames<-`(units[columns], units$gene), col = NULL,
       metadata = list(mmash_effects = tidy(fit)))
}

# ---- what only the fit of one gene has ----------------------------------------------------------

# call: how to ask it of the fit of one gene, %s.
abort_one_gene <- function(fit, fun, call = paste0(fun, "(%s)")) {
  one <- "mmash(x, y, prior = fit$prior, update = \"residual\")"
  abort_arg(fun, "fit", "of one gene by mmash(): of many genes tables are kept, and no fits",
            paste("the results of", count_of(nrow(fit$units), "gene")),
            paste(sprintf(call, one), "with the genotypes x and the responses y of that gene"))
}

#' @export
coef.mmash_genes <- function(object, ...) abort_one_gene(object, "coef")

#' @export
fitted.mmash_genes <- function(object, ...) abort_one_gene(object, "fitted")

#' @export
residuals.mmash_genes <- function(object, ...) abort_one_gene(object, "residuals")

#' @export
predict.mmash_genes <- function(object, ...) {
  abort_one_gene(object, "predict", "predict(%s, newx)")
}

#' @export
simulate.mmash_genes <- function(object, nsim = 1, seed = NULL, ...) {
  abort_one_gene(object, "simulate")
}

#' @export
vcov.mmash_genes <- function(object, ...) abort_one_gene(object, "vcov")

#' @export
confint.mmash_genes <- function(object, parm, level = 0.95, ...) abort_one_gene(object, "confint")

#' @export
augment.mmash_genes <- function(x, ...) abort_one_gene(x, "augment", "augment(%s, y)")

#' @export
lfsr.mmash_genes <- function(x, ...) abort_one_gene(x, "lfsr")

#' @export
pip.mmash_genes <- function(x, ...) abort_one_gene(x, "pip")

#' @export
clusters.mmash_genes <- function(x, ...) {
  abort("clusters", "mmash has no clusters of observations")
}

#' @export
responsibilities.mmash_genes <- function(x, ...) {
  abort("responsibilities", "mmash has no clusters of observations")
}

#' @exportS3Method posterior::as_draws_array
as_draws_array.mmash_genes <- function(x, ...) abort_one_gene(x, "as_draws")

#' @exportS3Method loo::loo
loo.mmash_genes <- function(x, ...) abort_one_gene(x, "loo")

#' @exportS3Method loo::waic
waic.mmash_genes <- function(x, ...) abort_one_gene(x, "waic")

#' @export
resume.mmash_genes <- function(fit, iterations, data = NULL, ...) {
  abort("resume", "the genes keep no states; try update(fit, control = vb_control(",
        "max_iterations = )), which fits them again")
}

# ---- figures ------------------------------------------------------------------------------------

#' @export
autoplot.mmash_genes <- function(object, type = "genes", ...) {
  no_more("autoplot", ...)
  type <- check_choice(type, c("genes", "weights"), "autoplot", "type")
  if (type == "genes") plot_genes(object) else mmash_plot_weights(object)
}

# The smallest lfsr of each gene that was fitted; the strongest have their names.
plot_genes <- function(fit, most = 10, floor = 1e-50) {
  table <- fit$units[!is.na(fit$units$min_lfsr), ]
  table$position <- match(table$gene, fit$units$gene)
  table$strength <- -log10(pmax(table$min_lfsr, floor))
  table$found <- factor(table$sets > 0, c(TRUE, FALSE), c("yes", "no"))
  named <- table[utils::head(order(-table$strength), most), ]
  ggplot2::ggplot(table, ggplot2::aes(.data$position, .data$strength, colour = .data$found)) +
    ggplot2::geom_hline(yintercept = -log10(0.05), colour = "grey70", linetype = 2) +
    ggplot2::geom_point(size = 2) +
    ggplot2::geom_text(ggplot2::aes(label = .data$gene), named, vjust = -0.8, size = 3,
                       check_overlap = TRUE, show.legend = FALSE) +
    ggplot2::scale_colour_manual(values = c(palette_of(1), "grey60"), name = "credible set",
                                 drop = FALSE) +
    ggplot2::scale_y_continuous(expand = ggplot2::expansion(mult = c(0.05, 0.15))) +
    ggplot2::labs(x = "gene", y = expression(-log[10] ~ "smallest lfsr"),
                  title = "Genes with an effect") +
    theme_mixology()
}
