// SPDX-License-Identifier: Apache-2.0
// clock [seconds]: how far the time stamp counter and the guest's two clocks advance over a sleep, for comparison with the host's rate.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

static double seconds(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    const long duration = argc > 1 ? strtol(argv[1], NULL, 10) : 10;
    const double monotonic = seconds(CLOCK_MONOTONIC), realtime = seconds(CLOCK_REALTIME);
    const unsigned long long tsc = __rdtsc();
    const struct timespec pause = {.tv_sec = duration};
    nanosleep(&pause, NULL);
    printf("CLOCK tsc=%llu monotonic=%.6f realtime=%.6f\n", __rdtsc() - tsc, seconds(CLOCK_MONOTONIC) - monotonic, seconds(CLOCK_REALTIME) - realtime);
    return 0;
}
