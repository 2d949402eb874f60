/* Events of runs: kept, numbered, read again, watched. */
#include "api/live/live.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "engine/embedded/embedded.h"
#include "os/clock.h"
#include "os/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define PATIENCE_MS 60000 /* of a busy machine */

static char *dir;
static struct service svc;
static struct live *live;

static void open_live(void)
{
    struct err err = {0};
    if (live_open(&svc, dir, NULL, &live, &err) < 0)
        fail_msg("%s", err.msg);
}

static int setup(void **state)
{
    struct engine_embedded_options o = {.path = ":memory:"};
    (void)state;
    return os_temp_dir("/tmp", "live-", &dir, NULL) < 0 || engine_embedded_open(&o, &svc.engine, NULL) < 0;
}

static int teardown(void **state)
{
    (void)state;
    engine_free(svc.engine);
    os_remove_tree(dir, NULL);
    free(dir);
    return 0;
}

static void post(const char *run, const char *type, int n)
{
    json_t *j = json_pack("{s:i}", "n", n);
    while (live_post(live, run, type, j, NULL) == -ERR_BUSY)
        os_sleep_ms(1);
    json_decref(j);
}

static void wait_for(const char *run, int64_t number)
{
    int64_t last = 0;
    for (int64_t ms = 0; last < number; ms++) {
        assert_int_equal(live_last(live, run, &last, NULL), 0);
        assert_true(ms < PATIENCE_MS);
        os_sleep_ms(1);
    }
    assert_int_equal(last, number);
}

struct got {
    int64_t first, last, count, stop_after;
    char types[200];
};

static int take(void *arg, const struct live_event *e)
{
    struct got *g = arg;
    if (g->stop_after && g->count == g->stop_after)
        return -1;
    assert_true(e->seq > g->last && e->at_ns > 0);
    g->first = g->first ? g->first : e->seq;
    g->last = e->seq;
    if (g->count++ < 10) {
        size_t n = strlen(g->types);
        snprintf(g->types + n, sizeof g->types - n, "%s ", e->type);
    }
    return 0;
}

static void kept(void **state)
{
    (void)state;
    open_live();
    post("a", "log", 1);
    post("a", "stats", 2);
    post("a", "crash", 3);
    post("b", "log", 1);
    wait_for("a", 3);
    wait_for("b", 1);
    char one[LIVE_KEY_MAX], other[LIVE_KEY_MAX]; /* an id may be put together like another namespace's name */
    assert_string_equal(live_key("default", "a", one), "a");
    assert_string_not_equal(live_key("default", "team\x1f" "a", one), live_key("team", "a", other));
    assert_int_equal(live_post(live, "a", "nonsense", json_null(), NULL), -ERR_INVALID);
    live_close(live);
    open_live(); /* numbers go on */
    post("a", "log", 4);
    wait_for("a", 4);
    struct got g = {0};
    int64_t last;
    assert_int_equal(live_read(live, "a", 1, 100, NULL, take, &g, &last, NULL), 0);
    assert_int_equal(g.first, 2);
    assert_int_equal(last, 4);
    assert_string_equal(g.types, "stats crash log ");
    g = (struct got){.stop_after = 1};
    assert_int_equal(live_read(live, "a", 0, 100, NULL, take, &g, &last, NULL), 0);
    assert_int_equal(last, 1);
    g = (struct got){0};
    assert_int_equal(live_read(live, "a", 0, 100, "crash log", take, &g, &last, NULL), 0);
    assert_string_equal(g.types, "log crash log ");
    _cleanup_free_ char *stats = NULL;
    assert_int_equal(live_stats(live, "a", &stats, NULL), 0);
    assert_string_equal(stats, "{\"n\":2}");
    assert_int_equal(live_forget(live, "a", true, NULL), 0);
    for (g.count = 1; g.count;) {
        g = (struct got){0};
        assert_int_equal(live_read(live, "a", 0, 100, NULL, take, &g, &last, NULL), 0);
    }
    post("a", "log", 5); /* a number is never given twice */
    wait_for("a", 5);
    live_close(live);
}

static void series(void **state)
{
    json_t *points = NULL;
    (void)state;
    open_live();
    for (int i = 1; i <= 5000; i++)
        post("s", "stats", i);
    wait_for("s", 5000);
    assert_int_equal(live_series(live, "s", &points, NULL), 0);
    assert_true(json_array_size(points) <= LIVE_SERIES_MAX && json_array_size(points) > LIVE_SERIES_MAX / 3);
    int64_t before = 0;
    size_t i;
    json_t *p;
    json_array_foreach(points, i, p) {
        int64_t n = json_integer_value(json_object_get(p, "n"));
        assert_true(n > before);
        before = n;
    }
    assert_int_equal(before, 5000);
    json_decref(points);
    live_close(live);
}

static void bounded(void **state)
{
    struct got g = {0};
    int64_t last, after = 0;
    (void)state;
    open_live();
    post("many", "state", 0);
    for (int i = 1; i <= LIVE_EVENTS_MAX + LIVE_EVENTS_MAX / 2; i++)
        post("many", "log", i);
    wait_for("many", LIVE_EVENTS_MAX + LIVE_EVENTS_MAX / 2 + 1);
    do {
        after = g.last;
        assert_int_equal(live_read(live, "many", after, 5000, NULL, take, &g, &last, NULL), 0);
    } while (g.last > after);
    assert_int_equal(g.first, 1); /* what a run was in stays */
    assert_true(g.count <= LIVE_EVENTS_MAX + 2 && g.last == LIVE_EVENTS_MAX + LIVE_EVENTS_MAX / 2 + 1);
    live_close(live);
}

static uint64_t bytes_of(const char *name_space)
{
    uint64_t n;
    assert_int_equal(live_bytes(live, name_space, &n, NULL), 0);
    return n;
}

static void run_sql(const char *text)
{
    _cleanup_free_ char *path = os_path_join(dir, "events.db");
    sqlite3 *h;
    assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
    assert_int_equal(sqlite3_exec(h, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(h);
}

static void bytes_are_bounded_and_counted(void **state)
{
    char key[LIVE_KEY_MAX], other[LIVE_KEY_MAX], *text = mem_alloc(60001);
    (void)state;
    open_live();
    memset(text, 'x', 60000);
    text[60000] = 0;
    json_t *j = json_pack("{s:s}", "text", text);
    int n = (int)(LIVE_BYTES_MAX / 60000) + 300;
    for (int i = 1; i <= n; i++)
        while (live_post(live, live_key("team", "large", key), "finding", j, NULL) == -ERR_BUSY)
            os_sleep_ms(1);
    post(live_key("team2", "x", other), "log", 1);
    wait_for(key, n);
    wait_for(other, 1);
    assert_in_range(bytes_of("team"), LIVE_BYTES_MAX / 4, LIVE_BYTES_MAX);
    assert_in_range(bytes_of("team2"), 1, 200);
    assert_int_equal(bytes_of("tea"), 0);
    uint64_t before = bytes_of("default"), team = bytes_of("team");
    post("here", "log", 1);
    wait_for("here", 1);
    assert_in_range(bytes_of("default"), before + 1, before + 200);
    live_close(live);
    run_sql("ALTER TABLE run DROP COLUMN bytes"); /* a file of before */
    open_live();
    assert_int_equal(bytes_of("team"), team);
    live_close(live);
    run_sql("UPDATE event SET at=1"); /* the engine knows none of these runs, and not for long */
    open_live();
    for (int64_t ms = 0; bytes_of("team") || bytes_of("team2"); ms++) {
        assert_true(ms < PATIENCE_MS);
        os_sleep_ms(1);
    }
    live_close(live);
    json_decref(j);
    free(text);
}

static void told(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void watched(void **state)
{
    atomic_int calls = 0;
    struct live_watch *w;
    struct got g = {0};
    int64_t skipped, all = 0;
    (void)state;
    open_live();
    for (int i = 1; i <= 50; i++)
        post("w", "log", i);
    wait_for("w", 50);
    assert_int_equal(live_watch_new(live, "w", 10, told, &calls, &w, NULL), 0);
    while (live_watch_read(w, 7, take, &g, &skipped, NULL) > 0)
        assert_int_equal(skipped, 0);
    assert_true(g.first == 11 && g.last == 50 && g.count == 40);
    post("w", "log", 51);
    for (int64_t ms = 0; !atomic_load(&calls); ms++) {
        assert_true(ms < PATIENCE_MS);
        os_sleep_ms(1);
    }
    for (int i = 52; i <= 4000; i++) /* and is not read meanwhile */
        post("w", "log", i);
    wait_for("w", 4000);
    assert_int_equal(atomic_load(&calls), 1);
    g = (struct got){0};
    while (live_watch_read(w, 100, take, &g, &skipped, NULL) > 0)
        all += skipped;
    assert_true(g.last == 4000 && all + g.count == 3950);
    assert_true(all > 0);
    assert_false(live_watch_ended(w));
    live_watch_free(w);
    struct live_counts c;
    live_count(live, &c);
    assert_int_equal(c.watchers, 0);
    live_close(live);
}

/* Whether files may grow. */
static void let_grow(bool may)
{
    struct rlimit l = {may ? RLIM_INFINITY : 0, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void say(const char *run, const char *type, int n)
{
    json_t *j = json_pack("{s:i}", "n", n);
    live_worker_event(live, &(struct worker_event){.name_space = "default", .workflow_id = run, .module = "m", .type = type, .data = j});
    json_decref(j);
}

/* What cannot be written is written later, under the numbers that come next; who posts something is told. */
static void no_room(void **state)
{
    atomic_int calls = 0;
    struct live_watch *w;
    struct got g = {0};
    int64_t skipped, all = 0;
    char *stats;
    (void)state;
    open_live();
    say("full", "log", 1);
    wait_for("full", 1);
    assert_int_equal(live_watch_new(live, "full", 0, told, &calls, &w, NULL), 0);
    let_grow(false);
    json_t *j = json_pack("{s:s}", "text", "of many bytes");
    int r;
    for (int i = 2; (r = live_post(live, "elsewhere", "crash", j, NULL)) == 0; i++) /* its log may have room yet */
        all++;
    assert_true(r == -ERR_IO || r == -ERR_NO_SPACE);
    for (int i = 2; i <= 700; i++)
        say("full", i == 600 ? "stats" : "log", i);
    assert_true(live_post(live, "elsewhere", "crash", j, NULL) < 0);
    assert_int_equal(live_last(live, "full", &skipped, NULL), 0);
    assert_int_equal(skipped, 1);
    let_grow(true);
    wait_for("full", 700);
    while (g.last < 700) {
        assert_true(live_watch_read(w, 100, take, &g, &skipped, NULL) > 0);
        assert_int_equal(skipped, 0);
    }
    assert_int_equal(g.count, 700);
    live_watch_free(w);
    wait_for("elsewhere", all);
    post("elsewhere", "crash", 1);
    live_close(live);
    open_live();
    wait_for("full", 700);
    wait_for("elsewhere", all + 1);
    assert_int_equal(live_stats(live, "full", &stats, NULL), 0);
    assert_non_null(strstr(stats, "600"));
    free(stats);
    json_decref(j);
    live_close(live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kept), cmocka_unit_test(series), cmocka_unit_test(bounded),
                                       cmocka_unit_test(bytes_are_bounded_and_counted), cmocka_unit_test(watched),
                                       cmocka_unit_test(no_room)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
