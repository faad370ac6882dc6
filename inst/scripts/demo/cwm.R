# Demo of cwm: crabs whose sex shows in a slope, and the forum's four clusters.

demo_cwm <- function(report) {
  report_text(report,
              "Can sex be told from the shape of a shell? 200 Leptograpsus crabs (MASS::crabs): ",
              "rear width grows with carapace length, faster in females. cwm() is given length ",
              "and width and not the sex; it finds groups of crabs and a regression in each.")
  demo_cwm_crabs(report)
  report_heading(report, "Four clusters whose slopes disagree")
  report_text(report,
              "The simulation of a forum question: four clusters of covariates, each with its ",
              "own plane. A mixture of regressions that ignores where the covariates lie is ",
              "fitted beside it.")
  demo_cwm_forum(report)
}

demo_cwm_crabs <- function(report) {
  crabs <- MASS::crabs
  crabs$length <- crabs$CL
  crabs$rear_width <- crabs$RW
  fit <- report_time(report, "crabs, k = 1..4", cwm(
    rear_width ~ length, crabs, k = 1:4, seed = 1))
  report_output(report, fit)
  tried <- glance(fit, all = TRUE)[c("k", "logLik", "df", "BIC", "selected")]
  report_table(report, tried, "Number of clusters: the smallest BIC wins")
  coefficients <- tidy(fit, conf.int = TRUE)
  coefficients <- coefficients[coefficients$part == "coefficient",
                               c("component", "term", "estimate", "conf.low", "conf.high")]
  report_table(report, coefficients, "Regression of rear width (mm) on length (mm) in each cluster")
  report_table(report, as.data.frame.matrix(table(cluster = clusters(fit), sex = crabs$sex)),
               "Clusters against the sex that the fit did not see")
  report_figure(report, plot_quietly(fit, "clusters", crabs), "cwm_crabs",
                "Crabs coloured by cluster, and the cluster's regression")
  report_figure(report, plot_quietly(fit, "bands", crabs), "cwm_crabs_bands",
                "Predicted rear width with its 90% interval")
}

demo_cwm_forum <- function(report) {
  set.seed(1)
  made <- simulate_cwm_forum(1000)
  em <- report_time(report, "EM", cwm(y ~ x1 + x2, made$data, k = 4, seed = 1))
  vb <- report_time(report, "variational Bayes from k = 10",
                    cwm(y ~ x1 + x2, made$data, k = 10, method = "vb", seed = 1))
  gibbs <- report_time(report, "Gibbs, Dirichlet process", cwm(
    y ~ x1 + x2, made$data, k = 8, method = "gibbs", prior = cwm_prior("stick_breaking"), seed = 1,
    control = gibbs_control(chains = 2, iterations = 1000)))
  lines <- report_time(report, "regressions only (cluster = ~ 0)",
                       cwm(y ~ x1 + x2, made$data, cluster = ~ 0, k = 4, seed = 1))
  fits <- list("EM" = em, "variational Bayes" = vb, "Gibbs" = gibbs, "without p(x)" = lines)
  agreement <- vapply(fits, function(fit) {
    mean(apply(table(clusters(fit), made$cluster), 1, max)) * fit$k / length(made$cluster)
  }, 0)
  report_table(report, data.frame(engine = names(fits), clusters = vapply(fits, `[[`, 0L, "k"),
                                  correct = unname(agreement), row.names = NULL),
               "Clusters found, and the share of rows in the cluster they came from")
  slopes <- vapply(coef(em), function(b) b[, 1], numeric(3))
  report_table(report, t(slopes),
               "Coefficients by EM (true: 4 1, 1 4, 3 2, -3 -2 without intercept)")
  report_figure(report, plot_quietly(em, "clusters", made$data), "cwm_forum",
                "The four clusters and the ellipses that hold 95% of each")
}

plot_quietly <- function(fit, type, data) ggplot2::autoplot(fit, type = type, data = data)
