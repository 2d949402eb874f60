/* The completion queue: what the library has finished comes out here, as a tag that knows what to do. */
#include "rpc_internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "os/clock.h"

#include <string.h>

gpr_timespec rpc_deadline(int64_t mono_ns)
{
    if (mono_ns == INT64_MAX)
        return core.gpr_inf_future(GPR_CLOCK_MONOTONIC);
    int64_t left = mono_ns - os_mono_ns();
    return core.gpr_time_add(core.gpr_now(GPR_CLOCK_MONOTONIC), core.gpr_time_from_nanos(left, GPR_TIMESPAN));
}

int rpc_queue_init(struct rpc_queue *q, struct err *err)
{
    *q = (struct rpc_queue){.cq = core.grpc_completion_queue_create_for_next(NULL),
                            .post = core.grpc_lame_client_channel_create("post", GRPC_STATUS_UNAVAILABLE, "")};
    return q->cq && q->post ? 0 : err_nomem(err);
}

static void *run(void *arg)
{
    struct rpc_queue *q = arg;
    for (;;) {
        int64_t next = q->tick ? q->tick(q->tick_arg) : INT64_MAX;
        grpc_event e = core.grpc_completion_queue_next(q->cq, rpc_deadline(next), NULL);
        if (e.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (e.type == GRPC_OP_COMPLETE) {
            struct rpc_tag *t = e.tag;
            rpc_happens_after(t);
            t->fn(t, e.success);
        }
    }
}

int rpc_queue_run(struct rpc_queue *q, int n, struct err *err)
{
    ASSERT(n > 0 && n <= (int)(sizeof q->threads / sizeof q->threads[0]) && (n == 1 || !q->tick));
    while (q->threads_count < n) {
        int r = pthread_create(&q->threads[q->threads_count], NULL, run, q);
        if (r != 0)
            return err_sys(err, r, "start a thread");
        q->threads_count++;
    }
    return 0;
}

void rpc_queue_batch(grpc_call *call, const grpc_op *ops, size_t n, struct rpc_tag *t)
{
    rpc_happens_before(t);
    grpc_call_error r = core.grpc_call_start_batch(call, ops, n, t, NULL);
    ASSERT(r == GRPC_CALL_OK);
}

/* An empty batch is finished at once, wherever its call would go. */
void rpc_queue_post(struct rpc_queue *q, struct rpc_tag *t)
{
    grpc_call *call = core.grpc_channel_create_call(q->post, NULL, 0, q->cq, core.grpc_slice_from_static_string("/post"), NULL,
                                               core.gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    rpc_queue_batch(call, NULL, 0, t);
    core.grpc_call_unref(call);
}

/* Whatever is left is drained by hand when no thread ever ran. */
void rpc_queue_release(struct rpc_queue *q)
{
    if (q->post)
        core.grpc_channel_destroy(q->post);
    if (!q->cq)
        return;
    core.grpc_completion_queue_shutdown(q->cq);
    if (q->threads_count == 0)
        run(q);
    for (int i = 0; i < q->threads_count; i++)
        pthread_join(q->threads[i], NULL);
    core.grpc_completion_queue_destroy(q->cq);
    q->cq = NULL;
}
