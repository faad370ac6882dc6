test_that("controls carry the defaults of the C++ options, name by name", {
  for (engine in c("em", "vb", "gibbs")) {
    made <- switch(engine, em = em_control(), vb = vb_control(), gibbs = gibbs_control())
    core <- mixology:::engine_defaults(engine)
    expect_true(all(names(core) %in% names(made)))
    same <- setdiff(names(core), "warmup") # half of the iterations, whatever their number
    expect_equal(unclass(made)[same], core[same])
    expect_true(all(names(core) %in% names(formals(get(paste0(engine, "_control"))))))
  }
})

test_that("settings are checked, and a wrong name is an error with a hint", {
  expect_error(em_control(tolerence = 1), "unknown argument 'tolerence'; try \"tolerance\"")
  expect_error(em_control(tolerance = "small"), "em_control: 'tolerance' must be")
  expect_error(em_control(max_iterations = 0), "must be one whole number of at least 1; got 0")
  expect_error(em_control(accelerate = NA), "must be TRUE or FALSE")
  expect_error(gibbs_control(iterations = 10, warmup = 10), "'warmup' must be")
  expect_error(gibbs_control(iterations = 10, warmup = 5, thin = 6), "'thin' must be")
  expect_error(vb_control(time_limit = -1), "'time_limit' must be")
  expect_error(vb_control(checkpoint = "no/such/folder/file"), "'checkpoint' must be")
  expect_identical(basename(vb_control(checkpoint = "file")$checkpoint), "file.rds")
  expect_identical(gibbs_control(iterations = 100)$warmup, 50L)
})

test_that("threads: argument, environment, option, default", {
  old <- Sys.getenv("MIXOLOGY_NUM_THREADS", NA)
  on.exit(if (is.na(old)) Sys.unsetenv("MIXOLOGY_NUM_THREADS") else
    Sys.setenv(MIXOLOGY_NUM_THREADS = old))
  Sys.setenv(MIXOLOGY_NUM_THREADS = "1")
  expect_identical(mixology:::resolve_threads(NULL, "f"), 1L)
  expect_lte(mixology:::resolve_threads(2, "f"), 2L)
  Sys.unsetenv("MIXOLOGY_NUM_THREADS")
  before <- options(mixology.threads = 1)
  on.exit(options(before), add = TRUE)
  expect_identical(mixology:::resolve_threads(NULL, "f"), 1L)
  expect_error(mixology:::resolve_threads("two", "f"), "f: 'threads' must be")
})

test_that("a control prints its settings", {
  expect_output(print(em_control()), "em settings")
  expect_output(print(em_control()), "tolerance")
})
