// SPDX-License-Identifier: Apache-2.0
// A root task that measures the kernel's paths: boots in place of the supervisor (tools/bench.py). Ends with
// BENCH-END.
#include "test/bench/measure.hpp"
#include "test/bench/stage.hpp"

int main() {
    using namespace bulkhead;
    (void)stage::machine();
    bench::call_benchmarks();
    bench::notification_benchmarks();
    bench::fault_benchmarks();
    bench::vcpu_benchmarks();
    bench::memory_benchmarks();
    cap::log_line("BENCH-END");
    for (;;) cap::drop(cap::sys::thread_suspend(cap::kMainThread));
}
