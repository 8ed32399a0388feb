// SPDX-License-Identifier: Apache-2.0
// clock tsc: the time stamp counter, which is the machine's own as long as nobody writes it in the guest.
// clock [seconds]: how far the time stamp counter and the guest's two clocks advance over a sleep, for
// comparison with the host's rate.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

static double seconds(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char** argv) {
    if (argc > 1 && strcmp(argv[1], "tsc") == 0) {
        printf("GUEST-TSC %llu ticks\n", __rdtsc());
        return 0;
    }
    const long duration = argc > 1 ? strtol(argv[1], NULL, 10) : 10;
    const double monotonic = seconds(CLOCK_MONOTONIC), realtime = seconds(CLOCK_REALTIME);
    const unsigned long long tsc = __rdtsc();
    const struct timespec pause = {.tv_sec = duration};
    nanosleep(&pause, NULL);
    printf("CLOCK tsc=%llu monotonic=%.6f realtime=%.6f\n", __rdtsc() - tsc,
           seconds(CLOCK_MONOTONIC) - monotonic, seconds(CLOCK_REALTIME) - realtime);
    return 0;
}
