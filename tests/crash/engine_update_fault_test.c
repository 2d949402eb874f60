/* Faults while updates and a reset are under way: every write, sync and allocation fails in its turn. Each call is
 * repeated until it passes, as clients and workers do; the story then ends as it would have without the fault, and
 * is the same when the state is opened again. */
#include "lab_update.h"

#include "base/mem.h"
#include "engine/embedded/embedded.h"
#include "engine_vfs.h"
#include "os/file.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define RETRIES 20

static struct lab lab;
static char path[100];

static bool open_engine(void)
{
    struct engine_embedded_options o = {.path = path, .vfs = TEST_VFS};
    struct err err = {0};
    lab = (struct lab){.ns = "default"};
    for (int i = 0; i < RETRIES; i++)
        if (engine_embedded_open(&o, &lab.engine, &err) == 0)
            return true;
    return false;
}

static void end(void)
{
    char lock[120];
    lab_clean();
    engine_free(lab.engine);
    lab.engine = NULL;
    snprintf(lock, sizeof lock, "%s.lock", path);
    os_unlink(lock, true, NULL);
}

/* false: try again. A fault is the only reason there may be. */
static bool passed(int r)
{
    if (r < 0 && r != -ERR_IO && r != -ERR_NO_SPACE && r != -ERR_NO_MEMORY)
        fail_msg("unexpected error %s", err_name(r));
    return r >= 0;
}

#define UNTIL(what)                                                                                                    \
    do {                                                                                                               \
        int tries_ = 0;                                                                                                \
        while (!passed(what))                                                                                          \
            assert_true(++tries_ < RETRIES);                                                                           \
    } while (0)

/* The next workflow task: a poll whose batch failed is tried again, and what it had been given comes again. */
static Pb__PollWorkflowTaskQueueResponse *next_task(void)
{
    Pb__PollWorkflowTaskQueueRequest q = PB__POLL_WORKFLOW_TASK_QUEUE_REQUEST__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    Pb__PollWorkflowTaskQueueResponse *t = NULL;
    queue.name = (char *)LAB_QUEUE;
    q.namespace_ = (char *)"default";
    q.task_queue = &queue;
    for (int i = 0; i < RETRIES && !(t && t->task_token.len); i++)
        if (!passed(lab_call(&lab, ENGINE_POLL_WORKFLOW_TASK, &q, 1000, &t, NULL)))
            t = NULL;
    assert_true(t && t->task_token.len);
    return t;
}

/* An update whose caller repeats it, while the worker answers it. */
static void update(const char *update_id, const char *result)
{
    for (int i = 0;; i++) {
        assert_true(i < RETRIES);
        struct lab_pending *p = lab_begin_update(&lab, "a", NULL, update_id, STAGE(ACCEPTED));
        Pb__PollWorkflowExecutionUpdateResponse *there = NULL;
        Pb__PollWorkflowTaskQueueRequest q = PB__POLL_WORKFLOW_TASK_QUEUE_REQUEST__INIT;
        Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
        Pb__PollWorkflowTaskQueueResponse *t = NULL;
        queue.name = (char *)LAB_QUEUE;
        q.namespace_ = (char *)"default";
        q.task_queue = &queue;
        /* It may have failed, then no task comes of it. */
        if (passed(lab_call(&lab, ENGINE_POLL_WORKFLOW_TASK, &q, 20, &t, NULL)) && t->task_token.len) {
            Pb__ProtocolMessage *m[] = {lab_accept(update_id, t), lab_completed(update_id, result)};
            UNTIL(lab_answer(&lab, t, m, 2, NULL, NULL, NULL));
        } else if (lab_poll_update(&lab, "a", NULL, update_id, STAGE(UNSPECIFIED), &there) == -ERR_NOT_FOUND) {
            lab_leave(p); /* or it has failed already */
        }
        int r = lab_end(p, NULL, NULL);
        if (r == 0)
            return;
        if (r != -ERR_CANCELLED)
            passed(r);
    }
}

static void tell(void)
{
    struct lab_start start = {.id = "a", .request_id = "r"};
    const char *second = NULL;
    UNTIL(lab_try_start(&lab, &start, NULL, NULL));
    Pb__PollWorkflowTaskQueueResponse *t = next_task();
    UNTIL(lab_try_complete(&lab, t, NULL, NULL, 0, NULL, NULL));
    update("u1", "1");
    UNTIL(lab_reset(&lab, "a", NULL, 4, "reset", &second));
    t = next_task(); /* the update is applied again */
    Pb__ProtocolMessage *m[] = {lab_accept("u1", t), lab_completed("u1", "2")};
    UNTIL(lab_answer(&lab, t, m, 2, NULL, NULL, NULL));
    update("u2", "3");
}

/* What must have come of it, however often something failed on the way. */
static void check(void)
{
    Pb__PollWorkflowExecutionUpdateResponse *u = NULL;
    assert_int_equal(lab_poll_update(&lab, "a", NULL, "u1", STAGE(COMPLETED), &u), 0);
    assert_string_equal(lab_text(u->outcome->success), "2");
    assert_int_equal(lab_poll_update(&lab, "a", NULL, "u2", STAGE(COMPLETED), &u), 0);
    assert_string_equal(lab_text(u->outcome->success), "3");
    const char *h = lab_history_text(&lab, "a", NULL);
    if (!strstr(h, "WorkflowTaskFailed WorkflowExecutionUpdateAdmitted") ||
        !strstr(h, "WorkflowExecutionUpdateAccepted WorkflowExecutionUpdateCompleted"))
        fail_msg("the history is %s", h);
    assert_string_equal(lab_list(&lab, "ExecutionStatus='Running'"), "a");
    assert_string_equal(lab_list(&lab, "ExecutionStatus='Terminated'"), "a");
}

static void begin(void)
{
    vfs_init();
    vfs_clear();
    snprintf(path, sizeof path, "/tmp/engine-update-fault-%ld", (long)getpid());
}

static void each_fails(unsigned ops, int code)
{
    long n = 1;
    for (bool met = true; met; n += n < 30 ? 1 : 7) {
        begin();
        assert_true(open_engine());
        vfs_fail(ops, n, code, false);
        tell();
        met = vfs_failed();
        vfs_fail(0, 0, 0, false);
        check();
        end();
        assert_true(open_engine());
        check();
        end();
    }
    print_message("%ld operations\n", n);
    assert_true(n > 10);
}

static void each_write_fails(void **state)
{
    (void)state;
    each_fails(VFS_WRITE, SQLITE_IOERR_WRITE);
}

static void each_sync_fails(void **state)
{
    (void)state;
    each_fails(VFS_SYNC, SQLITE_IOERR_FSYNC);
}

/* The requests are made beforehand: the fault is the engine's alone. */
static bool passes(enum engine_method m, const ProtobufCMessage *req)
{
    struct err err = {0};
    int r = engine_call_sync(lab.engine, m, req, 1000, NULL, &err);
    return r == -ERR_NOT_FOUND ? false : passed(r);
}

static void each_allocation_fails(void **state)
{
    (void)state;
    long n = 1;
    for (bool met = true; met; n += n < 100 ? 1 : 9) {
        begin();
        assert_true(open_engine());
        lab_start_id(&lab, "a");
        assert_int_equal(lab_try_complete(&lab, next_task(), NULL, NULL, 0, NULL, NULL), 0);
        struct lab_pending *p = lab_begin_update(&lab, "a", NULL, "u1", STAGE(ACCEPTED));
        Pb__PollWorkflowTaskQueueResponse *t = next_task();
        Pb__ProtocolMessage *m[] = {lab_accept("u1", t), lab_completed("u1", "1")};
        Pb__RespondWorkflowTaskCompletedRequest done = PB__RESPOND_WORKFLOW_TASK_COMPLETED_REQUEST__INIT;
        Pb__PollWorkflowExecutionUpdateRequest look = PB__POLL_WORKFLOW_EXECUTION_UPDATE_REQUEST__INIT;
        Pb__ResetWorkflowExecutionRequest again = PB__RESET_WORKFLOW_EXECUTION_REQUEST__INIT;
        Pb__UpdateRef ref = PB__UPDATE_REF__INIT;
        Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
        x.workflow_id = (char *)"a";
        ref.workflow_execution = &x;
        ref.update_id = (char *)"u1";
        look.update_ref = &ref;
        done.task_token = t->task_token;
        done.messages = m;
        done.n_messages = 2;
        again.workflow_execution = &x;
        again.workflow_task_finish_event_id = 4;
        again.request_id = (char *)"reset";
        done.namespace_ = look.namespace_ = again.namespace_ = (char *)"default";
        mem_fault_set(n, 0);
        bool answered = passes(ENGINE_COMPLETE_WORKFLOW_TASK, &done.base);
        passes(ENGINE_POLL_UPDATE, &look.base);
        bool anew = passes(ENGINE_RESET_WORKFLOW, &again.base);
        met = mem_fault_hit();
        mem_fault_set(0, 0);
        if (!answered && !anew)
            assert_true(passes(ENGINE_COMPLETE_WORKFLOW_TASK, &done.base));
        if (!anew)
            assert_true(passes(ENGINE_RESET_WORKFLOW, &again.base));
        int r = lab_end(p, NULL, NULL); /* it may have been told of the fault, or of the end of the run */
        if (r != -ERR_NOT_FOUND)
            passed(r);
        const char *h = lab_history_text(&lab, "a", NULL);
        if (!strstr(h, answered || !anew ? "WorkflowTaskFailed WorkflowExecutionUpdateAdmitted" : "WorkflowTaskFailed"))
            fail_msg("the history is %s", h);
        end();
    }
    print_message("%ld allocations\n", n);
    assert_true(n > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_write_fails),
        cmocka_unit_test(each_sync_fails),
        cmocka_unit_test(each_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
