/* The sub-commands of ff fuzz: each in a file of its own. */
#ifndef FF_CLI_CMD_FUZZ_H
#define FF_CLI_CMD_FUZZ_H

#include "cli/cli.h"

extern const struct command fuzz_parse, fuzz_cluster; /* fuzz_crash.c */
extern const struct command fuzz_list, fuzz_build, fuzz_run, fuzz_minimize, fuzz_reproduce, fuzz_triage; /* fuzz_run.c */

#endif
