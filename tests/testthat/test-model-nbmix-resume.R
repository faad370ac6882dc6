# A choice among candidates that were cut short, and going on from where a fit stopped.

two_modes <- function() {
  set.seed(1)
  simulate_nbmix(250, c(.5, .5), c(4, 14), c(.1, .1))$x
}

test_that("a choice of k among candidates that were cut short has not converged", {
  y <- two_modes()
  short <- em_control(max_iterations = 1, short_iterations = 1, restarts = 1, accelerate = FALSE)
  set.seed(1)
  one <- rnbinom(250, 3, mu = 10) # K = 1 is best, and needs no sweeps
  expect_warning(fit <- nbmix(one, k = 1:3, seed = 1, control = short),
                 "not fitted to the end: k = 2, 3")
  expect_identical(fit$k, 1L)
  expect_false(fit$convergence$converged)
  expect_output(print(fit), "not fitted to the end: 2, 3")
  expect_warning(none <- nbmix(y, k = 1:3, seed = 1, control = em_control(time_limit = 1e-9)),
                 "did not converge")
  expect_identical(glance(none)$status, "time_limit")
  expect_output(print(none), "not fitted to the end: 1, 2, 3")
  expect_true(suppressWarnings(nbmix(y, k = 1:3, seed = 1))$convergence$converged)
  expect_warning(nbmix(y, k = 1:3, seed = 1, method = "vb",
                       control = vb_control(time_limit = 1e-9)), "did not converge")
})

test_that("genes whose candidates were cut short are not ok", {
  control <- em_control(max_iterations = 1, accelerate = FALSE, short_iterations = 2)
  fit <- suppressWarnings(nbmix(pbmc_cells$counts[1:20, ], k = 1:3, seed = 1, control = control))
  cut <- unique(fit$candidates$gene[!fit$candidates$converged])
  expect_gt(length(cut), 10)
  expect_setequal(fit$units$gene[fit$units$status == "not_converged"], cut)
  expect_false(any(fit$units$converged[fit$units$gene %in% cut]))
  expect_false(fit$convergence$converged)
})

test_that("a choice of k goes on with every candidate", {
  y <- two_modes()
  whole <- nbmix(y, k = 1:3, seed = 1)
  stopped <- suppressWarnings(nbmix(y, k = 1:3, seed = 1, control = em_control(time_limit = 1e-9)))
  expect_identical(stopped$k, 1L)
  on <- resume(stopped, 5000)
  expect_identical(on$estimate, whole$estimate)
  expect_identical(glance(on, all = TRUE)[1:10], glance(whole, all = TRUE)[1:10])
  # and once all have converged the table stays
  again <- resume(on, 10)
  expect_identical(again$estimate, whole$estimate)
  expect_identical(nrow(glance(again, all = TRUE)), 3L)

  settings <- list(restarts = 1, short_iterations = 1, accelerate = FALSE)
  some <- do.call(em_control, c(settings, max_iterations = 3))
  more <- do.call(em_control, c(settings, max_iterations = 303))
  stopped <- suppressWarnings(nbmix(y, k = 1:3, seed = 1, control = some))
  whole <- suppressWarnings(nbmix(y, k = 1:3, seed = 1, control = more))
  twice <- suppressWarnings(resume(resume(stopped, 100), 200))
  expect_identical(twice$estimate, whole$estimate)
  expect_identical(twice$candidates$logLik, whole$candidates$logLik)
  expect_identical(twice$control$max_iterations, 303L)
})

test_that("a checkpoint of a fit that was stopped among starts or candidates goes on with them", {
  y <- two_modes()
  for (k in list(1:3, 4)) {
    file <- tempfile(fileext = ".rds")
    short <- em_control(time_limit = 1e-9, checkpoint = file)
    suppressWarnings(nbmix(y, k = k, seed = 1, control = short))
    on <- nbmix(y, k = k, control = em_control(start = readRDS(file)))
    expect_identical(on$estimate, nbmix(y, k = k, seed = 1)$estimate)
    expect_true(on$convergence$converged)
  }
})

test_that("a gene goes on alone and as it would among all", {
  m <- pbmc_cells$counts[1:12, ]
  few <- em_control(max_iterations = 12, restarts = 2, accelerate = FALSE)
  more <- em_control(max_iterations = 60, restarts = 2, accelerate = FALSE)
  fit <- suppressWarnings(nbmix(m, k = 2, seed = 1, control = few))
  whole <- suppressWarnings(nbmix(m, k = 2, seed = 1, control = more))
  some <- rownames(m)[c(9, 2, 3)]
  expect_identical(suppressWarnings(resume(fit[some], 48))$estimate, whole[some]$estimate)
  gene <- suppressWarnings(resume(fit[[some[1]]], 48))
  expect_identical(gene$estimate, whole[[some[1]]]$estimate)
  expect_identical(gene$clusters, whole[[some[1]]]$clusters)
  warned <- character()
  withCallingHandlers(resume(fit[[some[1]]], 1), warning = function(w) {
    warned <<- c(warned, conditionMessage(w))
    invokeRestart("muffleWarning")
  })
  expect_false(any(grepl("of 12 genes", warned)))
})

test_that("starts that were not tried are tried when the fit goes on", {
  set.seed(21)
  d <- simulate_nbmix(400, c(.3, .3, .4), c(4, 20, 90), c(.3, .1, .05), exp(rnorm(400, 0, .3)))
  for (method in c("em", "vb")) {
    limit <- if (method == "em") em_control(time_limit = 1e-9) else vb_control(time_limit = 1e-9)
    make <- function(control = NULL) {
      nbmix(d$x, k = 5, size_factors = d$size_factors, seed = 1, method = method, control = control)
    }
    stopped <- suppressWarnings(make(limit))
    expect_false(stopped$starts$complete)
    expect_identical(resume(stopped, 2000)$estimate, make()$estimate)
  }
})

test_that("a fit goes on with its own size factors and prior", {
  x <- MASS::quine$Days
  set.seed(4)
  s <- runif(146) + .5
  prior <- nbmix_prior(concentration = 3)
  for (method in c("em", "vb")) {
    settings <- list(restarts = 1, short_iterations = 1, accelerate = FALSE)
    control <- function(n) do.call(if (method == "em") em_control else vb_control,
                                   c(settings, max_iterations = n))
    mine <- s
    belief <- if (method == "vb") prior
    make <- function(n) suppressWarnings(nbmix(x, k = 2, size_factors = mine, prior = belief,
                                               seed = 1, method = method, control = control(n)))
    fit <- suppressWarnings(nbmix(x, k = 2, size_factors = mine, prior = belief, seed = 1,
                                  method = method, control = control(2)))
    whole <- make(7)
    mine <- rep(1, 146)
    belief <- NULL
    expect_identical(suppressWarnings(resume(fit, 5))$estimate, whole$estimate)
  }
  inside <- function() {
    own <- s
    suppressWarnings(nbmix(x, k = 2, size_factors = own, seed = 1,
                           control = em_control(max_iterations = 2, restarts = 1)))
  }
  expect_true(resume(inside(), 500)$convergence$converged)
  fit <- inside()
  expect_error(resume(fit, 5, size_factors = s), "unknown argument 'size_factors'")
  expect_error(resume(fit, 5, data = rev(x)), "not those of the fit")
  x <- as.double(x)
  expect_true(resume(fit, 500)$convergence$converged) # the same counts, stored otherwise
})
