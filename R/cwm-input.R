# Input of cwm(): formulas, matrices and experiments as numeric matrices that the engines can use.

# list(x, w, y: matrices; link: which columns of w are plain copies of columns of x; rows: names;
# design, cluster: designs or NULL; slim: what is kept of them in a fit)
cwm_formula_input <- function(formula, data, cluster, na_x) {
  na_x <- check_choice(na_x, c("fail", "marginalise"), "cwm", "na_x")
  check_cwm_data(data)
  if (inherits(formula, "formula")) formula <- expand_dot(formula, data)
  design <- new_design(formula, data, "cwm")
  if (!is.null(design$offset)) {
    abort_arg("cwm", "formula", "without offset()", "an offset", "subtracting it from the response")
  }
  cwm_check_response_alone(formula, stats::delete.response(design$terms), "formula")
  cluster <- cluster %||% cwm_default_cluster(design)
  cluster_design <- cwm_cluster_design(cluster, data, formula)
  y <- cwm_response(design)
  w <- if (ncol(y) == 0) design$matrix[, 0, drop = FALSE] else design$matrix
  slim <- list(formula = formula, design = slim_design(design, data),
               cluster = slim_design(cluster_design, data))
  slim$formula <- slim$design$formula
  rows <- design$rows %||% cluster_design$rows
  input <- cwm_check_input(cluster_design$matrix, w, y, na_x, rows)
  input$slim <- slim
  input
}

check_cwm_data <- function(data) {
  if (is.null(data) || is.data.frame(data)) return(invisible())
  abort_arg("cwm", "data", "a data frame", describe_value(data),
            if (is.matrix(data)) "as.data.frame(data)" else if (is_se(data)) {
              "cwm(data, response = )"
            })
}

# `y ~ .` written out, so that the default clustering covariates are known.
expand_dot <- function(formula, data) {
  if (!"." %in% all.vars(formula)) return(formula)
  out <- stats::formula(stats::terms(formula, data = data))
  environment(out) <- environment(formula)
  out
}

# The numeric covariates of the formula's terms: one numeric column as it stands, of several columns
# (a spline) the variables of as many rows.
cwm_default_cluster <- function(design) {
  terms <- stats::delete.response(design$terms)
  variables <- as.list(attr(terms, "variables"))[-1]
  factors <- attr(terms, "factors")
  used <- if (length(factors) > 0) rowSums(factors) > 0 else logical(length(variables))
  env <- environment(design$formula)
  wanted <- lapply(variables[used], function(v) {
    column <- design$frame[[name_of(v)]]
    if (!is.matrix(column)) return(if (is.numeric(column)) list(v))
    if (is.symbol(v)) return(list(v))
    names <- setdiff(all.vars(v), design$parameters)
    lapply(names, as.name)
  })
  wanted <- unique(unlist(wanted, recursive = FALSE))
  right <- if (length(wanted) == 0) 0 else Reduce(function(a, b) call("+", a, b), wanted)
  stats::as.formula(call("~", right), env = env)
}

# lm() drops a response from the covariates; here it would also cluster.
cwm_check_response_alone <- function(formula, terms, what) {
  if (length(formula) < 3) return(invisible())
  response <- formula[[2]]
  parts <- if (is.call(response)) as.list(response)[-1] else list()
  taken <- intersect(attr(terms, "term.labels"), vapply(c(response, parts), name_of, ""))
  if (length(taken) == 0) return(invisible())
  abort_arg("cwm", what, "without the response among the covariates", sprintf("'%s'", taken[1]),
            "leaving it out")
}

cwm_cluster_design <- function(cluster, data, formula) {
  if (!inherits(cluster, "formula") || length(cluster) != 2) {
    got <- if (inherits(cluster, "formula")) deparse1(cluster) else describe_value(cluster)
    abort_arg("cwm", "cluster", "a one-sided formula", got, "~ x1 + x2")
  }
  response <- if (length(formula) == 3) all.vars(formula[[2]])
  cluster <- expand_dot(cluster, data[setdiff(names(data), response)])
  cluster[[2]] <- call("+", cluster[[2]], 0) # no intercept
  cwm_check_response_alone(formula, stats::terms(cluster), "cluster")
  if (length(all.vars(cluster)) == 0) {
    rows <- if (is.null(data)) NULL else nrow(data)
    return(list(matrix = matrix(0, rows %||% NA, 0), formula = cluster, empty = TRUE))
  }
  plain <- plain_design(cluster, data, quoted = FALSE)
  if (!is.null(plain)) return(plain)
  design <- new_design(cluster, data, "cwm", "cluster")
  bad <- names(design$frame)[!vapply(design$frame, is.numeric, NA)]
  if (length(bad) > 0) {
    abort_arg("cwm", "cluster", "numeric covariates", sprintf("'%s' of class %s", bad[1],
                                                              class(design$frame[[bad[1]]])[1]),
              "using it in 'formula' only")
  }
  design
}

cwm_response <- function(design) {
  y <- design$response
  if (is.null(y)) return(matrix(0, nrow(design$matrix), 0))
  if (!is.numeric(y)) {
    abort_arg("cwm", "formula", "with a numeric response", describe_value(y))
  }
  if (is.matrix(y)) return(cwm_name_responses(y, design$formula[[2]]))
  matrix(as.double(y), ncol = 1, dimnames = list(NULL, name_of(design$formula[[2]])))
}

# Columns of cbind() without a name get their text.
cwm_name_responses <- function(y, left) {
  names <- colnames(y) %||% character(ncol(y))
  parts <- if (is.call(left) && identical(left[[1]], quote(cbind))) as.list(left)[-1]
  text <- if (length(parts) == ncol(y)) vapply(parts, name_of, "") else
    paste0("y", seq_len(ncol(y)))
  colnames(y) <- ifelse(nzchar(names), names, text)
  y
}

cwm_matrix_input <- function(x, y, cluster, na_x) {
  na_x <- check_choice(na_x, c("fail", "marginalise"), "cwm", "na_x")
  if (!is.numeric(x)) abort_arg("cwm", "formula", "a numeric matrix", describe_value(x))
  colnames(x) <- colnames(x) %||% paste0("x", seq_len(ncol(x)))
  odd <- which(duplicated(colnames(x)) | !nzchar(colnames(x)) | is.na(colnames(x)))
  if (length(odd) > 0) {
    abort_arg("cwm", "formula", "a matrix whose columns have names of their own",
              sprintf("column %d named \"%s\"", odd[1], colnames(x)[odd[1]]))
  }
  if (!is.null(y) && (!is.numeric(y) || NROW(y) != nrow(x))) {
    abort_arg("cwm", "y", sprintf("numeric with %d rows, as the covariates", nrow(x)),
              describe_value(y))
  }
  y <- if (is.null(y)) matrix(0, nrow(x), 0) else as.matrix(y)
  if (ncol(y) > 0) colnames(y) <- colnames(y) %||% cwm_response_names(ncol(y))
  chosen <- cwm_matrix_cluster(x, cluster)
  w <- cbind(`(Intercept)` = rep(1, nrow(x)), x)
  input <- cwm_check_input(x[, chosen, drop = FALSE], if (ncol(y) == 0) w[, 0] else w, y, na_x,
                           rownames(x))
  input$slim <- list(columns = colnames(x), cluster_columns = chosen)
  input
}

cwm_response_names <- function(m) if (m == 1) "y" else paste0("y", seq_len(m))

cwm_matrix_cluster <- function(x, cluster) {
  if (is.null(cluster)) return(colnames(x))
  known <- if (is.character(cluster)) all(cluster %in% colnames(x)) else
    is.numeric(cluster) && all(cluster %in% seq_len(ncol(x)))
  if (!known) {
    abort_arg("cwm", "cluster", "names or positions of columns of the matrix",
              describe_value(cluster))
  }
  if (is.character(cluster)) cluster else colnames(x)[cluster]
}

# ---- checks -----------------------------------------------------------------

cwm_check_input <- function(x, w, y, na_x, rows) {
  n <- max(nrow(w), nrow(y), na.rm = TRUE)
  if (ncol(x) == 0) x <- matrix(0, n, 0)
  if (nrow(x) != n && ncol(w) + ncol(y) == 0) n <- nrow(x)
  if (nrow(x) != n) {
    abort_arg("cwm", "cluster", sprintf("of %d rows, as the formula's variables", n),
              sprintf("%d rows", nrow(x)))
  }
  if (n == 0) abort_arg("cwm", "data", "at least one row of data", "none")
  if (ncol(x) + ncol(y) == 0) {
    abort_arg("cwm", "formula", "with a response, or 'cluster' with covariates", "neither",
              "cluster = ~ x1 + x2")
  }
  x <- cwm_plain(x)
  w <- cwm_plain(w)
  y <- cwm_plain(y)
  rows <- cwm_row_names(rows)
  cwm_check_finite(list(x, w, y), rows)
  for (a in list(x, w, y)) cwm_check_size(a)
  link <- cwm_link(x, w)
  cwm_check_missing(x, w, link, na_x, rows)
  cwm_check_columns(x)
  cwm_check_columns(y)
  cwm_check_responses(y)
  if (ncol(w) > 0) cwm_check_rank(if (anyNA(w)) w[rowSums(is.na(w)) == 0, , drop = FALSE] else w)
  list(x = x, w = w, y = y, link = link, rows = rows)
}

# Automatic names of very many rows are not worth their memory.
cwm_row_names <- function(rows) {
  many <- length(rows) > 1e5
  if (many && identical(rows, as.character(seq_along(rows)))) NULL else rows
}

# A double matrix with column names and nothing else; not copied where it is one.
cwm_plain <- function(a) {
  if (is.double(a) && all(names(attributes(a)) %in% c("dim", "dimnames")) &&
        is.null(rownames(a)) && (ncol(a) > 0 || is.null(dimnames(a)))) return(a)
  if (!is.double(a)) storage.mode(a) <- "double"
  names <- if (ncol(a) > 0) list(NULL, colnames(a))
  attributes(a) <- list(dim = dim(a))
  dimnames(a) <- names
  a
}

cwm_name_rows <- function(bad, rows) {
  shown <- utils::head(bad, 5)
  label <- if (is.null(rows)) shown else rows[shown]
  paste0(plural_rows(length(bad)), " ", toString(label), if (length(bad) > 5) ", ...")
}
plural_rows <- function(n) if (n == 1) "row" else sprintf("%d rows:", n)

cwm_check_finite <- function(matrices, rows) {
  for (a in matrices) {
    if (all(is.finite(cwm_ranges(a)))) next
    bad <- which(rowSums(is.infinite(a)) > 0)
    if (length(bad) > 0 && !all(is.na(a))) {
      column <- colnames(a)[which(is.infinite(a[bad[1], ]))[1]]
      abort_arg("cwm", "data", "finite", sprintf("Inf in '%s' (%s)", column,
                                                 cwm_name_rows(bad, rows)))
    }
  }
}

# The variance of a variance is the fourth power of the unit, which must be a number.
cwm_check_size <- function(a) {
  largest <- apply(abs(cwm_ranges(a)), 2, max)
  beyond <- which(is.finite(largest) & largest > 0 & (largest > 1e75 | largest < 1e-75))
  if (length(beyond) == 0) return(invisible())
  abort_arg("cwm", "data", "of largest values between 1e-75 and 1e75, so that their squares can be",
            sprintf("values up to %.3g in '%s'", largest[beyond[1]], colnames(a)[beyond[1]]),
            "rescaling it to other units")
}

# link[j, l] = 1 where column j of w is column l of x.
cwm_link <- function(x, w) {
  link <- matrix(0, ncol(w), ncol(x))
  names <- gsub("^`|`$", "", colnames(w))
  for (l in seq_len(ncol(x))) {
    for (j in which(names == colnames(x)[l])) link[j, l] <- cwm_same_column(w, j, x, l)
  }
  link
}

cwm_check_missing <- function(x, w, link, na_x, rows) {
  if (!anyNA(x) && !anyNA(w)) return(invisible())
  gone <- rowSums(is.na(x)) + rowSums(is.na(w)) > 0
  if (!any(gone)) return(invisible())
  if (na_x == "fail") {
    abort_arg("cwm", "data", "complete in the covariates",
              paste("NA in", cwm_name_rows(which(gone), rows)),
              "na_x = \"marginalise\", or dropping them")
  }
  linked <- rowSums(link) > 0
  stuck <- which(colSums(is.na(w)) > 0 & !linked)
  if (length(stuck) > 0) {
    abort_arg("cwm", "data", "complete in covariates that are not plain clustering covariates",
              sprintf("NA in '%s'", colnames(w)[stuck[1]]), "dropping those rows")
  }
}

cwm_check_columns <- function(a) {
  seen <- cwm_ranges(a)
  empty <- which(is.infinite(seen[1, ]))
  if (length(empty) > 0) {
    abort_arg("cwm", "data", "observed somewhere in every column",
              sprintf("only NA in '%s'", colnames(a)[empty[1]]))
  }
  constant <- which(seen[2, ] - seen[1, ] <= 1e-13 * pmax(abs(seen[1, ]), abs(seen[2, ])))
  if (nrow(a) > 1 && length(constant) > 0) {
    abort_arg("cwm", "data", "varying in every clustering covariate and response",
              sprintf("the constant column '%s'", colnames(a)[constant[1]]), "leaving it out")
  }
}

cwm_check_responses <- function(y) {
  if (ncol(y) < 2) return(invisible())
  y <- y[rowSums(is.na(y)) == 0, , drop = FALSE]
  if (nrow(y) <= ncol(y) || cwm_clearly_independent(y, TRUE)) return(invisible())
  q <- qr(cwm_compact(sweep(y, 2, colMeans(y))), tol = 1e-9)
  if (q$rank == ncol(y)) return(invisible())
  abort_arg("cwm", "formula", "with linearly independent responses",
            sprintf("'%s', which the others determine", colnames(y)[q$pivot[q$rank + 1]]),
            "leaving it out")
}

# A few rows with the same cross-products as many: the triangular factor, block by block.
cwm_compact <- function(a, block = 50000L) {
  if (nrow(a) <= 2 * block) return(a)
  out <- NULL
  for (first in seq(1L, nrow(a), by = block)) {
    rows <- first:min(first + block - 1L, nrow(a))
    out <- qr.R(qr(rbind(out, a[rows, , drop = FALSE]), LAPACK = FALSE, tol = 0))
  }
  out
}

cwm_check_rank <- function(w) {
  if (nrow(w) > ncol(w) && cwm_clearly_independent(w, FALSE)) return(invisible())
  few <- nrow(w) < ncol(w)
  w <- cwm_compact(w)
  q <- qr(w)
  if (q$rank == ncol(w)) return(invisible())
  alias <- colnames(w)[q$pivot[(q$rank + 1):ncol(w)]]
  if (few) {
    abort_arg("cwm", "data", sprintf("of at least %d rows for %d regression covariates", ncol(w),
                                     ncol(w)), sprintf("%d", nrow(w)))
  }
  abort_arg("cwm", "formula", "of linearly independent covariates",
            sprintf("'%s', which the others determine", alias[1]), "leaving it out")
}

# Full covariances need clustering covariates that are linearly independent.
cwm_check_spread <- function(x, covariance) {
  full <- covariance %in% c("EEE", "VVV")
  if (!any(full) || ncol(x) < 2) return(invisible())
  complete <- if (anyNA(x)) x[rowSums(is.na(x)) == 0, , drop = FALSE] else x
  if (nrow(x) > ncol(x) + 1 && cwm_clearly_independent(complete, TRUE)) return(invisible())
  q <- qr(cwm_compact(sweep(complete, 2, colMeans(complete))), tol = 1e-9)
  if (q$rank == ncol(x)) return(invisible())
  alias <- colnames(x)[q$pivot[q$rank + 1]]
  abort_arg("cwm", "cluster", paste("of linearly independent covariates for covariance =",
                                    dQuote(covariance[full][1], FALSE)),
            sprintf("'%s', which the others determine", alias),
            "leaving it out, or covariance = \"VVI\"")
}

cwm_check_k <- function(k, method, input) {
  if (!is.numeric(k) || length(k) == 0) {
    abort_arg("cwm", "k", "whole numbers of at least 1", describe_value(k))
  }
  if (method == "gibbs" && length(k) > 1) {
    abort_arg("cwm", "k", "one number for method = \"gibbs\"", sprintf("%d values", length(k)),
              "the largest: components that are not needed empty")
  }
  for (one in k) check_count(one, "cwm", "k", upper = 250)
  k <- sort(unique(as.integer(k)))
  cwm_check_rows_per_cluster(max(k), method, input)
  k
}

# Used when `k` was not given.
cwm_default_k <- function(method, input) {
  method <- if (is.character(method)) method[1] else "em"
  if (!method %in% c("vb", "gibbs")) return(seq_len(max(1, min(6, cwm_most_clusters(input)))))
  most <- if (method == "vb") 10 else 6
  min(most, max(1, cwm_distinct_rows(input, most)))
}

cwm_most_clusters <- function(input) {
  columns <- if (ncol(input$x) > 0) ncol(input$x) else ncol(input$w)
  nrow(input$x) %/% (columns + 1)
}

cwm_check_rows_per_cluster <- function(k, method, input) {
  if (k == 1) return(invisible())
  n <- nrow(input$x)
  distinct <- cwm_distinct_rows(input, k)
  if (k > distinct) {
    abort_arg("cwm", "k", sprintf("at most %d, the number of distinct rows", distinct), k)
  }
  if (method == "em" && k > cwm_most_clusters(input)) {
    abort_arg("cwm", "k", sprintf("at most %d for %d rows", cwm_most_clusters(input), n), k,
              "fewer clusters, or method = \"vb\"")
  }
}

# The number of distinct rows, or any number of at least k when the first rows have that many.
cwm_distinct_rows <- function(input, k) {
  all <- function(rows) {
    nrow(unique(cbind(input$x[rows, , drop = FALSE], input$w[rows, , drop = FALSE],
                      input$y[rows, , drop = FALSE])))
  }
  n <- nrow(input$x)
  head <- seq_len(min(n, 20 * k))
  first <- if (ncol(input$x) > 0) input$x[head, 1] else if (ncol(input$y) > 0) input$y[head, 1]
  if (length(unique(first)) >= k) return(k)
  some <- all(head)
  if (some >= k || n <= 20 * k) some else all(seq_len(n))
}

# A fifth of the rows or more the same row: a fault of the data rather than a cluster.
cwm_warn_repeated <- function(input) {
  n <- nrow(input$x)
  if (n < 10 || ncol(input$x) + ncol(input$y) == 0) return(invisible())
  rows <- if (n <= 2000) seq_len(n) else unique(round(seq(1, n, length.out = 2000)))
  first <- if (ncol(input$x) > 0) input$x[rows, 1] else input$y[rows, 1]
  if (sum(duplicated(first)) + 1 < 0.2 * length(rows)) return(invisible())
  most <- cwm_most_alike(cbind(input$x[rows, , drop = FALSE], input$y[rows, , drop = FALSE],
                               input$w[rows, , drop = FALSE]))
  if (most < 0.2 * length(rows)) return(invisible())
  warning(sprintf("cwm: about %d of %d rows are identical", round(n * most / length(rows)), n),
          ": a simulation whose random numbers ran out, or a failed join? A cluster may rest on ",
          "them alone", call. = FALSE)
}

# How many rows the most frequent row has; an upper bound of it where that is below a fifth.
cwm_most_alike <- function(a) {
  most <- function(keys) max(tabulate(match(keys, keys)))
  bound <- most(a[, 1])
  if (bound < 0.2 * nrow(a)) bound else most(do.call(paste, as.data.frame(a)))
}

cwm_check_covariance <- function(covariance, spec, input) {
  families <- c("EII", "VII", "EEI", "VVI", "EEE", "VVV")
  if (!is.character(covariance) || length(covariance) == 0) {
    abort_arg("cwm", "covariance", paste("among", toString(dQuote(families, FALSE))),
              describe_value(covariance))
  }
  covariance <- unique(covariance)
  for (one in covariance) check_choice(one, families, "cwm", "covariance")
  if (spec$method == "gibbs" && length(covariance) > 1) {
    abort_arg("cwm", "covariance", "one family for method = \"gibbs\"", toString(covariance),
              "choosing by method = \"em\" or \"vb\" first")
  }
  if (ncol(input$x) == 0) covariance <- covariance[length(covariance)]
  cwm_check_spread(input$x, covariance)
  covariance
}

# ---- starts -----------------------------------------------------------------

cwm_start <- function(control, spec, input) {
  start <- control$start
  if (is.null(start) || !is.null(control$resumed)) return(NULL)
  must <- sprintf("cluster labels (one per row, 1 to k), an earlier fit%s",
                  if (spec$method == "em") ", or a list of starting values" else "")
  if (length(spec$k) > 1) abort_arg("cwm", "k", "one number when a start is given", "several")
  if (inherits(start, "cwm")) return(cwm_start_fit(start, spec, input))
  if (is.list(start) && spec$method == "em") return(cwm_start_values(start, spec, input))
  if (is.factor(start)) start <- as.integer(start)
  if (!is.numeric(start) || length(start) != nrow(input$x)) {
    abort_arg("cwm", "start", must, describe_value(start))
  }
  list(labels = cwm_start_labels(start, spec))
}

cwm_start_labels <- function(start, spec) {
  ends <- range(start)
  whole <- is.integer(start) || identical(as.double(as.integer(start)), as.double(start))
  if (anyNA(ends) || ends[1] < 1 || ends[2] > spec$k || !whole) {
    abort_arg("cwm", "start", sprintf("labels from 1 to %d", spec$k),
              sprintf("labels from %s to %s", ends[1], ends[2]))
  }
  labels <- as.integer(start)
  empty <- which(tabulate(labels, spec$k) == 0)
  if (spec$method == "em" && length(empty) > 0) {
    abort_arg("cwm", "start", sprintf("labels that use every number from 1 to %d", spec$k),
              sprintf("no row of cluster %d", empty[1]))
  }
  labels
}

cwm_start_fit <- function(start, spec, input) {
  if (start$k != spec$k && spec$method == "em") {
    abort_arg("cwm", "start", sprintf("a fit with k = %d", spec$k), sprintf("k = %d", start$k))
  }
  if (spec$method == "em") return(cwm_start_values(start$estimate, spec, input))
  if (length(start$clusters) != nrow(input$x)) {
    abort_arg("cwm", "start", "a fit of the same rows", sprintf("%d rows", length(start$clusters)))
  }
  if (max(start$clusters) > spec$k) {
    abort_arg("cwm", "start", sprintf("a fit with at most k = %d clusters", spec$k),
              sprintf("k = %d", max(start$clusters)))
  }
  list(labels = unname(start$clusters))
}

cwm_start_values <- function(values, spec, input) {
  names <- c("weights", "means", "covariances", "coefficients", "noise")
  lacking <- setdiff(names, names(values))
  k <- spec$k
  sizes <- c(k, ncol(input$x), ncol(input$w), ncol(input$y))
  if (length(lacking) > 0) {
    abort_arg("cwm", "start", paste("a list of", toString(names)),
              sprintf("no '%s'", lacking[1]))
  }
  raw <- cwm_core_values(values)
  ok <- length(raw$weight) == k && all(dim(raw$mean) == sizes[c(2, 1)]) &&
    all(dim(raw$covariance) == c(sizes[2], sizes[2] * k)) &&
    all(dim(raw$coef) == c(sizes[3], sizes[4] * k)) &&
    all(dim(raw$noise) == c(sizes[4], sizes[4] * k)) && all(is.finite(unlist(raw)))
  if (!ok) {
    abort_arg("cwm", "start", "values of the shapes of fit$estimate", "other shapes")
  }
  if (any(raw$weight <= 0)) {
    abort_arg("cwm", "start", "a list with positive weights", format(min(raw$weight)))
  }
  for (name in c("covariances", "noise")) cwm_check_definite(values[[name]], name)
  list(values = raw)
}

cwm_check_definite <- function(a, name) {
  if (length(a) == 0) return(invisible())
  least <- apply(a, 3, function(one) {
    min(eigen(one, symmetric = TRUE, only.values = TRUE)$values)
  })
  if (all(least > 0)) return(invisible())
  abort_arg("cwm", "start", sprintf("a list with positive definite %s", name),
            sprintf("the eigenvalue %s of cluster %d", format(min(least)), which.min(least)))
}

# The estimate's arrays as the engines have them: side by side, one block per component.
cwm_core_values <- function(values) {
  k <- length(values$weights)
  side_by_side <- function(a) matrix(as.double(a), NROW(a))
  list(weight = as.double(values$weights), mean = matrix(as.double(t(values$means)), ncol = k),
       covariance = side_by_side(values$covariances),
       coef = do.call(cbind, unname(lapply(values$coefficients, as.matrix))),
       noise = side_by_side(values$noise))
}

# ---- experiments ------------------------------------------------------------

# Cells as rows: reduced dimensions for the clusters, genes or colData columns for the regression.
cwm_se_frame <- function(se, response, covariates, reduced, dims, assay) {
  for (name in c("response", "covariates")) {
    value <- get(name)
    if (!is.null(value) && !is.character(value)) {
      abort_arg("cwm", name, "names of columns of colData or of genes", describe_value(value),
                sprintf("cwm(se, %s = \"name\")", name))
    }
  }
  space <- cwm_reduced_space(se, reduced, dims)
  covariates <- covariates %||% colnames(space)
  columns <- setdiff(c(response, covariates), colnames(space))
  extra <- lapply(columns, function(name) {
    cwm_se_column(name, se, assay, if (name %in% response) "response" else "covariates")
  })
  frame <- as.data.frame(space)
  frame[columns] <- extra
  rownames(frame) <- colnames(se)
  quoted <- function(names) paste(sprintf("`%s`", names), collapse = " + ")
  left <- if (length(response) > 1) {
    sprintf("cbind(%s)", paste(sprintf("`%s` = `%s`", response, response), collapse = ", "))
  } else if (length(response) == 1) sprintf("`%s`", response) else ""
  right <- if (length(response) == 0) "1" else quoted(covariates)
  list(frame = frame, formula = stats::as.formula(paste(left, "~", right), env = baseenv()),
       cluster = stats::as.formula(paste("~", quoted(colnames(space))), env = baseenv()))
}

cwm_reduced_space <- function(se, reduced, dims) {
  check_installed("SingleCellExperiment", "cwm", "clusters of cells by reduced dimensions")
  if (!methods::is(se, "SingleCellExperiment")) {
    abort_arg("cwm", "formula", "a SingleCellExperiment with reduced dimensions", class(se)[1],
              "the formula interface with colData as 'data'")
  }
  have <- SingleCellExperiment::reducedDimNames(se)
  if (length(have) == 0) {
    abort_arg("cwm", "reduced", "the name of reduced dimensions", "an object that has none")
  }
  reduced <- check_choice(reduced %||% have[1], have, "cwm", "reduced")
  space <- SingleCellExperiment::reducedDim(se, reduced)
  dims <- check_count(dims, "cwm", "dims", upper = ncol(space))
  space <- as.matrix(space)[, seq_len(dims), drop = FALSE]
  colnames(space) <- make.names(colnames(space) %||% paste0(reduced, seq_len(dims)))
  space
}

cwm_se_column <- function(name, se, assay, arg) {
  cells <- se_cells(se)
  if (name %in% names(cells)) return(cells[[name]])
  if (name %in% rownames(se)) return(as.double(se_assay(se, assay, "cwm")[name, ]))
  abort_arg("cwm", arg, "names of columns of colData or of rows of the assay",
            sprintf("\"%s\"", name), closest_name(name, c(names(cells), rownames(se))))
}

result_columns.cwm <- function(fit) {
  out <- data.frame(cluster = unname(fit$clusters),
                    probability = apply(fit$responsibilities, 1, max))
  if (!is.null(fit$fitted_values)) {
    fitted <- as.data.frame(fit$fitted_values, row.names = NULL, optional = TRUE)
    names(fitted) <- paste0("fitted_", colnames(fit$fitted_values))
    out <- cbind(out, fitted)
  }
  if (!is.null(names(fit$clusters))) rownames(out) <- names(fit$clusters)
  list(row = NULL, col = out, metadata = NULL)
}
