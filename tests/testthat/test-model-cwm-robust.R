# cwm where users stumble: odd formulas, starts from elsewhere, data on a grid, other packages' fits.

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

test_that("rows that happen to lie on a line do not make a cluster, a regression without noise does", {
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
