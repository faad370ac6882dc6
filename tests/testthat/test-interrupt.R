# A SIGINT during a fit gives the prompt back at once, with the fit so far, and leaves R healthy.

interrupted_run <- function(body) {
  script <- tempfile(fileext = ".R")
  out <- tempfile(fileext = ".rds")
  part <- paste0(out, ".part")
  ready <- tempfile()
  writeLines(c(
    sprintf(".libPaths(%s)", paste(deparse(.libPaths()), collapse = "")),
    "library(mixology)", body[1], sprintf("file.create(%s)", deparse(ready)),
    "began <- proc.time()[[3]]", body[2], "ended <- as.numeric(Sys.time())", body[3],
    sprintf("saveRDS(list(fit = fit, ended = ended, again = again), %s)", deparse(part)),
    sprintf("file.rename(%s, %s)", deparse(part), deparse(out)) # whole as soon as it is there
  ), script)
  log <- tempfile()
  pid <- as.integer(system(sprintf("'%s' --vanilla '%s' >'%s' 2>&1 & echo $!",
                                   file.path(R.home("bin"), "Rscript"), script, log),
                           intern = TRUE))
  wait_for(ready, 240)
  Sys.sleep(1.5)
  sent <- as.numeric(Sys.time())
  tools::pskill(pid, tools::SIGINT)
  wait_for(out, 240)
  Sys.sleep(0.2)
  c(readRDS(out), list(sent = sent))
}

wait_for <- function(file, seconds) {
  for (i in seq_len(10 * seconds)) {
    if (file.exists(file)) return(invisible())
    Sys.sleep(0.1)
  }
  stop("the run left no ", basename(file))
}

test_that("an interrupted chain comes back within a second, and the next fit works", {
  skip_on_os("windows")
  run <- interrupted_run(c(
    "set.seed(1); x <- rnbinom(20000, size = 2, mu = 5)",
    paste("control <- gibbs_control(chains = 2, iterations = 1e6, warmup = 10)",
          "fit <- suppressWarnings(nbmix(x, k = 2, method = 'gibbs', control = control, seed = 1))",
          sep = "; "),
    "again <- nbmix(x[1:500], k = 1, seed = 1)"
  ))
  expect_lt(run$ended - run$sent, 1)
  expect_false(run$fit$convergence$converged)
  expect_identical(run$fit$convergence$status, "interrupted")
  expect_gt(dim(run$fit$posterior$draws)[1], 0)
  expect_true(run$again$convergence$converged)
})

test_that("many cells and many k come back within a second, and say what was not fitted", {
  skip_on_os("windows")
  run <- interrupted_run(c(
    paste("set.seed(1); s <- exp(rnorm(3e5, 0, .4))",
          "x <- rnbinom(3e5, size = 2, mu = 5 * s * ifelse(runif(3e5) < .3, 6, 1))", sep = "; "),
    "fit <- suppressWarnings(nbmix(x, k = 1:8, size_factors = s, seed = 1))",
    "again <- nbmix(x[1:500], k = 1, seed = 1)"
  ))
  expect_lt(run$ended - run$sent, 1)
  expect_identical(run$fit$convergence$status, "interrupted")
  expect_identical(run$fit$outcome, "stopped")
  expect_identical(run$fit$candidates$status[8], "interrupted")
  expect_equal(run$fit$candidates$k, 1:8)
  expect_true(run$again$convergence$converged)
})

test_that("under BPPARAM too, with the genes that were finished", {
  skip_on_os("windows")
  skip_if_not_installed("BiocParallel")
  for (back in c("SerialParam()", "MulticoreParam(2)", "bpstart(MulticoreParam(2))")) {
    run <- interrupted_run(c(
      paste("library(BiocParallel); back <-", back, "; set.seed(1)",
            "; x <- matrix(rnbinom(4e6, size = 2, mu = 5), 2000)"),
      "fit <- suppressWarnings(nbmix(x, k = 2, seed = 1, threads = 1, BPPARAM = back))",
      "again <- nbmix(x[1:4, 1:100], seed = 1, BPPARAM = back)"
    ))
    expect_lt(run$ended - run$sent, 1.5)
    expect_setequal(glance(run$fit)$status, c("ok", "stopped"))
    expect_identical(unique(glance(run$again)$status), "ok")
  }
})

cwm_rows <- paste("set.seed(1); means <- rbind(c(0, 0), c(1, 1), c(1, 0));",
                  "slopes <- list(c(0, 1, 1), c(1, -1, 2), c(0, 0, 1));",
                  "d <- simulate_cwm(%s, c(1, 2, 1), means, 1, slopes, .5)$data")

test_that("the reference partition of a Gibbs fit takes the whole fit with it", {
  skip_on_os("windows")
  run <- interrupted_run(c(
    sprintf(cwm_rows, "6e4"),
    paste("control <- gibbs_control(chains = 1, iterations = 1000)",
          paste("fit <- suppressWarnings(cwm(y ~ x1 + x2, d, k = 12, method = 'gibbs', seed = 1,",
                "control = control))"), sep = "; "),
    "again <- cwm(y ~ x1 + x2, d[1:500, ], k = 1, seed = 1)"
  ))
  expect_lt(run$ended - run$sent, 5)
  expect_identical(run$fit$convergence$status, "interrupted")
  expect_lt(run$fit$convergence$iterations, 1000)
  expect_true(run$again$convergence$converged)
})

test_that("no candidate begins after the one that was interrupted", {
  skip_on_os("windows")
  run <- interrupted_run(c(
    sprintf(cwm_rows, "6e4"),
    "fit <- suppressWarnings(cwm(y ~ x1 + x2, d, k = 2:12, seed = 1))",
    "again <- cwm(y ~ x1 + x2, d[1:500, ], k = 1, seed = 1)"
  ))
  table <- run$fit$candidates
  expect_identical(run$fit$convergence$status, "interrupted")
  expect_equal(table$k, 2:12)
  expect_identical(table$status[11], "interrupted")
  expect_lte(sum(table$status == "interrupted" & !is.na(table$BIC)), 1)
  expect_true(anyNA(table$BIC))
})
