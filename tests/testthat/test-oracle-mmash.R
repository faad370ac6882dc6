# The reference implementation itself, against what it must equal.

mmash_case <- function(n = 40, p = 5, j = 3, seed = 1) {
  set.seed(seed)
  x <- matrix(rnorm(n * p), n) + rnorm(n)
  b <- matrix(0, p, j)
  b[1:2, ] <- rnorm(2 * j)
  sigma <- 0.5 * diag(j) + 0.5
  y <- 2 + x %*% b + matrix(rnorm(n * j), n) %*% chol(sigma)
  single <- matrix(0, j, j)
  single[1, 1] <- 1
  v <- array(c(matrix(0, j, j), 0.2 * diag(j), single, matrix(1, j, j), 0.3 * diag(j) + 0.7),
             c(j, j, 5))
  list(x = x, y = y, sigma = sigma, prior = list(weights = c(4, 1, 1, 2, 2) / 10, v = v))
}

mmash_holes <- function(d) {
  d$y[1:4, 1] <- NA
  d$y[4:9, 2:3] <- NA
  d$y[12, ] <- NA
  d
}

log_dmvnorm <- function(b, v) {
  -0.5 * (length(b) * log(2 * pi) + log(det(v)) + sum(b * solve(v, b)))
}

test_that("a component follows equations 20 to 24 where the prior can be inverted", {
  d <- mmash_case()
  v <- d$prior$v[, , 5]
  a <- c(1, -2, 0.5)
  h <- 7 * solve(d$sigma)
  got <- oracle_mmash_component(a, h, v)
  s <- solve(h + solve(v))
  expect_equal(got$s, s)
  expect_equal(got$mu, drop(s %*% a))
  ratio <- 0.5 * log(det(s) / det(v)) + 0.5 * drop(got$mu %*% solve(s) %*% got$mu)
  expect_equal(got$log_bf, ratio)
  kl <- 0.5 * (sum(diag(solve(v) %*% (s + outer(got$mu, got$mu)))) - 3 - log(det(s) / det(v)))
  expect_equal(got$kl, kl)
})

test_that("log Bayes factors are ratios of normal densities, singular priors included", {
  d <- mmash_case()
  noise <- d$sigma / 7
  b <- c(0.4, -0.3, 0.9)
  for (t in 1:5) {
    got <- oracle_mmash_component(drop(solve(noise, b)), solve(noise), d$prior$v[, , t])
    expect_equal(got$log_bf, log_dmvnorm(b, d$prior$v[, , t] + noise) - log_dmvnorm(b, noise))
  }
  null <- oracle_mmash_component(b, diag(3), matrix(0, 3, 3))
  expect_identical(c(null$mu, null$s, null$kl), numeric(13))
})

test_that("with one variant the bound is the exact log marginal likelihood", {
  d <- mmash_case(p = 1 + 1)
  d$x <- d$x[, 1, drop = FALSE]
  for (y in list(d$y, mmash_holes(d)$y)) {
    state <- oracle_mmash_sweep(d$x, y, matrix(0, 1, 3), d$prior, d$sigma)
    expect_equal(oracle_mmash_bound(d$x, y, state, d$prior, d$sigma),
                 oracle_mmash_log_marginal(d$x, y, d$prior, d$sigma))
  }
})

test_that("the log marginal likelihood is the integral it claims to be", {
  set.seed(2)
  x <- matrix(rnorm(8))
  y <- matrix(2 + x + rnorm(8))
  y[3] <- NA
  prior <- list(weights = c(0.3, 0.7), v = array(c(0, 0.8), c(1, 1, 2)))
  profile <- function(b) {
    e <- (y - x * b)[-3]
    sum(dnorm(e, mean(e), sqrt(1.5), log = TRUE))
  }
  slab <- integrate(function(b) exp(vapply(b, profile, 0)) * dnorm(b, 0, sqrt(0.8)), -10, 10,
                    rel.tol = 1e-10)$value
  expect_equal(oracle_mmash_log_marginal(x, y, prior, matrix(1.5)),
               log(0.3 * exp(profile(0)) + 0.7 * slab), tolerance = 1e-8)
})

test_that("with one component the fixed point is the generalised ridge mean", {
  d <- mmash_case()
  prior <- list(weights = 1, v = d$prior$v[, , 5, drop = FALSE])
  fit <- oracle_mmash_fit(d$x, d$y, prior, d$sigma, iterations = 200)
  expect_equal(fit$state$mean, oracle_mmash_ridge(d$x, d$y, prior$v[, , 1], d$sigma))
})

test_that("the path for missing responses is the complete one when none is missing", {
  d <- mmash_case()
  full <- oracle_mmash_sweep(d$x, d$y, matrix(0, 5, 3), d$prior, d$sigma)
  other <- oracle_mmash_sweep_missing(d$x, d$y, matrix(0, 5, 3), d$prior, d$sigma)
  expect_equal(full$mean, other$mean)
  expect_equal(full$alpha, other$alpha)
  quadratic <- oracle_mmash_quadratic(d$x, d$y, d$sigma)
  expect_equal(oracle_mmash_expected_log_likelihood(quadratic, full$mean, full$cov) -
                 sum(full$kl), oracle_mmash_bound(d$x, d$y, full, d$prior, d$sigma))
  expect_equal(oracle_mmash_cross_product_missing(d$x, d$y, full, d$sigma),
               oracle_mmash_cross_product(d$x, d$y, full))
})

test_that("rows without responses and shifts of x change nothing", {
  d <- mmash_holes(mmash_case())
  run <- function(x, y) {
    oracle_mmash_fit(x, y, d$prior, d$sigma, c("weights", "residual"), iterations = 3)
  }
  fit <- run(d$x, d$y)
  dropped <- run(d$x[-12, ], d$y[-12, ])
  shifted <- run(sweep(d$x, 2, 1:5, `+`), d$y)
  for (other in list(dropped, shifted)) {
    expect_equal(fit$state$mean, other$state$mean)
    expect_equal(fit$sigma, other$sigma)
    expect_equal(fit$trace, other$trace)
  }
})

test_that("the bound never falls, whatever is learned", {
  d <- mmash_case()
  holes <- mmash_holes(d)
  options <- list(list("full", NULL), list("diagonal", NULL), list("low rank", 1),
                  list("low rank", 0))
  for (y in list(d$y, holes$y)) {
    for (option in options) {
      fit <- oracle_mmash_fit(d$x, y, d$prior, diag(3), c("weights", "residual"), option[[1]],
                              option[[2]], penalty = c(3, 1, 1, 1, 1), iterations = 6)
      steps <- as.vector(rbind(fit$trace_sweep, fit$trace))
      expect_true(all(diff(steps) > -1e-8))
    }
  }
})

test_that("each residual family maximises the bound over its own members", {
  set.seed(4)
  c_hat <- crossprod(matrix(rnorm(40), 10)) / 10
  value <- function(s) -as.numeric(determinant(s)$modulus) - sum(solve(s) * c_hat)
  expect_equal(oracle_mmash_residual(c_hat, "low rank", 3), c_hat)
  expect_equal(oracle_mmash_residual(c_hat, "low rank", 0), diag(mean(diag(c_hat)), 4))
  family <- function(u) exp(u[1]) * diag(4) + outer(u[2:5], u[2:5])
  best <- optim(rnorm(5), function(u) value(family(u)), method = "BFGS",
                control = list(fnscale = -1, reltol = 1e-14, maxit = 1000))
  expect_equal(value(oracle_mmash_residual(c_hat, "low rank", 1)), best$value, tolerance = 1e-6)
})

test_that("the weights are the mean of alpha and the penalised ones the maximum they claim", {
  d <- mmash_case()
  state <- oracle_mmash_sweep(d$x, d$y, matrix(0, 5, 3), d$prior, d$sigma)
  expect_equal(oracle_mmash_weights(state$alpha), colMeans(state$alpha))
  penalty <- c(10, 1, 1, 1, 1)
  best <- oracle_mmash_weights(state$alpha, penalty)
  value <- function(w) -sum(oracle_mmash_kl(state, w)) + oracle_mmash_log_penalty(w, penalty)
  for (t in 1:5) {
    moved <- best
    moved[t] <- moved[t] * 1.02
    expect_lt(value(moved / sum(moved)), value(best) + 1e-12)
  }
})

test_that("scaling, permuting and whitening change the answer as they must", {
  d <- mmash_case()
  run <- function(x, y, prior, sigma) {
    oracle_mmash_fit(x, y, prior, sigma, iterations = 3)$state$mean
  }
  change <- function(prior, f) {
    list(weights = prior$weights, v = array(apply(prior$v, 3, f), dim(prior$v)))
  }
  fit <- run(d$x, d$y, d$prior, d$sigma)
  expect_equal(run(d$x, 3 * d$y, change(d$prior, function(v) 9 * v), 9 * d$sigma), 3 * fit)
  o <- c(3, 1, 2)
  turned <- change(d$prior, function(v) matrix(v, 3)[o, o])
  expect_equal(run(d$x, d$y[, o], turned, d$sigma[o, o]), fit[, o])
  r <- chol(d$sigma)
  white <- change(d$prior, function(v) solve(t(r)) %*% matrix(v, 3) %*% solve(r))
  expect_equal(run(d$x, d$y %*% solve(r), white, diag(3)) %*% r, fit)
})

test_that("splitting a component leaves the answer alone", {
  d <- mmash_case()
  one <- oracle_mmash_sweep(d$x, d$y, matrix(0, 5, 3), d$prior, d$sigma)
  split <- list(weights = c(0.1, 0.3, d$prior$weights[-1]), v = d$prior$v[, , c(1, 1, 2:5)])
  two <- oracle_mmash_sweep(d$x, d$y, matrix(0, 5, 3), split, d$sigma)
  expect_equal(one$mean, two$mean)
  expect_equal(one$kl, two$kl)
})

test_that("with orthogonal variants one sweep is the marginal analysis of each", {
  d <- mmash_case()
  d$x <- qr.Q(qr(scale(d$x, scale = FALSE))) * 3
  joint <- oracle_mmash_sweep(d$x, d$y, matrix(0, 5, 3), d$prior, d$sigma)
  for (p in 1:5) {
    alone <- oracle_mmash_sweep(d$x[, p, drop = FALSE], d$y, matrix(0, 1, 3), d$prior, d$sigma)
    expect_equal(joint$mean[p, ], alone$mean[1, ])
    expect_equal(oracle_mmash_summary(joint)$lfsr[p, ], oracle_mmash_summary(alone)$lfsr[1, ])
  }
})

test_that("summaries are those of the mixture, its point mass included", {
  d <- mmash_case()
  state <- oracle_mmash_sweep(d$x, d$y, matrix(0, 5, 3), d$prior, d$sigma)
  got <- oracle_mmash_summary(state)
  expect_equal(got$positive + got$negative + got$zero, matrix(1, 5, 3))
  expect_equal(got$lfsr, pmin(1 - got$negative, got$negative + got$zero))
  set.seed(5)
  e <- state$effects[[3]]
  t <- sample(5, 20000, TRUE, e$alpha)
  draws <- vapply(t, function(k) {
    root <- eigen(e$parts[[k]]$s, symmetric = TRUE)
    e$parts[[k]]$mu + drop(root$vectors %*% (sqrt(pmax(root$values, 0)) * rnorm(3)))
  }, numeric(3))
  draws[abs(draws) < 1e-9] <- 0
  expect_equal(rowMeans(draws > 0), got$positive[3, ], tolerance = 0.05)
  expect_equal(rowMeans(draws), got$mean[3, ], tolerance = 0.05)
  expect_equal(apply(draws, 1, sd), got$sd[3, ], tolerance = 0.05)
})

test_that("missing cells are imputed by their conditional normal", {
  d <- mmash_holes(mmash_case())
  got <- oracle_mmash_impute(d$x, d$y, matrix(0, 5, 3), c(2, 2, 2), d$sigma)
  expect_equal(got$y[12, ], c(2, 2, 2))
  expect_equal(got$spread[[12]], d$sigma)
  o <- 2:3
  gain <- d$sigma[1, o] %*% solve(d$sigma[o, o])
  expect_equal(got$y[1, 1], 2 + drop(gain %*% (d$y[1, o] - 2)))
  expect_equal(got$spread[[20]], matrix(0, 3, 3))
})
