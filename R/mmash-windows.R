# Windows of variants for mmash_genes().

# What window_genotypes() reads from: a DelayedMatrix stays where it is.
window_source <- function(genotypes, fun, settings) {
  if (!methods::is(genotypes, "DelayedMatrix")) return(mmash_source(genotypes, fun, settings))
  check_installed("DelayedArray", fun, "a DelayedMatrix")
  mmash_check_size(dim(genotypes), fun, settings)
  mmash_new_source("delayed", genotypes, dim(genotypes), dimnames(genotypes))
}

# Column numbers for every gene; none for a gene whose stretch of chromosome has no variant.
check_windows <- function(windows, genes, source, positions, fun) {
  if (methods::is(windows, "GenomicRanges")) windows <- ranges_table(windows, fun)
  if (is.data.frame(windows)) {
    windows <- if (all(c("gene", "first", "last") %in% names(windows))) {
      column_windows(windows, source, fun)
    } else {
      base_pair_windows(windows, resolve_positions(positions, source, fun), fun)
    }
  }
  if (!is.list(windows)) {
    abort_arg(fun, "windows", "a named list, a data frame or a GRanges", describe_value(windows))
  }
  if (anyDuplicated(names(windows)) > 0) {
    abort_arg(fun, "windows", "a list without a name twice",
              sprintf("\"%s\"", names(windows)[anyDuplicated(names(windows))]))
  }
  lost <- setdiff(genes, names(windows))
  if (length(lost) > 0) {
    abort_arg(fun, "windows", "given for every gene", sprintf("none for %s", lost[1]))
  }
  lapply(windows[genes], check_window, source = source, fun = fun)
}

check_window <- function(at, source, fun) {
  if (is.character(at)) at <- match(at, source$variants)
  whole <- length(at) == 0 || is.numeric(at) && !anyNA(at) && all(at == round(at))
  if (!whole || any(at < 1 | at > source$cols)) {
    abort_arg(fun, "windows", sprintf("variants of 'genotypes' (1 to %d)", source$cols), "others")
  }
  unique(as.integer(at))
}

column_windows <- function(windows, source, fun) {
  first <- windows$first
  last <- windows$last
  valid <- is.numeric(first) && is.numeric(last) && !anyNA(c(first, last)) && all(first <= last) &&
    all(c(first, last) == round(c(first, last)))
  if (!valid || any(first < 1 | last > source$cols)) {
    abort_arg(fun, "windows", sprintf("column numbers of 'genotypes' with first <= last (1 to %d)",
                                      source$cols), "others")
  }
  merge_windows(Map(seq, first, last), windows$gene)
}

# Rows of one gene add up.
merge_windows <- function(parts, gene) {
  gene <- as.character(gene)
  if (!anyDuplicated(gene)) return(stats::setNames(parts, gene))
  lapply(split(parts, factor(gene, unique(gene))), function(p) unique(unlist(p)))
}

base_pair_windows <- function(windows, positions, fun) {
  needed <- c("gene", "chr", "start", "end")
  if (!all(needed %in% names(windows))) {
    abort_arg(fun, "windows", "a data frame gene, chr, start, end or gene, first, last",
              toString(names(windows)))
  }
  ends <- c(windows$start, windows$end)
  if (!is.numeric(ends) || anyNA(ends) || any(windows$start > windows$end)) {
    abort_arg(fun, "windows", "base pairs with start <= end", "others")
  }
  on <- bare_chromosome(positions$chr)
  chromosomes <- lapply(split(seq_along(on), on), function(at) at[order(positions$pos[at])])
  parts <- Map(function(chr, start, end) {
    at <- chromosomes[[chr]]
    if (is.null(at)) return(integer())
    pos <- positions$pos[at]
    from <- findInterval(start, pos, left.open = TRUE)
    sort(at[seq_len(findInterval(end, pos) - from) + from])
  }, bare_chromosome(windows$chr), windows$start, windows$end)
  merge_windows(unname(parts), windows$gene)
}

bare_chromosome <- function(chr) sub("^chr", "", as.character(chr), ignore.case = TRUE)

# chr and pos of every variant.
resolve_positions <- function(positions, source, fun) {
  if (methods::is(positions, "GenomicRanges")) {
    check_installed("GenomicRanges", fun, "a GRanges")
    positions <- data.frame(chr = as.character(GenomicRanges::seqnames(positions)),
                            pos = GenomicRanges::start(positions))
  }
  positions <- positions %||% source$positions
  must <- sprintf("a data frame chr, pos or a GRanges of the %d variants", source$cols)
  if (is.null(positions)) {
    abort_arg(fun, "positions", paste(must, "for windows in base pairs"), "NULL")
  }
  fits <- is.data.frame(positions) && all(c("chr", "pos") %in% names(positions)) &&
    nrow(positions) == source$cols && is.numeric(positions$pos) && !anyNA(positions$pos)
  if (!fits) abort_arg(fun, "positions", must, describe_value(positions))
  positions
}

# Genes are the names of the ranges, or their column gene or gene_id.
ranges_table <- function(ranges, fun) {
  check_installed("GenomicRanges", fun, "a GRanges")
  table <- as.data.frame(ranges, row.names = NULL)
  gene <- names(ranges) %||% table[["gene"]] %||% table[["gene_id"]]
  if (is.null(gene)) abort_arg(fun, "windows", "a GRanges with names", "none")
  data.frame(gene = as.character(gene), chr = as.character(table$seqnames), start = table$start,
             end = table$end)
}
