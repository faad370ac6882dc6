# eQTL mapping of simulated multi-tissue expression on real genotypes, beside susieR.

demo_mmash <- function(report) {
  report_text(report, "Which variants of a cis window change expression, and in which tissues? ",
              "Genotypes are the 1,001 variants of 574 people that ship with susieR ",
              "(N3finemapping); expression in six tissues is simulated on them, with three causal ",
              "variants: one acts alike everywhere, one in the first three tissues, one in the ",
              "last tissue only.")
  if (!requireNamespace("susieR", quietly = TRUE)) {
    return(report_text(report, "susieR is not installed: this section needs its genotypes."))
  }
  data <- mmash_demo_data()
  fit <- report_time(report, "mmash, from the matrix",
                     suppressWarnings(mmash(data$x, data$y, seed = 1)))
  report_output(report, fit)
  sets <- credible_sets(fit)
  report_heading(report, "Credible sets")
  report_table(report, mmash_demo_sets(sets, data),
               "Each set should hold one causal variant with probability .95.")
  report_heading(report, "In which tissues")
  leads <- vapply(split(sets$variant, sets$set), function(set) set[which.max(pip(fit)[set])], "")
  report_table(report, round(lfsr(fit)[leads, , drop = FALSE], 4),
               "Local false sign rate, for the variant of each set that has the effect in the fit.")
  mmash_demo_susie(report, data, sets)
  mmash_demo_bed(report, data, fit)
  report_figure(report, autoplot(fit, type = "variants") +
                  geom_vline(xintercept = data$causal, linetype = 3), "mmash-variants",
                "Probability of an effect; dotted lines are the causal variants.")
  report_figure(report, autoplot(fit, type = "effects", most = 6), "mmash-effects",
                "Effects of the variants with the smallest lfsr.")
  report_figure(report, autoplot(fit, type = "weights"), "mmash-weights",
                "Weights learned: which patterns of sharing, at which size.", height = 5)
}

mmash_demo_data <- function() {
  env <- new.env()
  utils::data("N3finemapping", package = "susieR", envir = env)
  x <- env$N3finemapping$X
  x <- x[, apply(x, 2, stats::sd) > 0]
  colnames(x) <- paste0("snp", seq_len(ncol(x)))
  set.seed(20)
  causal <- c(120, 480, 830)
  b <- rbind(rep(1, 6), c(1, 1, 1, 0, 0, 0), c(0, 0, 0, 0, 0, 1.2))
  signal <- scale(x[, causal]) %*% (.35 * b)
  noise <- matrix(stats::rnorm(6 * nrow(x)), nrow(x)) %*% chol(.3 + diag(.7, 6))
  y <- signal + noise
  colnames(y) <- c("brain", "heart", "liver", "lung", "skin", "blood")
  list(x = x, y = y, causal = causal)
}

mmash_demo_sets <- function(sets, data) {
  first <- !duplicated(sets$set)
  holds <- vapply(split(sets$position, sets$set), function(at) {
    toString(intersect(data$causal, at))
  }, "")
  data.frame(set = sets$set[first], variants = sets$size[first], lead = sets$variant[first],
             probability = sets$probability[first], purity = sets$purity[first],
             causal_within = holds)
}

mmash_demo_susie <- function(report, data, sets) {
  report_heading(report, "Beside susieR, tissue by tissue")
  fits <- report_time(report, "susieR, six tissues", lapply(seq_len(ncol(data$y)), function(j) {
    suppressMessages(suppressWarnings(susieR::susie(data$x, data$y[, j], L = 5)))
  }))
  cs <- lapply(fits, function(f) suppressMessages(susieR::susie_get_cs(f, data$x)$cs))
  found <- lapply(cs, unlist)
  ours <- sets$position
  rows <- lapply(data$causal, function(p) {
    data.frame(causal = paste0("snp", p), mmash = p %in% ours,
               susieR = toString(colnames(data$y)[vapply(found, function(f) p %in% f, NA)]))
  })
  report_table(report, do.call(rbind, rows),
               "Is the causal variant in a credible set of mmash (all tissues), of susieR?")
  sizes <- data.frame(
    method = c("mmash", paste("susieR", colnames(data$y))),
    sets = c(length(unique(sets$set)), lengths(cs)),
    variants_in_sets = c(length(ours), lengths(found)))
  report_table(report, sizes, "How many sets, and how many variants one would have to follow up.")
}

# The same region from a PLINK file written by snpStats.
mmash_demo_bed <- function(report, data, fit) {
  if (!requireNamespace("snpStats", quietly = TRUE)) return(invisible())
  report_heading(report, "From a .bed file")
  whole <- round(data$x) # the shipped genotypes are centred dosages; a .bed file holds counts
  counts <- apply(whole, 2, function(v) v - min(v))
  counts[] <- pmin(counts, 2)
  dimnames(counts) <- list(paste0("id", seq_len(nrow(counts))), colnames(data$x))
  snps <- methods::new("SnpMatrix", matrix(as.raw(counts + 1), nrow(counts),
                                           dimnames = dimnames(counts)))
  stem <- file.path(report$folder, "region")
  utils::capture.output(suppressMessages(snpStats::write.plink(stem, snps = snps)))
  from_file <- report_time(report, "mmash, from the .bed file",
                           suppressWarnings(mmash(paste0(stem, ".bed"), data$y, seed = 1)))
  from_matrix <- suppressWarnings(mmash(counts, data$y, seed = 1))
  report_table(report, data.frame(
    bytes = file.size(paste0(stem, ".bed")), matrix_bytes = as.numeric(utils::object.size(counts)),
    largest_difference = max(abs(coef(from_file) - coef(from_matrix))),
    sets = length(unique(credible_sets(from_file)$set))),
    "The file gives the answer of the matrix of the same counts.")
}
