.onLoad <- function(libname, pkgname) {
  package_state$pid <- Sys.getpid()
}

`%||%` <- function(x, y) if (is.null(x)) y else x
