# Fits of nbmix() that hold many genes: blocks in, one object out, and subsets of it.

nbmix_many <- function(inputs, data, call) {
  run <- nbmix_run_blocks(inputs)
  pieces <- run$pieces
  inputs$control <- nbmix_whole_control(inputs)
  genes <- nbmix_bind(pieces, "candidates")
  names <- run$genes
  candidates <- cbind(gene = names[genes$gene], nbmix_candidates(genes, inputs, inputs$method))
  status <- unlist(lapply(pieces, `[[`, "status"))
  chosen <- nbmix_chosen_rows(pieces, genes$gene, length(names))
  units <- nbmix_units(candidates, chosen, names, status, inputs$method)
  candidates$selected <- seq_len(nrow(candidates)) %in% chosen
  estimates <- nbmix_bind(pieces, "estimates")
  nbmix_many_fit(inputs, nbmix_describe_genes(data, inputs$source, run$hash), call, units,
                 candidates, estimates, pieces)
}

# A fit of many genes keeps no states: a resumed one is run again to its whole length, which gives
# the same answer as going on would.
nbmix_whole_control <- function(inputs) {
  control <- inputs$control
  control[c("resumed", "target", "key", "pieces", "only")] <- NULL
  control
}

nbmix_many_fit <- function(inputs, data_info, call, units, candidates, estimates, pieces) {
  estimate <- data.frame(gene = units$gene[estimates$gene],
                         component = nbmix_component_index(estimates$gene),
                         weight = estimates$weight, mean = estimates$mean,
                         dispersion = estimates$dispersion)
  messages <- stats::setNames(unlist(lapply(pieces, `[[`, "message")), units$gene)
  messages <- messages[nzchar(messages)]
  new_nbmix(inputs$method, call, estimate, final_objectives(units),
            nbmix_many_convergence(units, messages), inputs$control, data_info, inputs,
            nobs = inputs$source$cells * sum(nbmix_is_fitted(units, estimate)), df = units$df,
            log_lik = units$logLik, icl = units$ICL, units = units,
            candidates = if (length(inputs$k) > 1) candidates,
            covariance = estimates$covariance,
            messages = messages,
            kept = nbmix_kept(pieces, units$gene), posterior = nbmix_gene_draws(pieces))
}

nbmix_describe_genes <- function(data, source, hash) {
  out <- describe_data(data, c(source$genes, source$cells), list(source$gene_names, NULL), hash)
  out$ambiguous <- source$ambiguous
  out
}

nbmix_is_fitted <- function(units, estimate) units$gene %in% estimate$gene

nbmix_gene_draws <- function(pieces) {
  draws <- unlist(lapply(pieces, `[[`, "draws"), recursive = FALSE)
  if (length(draws) > 0) list(genes = lapply(draws, function(d) list(draws = d)))
}

# Blocks one after another (threads inside), or spread over the workers of BPPARAM.
nbmix_run_blocks <- function(inputs) {
  control <- inputs$control
  saved <- control$pieces
  key <- if (!is.null(control$checkpoint) || !is.null(control$key)) {
    checkpoint_key(control, nbmix_key(inputs))
  }
  check_checkpoint_key("nbmix", control, key)
  blocks <- saved$blocks %||% named_blocks(inputs$source, control$only) %||%
    source_blocks(inputs$source, inputs$BPPARAM, !is.null(control$checkpoint))
  save <- block_saver("nbmix", control, blocks, key,
                      list(method = inputs$method, seed = control$seed))
  inputs$control <- nbmix_whole_control(inputs)
  run <- if (is.null(inputs$BPPARAM)) nbmix_run_here else nbmix_run_there
  pieces <- nbmix_check_read(run(inputs, blocks, saved$done, save))
  fitted <- unlist(Map(seq, blocks$first, blocks$last))
  list(pieces = nbmix_offset_blocks(pieces, blocks),
       hash = named_hashes(inputs$source, blocks, lapply(pieces, `[[`, "hash")),
       genes = source_gene_names(inputs$source)[fitted])
}

# Once a block was stopped, or cannot be read any more, those behind it are not begun.
nbmix_run_here <- function(inputs, blocks, done, save) {
  run <- block_run("nbmix", inputs$source$genes, inputs$control$time_limit, inputs$verbose)
  fault <- NULL
  out <- done
  for (b in setdiff(seq_len(nrow(blocks)), seq_along(done))) {
    first <- blocks$first[b]
    last <- blocks$last[b]
    rows <- nbmix_read(inputs$source, first, last, run$going())
    fault <- fault %||% rows$fault
    if (!is.null(fault)) run$stop()
    monitor <- block_monitor(run, first, last, inputs$control)
    out[[b]] <- nbmix_run_block(inputs, rows, first, monitor, inputs$threads, fault)
    if (any(out[[b]]$status == "stopped")) run$stop()
    if (run$going()) save(out)
  }
  out
}

# Genes on disk are read by the workers, those in memory are sent along. After an interrupt the
# blocks that are not back count as stopped.
nbmix_run_there <- function(inputs, blocks, done, save) {
  run <- block_run("nbmix", inputs$source$genes, inputs$control$time_limit, inputs$verbose)
  common <- inputs
  common$BPPARAM <- NULL
  if (is.null(inputs$source$stored)) common$source[c("read", "totals")] <- NULL
  item <- function(b) nbmix_block_item(inputs$source, blocks$first[b], blocks$last[b], run)
  left <- setdiff(seq_len(nrow(blocks)), seq_along(done))
  collect <- function(piece) {
    done <<- c(done, list(piece))
    if (!is.null(run$bar)) run$bar(blocks$last[length(done)], run$units, NA)
    if (any(piece$status %in% c("stopped", "not_read"))) run$stop()
    if (run$going()) save(done)
  }
  if (length(left) > 0) {
    stream_items(one_by_one(left, item), nbmix_work, common, collect, inputs$BPPARAM)
  }
  run$stop()
  lost <- setdiff(seq_len(nrow(blocks)), seq_along(done))
  c(done, lapply(lost, function(b) nbmix_work(item(b), common)))
}

nbmix_block_item <- function(source, first, last, run) {
  list(first = first, last = last, ends = Sys.time() + min(run$left(), 1e9),
       rows = if (is.null(source$stored) && run$going()) source$read(first, last))
}

nbmix_work <- function(item, common, stop_sign = NULL) {
  left <- as.double(difftime(item$ends, Sys.time(), units = "secs"))
  run <- block_run("nbmix", common$source$genes, left, FALSE)
  rows <- item$rows %||% nbmix_read(common$source, item$first, item$last, run$going())
  if (!is.null(rows$fault)) run$stop()
  common$control$stop_sign <- stop_sign
  monitor <- block_monitor(run, item$first, item$last, common$control)
  nbmix_run_block(common, rows, item$first, monitor, 1L, rows$fault)
}

nbmix_read <- function(source, first, last, going) {
  if (!going) return(no_rows(first, last))
  tryCatch(source$read(first, last),
           error = function(e) c(no_rows(first, last), fault = conditionMessage(e)))
}

# A file that is gone from the start is an error; one that goes on the way costs the genes that
# were not read yet, and no others.
nbmix_check_read <- function(pieces) {
  unread <- vapply(pieces, function(piece) all(piece$status == "not_read"), NA)
  if (all(unread)) stop(pieces[[1]]$message[1], call. = FALSE)
  pieces
}

nbmix_run_block <- function(inputs, rows, first, monitor, threads, fault = NULL) {
  engine <- if (inputs$method == "em") nbmix_engine_block else nbmix_bayes_block
  out <- engine(inputs, rows, first, monitor, threads)
  if (!is.null(fault)) {
    out$status[] <- "not_read"
    out$message[] <- fault
  }
  out$hash <- gene_hashes(rows, inputs$source$cells)
  if (nbmix_keeps_responsibilities(inputs)) out$kept <- nbmix_block_posterior(out, rows, inputs)
  out
}

# Gene numbers of a block become those of all blocks together.
nbmix_offset_blocks <- function(pieces, blocks) {
  before <- c(0L, cumsum(blocks$last - blocks$first + 1L))
  for (b in seq_along(pieces)) {
    for (part in c("candidates", "estimates")) {
      pieces[[b]][[part]]$gene <- pieces[[b]][[part]]$gene + before[b]
    }
  }
  pieces
}

nbmix_bind <- function(pieces, part) {
  fields <- names(pieces[[1]][[part]])
  out <- lapply(fields, function(f) unlist(lapply(pieces, function(p) p[[part]][[f]])))
  stats::setNames(out, fields)
}

# Row of `candidates` that was chosen for each gene; NA where none was fitted.
nbmix_chosen_rows <- function(pieces, gene, genes) {
  chosen <- unlist(lapply(pieces, `[[`, "chosen"))
  match(seq_len(genes), gene) + chosen - 1L
}

nbmix_component_index <- function(gene) {
  if (length(gene) == 0) return(integer())
  sequence(rle(gene)$lengths)
}

nbmix_units <- function(candidates, chosen, names, status, method) {
  out <- candidates[chosen, ]
  rownames(out) <- NULL
  out$gene <- names
  out$model <- "nbmix"
  out$method <- method
  out$converged[is.na(out$converged)] <- FALSE
  out$status <- status
  out$converged <- out$converged & !status %in% c("not_converged", "stopped")
  out
}

nbmix_many_convergence <- function(units, messages = NULL) {
  fit <- !units$status %in% c("invalid", "too_few_cells")
  stopped <- units$status %in% c("stopped", "not_read")
  bad <- sum(fit & (!units$converged | stopped))
  unread <- messages[units$gene[units$status == "not_read"]]
  if (!any(fit)) {
    return(list(converged = FALSE, status = "not_fitted", iterations = 0L,
                reason = "no gene has counts that can be fitted"))
  }
  list(converged = bad == 0, status = if (bad == 0) "converged" else "units",
       reason = if (bad == 0) paste(count_of(sum(fit), "gene"), "fitted") else
         paste0(bad, " of ", count_of(sum(fit), "gene"), nbmix_stop_words(sum(stopped), unread)),
       iterations = max(c(0L, units$iterations), na.rm = TRUE))
}

nbmix_stop_words <- function(stopped, unread) {
  if (length(unread) == 0) return(sprintf(", %d of them stopped early", stopped))
  sprintf(", %d of them not read: %s", length(unread), sub("^nbmix: ", "", unread[[1]]))
}

# Responsibilities of a fit of few cells and genes are kept, gene by gene.
nbmix_keeps_responsibilities <- function(inputs) {
  inputs$source$genes * as.double(inputs$source$cells) * max(inputs$k) <= 5e5
}

nbmix_block_posterior <- function(out, rows, inputs) {
  lapply(seq_along(out$status), function(g) {
    mine <- out$estimates$gene == g
    if (!any(mine)) return(NULL)
    x <- nbmix_row_counts(rows, g, inputs$source$cells)
    prob <- nbmix_posterior(x, inputs$size_factors, out$estimates$weight[mine],
                            out$estimates$mean[mine], out$estimates$dispersion[mine])$prob
    list(prob = prob, histogram = nbmix_histogram(x))
  })
}

nbmix_kept <- function(pieces, names) {
  kept <- unlist(lapply(pieces, `[[`, "kept"), recursive = FALSE)
  if (length(kept) == 0) NULL else stats::setNames(kept, names)
}

# ---- subsets ------------------------------------------------------------------------------------

# Where the covariances of each gene stand in the packed vector.
nbmix_covariance_ends <- function(parts) cumsum(3 * parts * (3 * parts + 1) / 2)

#' @export
subset_units.nbmix <- function(fit, i) {
  units <- fit$units
  parts <- tabulate(match(fit$estimate$gene, units$gene), nrow(units))
  ends <- nbmix_covariance_ends(parts)
  size <- diff(c(0, ends))
  rows <- unlist(lapply(i, function(g) cumsum(c(0, parts))[g] + seq_len(parts[g])))
  packed <- unlist(lapply(i, function(g) ends[g] - size[g] + seq_len(size[g])))
  out <- unclass(fit)
  out$estimate <- fit$estimate[rows, ]
  rownames(out$estimate) <- NULL
  out$covariance <- fit$covariance[packed]
  out$units <- units[i, ]
  rownames(out$units) <- NULL
  if (!is.null(fit$candidates)) {
    out$candidates <- fit$candidates[fit$candidates$gene %in% out$units$gene, ]
  }
  out$objective <- final_objectives(out$units)
  out[c("log_lik", "icl", "df")] <- out$units[c("logLik", "ICL", "df")]
  out$nobs <- fit$cells * sum(nbmix_is_fitted(out$units, out$estimate))
  out["kept"] <- list(fit$kept[i])
  out["messages"] <- list(fit$messages[names(fit$messages) %in% out$units$gene])
  out$convergence <- nbmix_many_convergence(out$units, out$messages)
  out$posterior$genes <- fit$posterior$genes[i]
  class(out) <- class(fit)
  out
}

#' @export
`[[.nbmix` <- function(x, i, ...) {
  one <- NextMethod()
  if (!inherits(one, "nbmix")) return(one)
  nbmix_as_one(one)
}

nbmix_unit_convergence <- function(fit, unit) {
  done <- isTRUE(unit$converged)
  draws <- fit$posterior$genes[[1]]$draws
  if (!done && unit$status == "not_converged" && !is.null(draws)) {
    return(draws_convergence(draws, "converged", unit$iterations))
  }
  why <- switch(unit$status, not_converged = "the iterations ran out before it converged",
                stopped = "stopped before it converged", paste("status", unit$status))
  list(converged = done, status = if (done) "converged" else unit$status,
       reason = c(unname(fit$messages), why)[1], iterations = unit$iterations)
}

# The fit of one gene out of many as a fit of its own.
nbmix_as_one <- function(fit) {
  unit <- fit$units
  out <- unclass(fit)
  out$estimate <- nbmix_estimate(fit$estimate)
  out$gene <- unit$gene
  if (nrow(fit$estimate) > 0) out$vcov <- nbmix_covariance(fit$covariance, out$estimate)
  out[c("k", "df", "log_lik", "icl")] <- unit[c("k", "df", "logLik", "ICL")]
  out$nobs <- fit$cells
  out$convergence <- nbmix_unit_convergence(fit, unit)
  out$outcome <- unit$status
  out$objective$gene <- NULL
  kept <- fit$kept[[1]]
  if (!is.null(kept)) {
    out$responsibilities <- nbmix_prob_matrix(kept$prob, fit$cell_names)
    out$clusters <- nbmix_labels(kept$prob, fit$cell_names)
    out$histogram <- kept$histogram
  }
  out$posterior <- fit$posterior$genes[[1]]
  out[c("units", "covariance", "kept")] <- NULL
  class(out) <- class(fit)
  out
}
