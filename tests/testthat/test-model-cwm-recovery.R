# Recovery of known parameters by every engine and both priors: a few seeds quickly, twenty in the
# extended tests; and generating settings other than the forum's.

engines <- list(c("em", "dirichlet", 4), c("vb", "dirichlet", 10), c("vb", "stick_breaking", 10),
                c("gibbs", "dirichlet", 6), c("gibbs", "stick_breaking", 6))

fit_by <- function(engine, formula, data, k = as.numeric(engine[3]), seed = 1) {
  method <- engine[1]
  control <- if (method == "gibbs") gibbs_control(chains = 2, iterations = 400)
  # two chains of 400 sweeps may be called badly mixed
  suppressWarnings(cwm(formula, data, k = k, method = method, seed = seed, std_errors = FALSE,
                       prior = if (method != "em") cwm_prior(engine[2]), control = control))
}

expect_recovered <- function(fit, d, limit) {
  expect_identical(fit$k, length(d$truth$weights))
  expect_gte(mclust::adjustedRandIndex(clusters(fit), d$cluster), 0.98)
  at <- apply(d$truth$means, 1, function(m) which.min(colSums((t(fit$estimate$means) - m)^2)))
  expect_lt(max(abs(fit$estimate$means[at, ] - d$truth$means)), 0.08)
  off <- unlist(Map(function(b, truth) (b - truth)[-1, ], coef(fit)[at], d$truth$coefficients))
  expect_lt(max(abs(off)), limit)
}

# Without noise EM is exact, q is to six digits, draws scatter about it in the fifth.
slope_limit <- function(method, noise) {
  if (noise == 0.5) return(0.35)
  if (noise == 1e-3) return(0.002)
  switch(method, em = 1e-10, vb = 2e-6, gibbs = 5e-5)
}

test_that("the forum's clusters and slopes are recovered at any noise", {
  extended <- identical(Sys.getenv("MIXOLOGY_EXTENDED_TESTS"), "true")
  for (seed in if (extended) 1:20 else 8:9) {
    for (noise in c(0.5, 1e-3, 0)) {
      set.seed(seed)
      d <- simulate_cwm_forum(1000, noise_sd = noise)
      for (engine in engines) {
        fit <- fit_by(engine, y ~ x1 + x2, d$data, seed = seed)
        expect_recovered(fit, d, slope_limit(engine[1], noise))
      }
    }
  }
})

test_that("the literal simulation never gives NaN", {
  skip_unless_extended()
  for (seed in 1:20) {
    for (noise in c(0.5, 0)) {
      set.seed(seed)
      d <- simulate_cwm_forum(1000, noise_sd = noise, repeated = TRUE)
      for (engine in engines) {
        method <- engine[1]
        said <- capture_warnings(fit <- cwm(
          y ~ x1 + x2, d$data, k = 4, method = method, seed = seed,
          prior = if (method != "em") cwm_prior(engine[2]),
          control = if (method == "gibbs") gibbs_control(chains = 1, iterations = 100)))
        expect_match(said, "rows are identical", all = FALSE)
        expect_true(all(is.finite(unlist(fit$estimate))))
        expect_true(all(is.finite(c(fitted(fit), objective(fit)$value, responsibilities(fit)))))
        expect_true(all(is.finite(predict(fit, d$data[1:120, ], type = "interval"))))
      }
    }
  }
})

test_that("three clusters, three covariates and two responses are recovered", {
  set.seed(31)
  slopes <- lapply(1:3, function(j) matrix(rnorm(8, sd = 2), 4))
  d <- simulate_cwm(900, c(1, 2, 3), rbind(c(-2, 0, 1), c(2, 1, 0), c(0, -2, -2)),
                    list(diag(0.2, 3), 0.1, diag(c(0.1, 0.2, 0.3))), slopes,
                    matrix(c(0.1, 0.05, 0.05, 0.1), 2))
  for (engine in engines) {
    k <- if (engine[1] == "em") 3 else 6
    expect_recovered(fit_by(engine, cbind(y1, y2) ~ x1 + x2 + x3, d$data, k), d, 0.35)
  }
})

test_that("prediction intervals keep their coverage in every engine, at two levels", {
  set.seed(32)
  made <- simulate_cwm(3000, c(1, 1, 1), rbind(c(-1, 0), c(1, 0), c(0, 1)), 0.4,
                       list(c(0, 2, 1), c(1, -1, 1), c(2, 0, -2)), 0.3)$data
  train <- made[1:1000, ]
  test <- made[1001:3000, ]
  for (engine in engines[c(1, 2, 5)]) {
    fit <- fit_by(engine, y ~ x1 + x2, train, 3)
    for (level in c(0.9, 0.5)) {
      band <- predict(fit, test, type = "interval", level = level)
      expect_lt(abs(mean(test$y >= band[, 2] & test$y <= band[, 3]) - level), 0.03)
    }
  }
})
