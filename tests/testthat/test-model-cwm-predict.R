# Prediction by cwm: the oracle's numbers, coverage, scores, and the shapes that are promised.

forum_rows <- function(seed, n = 500, ...) {
  set.seed(seed)
  simulate_cwm_forum(n, ...)
}
theta_of <- function(fit) {
  theta <- lapply(fit$estimate[c("weights", "means", "covariances", "noise")], unname)
  b <- fit$estimate$coefficients
  theta$coefficients <- array(unlist(b), c(dim(b[[1]]), length(b)))
  theta
}

test_that("means, densities and quantiles are the oracle's", {
  d <- forum_rows(1)$data
  fit <- cwm(y ~ x1 + x2, d, k = 4, seed = 1)
  new <- data.frame(x1 = c(0, 0.2, -1, 2), x2 = c(0, -0.1, 1, 2), y = c(0, 1, -3, 4))
  x <- as.matrix(new[1:2])
  w <- cbind(1, x)
  theta <- theta_of(fit)
  expect_equal(unname(predict(fit, new)), drop(oracle_cwm_predict_mean(x, w, theta)),
               tolerance = 1e-8)
  expect_equal(unname(predict(fit, new, type = "density")),
               unname(oracle_cwm_predict_density(x, w, as.matrix(new["y"]), theta)),
               tolerance = 1e-8)
  band <- predict(fit, new, type = "interval", level = 0.9)
  expect_identical(colnames(band), c("fit", "lwr", "upr"))
  expect_equal(unname(band[, "lwr"]), oracle_cwm_predict_quantile(x, w, 0.05, theta),
               tolerance = 1e-6)
  expect_equal(unname(band[, "upr"]), oracle_cwm_predict_quantile(x, w, 0.95, theta),
               tolerance = 1e-6)
  expect_equal(log(predict(fit, new, "density")), predict(fit, new, "density", log = TRUE))
})

test_that("90% intervals cover 90% of held-out rows", {
  hits <- vapply(1:4, function(seed) {
    train <- forum_rows(seed, 2000)$data
    test <- forum_rows(100 + seed, 2000)$data
    methods <- c("em", "em", "vb", "gibbs")
    control <- if (seed == 4) gibbs_control(chains = 1, iterations = 200)
    fit <- suppressWarnings(cwm(y ~ x1 + x2, train, k = 4, method = methods[seed], seed = 1,
                                control = control))
    band <- predict(fit, if (seed == 4) test[1:1000, ] else test, type = "interval", level = 0.9)
    y <- test$y[seq_len(nrow(band))]
    mean(y >= band[, 2] & y <= band[, 3])
  }, 0)
  expect_true(all(hits > 0.88 & hits < 0.92))
})

test_that("where clusters differ only in slope it scores better than lm and than clusters first", {
  set.seed(3)
  rows <- function(n) {
    x <- rnorm(n)
    z <- sample(2, n, TRUE)
    data.frame(x = x, y = ifelse(z == 1, 1 + 2 * x, 1 - 2 * x) + rnorm(n, sd = 0.3))
  }
  train <- rows(1000)
  test <- rows(1000)
  ours <- mean(predict(cwm(y ~ x, train, k = 2, seed = 1), test, type = "density", log = TRUE))
  line <- lm(y ~ x, train)
  single <- mean(dnorm(test$y, predict(line, test), summary(line)$sigma, log = TRUE))
  expect_gt(ours, single + 0.2)
  skip_if_not_installed("mclust")
  mclustBIC <- mclust::mclustBIC
  first <- mclust::Mclust(train$x, 2, verbose = FALSE)
  lines <- lapply(1:2, function(k) lm(y ~ x, train[first$classification == k, ]))
  gate <- predict(first, test$x)$z
  parts <- vapply(1:2, function(k) {
    dnorm(test$y, predict(lines[[k]], test), summary(lines[[k]])$sigma)
  }, numeric(1000))
  expect_gt(ours, mean(log(rowSums(gate * parts))) + 0.2)
})

test_that("each type has its shape", {
  d <- forum_rows(4)$data
  d$y2 <- d$x1 + d$y
  fit <- cwm(cbind(y, y2) ~ x1 + x2, d, k = 4, seed = 1)
  new <- d[1:3, ]
  expect_identical(dim(predict(fit, new)), c(3L, 2L))
  band <- predict(fit, new, type = "interval")
  expect_named(band, c("y", "y2"))
  expect_identical(dim(predict(fit, new, type = "draws", draws = 7, seed = 1)), c(3L, 7L, 2L))
  expect_identical(dim(predict(fit, new, type = "prob")), c(3L, 4L))
  expect_identical(predict(fit, d, type = "cluster"), clusters(fit))
  only_x <- predict(fit, new[c("x1", "x2")], type = "prob")
  expect_equal(unname(rowSums(only_x)), rep(1, 3))
  new$x1[2] <- NA
  expect_identical(is.na(predict(fit, new)[, 1]), c(FALSE, TRUE, FALSE), ignore_attr = TRUE)
  expect_error(predict(fit, new[1], type = "response"), "no column 'x2'")
  expect_error(predict(fit, new, type = "cluster", level = 2), "'level'")
  expect_error(predict(fit, type = "interval"), "'newdata' must be given")
  expect_error(predict(fit, new[c("x1", "x2")], type = "density"), "no column 'y'")
})

test_that("draws of p(y | x) have its distribution", {
  d <- forum_rows(5)$data
  fit <- cwm(y ~ x1 + x2, d, k = 4, seed = 1)
  new <- data.frame(x1 = 0, x2 = 0)
  draws <- predict(fit, new, type = "draws", draws = 20000, seed = 2)
  band <- predict(fit, new, type = "interval", level = 0.8)
  expect_equal(unname(quantile(draws, c(0.1, 0.9))), unname(band[1, 2:3]), tolerance = 0.05)
  expect_identical(draws, predict(fit, new, type = "draws", draws = 20000, seed = 2))
})

test_that("plots are ggplots", {
  d <- forum_rows(6)$data
  fit <- cwm(y ~ x1 + x2, d, k = 3:4, seed = 1)
  for (type in c("components", "clusters", "bands", "bic", "trace")) {
    figure <- autoplot(fit, type = type, data = d)
    expect_s3_class(figure, "ggplot")
    expect_silent(ggplot2::ggplot_build(figure))
  }
  one <- cwm(y ~ x1, d, k = 2, seed = 1)
  expect_s3_class(autoplot(one, type = "clusters", data = d), "ggplot")
  chain <- suppressWarnings(cwm(y ~ x1, d, k = 2, method = "gibbs", seed = 1,
                                control = gibbs_control(chains = 1, iterations = 60)))
  expect_s3_class(autoplot(chain, type = "similarity"), "ggplot")
})
