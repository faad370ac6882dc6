.onLoad <- function(libname, pkgname) {
  package_state$pid <- Sys.getpid()
  package_state$versions <- list(mixology = getNamespaceVersion(pkgname)[[1]],
                                 R = as.character(getRversion()), schema = 1L)
  register_engine_methods(asNamespace(pkgname))
}

# Another package may give its fits the class that is a model's name here (flexCWM does). Methods of
# other packages' generics are therefore registered on the classes "<model>_<engine>", which come
# first and are nobody else's: those that a model does not declare for "<model>" itself.
register_engine_methods <- function(ns) {
  declared <- getNamespaceInfo(ns, "S3methods")
  shared <- declared[declared[, 2] == "mixology_fit", 1]
  all <- ls(ns)
  for (model in registered_models()) {
    ending <- paste0(".", model$name)
    own <- substr(all, 1, nchar(all) - nchar(ending))[endsWith(all, ending)]
    for (generic in unique(c(own, shared))) {
      method <- get0(paste0(generic, ending), ns) %||% get0(paste0(generic, ".mixology_fit"), ns)
      declared_here <- any(declared[, 1] == generic & declared[, 2] == model$name)
      if (declared_here || exists(generic, ns, inherits = FALSE) || !exists(generic, ns)) next
      for (class in paste0(model$name, "_", model$engines)) {
        registerS3method(generic, class, method, envir = ns)
      }
    }
  }
}

`%||%` <- function(x, y) if (is.null(x)) y else x
