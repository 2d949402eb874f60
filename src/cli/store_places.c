#include "cli/store_places.h"

#include "base/cleanup.h"
#include "base/units.h"
#include "cli/housekeeping.h"
#include "cli/store_open.h"
#include "cli/term.h"
#include "codec/json.h"
#include "os/file.h"
#include "store/migrate.h"

#include <string.h>

struct place {
    struct store *store, *own; /* own: is closed again */
};

static bool stopped(void *arg)
{
    const atomic_bool *stop = arg;
    return stop && atomic_load(stop);
}

/* The one that is open already has the keys that the process works with, and no other copy of an index. */
static int open_place(struct app *app, const struct service *svc, const char *kind, struct place *ret, struct err *err)
{
    if (svc->store && strcmp(kind, config_get(&app->config, CONFIG_store)) == 0) {
        ret->store = svc->store;
        return 0;
    }
    int r = store_open(&app->config, app->state_dir, kind, &ret->own, err);
    ret->store = ret->own;
    return r;
}

/* --- init --------------------------------------------------------------------------------------------------- */

/* Whole days, because that is how a bucket expires. */
static int keep_days(struct app *app, enum config_key k, unsigned *ret, struct err *err)
{
    int64_t ms, day = INT64_C(24) * 3600 * 1000;
    int r = config_duration_ms(&app->config, k, &ms, err);
    if (r < 0)
        return r;
    *ret = (unsigned)((ms + day - 1) / day);
    return 0;
}

static int init_s3(struct app *app, bool *ret_created, struct err *err)
{
    struct s3_settings s;
    struct s3_retention keep;
    int r = keep_days(app, CONFIG_s3_keep_targets, &keep.targets_days, err);
    if (r == 0)
        r = keep_days(app, CONFIG_s3_keep_results, &keep.results_days, err);
    if (r == 0)
        r = keep_days(app, CONFIG_s3_keep_corpora, &keep.corpora_days, err);
    if (r == 0)
        r = s3_settings_read(&app->config, app->state_dir, &s, err);
    if (r < 0)
        return r;
    r = s3_init(&s.o, &keep, ret_created, err);
    s3_settings_release(&s);
    return r;
}

static int init(struct app *app, const struct service *svc, const char *kind, json_t **ret, struct err *err)
{
    struct place p = {0};
    bool s3 = strcmp(kind, "s3") == 0, created = false;
    const char *where = s3 ? config_get(&app->config, CONFIG_s3_bucket) : app->state_dir;
    int r = s3 ? init_s3(app, &created, err) : open_place(app, svc, kind, &p, err);
    store_free(p.own);
    if (r < 0)
        return r;
    *ret = json_pack("{s:s, s:s, s:b}", "store", kind, "where", where, "created", created);
    return *ret ? 0 : err_nomem(err);
}

/* --- rekey -------------------------------------------------------------------------------------------------- */

static int rekey(struct app *app, const struct service *svc, const char *kind, const atomic_bool *stop, json_t **ret,
                 struct err *err)
{
    struct place p = {0};
    uint64_t packs = 0;
    int r = open_place(app, svc, kind, &p, err);
    if (r == 0)
        r = store_rekey(p.store, stopped, (void *)(uintptr_t)stop, &packs, err);
    store_free(p.own);
    if (r < 0)
        return r;
    *ret = json_pack("{s:I}", "packs", (json_int_t)packs);
    return *ret ? 0 : err_nomem(err);
}

/* --- migrate ------------------------------------------------------------------------------------------------- */

struct migration {
    json_t *damaged;
    const atomic_bool *stop;
};

static void on_damaged(void *arg, const char *ref, const char *why)
{
    struct migration *m = arg;
    if (json_array_size(m->damaged) < HOUSE_NAMED_MAX)
        json_array_append_new(m->damaged, json_pack("{s:s, s:o}", "ref", ref, "reason", json_clean_string(why)));
}

static bool migration_stopped(void *arg)
{
    return stopped((void *)(uintptr_t)((struct migration *)arg)->stop);
}

static void show_progress(void *arg, const struct store_migrate_result *m)
{
    char size[32];
    (void)arg;
    if (m->objects % 16 == 0)
        term_status("%llu object%s, %llu copied, %s", (unsigned long long)m->objects, UNITS_S(m->objects),
                    (unsigned long long)m->objects_copied, units_format_size(m->bytes_copied, size, sizeof size));
}

static int migrate(struct app *app, const struct service *svc, const json_t *q, const atomic_bool *stop, json_t **ret,
                   struct err *err)
{
    const char *from_kind = json_str(q, "from", ""), *to_kind = json_str(q, "to", "");
    struct place from = {0}, to = {0};
    struct store_migrate_result n;
    _cleanup_json_ json_t *damaged = json_array();
    struct migration m = {.damaged = damaged, .stop = stop};
    bool shown = !stop && !app->quiet && !app->json;
    if (strcmp(from_kind, to_kind) == 0)
        return err_set(err, ERR_INVALID, "a store cannot be copied into itself");
    int r = damaged ? os_mkdirs(app->state_dir, 0700, err) : err_nomem(err);
    if (r == 0)
        r = open_place(app, svc, from_kind, &from, err);
    if (r == 0)
        r = open_place(app, svc, to_kind, &to, err);
    if (r == 0)
        r = store_migrate(from.store, to.store, on_damaged, shown ? show_progress : NULL, migration_stopped, &m, &n, err);
    if (shown)
        term_status_clear();
    store_free(from.own);
    store_free(to.own);
    if (r < 0)
        return r;
    *ret = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:O}", "from", from_kind, "to", to_kind, "objects",
                     (json_int_t)n.objects, "objects_copied", (json_int_t)n.objects_copied, "bytes_copied",
                     (json_int_t)n.bytes_copied, "pins_copied", (json_int_t)n.pins_copied, "bad_objects",
                     (json_int_t)n.bad_objects, "damaged", damaged);
    return *ret ? 0 : err_nomem(err);
}

/* Whoever asks a server is not where its settings are. */
static int tell_server(int r, const atomic_bool *stop, struct err *err)
{
    if (atomic_load(stop) && r == -ERR_CANCELLED) {
        err_set(err, ERR_UNAVAILABLE, "it was cut short: the server is stopping");
        return err_hint(err, "say it again when the server runs again: what was done stays done");
    }
    if (!err || !err->hint[0] || (r != -ERR_UNAUTHENTICATED && r != -ERR_PERMISSION))
        return r;
    struct err old = *err;
    return err_hint(err, "on the server's machine, and start the server again: %.140s", old.hint);
}

int store_places_do(struct app *app, const struct service *svc, enum house_verb verb, const json_t *q, const atomic_bool *stop,
                    json_t **ret, struct err *err)
{
    const char *kind = json_str(q, "store", config_get(&app->config, CONFIG_store));
    int r = verb == HOUSE_INIT    ? init(app, svc, kind, ret, err)
            : verb == HOUSE_REKEY ? rekey(app, svc, kind, stop, ret, err)
                                  : migrate(app, svc, q, stop, ret, err);
    return r < 0 && stop ? tell_server(r, stop, err) : r;
}
