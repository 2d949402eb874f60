/* ff doctor: what this machine offers, what is missing, and what to do about it. */
#include "api/client/client.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/app.h"
#include "cli/readonly.h"
#include "cli/table.h"
#include "cli/term.h"
#include "codec/json.h"
#include "engine/embedded/embedded.h"
#include "fuzz/fuzz.h"
#include "os/file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#define SPACE_WARN ((uint64_t)2 << 30)
#define SPACE_NEEDED ((uint64_t)100 << 20)

enum grade { GRADE_OK, GRADE_MISSING, GRADE_BAD }; /* missing: works without, less well; bad: must be mended */

struct check {
    const char *area;
    char *name, *detail, *hint;
    enum grade grade;
};

struct doctor {
    struct app *app;
    VEC(struct check) checks;
    enum grade worst;
};

static const char *grade_name(enum grade g)
{
    return g == GRADE_OK ? "ok" : g == GRADE_MISSING ? "missing" : "failed";
}

/* hint: what to do, shown unless all is well; may be NULL. */
__attribute__((format(printf, 6, 7))) static void add(struct doctor *d, const char *area, const char *name,
                                                      enum grade grade, const char *hint, const char *fmt, ...)
{
    char detail[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    struct check c = {area, mem_strdup(name), mem_strdup(detail), grade == GRADE_OK ? NULL : mem_strdup(hint), grade};
    if (grade > d->worst)
        d->worst = grade;
    if (VEC_PUSH(&d->checks, c))
        return;
    free(c.name);
    free(c.detail);
    free(c.hint);
}

/* --- the kernel ------------------------------------------------------------------------------------------- */

static void feature(struct doctor *d, const char *name, bool there, const char *what, const char *hint)
{
    add(d, "sandbox", name, there ? GRADE_OK : GRADE_MISSING, hint, "%s", what);
}

#define HINT_USERNS                                                                                                    \
    "sysctl kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0; in a container: allow " \
    "unshare, or run as root"

static void check_kernel(struct doctor *d)
{
    struct utsname u;
    if (uname(&u) == 0)
        add(d, "sandbox", "kernel", GRADE_OK, NULL, "%s %s, %s", u.sysname, u.release, u.machine);
    struct err err = {0};
    if (app_open(d->app, APP_SPAWNER, &err) < 0) {
        add(d, "sandbox", "spawner", GRADE_BAD, err.hint[0] ? err.hint : NULL, "%s", err.msg);
        return;
    }
    const struct sandbox_protection *p = spawner_protection(d->app->spawner);
    char landlock[64] = "files that a module may touch", groups[96];
    if (p->landlock_abi > 0)
        snprintf(landlock, sizeof landlock, "files that a module may touch (ABI %d)", p->landlock_abi);
    snprintf(groups, sizeof groups, "%s", p->cgroup_version ? "bounds on memory and processes" :
             "bounds on memory and processes (watched by ff instead)");
    feature(d, "user namespace", p->user_ns, "no rights outside", HINT_USERNS);
    feature(d, "mount namespace", p->mount_ns, "a root folder of its own", HINT_USERNS);
    feature(d, "pid namespace", p->pid_ns, "no sight of other processes", HINT_USERNS);
    feature(d, "network namespace", p->net_ns, "no network unless granted", HINT_USERNS);
    feature(d, "ipc namespace", p->ipc_ns, "no shared memory with others", HINT_USERNS);
    feature(d, "uts namespace", p->uts_ns, "a host name of its own", HINT_USERNS);
    feature(d, "landlock", p->landlock_abi > 0, landlock, "Linux 5.13 or later, with landlock in /sys/kernel/security/lsm");
    feature(d, "seccomp", p->seccomp, "system calls that a module may make", "a kernel with CONFIG_SECCOMP_FILTER");
    feature(d, "overlayfs", p->overlayfs, "copy-on-write workspaces",
            "Linux 5.11 or later, and a state folder that is not itself on overlayfs; without it files are copied");
    feature(d, "pidfd", p->pidfd, "exact handling of processes", "Linux 5.3 or later");
    feature(d, "cgroup", p->cgroup_memory && p->cgroup_pids, groups,
            "run as root, or in a delegated cgroup: systemd-run --user --scope -p Delegate=yes ff ...");
    add(d, "sandbox", "protection", p->complete ? GRADE_OK : GRADE_MISSING,
        "modules run with less protection; --require-sandbox refuses to", "%s", p->complete ? "complete" : p->missing);
}

/* --- tools ------------------------------------------------------------------------------------------------ */

static char *find_program(const char *name)
{
    const char *env = getenv("PATH");
    _cleanup_free_ char *path = mem_strdup(env && *env ? env : "/usr/local/bin:/usr/bin:/bin");
    char *save = NULL;
    for (char *dir = path ? strtok_r(path, ":", &save) : NULL; dir; dir = strtok_r(NULL, ":", &save)) {
        char *p = os_path_join(dir, name);
        if (p && access(p, X_OK) == 0 && !os_is_dir(p))
            return p;
        free(p);
    }
    return NULL;
}

static void check_tools(struct doctor *d)
{
    static const struct {
        const char *name, *what, *package;
    } tools[] = {
        {"sh", "modules written for the shell", "dash"},
        {"python3", "modules written in Python", "python3"},
        {"pasta", "modules and repositories that need the network", "passt"},
    };
    for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
        _cleanup_free_ char *path = find_program(tools[i].name);
        char hint[96];
        snprintf(hint, sizeof hint, "apt install %s", tools[i].package);
        if (path)
            add(d, "tools", tools[i].name, GRADE_OK, NULL, "%s", path);
        else
            add(d, "tools", tools[i].name, GRADE_MISSING, hint, "for %s", tools[i].what);
    }
}

static void check_engines(struct doctor *d)
{
    const char *name, *vertical;
    for (size_t i = 0; fuzz_engine_at(i, &name, &vertical); i++) {
        struct err err = {0};
        if (fuzz_engine_check(name, &err) == 0)
            add(d, "fuzzing", name, GRADE_OK, NULL, "for %s", vertical);
        else
            add(d, "fuzzing", name, GRADE_MISSING, err.hint, "for %s: %s", vertical, err.msg);
    }
}

/* --- toolbox ---------------------------------------------------------------------------------------------- */

static void check_modules(struct doctor *d)
{
    struct err err = {0};
    struct module_def *m = NULL;
    size_t n = 0, broken = 0;
    if (module_registry_list(d->app->modules, &m, &n, &err) < 0) {
        add(d, "toolbox", "modules", GRADE_BAD, NULL, "%s", err.msg);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (m[i].broken) {
            broken++;
            add(d, "toolbox", m[i].name, GRADE_MISSING, "mend or remove its folder", "%s", m[i].broken);
        } else if (m[i].kind == MODULE_EXECUTABLE && strncmp(m[i].argv[0], "/module/", 8) != 0 &&
                   access(m[i].argv[0], X_OK) < 0) {
            add(d, "toolbox", m[i].name, GRADE_MISSING, "install it, or name another program in its module.yaml",
                "its program %s is not there", m[i].argv[0]);
        }
        module_def_release(&m[i]);
    }
    free(m);
    add(d, "toolbox", "modules", GRADE_OK, NULL, "%zu, %zu of them broken", n, broken);
}

static void check_workflows(struct doctor *d)
{
    struct err err = {0};
    struct workflow_def **w = NULL;
    size_t n = 0, broken = 0;
    if (toolbox_list(d->app->toolbox, &w, &n, &err) < 0) {
        add(d, "toolbox", "workflows", GRADE_BAD, NULL, "%s", err.msg);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (workflow_def_error(w[i], &err) == 0)
            continue;
        broken++;
        add(d, "toolbox", w[i]->name, GRADE_MISSING, "mend it; 'ff workflow validate' tells when it is right", "%s",
            err.msg);
    }
    toolbox_list_free(w, n);
    add(d, "toolbox", "workflows", n > broken ? GRADE_OK : GRADE_BAD,
        "make install, or name a folder with workflows/ in FF_TOOLBOX", "%zu, %zu of them broken", n, broken);
}

static void check_toolbox(struct doctor *d)
{
    struct err err = {0};
    if (app_open_toolbox(d->app, &err) < 0) {
        add(d, "toolbox", "toolbox", GRADE_BAD, err.hint[0] ? err.hint : NULL, "%s", err.msg);
        return;
    }
    check_workflows(d);
    check_modules(d);
}

/* --- state ------------------------------------------------------------------------------------------------ */

/* The nearest folder that is there. */
static char *existing_parent(const char *path)
{
    char *p = mem_strdup(path);
    while (p && *p && !os_is_dir(p)) {
        char *slash = strrchr(p, '/');
        if (!slash || slash == p) {
            free(p);
            return mem_strdup(slash ? "/" : ".");
        }
        *slash = 0;
    }
    return p;
}

static void check_space(struct doctor *d)
{
    const char *dir = d->app->state_dir;
    _cleanup_free_ char *there = existing_parent(dir);
    struct statvfs v;
    char size[32];
    if (!there || statvfs(there, &v) < 0) {
        add(d, "state", "disk space", GRADE_BAD, NULL, "%s: %s", dir, strerror(errno));
        return;
    }
    uint64_t room = (uint64_t)v.f_bavail * v.f_frsize;
    add(d, "state", "disk space",
        room < SPACE_NEEDED ? GRADE_BAD
        : room < SPACE_WARN ? GRADE_MISSING
                            : GRADE_OK,
        "'ff clean' removes old runs; --state DIR puts the state elsewhere", "%s free",
        units_format_size(room, size, sizeof size));
    bool writable = access(there, W_OK | X_OK) == 0;
    add(d, "state", "folder", writable ? GRADE_OK : GRADE_BAD, "give it to this user, or use --state DIR", "%s%s", dir,
        writable ? os_is_dir(dir) ? "" : " (made by the first run)" : ": may not be written");
}

static void say_opened(struct doctor *d, const char *name, int r, const struct err *e)
{
    const struct err err = *e;
    if (r == 0)
        add(d, "state", name, GRADE_OK, NULL, "opens, and every page of its file is well");
    else if (r == -ERR_BUSY)
        add(d, "state", name, GRADE_OK, NULL, "in use: %s", err.msg);
    else
        add(d, "state", name, GRADE_BAD,
            err.hint[0] ? err.hint : "put a copy of the state folder back, or begin anew with --state DIR", "%s", err.msg);
}

static void check_state(struct doctor *d)
{
    check_space(d);
    _cleanup_free_ char *db = os_path_join(d->app->state_dir, "state.db");
    _cleanup_free_ char *store = os_path_join(d->app->state_dir, "store");
    if (db && os_exists(db)) {
        /* Whoever holds it is well: no need to wait. */
        struct engine_embedded_options o = {
            .path = db, .wait_ms = -1, .check = true, .read_only = readonly_state(d->app)};
        struct engine *engine = NULL;
        struct err err = {0};
        say_opened(d, "runs", engine_embedded_open(&o, &engine, &err), &err);
        engine_free(engine);
    }
    if (store && os_exists(store)) {
        struct err err = {0};
        int r = app_open(d->app, APP_STORE, &err);
        if (r == 0)
            r = store_check_index(d->app->store, &err);
        say_opened(d, "objects", r, &err);
    }
}

/* --- a server --------------------------------------------------------------------------------------------- */

static void say_failed(struct doctor *d, const char *name, const struct err *err)
{
    add(d, "server", name, GRADE_BAD, err->hint[0] ? err->hint : NULL, "%s", err->msg);
}

/* false: it was not told. */
static bool ask(struct doctor *d, const char *name, const char *path, json_t **ret)
{
    struct err err = {0};
    *ret = NULL;
    if (client_get(d->app->client, path, ret, &err) == 0)
        return true;
    say_failed(d, name, &err);
    return false;
}

static void check_health(struct doctor *d)
{
    static const char *const parts[] = {"engine", "store", "sandbox"};
    _cleanup_json_ json_t *j = NULL;
    if (!ask(d, "answers", "/health", &j))
        return;
    add(d, "server", "answers", GRADE_OK, NULL, "%s, version %s", client_url(d->app->client), json_str(j, "version", "?"));
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const char *word = json_str(j, parts[i], "unknown");
        bool ok = strcmp(word, "ok") == 0;
        enum grade bad = strcmp(parts[i], "sandbox") == 0 ? GRADE_MISSING : GRADE_BAD;
        add(d, "server", parts[i], ok ? GRADE_OK : bad, "'ff doctor' on the server's machine", "%s", word);
    }
}

static void check_token(struct doctor *d)
{
    _cleanup_json_ json_t *j = NULL;
    if (!ask(d, "token", "/session", &j))
        return;
    const char *space = json_str(j, "namespace", "");
    add(d, "server", "token", GRADE_OK, NULL, "%s, %s of %s", json_str(j, "name", ""), json_str(j, "role", ""),
        strcmp(space, "*") == 0 ? "all namespaces" : space);
}

static void check_work(struct doctor *d)
{
    _cleanup_json_ json_t *workers = NULL, *workflows = NULL;
    const json_t *w;
    size_t i, broken = 0;
    if (ask(d, "workers", "/workers", &workers)) {
        size_t n = json_array_size(json_object_get(workers, "workers"));
        add(d, "server", "workers", n ? GRADE_OK : GRADE_MISSING, "start one there: 'ff worker'", "%zu", n);
    }
    if (!ask(d, "workflows", "/workflows/?all=true", &workflows))
        return;
    json_array_foreach(workflows, i, w)
        broken += json_object_get(w, "broken") != NULL;
    add(d, "server", "workflows", json_array_size(workflows) > broken ? GRADE_OK : GRADE_BAD,
        "make install there, or name a folder with workflows/ in its FF_TOOLBOX", "%zu, %zu of them broken",
        json_array_size(workflows), broken);
}

static void check_server(struct doctor *d)
{
    struct err err = {0};
    if (app_open(d->app, APP_ENGINE, &err) < 0) {
        say_failed(d, "settings", &err);
        return;
    }
    check_health(d);
    if (d->worst == GRADE_BAD) /* it would be said again and again */
        return;
    check_token(d);
    if (d->worst != GRADE_BAD)
        check_work(d);
}

/* --- the report ------------------------------------------------------------------------------------------- */

static void print_json(struct doctor *d)
{
    json_t *list = json_array();
    VEC_EACH(&d->checks, c)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s?}", "area", c->area, "name", c->name ? c->name : "",
                                              "status", grade_name(c->grade), "detail", c->detail ? c->detail : "", "hint",
                                              c->hint));
    app_print_json(d->app, json_pack("{s:b, s:s, s:o}", "ok", d->worst != GRADE_BAD, "status", grade_name(d->worst),
                                     "checks", list));
}

static void print_table(struct doctor *d)
{
    static const char *const heads[] = {"AREA", "CHECK", "STATUS", "DETAIL", NULL};
    struct table t;
    table_init(&t, heads);
    VEC_EACH(&d->checks, c) {
        table_add(&t, NULL, c->area);
        table_add(&t, NULL, c->name);
        table_add(&t, c->grade == GRADE_OK ? term_green() : c->grade == GRADE_MISSING ? term_yellow() : term_red(),
                  grade_name(c->grade));
        table_add(&t, NULL, c->detail);
    }
    table_print(&t);
    bool first = true;
    VEC_EACH(&d->checks, c) {
        if (!c->hint)
            continue;
        printf("%s%s%s%s: ", first ? "\nWhat to do\n  " : "  ", term_bold(), c->name ? c->name : "", term_off());
        term_text(stdout, c->hint);
        putchar('\n');
        first = false;
    }
}

/* Also where a server is set, but not named. */
static void check_machine(struct doctor *d)
{
    d->app->remote = false;
    check_kernel(d); /* first: the spawner is forked before any thread */
    check_tools(d);
    check_engines(d);
    check_toolbox(d);
    check_state(d);
}

static int doctor(struct app *app, const struct args *a)
{
    struct doctor d = {.app = app};
    if (app->remote && args_global(a, "server"))
        check_server(&d);
    else
        check_machine(&d);
    if (app->json)
        print_json(&d);
    else
        print_table(&d);
    VEC_EACH(&d.checks, c) {
        free(c->name);
        free(c->detail);
        free(c->hint);
    }
    VEC_RELEASE(&d.checks);
    return d.worst == GRADE_BAD ? EXIT_ENVIRONMENT : EXIT_OK;
}

const struct command cmd_doctor = {
    .remote = true,
    .name = "doctor",
    .summary = "Check tools, kernel features, toolbox and state",
    .usage = "",
    .details = "What is missing makes things work less well; what failed must be mended, and the exit status is 5. With\n"
               "--require-sandbox an incomplete sandbox is a failure. With --server URL it is that server which is looked at:\n"
               "what it says of its health, and what the token may do there.",
    .examples = "  ff doctor\n  ff --server https://ff.example.org doctor\n"
                "  ff --json doctor | jq '.checks[] | select(.status != \"ok\")'",
    .run = doctor,
};
