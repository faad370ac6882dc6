# The six covariance families, and noise free or equal, by variational Bayes and Gibbs sampling: the
# oracle's bound, agreement of the engines, choice by the bound, calibration.

families <- c("EII", "VII", "EEI", "VVI", "EEE", "VVV")

three_clusters <- function(n = 150) {
  set.seed(1)
  slopes <- list(rbind(1, diag(2)[c(1, 2, 2), ]), rbind(0, -diag(2)[c(1, 2, 1), ]), matrix(1, 4, 2))
  simulate_cwm(n, c(2, 1, 1), rbind(c(-1, 0, 1), c(1, 1, 0), c(0, -2, 0)), list(0.3, 0.5, 0.2),
               slopes, diag(c(0.3, 0.2)))
}

# Sticks by decreasing size, unless the prior likes the order that they have at least as well.
ordered_sticks <- function(resp, alpha) {
  evidence <- function(n) {
    after <- rev(cumsum(rev(n)))[-1]
    sum(lbeta(1 + n[-length(n)], alpha + after))
  }
  order <- order(-colSums(resp))
  if (evidence(colSums(resp)[order]) > evidence(colSums(resp))) resp[, order] else resp
}

test_that("the bound is the oracle's, sweep by sweep, and never falls", {
  d <- three_clusters()$data
  x <- as.matrix(d[1:3])
  w <- cbind(1, x)
  y <- as.matrix(d[4:5])
  labels <- 1 + (d$x1 > 0) + (d$x2 < -1)
  scale <- diag(c(1, 2, 0.5)) + 0.1
  noise_scale <- matrix(c(1, 0.2, 0.2, 0.8), 2)
  for (weights in c("dirichlet", "stick_breaking")) {
    given <- cwm_prior(weights, mean = c(0.1, 0, 0), mean_precision = 0.3, covariance_df = 6.5,
                       covariance_scale = scale, coefficients = matrix(0.1, 4, 2),
                       coefficient_precision = diag(0.2, 4), noise_df = 4,
                       noise_scale = noise_scale, concentration = 1.3)
    by_size <- function(r) if (weights == "dirichlet") r else ordered_sticks(r, 1.3)
    for (family in families) {
      for (noise in c("free", "equal")) {
        fit <- suppressWarnings(cwm(
          cbind(y1, y2) ~ x1 + x2 + x3, d, k = 3, covariance = family, noise = noise,
          method = "vb", prior = given,
          control = vb_control(start = labels, tolerance = 1e-12, max_iterations = 60)))
        prior <- list(weights = weights, alpha = 1.3, m0 = c(0.1, 0, 0), beta0 = 0.3,
                      w0_inverse = scale, nu0 = 6.5, b0 = matrix(0.1, 4, 2), l0 = diag(0.2, 4),
                      v0_inverse = noise_scale, n0 = 4, family = family, noise = noise)
        q <- oracle_cwm_vb_global(x, w, y, by_size(diag(3)[labels, ]), prior)
        value <- numeric(12)
        for (i in seq_along(value)) {
          resp <- oracle_cwm_vb_local(x, w, y, q)
          value[i] <- oracle_cwm_vb_bound(x, w, y, resp, q, prior)
          q <- oracle_cwm_vb_global(x, w, y, by_size(resp), prior, q)
        }
        expect_equal(objective(fit)$value[seq_along(value)], value, tolerance = 1e-10)
        expect_true(all(diff(objective(fit)$value) > -1e-9))
        expect_identical(fit$df, oracle_cwm_df(3, 3, 4, 2, family, noise))
      }
    }
  }
})

test_that("with one component the bound is the log evidence, whatever the family", {
  # a spherical component in two columns is one column of twice the rows
  set.seed(2)
  d <- data.frame(a = rnorm(20), b = rnorm(20))
  value <- function(family, data, scale, df) {
    cluster <- stats::reformulate(names(data))
    prior <- cwm_prior(mean = rep(0, ncol(data)), mean_precision = 1e-12, covariance_df = df,
                       covariance_scale = scale)
    utils::tail(objective(cwm(~ 1, data, cluster = cluster, k = 1, covariance = family,
                              method = "vb", prior = prior))$value, 1)
  }
  alone <- value("VVV", d["a"], 1, 3) + value("VVV", d["b"], 1, 3)
  expect_equal(value("VVI", d, 1, 4), alone, tolerance = 1e-10)
  expect_equal(value("EEI", d, 1, 4), alone, tolerance = 1e-10)
  expect_equal(value("EII", d, 1, 4), value("VII", d, 1, 4), tolerance = 1e-10)
})

test_that("the engines agree on separated data, family by family", {
  # means and slopes apart; each family's own kind of covariance
  spread <- list(EII = 0.1, VII = list(0.1, 0.2), EEI = diag(c(0.1, 0.3)),
                 VVI = list(diag(c(0.1, 0.3)), diag(c(0.2, 0.1))),
                 EEE = matrix(c(0.2, 0.1, 0.1, 0.2), 2),
                 VVV = list(matrix(c(0.2, 0.1, 0.1, 0.2), 2), matrix(c(0.2, -0.1, -0.1, 0.3), 2)))
  extended <- identical(Sys.getenv("MIXOLOGY_EXTENDED_TESTS"), "true")
  for (family in families) {
    both <- c("free", "equal")
    for (noise in if (extended) both else both[1 + match(family, families) %% 2]) {
      set.seed(3)
      d <- simulate_cwm(1500, c(2, 1), rbind(c(-2, 0), c(2, 1)), spread[[family]],
                        list(c(1, 2, 0), c(0, -1, 1)), 0.1)
      fit <- function(method, control = NULL) {
        cwm(y ~ x1 + x2, d$data, k = 2, covariance = family, noise = noise, method = method,
            seed = 1, control = control)
      }
      em <- tidy(fit("em"))
      vb <- fit("vb")
      gibbs <- fit("gibbs", gibbs_control(chains = 2, iterations = 600, warmup = 100))
      expect_identical(unname(clusters(vb)), d$cluster)
      expect_identical(unname(clusters(gibbs)), d$cluster)
      with_error <- em$std.error > 0
      by_error <- function(a, b) max(abs(a - b)[with_error] / em$std.error[with_error])
      expect_lt(by_error(tidy(vb)$estimate, em$estimate), 0.4)
      expect_lt(by_error(tidy(gibbs)$estimate, tidy(vb)$estimate), 0.2)
      ratio <- tidy(vb)$std.error[with_error] / tidy(gibbs)$std.error[with_error]
      expect_lt(max(abs(log(ratio))), 0.2)
      shape <- vb$estimate$covariances
      if (family %in% c("EII", "VII", "EEI", "VVI")) expect_true(all(shape[1, 2, ] == 0))
      if (startsWith(family, "E")) expect_equal(shape[, , 1], shape[, , 2])
      if (endsWith(family, "II")) expect_equal(shape[1, 1, ], shape[2, 2, ])
      if (noise == "equal") expect_equal(vb$estimate$noise[1], vb$estimate$noise[2])
    }
  }
})

test_that("the bound chooses the family and the number of clusters", {
  set.seed(4)
  d <- simulate_cwm(300, c(1, 1), rbind(c(-2, 0), c(2, 0)), 0.2, list(c(0, 1, 1), c(1, -1, 0)), 0.1)
  fit <- cwm(y ~ x1 + x2, d$data, k = 1:3, covariance = c("EII", "VVV"), method = "vb", seed = 1)
  table <- glance(fit, all = TRUE)
  expect_identical(nrow(table), 6L)
  expect_identical(which.max(table$objective), which(table$selected))
  expect_identical(c(fit$k, fit$covariance), c("2", "EII"))
  expect_output(print(fit), "chosen by the bound among 6 candidates")
  correlated <- matrix(c(0.4, 0.35, 0.35, 0.4), 2)
  d <- simulate_cwm(300, c(1, 1), rbind(c(-2, 0), c(2, 0)), list(correlated, diag(0.1, 2)),
                    list(c(0, 1, 1), c(1, -1, 0)), 0.1)
  fit <- cwm(y ~ x1 + x2, d$data, k = 2, covariance = families, method = "vb", seed = 1)
  expect_identical(fit$covariance, "VVV")
})

test_that("the Student predictive of a diagonal family is a product, of a spherical one is not", {
  set.seed(5)
  d <- data.frame(a = rnorm(8), b = rnorm(8))
  density <- function(family, df) {
    fit <- cwm(~ 1, d, cluster = ~ a + b, k = 1, covariance = family, method = "vb",
               prior = cwm_prior(mean = c(0, 0), covariance_df = df, covariance_scale = 1,
                                 mean_precision = 1))
    function(a, b) predict(fit, data.frame(a = a, b = b), type = "density")
  }
  for (family in families) {
    f <- density(family, 4)
    inside <- function(b) {
      vapply(b, function(one) {
        integrate(function(a) f(a, rep(one, length(a))), -Inf, Inf, rel.tol = 1e-6)$value
      }, 0)
    }
    expect_equal(integrate(inside, -Inf, Inf, rel.tol = 1e-5)$value, 1, tolerance = 1e-4)
  }
  # Gamma(a, b) precision of n values about a mean worth one value: Student with 2 a degrees
  student <- function(v, x, df, squares) {
    s <- sqrt(squares / df * (1 + 1 / 9))
    dt((v - sum(x) / 9) / s, df) / s
  }
  squares <- vapply(d, function(x) 1 + sum(x^2) - sum(x)^2 / 9, 0)
  f <- density("VVI", 4)
  expect_equal(unname(f(0.3, -1)), student(0.3, d$a, 11, squares[[1]]) *
                 student(-1, d$b, 11, squares[[2]]), tolerance = 1e-8)
})

test_that("missing values pass through every family", {
  d <- three_clusters(200)
  data <- d$data
  data$y1[1:20] <- NA
  data$y2[c(15:20, 40:50)] <- NA
  data$x2[60:70] <- NA
  for (family in families) {
    fit <- suppressWarnings(cwm(cbind(y1, y2) ~ x1 + x2, data, cluster = ~ x1 + x2 + x3, k = 3,
                                covariance = family, noise = "equal", method = "vb", seed = 1,
                                na_x = "marginalise"))
    expect_true(all(diff(objective(fit)$value) >= -1e-9 * abs(fit$bound)))
    expect_true(all(is.finite(fitted(fit)[-(60:70), ])))
  }
})

test_that("a fit goes on bitwise in other families too", {
  d <- three_clusters(90)$data
  for (method in c("vb", "gibbs")) {
    control <- function(n) {
      if (method == "vb") vb_control(max_iterations = n, tolerance = 0, restarts = 2) else
        gibbs_control(chains = 2, iterations = n, warmup = 5)
    }
    fit <- function(n) {
      suppressWarnings(cwm(y1 ~ x1, d, cluster = ~ x1 + x2, k = 2, covariance = "EEI",
                           noise = "equal", method = method, seed = 1, control = control(n)))
    }
    short <- fit(20)
    expect_identical(suppressWarnings(resume(short, 15))$estimate, fit(35)$estimate)
  }
})

# Two clusters with parameters from the prior, 40 rows.
calibration_case <- function(family, noise) {
  diagonal <- !family %in% c("EEE", "VVV")
  spread <- function() {
    if (!diagonal) return(solve(matrix(rWishart(1, 6, diag(0.5, 2)), 2)))
    precision <- rgamma(2, 5 / 2, 1)
    diag(1 / if (endsWith(family, "II")) rep(precision[1], 2) else precision)
  }
  twice <- function(f, same) if (same) rep(list(f()), 2) else list(f(), f())
  generate <- function() {
    s <- twice(spread, startsWith(family, "E"))
    p <- unlist(twice(function() 1 / rgamma(1, 5 / 2, 1), noise == "equal"))
    means <- t(vapply(1:2, function(k) drop(crossprod(chol(s[[k]] / 0.5), rnorm(2))), numeric(2)))
    b <- vapply(1:2, function(k) rnorm(3) * sqrt(p[k] / 0.3), numeric(3))
    g <- rgamma(2, 2)
    z <- sample(2, 40, TRUE, g)
    x <- t(vapply(z, function(k) means[k, ] + drop(crossprod(chol(s[[k]]), rnorm(2))), numeric(2)))
    y <- rowSums(cbind(1, x) * t(b[, z])) + rnorm(40) * sqrt(p[z])
    theta <- list(weights = g / sum(g), means = means, covariances = array(unlist(s), c(2, 2, 2)),
                  coefficients = array(b, c(3, 1, 2)), noise = array(p, c(1, 1, 2)))
    list(parameters = theta, data = data.frame(x1 = x[, 1], x2 = x[, 2], y = y))
  }
  read <- function(v) {
    full <- function(s) matrix(s[c(1, 2, 2, 3)], 2)
    list(weights = v[c(1, 11)], means = rbind(v[2:3], v[12:13]),
         covariances = array(c(full(v[4:6]), full(v[14:16])), c(2, 2, 2)),
         coefficients = array(c(v[7:9], v[17:19]), c(3, 1, 2)),
         noise = array(v[c(10, 20)], c(1, 1, 2)))
  }
  # IW with 6 degrees of freedom in two columns has variances with 5
  prior <- cwm_prior(mean = c(0, 0), mean_precision = 0.5, covariance_df = 6, covariance_scale = 2,
                     coefficients = matrix(0, 3, 1), coefficient_precision = 0.3, noise_df = 5,
                     noise_scale = 2, concentration = 2)
  draws <- function(data) {
    control <- gibbs_control(chains = 1, iterations = 2200, warmup = 200, thin = 20)
    fit <- suppressWarnings(cwm(y ~ x1 + x2, data, k = 2, covariance = family, noise = noise,
                                method = "gibbs", prior = prior, control = control))
    chain <- fit$state$chains[[1]]$draws # all components, also those without rows
    lapply(seq_len(nrow(chain)), function(i) read(chain[i, ]))
  }
  list(generate = generate, draws = draws)
}

calibration_quantities <- list(
  log_likelihood = function(theta, data) {
    x <- as.matrix(data[c("x1", "x2")])
    oracle_cwm_log_likelihood(x, cbind(1, x), as.matrix(data["y"]), theta)
  },
  weight = function(theta, data) max(theta$weights),
  noise = function(theta, data) min(theta$noise),
  slope = function(theta, data) max(theta$coefficients[2, 1, ]),
  mean = function(theta, data) max(theta$means[, 1]),
  spread = function(theta, data) min(theta$covariances[1, 1, ]),
  shape = function(theta, data) max(theta$covariances[2, 2, ]))

test_that("the sampler is calibrated", {
  cases <- list(c("VVV", "free"), c("VVI", "free"), c("EEE", "equal"))
  if (identical(Sys.getenv("MIXOLOGY_EXTENDED_TESTS"), "true")) {
    cases <- c(cases, list(c("EII", "equal"), c("VII", "equal"), c("EEI", "free"),
                           c("VVV", "equal")))
  }
  set.seed(20)
  for (case in cases) {
    model <- calibration_case(case[1], case[2])
    expect_calibrated(sbc_ranks(model$generate, model$draws, calibration_quantities))
  }
})
