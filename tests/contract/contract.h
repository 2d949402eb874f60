/* What the files of the contract suite share: the engines under test, and words for their
 * stories. */
#ifndef FF_TESTS_CONTRACT_H
#define FF_TESTS_CONTRACT_H

#include "lab.h"

#include "engine/embedded/embedded.h"
#include "os/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define START "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted "
#define TASK "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted "
#define STATUS(NAME) PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_##NAME
#define EVENT(NAME) PB__EVENT_TYPE__EVENT_TYPE_##NAME
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* The engines under test. */
static struct engine *open_embedded(void)
{
    struct engine_embedded_options o = {.path = ":memory:"};
    struct engine *e = NULL;
    struct err err = {0};
    if (engine_embedded_open(&o, &e, &err) < 0)
        fail_msg("open: %s", err.msg);
    return e;
}

static int set_up(void **state)
{
    static struct lab lab;
    lab = (struct lab){.engine = open_embedded()};
    *state = &lab;
    return 0;
}

static int tear_down(void **state)
{
    struct lab *l = *state;
    lab_clean();
    engine_free(l->engine);
    return 0;
}

static inline Pb__WorkflowExecutionStatus status_of(struct lab *l, const char *id)
{
    return lab_status(l, id, NULL);
}

#endif
