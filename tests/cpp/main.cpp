// The main function of every test program; its last line is 'N passed, N failed' (test cases).
#define CATCH_CONFIG_RUNNER
#include <catch.h>

#include <cstdio>

namespace {

Catch::Counts cases;

struct CountingListener : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;
  void testRunEnded(const Catch::TestRunStats& stats) override { cases = stats.totals.testCases; }
};

}  // namespace

INTERNAL_CATCH_REGISTER_LISTENER(CountingListener)

int main(int argc, char* argv[]) {
  const int failed = Catch::Session().run(argc, argv);
  std::fflush(stdout);
  std::printf("%zu passed, %zu failed\n", cases.passed, cases.failed);
  return failed == 0 ? 0 : 1;
}
