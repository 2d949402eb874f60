/* The engine's process is killed with SIGKILL again and again, at seeded moments, in the middle
 * of its work. What it told to its parent as acknowledged must be there, and the runs must come
 * to their end within a second or so of the next start. */
#include "lab.h"

#include "base/units.h"
#include "engine/embedded/embedded.h"
#include "os/clock.h"
#include "os/file.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define KILLS 25
#define RUNS_MAX 4000
#define STEPS 3 /* activities of a run, one after the other */

/* What the child tells of a run, after it was acknowledged. */
enum said { SAID_STARTED = 1, SAID_STEP, SAID_CLOSED = SAID_STEP + STEPS };

struct message {
    int run, said;
};

static int said[RUNS_MAX];
static char *dir, *path;

static void tell(int fd, int run, int what)
{
    struct message m = {run, what};
    if (write(fd, &m, sizeof m) != sizeof m)
        _exit(3);
}

static int run_of(const char *id)
{
    return atoi(id + 1);
}

static int steps_done(const Pb__History *h)
{
    int n = 0;
    for (size_t i = 0; i < h->n_events; i++)
        n += h->events[i]->event_type == PB__EVENT_TYPE__EVENT_TYPE_ACTIVITY_TASK_COMPLETED;
    return n;
}

static bool work(struct lab *l, int fd, int64_t wait_ms)
{
    char id[8];
    Pb__PollWorkflowTaskQueueResponse *t = lab_poll_on(l, LAB_QUEUE, NULL, wait_ms);
    if (t) {
        int n = steps_done(t->history);
        snprintf(id, sizeof id, "%d", n);
        bool end = n == STEPS;
        lab_complete(l, t, end ? cmd_complete("1")
                               : cmd_activity(&(struct lab_activity){.id = id, .attempts = 1}));
        if (end && fd >= 0)
            tell(fd, run_of(t->workflow_execution->workflow_id), SAID_CLOSED);
    }
    Pb__PollActivityTaskQueueResponse *a = lab_poll_activity_on(l, LAB_QUEUE, wait_ms);
    if (a) {
        assert_int_equal(lab_heartbeat(l, a, "1"), 0);
        assert_int_equal(lab_activity_done(l, a, "1"), 0);
        if (fd >= 0)
            tell(fd, run_of(a->workflow_execution->workflow_id), SAID_STEP + atoi(a->activity_id));
    }
    return t || a;
}

static struct engine *open_engine(void)
{
    struct engine_embedded_options o = {.path = path};
    struct engine *e = NULL;
    struct err err = {0};
    if (engine_embedded_open(&o, &e, &err) < 0)
        fail_msg("open: %s", err.msg);
    return e;
}

/* Works until it is killed. */
static void child(int fd, int first_run)
{
    struct lab l = {.engine = open_engine()};
    for (int run = first_run;; run++) {
        char id[16];
        snprintf(id, sizeof id, "w%d", run);
        lab_start_id(&l, id);
        tell(fd, run, SAID_STARTED);
        work(&l, fd, 1);
        work(&l, fd, 1);
        lab_clean();
    }
}

static int listen_to(int fd, int next_run)
{
    struct message m;
    while (read(fd, &m, sizeof m) == sizeof m) {
        assert_in_range(m.run, 0, RUNS_MAX - 1);
        if (m.said > said[m.run])
            said[m.run] = m.said;
        if (m.run >= next_run)
            next_run = m.run + 1;
    }
    return next_run;
}

static void check(struct lab *l, int next_run)
{
    for (int run = 0; run < next_run; run++) {
        char id[16];
        if (!said[run])
            continue;
        snprintf(id, sizeof id, "w%d", run);
        int steps = steps_done(lab_history(l, id, NULL));
        if (said[run] >= SAID_STEP && said[run] < SAID_CLOSED && steps < said[run] - SAID_STEP + 1)
            fail_msg("%s: step %d was acknowledged and is lost", id, said[run] - SAID_STEP);
        if (said[run] == SAID_CLOSED &&
            lab_status(l, id, NULL) != PB__WORKFLOW_EXECUTION_STATUS__WORKFLOW_EXECUTION_STATUS_COMPLETED)
            fail_msg("%s: its end was acknowledged and is lost", id);
        if (steps > STEPS)
            fail_msg("%s: a step was done twice", id);
        lab_clean();
    }
}

static void acknowledged_work_survives_kills(void **state)
{
    (void)state;
    unsigned seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : 1;
    int next_run = 0;
    srand(seed);
    print_message("seed %u\n", seed);
    for (int k = 0; k < KILLS; k++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(fds[0]);
            child(fds[1], next_run + 1); /* a run that was started but not told of may be there: another name */
        }
        close(fds[1]);
        os_sleep_ms(5 + rand() % 120);
        kill(pid, SIGKILL);
        next_run = listen_to(fds[0], next_run);
        waitpid(pid, NULL, 0);
        close(fds[0]);
        next_run += 2;
        struct lab l = {.engine = open_engine()};
        check(&l, next_run);
        if (k % 5 == 4) {
            int64_t begin = os_mono_ns();
            for (int idle = 0; idle < 2; idle = work(&l, -1, 5) ? 0 : idle + 1)
                lab_clean();
            assert_string_equal(lab_list(&l, "ExecutionStatus='Running'"), "");
            print_message("after kill %d: done in %lld ms\n", k + 1,
                          (long long)((os_mono_ns() - begin) / NS_PER_MS));
        }
        lab_clean();
        engine_free(l.engine);
    }
    assert_true(next_run > KILLS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(acknowledged_work_survives_kills)};
    struct err err = {0};
    if (os_temp_dir("/tmp", "engine-kill-", &dir, &err) < 0)
        return 1;
    path = os_path_join(dir, "state.db");
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    os_remove_tree(dir, NULL);
    free(path);
    free(dir);
    return r;
}
