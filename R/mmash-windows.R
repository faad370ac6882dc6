# Windows of variants for mmash_genes().

# What window_genotypes() reads from: a DelayedMatrix stays where it is.
window_source <- function(genotypes, fun, settings) {
  if (!methods::is(genotypes, "DelayedMatrix")) return(mmash_source(genotypes, fun, settings))
  check_installed("DelayedArray", fun, "a DelayedMatrix")
  mmash_check_size(dim(genotypes), fun, settings)
  mmash_new_source("delayed", genotypes, dim(genotypes), dimnames(genotypes))
}

# The source with one name for every variant, the same in every window.
with_variant_labels <- function(source, fun) {
  tell_shared_names(source$variants, fun)
  source$variants <- variant_labels(source$variants, source$cols)
  source
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
  Map(check_window, windows[genes], genes, MoreArgs = list(source = source, fun = fun))
}

check_window <- function(window, gene, source, fun) {
  at <- if (is.character(window)) match(window, source$variants) else window
  if (length(at) == 0) return(integer())
  if (!is.numeric(at)) abort_window(fun, source, gene, describe_value(at))
  bad <- which(is.na(at) | at != round(at) | at < 1 | at > source$cols)[1]
  if (!is.na(bad)) abort_window(fun, source, gene, describe_value(window[bad]))
  unique(as.integer(at))
}

abort_window <- function(fun, source, gene, got) {
  abort_arg(fun, "windows", sprintf("variants of 'genotypes' (1 to %d)", source$cols),
            sprintf("%s for %s", got, gene))
}

column_windows <- function(windows, source, fun) {
  must <- sprintf("column numbers of 'genotypes' with first <= last (1 to %d)", source$cols)
  check_stretches(windows, "first", "last", must, fun, c(1, source$cols))
  merge_windows(Map(seq, windows$first, windows$last), windows$gene)
}

# Whole numbers from one column to the other, within limits.
check_stretches <- function(windows, from, to, must, fun, limits = c(-Inf, Inf)) {
  a <- windows[[from]]
  b <- windows[[to]]
  if (!is.numeric(a) || !is.numeric(b)) abort_arg(fun, "windows", must, "other than numbers")
  fine <- a <= b & a == round(a) & b == round(b) & a >= limits[1] & b <= limits[2]
  bad <- which(is.na(fine) | !fine)[1]
  if (is.na(bad)) return(invisible())
  abort_arg(fun, "windows", must, sprintf("%s %s, %s %s for %s", from, format(a[bad]), to,
                                          format(b[bad]), windows$gene[bad]))
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
  check_stretches(windows, "start", "end", "base pairs with start <= end", fun)
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
