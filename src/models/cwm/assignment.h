// The assignment problem: which column goes to which row at least total cost (Kuhn 1955, in the form
// with shortest augmenting paths and potentials; O(n^3)).
#pragma once

#include <cmath>
#include <vector>

#include "core/types.h"

namespace mixology {
namespace cwm {

// out[row] = column; `cost` is square.
inline std::vector<int> best_assignment(const MatrixXd& cost) {
  const int n = static_cast<int>(cost.rows());
  std::vector<double> row_price(static_cast<std::size_t>(n + 1), 0.0), column_price = row_price;
  std::vector<int> owner(static_cast<std::size_t>(n + 1), 0);  // row that holds a column, from 1
  auto at = [](int i) { return static_cast<std::size_t>(i); };
  for (int row = 1; row <= n; ++row) {
    std::vector<double> distance(at(n + 1), HUGE_VAL);
    std::vector<int> previous(at(n + 1), 0);
    std::vector<char> done(at(n + 1), 0);
    int column = 0;
    owner[0] = row;
    do {
      done[at(column)] = 1;
      const int here = owner[at(column)];
      double shortest = HUGE_VAL;
      int next = 0;
      for (int j = 1; j <= n; ++j) {
        if (done[at(j)]) continue;
        const double reduced = cost(here - 1, j - 1) - row_price[at(here)] - column_price[at(j)];
        if (reduced < distance[at(j)]) {
          distance[at(j)] = reduced;
          previous[at(j)] = column;
        }
        if (distance[at(j)] < shortest) {
          shortest = distance[at(j)];
          next = j;
        }
      }
      for (int j = 0; j <= n; ++j) {
        if (done[at(j)]) {
          row_price[at(owner[at(j)])] += shortest;
          column_price[at(j)] -= shortest;
        } else {
          distance[at(j)] -= shortest;
        }
      }
      column = next;
    } while (owner[at(column)] != 0);
    while (column != 0) {
      owner[at(column)] = owner[at(previous[at(column)])];
      column = previous[at(column)];
    }
  }
  std::vector<int> out(at(n));
  for (int j = 1; j <= n; ++j) out[at(owner[at(j)] - 1)] = j - 1;
  return out;
}

}  // namespace cwm
}  // namespace mixology
