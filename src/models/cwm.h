// Gaussian mixture with a regression inside each cluster (cluster-weighted model).
//
//   z_i ~ Categorical(pi)
//   x_i | z_i = k ~ N(mu_k, Sigma_k)                   D clustering covariates
//   y_i | x_i, z_i = k ~ N(Theta_k' w_i, Psi_k)        M responses, R regression covariates
//
// so p(x, y) = sum_k pi_k p(x | k) p(y | x, k). The intercept is a column of w. D = 0 is a mixture
// of regressions, M = 0 a Gaussian mixture.
//
// Gershenfeld, Schoner, Metois (1999) Cluster-weighted modelling for time-series analysis, Nature
// 397:329; Ingrassia, Minotti, Vittadini (2012) Local statistical modeling via a cluster-weighted
// approach, J. Classification 29:363; Bishop (2006) Pattern Recognition and Machine Learning, ch.
// 9.2 (EM) and 10.2 (variational).
//
//   cwm/data.h        rows, coordinates, missing values        cwm/covariance.h   families, floor
//   cwm/floor.h       components that fit their rows exactly
//   cwm/kernel.h      a component as a quadratic form          cwm/local.h        E step
//   cwm/starts.h      starting partitions                      cwm/em.h           EM
//   cwm/report.h      estimates in the user's units            cwm/information.h  observed information
//   cwm/standard_errors.h  covariance of the estimates
//   cwm/prior.h       conjugate prior and posterior            cwm/vb.h, cwm/gibbs.h
//   cwm/predict.h     p(y | x), its quantiles                  cwm/tail.h         their tails
//   cwm/assignment.h  relabelling                              cwm/columns.h      checks of columns
#pragma once

#include "models/cwm/em.h"
#include "models/cwm/gibbs.h"
#include "models/cwm/report.h"
#include "models/cwm/standard_errors.h"
#include "models/cwm/starts.h"
#include "models/cwm/vb.h"
