/* ff fuzz: fuzz targets, campaigns, and what they find. */
#include "cli/cmd_fuzz.h"

const struct command cmd_fuzz = {
    .name = "fuzz",
    .summary = "Fuzz targets, what crashes them, and crash reports",
    .examples = "  ff fuzz parse crash.txt\n  ff fuzz cluster reports/ --json | jq '.groups[].reports'",
    .subs = (const struct command *const[]){&fuzz_list, &fuzz_build, &fuzz_run, &fuzz_reproduce, &fuzz_minimize,
                                              &fuzz_triage, &fuzz_parse, &fuzz_cluster, NULL},
};
