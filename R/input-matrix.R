# Count matrices of every storage as one thing: a source that hands out blocks of genes, gene by
# gene and without zeros. Only the input-*.R files know dgCMatrix, DelayedArray and
# SummarizedExperiment.
#
# A source is a list: genes, cells (numbers), gene_names, cell_names (or NULL), ambiguous (those of
# gene_names that the data do not have for one gene alone), read(first, last) -> list(p, i, x) of
# the genes first..last, totals() -> column sums, block (genes per block), stored (what is not in
# memory and a worker may read for itself, else NULL).

count_source <- function(x, fun, arg = "x") UseMethod("count_source")

count_source.default <- function(x, fun, arg = "x") {
  must <- paste("counts: a numeric vector or matrix, a dgCMatrix, a DelayedMatrix or a",
                "SummarizedExperiment")
  x <- plain_numbers(x, fun, arg)
  if (!is.numeric(x) && !is.logical(x)) abort_arg(fun, arg, must, describe_value(x))
  if (length(dim(x)) > 2) abort_arg(fun, arg, must, describe_value(x))
  if (is.factor(x)) abort_arg(fun, arg, must, "a factor", "as.integer(as.character(x))")
  if (length(x) == 0) abort_arg(fun, arg, "at least one count", describe_value(x))
  if (length(dim(x)) == 2) { # a table, or a matrix with a class of its own
    return(count_source.matrix(matrix(as.double(x), nrow(x), ncol(x), dimnames = dimnames(x)), fun,
                               arg))
  }
  row <- matrix(as.double(x), nrow = 1, dimnames = if (!is.null(names(x))) list(NULL, names(x)))
  source <- count_source.matrix(row, fun, arg)
  source$vector <- TRUE
  source
}

count_source.matrix <- function(x, fun, arg = "x") {
  if (!is.numeric(x)) {
    abort_arg(fun, arg, "a matrix of counts", paste("a matrix of mode", mode(x)))
  }
  new_source(x, fun, arg, read = function(first, last) matrix_rows(x, first - 1L, last),
             totals = function() colSums(x))
}

count_source.data.frame <- function(x, fun, arg = "x") {
  x[] <- lapply(x, plain_numbers, fun, arg)
  count_source(numeric_columns(x, fun, arg), fun, arg)
}

# The 64-bit integers of bit64, as data.table::fread() makes them, are doubles in name alone.
plain_numbers <- function(x, fun, arg) {
  if (!inherits(x, "integer64")) return(x)
  check_installed("bit64", fun, sprintf("'%s' of class integer64", arg))
  out <- as.double(x)
  dim(out) <- dim(x)
  if (is.null(dim(x))) names(out) <- names(x) else dimnames(out) <- dimnames(x)
  out
}

count_source.Matrix <- function(x, fun, arg = "x") {
  if (methods::is(x, "lMatrix") || methods::is(x, "nMatrix")) {
    abort_arg(fun, arg, "a matrix of counts", "a matrix of mode logical", sprintf("%s * 1", arg))
  }
  count_source(methods::as(methods::as(methods::as(x, "dMatrix"), "generalMatrix"),
                           "CsparseMatrix"), fun, arg)
}

count_source.dgCMatrix <- function(x, fun, arg = "x") {
  new_source(x, fun, arg,
             read = function(first, last) sparse_rows(x@i, x@p, x@x, first - 1L, last),
             totals = function() Matrix::colSums(x), block = ceiling(nrow(x) / 8))
}

count_source.DelayedMatrix <- function(x, fun, arg = "x") {
  check_installed("DelayedArray", fun, "a DelayedMatrix")
  block <- max(1, floor(4e6 / max(1, ncol(x)))) # about 32 MB of doubles at a time
  rows <- function(first, last) {
    what <- sprintf("genes %d to %d of '%s'", first, last, arg)
    from_file(as.matrix(x[first:last, , drop = FALSE]), fun, what)
  }
  from_file(dimnames(x), fun, sprintf("'%s'", arg))
  if (DelayedArray::type(x) == "logical") {
    abort_arg(fun, arg, "a matrix of counts", "a matrix of mode logical", sprintf("%s * 1", arg))
  }
  new_source(x, fun, arg, block = block, stored = x,
             read = function(first, last) matrix_rows(rows(first, last), 0L, last - first + 1L),
             totals = function() from_file(DelayedArray::colSums(x), fun, sprintf("'%s'", arg)))
}

from_file <- function(expr, fun, what) {
  tryCatch(expr, error = function(e) {
    abort(fun, what, " cannot be read: ", conditionMessage(e), "; try again when its file is back")
  })
}

new_source <- function(x, fun, arg, read, totals, block = nrow(x), stored = NULL) {
  if (nrow(x) == 0 || ncol(x) == 0) {
    abort_arg(fun, arg, "a matrix with at least one gene and one cell",
              paste(nrow(x), "x", ncol(x)))
  }
  if (ncol(x) == 1 && nrow(x) > 1) {
    warning(fun, ": the rows of '", arg, "' are genes, so that it has ", nrow(x), " genes in one ",
            "cell; if it is one gene, try ", arg, "[, 1]", call. = FALSE)
  }
  names <- distinct_names(rownames(x))
  list(genes = nrow(x), cells = ncol(x), gene_names = names, cell_names = colnames(x),
       ambiguous = names[is_ambiguous(rownames(x))], read = read, totals = totals,
       block = as.integer(min(nrow(x), max(1, block))), vector = FALSE, stored = stored)
}

# Of each gene of a block the hash of its counts; NA for one that was not read.
gene_hashes <- function(rows, cells) {
  if (isTRUE(rows$unread)) return(rep(NA_real_, length(rows$p) - 1))
  row_hashes(rows$p, rows$i, rows$x, cells)
}

# Those of all genes by their names, NA outside of the blocks.
source_hashes <- function(source, blocks = source_blocks(source)) {
  hashes <- Map(function(first, last) gene_hashes(source$read(first, last), source$cells),
                blocks$first, blocks$last)
  named_hashes(source, blocks, hashes)
}

named_hashes <- function(source, blocks, hashes) {
  out <- stats::setNames(rep(NA_real_, source$genes), source_gene_names(source))
  out[unlist(Map(seq, blocks$first, blocks$last))] <- unlist(hashes)
  out
}

# What a checkpoint knows the data by: what is not in memory would take too long to read.
source_key <- function(source) source$stored %||% list(source_hashes(source), source$cell_names)

# Genes are found again by name: the second "A" is "A.1", a gene without a name is "gene".
distinct_names <- function(names) {
  if (!any(is_ambiguous(names))) return(names)
  make.unique(ifelse(is.na(names) | names == "", "gene", names))
}

is_ambiguous <- function(names) {
  is.na(names) | names == "" | duplicated(names) | duplicated(names, fromLast = TRUE)
}

# First and last gene of each block; workers get some sixteen blocks each, so that none waits long
# and an interrupt costs few, and blocks that are `saved` one by one are a hundredth of all.
source_blocks <- function(source, BPPARAM = NULL, saved = FALSE) {
  size <- source$block
  if (saved) size <- min(size, max(16L, as.integer(ceiling(source$genes / 100))))
  if (!is.null(BPPARAM)) {
    share <- ceiling(source$genes / (16 * BiocParallel::bpnworkers(BPPARAM)))
    size <- min(size, max(8L, as.integer(share)))
  }
  first <- seq.int(1L, source$genes, by = size)
  data.frame(first = first, last = pmin(first + size - 1L, source$genes))
}

# Blocks of the named genes and no others: runs of genes that follow one another.
named_blocks <- function(source, names) {
  at <- sort(match(names, source_gene_names(source)))
  if (length(at) == 0 || length(at) < length(names)) return(NULL)
  first <- at[c(TRUE, diff(at) > 1)]
  last <- at[c(diff(at) > 1, TRUE)]
  cuts <- Map(function(a, b) seq(a, b, by = source$block), first, last)
  ends <- Map(function(a, b) c(a[-1] - 1L, b), cuts, last)
  data.frame(first = as.integer(unlist(cuts)), last = as.integer(unlist(ends)))
}

# Rows in place of those that need not be read any more.
no_rows <- function(first, last) {
  list(p = integer(last - first + 2L), i = integer(), x = numeric(), unread = TRUE)
}

source_gene_names <- function(source) {
  source$gene_names %||% paste0("gene", seq_len(source$genes))
}

# One vector of counts, for calls that cannot do without every value being a count.
check_counts <- function(x, fun, arg = "x") {
  x <- plain_numbers(x, fun, arg)
  if (!is.numeric(x)) abort_arg(fun, arg, "counts (whole numbers of at least 0)", describe_value(x))
  fault <- count_fault(x)
  if (!is.null(fault)) abort_arg(fun, arg, "counts (whole numbers from 0 to 2^31 - 1)", fault)
  as.double(x)
}

# The first thing wrong with counts, in words; NULL when nothing is.
count_fault <- function(x) {
  bad <- first_not_count(x)
  if (bad == 0) return(NULL)
  sprintf("%s at position %.0f", format(x[bad]), bad)
}

# Size factors of the cells: numbers, "total" (column sums over their mean), or the name of a
# column of the cells' data. `default` is what an object brings along, else 1.
resolve_size_factors <- function(size_factors, source, fun, default = NULL, cells = NULL) {
  hint <- "\"total\", or numbers, one per cell"
  if (is.null(size_factors)) size_factors <- default %||% rep(1, source$cells)
  if (is.character(size_factors) && length(size_factors) == 1) {
    if (identical(size_factors, "total")) return(total_size_factors(source, fun))
    if (!size_factors %in% names(cells)) {
      must <- "numbers, \"total\" or the name of a column of the cells' data"
      abort_arg(fun, "size_factors", must,
                describe_value(size_factors), closest_name(size_factors, names(cells)) %||% hint)
    }
    size_factors <- cells[[size_factors]]
  }
  size_factors <- plain_numbers(size_factors, fun, "size_factors")
  s <- check_positive(size_factors, fun, "size_factors", length = source$cells, try = hint)
  if (max(s) / min(s) > 1e15) { # beyond that sums over cells lose the small ones
    abort_arg(fun, "size_factors", "within a factor of 1e15 of each other",
              sprintf("%.3g to %.3g", min(s), max(s)), "dropping those cells")
  }
  if (min(s) < 1e-15 || max(s) > 1e15) { # means would leave the range that is searched
    abort_arg(fun, "size_factors", "between 1e-15 and 1e15",
              sprintf("%.3g to %.3g", min(s), max(s)), "dividing them by their mean")
  }
  s
}

# Column sums over the genes that hold counts and nothing else: for data of which those over all
# genes are not finite.
valid_totals <- function(source) {
  blocks <- source_blocks(source)
  total <- numeric(source$cells)
  for (b in seq_len(nrow(blocks))) {
    rows <- source$read(blocks$first[b], blocks$last[b])
    gene <- rep(seq_len(length(rows$p) - 1), diff(rows$p))
    bad <- is.na(rows$x) | rows$x < 0 | rows$x > .Machine$integer.max | rows$x != round(rows$x)
    fine <- !gene %in% gene[bad]
    sums <- rowsum(rows$x[fine], rows$i[fine] + 1L)
    at <- as.integer(rownames(sums))
    total[at] <- total[at] + sums[, 1]
  }
  total
}

total_size_factors <- function(source, fun) {
  total <- as.double(source$totals())
  if (!all(is.finite(total))) total <- valid_totals(source)
  empty <- which(!is.finite(total) | total <= 0)
  if (length(empty) > 0) {
    abort_arg(fun, "size_factors", "positive, but \"total\" was asked for",
              sprintf("a total of %s in cell %d", format(total[empty[1]]), empty[1]),
              "dropping that cell")
  }
  total / mean(total)
}
