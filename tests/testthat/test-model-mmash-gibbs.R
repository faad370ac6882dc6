# The sampler of mmash(): calibrated, and in agreement with the variational fit and exact answers.

sampled_kinds <- list(full = "full", diagonal = "diagonal", one_factor = low_rank(1),
                      isotropic = low_rank(0))

# X is fixed; weights, effects and residual are drawn from the priors of the sampler, whose prior
# means of the residual variances are `variance`.
gibbs_case <- function(kind, n = 25, p = 4, j = 3) {
  set.seed(11)
  list(kind = kind, x = matrix(stats::rnorm(n * p), n), variance = c(1, .5, 2)[seq_len(j)],
       prior = mash_prior(matrices = list(same = matrix(.9, j, j) + diag(.1, j), any = diag(j)),
                          grid = c(.3, 1)), penalty = 2)
}

draw_sigma <- function(case) {
  v <- case$variance
  j <- length(v)
  inverse_gamma <- function(scale) scale / stats::rgamma(length(scale), 1.5)
  if (identical(case$kind, "full")) {
    return(solve(stats::rWishart(1, j + 2, diag(1 / v))[, , 1]))
  }
  if (identical(case$kind, "diagonal")) return(diag(inverse_gamma(v / 2)))
  rank <- case$kind$rank
  share <- mean(v) / if (rank > 0) 2 else 1
  w <- matrix(stats::rnorm(j * rank, sd = sqrt(share / max(rank, 1))), j)
  tcrossprod(w) + diag(inverse_gamma(share / 2), j)
}

draw_parameters <- function(case) {
  parts <- mixology:::component_covariances(case$prior)
  shape <- c(case$penalty, rep(1 / (length(parts) - 1), length(parts) - 1))
  w <- stats::rgamma(length(parts), shape) + 1e-300
  w <- w / sum(w)
  effects <- vapply(seq_len(ncol(case$x)), function(p) {
    t <- sample.int(length(parts), 1, prob = w)
    if (t == 1) numeric(length(case$variance)) else drop(mixology:::draw_normal(1, parts[[t]]))
  }, numeric(length(case$variance)))
  list(weights = w, effects = t(effects), sigma = draw_sigma(case))
}

draw_responses <- function(parameters, case, gaps = FALSE) {
  y <- case$x %*% parameters$effects + mixology:::draw_normal(nrow(case$x), parameters$sigma)
  if (gaps) y[seq(1, length(y), 5)] <- NA
  y
}

# None of these depends on how components are numbered.
gibbs_quantities <- function(case) {
  contrasts <- function(parameters, y) {
    e <- scale(y - case$x %*% parameters$effects, scale = FALSE)
    e[is.na(e)] <- 0
    -sum(solve(parameters$sigma) * crossprod(e)) - nrow(y) * log(det(parameters$sigma))
  }
  list(null = function(p, y) p$weights[1], first = function(p, y) p$effects[1, 1],
       size = function(p, y) log(sum(p$effects^2) + 1e-3),
       zeros = function(p, y) sum(p$effects[, 1] == 0),
       spread = function(p, y) log(det(p$sigma)), shared = function(p, y) p$sigma[2, 1],
       fit = contrasts)
}

run_chain <- function(case, y, iterations, thin, seed) {
  j <- length(case$variance)
  control <- gibbs_control(chains = 1, iterations = iterations, warmup = 200, thin = thin,
                           start = list(residual = diag(case$variance)))
  fit <- quiet_mmash(case$x, y, case$prior, residual = case$kind, method = "gibbs", seed = seed,
                     penalty = case$penalty, control = control)
  draws <- fit$posterior$draws[, 1, ]
  parts <- length(fit$estimate$weights)
  effects <- j * ncol(case$x)
  lapply(seq_len(nrow(draws)), function(i) {
    sigma <- matrix(0, j, j)
    sigma[lower.tri(sigma, TRUE)] <- draws[i, -seq_len(effects + parts)]
    list(weights = draws[i, effects + seq_len(parts)],
         effects = t(matrix(draws[i, seq_len(effects)], j)),
         sigma = sigma + t(sigma) - diag(diag(sigma), j))
  })
}

test_that("ranks of the truth among the draws are uniform", {
  seed <- 0
  for (kind in sampled_kinds) {
    # a low rank restricts the variances' means to one number
    case <- gibbs_case(kind)
    if (!is.character(kind)) case$variance[] <- mean(case$variance)
    for (gaps in c(FALSE, TRUE)) {
      set.seed(21)
      ranks <- sbc_ranks(
        generate = function() {
          parameters <- draw_parameters(case)
          list(parameters = parameters, data = draw_responses(parameters, case, gaps))
        },
        draws = function(y) run_chain(case, y, 1200, 10, seed <<- seed + 1),
        quantities = gibbs_quantities(case), runs = sbc_runs() / if (gaps) 2 else 1)
      expect_calibrated(ranks)
    }
  }
})

# One sweep from given parameters, the prior of the residual being that of the case.
one_sweep <- function(case, seed, parameters, y) {
  settings <- list(method = "gibbs", standardize = FALSE, penalty = case$penalty,
                   order = "columns", missing_x = "error", storage = NULL, allele = "second",
                   control = gibbs_control(chains = 1, iterations = 1, warmup = 0), threads = 1L,
                   verbose = FALSE)
  settings$control$seed <- seed
  data <- mixology:::mmash_data(case$x, y, NULL, settings)
  inputs <- mixology:::mmash_bridge(data, case$prior, case$kind, NULL, settings)
  start <- list(mean = parameters$effects, weights = parameters$weights, sigma = parameters$sigma)
  monitor <- mixology:::new_monitor("test", settings$control, FALSE)
  out <- mixology:::mmash_gibbs(inputs$input, inputs$core, start,
                                mixology:::mmash_core_settings(inputs), case$variance, FALSE,
                                settings$control, seed, monitor, 1L)
  state <- out$chains[[1]]$state
  list(weights = exp(state$log_weights), effects = t(state$mean), sigma = state$sigma)
}

test_that("sweeps and fresh data together keep the prior", {
  for (kind in sampled_kinds) {
    case <- gibbs_case(kind, n = 8, p = 2)
    if (!is.character(kind)) case$variance[] <- mean(case$variance)
    for (gaps in c(FALSE, TRUE)) {
      set.seed(31)
      seed <- 0
      # bounded where second moments do not exist or a few large values would decide
      quantities <- gibbs_quantities(case)[c("null", "size", "zeros", "spread")]
      quantities$first <- function(p, y) atan(p$effects[1, 1])
      quantities$shared <- function(p, y) atan(p$sigma[2, 1])
      z <- geweke_joint_test(
        prior = function() draw_parameters(case),
        model = function(parameters) draw_responses(parameters, case, gaps),
        sweep = function(parameters, y) one_sweep(case, seed <<- seed + 1, parameters, y),
        quantities = quantities,
        iterations = if (sbc_runs() > 20) 20000 else 2000)
      expect_geweke(z)
    }
  }
})

test_that("a long chain agrees with the exact posterior of one variant", {
  set.seed(41)
  x <- matrix(stats::rnorm(30))
  sigma <- random_spd(2)
  y <- x %*% t(c(.4, .3)) + mixology:::draw_normal(30, sigma)
  prior <- quick_prior(2, weights = c(.5, rep(.5 / 9, 9)))
  fit <- function(y, method, control = NULL) {
    quiet_mmash(x, y, prior, residual = sigma, update = "none", penalty = 1, method = method,
                control = control, seed = 1)
  }
  long <- gibbs_control(chains = 4, iterations = 6000, warmup = 100)
  for (response in list(y, replace(y, c(3, 8, 40:45), NA))) {
    exact <- fit(response, "vb") # one variant: the bound is exact, and so is q
    drawn <- fit(response, "gibbs", long)
    expect_equal(unname(coef(drawn)), unname(coef(exact)), tolerance = .03)
    expect_equal(unname(drawn$posterior$sd), unname(exact$posterior$sd), tolerance = .03)
    expect_equal(unname(lfsr(drawn)), unname(lfsr(exact)), tolerance = .05)
    expect_equal(unname(pip(drawn)), unname(pip(exact)), tolerance = .03)
    expect_equal(vcov(drawn, variant = 1), vcov(exact, variant = 1), tolerance = .05)
  }
})

test_that("a variational fit and the sampler find the same low-rank residual", {
  set.seed(42)
  n <- 400
  x <- qr.Q(qr(scale(matrix(stats::rnorm(n * 6), n), scale = FALSE))) * sqrt(n)
  sigma <- tcrossprod(c(1, 1, 1, -1)) + diag(.5, 4)
  y <- x[, 2] %*% t(c(.5, .5, .5, 0)) + mixology:::draw_normal(n, sigma)
  fit <- function(method, rank, ...) {
    quiet_mmash(x, y, quick_prior(4), residual = low_rank(rank), method = method, seed = 1, ...)
  }
  vb <- fit("vb", 1)
  gibbs <- fit("gibbs", 1, control = gibbs_control(chains = 2, iterations = 1500))
  expect_equal(gibbs$estimate$residual_covariance, vb$estimate$residual_covariance,
               tolerance = .03)
  expect_equal(unname(coef(gibbs)), unname(coef(vb)), tolerance = .05)
  expect_true(gibbs$convergence$converged)
  draws <- gibbs$posterior$draws
  last <- dim(draws)[1]
  drawn <- matrix(0, 4, 4)
  drawn[lower.tri(drawn, TRUE)] <- draws[last, 1, grepl("^residual", dimnames(draws)[[3]])]
  values <- eigen(drawn + t(drawn) - diag(diag(drawn)), symmetric = TRUE)$values
  expect_equal(values[2:3], values[3:4], tolerance = 1e-8) # sigma2 three times
  chosen <- fit("gibbs", "auto", control = gibbs_control(chains = 1, iterations = 300))
  expect_gt(glance(chosen)$seconds, sum(chosen$candidates$seconds))
  expect_identical(chosen$rank, 1L)
  expect_identical(nrow(glance(chosen, all = TRUE)), nrow(chosen$candidates))
  expect_match(utils::capture.output(print(chosen)), "low rank \\(1\\)", all = FALSE)
})

test_that("chains go on bitwise, and draws are those of any number of threads", {
  d <- mixed_data(missing = .1)
  whole <- mixed_data()
  prior <- quick_prior()
  for (y in list(d$y, whole$y)) {
    for (kind in sampled_kinds) {
      fit <- function(iterations, threads = 1) {
        control <- gibbs_control(chains = 2, iterations = iterations, warmup = 10)
        suppressWarnings(mmash(whole$x, y, prior, residual = kind, method = "gibbs", seed = 3,
                               threads = threads, control = control))
      }
      long <- fit(60)
      short <- fit(40)
      threads <- 1
      expect_identical(suppressWarnings(resume(short, 20))$posterior, long$posterior)
      expect_identical(fit(60, 2)$posterior, long$posterior)
    }
  }
})

test_that("probabilities of signs and of the null agree, however few draws are not null", {
  d <- mixed_data()
  prior <- quick_prior(weights = c(.99, rep(.01 / 9, 9)))
  fit <- quiet_mmash(d$x, d$y, prior, method = "gibbs", seed = 1, update = "residual",
                     control = gibbs_control(chains = 1, iterations = 60))
  post <- fit$posterior
  expect_true(any(pip(fit) > 0 & pip(fit) < 1 / 30)) # less than one draw
  expect_equal(post$positive + post$negative + post$zero, post$zero^0, tolerance = 1e-12)
  expect_true(all(post$positive + post$negative <= pip(fit) + 1e-12))
  expect_true(all(lfsr(fit) >= 1 - pip(fit) - 1e-12))
})

test_that("a variant without variation keeps its prior, whatever the engine", {
  d <- mixed_data(p = 5)
  x <- cbind(d$x, flat = 1)
  for (method in c("vb", "em", "gibbs")) {
    control <- if (method == "gibbs") gibbs_control(chains = 1, iterations = 200)
    fit <- quiet_mmash(x, d$y, quick_prior(), method = method, control = control, seed = 1)
    expect_identical(unname(coef(fit)["flat", ]), c(0, 0, 0))
    expect_equal(unname(pip(fit)["flat"]), 1 - fit$estimate$weights[["null"]], tolerance = 1e-8)
    expect_gt(fit$posterior$sd["flat", 1], 0)
  }
})
