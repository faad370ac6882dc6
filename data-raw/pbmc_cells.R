# Makes data/pbmc_cells.rda: about 1,000 genes of the sorted blood cells that CRAN's package
# fastglmpca ships as 'pbmc_facs' (Zheng et al. 2017). Run from the package's folder:
#   Rscript data-raw/pbmc_cells.R [folder of fastglmpca's unpacked sources]
# Without an argument the sources are downloaded from CRAN, so nothing needs compiling.
#
# The rule, fixed: all cells; every marker below; then genes with a symbol of their own that are
# seen in at least 10 cells, sorted by mean count and cut into 10 strata of equal width in
# log10(mean), an equal number from each (a stratum that is too small gives all it has, the rest
# is shared among the others), evenly spaced by rank within the stratum. No random numbers.

n_genes <- 1000
n_strata <- 10
min_cells <- 10

markers <- c(
  "MS4A1", "CD79A", "CD79B", "CD19", "CD74", "HLA-DRA",         # B cells, antigen presentation
  "LYZ", "CD14", "FCGR3A", "S100A8", "S100A9", "FCN1", "CST3",  # monocytes
  "NKG7", "GNLY", "GZMB", "PRF1", "KLRD1", "KLRF1", "CCL5",     # NK and cytotoxic cells
  "CD3D", "CD3E", "CD3G", "CD8A", "CD8B", "CD4", "IL7R", "IL32", # T cells
  "CCR7", "SELL", "LEF1", "S100A4", "FOXP3", "IL2RA",           # naive, memory, regulatory
  "CD34", "SPINK2", "SOX4", "AVP", "MPO",                       # progenitors
  "PPBP", "PF4", "FCER1A", "CD27", "MKI67", "MALAT1", "B2M", "ACTB", "RPLP0", "XIST"
)

unpacked_sources <- function() {
  folder <- tempfile("fastglmpca")
  dir.create(folder)
  archive <- utils::download.packages("fastglmpca", folder, type = "source")[, 2]
  utils::untar(archive, exdir = folder)
  file.path(folder, "fastglmpca")
}

# How many to take from strata of the given sizes so that the total is 'wanted'.
stratum_quota <- function(sizes, wanted) {
  quota <- integer(length(sizes))
  while (sum(quota) < wanted && any(open <- quota < sizes)) {
    share <- max(1, (wanted - sum(quota)) %/% sum(open))
    quota[open] <- pmin(sizes[open], quota[open] + share)
  }
  while (sum(quota) > wanted) quota[which.max(quota)] <- max(quota) - 1
  quota
}

evenly_spaced <- function(index, n) index[unique(round(seq(1, length(index), length.out = n)))]

select_genes <- function(mean_count, symbol, n_cells) {
  keep <- which(symbol %in% markers & !duplicated(symbol))
  own_name <- !(symbol %in% symbol[duplicated(symbol)]) & !is.na(symbol) & nzchar(symbol)
  pool <- setdiff(which(own_name & n_cells >= min_cells), keep)
  pool <- pool[order(mean_count[pool], symbol[pool], method = "radix")]
  stratum <- split(pool, cut(log10(mean_count[pool]), n_strata))
  quota <- stratum_quota(lengths(stratum), n_genes - length(keep))
  sort(c(keep, unlist(Map(evenly_spaced, stratum, quota), use.names = FALSE)))
}

sources <- commandArgs(trailingOnly = TRUE)
sources <- if (length(sources)) sources[1] else unpacked_sources()
load(file.path(sources, "data", "pbmc_facs.RData"))
library(Matrix)

full <- pbmc_facs$counts
symbol <- as.character(pbmc_facs$genes$symbol)
stopifnot(
  inherits(full, "dgCMatrix"), nrow(full) == length(symbol), ncol(full) == 3774,
  identical(rownames(full), as.character(pbmc_facs$genes$ensembl)), all(markers %in% symbol)
)
chosen <- select_genes(rowMeans(full), symbol, rowSums(full > 0))
total <- colSums(full)

counts <- full[chosen, ]
dimnames(counts) <- list(symbol[chosen], colnames(full))
counts@factors <- list()
pbmc_cells <- list(
  counts = counts,
  cells = data.frame(
    cell_type = factor(pbmc_facs$samples$celltype),
    subpopulation = factor(pbmc_facs$samples$subpop),
    total = as.integer(total),
    size_factor = total / mean(total),
    row.names = colnames(full)
  ),
  genes = data.frame(
    ensembl = as.character(pbmc_facs$genes$ensembl)[chosen],
    marker = symbol[chosen] %in% markers,
    row.names = symbol[chosen]
  )
)
stopifnot(
  dim(counts) == c(n_genes, 3774), !anyDuplicated(rownames(counts)), validObject(counts),
  counts@x >= 1, counts@x == round(counts@x)
)
save(pbmc_cells, file = "data/pbmc_cells.rda", compress = "xz", version = 3)
message(
  "data/pbmc_cells.rda: ", nrow(counts), " genes x ", ncol(counts), " cells, ",
  length(counts@x), " non-zero, ", file.size("data/pbmc_cells.rda"), " bytes"
)
