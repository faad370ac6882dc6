# A fit that is killed goes on from its checkpoint, and the answer is bitwise that of one never
# stopped.

timeless <- function(fit) {
  fit$call <- fit$control$checkpoint <- NULL
  fit$control["start"] <- list(NULL)
  fit$objective$seconds <- fit$candidates$seconds <- fit$units$seconds <- NULL
  unclass(fit)
}

# Runs `body` (which uses `file`) in a process of its own, and kills it once the file is there.
killed_run <- function(body, file) {
  script <- tempfile(fileext = ".R")
  writeLines(c(
    sprintf(".libPaths(%s)", paste(deparse(.libPaths()), collapse = "")),
    "library(mixology)", "options(mixology.checkpoint_seconds = 0.05)",
    sprintf("file <- %s", deparse(file)), body, "writeLines('done', paste0(file, '.done'))"
  ), script)
  pid <- as.integer(system(sprintf("'%s' --vanilla '%s' >/dev/null 2>&1 & echo $!",
                                   file.path(R.home("bin"), "Rscript"), script), intern = TRUE))
  for (i in seq_len(600)) {
    if (file.exists(file)) break
    Sys.sleep(0.05)
  }
  tools::pskill(pid, tools::SIGKILL)
  Sys.sleep(0.2)
  expect_false(file.exists(paste0(file, ".done")))
  readRDS(file)
}

test_that("chains killed on the way go on bitwise", {
  skip_on_os("windows")
  file <- tempfile(fileext = ".rds")
  data <- "set.seed(1); x <- rnbinom(3000, size = 2, mu = 5); s <- exp(rnorm(3000) / 4)"
  saved <- killed_run(c(data, paste(
    "nbmix(x, k = 2, size_factors = s, method = 'gibbs', seed = 4, control =",
    "gibbs_control(chains = 2, iterations = 3000, warmup = 100, thin = 5, checkpoint = file))"
  )), file)
  eval(parse(text = data))
  done <- saved$fit$convergence$iterations
  control <- gibbs_control(chains = 2, iterations = max(done, 100) + 60, warmup = 100, thin = 5)
  fit <- function(control) {
    suppressWarnings(nbmix(x, k = 2, size_factors = s, method = "gibbs", control = control,
                           seed = 4))
  }
  whole <- fit(control)
  control$start <- saved
  expect_identical(timeless(fit(control)), timeless(whole))
})

test_that("many genes killed on the way lose none of those that were done", {
  skip_on_os("windows")
  file <- tempfile(fileext = ".rds")
  saved <- killed_run(paste(
    "control <- gibbs_control(chains = 2, iterations = 60, checkpoint = file);",
    "nbmix(pbmc_cells$counts[1:64, ], method = 'gibbs', control = control, seed = 2)"), file)
  blocks <- length(saved$pieces$done)
  expect_gt(blocks, 0)
  expect_lt(blocks, nrow(saved$pieces$blocks))
  fit <- function(...) {
    control <- gibbs_control(chains = 2, iterations = 60, ...)
    suppressWarnings(nbmix(pbmc_cells$counts[1:64, ], method = "gibbs", control = control,
                           seed = 2))
  }
  expect_identical(timeless(fit(start = saved)), timeless(fit()))
})

test_that("every model and engine pauses to be saved and goes on as if it had not", {
  before <- options(mixology.checkpoint_seconds = 0)
  on.exit(options(before))
  for (model in registered_models()) {
    for (method in model$engines) {
      file <- tempfile(fileext = ".rds")
      run <- function(...) {
        control <- if (method == "gibbs") gibbs_control(chains = 2, iterations = 24, thin = 3, ...)
          else list(restarts = 2, max_iterations = 60, tolerance = 1e-12, ...)
        suppressWarnings(do.call(model$fit, c(model$example(), method = method,
                                              control = list(control), seed = 7)))
      }
      whole <- run()
      expect_equal(timeless(run(checkpoint = file)), timeless(whole), tolerance = 0,
                   label = paste(model$name, method))
      expect_s3_class(readRDS(file), "mixology_checkpoint")
      again <- run(start = readRDS(file))
      expect_equal(timeless(again)$estimate, whole$estimate, tolerance = 0)
    }
  }
})

test_that("a checkpoint of other data, settings, engine or model is refused", {
  file <- tempfile(fileext = ".rds")
  x <- c(0, 1, 2, 1, 0, 30, 28, 41, 35, 2)
  fit <- nbmix(x, k = 2, seed = 1, control = em_control(checkpoint = file))
  saved <- readRDS(file)
  expect_output(print(saved), "Checkpoint after")
  again <- em_control(start = saved)
  expect_identical(nbmix(x, k = 2, seed = 1, control = again)$estimate, fit$estimate)
  expect_identical(nbmix(x, k = 2, control = again)$control$seed, 1L)
  expect_error(nbmix(x + 1, k = 2, seed = 1, control = again), "got one with other 'data'")
  expect_error(nbmix(x, k = 3, seed = 1, control = again), "got one with other 'k'")
  expect_error(nbmix(x, k = 2, seed = 2, control = again), "got one with other 'seed'")
  expect_error(nbmix(x, k = 2, seed = 1, control = vb_control(start = saved), method = "vb"),
               "'start' must be a checkpoint of nbmix\\(\\) by method = \"vb\"")
  expect_error(cwm(x ~ 1, data.frame(x = x), k = 2, cluster = ~ 0, control = again),
               "'start' must be a checkpoint of cwm")
})

test_that("a checkpoint that cannot be written does not end the fit", {
  folder <- tempfile()
  dir.create(folder)
  control <- em_control(checkpoint = file.path(folder, "fit"))
  unlink(folder, recursive = TRUE)
  expect_warning(fit <- nbmix(c(0, 1, 5, 9), seed = 1, control = control), "could not be written")
  expect_true(fit$convergence$converged)
})
