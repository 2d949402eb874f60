/* ff monitor: what happens in a run, from the events that the server keeps (api/live/live.h). Where none are kept, the engine
 * still knows what each running module has last said of itself. */
#include "api/client/remote.h"
#include "api/live/live.h"
#include "api/rest/fuzzing.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/app.h"
#include "cli/dashboard.h"
#include "cli/follow.h"
#include "cli/report.h"
#include "cli/term.h"
#include "codec/json.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

#define LOOK_MS 500
#define EVENTS_AT_A_TIME 500

enum view { VIEW_STATS, VIEW_CRASHES, VIEW_LIVE };

struct monitor {
    struct app *app;
    enum view view;
    struct run_info *run; /* as it was last seen */
    int64_t drawn_ns;
    struct live *live; /* NULL: no events are kept, or a server has them */
    int64_t stats_after; /* the last statistics that a server gave */
    char *run_id;
    int64_t after;
    bool once;
    char *last; /* statistics that were shown */
    size_t shown;
    double bug_time; /* when the last bug that was shown was found first */
    bool told;       /* there was one */
    bool drawn; /* the view of everything, on a terminal */
    struct dashboard dashboard;
};

static int open_monitor(struct app *app, const struct args *a, struct monitor *m, struct err *err)
{
    struct err none = {0};
    *m = (struct monitor){.app = app, .once = args_has(a, "once")};
    follow_prepare(app, false);
    app->following = true;
    int r = app_open(app, APP_ENGINE | APP_STORE, err);
    if (r == 0)
        r = run_resolve(&app->service, args_pos(a, 0), &m->run_id, err);
    if (r == 0 && !app->remote && live_open_reader(app->state_dir, &m->live, &none) < 0 && none.code != ERR_NOT_FOUND)
        r = err_copy(err, &none);
    return r;
}

static void close_monitor(struct monitor *m)
{
    live_close(m->live);
    free(m->run_id);
    free(m->last);
    dashboard_release(&m->dashboard);
}

/* --- statistics ------------------------------------------------------------------------------------------------- */

/* What a running module has last said, if no events are kept. */
static char *stats_of_activities(const struct run_info *run)
{
    size_t i;
    json_t *a;
    json_array_foreach(run->activities, i, a)
        if (json_is_object(json_object_get(a, "stats")))
            return json_dumps(json_object_get(a, "stats"), JSON_COMPACT);
    return NULL;
}

static void print_stats(struct monitor *m, const struct run_info *run, const json_t *s)
{
    char took[32];
    if (m->app->json) {
        json_dumpf(s, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
        return;
    }
    const json_t *coverage = json_object_get(s, "coverage");
    printf("%-9s %12lld executions  %9.0f/s  %s%lld crash%s%s (%lld unique)  corpus %lld  ", run->status,
           (long long)json_i64(s, "executions", 0), json_num(s, "executions_per_sec", 0),
           json_i64(s, "crashes", 0) ? term_red() : "", (long long)json_i64(s, "crashes", 0),
           json_i64(s, "crashes", 0) == 1 ? "" : "es", term_off(), (long long)json_i64(s, "unique_crashes", 0),
           (long long)json_i64(s, "corpus_size", 0));
    if (json_is_number(coverage))
        printf("coverage %g  ", json_number_value(coverage));
    printf("%s\n", units_format_duration((int64_t)(json_num(s, "elapsed_time", 0) * 1000), took, sizeof took));
    fflush(stdout);
}

static int keep_data(void *arg, const struct live_event *e)
{
    char **text = arg;
    free(*text);
    *text = mem_strdup(e->data);
    return 0;
}

/* The last that a server has; the one that was shown, if nothing came since. */
static int remote_stats(struct monitor *m, char **ret, struct err *err)
{
    int r = client_events(m->app->client, m->run_id, m->stats_after, "stats", keep_data, ret, &m->stats_after, err);
    if (r == 0 && !*ret && m->last && !(*ret = mem_strdup(m->last)))
        r = err_nomem(err);
    return r;
}

/* The last, if they are not those of the last time; else NULL. */
static int new_stats(struct monitor *m, const struct run_info *run, json_t **ret, struct err *err)
{
    char *text = NULL;
    int r = m->app->remote ? remote_stats(m, &text, err) : m->live ? live_stats(m->live, m->run_id, &text, err) : 0;
    if (r == 0 && !text)
        text = stats_of_activities(run);
    bool news = text && (!m->last || strcmp(text, m->last) != 0);
    *ret = news ? fuzzing_stats_of(run->run_id, run->workflow, text) : NULL;
    free(m->last);
    m->last = text;
    return r;
}

static int look_at_stats(struct monitor *m, const struct run_info *run, struct err *err)
{
    _cleanup_json_ json_t *s = NULL;
    int r = new_stats(m, run, &s, err);
    if (s) {
        print_stats(m, run, s);
        m->shown++;
    }
    return r;
}

/* --- crashes and everything ---------------------------------------------------------------------------------------- */

static int print_crash(void *arg, const struct live_event *e)
{
    struct monitor *m = arg;
    _cleanup_json_ json_t *c = fuzzing_crash_json(m->run_id, e);
    m->shown++;
    if (m->app->json) {
        json_dumpf(c, stdout, JSON_COMPACT);
        putchar('\n');
        return 0;
    }
    printf("%.19s  %-8s  ", json_str(c, "timestamp", ""), json_str(c, "severity", ""));
    term_text(stdout, json_str(c, "crash_type", json_str(c, "signal", "crash")));
    printf("  %s", term_dim());
    term_text(stdout, json_str(c, "crash_id", ""));
    printf("%s\n", term_off());
    return 0;
}

/* The member of an event's data that says most. */
static void print_summary(FILE *f, const char *type, const json_t *d)
{
    const char *module = json_str(d, "module", strcmp(type, "stage") == 0 ? json_str(d, "run_id", NULL) : NULL);
    if (module && *module) {
        term_text(f, module);
        fprintf(f, ": ");
    }
    if (strcmp(type, "progress") == 0) {
        fprintf(f, "%lld of %lld", (long long)json_i64(d, "done", 0), (long long)json_i64(d, "total", 0));
    } else if (strcmp(type, "stats") == 0) {
        fprintf(f, "%lld execution%s, %.0f/s, %lld crash%s", (long long)json_i64(d, "executions", 0),
                UNITS_S(json_i64(d, "executions", 0)), json_num(d, "executions_per_sec", 0), (long long)json_i64(d, "crashes", 0),
                json_i64(d, "crashes", 0) == 1 ? "" : "es");
    } else if (strcmp(type, "finding") == 0 || strcmp(type, "crash") == 0) {
        fprintf(f, "%s ", json_str(d, "severity", ""));
        term_text(f, json_str(d, "file", ""));
        fprintf(f, ":%lld ", (long long)json_i64(d, "line", 0));
        term_text(f, json_str(d, "title", json_str(d, "crash_id", "")));
    } else {
        term_text(f, json_str(d, "status", json_str(d, "state", "")));
        fprintf(f, "%s", json_str(d, "status", json_str(d, "state", NULL)) && json_str(d, "message", NULL) ? " " : "");
        term_text(f, json_str(d, "message", ""));
    }
}

/* Without the newline. */
static void print_event_line(FILE *f, const struct live_event *e, const json_t *d)
{
    char at[32];
    fprintf(f, "%s%.19s%s  %-8s  ", term_dim(), os_format_time(e->at_ns, at), term_off(), e->type);
    print_summary(f, e->type, d);
}

static int print_event(void *arg, const struct live_event *e)
{
    struct monitor *m = arg;
    char at[32];
    _cleanup_json_ json_t *d = NULL;
    m->shown++;
    if (json_parse(e->data, strlen(e->data), LIVE_DATA_MAX, &d, NULL) < 0)
        return 0;
    if (m->app->json) {
        _cleanup_json_ json_t *j = json_pack("{s:I, s:s, s:s, s:O}", "id", (json_int_t)e->seq, "at",
                                             os_format_time(e->at_ns, at), "type", e->type, "data", d);
        json_dumpf(j, stdout, JSON_COMPACT);
    } else {
        print_event_line(stdout, e, d);
    }
    putchar('\n');
    return 0;
}

static int look_at_events(struct monitor *m, const char *types, int (*print)(void *arg, const struct live_event *e),
                          struct err *err)
{
    int r = m->app->remote ? client_events(m->app->client, m->run_id, m->after, types, print, m, &m->after, err) : 0;
    for (int64_t before = -1; r == 0 && m->live && before != m->after;) {
        before = m->after;
        r = live_read(m->live, m->run_id, m->after, EVENTS_AT_A_TIME, types, print, m, &m->after, err);
    }
    fflush(stdout);
    return r;
}

/* --- everything, drawn ------------------------------------------------------------------------------------------- */

static int keep_event(void *arg, const struct live_event *e)
{
    struct monitor *m = arg;
    _cleanup_json_ json_t *d = NULL;
    if (strcmp(e->type, "stats") == 0 || json_parse(e->data, strlen(e->data), LIVE_DATA_MAX, &d, NULL) < 0)
        return 0; /* the curves show them */
    if (strcmp(e->type, "crash") == 0)
        dashboard_add_crash(&m->dashboard, fuzzing_crash_json(m->run_id, e));
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    if (!f)
        return 0;
    print_event_line(f, e, d);
    if (fclose(f) == 0)
        dashboard_add_event(&m->dashboard, json_stringn(text, len));
    free(text);
    return 0;
}

static int draw(struct monitor *m, const struct run_info *run, struct err *err)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    if (!f)
        return err_nomem(err);
    dashboard_draw(&m->dashboard, run, term_width(), term_screen_rows(), f);
    if (fclose(f) == 0)
        term_screen_draw(text);
    free(text);
    return 0;
}

static int look_at_all(struct monitor *m, const struct run_info *run, struct err *err)
{
    json_t *stats = NULL, *points = NULL;
    int r = new_stats(m, run, &stats, err);
    bool news = stats != NULL;
    dashboard_set_stats(&m->dashboard, stats);
    if (r == 0 && news && m->app->remote)
        r = client_series(m->app->client, m->run_id, &points, err);
    else if (r == 0 && news && m->live)
        r = live_series(m->live, m->run_id, &points, err);
    else if (news)
        dashboard_add_point(&m->dashboard);
    dashboard_set_points(&m->dashboard, points);
    if (r == 0)
        r = look_at_events(m, NULL, keep_event, err);
    return r == 0 ? draw(m, run, err) : r;
}

/* Crashes are events when a campaign ends; while it lasts, its statistics have what it has found. */
static int look_at_crashes(struct monitor *m, const struct run_info *run, struct err *err)
{
    _cleanup_json_ json_t *s = NULL;
    size_t i;
    json_t *b;
    int r = look_at_events(m, "crash", print_crash, err);
    if (r == 0 && !m->shown && !m->app->json)
        r = new_stats(m, run, &s, err);
    double before = json_num(s, "elapsed_time", 0) < m->bug_time ? 0 : m->bug_time; /* of the next target */
    json_array_foreach(json_object_get(s, "bugs"), i, b) {
        if (json_num(b, "first_time", 0) <= before)
            continue;
        m->told = true;
        m->bug_time = json_num(b, "first_time", 0);
        printf("%8.1f s  %-8s  %lld  ", m->bug_time, json_str(b, "severity", ""), (long long)json_i64(b, "count", 0));
        term_text(stdout, json_str(b, "title", ""));
        putchar('\n');
        fflush(stdout);
    }
    return r;
}

/* --- what there is now ------------------------------------------------------------------------------------------------ */

static int look(struct monitor *m, const struct run_info *run, struct err *err)
{
    switch (m->view) {
    case VIEW_STATS:
        return look_at_stats(m, run, err);
    case VIEW_CRASHES:
        return look_at_crashes(m, run, err);
    default:
        return m->drawn ? look_at_all(m, run, err) : look_at_events(m, NULL, print_event, err);
    }
}

static void say_nothing_came(const struct monitor *m)
{
    static const char *const what[] = {"statistics", "crashes", "events"};
    if (m->shown || m->told || m->drawn || m->app->quiet || m->app->json)
        return;
    fprintf(stderr, "ff: no %s of %s%s\n", what[m->view], m->run_id,
            m->live || m->app->remote || m->view == VIEW_CRASHES ? "" : "; a server keeps them: 'ff server start'");
}

/* --- a server tells ------------------------------------------------------------------------------------------------ */

static void take_stats(struct monitor *m, const struct live_event *e)
{
    bool news = e->seq > m->stats_after && (!m->last || strcmp(e->data, m->last) != 0);
    json_t *s = news ? fuzzing_stats_of(m->run->run_id, m->run->workflow, e->data) : NULL;
    if (!s)
        return;
    m->stats_after = e->seq;
    free(m->last);
    m->last = mem_strdup(e->data);
    if (m->drawn) {
        dashboard_set_stats(&m->dashboard, s);
        dashboard_add_point(&m->dashboard);
        return;
    }
    print_stats(m, m->run, s);
    m->shown++;
    json_decref(s);
}

static void on_event(void *arg, const struct live_event *e)
{
    struct monitor *m = arg;
    bool stats = strcmp(e->type, "stats") == 0, crash = strcmp(e->type, "crash") == 0;
    if (stats && (m->view == VIEW_STATS || m->drawn))
        take_stats(m, e);
    else if (crash && m->view == VIEW_CRASHES)
        print_crash(m, e);
    else if (m->view == VIEW_LIVE)
        m->drawn ? keep_event(m, e) : print_event(m, e);
}

static void on_run(void *arg, struct run_info *run)
{
    struct monitor *m = arg;
    run_info_release(m->run);
    *m->run = *run;
    *run = (struct run_info){0};
}

static bool tick(void *arg)
{
    struct monitor *m = arg;
    if (!m->drawn) {
        fflush(stdout);
    } else if (os_mono_ns() - m->drawn_ns > LOOK_MS * NS_PER_MS) {
        draw(m, m->run, NULL);
        m->drawn_ns = os_mono_ns();
    }
    return follow_interrupted();
}

static int listen_to_server(struct monitor *m, struct err *err)
{
    int64_t after = m->view == VIEW_STATS ? m->stats_after : m->after;
    struct client_listener l = {.on_event = on_event, .on_run = on_run, .tick = tick, .arg = m, .after = after};
    int r = client_listen(m->app->client, m->run_id, &l, err);
    fflush(stdout);
    return r;
}

/* --- the loop ------------------------------------------------------------------------------------------------------ */

static int watch(struct monitor *m, struct err *err)
{
    struct run_info *run = m->run;
    int r;
    for (;;) {
        run_info_release(run);
        r = run_read(&m->app->service, m->run_id, run, err);
        if (r == 0)
            r = look(m, run, err);
        if (r < 0 || m->once || run->closed || run->blocked || follow_interrupted())
            break;
        if (m->app->remote)
            return listen_to_server(m, err);
        os_sleep_ms(LOOK_MS);
    }
    if (r == 0 && run->closed && m->view != VIEW_STATS) {
        os_sleep_ms(LOOK_MS); /* the last events are just being written */
        r = look(m, run, err);
    }
    return r;
}

static int monitor(struct app *app, const struct args *a, enum view view)
{
    struct err err = {0};
    struct monitor m;
    struct run_info run = {0};
    int r = open_monitor(app, a, &m, &err);
    m.view = view;
    m.run = &run;
    if (r == 0)
        r = dashboard_init(&m.dashboard, &err);
    m.drawn = r == 0 && view == VIEW_LIVE && !m.once && !app->json && term_screen_begin();
    if (r == 0)
        r = watch(&m, &err);
    if (m.drawn) {
        term_screen_end();
        if (r == 0) /* stays to be read */
            dashboard_draw(&m.dashboard, &run, term_width(), term_screen_rows(), stdout);
    }
    if (r == 0)
        say_nothing_came(&m);
    run_info_release(&run);
    close_monitor(&m);
    return r < 0 ? app_fail(app, &err) : EXIT_OK;
}

static int stats(struct app *app, const struct args *a)
{
    return monitor(app, a, VIEW_STATS);
}

static int crashes(struct app *app, const struct args *a)
{
    return monitor(app, a, VIEW_CRASHES);
}

static int live(struct app *app, const struct args *a)
{
    return monitor(app, a, VIEW_LIVE);
}

static const struct opt options[] = {
    {"once", 0, NULL, "show what there is now, and leave"},
    {NULL, 0, NULL, NULL},
};

static const struct command c_stats = {.remote = true,
                                       .name = "stats", .summary = "The statistics of a campaign, a line when they change",
                                       .usage = "RUN",
                                       .examples = "  ff monitor stats 01K9ABCDEF\n  ff --json monitor stats 01K9ABCDEF --once",
                                       .opts = options, .min_args = 1, .max_args = 1, .run = stats};
static const struct command c_crashes = {.remote = true,
                                       .name = "crashes", .summary = "The crashes of a campaign, as they come", .usage = "RUN",
                                         .examples = "  ff monitor crashes 01K9ABCDEF", .opts = options, .min_args = 1,
                                         .max_args = 1, .run = crashes};
static const struct command c_live = {.remote = true,
    .name = "live", .summary = "All that happens in a run, as it happens (NDJSON with --json)", .usage = "RUN",
    .details = "On a terminal the run is drawn: curves of speed, coverage and corpus, engines, crashes, the last events.\n"
               "Elsewhere, and with --once, each event is a line.",
    .examples = "  ff monitor live 01K9ABCDEF\n  ff monitor live 01K9ABCDEF | grep crash",
    .opts = options, .min_args = 1, .max_args = 1, .run = live};

const struct command cmd_monitor = {
    .name = "monitor",
    .summary = "Watch a run: statistics, crashes, everything",
    .usage = "stats|crashes|live RUN",
    .details = "Shows the events that 'ff serve' keeps, from the first one on, until the run ends; Ctrl-C leaves and does\n"
               "nothing to it. Without a server, statistics are what the running module has last said.",
    .examples = "  ff monitor live 01K9ABCDEF",
    .subs = (const struct command *const[]){&c_stats, &c_crashes, &c_live, NULL},
};
