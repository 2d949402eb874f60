/* Faults under the embedded engine, one after the other: every write, sync, read and allocation
 * fails in its turn, and power goes at every point. Whatever happens: what was acknowledged is
 * there afterwards, and the engine goes on. */
#include "lab.h"

#include "base/mem.h"
#include "base/units.h"
#include "engine/embedded/embedded.h"
#include "engine_vfs.h"
#include "os/clock.h"
#include "os/file.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define RUNS 4
#define RETRIES 50
#define POLL_MS 3 /* everything happens within a few commits in memory */

/* How far each run of the story has come, as far as it was acknowledged. */
enum stage { NOTHING, STARTED, SCHEDULED, ACTIVE, DONE, CLOSED };

struct story {
    struct lab lab;
    char path[300];
    atomic_int stage[RUNS]; /* enum stage */
    int kept[RUNS];         /* when the power went */
    int errors;
    bool mend; /* a lasting fault is made good after a few errors */
};

static struct story s;

static bool open_engine(void)
{
    struct engine_embedded_options o = {.path = s.path, .vfs = TEST_VFS};
    struct err err = {0};
    for (int i = 0; i < RETRIES; i++) {
        if (engine_embedded_open(&o, &s.lab.engine, &err) == 0)
            return true;
        if (err.code == ERR_CORRUPT && !vfs_failed())
            break;
        s.errors++;
        s.lab.engine = NULL;
    }
    return false;
}

static int run_of(const char *id)
{
    return id[1] - '0';
}

/* Tells a call that failed from the fault from one that failed by a mistake. */
static bool passed(int r)
{
    if (r < 0) {
        if (++s.errors >= 3 && s.mend)
            vfs_fail(0, 0, 0, false);
        if (r != -ERR_IO && r != -ERR_NO_SPACE && r != -ERR_NO_MEMORY && r != -ERR_NOT_FOUND &&
            r != -ERR_CORRUPT && r != -ERR_BUSY && r != -ERR_PERMISSION)
            fail_msg("unexpected error %s", err_name(r));
    }
    return r >= 0;
}

static void start_runs(void)
{
    for (int i = 0; i < RUNS; i++) {
        char id[8], request[8];
        snprintf(id, sizeof id, "w%d", i);
        snprintf(request, sizeof request, "r%d", i);
        struct lab_start start = {.id = id, .request_id = request};
        for (int k = 0; k < RETRIES && atomic_load(&s.stage[i]) < STARTED; k++)
            if (passed(lab_try_start(&s.lab, &start, NULL, NULL)))
                atomic_store(&s.stage[i], STARTED);
        assert_int_equal(atomic_load(&s.stage[i]), STARTED);
    }
}

static Pb__PollWorkflowTaskQueueResponse *try_poll(void)
{
    Pb__PollWorkflowTaskQueueRequest q = PB__POLL_WORKFLOW_TASK_QUEUE_REQUEST__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    Pb__PollWorkflowTaskQueueResponse *t;
    queue.name = (char *)LAB_QUEUE;
    q.namespace_ = (char *)"default";
    q.task_queue = &queue;
    return passed(lab_call(&s.lab, ENGINE_POLL_WORKFLOW_TASK, &q, POLL_MS, &t, NULL)) && t->task_token.len ? t : NULL;
}

static Pb__PollActivityTaskQueueResponse *try_poll_activity(void)
{
    Pb__PollActivityTaskQueueRequest q = PB__POLL_ACTIVITY_TASK_QUEUE_REQUEST__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    Pb__PollActivityTaskQueueResponse *t;
    queue.name = (char *)LAB_QUEUE;
    q.namespace_ = (char *)"default";
    q.task_queue = &queue;
    return passed(lab_call(&s.lab, ENGINE_POLL_ACTIVITY_TASK, &q, POLL_MS, &t, NULL)) && t->task_token.len ? t : NULL;
}

/* Has that activity of the history ended? */
static bool seen_end(const Pb__History *h)
{
    for (size_t i = 0; i < h->n_events; i++)
        if (h->events[i]->event_type == PB__EVENT_TYPE__EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
            return true;
    return false;
}

/* One turn of the worker. false: there was nothing to do. */
static bool work(void)
{
    Pb__PollWorkflowTaskQueueResponse *t = try_poll();
    if (t) {
        int i = run_of(t->workflow_execution->workflow_id);
        bool end = seen_end(t->history);
        Pb__Command *k[] = {end ? cmd_complete("1") : cmd_activity(&(struct lab_activity){.id = "1"})};
        for (int tries = 0; tries < 3; tries++) /* as a worker does that must not lose its task */
            if (passed(lab_try_complete(&s.lab, t, NULL, k, 1, NULL, NULL))) {
                atomic_store(&s.stage[i], end ? CLOSED : SCHEDULED);
                break;
            }
    }
    Pb__PollActivityTaskQueueResponse *a = try_poll_activity();
    if (a) {
        int i = run_of(a->workflow_execution->workflow_id);
        if (passed(lab_heartbeat(&s.lab, a, "7")))
            atomic_store(&s.stage[i], ACTIVE);
        for (int tries = 0; tries < 3; tries++)
            if (passed(lab_activity_done(&s.lab, a, "2"))) {
                atomic_store(&s.stage[i], DONE);
                break;
            }
    }
    return t || a;
}

static bool all_closed(void)
{
    for (int i = 0; i < RUNS; i++)
        if (atomic_load(&s.stage[i]) != CLOSED)
            return false;
    return true;
}

static const char *const least[] = {
    [STARTED] = "WorkflowExecutionStarted",
    [SCHEDULED] = "ActivityTaskScheduled",
    [ACTIVE] = "ActivityTaskScheduled",
    [DONE] = "ActivityTaskCompleted",
    [CLOSED] = "WorkflowExecutionCompleted",
};

/* What was acknowledged is there, and every run comes to its end from where it stands. */
static void check(const int *stage)
{
    for (int i = 0; i < RUNS; i++) {
        char id[8];
        snprintf(id, sizeof id, "w%d", i);
        if (stage[i] != NOTHING && !strstr(lab_history_text(&s.lab, id, NULL), least[stage[i]]))
            fail_msg("%s: '%s' was acknowledged and is lost", id, least[stage[i]]);
    }
}

static void finish_story(void)
{
    for (int idle = 0; idle < 3;)
        idle = work() ? 0 : idle + 1;
    const char *open = lab_list(&s.lab, "ExecutionStatus='Running'");
    if (*open)
        fail_msg("these did not end: %s", open);
}

static void begin(void)
{
    vfs_init();
    vfs_clear();
    memset(&s, 0, sizeof s);
    snprintf(s.path, sizeof s.path, "/tmp/engine-fault-%ld", (long)getpid());
}

static void end(void)
{
    char lock[320];
    lab_clean();
    engine_free(s.lab.engine);
    s.lab.engine = NULL;
    snprintf(lock, sizeof lock, "%s.lock", s.path);
    os_unlink(lock, true, NULL);
}

static void reopen(void)
{
    end();
    assert_true(open_engine());
}

/* The story with its n-th operation failing. Gives whether the fault was met. */
static bool tell_with_fault(unsigned ops, long n, int code, bool sticky)
{
    begin();
    vfs_fail(ops, n, code, sticky);
    s.mend = sticky;
    if (!open_engine()) {
        assert_true(sticky);
        vfs_fail(0, 0, 0, false);
        assert_true(open_engine());
    }
    start_runs();
    for (int i = 0; i < 400 && !all_closed(); i++)
        work();
    bool met = vfs_failed() || s.errors;
    vfs_fail(0, 0, 0, false);
    int stage[RUNS];
    for (int i = 0; i < RUNS; i++)
        stage[i] = atomic_load(&s.stage[i]);
    check(stage);
    reopen();
    check(stage);
    finish_story();
    end();
    return met;
}

static void each_operation_fails(unsigned ops, int code)
{
    long n = 1, step = 1;
    while (tell_with_fault(ops, n, code, false)) {
        n += step;
        if (n > 40)
            step = 7; /* the rest by samples, for the sake of time */
    }
    print_message("%ld operations\n", n);
    assert_true(n > 10);
}

static void each_write_fails(void **state)
{
    (void)state;
    each_operation_fails(VFS_WRITE, SQLITE_IOERR_WRITE);
}

static void each_write_finds_the_disk_full(void **state)
{
    (void)state;
    each_operation_fails(VFS_WRITE, SQLITE_FULL);
}

static void each_sync_fails(void **state)
{
    (void)state;
    each_operation_fails(VFS_SYNC, SQLITE_IOERR_FSYNC);
}

static void a_full_disk_that_is_cleared(void **state)
{
    (void)state;
    for (long n = 1; n < 60; n += 6)
        tell_with_fault(VFS_WRITE | VFS_TRUNCATE, n, SQLITE_FULL, true);
}

static void a_full_disk_is_named(void **state)
{
    (void)state;
    struct err err = {0};
    begin();
    assert_true(open_engine());
    lab_start_id(&s.lab, "w0");
    vfs_fail(VFS_WRITE, 1, SQLITE_FULL, true);
    assert_int_equal(lab_try_start(&s.lab, &(struct lab_start){.id = "w1"}, NULL, &err), -ERR_NO_SPACE);
    assert_non_null(strstr(err.msg, "full"));
    /* What only reads goes on. */
    assert_string_equal(lab_list(&s.lab, ""), "w0");
    assert_int_equal(lab_history(&s.lab, "w0", NULL)->n_events, 2);
    vfs_fail(0, 0, 0, false);
    lab_start_id(&s.lab, "w1");
    assert_string_equal(lab_list(&s.lab, ""), "w1 w0");
    end();
}

static void a_read_only_state_is_named(void **state)
{
    (void)state;
    struct err err = {0};
    begin();
    assert_true(open_engine());
    lab_start_id(&s.lab, "w0");
    vfs_fail(VFS_WRITE, 1, SQLITE_READONLY, true);
    assert_int_equal(lab_try_start(&s.lab, &(struct lab_start){.id = "w1"}, NULL, &err), -ERR_PERMISSION);
    assert_non_null(strstr(err.msg, "readonly"));
    assert_string_equal(lab_list(&s.lab, ""), "w0");
    end();
    engine_free(NULL);
    vfs_fail(VFS_WRITE, 1, SQLITE_READONLY, true);
    struct engine_embedded_options o = {.path = s.path, .vfs = TEST_VFS};
    assert_int_equal(engine_embedded_open(&o, &s.lab.engine, &err), -ERR_PERMISSION);
    s.lab.engine = NULL;
    end();
}

static void note_stages(void *arg)
{
    struct story *story = arg;
    for (int i = 0; i < RUNS; i++)
        story->kept[i] = atomic_load(&story->stage[i]);
}

static void power_goes(void **state)
{
    (void)state;
    bool lost = true;
    uint64_t seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 1;
    long n = 1;
    for (; lost; n += n < 40 ? 1 : 9) {
        begin();
        vfs_lose_power(n, seed + (uint64_t)n, note_stages, &s);
        assert_true(open_engine());
        start_runs();
        for (int i = 0; i < 400 && !all_closed(); i++)
            work();
        lost = vfs_power_lost();
        end();
        if (!lost)
            break;
        vfs_restore();
        vfs_lose_power(0, 0, NULL, NULL);
        if (!open_engine())
            fail_msg("power lost at operation %ld, seed %llu", n, (unsigned long long)seed);
        check(s.kept);
        finish_story();
        end();
    }
    print_message("%ld points\n", n);
    assert_true(n > 30);
}

/* Every allocation of the engine's fails in turn. The requests are made beforehand: the fault is
 * the engine's alone. */
static void each_allocation_fails(void **state)
{
    (void)state;
    long n = 1;
    for (bool hit = true; hit; n += n < 100 ? 1 : 9) {
        begin();
        assert_true(open_engine());
        lab_start_id(&s.lab, "w0");
        Pb__PollWorkflowTaskQueueResponse *t = lab_poll(&s.lab);
        Pb__Command *k[] = {cmd_activity(&(struct lab_activity){.id = "1", .input = "[1]"}), cmd_timer("t", 9999),
                            cmd_child("c", 0), cmd_signal("nobody", "s")};
        Pb__RespondWorkflowTaskCompletedRequest q = PB__RESPOND_WORKFLOW_TASK_COMPLETED_REQUEST__INIT;
        Pb__PollActivityTaskQueueRequest p = PB__POLL_ACTIVITY_TASK_QUEUE_REQUEST__INIT;
        Pb__DescribeWorkflowExecutionRequest d = PB__DESCRIBE_WORKFLOW_EXECUTION_REQUEST__INIT;
        Pb__ListWorkflowExecutionsRequest ls = PB__LIST_WORKFLOW_EXECUTIONS_REQUEST__INIT;
        Pb__WorkflowExecution x = PB__WORKFLOW_EXECUTION__INIT;
        Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
        x.workflow_id = (char *)"w0";
        queue.name = (char *)LAB_QUEUE;
        q.namespace_ = p.namespace_ = d.namespace_ = ls.namespace_ = (char *)"default";
        q.task_token = t->task_token;
        q.commands = k;
        q.n_commands = 4;
        p.task_queue = &queue;
        d.execution = &x;
        ls.query = (char *)"WorkflowId='w0'";
        mem_fault_set(n, 0);
        int r = lab_call(&s.lab, ENGINE_COMPLETE_WORKFLOW_TASK, &q, 0, NULL, NULL);
        bool done = passed(r);
        Pb__PollActivityTaskQueueResponse *a = NULL;
        if (!passed(lab_call(&s.lab, ENGINE_POLL_ACTIVITY_TASK, &p, done ? 2000 : 10, &a, NULL)))
            a = NULL;
        passed(lab_call(&s.lab, ENGINE_DESCRIBE, &d, 0, NULL, NULL));
        passed(lab_call(&s.lab, ENGINE_LIST, &ls, 0, NULL, NULL));
        hit = mem_fault_hit();
        mem_fault_set(0, 0);
        if (!done)
            assert_int_equal(lab_call(&s.lab, ENGINE_COMPLETE_WORKFLOW_TASK, &q, 0, NULL, NULL), 0);
        if (!a || !a->task_token.len)
            a = lab_poll_activity(&s.lab);
        assert_string_equal(lab_text(a->input), "[1]");
        assert_int_equal(lab_activity_done(&s.lab, a, "1"), 0);
        assert_string_equal(lab_list(&s.lab, ""), "c w0");
        assert_non_null(strstr(lab_history_text(&s.lab, "w0", NULL),
                               "WorkflowTaskCompleted ActivityTaskScheduled TimerStarted "
                               "StartChildWorkflowExecutionInitiated SignalExternalWorkflowExecutionInitiated "
                               "ChildWorkflowExecutionStarted"));
        end();
    }
    print_message("%ld allocations\n", n);
    assert_true(n > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_is_named),
        cmocka_unit_test(a_read_only_state_is_named),
        cmocka_unit_test(each_write_fails),
        cmocka_unit_test(each_write_finds_the_disk_full),
        cmocka_unit_test(each_sync_fails),
        cmocka_unit_test(a_full_disk_that_is_cleared),
        cmocka_unit_test(power_goes),
        cmocka_unit_test(each_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
