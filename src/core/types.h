// Shared vocabulary of the R-free core: Eigen aliases and half-open ranges.
#pragma once

#include <Eigen/Dense>
#include <cstddef>

namespace mixology {

using Eigen::MatrixXd;
using Eigen::VectorXd;
using Index = std::ptrdiff_t;

// Items begin, ..., end - 1.
struct Range {
  Index begin = 0;
  Index end = 0;
  Index size() const { return end - begin; }
};

}  // namespace mixology
