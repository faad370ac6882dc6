# Every argument of every model x eight kinds of bad value: an error that names the function and
# the argument, never a crash, a NaN or an error from deep inside. A new model adds a row.

kinds <- list(
  "NULL" = NULL,
  "NA" = NA,
  "Inf" = Inf,
  "character(0)" = character(0),
  "wrong length" = c(0.5, 1.5, 2.5),
  "list" = list(1),
  "factor" = factor("a"),
  "function" = mean
)

# arguments: all of the model's own. legal: "argument kind" pairs that are no mistake, because NULL
# is the default or the value means something.
common <- c("method", "control", "seed", "threads", "verbose")
common_legal <- c("control NULL", "seed NULL", "threads NULL", "method NULL")

input_table <- list(
  cwm = list(
    arguments = c("formula", "data", "cluster", "k", "covariance", "noise", "na_x", "prior",
                  "std_errors", "BPPARAM"),
    legal = c("cluster NULL", "prior NULL", "data NULL", "BPPARAM NULL")
  ),
  mmash = list(
    arguments = c("x", "y", "prior", "residual", "covariates", "standardize", "penalty",
                  "update", "order", "missing_x", "storage", "allele"),
    # three conditions: three numbers are the variances of a diagonal residual
    legal = c("prior NULL", "covariates NULL", "update NULL", "storage NULL",
              "update character(0)", "residual wrong length")
  ),
  nbmix = list(
    arguments = c("x", "k", "size_factors", "zero_inflated", "cox_reid", "criterion"),
    legal = c("size_factors NULL", "criterion NULL")
  )
)

try_input <- function(model, argument, value) {
  args <- model$example()
  args[argument] <- list(value)
  if (is.null(args$method) && argument != "method") args$method <- "em"
  tryCatch(
    list(fit = suppressWarnings(do.call(model$fit, args))),
    error = function(e) list(message = conditionMessage(e))
  )
}

for (model in mixology:::registered_models()) {
  row <- input_table[[model$name]]
  test_that(paste(model$name, "has a row in the table of bad input"), {
    expect_false(is.null(row))
    expect_gt(length(row$arguments), 1)
  })

  test_that(paste(model$name, "names the argument that is wrong"), {
    for (argument in c(row$arguments, common)) {
      for (kind in names(kinds)) {
        if (paste(argument, kind) %in% c(row$legal, common_legal)) next
        got <- try_input(model, argument, kinds[[kind]])
        label <- sprintf("%s(%s = <%s>)", model$name, argument, kind)
        expect(!is.null(got$message), paste(label, "was accepted"))
        if (is.null(got$message)) next
        expect(grepl(sprintf("^(%s|em_control): ", model$name), got$message),
               paste0(label, " says: ", got$message))
        expect(grepl(paste0("'", argument, "'"), got$message, fixed = TRUE) ||
                 argument == "control",
               paste0(label, " does not name its argument: ", got$message))
      }
    }
  })

  test_that(paste(model$name, "refuses an argument that does not exist"), {
    got <- try_input(model, "no_such_argument", 1)
    expect_match(got$message, "no_such_argument")
  })
}
