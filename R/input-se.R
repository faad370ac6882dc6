# SummarizedExperiment and SingleCellExperiment: what is read from them and what is written back.

is_se <- function(x) {
  isS4(x) && isNamespaceLoaded("SummarizedExperiment") && methods::is(x, "SummarizedExperiment")
}

# The matrix to use: the named assay, else "counts", else the only one.
se_assay <- function(se, assay, fun) {
  check_installed("SummarizedExperiment", fun, "a SummarizedExperiment")
  have <- SummarizedExperiment::assayNames(se)
  count <- length(SummarizedExperiment::assays(se))
  if (!is.null(assay)) {
    if (!is.character(assay) || length(assay) != 1 || !assay %in% have) {
      abort_arg(fun, "assay", paste("one of", toString(dQuote(have, FALSE))),
                describe_value(assay), closest_name(assay, have))
    }
    return(SummarizedExperiment::assay(se, assay))
  }
  if ("counts" %in% have) return(SummarizedExperiment::assay(se, "counts"))
  if (count == 1) return(SummarizedExperiment::assay(se, 1))
  abort_arg(fun, "assay", "named when there is no assay \"counts\"",
            if (count == 0) "no assay" else if (is.null(have)) {
              sprintf("%d assays without names", count)
            } else toString(dQuote(have, FALSE)))
}

se_cells <- function(se) {
  cells <- SummarizedExperiment::colData(se)
  if (ncol(cells) == 0) return(data.frame(row.names = rownames(cells) %||% seq_len(ncol(se))))
  as.data.frame(cells, optional = TRUE)
}

# Size factors that a SingleCellExperiment carries; NULL when it has none.
se_size_factors <- function(se) {
  if (!isNamespaceLoaded("SingleCellExperiment")) return(NULL)
  if (!methods::is(se, "SingleCellExperiment")) return(NULL)
  SingleCellExperiment::sizeFactors(se)
}

#' Results of a fit written into the experiment it came from
#'
#' @param se The SummarizedExperiment or SingleCellExperiment that was fitted, or one with some of
#'   its genes and cells in any order: results are matched by name. Without names it must be as
#'   large as the one that was fitted, and results go by position. Where several genes have one
#'   name, or none, it must have the names of the one that was fitted in the same order.
#' @param fit The fit.
#' @return `se` with the results per gene in `rowData`, per cell in `colData`, embeddings in
#'   `reducedDims` (of a SingleCellExperiment; else in `metadata`) and the fit itself in
#'   `metadata`, all under names that begin with the model's, such as `nbmix_k`.
#' @examplesIf requireNamespace("SummarizedExperiment", quietly = TRUE)
#' counts <- matrix(rpois(200, 5), 4, dimnames = list(paste0("gene", 1:4), NULL))
#' se <- SummarizedExperiment::SummarizedExperiment(list(counts = counts))
#' se <- add_results(se, nbmix(se, k = 1))
#' SummarizedExperiment::rowData(se)
#' @export
add_results <- function(se, fit) {
  if (!is_se(se)) abort_arg("add_results", "se", "a SummarizedExperiment", describe_value(se))
  if (!inherits(fit, "mixology_fit")) {
    abort_arg("add_results", "fit", "a fit of this package", describe_value(fit))
  }
  results <- result_columns(fit)
  SummarizedExperiment::rowData(se) <-
    bind_results(SummarizedExperiment::rowData(se), results$row, fit, "genes")
  SummarizedExperiment::colData(se) <-
    bind_results(SummarizedExperiment::colData(se), results$col, fit, "cells")
  list_name <- paste0(fit$model, "_fit")
  add_metadata(se, c(results$metadata, stats::setNames(list(fit), list_name)))
}

# list(row =, col = data frames or NULL, metadata = list); names without the model's prefix.
result_columns <- function(fit) UseMethod("result_columns")

bind_results <- function(data, results, fit, what) {
  if (is.null(results)) return(data)
  at <- result_rows(results, data, what, if (what == "genes") fit$data_info$ambiguous)
  results <- results[at, , drop = FALSE]
  for (name in names(results)) data[[paste0(fit$model, "_", name)]] <- results[[name]]
  data
}

# Where the rows of an experiment are among the results: by name where both have names, of which
# the `ambiguous` ones stand for different rows of the data that were fitted.
result_rows <- function(results, data, what, ambiguous = NULL) {
  size <- c(nrow(results), nrow(data))
  must <- sprintf("the experiment of the fit, with %d %s", size[1], what)
  named <- !identical(rownames(results), as.character(seq_len(size[1])))
  wanted <- distinct_names(rownames(data))
  if (named && !is.null(wanted)) {
    if (identical(wanted, rownames(results))) return(seq_len(size[1]))
    unclear <- wanted[is_ambiguous(rownames(data)) | wanted %in% ambiguous]
    if (length(unclear) > 0) {
      abort_arg("add_results", "se", paste(must, "in their order, where some share a name"),
                sprintf("\"%s\" elsewhere", unclear[1]), "names that differ")
    }
    at <- match(wanted, rownames(results))
    if (!anyNA(at)) return(at)
    abort_arg("add_results", "se", must, sprintf("\"%s\", which the fit does not know",
                                                wanted[is.na(at)][1]))
  }
  if (size[1] != size[2] || named) {
    abort_arg("add_results", "se", must, sprintf("%d%s", size[2],
                                                if (named) " without names" else ""))
  }
  seq_len(size[1])
}

add_metadata <- function(se, items) {
  check_installed("S4Vectors", "add_results", "a SummarizedExperiment")
  meta <- S4Vectors::metadata(se)
  meta[names(items)] <- items
  S4Vectors::`metadata<-`(se, value = meta)
}
