/* ff workflow test: a workflow against activities that a file answers for. */
#ifndef FF_CLI_WORKFLOW_TEST_H
#define FF_CLI_WORKFLOW_TEST_H

#include "cli/app.h"

extern const struct command cmd_workflow_test;

#endif
