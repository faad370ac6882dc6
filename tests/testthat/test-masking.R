# Nothing of ours breaks the packages that users attach beside us, and ours works when masked.

with_attached <- function(packages, body) {
  script <- tempfile(fileext = ".R")
  writeLines(c(sprintf(".libPaths(%s)", paste(deparse(.libPaths()), collapse = "")),
               sprintf("suppressPackageStartupMessages(library(%s))", packages), body,
               "cat('all well\\n')"), script)
  suppressWarnings(system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", shQuote(script)),
                           stdout = TRUE, stderr = TRUE))
}

ours <- c(
  "x <- c(0, 1, 2, 1, 0, 30, 28, 41, 35, 2)",
  "fit <- mixology::nbmix(x, k = 2, seed = 1)",
  "stopifnot(length(mixology::clusters(fit)) == 10, nrow(mixology::tidy(fit)) > 0)",
  "stopifnot(nrow(mixology::glance(fit)) == 1, is.data.frame(mixology::objective(fit)))",
  "stopifnot(inherits(mixology::autoplot(fit, type = 'trace'), 'ggplot'), is.numeric(BIC(fit)))"
)

theirs <- list(
  flexmix = c("data('NPreg', package = 'flexmix'); set.seed(1)",
              "m <- flexmix(yn ~ x, data = NPreg, k = 2)",
              "stopifnot(length(clusters(m)) == nrow(NPreg), nrow(posterior(m)) == nrow(NPreg))"),
  mclust = c("m <- Mclust(faithful, G = 2, modelNames = 'VVV', verbose = FALSE)",
             "stopifnot(m$G == 2, length(predict(m)$classification) == nrow(faithful))"),
  ggplot2 = "stopifnot(is.function(autoplot))",
  dplyr = "stopifnot(nrow(filter(data.frame(a = 1:3), a > 1)) == 2)",
  SummarizedExperiment = c("se <- SummarizedExperiment(list(counts = matrix(1:4, 2)))",
                           "stopifnot(identical(assayNames(se), 'counts'))"),
  posterior = "stopifnot(is_draws(as_draws(matrix(rnorm(10), 5))))"
)

for (package in names(theirs)) {
  test_that(paste("mixology and", package, "can be attached in either order"), {
    skip_if_not_installed(package)
    body <- c(theirs[[package]], ours)
    first <- with_attached(c(package, "mixology"), body)
    expect_match(first, "^all well$", all = FALSE)
    last <- with_attached(c("mixology", package), body)
    expect_match(last, "^all well$", all = FALSE)
  })
}
