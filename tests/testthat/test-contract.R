# One test for every model and engine: the same calls give the same kind of answer.

quick_control <- function(method, ..., restarts = 3) {
  switch(method,
    em = em_control(restarts = restarts, ...),
    vb = vb_control(restarts = restarts, ...),
    gibbs = gibbs_control(chains = 2, iterations = 60, warmup = 20, ...))
}

fit_model <- function(model, method, ..., control = quick_control(method)) {
  args <- utils::modifyList(model$example(), list(method = method, control = control, ...))
  if (is.null(args$seed)) args$seed <- 1
  suppressWarnings(do.call(model$fit, args))
}

for (model in mixology:::registered_models()) {
  for (method in model$engines) {
    label <- paste(model$name, "by", method)
    fit <- fit_model(model, method)

    test_that(paste(label, "has the class, fields and words of a fit"), {
      expect_s3_class(fit, c(paste0(model$name, "_", method), model$name, "mixology_fit"),
                      exact = TRUE)
      expect_output(print(fit), model$name)
      expect_output(print(fit), "converge")
      expect_output(print(summary(fit)), "estimate")
      expect_type(fit$control$seed, "integer")
      expect_true(is.character(fit$convergence$reason))
    })

    test_that(paste(label, "gives data frames"), {
      one <- glance(fit)
      expect_s3_class(one, "data.frame")
      expect_true(all(c("model", "method", "df", "nobs", "objective", "converged", "status",
                        "iterations", "seconds") %in% names(one)))
      table <- tidy(fit)
      expect_true(all(c("term", "estimate", "std.error") %in% names(table)))
      expect_true(all(is.finite(table$estimate)))
      wide <- tidy(fit, conf.int = TRUE, conf.level = 0.8)
      expect_true(all(c("conf.low", "conf.high") %in% names(wide)))
      known <- is.finite(wide$conf.low)
      expect_true(any(known))
      expect_true(all(wide$conf.low[known] <= wide$conf.high[known]))
      trace <- objective(fit)
      expect_true(all(c("iter", "value", "seconds") %in% names(trace)))
    })

    if (method != "gibbs") {
      test_that(paste(label, "never lets its objective fall"), {
        value <- objective(fit)$value
        expect_true(all(diff(value) >= -1e-8 * abs(value[-1])))
      })
    }

    test_that(paste(label, "answers as lm users expect"), {
      expect_true(is.numeric(nobs(fit)))
      if (!is.null(fit$log_lik) && is.finite(sum(fit$log_lik))) {
        ll <- logLik(fit)
        expect_s3_class(ll, "logLik")
        expect_equal(BIC(fit), -2 * as.numeric(ll) + log(attr(ll, "nobs")) * attr(ll, "df"))
        expect_equal(AIC(fit), -2 * as.numeric(ll) + 2 * attr(ll, "df"))
      } else {
        expect_error(logLik(fit), "no log likelihood")
      }
      limits <- confint(fit)
      expect_equal(nrow(limits), nrow(tidy(fit)))
      expect_false(is.null(coef(fit)))
      expect_true(is.matrix(vcov(fit)))
      expect_equal(length(fitted(fit)) > 0, TRUE)
      expect_false(is.null(simulate(fit, nsim = 2, seed = 3)))
      expect_identical(simulate(fit, nsim = 2, seed = 3), simulate(fit, nsim = 2, seed = 3))
      predicted <- do.call(predict, c(list(fit), model$newdata(model$example())))
      expect_true(all(is.finite(unlist(predicted))))
    })

    test_that(paste(label, "refuses arguments that no method takes"), {
      generics <- list(augment = augment, coef = coef, confint = confint, fitted = fitted,
                       glance = glance, logLik = logLik, nobs = nobs, objective = objective,
                       predict = predict, residuals = residuals, responsibilities =
                         responsibilities, clusters = clusters, simulate = simulate,
                       summary = summary, tidy = tidy, vcov = vcov, autoplot = autoplot)
      for (name in names(generics)) {
        expect_error(generics[[name]](fit, no_such_name = 1),
                     paste0(name, ": unknown argument 'no_such_name'"), info = name)
      }
      expect_error(resume(fit, 1, no_such_name = 1), "unknown argument 'no_such_name'")
      expect_error(resume(fit, 1, seed = 2), "unknown argument 'seed'")
      skip_if_not_installed("posterior")
      expect_error(as_draws(fit, no_such_name = 1), "unknown argument 'no_such_name'")
      expect_error(as_draws_df(fit, no_such_name = 1), "unknown argument 'no_such_name'")
    })

    test_that(paste(label, "refuses a seed or a level that is none"), {
      for (seed in list("a", NA, 1e10, 1:2, 1.7, -3)) {
        expect_error(simulate(fit, seed = seed), "simulate: 'seed' must be")
      }
      expect_error(confint(fit, level = 95), "confint: 'level' must be")
      expect_error(confint(fit, "no such"), "confint: 'parm' must be")
      expect_error(confint(fit, 1e6), "confint: 'parm' must be")
      expect_error(print(summary(fit), digits = "a"), "'digits' must be")
    })

    test_that(paste(label, "numbers its clusters by size and its probabilities sum to one"), {
      if (!is.null(fit$clusters)) {
        size <- colSums(responsibilities(fit))
        expect_false(is.unsorted(rev(size)))
        expect_equal(unname(rowSums(responsibilities(fit))), rep(1, nrow(responsibilities(fit))))
        expect_type(clusters(fit), "integer")
      } else {
        expect_error(clusters(fit), "no clusters")
      }
    })

    test_that(paste(label, "is governed by the seed and by nothing else"), {
      strip <- function(fit) fit[["estimate"]]
      expect_identical(strip(fit), strip(fit_model(model, method)))
      for (threads in c(1, 2, 4)) {
        expect_identical(strip(fit), strip(fit_model(model, method, threads = threads)))
      }
      set.seed(11)
      first <- fit_model(model, method, seed = NULL)
      set.seed(11)
      expect_identical(strip(first), strip(fit_model(model, method, seed = NULL)))
    })

    test_that(paste(label, "can be drawn"), {
      expect_s3_class(autoplot(fit, type = "trace"), "ggplot")
      expect_s3_class(autoplot(fit), "ggplot")
      expect_error(autoplot(fit, type = "no such plot"), "must be one of")
    })

    test_that(paste(label, "gives draws where it has a posterior"), {
      skip_if_not_installed("posterior")
      if (method == "em") {
        expect_error(as_draws(fit), "is a point")
      } else {
        draws <- as_draws_df(fit)
        expect_s3_class(draws, "draws_df")
        expect_true(all(is.finite(as.matrix(draws))))
      }
    })

    test_that(paste(label, "goes on bitwise as if it had never stopped"), {
      args <- model$example()
      stopped <- if (method == "gibbs") {
        gibbs_control(chains = 2, iterations = 30, warmup = 10)
      } else {
        quick_control(method, max_iterations = 2, restarts = 1)
      }
      whole <- if (method == "gibbs") {
        gibbs_control(chains = 2, iterations = 50, warmup = 10)
      } else {
        quick_control(method, max_iterations = 9, restarts = 1)
      }
      short <- fit_model(model, method, control = stopped)
      long <- fit_model(model, method, control = whole)
      data <- args[[mixology:::`%||%`(short$data_info$argument, 1)]]
      on <- suppressWarnings(resume(short, if (method == "gibbs") 20 else 7, data = data))
      expect_identical(on$estimate, long$estimate)
      expect_identical(on$posterior$draws, long$posterior$draws)
      expect_identical(objective(on)$value, objective(long)$value)
    })

    test_that(paste(label, "goes on when what its call names is gone or is something else"), {
      args <- model$example()
      at <- names(args)[1]
      make <- function() {
        values <- c(args, list(method = method, seed = 1, control = if (method == "gibbs") {
          gibbs_control(chains = 2, iterations = 30, warmup = 10)
        } else quick_control(method, max_iterations = 4)))
        list2env(values, environment())
        call <- lapply(stats::setNames(nm = names(values)), as.name)
        call <- as.call(c(list(as.name(model$name)), call))
        list(fit = suppressWarnings(eval(call)), where = environment())
      }
      made <- make()
      reach <- made$where
      for (name in c("seed", "control")) rm(list = name, envir = reach)
      on <- suppressWarnings(evalq(resume(fit, 3), list2env(list(fit = made$fit), reach)))
      expect_s3_class(on, model$name)
      gone <- mixology:::`%||%`(made$fit$data_info$argument, at)
      if (is.numeric(gone)) gone <- at
      rm(list = gone, envir = reach)
      expect_error(evalq(resume(fit, 3), reach), "finds no data any more")
      expect_error(evalq(update(fit, seed = 2), reach), "finds no data any more")
    })

    test_that(paste(label, "goes on bitwise from every sweep"), {
      data <- model$example()
      fit <- function(sweeps, way) {
        control <- if (method == "gibbs") {
          gibbs_control(chains = 2, iterations = sweeps, warmup = 3, thin = 1)
        } else {
          quick_control(method, max_iterations = sweeps, tolerance = 1e-12,
                        restarts = way$restarts, accelerate = way$accelerate)
        }
        fit_model(model, method, control = control)
      }
      ways <- list(list(restarts = 1, accelerate = TRUE), list(restarts = 3, accelerate = TRUE),
                   list(restarts = 1, accelerate = FALSE))
      stops <- 0 # before the fit had converged and so had nowhere to go
      for (way in if (method == "gibbs") ways[1] else ways) {
        whole <- fit(14, way)
        for (sweeps in if (method == "gibbs") 4:12 else 1:12) {
          short <- fit(sweeps, way)
          if (isTRUE(short$convergence$converged)) break
          stops <- stops + 1
          given <- data[[mixology:::`%||%`(short$data_info$argument, 1)]]
          on <- suppressWarnings(resume(short, 14 - sweeps, data = given))
          expect_identical(on$estimate, whole$estimate, label = paste("from", sweeps))
          expect_identical(on$posterior$draws, whole$posterior$draws)
          expect_identical(objective(on)[c("iter", "value")], objective(whole)[c("iter", "value")])
          expect_identical(on$convergence$iterations, whole$convergence$iterations)
        }
      }
      expect_gt(stops, 0)
    })

    test_that(paste(label, "is refitted by update()"), {
      args <- c(model$example(), list(method = method, control = quick_control(method), seed = 1))
      call <- as.call(c(list(as.name(model$name)), args))
      again <- suppressWarnings(update(suppressWarnings(eval(call)), seed = 2))
      expect_identical(again$control$seed, 2L)
    })

    test_that(paste(label, "says what is wrong with a control"), {
      expect_error(fit_model(model, method, control = list(no_such_name = 1)),
                   "unknown argument 'no_such_name'")
      other <- setdiff(c("em", "vb", "gibbs"), method)[1]
      expect_error(fit_model(model, method, control = quick_control(other)),
                   paste0("must be made by ", method, "_control"))
      expect_error(fit_model(model, "mcmc", control = NULL), "'method' must be one of")
      expect_error(fit_model(model, method, threads = 0), "'threads' must be")
      expect_error(fit_model(model, method, seed = -1), "'seed' must be")
    })

    test_that(paste(label, "stops at its time limit and says so"), {
      control <- quick_control(method, time_limit = 1e-9)
      short <- fit_model(model, method, control = control)
      expect_false(short$convergence$converged)
      expect_identical(short$convergence$status, "time_limit")
    })

    if (method == "gibbs") {
      test_that(paste(label, "goes on after a stop in the middle as if there had been none"), {
        sweeps <- 4000
        long <- function(limit) {
          control <- gibbs_control(chains = 3, iterations = sweeps, warmup = 20,
                                   time_limit = limit)
          fit_model(model, method, control = control, threads = 1)
        }
        short <- long(0.05) # a machine may be done by then, or not have begun
        done <- short$convergence$iterations
        expect_lte(done, sweeps)
        on <- if (done < sweeps) suppressWarnings(resume(short, sweeps - done)) else short
        whole <- long(Inf)
        expect_identical(on$posterior$draws, whole$posterior$draws)
        expect_identical(coef(on), coef(whole))
      })
    }
  }
}

test_that("every model of the package is registered with all three engines", {
  models <- mixology:::registered_models()
  expect_true(length(models) > 0)
  for (model in models) expect_setequal(model$engines, c("em", "vb", "gibbs"))
})
