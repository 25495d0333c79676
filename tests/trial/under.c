/* SPDX-License-Identifier: MIT */
/*
 * under PRELOAD LEAST PROGRAM [ARGUMENT...]: runs the program as it is, and with every block of up to 1 MiB from pools. Both
 * have to end well and to write the same, and the second to have got at least LEAST blocks from pools.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "trial.h"

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    trial_catch_signals();
    const struct trial_command command = {
        .argv = argv + 3, .preload = argv[1], .input = -1, .timeout_s = 150};
    const struct trial_arm plain = {.preload = false};
    const struct trial_arm pooled = {
        .preload = true, .everything = true, .everything_bytes = 1 << 20};
    struct trial_sample samples[2];
    char message[512];
    for (int i = 0; i < 2; i++) {
        if (trial_run(&command, i ? &pooled : &plain, TRIAL_ANY_CPU, &samples[i], message, sizeof message)) {
            fprintf(stderr, "%s: %s\n", i ? "pooled" : "plain", message);
            return 1;
        }
        if (samples[i].timed_out || samples[i].exit_status) {
            fprintf(stderr, "%s: ended with wait status %#x%s: %s\n", i ? "pooled" : "plain",
                    (unsigned)samples[i].exit_status, samples[i].timed_out ? ", past its time" : "",
                    samples[i].errors);
            return 1;
        }
    }
    if (samples[0].output_bytes != samples[1].output_bytes ||
        samples[0].output_hash != samples[1].output_hash) {
        fprintf(stderr,
                "standard output differs: %llu bytes, hash %llx; pooled %llu bytes, hash %llx\n",
                (unsigned long long)samples[0].output_bytes,
                (unsigned long long)samples[0].output_hash,
                (unsigned long long)samples[1].output_bytes,
                (unsigned long long)samples[1].output_hash);
        return 1;
    }
    if (!samples[1].attached || samples[1].full ||
        samples[1].served < strtoull(argv[2], NULL, 10)) {
        fprintf(stderr, "attached %d, full %d, %llu blocks from pools, wanted %s\n",
                samples[1].attached, samples[1].full, (unsigned long long)samples[1].served,
                argv[2]);
        return 1;
    }
    return 0;
}
