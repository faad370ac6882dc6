# Argument checks. Every message has one form:
# `<function>: '<argument>' must be ...; got ...; try ...`.

abort <- function(fun, ...) stop(fun, ": ", ..., call. = FALSE)

abort_arg <- function(fun, arg, must, got, try = NULL) {
  hint <- if (is.null(try)) "" else paste0("; try ", try)
  abort(fun, "'", arg, "' must be ", must, "; got ", got, hint)
}

# What a value is, in a few words, for the "got" of a message.
describe_value <- function(x) {
  if (is.null(x)) return("NULL")
  if (is.function(x)) return("a function")
  if (identical(x, list())) return("an empty list")
  if (is.factor(x)) return(paste("a factor of", count_of(length(x), "value")))
  kind <- class(x)[1]
  if (kind == "list" && length(x) > 0) return(paste("a list of", list_elements(x)))
  if (!is.atomic(x)) return(paste("an object of class", kind))
  if (length(x) == 1) return(if (is.character(x)) sprintf("\"%s\"", x) else format(x))
  if (length(x) == 0) return(sprintf("no values (%s)", kind))
  size <- if (is.null(dim(x))) length(x) else paste(dim(x), collapse = " x ")
  sprintf("%s values (%s)", size, kind)
}

# "weight (2 values), mean (1 value)"
list_elements <- function(x, most = 5) {
  if (is.null(names(x))) return(paste(count_of(length(x), "element"), "without names"))
  words <- sprintf("%s (%s)", names(x), count_of(lengths(x), "value"))
  toString(c(utils::head(words, most), if (length(x) > most) "..."))
}

# The same where the values matter: a few numbers are shown.
list_values <- function(x) {
  if (is.numeric(x) && length(x) %in% 2:10) toString(format(x, trim = TRUE)) else describe_value(x)
}

# "1 gene", "2 genes"
count_of <- function(n, what) paste0(n, " ", what, ifelse(n == 1, "", "s"))

is_scalar <- function(x) is.atomic(x) && length(x) == 1 && is.null(dim(x)) && !is.na(x)
is_number <- function(x) is.numeric(x) && is_scalar(x)
is_whole <- function(x) is_number(x) && is.finite(x) && x == round(x)

check_number <- function(x, fun, arg, lower = -Inf, upper = Inf, open = FALSE, try = NULL) {
  inside <- is_number(x) && x >= lower && x <= upper &&
    !(open && is.finite(x) && (x == lower || x == upper))
  if (!inside) abort_arg(fun, arg, number_range(lower, upper, open), describe_value(x), try)
  as.double(x)
}

number_range <- function(lower, upper, open) {
  if (lower == -Inf && upper == Inf) return("one number")
  if (upper == Inf) return(paste("one number", if (open) "above" else "of at least", lower))
  sprintf("one number %s %g and %g", if (open) "strictly between" else "between", lower, upper)
}

check_count <- function(x, fun, arg, lower = 1, upper = .Machine$integer.max, try = NULL) {
  if (!is_whole(x) || x < lower || x > upper) {
    must <- if (upper < .Machine$integer.max || (is_whole(x) && x > upper)) {
      sprintf("one whole number from %.0f to %.0f", lower, upper)
    } else {
      paste("one whole number of at least", lower)
    }
    abort_arg(fun, arg, must, describe_value(x), try)
  }
  as.integer(x)
}

check_flag <- function(x, fun, arg) {
  if (!is.logical(x) || !is_scalar(x)) {
    abort_arg(fun, arg, "TRUE or FALSE", describe_value(x))
  }
  as.vector(x)
}

check_choice <- function(x, choices, fun, arg) {
  if (identical(x, choices)) return(choices[1]) # the untouched default of a signature
  if (!is.character(x) || length(x) != 1 || !x %in% choices) {
    must <- paste("one of", toString(dQuote(choices, FALSE)))
    abort_arg(fun, arg, must, describe_value(x), closest_name(x, choices))
  }
  x
}

# A hint for a name that is almost right; NULL when nothing is close.
closest_name <- function(x, choices) {
  if (!is.character(x) || length(x) != 1 || is.na(x) || length(choices) == 0) return(NULL)
  longer <- choices[startsWith(choices, x)]
  if (nzchar(x) && length(longer) == 1) return(dQuote(longer, FALSE))
  distance <- pmin(letter_distance(x, choices), 1 + letter_distance(x, choices, ordered = FALSE))
  if (min(distance) > max(0.4 * nchar(x), min(1, nchar(x) - 1))) return(NULL)
  other_start <- !startsWith(tolower(choices), tolower(substr(x, 1, 2)))
  dQuote(choices[order(distance, other_start)[1]], FALSE)
}

# Letters to change, add or drop; of words out of order: whatever the order of their letters.
letter_distance <- function(x, choices, ordered = TRUE) {
  sorted <- function(a) {
    vapply(strsplit(tolower(a), ""), function(b) paste(sort(b), collapse = ""), "")
  }
  if (!ordered) return(utils::adist(sorted(x), sorted(choices))[1, ])
  utils::adist(x, choices, ignore.case = TRUE)[1, ]
}

check_positive <- function(x, fun, arg, length = NULL, zero = FALSE, try = NULL) {
  must <- if (zero) "numbers of at least 0, finite" else "positive finite numbers"
  if (!is.null(length)) must <- sprintf("%d %s", length, must)
  if (!is.numeric(x)) abort_arg(fun, arg, must, describe_value(x), try)
  if (!is.null(length) && length(x) != length) {
    abort_arg(fun, arg, must, sprintf("%d values", length(x)), try)
  }
  bad <- which(!is.finite(x) | x < 0 | (x == 0 & !zero))
  if (length(bad) > 0) {
    got <- sprintf("%s at position %d", format(x[bad[1]]), bad[1])
    abort_arg(fun, arg, must, got, try)
  }
  as.double(x)
}

# The first value that is no finite number, in words; NULL when there is none.
not_finite <- function(x) {
  if (!is.atomic(x)) return(NULL)
  bad <- which(if (is.numeric(x)) !is.finite(x) else is.na(x))[1]
  if (!is.na(bad)) sprintf("%s at position %d", format(x[bad]), bad)
}

# The matrix of a data frame of numbers.
numeric_columns <- function(x, fun, arg) {
  bad <- which(!vapply(x, is.numeric, NA))[1]
  if (!is.na(bad)) {
    abort_arg(fun, arg, "numeric in every column",
              sprintf("column '%s' of class %s", names(x)[bad], class(x[[bad]])[1]))
  }
  as.matrix(x)
}

# Arguments that fell into `...` and that nobody takes.
check_no_dots <- function(dots, fun, known = character()) {
  if (length(dots) == 0) return(invisible())
  name <- names(dots)[1]
  if (is.null(name) || name == "") abort(fun, "an unnamed argument has no place here")
  hint <- closest_name(name, known)
  abort(fun, sprintf("unknown argument '%s'", name), if (!is.null(hint)) paste0("; try ", hint))
}

# For a method that takes no arguments but its own: any other is an error, not a silent slip.
no_more <- function(fun, ...) {
  if (...length() == 0) return(invisible())
  known <- setdiff(names(formals(sys.function(sys.parent()))), "...")
  check_no_dots(stats::setNames(vector("list", ...length()), ...names()), fun, known)
}

check_installed <- function(package, fun, what) {
  if (!requireNamespace(package, quietly = TRUE)) {
    abort(fun, what, " needs the package '", package, "'; try install.packages(\"", package, "\")")
  }
}
