# cwm by EM: against the oracle, against lm(), mclust and flexmix where the models coincide, and the
# invariances that must hold.

rand_index <- function(a, b) mclust::adjustedRandIndex(a, b)

forum <- function(seed, n = 1000, ...) {
  set.seed(seed)
  simulate_cwm_forum(n, ...)
}

# The estimate as the oracle has it: coefficients as an array.
as_theta <- function(fit) {
  theta <- lapply(fit$estimate[c("weights", "means", "covariances", "noise")], unname)
  b <- fit$estimate$coefficients
  theta$coefficients <- array(unlist(b), c(dim(b[[1]]), length(b)))
  theta
}

# Rows of `truth` matched to clusters by the nearest mean.
match_clusters <- function(fit, means) {
  apply(means, 1, function(m) which.min(colSums((t(fit$estimate$means) - m)^2)))
}

test_that("EM takes the oracle's path from the same start, for every family and kind of noise", {
  d <- forum(1, 150)$data
  d$y2 <- d$x1 - d$y + sin(seq_len(150))
  d$y[3:8] <- NA
  d$y2[c(5, 20)] <- NA
  labels <- 1 + (d$x1 > 0) + (d$x2 > 0)
  x <- as.matrix(d[c("x1", "x2")])
  for (family in c("EII", "VII", "EEI", "VVI", "EEE", "VVV")) {
    for (noise in c("free", "equal")) {
      fit <- suppressWarnings(cwm(
        cbind(y, y2) ~ x1, d, cluster = ~ x1 + x2, k = 3, covariance = family, noise = noise,
        control = em_control(start = labels, accelerate = FALSE, tolerance = 1e-11)))
      oracle <- oracle_cwm_em(x, cbind(1, d$x1), as.matrix(d[c("y", "y2")]), labels, family, noise,
                              tolerance = 1e-12, max_iterations = 5000)
      expect_equal(as.numeric(logLik(fit)), oracle$log_likelihood, tolerance = 1e-6)
      theta <- as_theta(fit)
      at <- match_clusters(fit, oracle$theta$means)
      expect_equal(theta$means[at, ], unname(oracle$theta$means), tolerance = 1e-3)
      expect_equal(fit$df, oracle_cwm_df(3, 2, 2, 2, family, noise))
    }
  }
})

test_that("the log likelihood and responsibilities are the oracle's at the same parameters", {
  d <- forum(2, 200)$data
  d$y[1:10] <- NA
  fit <- cwm(y ~ x1 + x2, d, k = 3, seed = 1, control = em_control(restarts = 2))
  x <- as.matrix(d[c("x1", "x2")])
  theta <- as_theta(fit)
  expect_equal(as.numeric(logLik(fit)),
               oracle_cwm_log_likelihood(x, cbind(1, x), as.matrix(d["y"]), theta),
               tolerance = 1e-10)
  expect_equal(unname(responsibilities(fit)),
               unname(oracle_cwm_responsibilities(x, cbind(1, x), as.matrix(d["y"]), theta)),
               tolerance = 1e-8)
})

test_that("the forum's four clusters are found at any noise", {
  for (seed in 1:5) {
    for (noise in c(0.5, 1e-3, 0)) {
      d <- forum(seed, noise_sd = noise)
      fit <- cwm(y ~ x1 + x2, d$data, k = 4, seed = seed)
      expect_true(fit$convergence$converged)
      expect_gte(rand_index(clusters(fit), d$cluster), 0.98)
      at <- match_clusters(fit, d$truth$means)
      expect_lt(max(abs(fit$estimate$means[at, ] - d$truth$means)), 0.08)
      limit <- if (noise == 0.5) 0.35 else if (noise == 1e-3) 0.002 else 1e-6
      slopes <- t(vapply(coef(fit)[at], function(b) b[2:3, 1], numeric(2)))
      truth <- t(vapply(d$truth$coefficients, function(b) b[2:3], numeric(2)))
      expect_lt(max(abs(slopes - truth)), limit)
    }
  }
})

test_that("BIC has its optimum at four clusters", {
  for (seed in 1:2) {
    fit <- cwm(y ~ x1 + x2, forum(seed)$data, k = 2:6, seed = 1)
    expect_identical(fit$k, 4L)
    expect_identical(nrow(glance(fit, all = TRUE)), 5L)
  }
})

test_that("the literal simulation with identical rows returns with a warning", {
  for (noise in c(0, 0.5)) {
    d <- forum(3, repeated = TRUE, noise_sd = noise)
    for (method in c("em", "vb", "gibbs")) {
      control <- if (method == "gibbs") gibbs_control(chains = 1, iterations = 60)
      said <- capture_warnings(
        fit <- cwm(y ~ x1 + x2, d$data, k = 4, method = method, seed = 1, control = control))
      expect_match(said, "rows are identical", all = FALSE)
      expect_true(all(is.finite(unlist(fit$estimate))))
      expect_true(all(is.finite(fitted(fit))))
    }
  }
})

test_that("without a response it is mclust's Gaussian mixture", {
  expect_log_lik <- function(fit, value) {
    expect_equal(as.numeric(logLik(fit)), value, tolerance = 1e-4)
  }
  expect_log_lik(cwm(~ 1, faithful, cluster = ~ ., k = 3, covariance = "EEE", seed = 1), -1126.326)
  expect_log_lik(cwm(~ 1, faithful, cluster = ~ ., k = 2, seed = 1), -1130.264)
  flowers <- iris[1:4]
  expect_log_lik(cwm(~ 1, flowers, cluster = ~ ., k = 3, seed = 1), -180.186)
  skip_if_not_installed("mclust")
  z <- mclust::unmap(kmeans(scale(faithful), 2, nstart = 5)$cluster)
  for (family in c("EII", "VII", "EEI", "VVI", "EEE", "VVV")) {
    me <- getExportedValue("mclust", paste0("me", family))
    peer <- me(faithful, z, control = mclust::emControl(tol = c(1e-12, 1e-12)))
    ours <- cwm(~ 1, faithful, cluster = ~ ., k = 2, covariance = family,
                control = em_control(start = max.col(z), tolerance = 1e-13))
    expect_equal(as.numeric(logLik(ours)), peer$loglik, tolerance = 1e-6)
    expect_equal(ours$df, mclust::nMclustParams(family, 2, 2))
  }
})

test_that("with all covariates in both parts it is the joint Gaussian mixture", {
  joint <- cwm(~ 1, faithful, cluster = ~ eruptions + waiting, k = 2, seed = 1)
  split <- cwm(eruptions ~ waiting, faithful, k = 2, seed = 1)
  expect_equal(as.numeric(logLik(split)), as.numeric(logLik(joint)), tolerance = 1e-8)
  expect_equal(split$df, joint$df)
  expect_equal(responsibilities(split), responsibilities(joint), tolerance = 1e-4)
})

test_that("without clustering covariates it is a mixture of regressions", {
  skip_if_not_installed("flexmix")
  data("NPreg", package = "flexmix", envir = environment())
  set.seed(1)
  peer <- flexmix::stepFlexmix(yn ~ x + I(x^2), data = NPreg, k = 2, nrep = 5, verbose = FALSE)
  ours <- cwm(yn ~ x + I(x^2), NPreg, cluster = ~ 0, k = 2, seed = 1)
  expect_gte(as.numeric(logLik(ours)), peer@logLik - 1e-3)
  expect_gt(rand_index(clusters(ours), NPreg$class), 0.7)
})

test_that("one cluster is lm() and the sample moments", {
  d <- forum(4, 100)$data
  fit <- cwm(y ~ x1 + x2, d, k = 1)
  line <- lm(y ~ x1 + x2, d)
  expect_equal(coef(fit)[[1]][, 1], coef(line), tolerance = 1e-8)
  expect_equal(fit$estimate$noise[1], mean(residuals(line)^2), tolerance = 1e-8)
  expect_equal(fit$estimate$means[1, ], colMeans(d[c("x1", "x2")]), tolerance = 1e-8)
  expect_equal(fit$estimate$covariances[, , 1], cov(d[c("x1", "x2")]) * 99 / 100, tolerance = 1e-8)
  expect_equal(fitted(fit), fitted(line), tolerance = 1e-8)
  expect_equal(residuals(fit), residuals(line), tolerance = 1e-7)
  se <- tidy(fit)$std.error[tidy(fit)$part == "coefficient"]
  expect_equal(se, unname(sqrt(diag(vcov(line)) * 97 / 100)), tolerance = 1e-5)
})

# Columns: how the rows of tidy() move together where k = 2.
free_moves <- function(table, family, noise) {
  spread <- table$part == "covariance"
  tied <- (spread & startsWith(family, "E")) | (table$part == "noise" & noise == "equal")
  key <- paste(table$part, ifelse(tied, "", table$component),
               ifelse(spread & endsWith(family, "II"), "", table$term))
  key[spread & endsWith(family, "I") & grepl(":", table$term)] <- "held"
  key[table$part == "weight"] <- "weight"
  map <- outer(key, setdiff(key, "held"), `==`) * 1
  map[table$part == "weight" & table$component == 2, ] <- -map[table$part == "weight", ][1, ]
  map
}

test_that("standard errors are those of the numerical Hessian", {
  skip_if_not_installed("numDeriv")
  d <- forum(5, 300)$data
  x <- as.matrix(d[c("x1", "x2")])
  full <- function(v) matrix(v[c(1, 2, 2, 3)], 2)
  for (family in list(c("EII", "free"), c("VII", "equal"), c("EEI", "equal"), c("VVI", "free"),
                      c("EEE", "equal"), c("VVV", "free"))) {
    fit <- cwm(y ~ x1, d, cluster = ~ x1 + x2, k = 2, seed = 1, covariance = family[1],
               noise = family[2], control = em_control(tolerance = 1e-14))
    table <- tidy(fit)
    by <- function(v, name, k) v[table$part == name & table$component == k]
    log_lik <- function(v) {
      theta <- list(weights = c(by(v, "weight", 1), 1 - by(v, "weight", 1)),
                    means = rbind(by(v, "mean", 1), by(v, "mean", 2)),
                    covariances = array(c(full(by(v, "covariance", 1)),
                                          full(by(v, "covariance", 2))), c(2, 2, 2)),
                    coefficients = array(c(by(v, "coefficient", 1), by(v, "coefficient", 2)),
                                         c(2, 1, 2)),
                    noise = array(c(by(v, "noise", 1), by(v, "noise", 2)), c(1, 1, 2)))
      oracle_cwm_log_likelihood(x, cbind(1, d$x1), as.matrix(d["y"]), theta)
    }
    free <- free_moves(table, family[1], family[2])
    expect_identical(ncol(free), as.integer(fit$df))
    at <- table$estimate[apply(free, 2, function(move) which(move > 0)[1])]
    hessian <- numDeriv::hessian(function(v) log_lik(table$estimate + drop(free %*% (v - at))), at)
    expect_equal(unname(vcov(fit)), free %*% solve(-hessian, t(free)), tolerance = 1e-4)
    expect_equal(table$std.error, unname(sqrt(diag(vcov(fit)))))
  }
})

test_that("rows, columns, units and clusters may be permuted", {
  d <- forum(6, 200)$data
  fit <- cwm(y ~ x1 + x2, d, k = 3, seed = 1, control = em_control(tolerance = 1e-13))
  start <- clusters(fit)
  refit <- function(data, formula = y ~ x1 + x2, labels = start) {
    as.numeric(logLik(cwm(formula, data, k = 3, control = em_control(start = labels,
                                                                     tolerance = 1e-13))))
  }
  value <- refit(d)
  turn <- 200:1
  expect_equal(refit(d[turn, ], labels = start[turn]), value, tolerance = 1e-8)
  expect_equal(refit(d, y ~ x2 + x1), value, tolerance = 1e-8)
  expect_equal(refit(d, labels = 4L - start), value, tolerance = 1e-8)
  scaled <- transform(d, x1 = 1e6 * x1, y = y / 1e4)
  expect_equal(refit(scaled), value - 200 * log(1e6) + 200 * log(1e4), tolerance = 1e-8)
})

test_that("the fit does not depend on threads", {
  d <- forum(7, 20000)$data
  one <- cwm(y ~ x1 + x2, d, k = 4, seed = 1, threads = 1, std_errors = FALSE)
  expect_identical(cwm(y ~ x1 + x2, d, k = 4, seed = 1, threads = 2, std_errors = FALSE)$estimate,
                   one$estimate)
})

test_that("rows without a response cluster and are predicted", {
  d <- forum(8, 400)
  data <- d$data
  data$y[1:100] <- NA
  fit <- cwm(y ~ x1 + x2, data, k = 4, seed = 1)
  expect_gte(rand_index(clusters(fit), d$cluster), 0.95)
  expect_true(all(is.finite(fitted(fit))))
  expect_lt(sqrt(mean((fitted(fit) - d$data$y)[1:100]^2)), 1.2)
})

test_that("missing clustering covariates are integrated out when asked", {
  d <- forum(9, 500)
  data <- d$data
  data$x1[1:40] <- NA
  expect_error(cwm(y ~ x1 + x2, data, k = 4), "'data'.*NA in 40 rows: 1, 2, 3, 4, 5")
  fit <- cwm(y ~ x1 + x2, data, k = 4, seed = 1, na_x = "marginalise")
  expect_gte(rand_index(clusters(fit)[-(1:40)], d$cluster[-(1:40)]), 0.97)
  expect_gt(mean(clusters(fit)[1:40] == clusters(cwm(y ~ x1 + x2, d$data, k = 4, seed = 1))[1:40]),
            0.5)
  e <- fit$estimate
  x2 <- data$x2[1:40]
  share <- vapply(1:4, function(k) {
    e$weights[k] * dnorm(x2, e$means[k, 2], sqrt(e$covariances[2, 2, k]))
  }, x2)
  mean_y <- vapply(1:4, function(k) { # the regression at E(x1 | x2)
    s <- e$covariances[, , k]
    x1 <- e$means[k, 1] + s[1, 2] / s[2, 2] * (x2 - e$means[k, 2])
    drop(cbind(1, x1, x2) %*% e$coefficients[[k]])
  }, x2)
  expect_equal(unname(fitted(fit)[1:40]), rowSums(share * mean_y) / rowSums(share))
  expect_equal(unname(residuals(fit)), data$y - unname(fitted(fit)))
  vb <- cwm(y ~ x1 + x2, data, k = 4, seed = 1, na_x = "marginalise", method = "vb")
  expect_identical(unname(fitted(vb)[1:40]), rep(NA_real_, 40)) # as predict() of such rows
  expect_error(cwm(y ~ poly(x2, 2) + I(x1^2), data, cluster = ~ x1, k = 2, na_x = "marginalise"),
               "plain clustering covariates")
})

test_that("factors and splines work, and newdata is checked", {
  d <- forum(10, 300)$data
  d$group <- factor(rep(c("a", "b", "c"), 100))
  fit <- cwm(y ~ splines::bs(x1, 4) + group, d, cluster = ~ x1 + x2, k = 2, seed = 1)
  expect_equal(predict(fit, d[7:9, ]), fitted(fit)[7:9], tolerance = 1e-10)
  expect_error(predict(fit, data.frame(x1 = 0, x2 = 0, group = "d")), "new level \"d\"")
  expect_error(predict(fit, data.frame(x1 = 0, group = "a")), "no column 'x2'")
  expect_error(predict(fit, data.frame(x1 = 0, x2 = "1", group = "a")), "numeric in 'x2'")
  default <- cwm(y ~ x1 + group, d, k = 1)
  expect_identical(colnames(default$estimate$means), "x1")
})

test_that("a level that is absent from a cluster takes the pooled value and no standard error", {
  set.seed(1)
  d <- data.frame(x = c(rnorm(60, -5), rnorm(60, 5)))
  d$g <- factor(c(rep(c("a", "b"), 30), rep("a", 60)))
  d$y <- d$x + (d$g == "b") + rnorm(120, sd = 0.1)
  fit <- cwm(y ~ x + g, d, cluster = ~ x, k = 2, seed = 1)
  table <- tidy(fit)
  expect_true(all(is.finite(table$estimate)))
  expect_true(anyNA(table$std.error))
  expect_true(all(is.finite(predict(fit, d))))
})

test_that("a response that is constant within a cluster is fitted at the floor", {
  set.seed(2)
  d <- data.frame(x = c(rnorm(50, -4), rnorm(50, 4)))
  d$y <- c(rep(1, 50), 2 * d$x[51:100] + rnorm(50))
  fit <- cwm(y ~ x, d, k = 2, seed = 1)
  expect_true(all(is.finite(unlist(fit$estimate))))
  expect_lt(min(fit$estimate$noise), 1e-6)
})

test_that("the matrix interface is the formula's", {
  d <- forum(11, 200)$data
  x <- as.matrix(d[c("x1", "x2")])
  a <- cwm(x, d$y, k = 3, seed = 1)
  b <- cwm(y ~ x1 + x2, d, k = 3, seed = 1)
  expect_equal(as.numeric(logLik(a)), as.numeric(logLik(b)))
  expect_equal(unname(predict(a, x)), unname(predict(b, d)))
})

test_that("cells of a SingleCellExperiment cluster by their reduced dimensions", {
  skip_if_not_installed("SingleCellExperiment")
  set.seed(3)
  d <- forum(12, 150)$data
  counts <- matrix(rpois(300, 5), 2, dimnames = list(c("g1", "g2"), paste0("c", 1:150)))
  sce <- SingleCellExperiment::SingleCellExperiment(list(counts = counts))
  sce$y <- d$y
  SingleCellExperiment::reducedDim(sce, "PCA") <- as.matrix(d[c("x1", "x2")])
  fit <- cwm(sce, response = "y", k = 3, seed = 1)
  expect_identical(names(clusters(fit)), colnames(sce))
  expect_equal(as.numeric(logLik(fit)), as.numeric(logLik(cwm(y ~ x1 + x2, d, k = 3, seed = 1))))
  out <- add_results(sce, fit)
  expect_identical(out$cwm_cluster, unname(clusters(fit)))
  for (method in c("vb", "gibbs")) {
    control <- if (method == "gibbs") gibbs_control(chains = 1, iterations = 100)
    other <- suppressWarnings(cwm(sce, response = c("y", "g2"), covariates = "x1",
                                  k = 2, method = method, seed = 1, control = control))
    expect_identical(dim(predict(other, sce[, 1:3])), c(3L, 2L))
  }
  expect_identical(nrow(cwm(sce, k = 2, seed = 1)$estimate$means), 2L)
  expect_s3_class(cwm(sce, response = "g1", k = 1), "cwm")
  expect_error(cwm(sce, response = "g3", k = 1), "'response'.*\"g3\"")
})

test_that("a start may be labels, a fit, or values", {
  d <- forum(13, 200)$data
  fit <- cwm(y ~ x1 + x2, d, k = 3, seed = 1)
  for (start in list(fit, fit$estimate, clusters(fit))) {
    again <- cwm(y ~ x1 + x2, d, k = 3, control = em_control(start = start))
    expect_equal(as.numeric(logLik(again)), as.numeric(logLik(fit)), tolerance = 1e-6)
  }
  expect_error(cwm(y ~ x1 + x2, d, k = 3, control = em_control(start = 1:3)), "'start'")
  expect_error(cwm(y ~ x1 + x2, d, k = 3, control = em_control(start = rep(9, 200))), "from 1 to 3")
})

test_that("bad input is named", {
  d <- forum(14, 60)$data
  d$flat <- 1
  d$twin <- d$x1 + d$x2
  expect_error(cwm(y ~ x1, d, cluster = ~ flat, k = 2), "constant column 'flat'")
  expect_error(cwm(flat ~ x1, d, k = 2), "constant column 'flat'")
  expect_error(cwm(y ~ x1 + x2 + twin, d, cluster = ~ x1, k = 2),
               "'twin', which the others determine")
  expect_error(cwm(y ~ x1, d, cluster = ~ x1 + x2 + twin, k = 2), "'cluster'.*linearly independent")
  expect_s3_class(cwm(y ~ x1, d, cluster = ~ x1 + x2 + twin, k = 2, covariance = "VVI"), "cwm")
  expect_error(cwm(y ~ x1 + x2, d[1:8, ], k = 4), "'k' must be at most 2")
  expect_error(cwm(y ~ x1 + x2, d[rep(1:3, 20), ], k = 4), "number of distinct rows")
  expect_error(cwm(y ~ x1, transform(d, x1 = c(Inf, x1[-1])), k = 2), "Inf in 'x1' \\(row 1\\)")
  expect_error(cwm(y ~ x1, transform(d, y = as.character(y)), k = 2), "numeric response")
  expect_error(cwm(y ~ x1 + zz, d, k = 2), "no column 'zz'")
  expect_error(cwm(y ~ x1, d, k = 0), "'k' must be")
  expect_error(cwm(y ~ x1, d, k = 2, covariance = "VEV"), "'covariance' must be one of")
  expect_error(cwm(y ~ x1, d, k = 2, prior = cwm_prior()), "'prior' must be NULL")
  expect_error(cwm(y ~ x1, d, k = 2, kk = 3), "unknown argument 'kk'")
  expect_error(cwm(~ 1, d, k = 2), "'formula' must be with a response, or 'cluster'")
  expect_s3_class(cwm(y ~ 1, d, k = 2, seed = 1), "cwm")
  d$double <- 2 * d$y
  expect_error(cwm(cbind(y, double) ~ x1, d, k = 2), "linearly independent responses")
})

test_that("update() and resume() work from a user's workspace", {
  user <- new.env(parent = globalenv())
  user$d <- forum(15, 100)$data
  user$fit <- eval(quote(mixology::cwm(y ~ x1 + x2, d, k = 2, seed = 1)), user)
  expect_identical(eval(quote(stats::update(fit, k = 3)), user)$k, 3L)
  expect_s3_class(eval(quote(mixology::resume(fit, 5)), user), "cwm_em")
})
