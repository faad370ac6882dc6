// PLINK .bed files: genotypes in two bits, SNP after SNP, behind three bytes of header.
// Codes from the low bits up: 00 both alleles are the first of the .bim file, 10 one of each,
// 11 both the second, 01 missing.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "models/mmash/design.h"

namespace mixology {
namespace mmash {

// What is wrong with a .bed file of `size` bytes that begins with `data`; empty: nothing.
inline std::string bed_fault(const std::uint8_t* data, std::uint64_t size, std::uint64_t samples,
                             std::uint64_t variants) {
  if (size < 3) return "has " + std::to_string(size) + " bytes, less than its header of 3";
  if (data[0] != 0x6c || data[1] != 0x1b) {
    return "does not begin with the magic number of a .bed file (6c 1b)";
  }
  if (data[2] == 0x00) return "is in the old order, sample after sample; convert it with PLINK";
  if (data[2] != 0x01) return "has a third byte that is neither 00 nor 01";
  if (samples == 0 || variants == 0) return "belongs to no samples or no variants";
  const std::uint64_t per_variant = samples / 4 + (samples % 4 != 0);
  if (variants > (UINT64_MAX - 3) / per_variant) return "would be larger than any file";
  const std::uint64_t expected = 3 + per_variant * variants;
  if (size == expected) return "";
  return std::string(size < expected ? "is cut short" : "is too long") + ": " +
         std::to_string(samples) + " samples and " + std::to_string(variants) + " variants need " +
         std::to_string(expected) + " bytes, it has " + std::to_string(size);
}

// Genotypes of one SNP looked up in a table of the four codes.
inline void decode_bed(const std::uint8_t* from, Index samples, const double* table, double* out) {
  const Index whole = samples / 4;
  for (Index i = 0; i < whole; ++i) {
    const std::uint8_t byte = from[i];
    double* to = out + 4 * i;
    to[0] = table[byte & 3];
    to[1] = table[(byte >> 2) & 3];
    to[2] = table[(byte >> 4) & 3];
    to[3] = table[byte >> 6];
  }
  for (Index i = 4 * whole; i < samples; ++i) out[i] = table[(from[i / 4] >> (2 * (i % 4))) & 3];
}

// Missing genotypes (code 1) of one SNP.
inline Index count_missing_bed(const std::uint8_t* from, Index samples) {
  const auto one = [](std::uint8_t byte) {  // both bits of a pair at once: low set, high not
    return static_cast<unsigned>(byte & ~(byte >> 1) & 0x55);
  };
  Index out = 0;
  const Index whole = samples / 4;
  for (Index i = 0; i < whole; ++i) out += __builtin_popcount(one(from[i]));
  const auto rest = static_cast<unsigned>(samples % 4);
  if (rest > 0) out += __builtin_popcount(one(from[whole]) & ((1u << (2 * rest)) - 1u));
  return out;
}

class BedGenotypes : public Genotypes {
 public:
  // Takes over the mapping [data, data + size).
  BedGenotypes(const std::uint8_t* data, std::size_t size, Index samples, Index variants,
               bool count_first)
      : data_(data), size_(size), samples_(samples), variants_(variants), first_(count_first) {}
  BedGenotypes(const BedGenotypes&) = delete;
  BedGenotypes& operator=(const BedGenotypes&) = delete;
  ~BedGenotypes() override { ::munmap(const_cast<std::uint8_t*>(data_), size_); }

  Index samples() const override { return samples_; }
  Index variants() const override { return variants_; }
  int codes() const override { return 4; }
  double value(int code) const override {
    if (code == 1) return std::nan("");
    const double second = code == 0 ? 0.0 : code == 2 ? 1.0 : 2.0;
    return first_ ? 2.0 - second : second;
  }
  void decode(Index variant, const double* table, double* out) const override {
    decode_bed(bytes(variant), samples_, table, out);
  }
  Index missing(Index variant) const { return count_missing_bed(bytes(variant), samples_); }

 private:
  const std::uint8_t* bytes(Index variant) const {
    return data_ + 3 + variant * ((samples_ + 3) / 4);
  }

  const std::uint8_t* data_;
  std::size_t size_;
  Index samples_, variants_;
  bool first_;  // alleles counted: the first of the .bim file instead of the second
};

inline std::shared_ptr<const BedGenotypes> open_bed(const std::string& path, Index samples,
                                                    Index variants, bool count_first) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    throw std::runtime_error("mmash: '" + path + "' cannot be opened: " + std::strerror(errno));
  }
  struct stat info = {};
  const bool sized = ::fstat(file, &info) == 0;
  const auto size = static_cast<std::size_t>(sized ? info.st_size : 0);
  void* data = size > 0 ? ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
  ::close(file);
  if (data == MAP_FAILED) throw std::runtime_error("mmash: '" + path + "' cannot be read");
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  const std::string fault = bed_fault(bytes, size, static_cast<std::uint64_t>(samples),
                                      static_cast<std::uint64_t>(variants));
  if (!fault.empty()) {
    ::munmap(data, size);
    throw std::runtime_error("mmash: '" + path + "' " + fault);
  }
  return std::make_shared<BedGenotypes>(bytes, size, samples, variants, count_first);
}

}  // namespace mmash
}  // namespace mixology
