# PLINK files: <stem>.bed with the names in <stem>.bim (variants) and <stem>.fam (samples).

bed_source <- function(x, fun, settings) {
  stem <- check_bed_path(x, fun, settings)
  bim <- read_plink_table(paste0(stem, ".bim"), 6, fun)
  fam <- read_plink_table(paste0(stem, ".fam"), 6, fun)
  bed <- normalizePath(paste0(stem, ".bed"))
  fault <- mmash_bed_fault(readBin(bed, "raw", 3), file.size(bed), nrow(fam), nrow(bim))
  if (fault != "") abort_x(fun, settings, "a PLINK .bed file", paste0("'", bed, "', which ", fault))
  samples <- unique_or_null(fam[[2]]) %||% unique_or_null(fam[[1]]) %||%
    unique_or_null(paste(fam[[1]], fam[[2]], sep = "_"))
  names <- list(samples, unique_or_null(bim[[2]]) %||% paste(bim[[1]], bim[[4]], bim[[5]],
                                                             bim[[6]], sep = "_"))
  source <- mmash_new_source("bed", bed, c(nrow(fam), nrow(bim)), names, 0,
                             count_first = identical(settings$allele, "first"),
                             positions = data.frame(chr = bim[[1]],
                                                    pos = suppressWarnings(as.numeric(bim[[4]]))))
  mmash_check_size(c(source$rows, source$cols), fun, settings)
  mmash_check_gaps(mmash_count_missing(source), fun, settings)
  source
}

check_bed_path <- function(x, fun, settings) {
  if (!is_scalar(x)) abort_x(fun, settings, "the path of one .bed file", describe_value(x))
  stem <- sub("\\.bed$", "", x, ignore.case = TRUE)
  if (!file.exists(paste0(stem, ".bed")) && file.exists(x)) {
    abort_x(fun, settings, "a file whose name ends in .bed", sprintf("\"%s\"", x), "renaming it")
  }
  for (ending in c(".bed", ".bim", ".fam")) {
    if (!file.exists(paste0(stem, ending))) {
      abort_x(fun, settings, "a .bed file with its .bim and .fam beside it",
                sprintf("\"%s\", and there is no file '%s%s'", x, stem, ending))
    }
  }
  stem
}

read_plink_table <- function(file, columns, fun) {
  if (file.size(file) == 0) abort(fun, "'", file, "' is empty")
  out <- tryCatch(
    utils::read.table(file, colClasses = "character", quote = "", comment.char = ""),
    error = function(e) abort(fun, "'", file, "' cannot be read: ", conditionMessage(e)))
  if (ncol(out) < columns) {
    abort(fun, sprintf("'%s' must have %d columns; got %d", file, columns, ncol(out)))
  }
  out
}

unique_or_null <- function(x) if (anyDuplicated(x) == 0) x
