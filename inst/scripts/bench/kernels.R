# Nanoseconds per element of the array kernels beside the C library, in one run.
#   Rscript inst/scripts/bench/kernels.R      from the top of the sources
# Compiled with R's own compiler at -O2 and no other flag, as the package is.

compile_kernels <- function() {
  program <- tempfile("kernels")
  compiler <- system2(file.path(R.home("bin"), "R"), c("CMD", "config", "CXX17"), stdout = TRUE)
  sources <- c("inst/scripts/bench/kernels.cpp", "src/simd.cpp")
  command <- paste(compiler, "-std=gnu++17 -O2 -Isrc", quoted(sources), "-o", program)
  if (system(command) != 0) stop("kernels: could not compile", call. = FALSE)
  program
}
quoted <- function(files) paste(shQuote(files), collapse = " ")

program <- compile_kernels()
timing <- utils::read.csv(
  text = system2(program, stdout = TRUE), header = FALSE,
  col.names = c("kernel", "level", "ours", "theirs", "peer")
)
timing$ratio <- round(timing$theirs / timing$ours, 1)
names(timing)[3:4] <- c("ours_ns", "theirs_ns")
print(timing, row.names = FALSE)

# the widest level of this machine goes into the common table
widest <- timing[timing$level == timing$level[nrow(timing)], ]
if (exists("bench_result")) {
  bench_result("core", widest$kernel, widest$ours_ns, widest$peer, widest$theirs_ns, "ns")
}
