/* One state, several holders: engines of one process stand for processes here, except that they cannot be killed (that
 * is tests/integration/sharing.py). */
#include "lab.h"

#include "api/grpc/api.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/pbx.h"
#include "engine/shared/door.h"
#include "engine/shared/shared.h"
#include "os/clock.h"
#include "os/file.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define MEMBERS_MAX 8

/* A process that uses the state. */
struct member {
    const char *dir;
    char identity[16];
    struct engine *engine;
    pthread_mutex_t lock;
    struct grpc_api *api;
    bool closing;
    int result;
    atomic_int asked; /* how often, for the run below */
    char asked_run[64];
};

static struct fixture {
    struct lab lab;
    char *dir;
    struct member members[MEMBERS_MAX];
} f;

static void on_connected(void *arg, int fd)
{
    struct member *m = arg;
    struct err err = {0};
    pthread_mutex_lock(&m->lock);
    if (!m->api && !m->closing) {
        struct grpc_api_options o = {.engine = engine_shared_outside(m->engine), .state_dir = m->dir};
        if (grpc_api_new(&o, &m->api, &err) < 0 || grpc_api_start(m->api, &err) < 0)
            abort();
    }
    if (m->api)
        grpc_api_adopt(m->api, fd);
    else
        close(fd);
    pthread_mutex_unlock(&m->lock);
}

static void on_ask(void *arg, const char *run_id)
{
    struct member *m = arg;
    snprintf(m->asked_run, sizeof m->asked_run, "%s", run_id);
    atomic_fetch_add(&m->asked, 1);
}

static int join(int i, int64_t wait_ms, struct err *err)
{
    struct member *m = &f.members[i];
    *m = (struct member){.dir = f.dir};
    snprintf(m->identity, sizeof m->identity, "member-%d", i);
    pthread_mutex_init(&m->lock, NULL);
    struct engine_shared_options o = {.dir = f.dir, .identity = m->identity, .wait_ms = wait_ms, .connected = on_connected, .ask = on_ask, .arg = m};
    o.stays = i == 0;
    pthread_mutex_lock(&m->lock);
    int r = engine_shared_open(&o, &m->engine, err);
    pthread_mutex_unlock(&m->lock);
    return r;
}

static struct engine *join_ok(int i)
{
    struct err err = {0};
    if (join(i, 0, &err) < 0)
        fail_msg("join: %s", err.msg);
    return f.members[i].engine;
}

static void leave(int i)
{
    struct member *m = &f.members[i];
    if (!m->engine)
        return;
    engine_drain(m->engine);
    engine_shared_shut(m->engine);
    pthread_mutex_lock(&m->lock);
    m->closing = true;
    struct grpc_api *api = TAKE_PTR(m->api);
    pthread_mutex_unlock(&m->lock);
    grpc_api_free(api, 2000);
    engine_free(TAKE_PTR(m->engine));
    pthread_mutex_destroy(&m->lock);
}

static void be(int i)
{
    f.lab.engine = f.members[i].engine;
}

static bool soon(bool (*what)(int), int i)
{
    for (int64_t end = os_mono_ns() + 10 * NS_PER_S; os_mono_ns() < end; os_sleep_ms(2))
        if (what(i))
            return true;
    return false;
}

static bool holds(int i)
{
    return engine_shared_holds(f.members[i].engine);
}

static int set_up(void **state)
{
    struct err err = {0};
    memset(&f, 0, sizeof f);
    *state = &f.lab;
    return os_temp_dir("/tmp", "shared-test-", &f.dir, &err);
}

static int tear_down(void **state)
{
    (void)state;
    lab_clean();
    for (int i = MEMBERS_MAX; i-- > 0;)
        leave(i);
    os_remove_tree(f.dir, NULL);
    free(f.dir);
    return 0;
}

static struct lab_pending *begin_poll(struct lab *l, enum engine_method m, const char *identity, void *request)
{
    static Pb__TaskQueue queue;
    pb__task_queue__init(&queue);
    queue.name = (char *)LAB_QUEUE;
    if (m == ENGINE_POLL_WORKFLOW_TASK) {
        Pb__PollWorkflowTaskQueueRequest *q = request;
        pb__poll_workflow_task_queue_request__init(q);
        q->namespace_ = (char *)"default";
        q->identity = (char *)identity;
        q->task_queue = &queue;
        return lab_begin(l, m, q, 20000);
    }
    Pb__PollActivityTaskQueueRequest *q = request;
    pb__poll_activity_task_queue_request__init(q);
    q->namespace_ = (char *)"default";
    q->identity = (char *)identity;
    q->task_queue = &queue;
    return lab_begin(l, m, q, 20000);
}

static void guests_use_the_engine_of_the_holder(void **state)
{
    struct lab *l = *state;
    join_ok(0);
    join_ok(1);
    assert_true(holds(0));
    assert_false(holds(1));
    assert_int_equal(engine_shared_guests(f.members[0].engine), 1);
    assert_true(engine_shared_stays(f.members[1].engine));
    be(1);
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1"}));
    assert_int_equal(lab_activity_done(l, lab_poll_activity(l), "1"), 0);
    be(0);
    lab_complete(l, lab_poll(l), cmd_complete("1"));
    be(1);
    assert_int_equal(lab_status(l, "a", NULL), PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_COMPLETED);
    assert_int_equal(lab_try_signal(l, "none", "s", NULL, NULL), -ERR_NOT_FOUND);
    struct err err = {0};
    assert_int_equal(lab_try_start(l, &(struct lab_start){.id = "a", .reuse = 3}, NULL, &err), -ERR_EXISTS);
}

static void a_guest_takes_over(void **state)
{
    struct lab *l = *state;
    Pb__PollWorkflowTaskQueueRequest q;
    join_ok(0);
    join_ok(1);
    be(0);
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1", .attempts = 1}));
    be(1);
    Pb__PollActivityTaskQueueResponse *a = lab_poll_activity(l);
    struct lab_pending *p = begin_poll(l, ENGINE_POLL_WORKFLOW_TASK, "member-1", &q);
    leave(0);
    assert_true(soon(holds, 1));
    assert_int_equal(lab_heartbeat(l, a, "1"), 0);
    assert_int_equal(lab_activity_done(l, a, "\"kept\""), 0);
    Pb__PollWorkflowTaskQueueResponse *t;
    assert_int_equal(lab_end(p, &t, NULL), 0); /* asked of the holder before: which may have said that it has nothing */
    if (!t->task_token.len)
        t = lab_poll(l);
    lab_complete(l, t, cmd_complete(NULL));
    lab_expect_history(l, "a", NULL,
                       "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted "
                       "ActivityTaskScheduled ActivityTaskStarted ActivityTaskCompleted "
                       "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted WorkflowExecutionCompleted");
    join_ok(0);
    assert_false(holds(0));
    be(0);
    assert_string_equal(lab_list(l, "ExecutionStatus='Completed'"), "a");
}

static void one_of_many_takes_over(void **state)
{
    struct lab *l = *state;
    for (int i = 0; i < 5; i++)
        join_ok(i);
    be(0);
    lab_start_id(l, "a");
    for (int gone = 0; gone < 4; gone++) {
        int holder = 0;
        while (!f.members[holder].engine || !holds(holder))
            holder++;
        leave(holder);
        for (int i = 0; i < 5; i++) { /* whoever asks is answered, in the middle of it */
            be(i);
            if (l->engine)
                lab_signal(l, "a", "s");
        }
    }
}

static void what_a_guest_had_is_given_out_when_it_leaves(void **state)
{
    struct lab *l = *state;
    join_ok(0);
    join_ok(1);
    be(0);
    lab_start_id(l, "a");
    lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1", .attempts = 1}));
    be(1);
    Pb__PollActivityTaskQueueRequest q;
    Pb__PollActivityTaskQueueResponse *a;
    assert_int_equal(lab_end(begin_poll(l, ENGINE_POLL_ACTIVITY_TASK, "member-1", &q), &a, NULL), 0);
    assert_int_equal(a->attempt, 1);
    leave(1);
    be(0);
    int64_t begin = os_mono_ns();
    a = lab_poll_activity_on(l, LAB_QUEUE, 10000);
    assert_non_null(a);
    assert_int_equal(a->attempt, 2);
    assert_true(os_mono_ns() - begin < 8 * NS_PER_S);
}

static bool was_asked(int i)
{
    return atomic_load(&f.members[i].asked) > 0;
}

/* Whoever runs an activity that may have to end is told at once, wherever it is. */
static void workers_are_told_to_ask(void **state)
{
    struct lab *l = *state;
    join_ok(0);
    join_ok(1);
    for (int i = 0; i < 2; i++) {
        char id[8] = {(char)('a' + i), 0}, identity[16];
        Pb__PollActivityTaskQueueRequest q;
        Pb__PollActivityTaskQueueResponse *a;
        snprintf(identity, sizeof identity, "member-%d", i);
        be(0);
        const char *run_id = lab_start_id(l, id);
        lab_complete(l, lab_poll(l), cmd_activity(&(struct lab_activity){.id = "1"}));
        be(i);
        assert_int_equal(lab_end(begin_poll(l, ENGINE_POLL_ACTIVITY_TASK, identity, &q), &a, NULL), 0);
        assert_string_equal(a->workflow_execution->workflow_id, id);
        assert_false(was_asked(i));
        be(!i); /* whoever terminates it */
        assert_int_equal(lab_try_terminate(l, id, "test"), 0);
        assert_true(soon(was_asked, i));
        assert_string_equal(f.members[i].asked_run, run_id);
        be(i);
        assert_int_equal(lab_heartbeat(l, a, "1"), -ERR_NOT_FOUND);
    }
    assert_int_equal(atomic_load(&f.members[0].asked), 1);
}

static void a_guest_drains(void **state)
{
    struct lab *l = *state;
    Pb__PollWorkflowTaskQueueRequest q;
    Pb__PollWorkflowTaskQueueResponse *t;
    join_ok(0);
    join_ok(1);
    be(1);
    struct lab_pending *p = begin_poll(l, ENGINE_POLL_WORKFLOW_TASK, "member-1", &q);
    engine_drain(l->engine);
    assert_int_equal(lab_end(p, &t, NULL), 0);
    assert_int_equal(t->task_token.len, 0);
    lab_start_id(l, "a"); /* other calls go on */
    be(0);
    assert_non_null(lab_poll(l)); /* and no task went to the poll that was given up */
}

struct answer {
    atomic_int code;
};

static void note(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    struct answer *a = arg;
    engine_free_message(resp);
    atomic_store(&a->code, err->code ? err->code : -1);
}

static void a_call_of_a_guest_is_cancelled(void **state)
{
    struct lab *l = *state;
    struct answer a = {0};
    Pb__PollWorkflowTaskQueueRequest q = PB__POLL_WORKFLOW_TASK_QUEUE_REQUEST__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    q.namespace_ = (char *)"default";
    queue.name = (char *)LAB_QUEUE;
    q.task_queue = &queue;
    join_ok(0);
    join_ok(1);
    be(1);
    engine_call(l->engine, ENGINE_POLL_WORKFLOW_TASK, &q.base, 20000, note, &a);
    os_sleep_ms(100);
    engine_cancel(l->engine, note, &a);
    for (int i = 0; i < 1000 && !atomic_load(&a.code); i++)
        os_sleep_ms(5);
    assert_int_equal(atomic_load(&a.code), ERR_CANCELLED);
    os_sleep_ms(50); /* the holder hears of it */
    lab_start_id(l, "a");
    assert_non_null(lab_poll(l));
}

static void a_holder_that_cannot_be_reached(void **state)
{
    (void)state;
    struct err err = {0};
    struct engine *e;
    _cleanup_free_ char *path = os_path_join(f.dir, "state.db");
    struct engine_embedded_options o = {.path = path};
    assert_int_equal(engine_embedded_open(&o, &e, &err), 0); /* as a version without a door does */
    assert_int_equal(join(1, 50, &err), -ERR_BUSY);
    assert_non_null(strstr(err.msg, "held by pid"));
    pthread_mutex_destroy(&f.members[1].lock);
    f.members[1].engine = NULL;
    engine_free(e);
    join_ok(2);
    assert_true(holds(2));
}

static void *join_thread(void *arg)
{
    struct member *m = arg;
    int i = (int)(m - f.members);
    struct err err = {0};
    int r = join(i, 0, &err);
    f.members[i].result = r;
    return NULL;
}

static void of_many_that_start_one_holds(void **state)
{
    (void)state;
    pthread_t t[MEMBERS_MAX];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MEMBERS_MAX; i++)
            pthread_create(&t[i], NULL, join_thread, &f.members[i]);
        int holders = 0;
        for (int i = 0; i < MEMBERS_MAX; i++) {
            pthread_join(t[i], NULL);
            assert_int_equal(f.members[i].result, 0);
        }
        for (int i = 0; i < MEMBERS_MAX; i++)
            holders += holds(i);
        assert_int_equal(holders, 1);
        for (int i = 0; i < MEMBERS_MAX; i++)
            leave(i);
    }
}

/* --- the door ----------------------------------------------------------------------------------------------- */

static int connect_to(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", f.dir, name);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static bool nobody(int i)
{
    return engine_shared_guests(f.members[i].engine) == 0;
}

static void the_door_keeps_out_nonsense(void **state)
{
    (void)state;
    struct stat st;
    char path[200], big[4096];
    join_ok(0);
    static const char *const sockets[] = {DOOR_ENGINE_SOCKET, DOOR_CALLS_SOCKET, DOOR_PRESENCE_SOCKET};
    for (size_t i = 0; i < ARRAY_LEN(sockets); i++) {
        snprintf(path, sizeof path, "%s/%s", f.dir, sockets[i]);
        assert_int_equal(lstat(path, &st), 0);
        assert_true(S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0600);
    }
    memset(big, 'x', sizeof big);
    static const char *const words[] = {"GET / HTTP/1.1\r\n\r\n", "ff2 me\n", "\n"};
    for (size_t i = 0; i <= ARRAY_LEN(words); i++) {
        char end;
        int fd = connect_to(DOOR_PRESENCE_SOCKET);
        const char *text = i < ARRAY_LEN(words) ? words[i] : big;
        assert_true(send(fd, text, i < ARRAY_LEN(words) ? strlen(text) : sizeof big, MSG_NOSIGNAL) > 0);
        assert_true(recv(fd, &end, 1, 0) <= 0);
        close(fd);
    }
    assert_int_equal(engine_shared_guests(f.members[0].engine), 0);
    /* A hello in pieces is one all the same. */
    int fd = connect_to(DOOR_PRESENCE_SOCKET);
    assert_int_equal(send(fd, "ff1 so", 6, 0), 6);
    os_sleep_ms(20);
    assert_int_equal(send(fd, "me\n", 3, 0), 3);
    assert_true(recv(fd, path, sizeof path, 0) > 0);
    assert_int_equal(engine_shared_guests(f.members[0].engine), 1);
    close(fd);
    assert_true(soon(nobody, 0));
    close(connect_to(DOOR_ENGINE_SOCKET)); /* and a caller that says nothing */
    close(connect_to(DOOR_CALLS_SOCKET));
    fd = connect_to(DOOR_CALLS_SOCKET);
    assert_true(send(fd, big, sizeof big, MSG_NOSIGNAL) > 0);
    while (recv(fd, path, sizeof path, 0) > 0)
        ;
    close(fd);
    be(0);
    lab_start_id(&f.lab, "a");
}

#define T(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(guests_use_the_engine_of_the_holder),
        T(a_guest_takes_over),
        T(one_of_many_takes_over),
        T(what_a_guest_had_is_given_out_when_it_leaves),
        T(workers_are_told_to_ask),
        T(a_guest_drains),
        T(a_call_of_a_guest_is_cancelled),
        T(a_holder_that_cannot_be_reached),
        T(of_many_that_start_one_holds),
        T(the_door_keeps_out_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
