// Named arrays of doubles: the form in which a State leaves and enters the core (checkpoints,
// resumed fits, the R object). Doubles carry every bit of a state, so a resumed fit is exact.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/types.h"

namespace mixology {

struct Array {
  std::vector<double> values;
  Index rows = 0;
  Index cols = -1;  // -1: a plain vector
};

class Archive {
 public:
  void put(const std::string& name, double value) { put(name, std::vector<double>{value}); }
  void put(const std::string& name, std::vector<double> values) {
    const Index n = static_cast<Index>(values.size());
    add(name, Array{std::move(values), n, -1});
  }
  void put(const std::string& name, const VectorXd& v) {
    put(name, std::vector<double>(v.data(), v.data() + v.size()));
  }
  void put(const std::string& name, const MatrixXd& m) {
    add(name, Array{std::vector<double>(m.data(), m.data() + m.size()), m.rows(), m.cols()});
  }
  void add(const std::string& name, Array array) { items_.emplace_back(name, std::move(array)); }

  bool has(const std::string& name) const { return find(name) != nullptr; }
  double scalar(const std::string& name) const { return at(name).values.at(0); }
  const std::vector<double>& values(const std::string& name) const { return at(name).values; }
  VectorXd vector(const std::string& name) const {
    const auto& v = at(name).values;
    return Eigen::Map<const VectorXd>(v.data(), static_cast<Eigen::Index>(v.size()));
  }
  MatrixXd matrix(const std::string& name) const {
    const Array& a = at(name);
    return Eigen::Map<const MatrixXd>(a.values.data(), a.rows, a.cols < 0 ? 1 : a.cols);
  }

  const std::vector<std::pair<std::string, Array>>& items() const { return items_; }

 private:
  const Array* find(const std::string& name) const {
    for (const auto& item : items_) {
      if (item.first == name) return &item.second;
    }
    return nullptr;
  }
  const Array& at(const std::string& name) const {
    const Array* array = find(name);
    if (array == nullptr) throw std::invalid_argument("saved state lacks '" + name + "'");
    return *array;
  }

  std::vector<std::pair<std::string, Array>> items_;
};

}  // namespace mixology
