/* ff fuzz parse, ff fuzz cluster: crash reports that are there as files, whoever made them. */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/app.h"
#include "cli/cmd_fuzz.h"
#include "cli/table.h"
#include "cli/term.h"
#include "codec/crash/cluster.h"
#include "codec/crash/crash.h"
#include "codec/json.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define REPORTS_MAX 100000 /* of one call */

struct reports {
    VEC(char *) paths;
};

static void reports_release(struct reports *r)
{
    VEC_EACH(&r->paths, p)
        free(*p);
    VEC_RELEASE(&r->paths);
}

/* --- which files ------------------------------------------------------------------------------------------------------- */

/* Takes the path, also where it fails. */
static int add_path(struct reports *r, char *path, struct err *err)
{
    if (!path || r->paths.len >= REPORTS_MAX || !VEC_PUSH(&r->paths, path)) {
        free(path);
        return r->paths.len >= REPORTS_MAX ? err_set(err, ERR_LIMIT, "more than %d reports", REPORTS_MAX) : err_nomem(err);
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The files of a folder, by name; not those of folders in it, and no hidden ones. */
static int add_folder(struct reports *r, const char *folder, struct err *err)
{
    size_t first = r->paths.len;
    DIR *d = opendir(folder);
    struct dirent *e;
    int ret = d ? 0 : err_sys(err, errno, "open %s", folder);
    while (ret == 0 && (e = readdir(d))) {
        char *path = e->d_name[0] == '.' ? NULL : os_path_join(folder, e->d_name);
        if (path && !os_is_dir(path))
            ret = add_path(r, path, err);
        else
            free(path);
    }
    if (d)
        closedir(d);
    if (r->paths.len > first)
        qsort(r->paths.v + first, r->paths.len - first, sizeof *r->paths.v, by_name);
    else if (ret == 0)
        log_warn("there is no report in %s", folder);
    return ret;
}

static int find_reports(const struct args *a, struct reports *r, struct err *err)
{
    int ret = 0;
    for (size_t i = 0; ret == 0 && args_pos(a, i); i++) {
        const char *path = args_pos(a, i);
        ret = os_is_dir(path) ? add_folder(r, path, err) : add_path(r, mem_strdup(path), err);
    }
    return ret;
}

/* --- reading them ------------------------------------------------------------------------------------------------------ */

/* The first and the last half of what may be read, with a line's end between them. *ret_len is over CRASH_REPORT_MAX where
 * the file is longer: so that the parser says it too. */
static int read_ends(int fd, uint64_t size, char *text, size_t *ret_len, struct err *err)
{
    size_t half = CRASH_REPORT_MAX / 2, n = 0, m = 0;
    int r = os_pread_full(fd, text, half, 0, &n, err);
    if (r == 0)
        r = os_pread_full(fd, text + half + 2, half, size - half, &m, err);
    memcpy(text + half, "\n\n", 2);
    *ret_len = half + 2 + m;
    return r;
}

/* The same of a pipe, which is read to its end: the last half goes round in its place. text has room for both and 2 more. */
static int read_stream(int fd, char *text, size_t *ret_len, struct err *err)
{
    size_t half = CRASH_REPORT_MAX / 2, at = 0, n = 0;
    char *tail = text + half;
    uint64_t laps = 0;
    int r = os_read_full(fd, text, half, ret_len, err);
    if (r < 0 || *ret_len < half)
        return r;
    while ((r = os_read_full(fd, tail + at, half - at, &n, err)) == 0 && n == half - at) {
        laps++;
        at = 0;
    }
    at += n;
    *ret_len = half + (laps ? half : at);
    if (r < 0 || laps == 0 || (laps == 1 && at == 0))
        return r;
    _cleanup_free_ char *newest = mem_alloc(at + 1);
    if (!newest)
        return err_nomem(err);
    memcpy(newest, tail, at);
    memmove(tail, tail + at, half - at);
    memcpy(tail + half - at, newest, at);
    memmove(tail + 2, tail, half);
    memcpy(tail, "\n\n", 2); /* there is a gap, and the parser is told by the length */
    *ret_len = CRASH_REPORT_MAX + 2;
    return 0;
}

static int read_report(const char *path, char **ret, size_t *ret_len, struct err *err)
{
    _cleanup_close_ int own = -1;
    int fd = STDIN_FILENO, r = 0;
    struct stat st = {0};
    if (strcmp(path, "-") != 0) {
        r = os_open(path, O_RDONLY | O_NONBLOCK, 0, &own, err);
        fd = own;
    }
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "stat %s", path);
    if (own >= 0 && !S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is no file", path);
    bool regular = S_ISREG(st.st_mode), large = regular && (uint64_t)st.st_size > CRASH_REPORT_MAX;
    size_t room = regular && !large ? (size_t)st.st_size + 1 : CRASH_REPORT_MAX + 2;
    _cleanup_free_ char *text = mem_alloc(room);
    if (!text)
        return err_nomem(err);
    r = large     ? read_ends(fd, (uint64_t)st.st_size, text, ret_len, err)
        : regular ? os_read_full(fd, text, room, ret_len, err)
                  : read_stream(fd, text, ret_len, err);
    if (r == 0)
        *ret = TAKE_PTR(text);
    return r < 0 ? err_wrap(err, "read %s", path) : 0;
}

typedef int take_crash(void *arg, const char *path, const struct crash *c, struct err *err);

/* Hands over each crash of a file: a log may have those of several programs. */
static int parse_report(const struct args *a, const char *path, take_crash *take, void *arg, struct err *err)
{
    struct crash_options o = {.target = args_get(a, "target"), .unsymbolized = args_has(a, "unsymbolized")};
    _cleanup_free_ char *text = NULL;
    size_t len = 0, at = 0, n;
    int r = read_report(path, &text, &len, err);
    do {
        struct crash c = {0};
        n = r == 0 ? crash_report_end(text + at, len - at) : 0;
        if (r == 0)
            r = crash_parse(text + at, n, &o, &c, err);
        c.truncated = c.truncated || len > CRASH_REPORT_MAX;
        if (r == 0)
            r = take(arg, path, &c, err);
        crash_release(&c);
        at += n;
    } while (r == 0 && at < len);
    return r;
}

/* --- parse ---------------------------------------------------------------------------------------------------------------- */

static void print_frame(size_t number, const struct crash_frame *f)
{
    printf("  %s#%zu ", f->ignored ? term_dim() : "", number);
    term_text(stdout, f->function ? f->function : f->module ? f->module : "?");
    if (f->file) {
        printf("  ");
        term_text(stdout, f->file);
        if (f->line)
            printf(":%d", f->line);
    } else if (f->offset) {
        printf("+0x%llx", (unsigned long long)f->offset);
    }
    printf("%s\n", f->ignored ? term_off() : "");
}

static void print_indented(const char *text, const char *first)
{
    for (const char *head = first; *text; head = "           ") {
        char line[512];
        size_t n = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)(n < 500 ? n : 500), text);
        printf("%s", head);
        term_text(stdout, line);
        putchar('\n');
        text += n + (text[n] == '\n');
    }
}

static void print_crash(const char *path, const struct crash *c)
{
    printf("%s", term_bold());
    term_text(stdout, path);
    printf("%s\n", term_off());
    if (c->kind == CRASH_NONE) {
        printf("  no crash was found\n");
        return;
    }
    print_indented(c->type, "  type     ");
    printf("  kind     %s\n  severity %s%s%s: ", crash_kind_name(c->kind), term_severity(c->severity),
           severity_name(c->severity), term_off());
    term_text(stdout, c->severity_reason);
    printf("\n");
    if (c->address[0])
        print_indented(c->address, "  address  ");
    print_indented(c->state, "  state    ");
    for (size_t i = 0; i < c->frame_count; i++)
        print_frame(i, &c->frames[i]);
}

static void print_line(struct app *app, json_t *j)
{
    struct strbuf b = STRBUF_INIT;
    if (!j || json_write(j, &b, NULL) < 0 || printf("%s\n", strbuf_str(&b)) < 0)
        app->output_failed = true;
    strbuf_release(&b);
    json_decref(j);
}

static int show(void *arg, const char *path, const struct crash *c, struct err *err)
{
    struct app *app = arg;
    (void)err;
    if (app->json)
        print_line(app, crash_to_json(c, path));
    else
        print_crash(path, c);
    return 0;
}

static int parse(struct app *app, const struct args *a)
{
    _cleanup_(reports_release) struct reports list = {0};
    struct err err = {0};
    int r = find_reports(a, &list, &err);
    for (size_t i = 0; i < list.paths.len && r == 0; i++)
        r = parse_report(a, list.paths.v[i], show, app, &err);
    return r < 0 ? app_fail(app, &err) : EXIT_OK;
}

/* --- cluster -------------------------------------------------------------------------------------------------------------- */

/* The groups, as they are shown: {id, kind, crash_type, crash_state, severity, reports}, of the first report of each. */
struct grouping {
    struct crash_clusters *clusters;
    VEC(const char *) files; /* of each report */
    json_t *firsts; /* of each report: what it is, or null where one like it came before */
    const size_t *group;
    size_t groups;
};

static void grouping_release(struct grouping *g)
{
    crash_clusters_free(g->clusters);
    VEC_RELEASE(&g->files);
    json_decref(g->firsts);
}

static json_t *first_of_group(const struct crash *c)
{
    _cleanup_json_ json_t *all = crash_to_json(c, NULL);
    return json_pack("{s:s, s:s, s:O, s:s}", "kind", crash_kind_name(c->kind), "crash_type", c->type, "crash_state",
                     json_object_get(all, "crash_state"), "severity", severity_name(c->severity));
}

static int add_to_groups(void *arg, const char *path, const struct crash *c, struct err *err)
{
    struct grouping *g = arg;
    bool first = false;
    int r = crash_clusters_add(g->clusters, c, &first, err);
    if (r == 0 && (!VEC_PUSH(&g->files, path) || json_array_append_new(g->firsts, first ? first_of_group(c) : json_null()) < 0))
        r = err_nomem(err);
    return r;
}

static int make_groups(const struct args *a, const struct reports *list, struct grouping *g, struct err *err)
{
    g->firsts = json_array();
    int r = crash_clusters_new(&g->clusters, err);
    for (size_t i = 0; i < list->paths.len && r == 0; i++)
        r = parse_report(a, list->paths.v[i], add_to_groups, g, err);
    return r < 0 ? r : crash_clusters_finish(g->clusters, &g->group, &g->groups, err);
}

static json_t *groups_to_json(const struct grouping *g)
{
    json_t *array = json_array();
    for (size_t i = 0; i < g->files.len; i++) {
        if (g->group[i] == json_array_size(array)) {
            json_t *one = json_pack("{s:i}", "id", (int)g->group[i] + 1);
            json_object_update(one, json_array_get(g->firsts, i));
            json_object_set_new(one, "reports", json_array());
            json_array_append_new(array, one);
        }
        json_array_append_new(json_object_get(json_array_get(array, g->group[i]), "reports"),
                              json_clean_string(g->files.v[i]));
    }
    return json_pack("{s:i, s:o}", "reports", (int)g->files.len, "groups", array);
}

static void print_groups(const json_t *groups)
{
    static const char *const heads[] = {"GROUP", "REPORTS", "SEVERITY", "TYPE", "STATE", "FIRST", NULL};
    struct table t;
    size_t i;
    json_t *g;
    table_init(&t, heads);
    json_array_foreach((json_t *)(uintptr_t)groups, i, g) {
        const char *type = json_str(g, "crash_type", ""), *severity = json_str(g, "severity", "info");
        const json_t *reports = json_object_get(g, "reports");
        enum severity level = SEVERITY_INFO;
        severity_parse(severity, &level, NULL);
        table_addf(&t, NULL, "%zu", i + 1);
        table_addf(&t, NULL, "%zu", json_array_size(reports));
        table_add(&t, term_severity(level), severity);
        table_addf(&t, NULL, "%.*s", (int)strcspn(type, "\n"), *type ? type : "-");
        table_add(&t, NULL, json_string_value(json_array_get(json_object_get(g, "crash_state"), 0)));
        table_add(&t, NULL, json_string_value(json_array_get(reports, 0)));
    }
    table_print(&t);
}

static int cluster(struct app *app, const struct args *a)
{
    _cleanup_(reports_release) struct reports list = {0};
    _cleanup_(grouping_release) struct grouping g = {0};
    struct err err = {0};
    int r = find_reports(a, &list, &err);
    if (r == 0)
        r = make_groups(a, &list, &g, &err);
    if (r < 0)
        return app_fail(app, &err);
    json_t *groups = groups_to_json(&g);
    if (!app->json)
        print_groups(json_object_get(groups, "groups"));
    else
        app_print_json(app, json_incref(groups));
    json_decref(groups);
    return EXIT_OK;
}

static const struct opt crash_opts[] = {
    {"target", 0, "NAME", "the fuzz target: the state of its time-outs and memory bounds"},
    {"unsymbolized", 0, NULL, "the stacks have no names: keep modules and offsets in the state"},
    {NULL, 0, NULL, NULL},
};

const struct command fuzz_parse = {
    .local = true,
    .name = "parse", .summary = "Read crash reports: type, state, severity, stack", .usage = "REPORT...",
    .details = "REPORT is a file (- for stdin) with what a sanitizer, fuzzer, language runtime, debugger or kernel printed,\n"
               "a CASR report, or a folder of such files. In a log with the ends of several programs each is a report of its\n"
               "own. Types and states are ClusterFuzz's. With --json a line for each.",
    .examples = "  ./target crash-1 2>&1 | ff fuzz parse -\n  ff fuzz parse reports/ --json | jq -r .crash_type",
    .opts = crash_opts, .min_args = 1, .max_args = -1, .run = parse,
};

const struct command fuzz_cluster = {
    .local = true,
    .name = "cluster", .summary = "Group crash reports by bug", .usage = "REPORT...",
    .details = "Reports are one group if their stacks are alike (as CASR compares them). Those without a stack are grouped\n"
               "by type and state; those without a crash stay alone.",
    .examples = "  ff fuzz cluster reports/\n  ff fuzz cluster reports/ --json | jq '.groups | length'",
    .opts = crash_opts, .min_args = 1, .max_args = -1, .run = cluster,
};
