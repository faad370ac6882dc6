// What every fuzz target needs: a check that says which line it failed in.
#ifndef MIXOLOGY_TESTS_FUZZ_H
#define MIXOLOGY_TESTS_FUZZ_H

#include <cstdio>
#include <cstdlib>

#define FUZZ_REQUIRE(condition)                                            \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                        \
    }                                                                      \
  } while (false)

#endif
