/* ff module run: one module alone, in its sandbox, outside any workflow. */
#ifndef FF_CLI_MODULE_RUN_H
#define FF_CLI_MODULE_RUN_H

#include "cli/app.h"

extern const struct command cmd_module_run;

#endif
