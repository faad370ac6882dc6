# cwm where users stumble: odd formulas, starts from elsewhere, data on a grid, peers' fits.

forum_rows <- function(n = 200, seed = 11, ...) {
  set.seed(seed)
  simulate_cwm_forum(n, ...)$data
}

test_that("a regression without covariates is noise about zero, by every engine", {
  d <- forum_rows()
  f <- cwm(y ~ 0, d, cluster = ~ x1, k = 1, seed = 1)
  expect_equal(f$estimate$noise[1], mean(d$y^2), tolerance = 1e-8)
  expect_equal(unname(fitted(f)), numeric(200))
  expect_identical(dim(coef(f)[[1]]), c(0L, 1L))
  expect_equal(f$df, 3)
  control <- list(em = NULL, vb = NULL, gibbs = gibbs_control(chains = 1, iterations = 40))
  for (method in names(control)) {
    f <- suppressWarnings(cwm(y ~ 0, d, cluster = ~ x1, k = 2, method = method, seed = 1,
                              control = control[[method]]))
    expect_true(all(is.finite(predict(f, d[1:3, ], type = "interval"))))
    expect_true(all(is.finite(predict(f, d[1:3, ], type = "density"))))
    expect_true(all(is.finite(tidy(f)$estimate)))
  }
  expect_true(is.finite(logLik(cwm(y ~ 0, d, cluster = ~ 0, k = 2, seed = 1)))) # two scales
})

test_that("starts from a fit with more clusters, and clusters of other rows, are refused", {
  d <- forum_rows()
  four <- cwm(y ~ x1, d, k = 4, seed = 1)
  for (method in c("vb", "gibbs")) {
    expect_error(cwm(y ~ x1, d, k = 2, method = method, control = list(start = four)),
                 "'start' must be a fit with at most k = 2 clusters; got k = 4")
  }
  z <- rnorm(10)
  expect_error(cwm(y ~ x1, d, cluster = ~ z, k = 2), "'cluster' must be of 200 rows")
  expect_error(cwm(~ 1, d, k = 1), "'formula' must be with a response, or 'cluster'")
})

test_that("EM goes up from a fit of another family or kind of noise", {
  d <- forum_rows()
  full <- cwm(y ~ x1 + x2, d, k = 2, seed = 9)
  for (family in c("EII", "VII", "EEI", "VVI", "EEE", "VVV")) {
    for (noise in c("free", "equal")) {
      f <- cwm(y ~ x1 + x2, d, k = 2, covariance = family, noise = noise,
               control = em_control(start = full))
      expect_true(f$convergence$converged)
    }
  }
})

test_that("the bound never falls, whatever the concentration of the sticks", {
  d <- forum_rows(seed = 1)
  for (concentration in c(0.1, 10, 100, 1e5)) {
    prior <- cwm_prior(weights = "stick_breaking", concentration = concentration)
    f <- cwm(y ~ x1 + x2, d, k = 6, method = "vb", seed = 1, prior = prior)
    expect_true(f$convergence$converged)
    expect_gte(min(diff(objective(f)$value)), -1e-6)
  }
})

test_that("rows that happen to lie on a line make no cluster, a regression without noise does", {
  set.seed(1)
  grid <- data.frame(height = round(rnorm(270, 170, 9)))
  grid$weight <- round(grid$height - 105 + rnorm(270, 0, 6))
  for (seed in 1:2) {
    f <- cwm(weight ~ height, grid, cluster = ~ 0, seed = seed)
    expect_gt(min(f$estimate$noise), 0.01)
  }
  on_line <- which(grid$weight == grid$height - 105)
  labels <- ifelse(seq_len(270) %in% on_line, 2, 1)
  expect_warning(f <- cwm(weight ~ height, grid, cluster = ~ 0, k = 2,
                          control = em_control(start = labels)), "at the floor.*do not trust")
  expect_true(f$degenerate)
  expect_output(print(f), "cluster 2 at the floor")
  exact <- forum_rows(200, noise_sd = 0)
  expect_silent(f <- cwm(y ~ x1 + x2, exact, k = 4, seed = 1))
  expect_false(f$degenerate)
  expect_output(print(f), "no noise is left in clusters 1, 2, 3, 4")
  table <- glance(cwm(y ~ x1 + x2, exact, k = 3:5, seed = 1), all = TRUE)
  expect_identical(table$k[table$selected], 4L)
})

test_that("predict() uses the responses that newdata has, as they were transformed in the fit", {
  d <- forum_rows()
  f <- cwm(as.matrix(d[1:2]), d$y, k = 2, seed = 1)
  expect_error(predict(f, as.matrix(d[1:3, 1:2]), type = "density"), "no column 'y'")
  f <- cwm(scale(y) ~ x1, d, k = 2, seed = 1)
  for (type in c("density", "prob", "cluster")) {
    all <- predict(f, d, type = type)
    some <- predict(f, d[1:2, ], type = type)
    expect_equal(some, if (is.matrix(all)) all[1:2, ] else all[1:2])
  }
  f <- cwm(cbind(y, x2) ~ x1, d, k = 2, seed = 1)
  part <- data.frame(x1 = 0, y = -3)
  expect_equal(predict(f, part, type = "prob"), predict(f, cbind(part, x2 = NA), type = "prob"))
  expect_gt(predict(f, part, type = "density"), 0)
  f <- cwm(y ~ x1, d, k = 2, seed = 1)
  odd <- data.frame(x1 = 0, y = c(NA, Inf, 1))
  expect_identical(is.na(unname(predict(f, odd, type = "density"))), c(TRUE, TRUE, FALSE))
  expect_identical(unname(rowSums(is.na(predict(f, odd, type = "prob")))), c(0, 2, 0))
  for (type in c("response", "interval", "density", "cluster", "prob", "draws")) {
    expect_identical(NROW(predict(f, d[0, ], type = type)), 0L)
  }
  expect_named(predict(f, d[7, ]), "7")
  expect_error(predict(f, data.frame(x1 = 0, y = "a"), type = "prob"), "numeric in 'y'")
})

test_that("clustering covariates are those of the terms; the response is not among them", {
  d <- forum_rows()
  expect_identical(colnames(cwm(y ~ . - x2, d, k = 1)$estimate$means), "x1")
  m <- 3
  f <- cwm(y ~ splines::ns(x1, df = m), d, k = 1)
  expect_identical(colnames(f$estimate$means), "x1")
  expect_equal(predict(f, d[1:3, ]), fitted(f)[1:3])
  expect_identical(colnames(cwm(y ~ x1, d, cluster = ~ ., k = 1)$estimate$means), c("x1", "x2"))
  expect_error(cwm(y ~ x1 + y, d, k = 2), "without the response among the covariates; got 'y'")
  expect_error(cwm(y ~ x1, d, cluster = ~ x1 + y, k = 2), "'cluster' must be without the response")
  expect_error(cwm(y ~ x1, d, cluster = y ~ x1, k = 2), "got y ~ x1")
  e <- setNames(d, c("my x", "x 2", "the y"))
  f <- cwm(`the y` ~ ., e, k = 2, seed = 1)
  expect_equal(logLik(f), logLik(cwm(y ~ ., d, k = 2, seed = 1)))
  expect_identical(colnames(f$estimate$means), c("my x", "x 2"))
  expect_equal(predict(f, e[1:2, ]), fitted(f)[1:2])
})

test_that("rows are identical when all of them is", {
  set.seed(1)
  e <- data.frame(x = rnorm(300), y = rpois(300, 1))
  expect_no_warning(cwm(y ~ x, e, cluster = ~ 0, k = 1), message = "identical")
  e <- forum_rows()
  e$y[1:50] <- NA
  expect_no_warning(cwm(y ~ x1, e, cluster = ~ 0, k = 1), message = "identical")
})

test_that("parameters of a formula are found again, and a fit keeps nothing else of its origin", {
  d <- forum_rows()
  make <- function() {
    big <- rnorm(1e5)
    p <- 2
    cube <- function(x) x^3
    cwm(y ~ x1 + I(x1^p) + cube(x2), d, cluster = ~ x1, k = 1)
  }
  f <- make()
  expect_equal(predict(f, d[1:5, ]), fitted(f)[1:5])
  lines <- function() {
    big <- rnorm(1e5)
    cwm(y ~ x1, d, k = 1)
  }
  expect_lt(length(serialize(lines(), NULL)), 2e5)
  f <- cwm(mpg ~ wt + factor(cyl), mtcars, k = 1)
  expect_error(predict(f, data.frame(wt = 3, cyl = 5)), "'factor\\(cyl\\)'.*new level \"5\"")
})

test_that("default numbers of clusters fit few rows; vcov() of draws is of the parameters", {
  d <- forum_rows()
  expect_s3_class(suppressWarnings(cwm(y ~ x1, d[1:8, ], method = "vb", seed = 1)), "cwm")
  f <- suppressWarnings(cwm(y ~ x1, d[rep(1:5, 10), ], method = "gibbs", seed = 1,
                            control = gibbs_control(chains = 1, iterations = 40)))
  expect_identical(dim(vcov(f)), rep(nrow(tidy(f)), 2))
})

test_that("augment() takes what the fit was made from", {
  d <- forum_rows()
  f <- cwm(as.matrix(d[1:2]), d$y, k = 2, seed = 1)
  out <- augment(f, as.matrix(d[1:2]))
  expect_identical(dim(out), c(200L, 7L))
  f <- cwm(cbind(y, x2) ~ x1, d, k = 2, seed = 1)
  expect_true(all(c(".fitted_y", ".resid_x2", ".cluster", ".prob_2") %in% names(augment(f, d))))
})

test_that("loo() and waic() of a Gibbs fit are those of its pointwise log likelihood", {
  skip_if_not_installed("loo")
  d <- forum_rows()
  f <- suppressWarnings(cwm(y ~ x1, d, k = 2, method = "gibbs", seed = 1,
                            control = gibbs_control(chains = 1, iterations = 60)))
  values <- pointwise_log_lik(f, flat_draws(f$posterior$draws), d, environment())
  expect_equal(rowSums(values), unname(flat_draws(f$posterior$draws)[, "log_likelihood"]),
               tolerance = 1e-6)
  expect_s3_class(suppressWarnings(loo::waic(f)), "waic")
})

test_that("the default restarts find the best maximum of real data", {
  skip_if_not_installed("MASS")
  crabs <- as.matrix(MASS::crabs[4:8])
  best <- c(-1413.51, -1380.60)
  for (k in 2:3) {
    for (seed in 1:3) {
      f <- cwm(crabs, k = k, covariance = "EEE", seed = seed, std_errors = FALSE)
      expect_gt(f$log_lik, best[k - 1] - 0.01)
    }
  }
  for (seed in 4:5) expect_gt(cwm(mpg ~ wt + hp, mtcars, k = 2, seed = seed)$log_lik, -260.23)
})

test_that("every kind of model is drawn, transformed and matrix covariates too", {
  d <- forum_rows()
  d$X <- as.matrix(d[1:2])
  d$g <- factor(rep(c("a", "b"), 100))
  drawn <- function(fit, ...) {
    file <- tempfile(fileext = ".png")
    grDevices::png(file)
    on.exit({
      grDevices::dev.off()
      unlink(file)
    })
    plot(fit, ...)
  }
  geoms <- function(figure) vapply(figure$layers, function(l) class(l$geom)[1], "")
  both <- drawn(cwm(y ~ x1 + x2, d, k = 4, seed = 1), type = "clusters", data = d)
  expect_identical(geoms(both), c("GeomPoint", "GeomPath", "GeomLine"))
  two <- cwm(cbind(y, x2) ~ x1, d, k = 2, seed = 1)
  for (type in c("clusters", "bands")) {
    expect_setequal(as.character(drawn(two, type = type, data = d)$layers[[2]]$data$panel),
                    c("y", "x2"))
  }
  models <- list(y ~ log(x1 + 5) + x2, y ~ X, y ~ 1, y ~ g, y ~ x1)
  for (model in models) {
    f <- suppressWarnings(cwm(model, d, k = 2, seed = 1))
    expect_s3_class(drawn(f, type = "clusters", data = d), "ggplot")
  }
  expect_s3_class(drawn(cwm(y ~ X, d, cluster = ~ x1, k = 2, seed = 1), type = "bands", data = d,
                        covariate = "x1"), "ggplot")
})

test_that("fits of flexCWM, which have the same class, and ours do not meet", {
  skip_if_not_installed("flexCWM")
  d <- forum_rows()
  f <- cwm(y ~ x1, d, k = 2, seed = 1)
  loadNamespace("flexCWM")
  expect_output(print(f), "Gaussian mixture with a regression inside each cluster")
  expect_s3_class(summary(f), "mixology_summary")
  expect_s3_class(autoplot(f), "ggplot")
  expect_equal(unname(fitted(f) + residuals(f)), d$y)
  expect_identical(nrow(vcov(f)), nrow(tidy(f)))
  expect_s3_class(update(f, k = 1), "cwm_em")
  theirs <- structure(list(), class = "cwm")
  for (name in c("fitted", "residuals", "coef")) {
    generic <- getExportedValue("stats", name)
    expect_null(do.call(generic, list(theirs), envir = globalenv())) # where our namespace is not
  }
})

test_that("a fit of an experiment remembers what it was made from", {
  skip_if_not_installed("SingleCellExperiment")
  d <- forum_rows(60)
  sce <- SingleCellExperiment::SingleCellExperiment(
    list(counts = matrix(rpois(120, 5), 2, dimnames = list(c("Gene-1", "g2"), paste0("c", 1:60)))),
    reducedDims = list(PCA = as.matrix(d[1:2])))
  sce$y <- d$y
  by_gene <- function(g) cwm(sce, response = g, k = 1, seed = 1)
  f <- by_gene("Gene-1")
  expect_equal(predict(f, sce[, 1:2]), fitted(f)[1:2])
  expect_identical(nrow(augment(f, sce)), 60L)
  expect_error(cwm(sce, response = "y", covariates = "nope", k = 1), "'covariates' must be names")
  expect_error(cwm(sce, y ~ x1, k = 1), "'response' must be names of columns of colData")
  expect_error(cwm(y ~ x1, sce, k = 1), "try cwm(data, response = )", fixed = TRUE)
  expect_identical(colnames(cwm(sce, response = "y", cluster = ~ x1, k = 1)$estimate$means), "x1")
})

test_that("another cluster never lowers the log likelihood", {
  skip_if_not_installed("MASS")
  crabs <- as.matrix(MASS::crabs[4:8])
  for (seed in 1:2) {
    f <- cwm(crabs, k = 1:6, covariance = "EEE", seed = seed, control = em_control(restarts = 1))
    table <- glance(f, all = TRUE)
    expect_gte(min(diff(table$logLik[!table$degenerate])), 0)
  }
})

test_that("slips are named", {
  d <- forum_rows()
  expect_error(cwm(y ~ x1, d, k = 2, subset = x1 > 0), "unknown argument 'subset'")
  f <- cwm(y ~ x1, d, k = 2, seed = 1)
  expect_error(confint(f, "nope"), "'parm' must be names or numbers of parameters")
  expect_error(confint(f, level = 95), "confint: 'level'")
  expect_error(resume(f), "'iterations' must be given")
  made <- local({
    inner <- d
    cwm(y ~ x1, inner, k = 2, seed = 1)
  })
  expect_error(resume(made, 5), "'data' must be given")
  x <- matrix(rnorm(40), 20, dimnames = list(NULL, c("a", "")))
  expect_error(cwm(x, k = 1), "names of their own; got column 2")
  expect_error(cwm_prior(concentration = Inf), "'concentration'")
  expect_error(cwm(y ~ x1 + x2, d, k = 2, method = "vb",
                   prior = cwm_prior(covariance_scale = matrix(c(1, .9, -.9, 1), 2))),
               "'covariance_scale' must be a symmetric")
  start <- f$estimate
  start$weights <- c(-1, 2)
  expect_error(cwm(y ~ x1, d, k = 2, control = em_control(start = start)), "positive weights")
  start <- f$estimate
  start$noise[1] <- 0
  expect_error(cwm(y ~ x1, d, k = 2, control = em_control(start = start)), "definite noise")
  expect_error(cwm(y ~ x1, d, k = 2, control = em_control(start = rep(1, 200))),
               "no row of cluster 2")
  f <- cwm(cbind(log(y + 20), x2) ~ x1, d, k = 1)
  expect_identical(colnames(coef(f)[[1]]), c("log(y + 20)", "x2"))
  d$y[1:3] <- NA
  expect_output(print(cwm(y ~ x1, d, k = 1)), "200 rows \\(3 without all responses\\)")
})

test_that("augment() refuses other data of as many rows", {
  f <- cwm(dist ~ speed, cars, k = 1)
  expect_error(augment(f, cars[50:1, ]), "got other data")
  expect_error(augment(f, cars[1:5, ]), "got other data")
  expect_equal(augment(f, cars)$.fitted, unname(fitted(f)))
  y <- cars$dist
  x <- cars$speed
  loose <- cwm(y ~ x, k = 1)
  expect_identical(nrow(augment(loose, data.frame(x, y))), 50L)
  expect_error(augment(loose, data.frame(x, y)[1:5, ]), "the 50 observations of the fit")
})

test_that("units whose squares are no numbers are refused", {
  for (unit in c(1e300, 1e160, 1e80, 1e-80, 1e-300)) {
    d <- iris
    d$Petal.Length <- d$Petal.Length * unit
    expect_error(cwm(Petal.Length ~ Sepal.Length, d, k = 2), "'Petal.Length'; try rescaling")
    expect_error(cwm(Sepal.Length ~ Petal.Length, d, k = 2), "'Petal.Length'; try rescaling")
  }
  for (unit in c(1e70, 1e-70)) {
    d <- iris
    d$Petal.Length <- d$Petal.Length * unit
    f <- cwm(Petal.Length ~ Sepal.Length, d, k = 2, seed = 1)
    expect_true(all(tidy(f)$std.error > 0 & is.finite(tidy(f)$std.error)))
  }
})

test_that("candidates share one limit of time, and none begins after it", {
  d <- forum_rows()
  for (method in c("em", "vb")) {
    control <- list(time_limit = 1e-9)
    f <- suppressWarnings(cwm(y ~ x1 + x2, d, k = 2:4, method = method, seed = 1,
                              control = control))
    table <- glance(f, all = TRUE)
    expect_identical(f$convergence$status, "time_limit")
    expect_identical(table$status, rep("time_limit", 3))
    expect_identical(table$iterations > 0, c(FALSE, NA, NA))
    expect_identical(f$control$time_limit, 1e-9)
    longer <- suppressWarnings(resume(f, 10))
    whole <- cwm(y ~ x1 + x2, d, k = 2:4, method = method, seed = 1)
    expect_identical(longer$estimate, whole$estimate)
    expect_identical(glance(longer, all = TRUE)$status, glance(whole, all = TRUE)$status)
  }
})

test_that("the reference partition of a Gibbs fit counts for its time, and is made whole", {
  d <- forum_rows()
  sample <- function(...) {
    suppressWarnings(cwm(y ~ x1 + x2, d, k = 3, method = "gibbs", seed = 1,
                         control = gibbs_control(chains = 2, iterations = 40, ...)))
  }
  short <- sample(time_limit = 1e-9)
  expect_identical(short$convergence$status, "time_limit")
  expect_identical(short$convergence$iterations, 0L)
  expect_identical(short$control$time_limit, 1e-9)
  expect_identical(suppressWarnings(resume(short, 40))$posterior$draws, sample()$posterior$draws)
})

test_that("a fit that fell back on another start is resumed as if it had never stopped", {
  set.seed(1)
  d <- lapply(1:4, function(i) data.frame(x = rt(24, 3), y = rt(24, 3)))[[4]]
  climb <- function(sweeps) {
    control <- em_control(max_iterations = sweeps, accelerate = FALSE)
    suppressWarnings(cwm(y ~ x, d, k = 4, seed = 2, std_errors = FALSE, control = control))
  }
  short <- climb(7)
  expect_false(short$starts$complete)
  expect_identical(suppressWarnings(resume(short, 60))$estimate, climb(67)$estimate)
})

test_that("a fit that becomes degenerate as it goes on turns to its other starts", {
  set.seed(84)
  d <- data.frame(x = rt(30, 3), y = rt(30, 3))
  climb <- function(sweeps) {
    control <- em_control(max_iterations = sweeps, accelerate = FALSE, restarts = 2)
    suppressWarnings(cwm(y ~ x, d, k = 3, seed = 1, std_errors = FALSE, control = control))
  }
  short <- climb(15)
  expect_true(short$starts$complete)
  longer <- suppressWarnings(resume(short, 200))
  expect_false(longer$starts$chosen == short$starts$chosen)
  expect_identical(longer$estimate, climb(215)$estimate)
})

test_that("candidates of a resumed variational fit have each the prior of its own k", {
  d <- forum_rows()
  climb <- function(sweeps) {
    suppressWarnings(cwm(y ~ x1 + x2, d, k = 2:4, method = "vb", seed = 1,
                         control = vb_control(max_iterations = sweeps)))
  }
  expect_identical(glance(suppressWarnings(resume(climb(12), 20)), all = TRUE)$objective,
                   glance(climb(32), all = TRUE)$objective)
})

test_that("resume() keeps the table of candidates", {
  d <- forum_rows()
  f <- suppressWarnings(cwm(y ~ x1 + x2, d, k = 2:3, seed = 1,
                            control = em_control(max_iterations = 12)))
  longer <- suppressWarnings(resume(f, 5))
  expect_identical(nrow(glance(longer, all = TRUE)), 2L)
  expect_identical(attr(objective(longer), "row.names"), seq_len(nrow(objective(longer))))
})

test_that("rounding at the floor of a covariance is no fall of the objective", {
  for (seed in 1:4) {
    f <- suppressWarnings(cwm(~ 1, stackloss, cluster = reformulate(names(stackloss)), k = 4,
                              covariance = "VVV", seed = seed))
    expect_false(f$convergence$status == "objective_fell")
  }
})

test_that("simulate() uses the fit's covariates where the model has no distribution for them", {
  f <- cwm(Sepal.Length ~ Petal.Length, iris, cluster = ~ 0, k = 2, seed = 1)
  y <- simulate(f, 200, seed = 1)
  expect_identical(dim(y), c(150L, 200L))
  expect_identical(y, simulate(f, 200, seed = 1, data = iris))
  off_by <- abs(rowMeans(y) - as.vector(fitted(f))) / (apply(y, 1, stats::sd) / sqrt(200))
  expect_lt(max(off_by), 5)
  whole <- simulate(cwm(Sepal.Length ~ Petal.Length, iris, k = 2, seed = 1), 2, seed = 1)
  expect_identical(names(whole$sim_2), c("Petal.Length", "Sepal.Length", ".cluster"))
})

test_that("starts find the maxima that mclust finds on real data, whatever the seed", {
  skip_if_not_installed("mclust")
  skip_if_not_installed("MASS")
  banknote <- getExportedValue("mclust", "banknote")[-1]
  best <- function(data, covariance, k) {
    cluster <- reformulate(sprintf("`%s`", names(data)))
    vapply(1:4, function(seed) {
      as.numeric(logLik(cwm(~ 1, data, cluster = cluster, k = k, covariance = covariance,
                            seed = seed, std_errors = FALSE)))
    }, 0)
  }
  expect_gte(min(best(faithful, "EEI", 4)), -1125.37)
  expect_gte(min(best(MASS::crabs[4:8], "VVI", 4)), -2095.88)
  expect_gte(sort(best(banknote, "VVI", 4))[2], -784.17)
  for (seed in 1:3) {
    one <- function(k) as.numeric(logLik(cwm(stack.loss ~ ., stackloss, k = k, seed = seed)))
    expect_gt(one(3), one(2))
  }
})

test_that("a fit does not depend on the units of the data", {
  d <- forum_rows()
  e <- d * 1024 # a power of two: every number keeps its digits
  for (method in c("em", "vb")) {
    f <- cwm(y ~ x1 + x2, d, k = 5, method = method, seed = 1)
    g <- cwm(y ~ x1 + x2, e, k = 5, method = method, seed = 1)
    expect_identical(f$convergence$iterations, g$convergence$iterations)
    expect_equal(g$estimate$means, 1024 * f$estimate$means, tolerance = 1e-12)
    expect_equal(responsibilities(g), responsibilities(f), tolerance = 1e-12)
  }
})

test_that("rows far beyond the data are predicted, not NaN", {
  d <- forum_rows()
  far <- data.frame(x1 = c(1e200, -1e160), x2 = c(0, 1e200), y = c(0, 1e250))
  for (method in c("em", "vb")) {
    f <- cwm(y ~ x1 + x2, d, k = 3, method = method, seed = 1)
    for (type in c("response", "interval", "prob", "cluster")) {
      expect_true(all(is.finite(predict(f, far, type = type))), info = paste(method, type))
    }
    expect_equal(rowSums(predict(f, far, type = "prob")), c("1" = 1, "2" = 1))
    expect_false(anyNA(predict(f, far, type = "density", log = TRUE)))
  }
})

test_that("arguments of lm() that cwm() lacks are refused with what to do instead", {
  d <- forum_rows()
  expect_error(cwm(y ~ x1, d, k = 2, subset = x1 > 0), "unknown argument 'subset'; try data = data")
  expect_error(cwm(y ~ x1, d, k = 2, weights = nowhere), "'weights'; try repeating rows of 'data'")
  expect_error(cwm(y ~ x1, d, k = 2, offset = x2), "'offset'; try subtracting it")
  expect_error(cwm(as.matrix(d[1]), d$y, k = 2, na.action = na.omit), "try na_x")
  expect_error(cwm(y ~ x1, d, k = 2, covarance = "EII"), "try \"covariance\"")
  expect_error(cwm(y ~ x1, d, NULL, 2, "VVV", "free", "em", NULL, "fail", TRUE, NULL, 1, 1, FALSE,
                   NULL, 7), "unnamed argument")
})

test_that("candidates on workers are those of this process", {
  skip_if_not_installed("BiocParallel")
  d <- simulate_cwm_forum(400)$data
  choose <- function(...) cwm(y ~ x1 + x2, d, k = 1:3, covariance = c("VVV", "EII"), seed = 1, ...)
  here <- choose()
  there <- choose(BPPARAM = BiocParallel::MulticoreParam(2))
  expect_identical(there$estimate, here$estimate)
  expect_identical(there$candidates$BIC, here$candidates$BIC)
  expect_null(there$control$stop_sign)
})
