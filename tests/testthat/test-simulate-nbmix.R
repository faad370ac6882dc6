test_that("simulated counts follow their own mixture", {
  set.seed(3)
  d <- simulate_nbmix(4000, c(3, 7), c(5, 60), c(0.3, 0), size_factors = rep(c(0.5, 1.5), 2000))
  expect_equal(d$truth$weights, c(0.3, 0.7))
  expect_length(d$x, 4000)
  for (k in 1:2) {
    mine <- d$cluster == k
    m <- d$size_factors[mine] * d$truth$means[k]
    v <- m + d$truth$dispersions[k] * m^2
    z <- (d$x[mine] - m) / sqrt(v)
    expect_lt(abs(mean(z)) * sqrt(sum(mine)), 4)
    expect_equal(mean(z^2), 1, tolerance = 0.15)
  }
  expect_true(all(d$rate[d$cluster == 2] == 60)) # no dispersion: the rate is the mean
  expect_equal(mean(d$cluster == 1), 0.3, tolerance = 0.1)
})

test_that("the zero component is all zeros and set.seed() governs", {
  draw <- function() {
    set.seed(4)
    simulate_nbmix(200, c(0.5, 0.5), 50, zero_weight = 0.4)
  }
  d <- draw()
  expect_identical(d, draw())
  expect_true(all(d$x[d$cluster == 3] == 0))
  expect_equal(sum(d$truth$weights) + d$truth$zero_weight, 1)
})

test_that("arguments out of range are named", {
  expect_error(simulate_nbmix(0, 1, 1), "simulate_nbmix: 'n' must be")
  expect_error(simulate_nbmix(5, c(1, -1), 1), "'weights' must be")
  expect_error(simulate_nbmix(5, c(0, 0), 1), "'weights' must be")
  expect_error(simulate_nbmix(5, c(1, 1), c(1, 2, 3)), "'means' must be")
  expect_error(simulate_nbmix(5, 1, 1, -1), "'dispersions' must be")
  expect_error(simulate_nbmix(5, 1, 1, size_factors = c(1, 2)), "'size_factors' must be")
  expect_error(simulate_nbmix(5, 1, 1, zero_weight = 1), "'zero_weight' must be")
})
