# Reference implementation of cluster-weighted regression, in plain R and from the formulas alone.
#
# Model: z_i ~ Categorical(weights), x_i | k ~ N(mu_k, Sigma_k), y_i | x_i, k ~ N(B_k' w_i, Psi_k).
# Data: x is n x D (D may be 0), w is n x R with its intercept column, y is n x M (M may be 0) and
# may hold NA. A row without any response says nothing about the regressions; in a row with some,
# the missing ones are integrated out by conditioning on the others.
#
# theta = list(weights, means (K x D), covariances (D x D x K), coefficients (R x M x K),
# noise (M x M x K)).

# --- densities ---

# log N(rows of x; rows of mean, v), zero for no columns
oracle_normal_log_density <- function(x, mean, v) {
  if (ncol(x) == 0) return(numeric(nrow(x)))
  d <- x - mean
  u <- chol(v)
  -0.5 * (ncol(x) * log(2 * pi) + colSums(backsolve(u, t(d), transpose = TRUE)^2)) -
    sum(log(diag(u)))
}

oracle_repeat_row <- function(row, n) matrix(row, n, length(row), byrow = TRUE)

oracle_slice <- function(a, k) matrix(a[, , k], dim(a)[1], dim(a)[2])

# log p(observed part of y_i | k): rows are grouped by what is missing
oracle_cwm_log_response <- function(w, y, b, psi) {
  out <- numeric(nrow(y))
  mean <- w %*% b
  for (rows in oracle_missing_groups(y)) {
    o <- which(!is.na(y[rows[1], ]))
    out[rows] <- oracle_normal_log_density(y[rows, o, drop = FALSE], mean[rows, o, drop = FALSE],
                                           psi[o, o, drop = FALSE])
  }
  out
}

oracle_missing_groups <- function(y) {
  if (ncol(y) == 0) return(list())
  unname(split(seq_len(nrow(y)), apply(is.na(y), 1, paste, collapse = "")))
}

# n x K matrix of log(weight_k p(x_i | k)), without the responses
oracle_cwm_log_covariates <- function(x, theta) {
  oracle_by_component(length(theta$weights), nrow(x), function(k) {
    log(theta$weights[k]) +
      oracle_normal_log_density(x, oracle_repeat_row(theta$means[k, ], nrow(x)),
                                oracle_slice(theta$covariances, k))
  })
}

# n x K matrix of log(weight_k p(x_i | k) p(y_i | x_i, k))
oracle_cwm_log_joint <- function(x, w, y, theta) {
  response <- oracle_by_component(length(theta$weights), nrow(x), function(k) {
    oracle_cwm_log_response(w, y, oracle_slice(theta$coefficients, k),
                            oracle_slice(theta$noise, k))
  })
  oracle_cwm_log_covariates(x, theta) + response
}

# n x K matrix whose column k is f(k)
oracle_by_component <- function(k, n, f) matrix(vapply(seq_len(k), f, numeric(n)), n, k)

oracle_row_log_sum_exp <- function(a) {
  top <- apply(a, 1, max)
  top + log(rowSums(exp(a - top)))
}

oracle_cwm_log_likelihood <- function(x, w, y, theta) {
  sum(oracle_row_log_sum_exp(oracle_cwm_log_joint(x, w, y, theta)))
}

oracle_cwm_responsibilities <- function(x, w, y, theta) {
  a <- oracle_cwm_log_joint(x, w, y, theta)
  exp(a - oracle_row_log_sum_exp(a))
}

# --- EM ---

# Covariances from responsibilities and means, by mclust's names: E equal or V varying volume,
# E/V/I shape, E/V/I orientation.
oracle_cwm_covariances <- function(x, resp, means, family) {
  k <- ncol(resp)
  d <- ncol(x)
  scatter <- lapply(seq_len(k), function(j) {
    centred <- x - oracle_repeat_row(means[j, ], nrow(x))
    crossprod(centred, resp[, j] * centred)
  })
  pooled <- Reduce(`+`, scatter) / sum(resp)
  one <- function(j) {
    own <- scatter[[j]] / sum(resp[, j])
    switch(family,
      EII = diag(mean(diag(pooled)), d), VII = diag(mean(diag(own)), d),
      EEI = diag(diag(pooled), d), VVI = diag(diag(own), d),
      EEE = pooled, VVV = own, stop("family?"))
  }
  array(vapply(seq_len(k), one, matrix(0, d, d)), c(d, d, k))
}

# Responses with the missing cells of partly observed rows at their conditional mean in component
# k, and the sum of r_i times their conditional covariances; fully missing rows are left out.
oracle_cwm_complete <- function(w, y, r, b, psi) {
  spread <- matrix(0, ncol(y), ncol(y))
  mean <- w %*% b
  for (rows in oracle_missing_groups(y)) {
    m <- which(is.na(y[rows[1], ]))
    o <- setdiff(seq_len(ncol(y)), m)
    if (length(m) == 0 || length(o) == 0) next
    gain <- psi[m, o, drop = FALSE] %*% solve(psi[o, o, drop = FALSE])
    y[rows, m] <- mean[rows, m] + (y[rows, o] - mean[rows, o]) %*% t(gain)
    spread[m, m] <- spread[m, m] + sum(r[rows]) *
      (psi[m, m] - gain %*% psi[o, m, drop = FALSE])
  }
  list(y = y, spread = spread, use = rowSums(is.na(y)) == 0)
}

# Weighted least squares of one component: coefficients, residual cross-product, total weight
oracle_cwm_regression <- function(w, y, r, b, psi) {
  full <- oracle_cwm_complete(w, y, r, b, psi)
  use <- full$use
  r <- r[use]
  wr <- w[use, , drop = FALSE]
  yr <- full$y[use, , drop = FALSE]
  if (ncol(yr) > 0) b <- solve(crossprod(wr, r * wr), crossprod(wr, r * yr))
  e <- yr - wr %*% b
  list(b = b, scatter = crossprod(e, r * e) + full$spread, total = sum(r))
}

# `theta` supplies the current (B, Psi) that fill in missing responses; it may be NULL when none is
# missing.
oracle_cwm_m_step <- function(x, w, y, resp, family = "VVV", noise = "free", theta = NULL) {
  k <- ncol(resp)
  means <- crossprod(resp, x) / colSums(resp)
  fits <- lapply(seq_len(k), function(j) {
    if (is.null(theta)) return(oracle_cwm_regression(w, y, resp[, j], matrix(0, ncol(w), ncol(y)),
                                                     diag(ncol(y))))
    oracle_cwm_regression(w, y, resp[, j], oracle_slice(theta$coefficients, j),
                          oracle_slice(theta$noise, j))
  })
  pooled <- Reduce(`+`, lapply(fits, `[[`, "scatter")) / sum(vapply(fits, `[[`, 0, "total"))
  psi <- lapply(fits, function(f) if (noise == "equal") pooled else f$scatter / f$total)
  list(weights = colMeans(resp), means = means,
       covariances = oracle_cwm_covariances(x, resp, means, family),
       coefficients = array(as.numeric(unlist(lapply(fits, `[[`, "b"))), c(ncol(w), ncol(y), k)),
       noise = array(as.numeric(unlist(psi)), c(ncol(y), ncol(y), k)))
}

oracle_cwm_em_step <- function(x, w, y, theta, family = "VVV", noise = "free") {
  oracle_cwm_m_step(x, w, y, oracle_cwm_responsibilities(x, w, y, theta), family, noise, theta)
}

# From responsibilities or hard labels until the log likelihood stops moving
oracle_cwm_em <- function(x, w, y, start, family = "VVV", noise = "free", tolerance = 1e-10,
                          max_iterations = 2000) {
  if (!is.matrix(start)) start <- diag(max(start))[start, , drop = FALSE]
  theta <- oracle_cwm_m_step(x, w, y, start, family, noise)
  trace <- oracle_cwm_log_likelihood(x, w, y, theta)
  for (i in seq_len(max_iterations)) {
    theta <- oracle_cwm_em_step(x, w, y, theta, family, noise)
    trace[i + 1] <- oracle_cwm_log_likelihood(x, w, y, theta)
    if (trace[i + 1] - trace[i] < tolerance * abs(trace[i + 1])) break
  }
  list(theta = theta, log_likelihood = trace[length(trace)], trace = trace)
}

# Number of free parameters
oracle_cwm_df <- function(k, d, r, m, family = "VVV", noise = "free") {
  full <- d * (d + 1) / 2
  covariance <- switch(family, EII = 1, VII = k, EEI = d, VVI = k * d, EEE = full, VVV = k * full)
  if (d == 0) covariance <- 0
  (k - 1) + k * d + covariance + k * r * m + m * (m + 1) / 2 * (if (noise == "equal") 1 else k)
}

# --- identity with the joint Gaussian mixture ---

# With w = (1, x), cwm VVV is the Gaussian mixture on (x, y) with mean (mu, B'(1, mu)) and
# covariance blocks Sigma, Sigma A, A' Sigma A + Psi, where A is B without its intercept row.
oracle_cwm_to_joint <- function(theta) {
  k <- length(theta$weights)
  d <- ncol(theta$means)
  m <- dim(theta$noise)[1]
  means <- matrix(0, k, d + m)
  covariances <- array(0, c(d + m, d + m, k))
  for (j in seq_len(k)) {
    b <- oracle_slice(theta$coefficients, j)
    a <- b[-1, , drop = FALSE]
    sigma <- oracle_slice(theta$covariances, j)
    means[j, ] <- c(theta$means[j, ], t(b) %*% c(1, theta$means[j, ]))
    covariances[, , j] <- rbind(cbind(sigma, sigma %*% a),
                                cbind(t(a) %*% sigma, t(a) %*% sigma %*% a +
                                        oracle_slice(theta$noise, j)))
  }
  list(weights = theta$weights, means = means, covariances = covariances)
}

oracle_joint_to_cwm <- function(joint, d) {
  k <- length(joint$weights)
  m <- ncol(joint$means) - d
  theta <- list(weights = joint$weights, means = joint$means[, seq_len(d), drop = FALSE],
                covariances = joint$covariances[seq_len(d), seq_len(d), , drop = FALSE],
                coefficients = array(0, c(d + 1, m, k)), noise = array(0, c(m, m, k)))
  for (j in seq_len(k)) {
    v <- oracle_slice(joint$covariances, j)
    i <- seq_len(d)
    a <- solve(v[i, i, drop = FALSE], v[i, -i, drop = FALSE])
    intercept <- joint$means[j, -i] - joint$means[j, i] %*% a
    theta$coefficients[, , j] <- rbind(intercept, a)
    theta$noise[, , j] <- v[-i, -i] - t(a) %*% v[i, -i, drop = FALSE]
  }
  theta
}

# Log likelihood of a Gaussian mixture on z, NA marginalised; the independent end of the identity
oracle_gmm_log_likelihood <- function(z, joint) {
  a <- oracle_by_component(length(joint$weights), nrow(z), function(k) {
    log(joint$weights[k]) + apply(z, 1, function(row) {
      o <- !is.na(row)
      v <- oracle_slice(joint$covariances, k)[o, o, drop = FALSE]
      d <- row[o] - joint$means[k, o]
      -0.5 * (sum(o) * log(2 * pi) + log(det(v)) + sum(d * solve(v, d)))
    })
  })
  sum(oracle_row_log_sum_exp(a))
}

# --- prediction, given the covariates only ---

oracle_cwm_predict_weights <- function(x, theta) {
  a <- oracle_cwm_log_covariates(x, theta)
  exp(a - oracle_row_log_sum_exp(a))
}

# n x M: E[y | x]
oracle_cwm_predict_mean <- function(x, w, theta) {
  p <- oracle_cwm_predict_weights(x, theta)
  Reduce(`+`, lapply(seq_along(theta$weights), function(k) {
    p[, k] * (w %*% oracle_slice(theta$coefficients, k))
  }))
}

# p(y | x) of each row
oracle_cwm_predict_density <- function(x, w, y, theta) {
  p <- oracle_cwm_predict_weights(x, theta)
  rowSums(p * oracle_by_component(length(theta$weights), nrow(x), function(k) {
    exp(oracle_cwm_log_response(w, y, oracle_slice(theta$coefficients, k),
                                oracle_slice(theta$noise, k)))
  }))
}

# P(y_m <= q | x) of each row, for response m
oracle_cwm_predict_cdf <- function(x, w, q, theta, response = 1) {
  p <- oracle_cwm_predict_weights(x, theta)
  rowSums(p * oracle_by_component(length(theta$weights), nrow(x), function(k) {
    stats::pnorm(q, w %*% oracle_slice(theta$coefficients, k)[, response],
                 sqrt(theta$noise[response, response, k]))
  }))
}

oracle_cwm_predict_quantile <- function(x, w, prob, theta, response = 1) {
  vapply(seq_len(nrow(x)), function(i) {
    xi <- x[i, , drop = FALSE]
    wi <- w[i, , drop = FALSE]
    sd <- sqrt(theta$noise[response, response, ])
    centre <- vapply(seq_along(sd), function(k) {
      drop(wi %*% oracle_slice(theta$coefficients, k)[, response])
    }, 0)
    f <- function(q) oracle_cwm_predict_cdf(xi, wi, q, theta, response) - prob
    uniroot(f, c(min(centre - 12 * sd), max(centre + 12 * sd)), tol = 1e-12)$root
  }, 0)
}

# --- variational Bayes (Bishop 2006, chapter 10, with a regression added) ---

# Prior: list(weights = "dirichlet" | "stick_breaking", alpha (concentration of each component's
# Dirichlet, or of the stick's Beta(1, alpha)), m0 (D), beta0, w0_inverse (D x D), nu0, b0 (R x M),
# l0 (R x R), v0_inverse (M x M), n0):
#   mu | Lambda ~ N(m0, (beta0 Lambda)^-1), Lambda = Sigma^-1 ~ Wishart(w0, nu0)
#   B | Omega ~ MN(b0, l0^-1, Omega^-1),    Omega = Psi^-1 ~ Wishart(v0, n0)
# Wishart(w, nu) has mean nu w. The posterior holds the same pieces for each component, and doubles
# as the full conditionals of a Gibbs sampler when `resp` is the 0/1 matrix of labels.
#
# prior$family, "VVV" unless given: EEE has one Lambda. In a diagonal family the precisions tau_j of
# the columns are Gamma(a0, rate b0_j), mu_j | tau_j ~ N(m0_j, 1 / (beta0 tau_j)), where
# a0 = (nu0 - D + 1) / 2 and b0 is half the diagonal of w0_inverse, in a spherical one its mean.
# prior$noise, "free" unless given: "equal" has one Omega.
oracle_cwm_vb_global <- function(x, w, y, resp, prior, posterior = NULL) {
  k <- ncol(resp)
  regressions <- lapply(seq_len(k), function(j) {
    oracle_vb_regression(w, y, resp[, j], prior, posterior$regressions[[j]])
  })
  if (identical(prior$noise, "equal")) {
    n <- prior$n0 + sum(vapply(regressions, function(q) q$n - prior$n0, 0))
    v <- prior$v0_inverse +
      Reduce(`+`, lapply(regressions, function(q) q$v_inverse - prior$v0_inverse))
    regressions <- lapply(regressions, utils::modifyList, list(n = n, v_inverse = v))
  }
  list(weights = oracle_vb_weights(colSums(resp), prior),
       covariates = oracle_vb_covariates(x, resp, prior), regressions = regressions)
}

oracle_family <- function(prior) if (is.null(prior$family)) "VVV" else prior$family

oracle_vb_covariates <- function(x, resp, prior) {
  family <- oracle_family(prior)
  if (ncol(x) > 0 && !family %in% c("EEE", "VVV")) {
    return(oracle_vb_gammas(x, resp, prior, family))
  }
  parts <- lapply(seq_len(ncol(resp)), function(j) oracle_vb_normal(x, resp[, j], prior))
  if (family == "VVV") return(parts)
  total <- prior$w0_inverse + Reduce(`+`, lapply(parts, function(q) {
    q$w_inverse - prior$w0_inverse
  }))
  lapply(parts, function(q) list(m = q$m, beta = q$beta, w_inverse = total,
                                 nu = prior$nu0 + sum(resp)))
}

# The Gamma prior of the precisions of the columns
oracle_gamma_prior <- function(prior, family) {
  d <- length(prior$m0)
  b <- diag(prior$w0_inverse) / 2
  if (family %in% c("EII", "VII")) b <- rep(mean(b), d)
  list(a = (prior$nu0 - d + 1) / 2, b = b)
}

oracle_vb_gammas <- function(x, resp, prior, family) {
  start <- oracle_gamma_prior(prior, family)
  total <- colSums(resp)
  beta <- prior$beta0 + total
  centre <- crossprod(resp, x)                        # sums
  m <- (centre + prior$beta0 * rep(prior$m0, each = ncol(resp))) / beta
  # sums of squares about m, the prior mean counting as beta0 rows: components x columns
  squares <- t(vapply(seq_along(total), function(j) {
    e <- x - oracle_repeat_row(m[j, ], nrow(x))
    colSums(resp[, j] * e^2) + prior$beta0 * (m[j, ] - prior$m0)^2
  }, numeric(ncol(x))))
  squares <- matrix(squares, length(total))
  rows <- matrix(total, length(total), ncol(x))
  if (startsWith(family, "E")) {
    squares[] <- rep(colSums(squares), each = nrow(squares))
    rows[] <- sum(total)
  }
  if (endsWith(family, "II")) {
    squares[] <- rowSums(squares)
    rows <- rows * ncol(x)
  }
  lapply(seq_along(total), function(j) {
    list(m = m[j, ], beta = beta[j], a = start$a + rows[j, ] / 2, b = start$b + squares[j, ] / 2)
  })
}

# Dirichlet: list(alpha). Stick: list(a, b) of the K - 1 sticks' Beta distributions. Both with
# e_log = E log pi.
oracle_vb_weights <- function(total, prior) {
  if (prior$weights == "dirichlet") {
    alpha <- prior$alpha + total
    return(list(alpha = alpha, e_log = digamma(alpha) - digamma(sum(alpha))))
  }
  k <- length(total)
  a <- 1 + total[-k]
  b <- prior$alpha + rev(cumsum(rev(total)))[-1]
  taken <- digamma(a) - digamma(a + b)
  left <- digamma(b) - digamma(a + b)
  list(a = a, b = b, e_log = c(taken, 0) + cumsum(c(0, left)))
}

# Bishop 10.60 to 10.63
oracle_vb_normal <- function(x, r, prior) {
  total <- sum(r)
  centre <- if (total > 0) colSums(r * x) / total else prior$m0
  beta <- prior$beta0 + total
  e <- x - oracle_repeat_row(centre, nrow(x))
  shift <- centre - prior$m0
  inverse <- prior$w0_inverse + crossprod(e, r * e) +
    prior$beta0 * total / beta * outer(shift, shift)
  list(m = (prior$beta0 * prior$m0 + total * centre) / beta, beta = beta, w_inverse = inverse,
       nu = prior$nu0 + total)
}

# Partly missing responses are filled in under q(y_missing | k), whose precision is the block of
# E Omega = n v of `current`.
oracle_vb_regression <- function(w, y, r, prior, current = NULL) {
  if (ncol(y) == 0) return(list(b = prior$b0, l = prior$l0, v_inverse = prior$v0_inverse,
                                n = prior$n0))
  if (is.null(current)) {
    current <- list(b = prior$b0, v_inverse = prior$v0_inverse, n = prior$n0)
  }
  full <- oracle_cwm_complete(w, y, r, current$b, current$v_inverse / current$n)
  r <- r[full$use]
  w <- w[full$use, , drop = FALSE]
  y <- full$y[full$use, , drop = FALSE]
  l <- prior$l0 + crossprod(w, r * w)
  b <- solve(l, prior$l0 %*% prior$b0 + crossprod(w, r * y))
  inverse <- prior$v0_inverse + crossprod(y, r * y) + full$spread +
    t(prior$b0) %*% prior$l0 %*% prior$b0 - t(b) %*% l %*% b
  list(b = b, l = l, v_inverse = (inverse + t(inverse)) / 2, n = prior$n0 + sum(r))
}

oracle_e_log_det_wishart <- function(inverse, nu) {
  d <- ncol(inverse)
  if (d == 0) return(0)
  sum(digamma((nu + 1 - seq_len(d)) / 2)) + d * log(2) - log(det(inverse))
}

# E_q log N(x_i; mu, Lambda^-1), Bishop 10.64 and 10.65
oracle_vb_expect_normal <- function(x, q) {
  d <- ncol(x)
  if (d == 0) return(numeric(nrow(x)))
  e <- x - oracle_repeat_row(q$m, nrow(x))
  if (!is.null(q$a)) {
    return(0.5 * (sum(digamma(q$a) - log(q$b)) - d * log(2 * pi) - d / q$beta -
                    drop(e^2 %*% (q$a / q$b))))
  }
  0.5 * (oracle_e_log_det_wishart(q$w_inverse, q$nu) - d * log(2 * pi) - d / q$beta -
           q$nu * rowSums(e * t(solve(q$w_inverse, t(e)))))
}

# E_q log p(y_i | w_i, B, Omega), missing responses of a partly observed row optimised over
# q(y_missing); zero for a row without responses.
oracle_vb_expect_regression <- function(w, y, q) {
  out <- numeric(nrow(y))
  if (ncol(y) == 0) return(out)
  precision <- q$n * solve(q$v_inverse)
  leverage <- rowSums(w * t(solve(q$l, t(w))))
  constant <- 0.5 * (oracle_e_log_det_wishart(q$v_inverse, q$n) - ncol(y) * leverage)
  for (rows in oracle_missing_groups(y)) {
    o <- which(!is.na(y[rows[1], ]))
    if (length(o) == 0) next
    e <- (y - w %*% q$b)[rows, o, drop = FALSE]
    v <- solve(precision)[o, o, drop = FALSE] # the Schur complement, inverted
    missing <- precision[-o, -o, drop = FALSE]
    out[rows] <- constant[rows] - 0.5 * (length(o) * log(2 * pi) + rowSums(e * t(solve(v, t(e)))))
    if (ncol(missing) > 0) out[rows] <- out[rows] - 0.5 * log(det(missing))
  }
  out
}

oracle_cwm_vb_expect <- function(x, w, y, posterior) {
  oracle_by_component(length(posterior$covariates), nrow(x), function(k) {
    oracle_vb_expect_normal(x, posterior$covariates[[k]]) +
      oracle_vb_expect_regression(w, y, posterior$regressions[[k]])
  })
}

oracle_cwm_vb_local <- function(x, w, y, posterior) {
  a <- sweep(oracle_cwm_vb_expect(x, w, y, posterior), 2, posterior$weights$e_log, `+`)
  exp(a - oracle_row_log_sum_exp(a))
}

# One sweep: responsibilities under the current posterior, then every global factor.
oracle_cwm_vb_sweep <- function(x, w, y, posterior, prior) {
  resp <- oracle_cwm_vb_local(x, w, y, posterior)
  list(resp = resp, posterior = oracle_cwm_vb_global(x, w, y, resp, prior, posterior))
}

# Log normaliser of Wishart(w, nu), Bishop B.79, given w^-1
oracle_log_wishart_constant <- function(inverse, nu) {
  d <- ncol(inverse)
  if (d == 0) return(0)
  nu / 2 * log(det(inverse)) - nu * d / 2 * log(2) - d * (d - 1) / 4 * log(pi) -
    sum(lgamma((nu + 1 - seq_len(d)) / 2))
}

# KL between Wisharts, each given by its inverse scale and degrees of freedom
oracle_kl_wishart <- function(inverse, nu, inverse0, nu0) {
  d <- ncol(inverse)
  if (d == 0) return(0)
  oracle_log_wishart_constant(inverse, nu) - oracle_log_wishart_constant(inverse0, nu0) +
    (nu - nu0) / 2 * oracle_e_log_det_wishart(inverse, nu) - nu * d / 2 +
    nu / 2 * sum(diag(solve(inverse, inverse0)))
}

# Means given the precisions, and the precisions
oracle_kl_mean <- function(q, prior) {
  d <- length(q$m)
  if (d == 0) return(0)
  e <- q$m - prior$m0
  precise <- if (is.null(q$a)) q$nu * solve(q$w_inverse, e) else q$a / q$b * e
  0.5 * (d * log(q$beta / prior$beta0) - d + d * prior$beta0 / q$beta +
           prior$beta0 * sum(e * precise))
}
oracle_kl_precision <- function(q, prior) {
  if (is.null(q$a)) return(oracle_kl_wishart(q$w_inverse, q$nu, prior$w0_inverse, prior$nu0))
  start <- oracle_gamma_prior(prior, oracle_family(prior))
  one <- (q$a - start$a) * digamma(q$a) - lgamma(q$a) + lgamma(start$a) +
    start$a * (log(q$b) - log(start$b)) + q$a * (start$b - q$b) / q$b
  if (endsWith(oracle_family(prior), "II")) one[1] else sum(one)
}

oracle_kl_coefficients <- function(q, prior) {
  m <- ncol(q$b)
  if (m == 0) return(0)
  e <- q$b - prior$b0
  0.5 * (m * (log(det(q$l)) - log(det(prior$l0))) - m * nrow(q$b) +
           m * sum(diag(solve(q$l, prior$l0))) +
           q$n * sum(diag(solve(q$v_inverse, t(e) %*% prior$l0 %*% e))))
}
oracle_kl_noise <- function(q, prior) {
  oracle_kl_wishart(q$v_inverse, q$n, prior$v0_inverse, prior$n0)
}

# Over components; once for what they share
oracle_kl_sum <- function(parts, kl, prior, shared = FALSE) {
  if (shared) return(kl(parts[[1]], prior))
  sum(vapply(parts, kl, 0, prior = prior))
}

oracle_kl_beta <- function(a, b, a0, b0) {
  lbeta(a0, b0) - lbeta(a, b) + (a - a0) * digamma(a) + (b - b0) * digamma(b) +
    (a0 - a + b0 - b) * digamma(a + b)
}

oracle_kl_weights <- function(q, prior) {
  if (prior$weights == "stick_breaking") return(sum(oracle_kl_beta(q$a, q$b, 1, prior$alpha)))
  a <- q$alpha
  b <- rep_len(prior$alpha, length(a))
  lgamma(sum(a)) - sum(lgamma(a)) - lgamma(sum(b)) + sum(lgamma(b)) +
    sum((a - b) * (digamma(a) - digamma(sum(a))))
}

# The bound: sum r [E log p(x, y | k) + E log pi_k - log r] minus the divergences of the globals
oracle_cwm_vb_bound <- function(x, w, y, resp, posterior, prior) {
  a <- sweep(oracle_cwm_vb_expect(x, w, y, posterior), 2, posterior$weights$e_log, `+`)
  terms <- resp * (a - log(resp))
  sum(terms[resp > 0]) - oracle_kl_weights(posterior$weights, prior) -
    oracle_kl_sum(posterior$covariates, oracle_kl_mean, prior) -
    oracle_kl_sum(posterior$covariates, oracle_kl_precision, prior,
                  startsWith(oracle_family(prior), "E")) -
    oracle_kl_sum(posterior$regressions, oracle_kl_coefficients, prior) -
    oracle_kl_sum(posterior$regressions, oracle_kl_noise, prior, identical(prior$noise, "equal"))
}

# Exact log evidence of one component, all responses present: what the bound must equal at K = 1
oracle_cwm_log_evidence <- function(x, w, y, prior) {
  r <- rep(1, nrow(x))
  q <- oracle_vb_normal(x, r, prior)
  g <- oracle_vb_regression(w, y, r, prior)
  d <- ncol(x)
  m <- ncol(y)
  -nrow(x) * (d + m) / 2 * log(2 * pi) + d / 2 * log(prior$beta0 / q$beta) +
    oracle_log_wishart_constant(prior$w0_inverse, prior$nu0) -
    oracle_log_wishart_constant(q$w_inverse, q$nu) +
    m / 2 * (log(det(prior$l0)) - log(det(g$l))) +
    oracle_log_wishart_constant(prior$v0_inverse, prior$n0) -
    oracle_log_wishart_constant(g$v_inverse, g$n)
}

# --- predictive under q: multivariate t (Bishop 10.81, and the same for the regression) ---

# log t(e; 0, precision, df) for rows of e; `scale` divides the precision row by row
oracle_log_t <- function(e, precision, df, scale = 1) {
  d <- ncol(e)
  if (d == 0) return(numeric(nrow(e)))
  quad <- rowSums(e * (e %*% precision)) / scale
  lgamma((df + d) / 2) - lgamma(df / 2) + 0.5 * log(det(precision)) - d / 2 * log(scale) -
    d / 2 * log(df * pi) - (df + d) / 2 * log1p(quad / df)
}

oracle_cwm_vb_weights_given_x <- function(x, posterior) {
  e_pi <- oracle_vb_mean_weights(posterior$weights)
  a <- oracle_by_component(length(e_pi), nrow(x), function(k) {
    q <- posterior$covariates[[k]]
    df <- q$nu + 1 - ncol(x)
    e <- x - oracle_repeat_row(q$m, nrow(x))
    log(e_pi[k]) + oracle_log_t(e, df * q$beta / (1 + q$beta) * solve(q$w_inverse), df)
  })
  exp(a - oracle_row_log_sum_exp(a))
}

oracle_vb_mean_weights <- function(q) {
  if (!is.null(q$alpha)) return(q$alpha / sum(q$alpha))
  v <- q$a / (q$a + q$b)
  c(v, 1) * cumprod(c(1, 1 - v))
}

oracle_cwm_vb_predict_density <- function(x, w, y, posterior) {
  p <- oracle_cwm_vb_weights_given_x(x, posterior)
  rowSums(p * oracle_by_component(ncol(p), nrow(x), function(k) {
    q <- posterior$regressions[[k]]
    df <- q$n + 1 - ncol(y)
    scale <- 1 + rowSums(w * t(solve(q$l, t(w))))
    exp(oracle_log_t(y - w %*% q$b, df * solve(q$v_inverse), df, scale))
  }))
}

oracle_cwm_vb_predict_mean <- function(x, w, posterior) {
  p <- oracle_cwm_vb_weights_given_x(x, posterior)
  Reduce(`+`, lapply(seq_len(ncol(p)), function(k) p[, k] * (w %*% posterior$regressions[[k]]$b)))
}
