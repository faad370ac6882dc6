# A formula of plain numeric columns is read without a model frame, to the same design.

new_design <- mixology:::new_design
plain_design <- mixology:::plain_design

test_that("a plain formula gives the design that a model frame gives", {
  d <- data.frame(y = c(1, NA, 3, 5), a = 4:1, `b c` = c(.1, .2, .3, .5), check.names = FALSE)
  rownames(d) <- c("p", "q", "r", "s")
  for (f in list(y ~ a + `b c`, y ~ `b c` + a - 1, ~ a, y ~ 1, ~ 1, `b c` ~ a + 0)) {
    plain <- plain_design(f, d)
    frame <- model.frame(f, d, na.action = na.pass)
    expect_identical(plain$terms, terms(frame))
    expected <- model.matrix(delete.response(terms(frame)), frame)
    expect_identical(plain$rows, rownames(expected))
    expect_identical(unname(plain$matrix + 0), matrix(as.numeric(expected), 4))
    expect_identical(colnames(plain$matrix), colnames(expected))
    expect_identical(plain$response, unname(model.response(frame)))
  }
})

test_that("any other formula is left to the model frame", {
  d <- data.frame(y = 1:4, a = 4:1 + 0.5, f = factor(c("u", "v", "u", "v")), day = Sys.Date() + 0:3)
  d$m <- matrix(1:8, 4)
  elsewhere <- c(1, 3, 2, 5)
  for (f in list(y ~ f, y ~ log(a), y ~ a * m, y ~ a - f, y ~ a + offset(a), y ~ elsewhere,
                 y ~ m, y ~ day, log(y) ~ a, f ~ a, y ~ .)) {
    expect_null(plain_design(f, d))
  }
  expect_null(plain_design(y ~ a, NULL))
  expect_null(plain_design(y ~ a:a + I(a), d))
  expect_identical(new_design(y ~ a + elsewhere, d, "cwm")$rows, as.character(1:4))
})
