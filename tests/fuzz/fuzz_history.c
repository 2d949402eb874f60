/* A workflow task from outside, history and all, given to a script that uses the whole API: whatever it holds, the answer is a
 * result or an error, and a second, fresh instance gives the same. */
#include "base/assert.h"
#include "codec/pbx.h"
#include "fuzz.h"
#include "workflow/workflow.h"

#include <stdlib.h>
#include <string.h>

/* The story that tests/unit/workflow/test_replay.c tells; seeds are histories of it. */
#include "../unit/workflow/story.h"

static const struct workflow_limits limits = {.instructions = 300000, .memory_bytes = 4 << 20, .time_ms = 60000};

static int once(const Pb__PollWorkflowTaskQueueResponse *task, struct workflow_result *r, int64_t *ret_last)
{
    struct workflow *w;
    struct err err = {0};
    ASSERT(workflow_new(story, sizeof story - 1, "workflow.lua", &limits, &w, &err) == 0);
    int c = workflow_task(w, task, NULL, 0, r, &err);
    ASSERT(c == 0 || (err.code == -c && *err.msg));
    *ret_last = workflow_last_event_id(w);
    if (c == 0 && r->outcome == WORKFLOW_TASK_COMPLETED) { /* the same task again: it starts over, or says that it cannot */
        struct workflow_result again;
        int d = workflow_task(w, task, NULL, 0, &again, &err);
        ASSERT(d == 0 || d == -ERR_STATE);
        if (d == 0) {
            ASSERT(again.commands_count == r->commands_count);
            workflow_result_release(&again);
        }
    }
    workflow_free(w);
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ProtobufCMessage *m;
    if (pbx_unpack(&pb__poll_workflow_task_queue_response__descriptor, data, size, &m, NULL) < 0)
        return 0;
    const Pb__PollWorkflowTaskQueueResponse *task = (const Pb__PollWorkflowTaskQueueResponse *)m;
    struct workflow_result a, b;
    int64_t last_a, last_b;
    int ca = once(task, &a, &last_a), cb = once(task, &b, &last_b);
    ASSERT(ca == cb && last_a == last_b);
    if (ca == 0) {
        ASSERT(a.outcome == b.outcome && a.commands_count == b.commands_count &&
               a.query_results_count == b.query_results_count && !a.query_result == !b.query_result);
        workflow_result_release(&a);
        workflow_result_release(&b);
    }
    protobuf_c_message_free_unpacked(m, NULL);
    return 0;
}
