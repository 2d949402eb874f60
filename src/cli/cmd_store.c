/* ff store: the objects that outlive a run. */
#include "api/service/objects.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/app.h"
#include "cli/housekeeping.h"
#include "cli/table.h"
#include "cli/term.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define GRACE_DEFAULT "1h"

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
        r = object_put(&app->service, fd, type ? type : "application/octet-stream", &ref, &size, &err);
    if (r < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, json_pack("{s:s, s:I}", "ref", ref.text, "bytes", (json_int_t)size));
    else
        printf("%s\n", ref.text);
    return EXIT_OK;
}

/* An object as a file: what was there stays until all of it is. Anything but a file of its own (a device, a link) is written as
 * it is. */
static int get_file(struct app *app, const char *ref, const char *file, uint64_t *ret_size, struct err *err)
{
    struct stat st = {.st_mode = S_IFREG | 0644};
    bool plain = lstat(file, &st) < 0 || S_ISREG(st.st_mode);
    char id[27];
    os_ulid(id);
    _cleanup_free_ char *part = plain ? mem_printf("%s.%s", file, id) : mem_strdup(file);
    _cleanup_close_ int fd = -1;
    int flags = O_WRONLY | O_CREAT | (plain ? O_EXCL : O_TRUNC);
    int r = part ? os_open(part, flags, st.st_mode & 0777, &fd, err) : err_nomem(err);
    if (r < 0)
        return r;
    r = object_get_fd(&app->service, ref, fd, ret_size, err);
    if (r == 0 && plain)
        r = os_rename(part, file, err);
    if (r < 0 && plain)
        os_unlink(part, true, NULL);
    return r;
}

static int get(struct app *app, const struct args *a)
{
    struct err err = {0};
    const char *ref = NULL, *file = args_get(a, "output");
    uint64_t size = 0;
    int r = open_ref(app, a, &ref, &err);
    if (r == 0 && !file && app->json)
        return app_usage(app, "--json and the object both go to stdout: give -o FILE");
    if (r == 0 && !file && term_stdout_is_tty()) {
        struct store_object_info i;
        if (object_stat(&app->service, ref, &i, &err) == 0 && strncmp(i.media_type, "text/", 5) != 0 &&
            !strstr(i.media_type, "json"))
            return app_usage(app, "the object is not text (%s): give -o FILE", i.media_type);
        err_clear(&err);
    }
    if (r == 0)
        r = file ? get_file(app, ref, file, &size, &err) : object_get_fd(&app->service, ref, STDOUT_FILENO, &size, &err);
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
        return json_array_append_new(l->json, object_json(i)) == 0;
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
        r = objects_list(&app->service, list_one, &l, &err);
    if (r == 0 && app->json) {
        app_print_json(app, json_pack("{s:O}", "objects", l.json));
    } else if (r == 0) {
        char size[32];
        table_print(&l.table);
        if (!app->quiet)
            fprintf(stderr, "%llu object%s, %s\n", (unsigned long long)l.objects, UNITS_S(l.objects),
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
        r = object_stat(&app->service, ref, &i, &err);
    if (r < 0)
        return app_fail(app, &err);
    if (app->json) {
        app_print_json(app, object_json(&i));
        return EXIT_OK;
    }
    char size[32], stored[32], created[32];
    printf("%s%s%s\n", term_bold(), i.ref.text, term_off());
    printf("  type     %s\n  size     %s (%llu byte%s)\n  stored   %s\n  created  %s\n", i.media_type,
           units_format_size(i.size_bytes, size, sizeof size), (unsigned long long)i.size_bytes, UNITS_S(i.size_bytes),
           units_format_size(i.stored_bytes, stored, sizeof stored), os_format_time(i.created_ns, created));
    return EXIT_OK;
}

static int rm(struct app *app, const struct args *a)
{
    struct err err = {0};
    const char *ref = NULL;
    int r = open_ref(app, a, &ref, &err);
    if (r == 0)
        r = object_remove(&app->service, ref, &err);
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
    _cleanup_json_ json_t *doc = NULL;
    const char *grace = args_get(a, "grace");
    int64_t grace_ms;
    int r = units_parse_duration_ms(grace ? grace : GRACE_DEFAULT, &grace_ms, &err);
    if (r < 0)
        err_wrap(&err, "--grace");
    if (r == 0)
        r = housekeeping_ask(app, APP_STORE, HOUSE_GC,
                             json_pack("{s:b, s:I}", "dry_run", args_has(a, "dry-run"), "grace_ms", (json_int_t)grace_ms), &doc,
                             &err);
    if (r < 0)
        return app_fail(app, &err);
    if (app->json) {
        app_print_json(app, TAKE_PTR(doc));
        return EXIT_OK;
    }
    char size[32];
    long long removed = json_i64(doc, "objects_removed", 0), chunks = json_i64(doc, "chunks_removed", 0);
    long long kept = json_i64(doc, "objects_kept", 0);
    printf("%s %lld object%s and %lld chunk%s, %s; %lld object%s stay%s\n",
           json_flag(doc, "dry_run", false) ? "would remove" : "removed", removed, UNITS_S(removed), chunks, UNITS_S(chunks),
           units_format_size((uint64_t)json_i64(doc, "bytes_freed", 0), size, sizeof size), kept, UNITS_S(kept),
           kept == 1 ? "s" : "");
    return EXIT_OK;
}

static void print_objects(const char *what, const json_t *list)
{
    size_t i;
    json_t *o;
    json_array_foreach(list, i, o) {
        printf("%s%s%s  %s  ", term_red(), what, term_off(), json_str(o, "ref", ""));
        term_text(stdout, json_str(o, "reason", ""));
        putchar('\n');
    }
}

static void print_examined(const json_t *doc)
{
    char size[32];
    long long bad = json_i64(doc, "bad_objects", 0), missing = json_i64(doc, "missing_objects", 0);
    print_objects("damaged", json_object_get(doc, "damaged"));
    print_objects("missing", json_object_get(doc, "missing"));
    long long objects = json_i64(doc, "objects", 0), chunks = json_i64(doc, "chunks", 0), runs = json_i64(doc, "runs", 0);
    long long refs = json_i64(doc, "refs", 0);
    printf("%lld object%s in %lld chunk%s, %s: %s%lld damaged%s\n", objects, UNITS_S(objects), chunks, UNITS_S(chunks),
           units_format_size((uint64_t)json_i64(doc, "bytes", 0), size, sizeof size),
           bad ? term_red() : term_green(), bad, term_off());
    if (json_flag(doc, "refs_checked", false))
        printf("%lld run%s and the pins refer to %lld object%s: %s%lld missing%s\n", runs, UNITS_S(runs), refs, UNITS_S(refs),
               missing ? term_red() : term_green(), missing, term_off());
    if (bad)
        fprintf(stderr, "    damaged bytes cannot be mended, but putting the same ones again restores an object\n");
    if (missing)
        fprintf(stderr, "    'ff clean' forgets old runs, and with them what they refer to\n");
}

/* The engine says which objects there should be. */
static int open_runs(struct app *app, struct err *err)
{
    _cleanup_free_ char *db = os_path_join(app->state_dir, "state.db");
    struct err e = {0};
    if (!db)
        return err_nomem(err);
    if (os_exists(db) && strcmp(config_get(&app->config, CONFIG_engine), "embedded") == 0 && app_open(app, APP_ENGINE, &e) < 0)
        fprintf(stderr, "ff: what runs refer to is not checked: %s\n", e.msg);
    return 0;
}

static int verify(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_json_ json_t *doc = NULL;
    int r = app_open(app, APP_STORE, &err);
    if (r == 0 && !app->remote)
        r = open_runs(app, &err);
    if (r == 0)
        r = housekeeping_ask(app, 0, HOUSE_VERIFY, json_object(), &doc, &err);
    if (r < 0)
        return app_fail(app, &err);
    bool whole = !json_i64(doc, "bad_objects", 0) && !json_i64(doc, "missing_objects", 0);
    if (app->json)
        app_print_json(app, TAKE_PTR(doc));
    else
        print_examined(doc);
    return whole ? EXIT_OK : EXIT_ENVIRONMENT;
}

/* --- other places --------------------------------------------------------------------------------------- */

/* The store that is named, for a server, which has settings of its own; here a flag is a setting. */
static json_t *named_store(const struct app *app)
{
    return json_pack("{s:s*}", "store", app->remote ? args_global(app->args, "store") : NULL);
}

static int init(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_json_ json_t *doc = NULL;
    (void)a;
    bool local = strcmp(config_get(&app->config, CONFIG_store), "local") == 0;
    if (housekeeping_ask(app, local ? APP_STORE : 0, HOUSE_INIT, named_store(app), &doc, &err) < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, TAKE_PTR(doc));
    else
        printf("store %s in %s is ready%s\n", json_str(doc, "store", ""), json_str(doc, "where", ""),
               json_flag(doc, "created", false) ? ": the bucket was made, and is private" : "");
    return EXIT_OK;
}

static int rekey(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_json_ json_t *doc = NULL;
    (void)a;
    if (housekeeping_ask(app, APP_STORE, HOUSE_REKEY, named_store(app), &doc, &err) < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, TAKE_PTR(doc));
    else
        printf("%lld pack%s written anew\n", (long long)json_i64(doc, "packs", 0), UNITS_S(json_i64(doc, "packs", 0)));
    return EXIT_OK;
}

static int migrate(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_json_ json_t *doc = NULL;
    const char *from = args_pos(a, 0), *to = args_pos(a, 1);
    char size[32];
    if (strcmp(from, to) == 0)
        return app_usage(app, "a store cannot be copied into itself");
    for (size_t i = 0; i < 2; i++)
        if (strcmp(args_pos(a, i), "local") != 0 && strcmp(args_pos(a, i), "s3") != 0) {
            err_set(&err, ERR_INVALID, "store '%.40s' is neither local nor s3", args_pos(a, i));
            return app_fail(app, &err);
        }
    if (housekeeping_ask(app, 0, HOUSE_MIGRATE, json_pack("{s:s, s:s}", "from", from, "to", to), &doc, &err) < 0)
        return app_fail(app, &err);
    bool whole = !json_i64(doc, "bad_objects", 0);
    if (app->json) {
        app_print_json(app, TAKE_PTR(doc));
    } else {
        print_objects("damaged", json_object_get(doc, "damaged"));
        printf("%lld object%s: %lld copied, %s; %lld pin%s copied\n", (long long)json_i64(doc, "objects", 0),
               UNITS_S(json_i64(doc, "objects", 0)),
               (long long)json_i64(doc, "objects_copied", 0),
               units_format_size((uint64_t)json_i64(doc, "bytes_copied", 0), size, sizeof size),
               (long long)json_i64(doc, "pins_copied", 0), UNITS_S(json_i64(doc, "pins_copied", 0)));
    }
    return whole ? EXIT_OK : EXIT_ENVIRONMENT;
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
    .remote = true,
    .name = "put", .summary = "Store a file and print its reference", .usage = "FILE|-",
    .details = "The object is pinned: 'ff store gc' leaves it until 'ff store rm'.",
    .examples = "  ff store put corpus.tar.zst --type application/zstd\n  git diff | ff store put -",
    .opts = put_opts, .min_args = 1, .max_args = 1, .run = put,
};
static const struct command c_get = {
    .remote = true,
    .name = "get", .aliases = "cat", .summary = "Write an object to stdout or a file", .usage = "REF [-o FILE]",
    .details = "The bytes are verified against the reference; nothing damaged is ever given.",
    .examples = "  ff store get sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae -o out.bin",
    .opts = get_opts, .min_args = 1, .max_args = 1, .run = get,
};
static const struct command c_ls = {
    .remote = true,
    .name = "ls", .aliases = "list", .summary = "List the objects", .usage = "",
    .examples = "  ff store ls\n  ff --json store ls | jq '.objects[].ref'", .run = list,
};
static const struct command c_stat = {
    .remote = true,
    .name = "stat", .aliases = "info", .summary = "Show what is known of an object", .usage = "REF",
    .examples = "  ff store stat sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    .min_args = 1, .max_args = 1, .run = show,
};
static const struct command c_rm = {
    .remote = true, .makes_room = true,
    .name = "rm", .aliases = "remove", .summary = "Remove an object that was put here by hand", .usage = "REF",
    .details = "What a run keeps is not removed: 'ff clean' removes old runs.",
    .examples = "  ff store rm sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    .min_args = 1, .max_args = 1, .run = rm,
};
static const struct command c_gc = {
    .remote = true, .makes_room = true,
    .name = "gc", .summary = "Remove what no run and no pin keeps", .usage = "[--dry-run] [--grace TIME]",
    .details = "Safe while runs are going on, also those of other processes.",
    .examples = "  ff store gc --dry-run\n  ff store gc --grace 10m", .opts = gc_opts, .run = gc,
};
static const struct command c_verify = {
    .remote = true,
    .name = "verify", .summary = "Read every object and check it, and that what runs refer to is there",
    .usage = "", .details = "Exit status 5 if anything is damaged or missing.", .examples = "  ff store verify", .run = verify,
};

static const struct command c_init = {
    .remote = true,
    .name = "init", .summary = "Make the store that the settings name", .usage = "",
    .details = "With 'store: s3' the bucket is made (private), and what expires is set from s3.keep_targets,\n"
               "s3.keep_results and s3.keep_corpora. It may be said again: only what expires changes then.\n"
               "Through a server: with its own settings and keys, as it read them when it began.",
    .examples = "  ff --store s3 store init", .run = init,
};
static const struct command c_rekey = {
    .remote = true,
    .name = "rekey", .summary = "Encrypt all that is stored with the first key of s3.key_file", .usage = "",
    .details = "After this the other keys may be taken out of the file. Without a file nothing is encrypted any more.\n"
               "Safe beside readers and writers; it can be said again after it was cut short.\n"
               "Processes that have the store open (servers, workers) are started again with the new keys before. A server does\n"
               "it with its own keys, and refuses while the file has others than those that it began with.",
    .examples = "  ff --store s3 store rekey", .run = rekey,
};
static const struct command c_migrate = {
    .remote = true,
    .name = "migrate", .summary = "Copy all objects and pins into another store", .usage = "FROM TO",
    .details = "FROM and TO are 'local' and 's3'. Only what is missing is copied, so it can be said again after\n"
               "it was cut short. Nothing is removed. Exit status 5 if an object is damaged.\n"
               "Through a server: between its own stores, by its own settings and keys.",
    .examples = "  ff store migrate local s3", .min_args = 2, .max_args = 2, .run = migrate,
};

const struct command cmd_store = {
    .name = "store",
    .summary = "The object store: targets, findings, artifacts",
    .examples = "  ff store ls\n  ff store gc --dry-run",
    .subs = (const struct command *const[]){&c_put, &c_get, &c_ls, &c_stat, &c_rm, &c_gc, &c_verify, &c_init,
                                            &c_migrate, &c_rekey, NULL},
};
