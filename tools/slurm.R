# What is sent to SLURM equals what is done here; called by tools/slurm.sh with a scratch folder.
scratch <- commandArgs(trailingOnly = TRUE)[1]
suppressPackageStartupMessages({
  library(BiocParallel)
  library(mixology)
})

registry <- batchtoolsRegistryargs(file.dir = file.path(scratch, "registry"), work.dir = getwd())
cluster <- BatchtoolsParam(
  workers = 2, cluster = "slurm", registryargs = registry, progressbar = FALSE,
  template = system.file("scripts", "slurm", "mixology-slurm.tmpl", package = "mixology"),
  resources = list(walltime = 300, memory = 500, ncpus = 1)
)

# The seed is given to each task: back ends differ in the streams that they hand out.
draw <- function(seed) {
  set.seed(seed)
  mixology::simulate_nbmix(300, c(0.4, 0.6), means = c(4, 40), dispersions = c(0.2, 0.1))$x
}
started <- proc.time()[["elapsed"]]
remote <- bplapply(1:4, draw, BPPARAM = cluster)
seconds <- proc.time()[["elapsed"]] - started
stopifnot(identical(remote, bplapply(1:4, draw, BPPARAM = SerialParam())))
cat(sprintf("SLURM: 4 tasks on 2 workers equal the serial ones, %.1f s\n", seconds))
