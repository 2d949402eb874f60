#include "cli/dashboard.h"

#include "base/cleanup.h"
#include "base/units.h"
#include "cli/report.h"
#include "cli/term.h"
#include "codec/json.h"

#include <string.h>

#define POINTS_MAX 2000
#define CURVE_COLUMNS_MAX 400
#define LABEL_COLUMNS 14
#define VALUE_COLUMNS 14
#define TALL_ROWS 30 /* of a terminal on which curves have */
#define TALL_CURVE 3 /* lines, not one */
#define CRASH_ROWS 8
#define EIGHTHS 8

int dashboard_init(struct dashboard *d, struct err *err)
{
    *d = (struct dashboard){.crashes = json_array(), .events = json_array()};
    return d->crashes && d->events ? 0 : err_nomem(err);
}

void dashboard_release(struct dashboard *d)
{
    json_decref(d->stats);
    json_decref(d->points);
    json_decref(d->crashes);
    json_decref(d->events);
}

void dashboard_set_stats(struct dashboard *d, json_t *stats)
{
    if (!stats)
        return;
    json_decref(d->stats);
    d->stats = stats;
}

void dashboard_set_points(struct dashboard *d, json_t *points)
{
    if (!points)
        return;
    json_decref(d->points);
    d->points = points;
}

static void add(json_t *list, json_t *item, size_t max)
{
    if (item && json_array_append_new(list, item) == 0 && json_array_size(list) > max)
        json_array_remove(list, 0);
}

void dashboard_add_crash(struct dashboard *d, json_t *crash)
{
    d->crashes_seen += crash != NULL;
    add(d->crashes, crash, DASHBOARD_CRASHES);
}

void dashboard_add_event(struct dashboard *d, json_t *line)
{
    add(d->events, line, DASHBOARD_EVENTS);
}

void dashboard_add_point(struct dashboard *d)
{
    if (!d->points)
        d->points = json_array();
    if (json_array_size(d->points) >= POINTS_MAX)
        for (size_t i = 0; i < json_array_size(d->points); i++) /* every second one goes */
            json_array_remove(d->points, i);
    json_array_append(d->points, d->stats);
}

/* --- drawing -------------------------------------------------------------------------------------------------- */

struct canvas {
    FILE *f;
    int columns, rows; /* that are left */
};

static void end_line(struct canvas *c)
{
    fputc('\n', c->f);
    c->rows--;
}

static void title(struct canvas *c, const char *text)
{
    fprintf(c->f, "%s%s%s", term_bold(), text, term_off());
    end_line(c);
}

/* 12,345,678 */
static const char *grouped(int64_t n, char buf[32])
{
    char plain[24];
    int len = snprintf(plain, sizeof plain, "%lld", (long long)n), out = 0;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0 && plain[i - 1] != '-')
            buf[out++] = ',';
        buf[out++] = plain[i];
    }
    buf[out] = 0;
    return buf;
}

static void draw_numbers(struct canvas *c, const json_t *s)
{
    char a[32], b[32];
    int64_t crashes = json_i64(s, "crashes", 0), unique = json_i64(s, "unique_crashes", 0);
    fprintf(c->f, "%s executions, ", grouped(json_i64(s, "executions", 0), a));
    fprintf(c->f, "%s%s crash%s (%s unique)%s", crashes ? term_red() : "", grouped(crashes, a), crashes == 1 ? "" : "es",
            grouped(unique, b), term_off());
    double elapsed = json_num(s, "elapsed_time", 0), last = json_num(s, "last_find_time", -1);
    if (last >= 0 && elapsed - last >= 1)
        fprintf(c->f, ", last find %s ago", units_format_duration((int64_t)(elapsed - last) * 1000, a, sizeof a));
    end_line(c);
}

/* The values at width moments from the beginning to now; what a moment has no value of its own for is as it was before. */
static double sample(const json_t *points, const char *key, int width, double ret[CURVE_COLUMNS_MAX])
{
    size_t n = json_array_size(points), at = 0;
    double end = json_num(json_array_get(points, n - 1), "elapsed_time", 0), value = 0, most = 0;
    for (int x = 0; x < width; x++) {
        for (; at < n; at++) {
            const json_t *p = json_array_get(points, at);
            double when = end > 0 ? json_num(p, "elapsed_time", 0) / end : (double)at / (double)n;
            if (when * width > x + 1)
                break;
            value = json_num(p, key, 0);
        }
        ret[x] = value > 0 ? value : 0;
        most = ret[x] > most ? ret[x] : most;
    }
    return most;
}

static void draw_curve(struct canvas *c, const json_t *points, const char *key, const char *label, int height)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double v[CURVE_COLUMNS_MAX];
    char last[32], highest[32];
    int width = c->columns - LABEL_COLUMNS - VALUE_COLUMNS;
    width = width > CURVE_COLUMNS_MAX ? CURVE_COLUMNS_MAX : width;
    if (width < 1 || json_array_size(points) == 0)
        return;
    double most = sample(points, key, width, v);
    for (int row = height - 1; row >= 0; row--) {
        fprintf(c->f, "%-*s%s", LABEL_COLUMNS, row == 0 ? label : "", term_green());
        for (int x = 0; x < width; x++) {
            int level = most > 0 ? (int)(v[x] / most * height * EIGHTHS + 0.5) - row * EIGHTHS : 0;
            fputs(blocks[level < 0 ? 0 : level > EIGHTHS ? EIGHTHS : level], c->f);
        }
        fputs(term_off(), c->f);
        if (row == 0)
            fprintf(c->f, " %s", grouped((int64_t)v[width - 1], last));
        else if (row == height - 1 && most > v[width - 1])
            fprintf(c->f, " %stop %s%s", term_dim(), grouped((int64_t)most, highest), term_off());
        end_line(c);
    }
}

static void draw_engines(struct canvas *c, const json_t *engines)
{
    size_t i;
    json_t *e;
    if (json_array_size(engines) == 0 || c->rows < 3)
        return;
    fprintf(c->f, "%s%-16s%15s%12s%10s%8s%10s%s", term_bold(), "engine", "executions", "per second", "edges", "finds", "memory",
            term_off());
    end_line(c);
    json_array_foreach(engines, i, e) {
        char name[16], a[32], b[32];
        if (c->rows < 1)
            return;
        snprintf(name, sizeof name, "%lld %.11s", (long long)json_i64(e, "session", 0), json_str(e, "engine", ""));
        term_text(c->f, name);
        fprintf(c->f, "%*s%12s%10lld%8lld%7lld MB", 31 - (int)strlen(name), grouped(json_i64(e, "executions", 0), a),
                grouped((int64_t)json_num(e, "executions_per_sec", 0), b), (long long)json_i64(e, "edges", 0),
                (long long)json_i64(e, "finds", 0), (long long)json_i64(e, "memory_mb", 0));
        end_line(c);
    }
}

/* What a campaign has found so far, the newest first. */
static void draw_bugs(struct canvas *c, const json_t *stats)
{
    const json_t *bugs = json_object_get(stats, "bugs");
    size_t n = json_array_size(bugs);
    double now = json_num(stats, "elapsed_time", 0);
    if (n == 0 || c->rows < 3)
        return;
    fprintf(c->f, "%s%-10s%10s%12s%12s  bug%s", term_bold(), "severity", "crashes", "first", "last", term_off());
    end_line(c);
    for (size_t i = 0; i < n && c->rows > 1; i++) {
        const json_t *b = json_array_get(bugs, n - 1 - i);
        char number[32], first[32], last[32];
        enum severity severity = SEVERITY_MEDIUM;
        severity_parse(json_str(b, "severity", "medium"), &severity, NULL);
        units_format_duration((int64_t)((now - json_num(b, "first_time", 0)) * 1000), first, sizeof first);
        units_format_duration((int64_t)((now - json_num(b, "last_time", 0)) * 1000), last, sizeof last);
        fprintf(c->f, "%s%-10s%s%10s%8s ago%8s ago  ", term_severity(severity), severity_name(severity), term_off(),
                grouped(json_i64(b, "count", 0), number), first, last);
        term_text_cut(c->f, json_str(b, "title", ""), c->columns - 46);
        end_line(c);
    }
}

static void draw_crashes(struct canvas *c, const struct dashboard *d)
{
    size_t n = json_array_size(d->crashes);
    if (n == 0 || c->rows < 3)
        return;
    char text[64], number[32];
    snprintf(text, sizeof text, "crashes: %s", grouped((int64_t)d->crashes_seen, number));
    title(c, text);
    for (size_t i = 0; i < n && i < CRASH_ROWS && c->rows > 1; i++) {
        const json_t *x = json_array_get(d->crashes, n - 1 - i);
        enum severity severity = SEVERITY_MEDIUM;
        severity_parse(json_str(x, "severity", "medium"), &severity, NULL);
        fprintf(c->f, "%.8s  %s%-8s%s  ", strlen(json_str(x, "timestamp", "")) > 19 ? json_str(x, "timestamp", "") + 11 : "",
                term_severity(severity), severity_name(severity), term_off());
        term_text_cut(c->f, json_str(x, "crash_type", json_str(x, "signal", "crash")), c->columns - 20);
        end_line(c);
    }
    if (n > CRASH_ROWS && c->rows > 0) {
        fprintf(c->f, "%s… 'ff monitor crashes' has all%s", term_dim(), term_off());
        end_line(c);
    }
}

/* In what room is left, the newest at the bottom. */
static void draw_events(struct canvas *c, const json_t *events)
{
    size_t n = json_array_size(events);
    if (n == 0 || c->rows < 2)
        return;
    title(c, "events");
    for (size_t i = n > (size_t)c->rows ? n - (size_t)c->rows : 0; i < n; i++) {
        fputs(json_string_value(json_array_get(events, i)), c->f);
        end_line(c);
    }
}

void dashboard_draw(const struct dashboard *d, const struct run_info *run, int columns, int rows, FILE *f)
{
    struct canvas c = {f, columns, rows};
    int height = rows >= TALL_ROWS ? TALL_CURVE : 1;
    c.rows -= run_print_head(f, run);
    if (d->stats && c.rows > 1 + 3 * height) {
        draw_numbers(&c, d->stats);
        draw_curve(&c, d->points, "executions_per_sec", "executions/s", height);
        draw_curve(&c, d->points, "coverage", "coverage", height);
        draw_curve(&c, d->points, "corpus_size", "corpus", height);
    }
    draw_engines(&c, json_object_get(d->stats, "engines"));
    if (json_array_size(json_object_get(d->stats, "bugs")))
        draw_bugs(&c, d->stats);
    else
        draw_crashes(&c, d);
    draw_events(&c, d->events);
}
