.onLoad <- function(libname, pkgname) {
  package_state$pid <- Sys.getpid()
  package_state$versions <- list(mixology = getNamespaceVersion(pkgname)[[1]],
                                 R = as.character(getRversion()), schema = 1L)
}

`%||%` <- function(x, y) if (is.null(x)) y else x
