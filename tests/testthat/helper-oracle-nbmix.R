# Reference implementation of the negative binomial mixture, in plain R and written from the
# formulas alone, so that the compiled engines have something independent to agree with. Slow.
#
# Model: z_i ~ Categorical(weights), x_i | z_i = k ~ NB(mean = s_i mu_k, dispersion = phi_k), that
# is variance s_i mu_k + phi_k (s_i mu_k)^2; phi_k = 0 is the Poisson distribution exactly. With
# zero_weight > 0 one more component, always the last column, is a point mass at zero.
#
# A parameter set `theta` is list(weights, means, dispersions, zero_weight), with
# sum(weights) + zero_weight = 1.

# --- density ---

# sum_{j < x} f(j), looked up in one cumulative table: no difference of large log-gammas anywhere.
oracle_nb_sum_below <- function(x, f) {
  top <- max(x, 0)
  cumsum(c(0, if (top > 0) f(seq_len(top) - 1)))[x + 1]
}

# log(1 + phi m) / phi, with its limit m
oracle_nb_log1p_ratio <- function(m, phi) if (phi == 0) m else log1p(phi * m) / phi

# log NB = sum_{j<x} log(1 + phi j) + x log m - x log(1 + phi m) - log(1 + phi m)/phi - log x!
# holds for every phi >= 0 without cancellation; at phi = 0 it is the Poisson log density.
oracle_nb_log_density <- function(x, mean, phi) {
  power <- ifelse(x == 0, 0, x * log(mean))
  oracle_nb_sum_below(x, function(j) log1p(phi * j)) + power - x * log1p(phi * mean) -
    oracle_nb_log1p_ratio(mean, phi) - lfactorial(x)
}

# First and second derivatives of the log density in (mu, phi), where mean = s mu.
oracle_nb_derivatives <- function(x, s, mu, phi) {
  m <- s * mu
  q <- 1 + phi * m
  ratio <- oracle_nb_ratio_derivatives(m, phi)
  list(
    mu = (x - m) / (mu * q),
    phi = oracle_nb_sum_below(x, function(j) j / (1 + phi * j)) - x * m / q - ratio$first,
    mu_mu = s^2 * (-x / m^2 + (1 + phi * x) * phi / q^2),
    mu_phi = -s * (x - m) / q^2,
    phi_phi = -oracle_nb_sum_below(x, function(j) (j / (1 + phi * j))^2) + x * m^2 / q^2 -
      ratio$second
  )
}

# Derivatives in phi of log(1 + phi m)/phi; by their power series where the closed form cancels.
oracle_nb_ratio_derivatives <- function(m, phi) {
  u <- phi * m
  closed <- list(
    first = m / (phi * (1 + u)) - log1p(u) / phi^2,
    second = -m * (1 + 2 * u) / (phi^2 * (1 + u)^2) - m / (phi^2 * (1 + u)) +
      2 * log1p(u) / phi^3
  )
  first <- second <- 0
  for (j in 25:1) { # Horner's scheme; the ratio is sum_{j>=0} (-u)^j m / (j + 1)
    first <- first * -u + j / (j + 1)
    second <- second * -u + j * (j + 1) / (j + 2)
  }
  list(first = ifelse(u < 0.1, -m^2 * first, closed$first),
       second = ifelse(u < 0.1, m^3 * second, closed$second))
}

# --- mixture ---

oracle_nb_theta <- function(weights, means, dispersions, zero_weight = 0) {
  list(weights = weights, means = means, dispersions = dispersions, zero_weight = zero_weight)
}

oracle_log_sum_exp <- function(a) {
  top <- apply(a, 1, max)
  top + log(rowSums(exp(a - top)))
}

# n x K matrix of log weight + log density, with a last column for the point mass when there is one
oracle_nb_log_joint <- function(x, s, theta) {
  s <- rep_len(s, length(x))
  cols <- lapply(seq_along(theta$means), function(k) {
    log(theta$weights[k]) + oracle_nb_log_density(x, s * theta$means[k], theta$dispersions[k])
  })
  if (theta$zero_weight > 0) {
    cols <- c(cols, list(ifelse(x == 0, log(theta$zero_weight), -Inf)))
  }
  do.call(cbind, cols)
}

oracle_nb_log_likelihood <- function(x, s, theta) {
  sum(oracle_log_sum_exp(oracle_nb_log_joint(x, s, theta)))
}

oracle_nb_responsibilities <- function(x, s, theta) {
  a <- oracle_nb_log_joint(x, s, theta)
  exp(a - oracle_log_sum_exp(a))
}

# --- EM ---

# mu that maximises sum r log NB(x; s mu, phi) at a given phi: the root of sum r (x - s mu)/(1 +
# phi s mu), which falls in mu.
oracle_nb_best_mean <- function(x, s, r, phi) {
  if (sum(r * x) == 0) return(0)
  ratio <- x[r > 0] / s[r > 0]
  score <- function(mu) sum(r * (x - s * mu) / (1 + phi * s * mu))
  if (phi == 0) return(sum(r * x) / sum(r * s))
  if (diff(range(s)) == 0) return(sum(r * x) / sum(r) / s[1])
  ends <- c(max(min(ratio), max(ratio) * 1e-12), max(ratio))
  if (score(ends[1]) <= 0) ends[1] <- ends[1] * 1e-6
  uniroot(score, ends, tol = 1e-14 * ends[2], maxiter = 1000)$root
}

# Weighted maximum likelihood of one component. A grid in log phi finds the basin, the root of the
# profile score in phi the optimum, and phi = 0 wins when nothing inside is better.
oracle_nb_fit_component <- function(x, s, r) {
  if (sum(r * x) == 0) return(c(mean = 0, dispersion = 0))
  value <- function(phi) {
    sum(r * oracle_nb_log_density(x, s * oracle_nb_best_mean(x, s, r, phi), phi))
  }
  slope <- function(log_phi) {
    phi <- exp(log_phi)
    sum(r * oracle_nb_derivatives(x, s, oracle_nb_best_mean(x, s, r, phi), phi)$phi)
  }
  grid <- seq(log(1e-9), log(1e4), length.out = 61)
  inside <- vapply(exp(grid), value, 0)
  best <- which.max(inside)
  phi <- 0
  if (inside[best] > value(0)) phi <- oracle_nb_polish(slope, grid[pmax(1, best + c(-1, 1))])
  c(mean = oracle_nb_best_mean(x, s, r, phi), dispersion = phi)
}

oracle_nb_polish <- function(slope, ends) {
  if (is.na(ends[2]) || slope(ends[1]) <= 0 || slope(ends[2]) >= 0) return(exp(mean(ends)))
  exp(uniroot(slope, ends, tol = 1e-13, maxiter = 1000)$root)
}

oracle_nb_m_step <- function(x, s, resp, zero_inflated = FALSE) {
  s <- rep_len(s, length(x))
  components <- seq_len(ncol(resp) - zero_inflated)
  parts <- vapply(components, function(k) oracle_nb_fit_component(x, s, resp[, k]), numeric(2))
  share <- colMeans(resp)
  oracle_nb_theta(share[components], parts["mean", ], parts["dispersion", ],
                  if (zero_inflated) share[ncol(resp)] else 0)
}

oracle_nb_em_step <- function(x, s, theta) {
  resp <- oracle_nb_responsibilities(x, s, theta)
  oracle_nb_m_step(x, s, resp, zero_inflated = theta$zero_weight > 0)
}

# --- maximum likelihood by general-purpose optimisation ---

# Unconstrained coordinates: log weight ratios to the first component (point mass last), log means,
# log dispersions.
oracle_nb_pack <- function(theta) {
  w <- c(theta$weights, if (theta$zero_weight > 0) theta$zero_weight)
  c(log(w[-1] / w[1]), log(theta$means), log(pmax(theta$dispersions, 1e-8)))
}

oracle_nb_unpack <- function(par, k, zero_inflated = FALSE) {
  free <- k - 1 + zero_inflated
  w <- exp(c(0, par[seq_len(free)]))
  w <- w / sum(w)
  oracle_nb_theta(w[seq_len(k)], exp(par[free + seq_len(k)]), exp(par[free + k + seq_len(k)]),
                  if (zero_inflated) w[k + 1] else 0)
}

# Gradient of the log likelihood in those coordinates, by Fisher's identity.
oracle_nb_gradient <- function(par, x, s, k, zero_inflated = FALSE) {
  s <- rep_len(s, length(x))
  theta <- oracle_nb_unpack(par, k, zero_inflated)
  resp <- oracle_nb_responsibilities(x, s, theta)
  w <- c(theta$weights, if (zero_inflated) theta$zero_weight)
  slopes <- vapply(seq_len(k), function(j) {
    d <- oracle_nb_derivatives(x, s, theta$means[j], theta$dispersions[j])
    c(sum(resp[, j] * d$mu) * theta$means[j], sum(resp[, j] * d$phi) * theta$dispersions[j])
  }, numeric(2))
  c((colSums(resp) - length(x) * w)[-1], slopes[1, ], slopes[2, ])
}

# Starts: quantile splits with small and large dispersions, or the ones given.
oracle_nb_starts <- function(x, s, k, zero_inflated = FALSE) {
  rate <- x / rep_len(s, length(x))
  cuts <- stats::quantile(rate, (seq_len(k) - 0.5) / k, names = FALSE)
  zero <- if (zero_inflated) mean(x == 0) / 2 else 0
  lapply(c(0.01, 0.1, 1), function(phi) {
    spread <- seq(0.95, 1.05, length.out = k)
    oracle_nb_theta(rep((1 - zero) / k, k), pmax(cuts, mean(rate) / 50) * spread, rep(phi, k),
                    zero)
  })
}

# Returns list(theta, log_likelihood). Dispersions that run off towards zero are set to zero when
# that does not lower the likelihood.
oracle_nb_mle <- function(x, s = 1, k = 1, zero_inflated = FALSE, starts = NULL) {
  if (is.null(starts)) starts <- oracle_nb_starts(x, s, k, zero_inflated)
  value <- function(par) {
    f <- oracle_nb_log_likelihood(x, s, oracle_nb_unpack(par, k, zero_inflated))
    if (is.finite(f)) f else -1e300
  }
  slope <- function(par) oracle_nb_gradient(par, x, s, k, zero_inflated)
  runs <- lapply(starts, function(start) {
    fit <- stats::optim(oracle_nb_pack(start), value, slope, method = "BFGS",
                        control = list(fnscale = -1, maxit = 200, reltol = 1e-13))
    oracle_nb_try_poisson(x, s, oracle_nb_unpack(fit$par, k, zero_inflated))
  })
  best <- which.max(vapply(runs, `[[`, 0, "log_likelihood"))
  runs[[best]]
}

oracle_nb_try_poisson <- function(x, s, theta) {
  value <- oracle_nb_log_likelihood(x, s, theta)
  for (k in seq_along(theta$dispersions)) {
    trial <- theta
    trial$dispersions[k] <- 0
    if (length(theta$means) == 1 && theta$zero_weight == 0) {
      trial$means <- sum(x) / sum(rep_len(s, length(x)))
    }
    at_zero <- oracle_nb_log_likelihood(x, s, trial)
    if (at_zero >= value) {
      theta <- trial
      value <- at_zero
    }
  }
  list(theta = theta, log_likelihood = value)
}

# --- observed information ---

# Natural coordinates for standard errors: the free weights (all but the last of the regular and
# point-mass weights together), the means, then those dispersions that are not on the boundary.
oracle_nb_natural <- function(theta) {
  w <- c(theta$weights, if (theta$zero_weight > 0) theta$zero_weight)
  c(w[-length(w)], theta$means, theta$dispersions[theta$dispersions > 0])
}

oracle_nb_from_natural <- function(par, theta) {
  k <- length(theta$means)
  free <- k - 1 + (theta$zero_weight > 0)
  w <- par[seq_len(free)]
  w <- c(w, 1 - sum(w))
  phi <- theta$dispersions
  phi[phi > 0] <- par[-seq_len(free + k)]
  oracle_nb_theta(w[seq_len(k)], par[free + seq_len(k)], phi,
                  if (theta$zero_weight > 0) w[k + 1] else 0)
}

# Minus the Hessian of the log likelihood by Richardson extrapolation.
oracle_nb_information_numeric <- function(x, s, theta) {
  value <- function(par) oracle_nb_log_likelihood(x, s, oracle_nb_from_natural(par, theta))
  par <- oracle_nb_natural(theta)
  unname(-numDeriv::hessian(function(u) value(u * par), rep(1, length(par))) / outer(par, par))
}

# Louis (1982): observed information = E[complete information | x] - Var[complete score | x],
# cell by cell, because the cells are independent given theta.
oracle_nb_information_louis <- function(x, s, theta) {
  s <- rep_len(s, length(x))
  resp <- oracle_nb_responsibilities(x, s, theta)
  pieces <- lapply(seq_len(ncol(resp)), function(k) oracle_nb_complete(x, s, theta, k))
  size <- length(oracle_nb_natural(theta))
  info <- matrix(0, size, size)
  mean_score <- matrix(0, length(x), size)
  for (k in seq_along(pieces)) {
    r <- resp[, k]
    score <- pieces[[k]]$score
    info <- info + colSums_3d(r, pieces[[k]]$information) - crossprod(score, r * score)
    mean_score <- mean_score + r * score
  }
  info + crossprod(mean_score)
}

colSums_3d <- function(r, a) apply(a, c(2, 3), function(v) sum(r * v))

# Score (n x size) and minus Hessian (n x size x size) of log(weight_k f_k(x_i)).
oracle_nb_complete <- function(x, s, theta, k) {
  w <- c(theta$weights, if (theta$zero_weight > 0) theta$zero_weight)
  free <- length(w) - 1
  count <- length(theta$means)
  interior <- which(theta$dispersions > 0)
  size <- free + count + length(interior)
  score <- matrix(0, length(x), size)
  information <- array(0, c(length(x), size, size))
  cols <- if (k <= free) k else seq_len(free)
  score[, cols] <- if (k <= free) 1 / w[k] else -1 / w[k]
  information[, cols, cols] <- 1 / w[k]^2
  if (k > count) return(list(score = score, information = information))
  d <- oracle_nb_derivatives(x, s, theta$means[k], theta$dispersions[k])
  m <- free + k
  score[, m] <- d$mu
  information[, m, m] <- -d$mu_mu
  if (k %in% interior) {
    p <- free + count + match(k, interior)
    score[, p] <- d$phi
    information[, p, p] <- -d$phi_phi
    information[, m, p] <- information[, p, m] <- -d$mu_phi
  }
  list(score = score, information = information)
}

# Standard errors by component: list(weights, means, dispersions, zero_weight); NA for a dispersion
# at its boundary. The last weight is one minus the others.
oracle_nb_standard_errors <- function(x, s, theta, information = oracle_nb_information_louis) {
  v <- solve(information(x, s, theta))
  k <- length(theta$means)
  free <- k - 1 + (theta$zero_weight > 0)
  first <- seq_len(free)
  w <- c(sqrt(diag(v)[first]), if (free > 0) sqrt(sum(v[first, first])) else 0)
  phi <- rep(NA_real_, k)
  phi[theta$dispersions > 0] <- sqrt(diag(v)[-seq_len(free + k)])
  list(weights = w[seq_len(k)], means = sqrt(diag(v)[free + seq_len(k)]), dispersions = phi,
       zero_weight = if (theta$zero_weight > 0) w[k + 1] else 0)
}

# --- Cox-Reid adjustment, one component and an intercept only ---

# Profile log likelihood in phi minus half the log of I(beta) = sum mu_i / (1 + phi mu_i), the
# information in the log mean beta (Cox & Reid 1987). glmGamPoi damps the term by 0.99, and its
# values are the ones to be met; factor = 1 is the undamped adjustment.
oracle_nb_cox_reid <- function(x, s, phi, factor = 0.99) {
  s <- rep_len(s, length(x))
  m <- s * oracle_nb_best_mean(x, s, rep(1, length(x)), phi)
  sum(oracle_nb_log_density(x, m, phi)) - factor / 2 * log(sum(m / (1 + phi * m)))
}

oracle_nb_cox_reid_mle <- function(x, s = 1, factor = 0.99) {
  s <- rep_len(s, length(x))
  grid <- seq(log(1e-9), log(1e4), length.out = 121)
  value <- function(log_phi) oracle_nb_cox_reid(x, s, exp(log_phi), factor)
  inside <- vapply(grid, value, 0)
  best <- which.max(inside)
  phi <- 0
  if (inside[best] > oracle_nb_cox_reid(x, s, 0, factor)) {
    ends <- grid[pmin(length(grid), pmax(1, best + c(-1, 1)))]
    slope <- function(u) numDeriv::grad(value, u)
    phi <- exp(uniroot(slope, ends, tol = 1e-12, maxiter = 1000)$root)
  }
  list(mean = oracle_nb_best_mean(x, s, rep(1, length(x)), phi), dispersion = phi,
       value = oracle_nb_cox_reid(x, s, phi, factor))
}

# --- Gibbs: joint density and full conditionals ---

# Hierarchy: pi ~ Dirichlet(alpha), mu_k ~ inverse gamma(shape, rate) (conjugate given the latent
# rates), log phi_k ~ N(m1, v1), lambda_i | z_i = k ~ Gamma(1/phi_k, 1/(phi_k mu_k)),
# x_i ~ Poisson(s_i lambda_i). `prior` = list(alpha, shape, rate, m1, v1). State = list(z, lambda,
# weights, mu, phi).
oracle_log_inverse_gamma <- function(v, shape, rate) {
  shape * log(rate) - lgamma(shape) - (shape + 1) * log(v) - rate / v
}

oracle_log_dirichlet <- function(w, alpha) {
  lgamma(sum(alpha)) - sum(lgamma(alpha)) + sum((alpha - 1) * log(w))
}

oracle_nb_gibbs_joint <- function(x, s, state, prior) {
  phi <- state$phi[state$z]
  mu <- state$mu[state$z]
  sum(stats::dpois(x, s * state$lambda, log = TRUE)) +
    sum(stats::dgamma(state$lambda, 1 / phi, 1 / (phi * mu), log = TRUE)) +
    sum(log(state$weights[state$z])) +
    oracle_log_dirichlet(state$weights, rep_len(prior$alpha, length(state$weights))) +
    sum(oracle_log_inverse_gamma(state$mu, prior$shape, prior$rate)) +
    sum(stats::dnorm(log(state$phi), prior$m1, sqrt(prior$v1), log = TRUE) - log(state$phi))
}

# lambda_i | rest ~ Gamma(x_i + 1/phi, s_i + 1/(phi mu))
oracle_nb_log_cond_lambda <- function(lambda, x, s, state) {
  phi <- state$phi[state$z]
  stats::dgamma(lambda, x + 1 / phi, s + 1 / (phi * state$mu[state$z]), log = TRUE)
}

# z_i | lambda_i and, with the rate summed out (lambda = NULL), z_i | x_i: n x K log probabilities
oracle_nb_log_cond_z <- function(x, s, state, collapsed = TRUE) {
  a <- vapply(seq_along(state$mu), function(k) {
    log(state$weights[k]) + if (collapsed) {
      oracle_nb_log_density(x, s * state$mu[k], state$phi[k])
    } else {
      stats::dgamma(state$lambda, 1 / state$phi[k], 1 / (state$phi[k] * state$mu[k]), log = TRUE)
    }
  }, numeric(length(x)))
  a - oracle_log_sum_exp(a)
}

oracle_nb_log_cond_weights <- function(weights, state, prior) {
  oracle_log_dirichlet(weights, prior$alpha + tabulate(state$z, length(weights)))
}

# mu_k | lambda, phi_k ~ inverse gamma(shape + n_k/phi_k, rate + sum lambda/phi_k)
oracle_nb_log_cond_mean <- function(mu, k, state, prior) {
  mine <- state$lambda[state$z == k]
  oracle_log_inverse_gamma(mu, prior$shape + length(mine) / state$phi[k],
                           prior$rate + sum(mine) / state$phi[k])
}

# phi_k | rest up to a constant: given the rates, or with them summed out (collapsed)
oracle_nb_log_cond_dispersion <- function(phi, k, x, s, state, prior, collapsed = FALSE) {
  mine <- state$z == k
  s <- rep_len(s, length(x))
  fit <- if (collapsed) {
    oracle_nb_log_density(x[mine], s[mine] * state$mu[k], phi)
  } else {
    stats::dgamma(state$lambda[mine], 1 / phi, 1 / (phi * state$mu[k]), log = TRUE)
  }
  sum(fit) + stats::dnorm(log(phi), prior$m1, sqrt(prior$v1), log = TRUE) - log(phi)
}

# --- variational bound ---

# Variational EM: q(z) categorical, q(pi) Dirichlet(dirichlet), and (log mu_k, log phi_k) at points
# under normal priors, prior = list(m0, v0, m1, v1); pi ~ Dirichlet(alpha0/C) over the C columns of
# `resp`. A point mass at zero is the last column, beyond length(mu).
oracle_nb_bound <- function(x, s, alpha0, resp, dirichlet, mu, phi, prior) {
  size <- ncol(resp)
  e_log_pi <- digamma(dirichlet) - digamma(sum(dirichlet))
  alpha <- rep(alpha0 / size, size)
  s <- rep_len(s, length(x))
  fit <- vapply(seq_len(size), function(k) {
    if (k > length(mu)) return(ifelse(x == 0, 0, -Inf))
    oracle_nb_log_density(x, s * mu[k], phi[k])
  }, numeric(length(x)))
  terms <- resp * (sweep(fit, 2, e_log_pi, `+`) - log(resp))
  sum(terms[resp > 0]) - oracle_kl_dirichlet(dirichlet, alpha) +
    sum(stats::dnorm(log(mu), prior$m0, sqrt(prior$v0), log = TRUE)) +
    sum(stats::dnorm(log(phi), prior$m1, sqrt(prior$v1), log = TRUE))
}

# KL(Dirichlet(a) || Dirichlet(b)) = E_q log q(pi) - E_q log p(pi)
oracle_kl_dirichlet <- function(a, b) {
  lgamma(sum(a)) - sum(lgamma(a)) - lgamma(sum(b)) + sum(lgamma(b)) +
    sum((a - b) * (digamma(a) - digamma(sum(a))))
}

# One coordinate pass: q(z), q(pi), then the points, each component's (log mu, log phi) by optim.
oracle_nb_vb_step <- function(x, s, alpha0, dirichlet, mu, phi, prior) {
  s <- rep_len(s, length(x))
  size <- length(dirichlet)
  theta <- oracle_nb_theta(exp(digamma(dirichlet) - digamma(sum(dirichlet)))[seq_along(mu)], mu,
                           phi, if (size > length(mu)) exp(digamma(dirichlet[size]) -
                             digamma(sum(dirichlet))) else 0)
  resp <- oracle_nb_responsibilities(x, s, theta)
  points <- vapply(seq_along(mu), function(k) {
    value <- function(u) {
      sum(resp[, k] * oracle_nb_log_density(x, s * exp(u[1]), exp(u[2]))) -
        (u[1] - prior$m0)^2 / (2 * prior$v0) - (u[2] - prior$m1)^2 / (2 * prior$v1)
    }
    fit <- stats::optim(log(c(mu[k], phi[k])), value, method = "BFGS",
                        control = list(fnscale = -1, reltol = 1e-15, maxit = 1000))
    exp(fit$par)
  }, numeric(2))
  list(resp = resp, dirichlet = alpha0 / size + colSums(resp), mu = points[1, ],
       phi = points[2, ])
}
