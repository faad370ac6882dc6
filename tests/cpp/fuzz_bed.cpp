// .bed files of arbitrary bytes: either a fault is named, or every genotype can be read, without a
// step outside the file or the output, and is what its two bits say.
#include <cstdint>
#include <vector>

#include "fuzz.h"
#include "models/mmash/bed.h"

using namespace mixology;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::uint64_t samples = data[0];
  const std::uint64_t variants = data[1];
  const std::vector<std::uint8_t> file(data + 2, data + size);  // its own block: overruns are seen
  const std::string fault = mmash::bed_fault(file.data(), file.size(), samples, variants);
  const std::uint64_t per_variant = (samples + 3) / 4;
  const bool fits = file.size() == 3 + per_variant * variants;
  FUZZ_REQUIRE(!fault.empty() || (fits && samples > 0 && variants > 0));
  // counts of a file that nobody has must not wrap around
  FUZZ_REQUIRE(!mmash::bed_fault(file.data(), file.size(), UINT64_MAX, UINT64_MAX).empty());
  if (!fault.empty()) return 0;
  const double table[4] = {10.0, 11.0, 12.0, 13.0};
  const auto n = static_cast<Index>(samples);
  std::vector<double> out(samples);
  for (std::uint64_t v = 0; v < variants; ++v) {
    const std::uint8_t* from = file.data() + 3 + v * per_variant;
    mmash::decode_bed(from, n, table, out.data());
    Index missing = 0;
    for (std::uint64_t i = 0; i < samples; ++i) {
      const int code = (from[i / 4] >> (2 * (i % 4))) & 3;
      FUZZ_REQUIRE(out[i] == table[code]);
      missing += code == 1;
    }
    FUZZ_REQUIRE(mmash::count_missing_bed(from, n) == missing);
  }
  return 0;
}
