# Reference implementation of multivariate regression with a mixture-of-normals prior, dense, in
# plain R and from the formulas alone (M&M ASH notes, eq. 20 to 24, for any residual covariance).
#
# Model: Y = 1 mu' + X B + E, rows of E ~ N(0, sigma); rows of B ~ sum_t weights_t N(0, V_t);
# V_t = 0 is a point mass. q(B) is a product over the rows. The intercept is profiled out of
# log p(Y | B) for each B, which for complete Y means centring X and Y and keeping N rows.
#
# prior = list(weights (T), v (J x J x T)). State: list(mean (P x J), alpha (P x T),
# cov (J x J x P), kl (P)), all of q.

# --- one effect ---

# Everything about a component from its likelihood: precision h (J x J, d_p sigma^-1 when Y is
# complete) and linear term a (J), that is log p = a'b - b'hb/2 + constant. No inverse of V: with
# M = (I + V h)^-1, S = M V, mu = S a, log|S|/|V| = log|M|, and KL(N(mu,S) || N(0,V)) =
# (tr M - J + mu'V^-1 mu - log|M|)/2 where V^-1 mu = M'a on the range of V. All hold at V = 0.
oracle_mmash_component <- function(a, h, v) {
  j <- length(a)
  m <- solve(diag(j) + v %*% h)
  s <- m %*% v
  mu <- drop(s %*% a)
  log_det <- as.numeric(determinant(m)$modulus)
  list(mu = mu, s = (s + t(s)) / 2, log_bf = 0.5 * log_det + 0.5 * sum(a * mu),
       kl = 0.5 * (sum(diag(m)) - j + sum(mu * (t(m) %*% a)) - log_det))
}

# q of one row of B: mixture weights, component moments, overall moments and KL(q || prior)
oracle_mmash_effect <- function(a, h, prior) {
  parts <- lapply(seq_along(prior$weights), function(t) {
    oracle_mmash_component(a, h, matrix(prior$v[, , t], length(a)))
  })
  score <- log(prior$weights) + vapply(parts, `[[`, 0, "log_bf")
  alpha <- exp(score - max(score))
  alpha <- alpha / sum(alpha)
  mean <- Reduce(`+`, Map(function(w, p) w * p$mu, alpha, parts))
  second <- Reduce(`+`, Map(function(w, p) w * (p$s + outer(p$mu, p$mu)), alpha, parts))
  on <- alpha > 0
  kl <- sum(alpha[on] * (log(alpha[on] / prior$weights[on]) + vapply(parts, `[[`, 0, "kl")[on]))
  list(alpha = alpha, parts = parts, mean = mean, cov = second - outer(mean, mean), kl = kl,
       log_bf = max(score) + log(sum(exp(score - max(score)))))
}

# --- the likelihood as a quadratic form ---

# Likelihood pieces when Y may hold NA. Row i with observed conditions o has precision P_i, the
# inverse of sigma[o, o] padded with zeros; rows without any are dropped. With K = sum P_i,
# G_p = sum_i x_ip P_i, the intercept maximised for each B leaves
#   h[p, q] = sum_i x_ip x_iq P_i - G_p K^-1 G_q,   h_p = sum_i x_ip P_i y_i - G_p K^-1 sum P_i y_i
# and log p(Y | B) = constant + sum_p b_p'h_p - 1/2 sum_pq b_p' h[p, q] b_q. For complete Y,
# h[p, q] = (x_p'x_q, centred) sigma^-1. Nothing here is approximate.
oracle_mmash_quadratic <- function(x, y, sigma) {
  seen <- rowSums(!is.na(y)) > 0
  x <- x[seen, , drop = FALSE]
  y <- y[seen, , drop = FALSE]
  j <- ncol(y)
  rows <- lapply(seq_len(nrow(y)), function(i) oracle_mmash_row(y[i, ], sigma))
  py <- t(vapply(rows, `[[`, numeric(j), "py"))
  if (j == 1) py <- t(py)
  k <- Reduce(`+`, lapply(rows, `[[`, "precision"))
  g <- lapply(seq_len(ncol(x)), function(p) {
    Reduce(`+`, Map(function(w, r) w * r$precision, x[, p], rows))
  })
  h <- function(p, q) {
    Reduce(`+`, Map(function(w, r) w * r$precision, x[, p] * x[, q], rows)) -
      g[[p]] %*% solve(k, g[[q]])
  }
  total <- colSums(py)
  linear <- vapply(seq_len(ncol(x)), function(p) {
    colSums(x[, p] * py) - drop(g[[p]] %*% solve(k, total))
  }, numeric(j))
  list(h = h, linear = matrix(linear, ncol(x), j, byrow = TRUE), k = k, g = g, total = total,
       constant = sum(vapply(rows, `[[`, 0, "constant")) + 0.5 * sum(total * solve(k, total)),
       x = x, y = y)
}

oracle_mmash_row <- function(row, sigma) {
  o <- which(!is.na(row))
  precision <- matrix(0, length(row), length(row))
  precision[o, o] <- solve(sigma[o, o, drop = FALSE])
  row[-o] <- 0
  py <- drop(precision %*% row)
  log_det <- as.numeric(determinant(sigma[o, o, drop = FALSE])$modulus)
  list(precision = precision, py = py,
       constant = -0.5 * (length(o) * log(2 * pi) + log_det + sum(row * py)))
}

# E_q log p(Y | B), the intercept profiled out for each B
oracle_mmash_expected_log_likelihood <- function(quadratic, mean, cov) {
  p <- nrow(mean)
  value <- quadratic$constant + sum(quadratic$linear * mean)
  for (i in seq_len(p)) {
    value <- value - 0.5 * sum(quadratic$h(i, i) * cov[, , i])
    for (l in seq_len(p)) {
      value <- value - 0.5 * drop(mean[i, ] %*% quadratic$h(i, l) %*% mean[l, ])
    }
  }
  value
}

# --- coordinate ascent ---

# One sweep in the given order over complete or incomplete Y
oracle_mmash_sweep <- function(x, y, mean, prior, sigma, order = seq_len(ncol(x))) {
  if (anyNA(y)) return(oracle_mmash_sweep_missing(x, y, mean, prior, sigma, order))
  x <- scale(x, scale = FALSE)
  residual <- scale(y, scale = FALSE) - x %*% mean
  precision <- solve(sigma)
  state <- oracle_mmash_empty(ncol(x), ncol(y), length(prior$weights))
  for (p in order) {
    residual <- residual + outer(x[, p], mean[p, ])
    effect <- oracle_mmash_effect(drop(precision %*% crossprod(residual, x[, p])),
                                  sum(x[, p]^2) * precision, prior)
    mean[p, ] <- effect$mean
    residual <- residual - outer(x[, p], mean[p, ])
    state <- oracle_mmash_store(state, p, effect)
  }
  state
}

oracle_mmash_sweep_missing <- function(x, y, mean, prior, sigma, order = seq_len(ncol(x))) {
  quadratic <- oracle_mmash_quadratic(x, y, sigma)
  state <- oracle_mmash_empty(ncol(x), ncol(y), length(prior$weights))
  for (p in order) {
    a <- quadratic$linear[p, ]
    for (l in setdiff(seq_len(ncol(x)), p)) a <- a - drop(quadratic$h(p, l) %*% mean[l, ])
    effect <- oracle_mmash_effect(a, quadratic$h(p, p), prior)
    mean[p, ] <- effect$mean
    state <- oracle_mmash_store(state, p, effect)
  }
  state
}

oracle_mmash_empty <- function(p, j, t) {
  list(mean = matrix(0, p, j), alpha = matrix(0, p, t), cov = array(0, c(j, j, p)),
       kl = numeric(p), effects = vector("list", p))
}

oracle_mmash_store <- function(state, p, effect) {
  state$mean[p, ] <- effect$mean
  state$alpha[p, ] <- effect$alpha
  state$cov[, , p] <- effect$cov
  state$kl[p] <- effect$kl
  state$effects[[p]] <- effect
  state
}

# KL(q || prior) of every row under other weights than those q was computed with
oracle_mmash_kl <- function(state, weights) {
  vapply(state$effects, function(e) {
    on <- e$alpha > 0
    kl <- vapply(e$parts, `[[`, 0, "kl")
    sum(e$alpha[on] * (log(e$alpha[on] / weights[on]) + kl[on]))
  }, 0)
}

# The bound: E_q log p(Y | B) - KL. For complete Y the first term is
# -NJ/2 log 2 pi - N/2 log|sigma| - N/2 tr(sigma^-1 C), C the expected residual cross-product / N.
oracle_mmash_bound <- function(x, y, state, prior, sigma) {
  kl <- sum(oracle_mmash_kl(state, prior$weights))
  if (anyNA(y)) {
    quadratic <- oracle_mmash_quadratic(x, y, sigma)
    return(oracle_mmash_expected_log_likelihood(quadratic, state$mean, state$cov) - kl)
  }
  n <- nrow(y)
  c_hat <- oracle_mmash_cross_product(x, y, state)
  -n * ncol(y) / 2 * log(2 * pi) - n / 2 * as.numeric(determinant(sigma)$modulus) -
    n / 2 * sum(solve(sigma) * c_hat) - kl
}

# C = [(Y - XR)'(Y - XR) + sum_p d_p Cov_q(b_p)] / N, X and Y centred
oracle_mmash_cross_product <- function(x, y, state) {
  x <- scale(x, scale = FALSE)
  residual <- scale(y, scale = FALSE) - x %*% state$mean
  spread <- Reduce(`+`, lapply(seq_len(ncol(x)), function(p) sum(x[, p]^2) * state$cov[, , p]))
  (crossprod(residual) + spread) / nrow(y)
}

# The same with NA in Y: the E step for the Gaussian missing cells given B, averaged over q(B).
# Row i has residual e_o = y_o - intercept_o - (B'x_i)_o with the intercept at its best for B. Given
# B, the whole row's residual has mean gain_i e_o, gain_i = sigma[, o] sigma[o, o]^-1, and
# covariance sigma - gain_i sigma[o, ]. So
#   C = 1/N sum_i gain_i E_q[e_o e_o'] gain_i' + sigma - gain_i sigma[o, ],
#   E_q[e e'] = mean mean' + sum_p M_ip Cov_q(b_p) M_ip', M_ip = x_ip I - K^-1 G_p,
# over the N rows with at least one observed condition.
oracle_mmash_cross_product_missing <- function(x, y, state, sigma) {
  q <- oracle_mmash_quadratic(x, y, sigma)
  shift <- lapply(q$g, function(g) solve(q$k, g))
  intercept <- drop(oracle_mmash_intercept(q, state$mean))
  total <- matrix(0, ncol(y), ncol(y))
  for (i in seq_len(nrow(q$y))) {
    o <- which(!is.na(q$y[i, ]))
    e <- (q$y[i, ] - intercept - drop(q$x[i, ] %*% state$mean))[o]
    second <- outer(e, e)
    for (p in seq_len(ncol(x))) {
      m <- (diag(q$x[i, p], ncol(y)) - shift[[p]])[o, , drop = FALSE]
      second <- second + m %*% state$cov[, , p] %*% t(m)
    }
    gain <- sigma[, o, drop = FALSE] %*% solve(sigma[o, o, drop = FALSE])
    total <- total + gain %*% second %*% t(gain) + sigma - gain %*% sigma[o, , drop = FALSE]
  }
  total / nrow(q$y)
}

# K^-1 (sum P_i y_i - sum_p G_p r_p): the intercept that is best for the mean of q, for x as given
oracle_mmash_intercept <- function(quadratic, mean) {
  pull <- Reduce(`+`, lapply(seq_len(nrow(mean)), function(p) quadratic$g[[p]] %*% mean[p, ]))
  solve(quadratic$k, quadratic$total - pull)
}

# Conditional mean and covariance of the missing cells of each row given the observed ones, at the
# mean of q: the imputed matrix and a list of covariances (zero where observed)
oracle_mmash_impute <- function(x, y, mean, intercept, sigma) {
  fitted <- sweep(x %*% mean, 2, intercept, `+`)
  spread <- vector("list", nrow(y))
  for (i in seq_len(nrow(y))) {
    o <- which(!is.na(y[i, ]))
    m <- setdiff(seq_len(ncol(y)), o)
    gain <- matrix(0, length(m), length(o))
    if (length(o) > 0) gain <- sigma[m, o, drop = FALSE] %*% solve(sigma[o, o, drop = FALSE])
    y[i, m] <- fitted[i, m] + gain %*% (y[i, o] - fitted[i, o])
    spread[[i]] <- matrix(0, ncol(y), ncol(y))
    spread[[i]][m, m] <- sigma[m, m] - gain %*% sigma[o, m, drop = FALSE]
  }
  list(y = y, spread = spread)
}

# --- updates of the prior weights and the residual covariance ---

# weights_t proportional to sum_p alpha_pt + penalty_t - 1, the maximum of the bound plus
# sum_t (penalty_t - 1) log weights_t. `penalty` above 1 on the null only; all 1: mean alpha.
oracle_mmash_weights <- function(alpha, penalty = rep(1, ncol(alpha))) {
  w <- colSums(alpha) + penalty - 1
  w / sum(w)
}

oracle_mmash_log_penalty <- function(weights, penalty) {
  on <- penalty != 1
  sum((penalty[on] - 1) * log(weights[on]))
}

# The sigma of each family that maximises -log|sigma| - tr(sigma^-1 C). Low rank: probabilistic
# PCA in closed form (Tipping & Bishop 1999), sigma2 I + W W' with `rank` columns in W.
oracle_mmash_residual <- function(c_hat, residual = "full", rank = NULL) {
  if (residual == "full") return(c_hat)
  if (residual == "diagonal") return(diag(diag(c_hat), ncol(c_hat)))
  e <- eigen(c_hat, symmetric = TRUE)
  kept <- seq_len(rank)
  sigma2 <- mean(e$values[setdiff(seq_len(ncol(c_hat)), kept)])
  w <- e$vectors[, kept, drop = FALSE] %*% diag(sqrt(e$values[kept] - sigma2), rank)
  diag(sigma2, ncol(c_hat)) + w %*% t(w)
}

# Coordinate ascent: a sweep, then the weights and the residual covariance, as asked for. `trace`
# is the (penalised) bound after each iteration, `trace_sweep` the one before the two updates.
oracle_mmash_fit <- function(x, y, prior, sigma, update = "weights", residual = "full",
                             rank = NULL, penalty = rep(1, length(prior$weights)),
                             iterations = 10, mean = matrix(0, ncol(x), ncol(y))) {
  trace <- trace_sweep <- numeric(iterations)
  value <- function() {
    oracle_mmash_bound(x, y, state, prior, sigma) +
      oracle_mmash_log_penalty(prior$weights, penalty)
  }
  for (i in seq_len(iterations)) {
    state <- oracle_mmash_sweep(x, y, mean, prior, sigma)
    mean <- state$mean
    trace_sweep[i] <- value()
    c_hat <- if (anyNA(y)) oracle_mmash_cross_product_missing(x, y, state, sigma) else
      oracle_mmash_cross_product(x, y, state)
    if ("weights" %in% update) prior$weights <- oracle_mmash_weights(state$alpha, penalty)
    if ("residual" %in% update) sigma <- oracle_mmash_residual(c_hat, residual, rank)
    trace[i] <- value()
  }
  list(state = state, prior = prior, sigma = sigma, trace = trace, trace_sweep = trace_sweep)
}

# --- what is reported per effect ---

# Posterior mean, sd, P(b > 0), P(b < 0) and local false sign rate of every effect. A component
# whose variance for a condition is 0 puts its mass at zero. lfsr as in mashr: the smaller of
# P(b >= 0) and P(b <= 0).
oracle_mmash_summary <- function(state) {
  each <- lapply(state$effects, function(e) {
    mu <- vapply(e$parts, `[[`, e$mean, "mu")
    sd <- vapply(e$parts, function(p) sqrt(pmax(diag(p$s), 0)), e$mean)
    mu <- matrix(mu, length(e$mean))
    sd <- matrix(sd, length(e$mean))
    positive <- drop(ifelse(sd > 0, stats::pnorm(mu / ifelse(sd > 0, sd, 1)), 0) %*% e$alpha)
    zero <- drop((sd == 0) %*% e$alpha)
    rbind(positive = positive, negative = 1 - zero - positive, zero = zero)
  })
  conditions <- ncol(each[[1]])
  pick <- function(name) {
    t(matrix(vapply(each, function(e) e[name, ], numeric(conditions)), conditions))
  }
  positive <- pick("positive")
  negative <- pick("negative")
  sd <- t(apply(state$cov, 3, function(v) sqrt(diag(as.matrix(v)))))
  list(mean = state$mean, sd = matrix(sd, nrow(state$mean)), positive = positive,
       negative = negative, zero = pick("zero"), lfsr = 1 - pmax(positive, negative))
}

# --- exact answers to compare with ---

# Exact log marginal likelihood with one column in x, the intercept profiled out for each b
oracle_mmash_log_marginal <- function(x, y, prior, sigma) {
  quadratic <- oracle_mmash_quadratic(x, y, sigma)
  quadratic$constant + oracle_mmash_effect(quadratic$linear[1, ], quadratic$h(1, 1), prior)$log_bf
}

# With one component q's fixed point has the exact posterior mean: generalised ridge, solved for
# all rows of B at once
oracle_mmash_ridge <- function(x, y, v, sigma) {
  x <- scale(x, scale = FALSE)
  y <- scale(y, scale = FALSE)
  p <- ncol(x)
  precision <- kronecker(solve(sigma), crossprod(x)) + kronecker(solve(v), diag(p))
  matrix(solve(precision, as.vector(crossprod(x, y) %*% solve(sigma))), p)
}
