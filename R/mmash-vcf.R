# Genotypes of VCF files and of the objects that VariantAnnotation makes of them: alleles other than
# the reference are counted. Dosages (DS) are taken where there are any, else genotype calls (GT).

vcf_source <- function(x, fun, settings) {
  check_installed("VariantAnnotation", fun, "a VCF file")
  start <- readBin(x, "raw", 14)
  if (identical(start[1:2], as.raw(c(0x1f, 0x8b))) && !identical(start[13:14], charToRaw("BC"))) {
    abort_x(fun, settings, "a VCF file, plain or compressed by bgzip",
              sprintf("'%s', compressed by gzip", x), "gunzip, then bgzip")
  }
  readable <- function(code) {
    tryCatch(code, error = function(e) {
      abort_x(fun, settings, "a VCF file", sprintf("'%s', which cannot be read: %s", x,
                                                conditionMessage(e)))
    })
  }
  header <- readable(VariantAnnotation::scanVcfHeader(x))
  field <- vcf_field(rownames(VariantAnnotation::geno(header)), fun, settings)
  wanted <- VariantAnnotation::ScanVcfParam(fixed = "ALT", info = NA, geno = field)
  vcf <- readable(VariantAnnotation::readVcf(x, param = wanted))
  mmash_source(vcf, fun, settings)
}

vcf_field <- function(have, fun, settings) {
  field <- intersect(c("DS", "GT"), have)[1]
  if (is.na(field)) {
    abort_x(fun, settings, "a VCF with the field DS or GT", toString(have %||% "none"))
  }
  field
}

mmash_source.VCF <- function(x, fun, settings = list()) {
  check_installed("VariantAnnotation", fun, "a VCF object")
  values <- VariantAnnotation::geno(x)
  field <- vcf_field(names(values), fun, settings)
  mmash_check_size(rev(dim(x)), fun, settings)
  dosage <- t(if (field == "DS") stated_dosage(values[["DS"]]) else
    called_dosage(values[["GT"]], fun, settings))
  names <- unique_or_null(rownames(x))
  dimnames(dosage) <- list(colnames(x), names)
  source <- mmash_source(dosage, fun, settings)
  at <- SummarizedExperiment::rowRanges(x)
  source$positions <- data.frame(chr = as.character(GenomicRanges::seqnames(at)),
                                 pos = GenomicRanges::start(at))
  source
}

# One number per alternative allele: a matrix, or a list when some variant has several.
stated_dosage <- function(ds) {
  if (is.list(ds)) ds <- array(vapply(ds, function(d) sum(as.double(d)), 0), dim(ds))
  if (length(dim(ds)) == 3) ds <- rowSums(ds, dims = 2)
  storage.mode(ds) <- "double"
  ds
}

# "0/1", "1|1", "./." and the like: 1, 2, missing. Few are different, so few are parsed.
called_dosage <- function(gt, fun, settings) {
  calls <- unique(as.vector(gt))
  alleles <- strsplit(ifelse(is.na(calls), ".", calls), "[/|]")
  counts <- vapply(alleles, function(a) {
    if (length(a) == 0 || any(a == ".")) return(NA_integer_)
    number <- suppressWarnings(as.integer(a))
    if (anyNA(number)) {
      abort_x(fun, settings, "a VCF with calls such as 0/1", paste(a, collapse = "/"))
    }
    sum(number > 0)
  }, 0L)
  array(counts[match(gt, calls)], dim(gt))
}
