# What mmash() is given, as the core wants it: where X comes from, Y with its gaps, covariates,
# sufficient and summary statistics.

# A source of X is a list: kind ("dense", "int8", "sparse", "bed", "gram"), x (what the core
# reads), rows, cols (samples and variants), variants, samples (names or NULL), missing (genotypes
# not known).
mmash_source <- function(x, fun, settings = list()) UseMethod("mmash_source")

mmash_source.default <- function(x, fun, settings = list()) {
  must <- paste("a numeric matrix samples x variants, a sparse matrix, the path of a .bed file,",
                "or made by suff_stats() or summary_stats()")
  abort_x(fun, settings, must, describe_value(x), if (is.numeric(x)) "as.matrix(x)")
}

mmash_source.data.frame <- function(x, fun, settings = list()) {
  mmash_source(numeric_columns(x, fun, settings$arg %||% "x"), fun, settings)
}

mmash_source.SnpMatrix <- function(x, fun, settings = list()) {
  check_installed("snpStats", fun, "a SnpMatrix")
  x <- methods::as(x, "numeric")
  if (fits_byte(x)) storage.mode(x) <- "integer"
  mmash_source(x, fun, settings)
}

mmash_source.matrix <- function(x, fun, settings = list()) {
  if (!is.numeric(x)) abort_x(fun, settings, "a numeric matrix", paste("a matrix of mode", mode(x)))
  mmash_check_size(dim(x), fun, settings)
  infinite <- which(is.infinite(x))
  if (length(infinite) > 0) {
    abort_x(fun, settings, "finite", sprintf("%s at position %d", x[infinite[1]], infinite[1]))
  }
  missing <- sum(is.na(x))
  mmash_check_gaps(missing, fun, settings)
  bytes <- identical(settings$storage, "int8") ||
    (is.null(settings$storage) && (is.integer(x) || missing > 0) && fits_byte(x))
  if (bytes && !fits_byte(x)) {
    abort_x(fun, settings, "whole numbers from -127 to 127 for storage = \"int8\"", "other values",
              "storage = \"double\"")
  }
  if (!bytes) {
    storage.mode(x) <- "double"
    check_squares(x, fun, settings$arg %||% "x")
  }
  mmash_new_source(if (bytes) "int8" else "dense", x, dim(x), dimnames(x), missing)
}

mmash_source.Matrix <- function(x, fun, settings = list()) {
  mmash_check_size(dim(x), fun, settings)
  x <- methods::as(methods::as(methods::as(x, "dMatrix"), "generalMatrix"), "CsparseMatrix")
  if (fits_byte(x@x)) {
    mmash_check_gaps(sum(is.na(x@x)), fun, settings)
    return(mmash_new_source("sparse", x, dim(x), dimnames(x), sum(is.na(x@x))))
  }
  limit <- getOption("mixology.max_memory", 4e9)
  if (8 * prod(dim(x)) > limit) {
    abort_x(fun, settings, sprintf("at most %.3g bytes when dense", limit),
              sprintf("%d x %d fractional values", nrow(x), ncol(x)),
              "genotypes as whole numbers, which are kept in one byte each")
  }
  mmash_source(as.matrix(x), fun, settings)
}

mmash_source.DelayedMatrix <- function(x, fun, settings = list()) {
  check_installed("DelayedArray", fun, "a DelayedMatrix")
  mmash_check_size(dim(x), fun, settings)
  width <- max(1, floor(4e6 / nrow(x))) # about 32 MB of doubles at a time
  starts <- seq(1, ncol(x), by = width)
  parts <- lapply(starts, function(first) {
    part <- as.matrix(x[, first:min(first + width - 1, ncol(x)), drop = FALSE])
    if (fits_byte(part)) storage.mode(part) <- "integer"
    part
  })
  mmash_source(do.call(cbind, parts), fun, settings)
}

mmash_source.character <- function(x, fun, settings = list()) {
  if (!is_scalar(x)) abort_x(fun, settings, "the path of one file", describe_value(x))
  if (grepl("\\.vcf(\\.b?gz)?$", x, ignore.case = TRUE)) {
    if (!file.exists(x)) {
      abort_x(fun, settings, "a VCF file", sprintf("\"%s\", which is not there", x))
    }
    return(vcf_source(x, fun, settings))
  }
  other <- regmatches(x, regexpr("[.](bgen|pgen|bcf|ped|gds)$", x, ignore.case = TRUE))
  if (length(other) > 0) abort_foreign_file(x, tolower(substring(other, 2)), fun, settings)
  bed_source(x, fun, settings)
}

# Formats that are not read, and the command that makes a .bed file of them.
abort_foreign_file <- function(x, kind, fun, settings) {
  stem <- sub("[.][^.]*$", "", x)
  convert <- switch(kind, bgen = sprintf("plink2 --bgen %s ref-first --make-bed --out %s", x, stem),
                    pgen = sprintf("plink2 --pfile %s --make-bed --out %s", stem, stem),
                    bcf = sprintf("plink2 --bcf %s --make-bed --out %s", x, stem),
                    ped = sprintf("plink --file %s --make-bed --out %s", stem, stem),
                    gds = "SNPRelate::snpgdsGDS2BED()")
  abort_x(fun, settings, "a .bed or .vcf file or a matrix of dosages", sprintf("\"%s\"", x),
            sprintf("`%s`, or read its dosages into a matrix", convert))
}

mmash_new_source <- function(kind, x, dims, names = NULL, missing = 0, ...) {
  list(kind = kind, x = x, rows = dims[1], cols = dims[2], samples = names[[1]],
       variants = names[[2]], missing = missing, ...)
}

# The names of `size` things; those that lack are numbered: variant1, variant2, ...
filled_names <- function(names, what, size) {
  numbered <- paste0(what, seq_len(size))
  if (is.null(names)) numbered else ifelse(is.na(names) | names == "", numbered, names)
}

# One name for every variant: the second "rs1" is "rs1.1".
variant_labels <- function(names, size) make.unique(filled_names(names, "variant", size))

tell_shared_names <- function(names, fun) {
  shared <- unique(names[duplicated(names, incomparables = c(NA, ""))])
  if (length(shared) == 0) return(invisible())
  message(sprintf("%s: %s of several variants, such as \"%s\": the second is called \"%s.1\"", fun,
                  count_of(length(shared), "name"), shared[1], shared[1]))
}

# What is wrong with the genotypes, under the name that the caller's argument has.
abort_x <- function(fun, settings, ...) abort_arg(fun, settings$arg %||% "x", ...)

mmash_check_size <- function(dims, fun, settings = list()) {
  least <- settings$least %||% 2
  if (dims[1] < least || dims[2] < 1) {
    abort_x(fun, settings, sprintf("a matrix with at least %s and one variant",
                                   c("one sample", "two samples")[least]),
            paste(dims, collapse = " x "))
  }
}

mmash_check_gaps <- function(missing, fun, settings) {
  if (missing > 0 && !identical(settings$missing_x, "mean")) {
    abort_x(fun, settings, "without missing values", sprintf("%d NA", missing),
              "missing_x = \"mean\", which puts the mean of the variant in their place")
  }
}

fits_byte <- function(x) {
  ends <- suppressWarnings(range(x, na.rm = TRUE)) # of nothing: Inf, -Inf
  if (ends[1] > ends[2]) return(TRUE)
  all(abs(ends) <= 127) && (is.integer(x) || all(x == round(x), na.rm = TRUE))
}

# Means of the rows given take the place of what is missing.
impute_column_means <- function(x, rows = seq_len(nrow(x))) {
  mean <- colMeans(x[rows, , drop = FALSE], na.rm = TRUE)
  mean[!is.finite(mean)] <- 0
  fill_columns(x, mean)
}

fill_columns <- function(x, values) {
  at <- which(is.na(x), arr.ind = TRUE)
  x[at] <- values[at[, 2]]
  x
}

# ---- responses and covariates -------------------------------------------------------------------

mmash_response <- function(y, source, fun, assay = NULL) {
  if (!is.null(assay) && !is_se(y)) {
    abort_arg(fun, "assay", "left out, as 'y' is no experiment", describe_value(assay))
  }
  y <- mmash_response_matrix(y, fun, assay = assay)
  labels <- condition_names(colnames(y), ncol(y))
  if (nrow(y) != source$rows) {
    abort_arg(fun, "y", sprintf("one row per sample of 'x' (%d)", source$rows),
              sprintf("%d rows", nrow(y)), if (ncol(y) == source$rows) "t(y)")
  }
  check_same_samples(source$samples, rownames(y), fun, "y")
  twice <- anyDuplicated(labels)
  if (twice > 0) {
    abort_arg(fun, "y", "a matrix whose conditions have different names",
              sprintf("\"%s\" twice", labels[twice]))
  }
  bad <- which(is.infinite(y))
  if (length(bad) > 0) abort_arg(fun, "y", "finite or NA", sprintf("Inf at position %d", bad[1]))
  empty <- which(colSums(!is.na(y)) < 2)
  if (length(empty) > 0) {
    abort_arg(fun, "y", "observed at least twice in every condition",
              sprintf("no such data in condition %s", labels[empty[1]]), "dropping it")
  }
  y
}

# Without column names where nobody gave any.
mmash_response_matrix <- function(y, fun, arg = "y", assay = NULL) {
  if (is_se(y)) y <- t(as.matrix(gaussian_assay(y, assay, fun)))
  if (is.data.frame(y)) y <- numeric_columns(y, fun, arg)
  if (is.numeric(y) && is.null(dim(y))) y <- matrix(y, dimnames = list(names(y), NULL))
  if (!is.numeric(y) || length(dim(y)) != 2 || ncol(y) < 1) {
    abort_arg(fun, arg, "a numeric matrix samples x conditions", describe_value(y))
  }
  if (!is.null(colnames(y))) colnames(y) <- filled_names(colnames(y), "condition", ncol(y))
  storage.mode(y) <- "double"
  check_squares(y, fun, arg)
  y
}

# Sums of squares must be numbers that are neither infinite nor lost.
check_squares <- function(x, fun, arg) {
  size <- suppressWarnings(max(abs(range(x, na.rm = TRUE)))) # of nothing: Inf
  if (is.finite(size) && size > 0 && (size > 1e140 || size < 1e-140)) {
    abort_arg(fun, arg, "between 1e-140 and 1e140 in size", sprintf("%.3g", size),
              sprintf("%s / %.1g", arg, size))
  }
}

# As for counts; but of several assays "counts" is seldom the one that errors are normal in.
gaussian_assay <- function(se, assay, fun) {
  have <- SummarizedExperiment::assayNames(se)
  if (is.null(assay) && length(have) > 1 && "counts" %in% have) {
    message(fun, ": the assay \"counts\" is taken, of ", toString(dQuote(have, FALSE)),
            "; assay = \"counts\" says so without this message")
  }
  se_assay(se, assay, fun)
}

check_same_samples <- function(x, y, fun, arg) {
  if (is.null(x) || is.null(y) || identical(x, y)) return(invisible())
  at <- which(is.na(x) | is.na(y) | x != y)[1]
  hint <- if (setequal(x, y)) sprintf("the same order, such as %s[rownames(x), ]", arg)
  abort_arg(fun, arg, "of the same samples as 'x', in the same order",
            sprintf("\"%s\" beside \"%s\" in row %d", y[at], x[at], at), hint)
}

# Orthonormal columns orthogonal to 1 that span the covariates (N x 0 without any); `design` is
# what new covariates are read by.
mmash_covariates <- function(covariates, source, fun) {
  none <- matrix(0, source$rows, 0)
  if (is.null(covariates)) return(list(matrix = none, basis = none))
  design <- covariate_design(covariates, source$rows, fun)
  covariates <- covariate_matrix(covariates, design, source, fun)
  centred <- scale(covariates, scale = FALSE)
  decomposed <- qr(centred)
  keep <- seq_len(decomposed$rank)
  if (decomposed$rank >= source$rows - 1) {
    abort_arg(fun, "covariates", "fewer than the samples", sprintf("rank %d", decomposed$rank))
  }
  list(matrix = covariates, basis = qr.Q(decomposed)[, keep, drop = FALSE], design = design)
}

# Of a data frame its terms and the levels of its factors; of a matrix nothing but its names.
covariate_design <- function(covariates, rows, fun) {
  if (!is.data.frame(covariates)) return(list(names = colnames(covariates)))
  if (nrow(covariates) != rows || ncol(covariates) == 0) abort_covariates(covariates, rows, fun)
  frame <- stats::model.frame(~ ., covariates, na.action = stats::na.pass)
  terms <- attr(frame, "terms")
  one <- names(Filter(function(v) length(unique(v)) < 2, Filter(Negate(is.numeric), frame)))
  if (length(one) > 0) {
    abort_arg(fun, "covariates", "factors with at least two levels",
              sprintf("one in column '%s'", one[1]), "dropping it")
  }
  coded <- stats::model.matrix(terms, frame)
  list(terms = terms, levels = stats::.getXlevels(terms, frame), names = names(covariates),
       contrasts = attr(coded, "contrasts"))
}

# The numbers that go with a design, of the samples of a source.
covariate_matrix <- function(covariates, design, source, fun) {
  if (is.numeric(covariates) && is.null(dim(covariates))) {
    covariates <- cbind(covariate = covariates)
  }
  samples <- rownames(covariates)
  if (is.data.frame(covariates)) {
    if (is.integer(attr(covariates, "row.names"))) samples <- NULL # numbers that R gave
    covariates <- if (is.null(design$terms)) as.matrix(covariates) else
      coded_covariates(covariates, design, fun)
  } else if (!is.null(design$terms)) {
    abort_arg(fun, "covariates", "a data frame, as in the fit", describe_value(covariates))
  }
  valid <- is.matrix(covariates) && is.numeric(covariates) && nrow(covariates) == source$rows
  if (!valid) abort_covariates(covariates, source$rows, fun)
  bad <- which(colSums(!is.finite(covariates)) > 0)[1]
  if (!is.na(bad)) {
    abort_covariates(covariates, source$rows, fun,
                     sprintf("%s in column %s", not_finite(covariates[, bad]),
                             colnames(covariates)[bad] %||% bad))
  }
  check_same_samples(source$samples, samples, fun, "covariates")
  rownames(covariates) <- NULL
  covariates
}

abort_covariates <- function(covariates, rows, fun, got = describe_value(covariates)) {
  abort_arg(fun, "covariates", sprintf("a finite numeric matrix or data frame with %d rows", rows),
            got)
}

coded_covariates <- function(covariates, design, fun) {
  lost <- setdiff(design$names, names(covariates))
  if (length(lost) > 0) {
    abort_arg(fun, "covariates", sprintf("of the columns %s", toString(design$names)),
              sprintf("no '%s'", lost[1]))
  }
  for (name in names(design$levels)) {
    new <- setdiff(as.character(covariates[[name]]), c(design$levels[[name]], NA))
    if (length(new) > 0) {
      abort_arg(fun, "covariates", sprintf("of the levels of the fit in '%s'", name),
                sprintf("\"%s\"", new[1]))
    }
  }
  frame <- stats::model.frame(design$terms, covariates, na.action = stats::na.pass,
                              xlev = design$levels)
  stats::model.matrix(design$terms, frame, contrasts.arg = design$contrasts)[, -1, drop = FALSE]
}

# Samples sorted by which conditions are observed; none stays of a sample without any.
mmash_gaps <- function(y) {
  seen <- !is.na(y)
  if (all(seen)) return(list(samples = seq_len(nrow(y)), patterns = list()))
  key <- apply(seen, 1, function(row) paste(which(row), collapse = " "))
  groups <- split(seq_len(nrow(y)), factor(key, unique(key)))
  groups <- groups[names(groups) != ""]
  if (length(groups) == 1 && all(seen[groups[[1]], ])) {
    return(list(samples = groups[[1]], patterns = list()))
  }
  ends <- cumsum(lengths(groups))
  patterns <- lapply(seq_along(groups), function(i) {
    list(begin = as.integer(ends[i] - length(groups[[i]])), end = as.integer(ends[i]),
         seen = as.integer(strsplit(names(groups)[i], " ")[[1]]) - 1L)
  })
  list(samples = unlist(groups, use.names = FALSE), patterns = patterns)
}

# The list that the core reads: centred responses, gaps as zeros, samples in their order.
mmash_individual <- function(source, y, covariates, standardize, order) {
  gaps <- mmash_gaps(y)
  at <- gaps$samples
  basis <- covariates$basis[at, , drop = FALSE]
  if (length(at) < nrow(y)) { # samples without any response are gone from everything
    kept <- list(rows = length(at), samples = NULL)
    basis <- mmash_covariates(if (ncol(basis) > 0) covariates$matrix[at, , drop = FALSE], kept,
                              "mmash")$basis
  }
  response <- y[at, , drop = FALSE]
  center <- colMeans(response, na.rm = TRUE)
  response <- sweep(response, 2, center)
  response[is.na(response)] <- 0
  complete <- length(gaps$patterns) == 0
  explained <- if (complete) crossprod(basis, response) else matrix(0, ncol(basis), ncol(y))
  whole <- complete && identical(as.integer(at), seq_len(nrow(y)))
  if (source$kind == "dense" && source$missing > 0) source$x <- impute_column_means(source$x, at)
  list(kind = source$kind, x = source$x, rows = source$rows, cols = source$cols,
       count_first = isTRUE(source$count_first), standardize = standardize,
       order = order - 1L, samples = if (whole) integer() else as.integer(at) - 1L, basis = basis,
       y = response - basis %*% explained, n = length(at), patterns = gaps$patterns,
       fixed = cbind(1, basis), center = center, explained = explained)
}
