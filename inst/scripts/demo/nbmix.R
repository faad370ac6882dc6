# Section of the demo: which genes have two modes beyond sequencing depth, and what are they?

demo_nbmix <- function(report) {
  report_text(report, "Which genes of sorted blood cells have two modes of expression that ",
              "sequencing depth does not explain, and are the modes the sorted cell types? Data: ",
              "UMI counts of 1,000 genes in 3,774 cells, labels known before sequencing.")
  fit <- demo_nbmix_genes(report)
  demo_nbmix_modes(report, fit)
  demo_nbmix_spike_ins(report)
}

# Every gene, one or two components by BIC, with and without size factors.
demo_nbmix_genes <- function(report) {
  counts <- pbmc_cells$counts
  s <- pbmc_cells$cells$size_factor
  report_heading(report, "Every gene: one component or two, by BIC")
  fit <- report_time(report, "1,000 genes, k = 1:2, with size factors",
                     nbmix(counts, k = 1:2, size_factors = s, seed = 1))
  naive <- report_time(report, "1,000 genes, k = 1:2, without",
                       nbmix(counts, k = 1:2, seed = 1))
  report_output(report, fit)
  chosen <- table(
    `without size factors` = paste(glance(naive)$k, "mode(s)"),
    `with size factors` = paste(glance(fit)$k, "mode(s)"))
  report_table(report, chosen, paste("Genes by the number of components chosen without (rows) and",
                                     "with (columns) size factors"))
  artefacts <- sum(glance(naive)$k == 2 & glance(fit)$k == 1)
  report_text(report, sprintf(paste("%d genes look like a mixture only because cells differ in",
              "depth: with size factors one negative binomial is enough."), artefacts))
  report_figure(report, autoplot(fit), "nbmix-genes",
                paste("Mean and dispersion of every component; genes with two components in the",
                      "second colour"))
  fit
}

# The clearest bimodal genes and the cell types of their upper modes.
demo_nbmix_modes <- function(report, fit) {
  report_heading(report, "The modes beside the sorted cell types")
  top <- head(demo_bimodal_genes(fit), 15)
  cells <- pbmc_cells$cells
  clusters <- predict(fit[top$gene], newdata = pbmc_cells$counts[top$gene, ], type = "cluster")
  high <- clusters == top$upper
  share <- apply(high, 1, function(up) tapply(up, cells$cell_type, mean))
  top$best_type <- rownames(share)[apply(share, 2, which.max)]
  top$of_that_type <- apply(share, 2, max)
  top$of_the_others <- vapply(seq_len(nrow(top)), function(g) {
    mean(high[g, cells$cell_type != top$best_type[g]])
  }, 0)
  report_table(report, top[setdiff(names(top), "upper")],
               paste("Genes whose second component gains most BIC: the two means (per cell of",
                     "average depth), the weight of the upper mode, the cell type most often in",
                     "it, and the share of that type and of all other cells there"))
  report_figure(report, demo_share_map(share), "nbmix-modes",
                "Share of each sorted cell type that falls into the upper mode of each gene",
                height = 5)
  report_figure(report, autoplot(demo_refit(top$gene[1])), "nbmix-top-gene",
                paste("Counts and fitted components of", top$gene[1]))
}

demo_refit <- function(gene) {
  nbmix(pbmc_cells$counts[gene, ], k = 2, size_factors = pbmc_cells$cells$size_factor, seed = 1)
}

# Two components chosen, each with 2% of the cells at least, means a factor 3 apart.
demo_bimodal_genes <- function(fit) {
  tried <- glance(fit, all = TRUE)
  gain <- tapply(seq_len(nrow(tried)), tried$gene, function(rows) {
    tried$BIC[rows][tried$k[rows] == 1] - tried$BIC[rows][tried$k[rows] == 2]
  })
  e <- coef(fit)
  two <- glance(fit)$gene[glance(fit)$k == 2]
  first <- e[e$gene %in% two & e$component == 1, ]
  second <- e[e$gene %in% two & e$component == 2, ]
  out <- data.frame(gene = first$gene, lower_mean = pmin(first$mean, second$mean),
                    upper_mean = pmax(first$mean, second$mean),
                    upper_weight = ifelse(first$mean > second$mean, first$weight, second$weight),
                    BIC_gain = as.vector(gain[first$gene]),
                    upper = ifelse(first$mean > second$mean, 1L, 2L))
  clear <- out$upper_mean > 3 * out$lower_mean & out$upper_weight > 0.02 & out$upper_weight < 0.98
  out <- out[clear, ]
  out[order(-out$BIC_gain), ]
}

demo_share_map <- function(share) {
  long <- data.frame(cell_type = rep(rownames(share), ncol(share)),
                     gene = factor(rep(colnames(share), each = nrow(share)), colnames(share)),
                     share = as.vector(share))
  ggplot(long, aes(gene, cell_type, fill = share)) +
    geom_tile() +
    scale_fill_gradient(low = "white", high = "#0072B2", limits = c(0, 1)) +
    labs(x = NULL, y = NULL, fill = "share in the upper mode") +
    theme_minimal() +
    theme(axis.text.x = element_text(angle = 45, hjust = 1), legend.position = "bottom")
}

# The notebook's experiment: spike-ins have one concentration, cells have two depths.
demo_nbmix_spike_ins <- function(report) {
  report_heading(report, "Spike-in molecules: two modes that are none")
  set.seed(1)
  n <- 1000
  deep <- rbinom(n, 1, 0.5)
  s <- exp(rnorm(n, log(ifelse(deep == 1, 2, 0.5)), 0.15))
  s <- s / mean(s)
  x <- rpois(n, 20 * s)
  fits <- list(without = nbmix(x, k = 1:2, seed = 1),
               with = nbmix(x, k = 1:2, size_factors = s, seed = 1))
  rows <- lapply(names(fits), function(name) {
    cbind(`size factors` = name, glance(fits[[name]], all = TRUE)[c("k", "logLik", "BIC")])
  })
  report_table(report, do.call(rbind, rows),
               "The same 1,000 counts, fitted without and with the size factors of their cells")
  phi <- unname(coef(fits$with)$dispersion)
  report_text(report, "Without size factors two components win by ",
              round(-diff(glance(fits$without, all = TRUE)$BIC)), " units of BIC; with them one ",
              "component wins, with a mean of ", round(coef(fits$with)$mean, 2),
              " and a dispersion of ", signif(phi, 2),
              ": the two modes were the depth of the cells.")
  report_figure(report, autoplot(fits$without), "nbmix-spike-ins",
                "The counts and the two components that a fit without size factors sees")
}
