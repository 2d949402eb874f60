/* What the files of the contract suite share: the engine under test, and words for their stories.
 *
 * The same cases run three ways. With nothing said the engine is the embedded one in this process, in memory. With
 * CONTRACT_ADDR=host:port (or unix:/path) it is what answers there: an `ff serve`, or a real Temporal server. Each case has
 * a namespace of its own, so that a long-lived server can be used and lists show the case's runs alone.
 * With CONTRACT_DUMP=DIR the histories that a case left are written to DIR/CASE.json, for contract.py to compare. */
#ifndef FF_TESTS_CONTRACT_H
#define FF_TESTS_CONTRACT_H

#include "lab.h"

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
#define CASE(f) {#f, f, contract_set_up, contract_tear_down, (void *)#f}

int contract_set_up(void **state); /* takes the case's name, gives a struct lab */
int contract_tear_down(void **state);
/* Makes a namespace that is this case's alone; its name lives until the case's end. */
const char *contract_namespace(struct lab *l, const char *name);

static inline Pb__WorkflowExecutionStatus status_of(struct lab *l, const char *id)
{
    return lab_status(l, id, NULL);
}

#endif
