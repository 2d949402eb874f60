/* ff store: the objects that outlive a run. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/app.h"
#include "cli/table.h"
#include "cli/term.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define OWNER_MAX (STORE_REF_LEN + 8)
#define GRACE_DEFAULT "1h"

/* The owner of the pin that `ff store put` makes: one an object, so that it can be taken back alone. */
static void pin_owner(const char *ref, char buf[OWNER_MAX])
{
    snprintf(buf, OWNER_MAX, "user/%s", ref);
}

/* Opens the store and checks the reference that the first argument gives. */
static int open_ref(struct app *app, const struct args *a, const char **ret_ref, struct err *err)
{
    const char *ref = args_pos(a, 0);
    if (!store_ref_valid(ref)) {
        err_set(err, ERR_INVALID, "'%.100s' is no reference to an object", ref);
        return err_hint(err, "a reference is sha256: and 64 hexadecimal digits; 'ff store ls' lists them");
    }
    *ret_ref = ref;
    return app_open(app, APP_STORE, err);
}

static json_t *info_json(const struct store_object_info *i)
{
    char created[32];
    return json_pack("{s:s, s:I, s:I, s:s, s:s}", "ref", i->ref.text, "bytes", (json_int_t)i->size_bytes,
                     "stored_bytes", (json_int_t)i->stored_bytes, "media_type", i->media_type, "created_at",
                     os_format_time(i->created_ns, created));
}

/* --- put and get ------------------------------------------------------------------------------------------ */

static int put(struct app *app, const struct args *a)
{
    struct err err = {0};
    const char *file = args_pos(a, 0), *type = args_get(a, "type");
    struct store_ref ref;
    uint64_t size = 0;
    _cleanup_close_ int own = -1;
    int fd = STDIN_FILENO, r = 0;
    if (strcmp(file, "-") != 0) {
        r = os_open(file, O_RDONLY, 0, &own, &err);
        fd = own;
        if (r == 0 && os_is_dir(file)) {
            err_set(&err, ERR_INVALID, "%s is a folder; an object is one file", file);
            r = err_hint(&err, "'ff run' reads folders by itself");
        }
    }
    if (r == 0)
        r = app_open(app, APP_STORE, &err);
    if (r == 0)
        r = store_put_fd(app->store, fd, UINT64_MAX, type ? type : "application/octet-stream", &ref, &size, &err);
    if (r == 0) {
        char owner[OWNER_MAX];
        pin_owner(ref.text, owner);
        r = store_pin(app->store, owner, ref.text, 0, &err);
    }
    if (r < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, json_pack("{s:s, s:I}", "ref", ref.text, "bytes", (json_int_t)size));
    else
        printf("%s\n", ref.text);
    return EXIT_OK;
}

static int get(struct app *app, const struct args *a)
{
    struct err err = {0};
    const char *ref = NULL, *file = args_get(a, "output");
    uint64_t size = 0;
    _cleanup_close_ int own = -1;
    int r = open_ref(app, a, &ref, &err), fd = STDOUT_FILENO;
    if (r == 0 && !file && app->json)
        return app_usage(app, "--json and the object both go to stdout: give -o FILE");
    if (r == 0 && !file && term_stdout_is_tty()) {
        struct store_object_info i;
        if (store_stat(app->store, ref, &i, &err) == 0 && strncmp(i.media_type, "text/", 5) != 0 &&
            !strstr(i.media_type, "json"))
            return app_usage(app, "the object is not text (%s): give -o FILE", i.media_type);
        err_clear(&err);
    }
    if (r == 0 && file) {
        r = os_open(file, O_WRONLY | O_CREAT | O_TRUNC, 0644, &own, &err);
        fd = own;
    }
    if (r == 0)
        r = store_get_fd(app->store, ref, fd, &size, &err);
    if (r < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, json_pack("{s:s, s:I, s:s}", "ref", ref, "bytes", (json_int_t)size, "file", file));
    return EXIT_OK;
}

/* --- what is there ---------------------------------------------------------------------------------------- */

struct listing {
    struct app *app;
    struct table table;
    json_t *json;
    uint64_t objects, bytes;
};

static bool list_one(void *arg, const struct store_object_info *i)
{
    struct listing *l = arg;
    char size[32], stored[32], created[32];
    l->objects++;
    l->bytes += i->size_bytes;
    if (l->app->json)
        return json_array_append_new(l->json, info_json(i)) == 0;
    table_add(&l->table, NULL, i->ref.text);
    table_add(&l->table, NULL, units_format_size(i->size_bytes, size, sizeof size));
    table_add(&l->table, NULL, units_format_size(i->stored_bytes, stored, sizeof stored));
    table_addf(&l->table, NULL, "%.19s", os_format_time(i->created_ns, created));
    table_add(&l->table, NULL, i->media_type);
    return true;
}

static int list(struct app *app, const struct args *a)
{
    static const char *const heads[] = {"REF", "SIZE", "STORED", "CREATED", "TYPE", NULL};
    struct err err = {0};
    struct listing l = {.app = app, .json = json_array()};
    table_init(&l.table, heads);
    int r = app_open(app, APP_STORE, &err);
    if (r == 0)
        r = store_list(app->store, list_one, &l, &err);
    if (r == 0 && app->json) {
        app_print_json(app, json_pack("{s:O}", "objects", l.json));
    } else if (r == 0) {
        char size[32];
        table_print(&l.table);
        if (!app->quiet)
            fprintf(stderr, "%llu objects, %s\n", (unsigned long long)l.objects,
                    units_format_size(l.bytes, size, sizeof size));
    }
    json_decref(l.json);
    return r < 0 ? app_fail(app, &err) : EXIT_OK;
}

static int show(struct app *app, const struct args *a)
{
    struct err err = {0};
    const char *ref = NULL;
    struct store_object_info i;
    int r = open_ref(app, a, &ref, &err);
    if (r == 0)
        r = store_stat(app->store, ref, &i, &err);
    if (r < 0)
        return app_fail(app, &err);
    if (app->json) {
        app_print_json(app, info_json(&i));
        return EXIT_OK;
    }
    char size[32], stored[32], created[32];
    printf("%s%s%s\n", term_bold(), i.ref.text, term_off());
    printf("  type     %s\n  size     %s (%llu bytes)\n  stored   %s\n  created  %s\n", i.media_type,
           units_format_size(i.size_bytes, size, sizeof size), (unsigned long long)i.size_bytes,
           units_format_size(i.stored_bytes, stored, sizeof stored), os_format_time(i.created_ns, created));
    return EXIT_OK;
}

static int rm(struct app *app, const struct args *a)
{
    struct err err = {0};
    const char *ref = NULL;
    int r = open_ref(app, a, &ref, &err);
    if (r == 0) {
        char owner[OWNER_MAX];
        pin_owner(ref, owner);
        r = store_unpin_owner(app->store, owner, &err);
    }
    if (r == 0)
        r = store_remove(app->store, ref, &err);
    if (r == -ERR_STATE || r == -ERR_BUSY)
        err_hint(&err, "'ff clean' removes old runs, and what only they keep with them");
    if (r < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, json_pack("{s:s, s:b}", "ref", ref, "removed", 1));
    return EXIT_OK;
}

/* --- keeping house ---------------------------------------------------------------------------------------- */

static int gc(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct store_gc_result g;
    const char *grace = args_get(a, "grace");
    bool dry = args_has(a, "dry-run");
    int64_t grace_ms;
    int r = units_parse_duration_ms(grace ? grace : GRACE_DEFAULT, &grace_ms, &err);
    if (r < 0)
        err_wrap(&err, "--grace");
    if (r == 0)
        r = app_open(app, APP_STORE, &err);
    if (r == 0)
        r = store_gc(app->store, grace_ms, dry, &g, &err);
    if (r < 0)
        return app_fail(app, &err);
    if (app->json) {
        app_print_json(app, json_pack("{s:b, s:I, s:I, s:I, s:I}", "dry_run", dry, "objects_kept",
                                      (json_int_t)g.objects_kept, "objects_removed", (json_int_t)g.objects_removed,
                                      "chunks_removed", (json_int_t)g.chunks_removed, "bytes_freed",
                                      (json_int_t)g.bytes_freed));
        return EXIT_OK;
    }
    char size[32];
    printf("%s %llu objects and %llu chunks, %s; %llu objects stay\n", dry ? "would remove" : "removed",
           (unsigned long long)g.objects_removed, (unsigned long long)g.chunks_removed,
           units_format_size(g.bytes_freed, size, sizeof size), (unsigned long long)g.objects_kept);
    return EXIT_OK;
}

struct damage {
    struct app *app;
    json_t *list;
};

static void on_bad(void *arg, const char *ref, const char *why)
{
    struct damage *d = arg;
    if (d->app->json) {
        json_array_append_new(d->list, json_pack("{s:s, s:s}", "ref", ref, "reason", why));
        return;
    }
    printf("%sdamaged%s  %s  ", term_red(), term_off(), ref);
    term_text(stdout, why);
    putchar('\n');
}

static int verify(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct store_verify_result v;
    struct damage d = {.app = app, .list = json_array()};
    int r = app_open(app, APP_STORE, &err);
    if (r == 0)
        r = store_verify(app->store, on_bad, &d, &v, &err);
    if (r == 0 && app->json) {
        app_print_json(app, json_pack("{s:I, s:I, s:I, s:I, s:O}", "objects", (json_int_t)v.objects, "chunks",
                                      (json_int_t)v.chunks, "bytes", (json_int_t)v.bytes, "bad_objects",
                                      (json_int_t)v.bad_objects, "damaged", d.list));
    } else if (r == 0) {
        char size[32];
        printf("%llu objects in %llu chunks, %s: %s%llu damaged%s\n", (unsigned long long)v.objects,
               (unsigned long long)v.chunks, units_format_size(v.bytes, size, sizeof size),
               v.bad_objects ? term_red() : term_green(), (unsigned long long)v.bad_objects, term_off());
        if (v.bad_objects)
            fprintf(stderr, "    damaged bytes cannot be mended, but putting the same ones again restores an object\n");
    }
    json_decref(d.list);
    if (r < 0)
        return app_fail(app, &err);
    return v.bad_objects ? EXIT_ENVIRONMENT : EXIT_OK;
}

static const struct opt put_opts[] = {
    {"type", 0, "TYPE", "media type to remember (default application/octet-stream)"},
    {NULL, 0, NULL, NULL},
};
static const struct opt get_opts[] = {
    {"output", 'o', "FILE", "write it there instead of to stdout"},
    {NULL, 0, NULL, NULL},
};
static const struct opt gc_opts[] = {
    {"dry-run", 0, NULL, "only say what would go"},
    {"grace", 0, "TIME", "leave what is younger alone (default " GRACE_DEFAULT ")"},
    {NULL, 0, NULL, NULL},
};

static const struct command c_put = {
    .name = "put", .summary = "Store a file and print its reference", .usage = "FILE|-",
    .details = "The object is pinned: 'ff store gc' leaves it until 'ff store rm'.",
    .examples = "  ff store put corpus.tar.zst --type application/zstd\n  git diff | ff store put -",
    .opts = put_opts, .min_args = 1, .max_args = 1, .run = put,
};
static const struct command c_get = {
    .name = "get", .aliases = "cat", .summary = "Write an object to stdout or a file", .usage = "REF [-o FILE]",
    .details = "The bytes are verified against the reference; nothing damaged is ever given.",
    .examples = "  ff store get sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae -o out.bin",
    .opts = get_opts, .min_args = 1, .max_args = 1, .run = get,
};
static const struct command c_ls = {
    .name = "ls", .aliases = "list", .summary = "List the objects", .usage = "",
    .examples = "  ff store ls\n  ff --json store ls | jq '.objects[].ref'", .run = list,
};
static const struct command c_stat = {
    .name = "stat", .aliases = "info", .summary = "Show what is known of an object", .usage = "REF",
    .examples = "  ff store stat sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    .min_args = 1, .max_args = 1, .run = show,
};
static const struct command c_rm = {
    .name = "rm", .aliases = "remove", .summary = "Remove an object that was put here by hand", .usage = "REF",
    .details = "What a run keeps is not removed: 'ff clean' removes old runs.",
    .examples = "  ff store rm sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    .min_args = 1, .max_args = 1, .run = rm,
};
static const struct command c_gc = {
    .name = "gc", .summary = "Remove what no run and no pin keeps", .usage = "[--dry-run] [--grace TIME]",
    .details = "Safe while runs are going on, also those of other processes.",
    .examples = "  ff store gc --dry-run\n  ff store gc --grace 10m", .opts = gc_opts, .run = gc,
};
static const struct command c_verify = {
    .name = "verify", .summary = "Read every object and check it", .usage = "",
    .details = "Exit status 5 if anything is damaged.", .examples = "  ff store verify", .run = verify,
};

const struct command cmd_store = {
    .name = "store",
    .summary = "The object store: targets, findings, artifacts",
    .examples = "  ff store ls\n  ff store gc --dry-run",
    .subs = (const struct command *const[]){&c_put, &c_get, &c_ls, &c_stat, &c_rm, &c_gc, &c_verify, NULL},
};
