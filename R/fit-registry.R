# The models of the package. A model's file registers it; the contract test walks the register.

the_models <- new.env(parent = emptyenv())

# title     the model in plain words, for print()
# engines   the methods it can be fitted by
# example   function() -> list of arguments of a quick fit (data included), for the contract test
# fit       the fitting function
# newdata   function(arguments) -> arguments of predict() that describe the training data
register_model <- function(name, title, engines, fit, example, newdata) {
  the_models[[name]] <- list(name = name, title = title, engines = engines, fit = fit,
                             example = example, newdata = newdata)
}

registered_models <- function() mget(sort(ls(the_models)), envir = the_models)

model_title <- function(name) the_models[[name]]$title %||% name
