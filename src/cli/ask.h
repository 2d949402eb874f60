/* ff run -i: asks for the parameters that were not given. */
#ifndef FF_CLI_ASK_H
#define FF_CLI_ASK_H

#include "cli/app.h"

/* Asks on stderr, reads stdin; an empty answer takes the default. What is no valid value is asked for again. */
int ask_parameters(const struct workflow_def *def, json_t *io_given, struct err *err);

#endif
