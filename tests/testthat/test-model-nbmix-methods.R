# What an nbmix fit answers to: predictions, residuals, simulated counts, plots, words.

fit_of <- function(k = 2) {
  set.seed(50)
  d <- simulate_nbmix(400, c(0.4, 0.6), c(3, 40), c(0.4, 0.1), exp(rnorm(400, 0, 0.3)))
  list(d = d, fit = nbmix(d$x, k = k, size_factors = d$size_factors, seed = 1))
}

test_that("predictions of new counts are those of the formulas", {
  f <- fit_of()
  e <- lapply(f$fit$estimate, unname)
  theta <- oracle_nb_theta(e$weight, e$mean, e$dispersion)
  x <- c(a = 0, b = 7, c = 90)
  s <- c(1, 0.5, 2)
  prob <- predict(f$fit, newdata = x, size_factors = s, type = "prob")
  expect_equal(unname(prob), unname(oracle_nb_responsibilities(x, s, theta)), tolerance = 1e-10)
  expect_identical(rownames(prob), names(x))
  density <- predict(f$fit, newdata = x, size_factors = s, type = "density")
  expect_equal(unname(density),
               exp(unname(oracle_log_sum_exp(oracle_nb_log_joint(x, s, theta)))))
  expect_identical(predict(f$fit, newdata = x, size_factors = s),
                   stats::setNames(max.col(prob), names(x)))
  expect_equal(sum(predict(f$fit, newdata = 0:5000, size_factors = 1, type = "density")), 1)
  expect_identical(predict(f$fit), clusters(f$fit))
  expect_error(predict(f$fit, newdata = -1), "'newdata' must be")
  expect_error(predict(f$fit, newdata = 1, type = "class"), "'type' must be")
})

test_that("quantile residuals are standard normal when the model is right", {
  f <- fit_of()
  r <- residuals(f$fit, type = "quantile", data = f$d$x, seed = 1)
  expect_gt(stats::ks.test(r, "pnorm")$p.value, 0.01)
  expect_identical(r, residuals(f$fit, type = "quantile", data = f$d$x, seed = 1))
  response <- residuals(f$fit, type = "response", data = f$d$x)
  expect_equal(response, f$d$x - fitted(f$fit))
  pearson <- residuals(f$fit, type = "pearson", data = f$d$x)
  expect_equal(mean(pearson^2), 1, tolerance = 0.2)
  expect_error(residuals(f$fit, data = 1:3), "'data' must be")
  wrong <- nbmix(f$d$x, k = 1)
  off <- residuals(wrong, type = "quantile", data = f$d$x, seed = 1)
  expect_lt(stats::ks.test(off, "pnorm")$p.value, 1e-3)
})

test_that("simulated counts look like the data and refit to the same model", {
  f <- fit_of()
  sims <- simulate(f$fit, nsim = 5, seed = 2)
  expect_identical(dim(sims), c(400L, 5L))
  expect_equal(mean(as.matrix(sims)), mean(f$d$x), tolerance = 0.1)
  again <- nbmix(sims[[1]], k = 2, size_factors = f$d$size_factors, seed = 1)
  expect_equal(unname(again$estimate$mean), unname(f$fit$estimate$mean), tolerance = 0.15)
  many <- nbmix(rbind(a = f$d$x, b = rev(f$d$x)), k = 1)
  expect_identical(dim(simulate(many, seed = 1)$sim_1), c(2L, 400L))
  expect_identical(dim(fitted(many)), c(2L, 400L))
})

test_that("augment, intervals and information criteria are consistent", {
  f <- fit_of(1:2)
  table <- augment(f$fit, data.frame(x = f$d$x))
  expect_true(all(c(".fitted", ".resid", ".cluster", ".prob_1", ".prob_2") %in% names(table)))
  limits <- tidy(f$fit, conf.int = TRUE)
  expect_true(all(limits$conf.low < limits$estimate & limits$estimate < limits$conf.high))
  expect_true(all(limits$conf.low > 0))
  tried <- glance(f$fit, all = TRUE)
  expect_equal(tried$BIC, -2 * tried$logLik + tried$df * log(400))
  expect_true(all(tried$ICL >= tried$BIC))
  expect_equal(BIC(f$fit), min(tried$BIC))
  by_icl <- nbmix(f$d$x, k = 1:3, criterion = "ICL", seed = 1)
  expect_equal(glance(by_icl)$ICL, min(glance(by_icl, all = TRUE)$ICL))
})

test_that("every plot is drawn", {
  f <- fit_of()
  for (type in c("histogram", "rootogram", "trace")) {
    expect_s3_class(autoplot(f$fit, type = type), "ggplot")
  }
  built <- ggplot2::ggplot_build(autoplot(f$fit, type = "histogram"))
  expect_equal(sum(built$data[[1]]$y), 400)
  many <- nbmix(rbind(a = f$d$x, b = rev(f$d$x)), k = 1)
  expect_s3_class(autoplot(many), "ggplot")
  expect_s3_class(autoplot(many[["a"]], type = "rootogram"), "ggplot")
  expect_error(autoplot(many, type = "trace"), "must be one of")
})

test_that("the words say what was found", {
  f <- fit_of(1:3)
  expect_output(print(f$fit), "2 components, chosen among 1, 2, 3 by BIC")
  expect_output(print(f$fit), "size factors from")
  expect_output(print(nbmix(f$d$x, k = 2, seed = 1)), "2 components\n")
  expect_output(print(nbmix(f$d$x, zero_inflated = TRUE)), "1 component, beside a point mass")
  expect_output(print(summary(f$fit)), "dispersion")
  short <- suppressWarnings(nbmix(f$d$x, k = 3, seed = 1, control = em_control(
    max_iterations = 1, restarts = 1, short_iterations = 1, accelerate = FALSE)))
  expect_false(short$convergence$converged)
  expect_output(print(short), "did not converge")
  expect_warning(nbmix(f$d$x, k = 3, seed = 1, control = short$control), "did not converge")
})

test_that("a fit keeps nothing of the size of the data", {
  set.seed(51)
  x <- Matrix::rsparsematrix(200, 5000, 0.05, rand.x = function(n) rpois(n, 2) + 1)
  fit <- nbmix(x, k = 1)
  expect_null(fit$responsibilities)
  expect_lt(as.numeric(object.size(fit)), as.numeric(object.size(x)))
})

test_that("vcov() and confint() have one order", {
  set.seed(61)
  x <- simulate_nbmix(300, c(.4, .6), c(3, 40), .2)$x
  fit <- nbmix(x, k = 2, seed = 1)
  expect_identical(rownames(confint(fit)), rownames(vcov(fit)))
  expect_equal(unname(confint(fit)["mean[2]", ]),
               unlist(subset(tidy(fit, conf.int = TRUE), component == 2 & term == "mean",
                             c(conf.low, conf.high)), use.names = FALSE))
})

test_that("simulate() carries the names of the cells and the seed, as for lm", {
  set.seed(62)
  x <- matrix(rpois(60, 5), 3, dimnames = list(letters[1:3], paste0("c", 1:20)))
  fit <- nbmix(x, seed = 1)
  sims <- simulate(fit, 2, seed = 9)
  expect_identical(dimnames(sims$sim_2), dimnames(x))
  line <- stats::lm(dist ~ speed, cars)
  expect_identical(attr(sims, "seed"), attr(stats::simulate(line, 2, seed = 9), "seed"))
  free <- simulate(fit[["b"]])
  assign(".Random.seed", attr(free, "seed"), globalenv())
  expect_identical(simulate(fit[["b"]]), free)
})

test_that("a point mass without cells has weight 0, and a fit goes on from there", {
  set.seed(63)
  x <- rpois(200, 12)
  fit <- nbmix(x, zero_inflated = TRUE, seed = 1)
  expect_identical(unname(fit$estimate$weight), c(1, 0))
  again <- nbmix(x, zero_inflated = TRUE, control = em_control(start = fit), seed = 1)
  expect_equal(logLik(again), logLik(fit))
})

test_that("what a stopped fit could not have is NA", {
  set.seed(64)
  s <- exp(rnorm(60000, 0, 0.5))
  x <- rnbinom(60000, 0.5, mu = 20)
  stopped <- suppressWarnings(nbmix(x, k = 2:4, size_factors = s, seed = 1,
                                    control = em_control(restarts = 2, time_limit = 1e-9)))
  for (table in list(glance(stopped), glance(stopped, all = TRUE))) {
    numbers <- unlist(table[vapply(table, is.numeric, NA)])
    expect_true(anyNA(numbers))
    expect_false(any(is.nan(numbers)))
  }
})
