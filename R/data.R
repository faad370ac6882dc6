#' Sorted blood cells: UMI counts of 1,000 genes in 3,774 cells
#'
#' Droplet single-cell RNA counts of ten bead-enriched populations of peripheral blood cells of one
#' donor. The label of a cell is the population it was sorted from, known before sequencing: a
#' truth against which modes and clusters of the counts can be held.
#'
#' The genes are known markers (`genes$marker`) and a selection over the whole range of mean
#' expression: genes seen in at least 10 cells, cut into ten strata of equal width in the logarithm
#' of their mean, equally many from each. Highly expressed genes are therefore more frequent here
#' than in a transcriptome (26% of the counts are non-zero, 4% in all genes). All cells are kept.
#' The script that made the object is `data-raw/pbmc_cells.R` in the package's repository.
#'
#' @format A list of
#' \describe{
#'   \item{`counts`}{`dgCMatrix`, 1,000 genes x 3,774 cells: unique molecular identifiers (counts).
#'     Rows are named by gene symbol, columns by barcode.}
#'   \item{`cells`}{data frame, one row per cell: `cell_type` (factor, ten sorted populations),
#'     `subpopulation` (factor, five groups of them), `total` (integer, the cell's count over all
#'     16,791 genes of the original data) and `size_factor` (`total` over its mean).}
#'   \item{`genes`}{data frame, one row per gene: `ensembl` (identifier) and `marker` (logical,
#'     chosen because it marks a cell type).}
#' }
#' @source The data set `pbmc_facs` of the R package fastglmpca 0.1-108 (E. Weine, P. Carbonetto
#'   and M. Stephens; GPL >= 2), itself a selection of the cells published by 10x Genomics
#'   (Creative Commons Attribution) with the reference below.
#' @references Zheng, G. X. Y. et al. (2017). Massively parallel digital transcriptional profiling
#'   of single cells. Nature Communications 8, 14049. \doi{10.1038/ncomms14049}
#' @examples
#' dim(pbmc_cells$counts)
#' table(pbmc_cells$cells$subpopulation)
#' # MS4A1 marks B cells
#' tapply(pbmc_cells$counts["MS4A1", ], pbmc_cells$cells$cell_type, mean)
"pbmc_cells"
