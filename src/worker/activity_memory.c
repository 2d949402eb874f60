/* What a module leaves to later runs: a fuzzer's corpus and the bugs that it knows.
 *
 * A module that remembers (struct module) keeps a file MODULE_MEMORY_FILE, and its input says in "memory" what it is about. The
 * file is pinned under that name, apart from any run, and whoever is about the same gets it. Two that run at the same time each
 * leave a file; the next one gets both, and its own then takes their place. */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"
#include "worker/activity_internal.h"

#include <string.h>

#define ABOUT_MAX 300                                 /* bytes of what it is about */
#define KEEP_NS (INT64_C(400) * 86400 * NS_PER_S)     /* of a file that no later run has replaced */
#define FILES_MAX 16                                  /* of one name: as many have run at one time */

int worker_memory_about(struct activity *a, struct err *err)
{
    const char *about = json_str(a->input, "memory", NULL);
    if (!a->module.builtin || !a->module.builtin->remembers || !about || a->memory)
        return 0;
    if (!*about || strlen(about) > ABOUT_MAX)
        return err_set(err, ERR_INVALID, "memory: a name of 1 to %d bytes", ABOUT_MAX);
    a->memory = mem_printf("memory@%s/%s/%s", a->worker->name_space, a->module.name, about);
    return a->memory ? 0 : err_nomem(err);
}

static int note(void *arg, const char *owner, const char *ref, struct err *err)
{
    struct activity *a = arg;
    struct store_object_info info;
    struct err why = {0};
    (void)owner;
    if (json_array_size(a->remembered) >= FILES_MAX)
        return 0;
    int r = store_stat(a->worker->o.store, ref, &info, &why);
    if (r == -ERR_NOT_FOUND || r == -ERR_CORRUPT) /* one that is lost is no reason to remember nothing */
        return 0;
    if (r < 0) {
        err_copy(err, &why);
        return err_wrap(err, "what earlier runs have left");
    }
    return json_array_append_new(a->remembered, json_pack("{s:s, s:I}", "ref", ref, "bytes", (json_int_t)info.size_bytes)) < 0
               ? err_nomem(err)
               : 0;
}

int worker_memory_find(struct activity *a, struct err *err)
{
    if (!a->memory)
        return 0;
    json_decref(a->remembered); /* of a try before, that had no room */
    a->remembered = json_array();
    return a->remembered ? store_each_pin_of(a->worker->o.store, a->memory, note, a, err) : err_nomem(err);
}

/* Was it read before? Then it is in what is kept now. */
static bool is_ours(const struct activity *a, const char *ref)
{
    size_t i;
    json_t *one;
    json_array_foreach(a->remembered, i, one)
        if (strcmp(json_str(one, "ref", ""), ref) == 0)
            return true;
    return false;
}

void worker_memory_keep(struct activity *a, const char *name, const json_t *ref)
{
    const char *text = json_str(ref, "ref", NULL);
    struct store *s = a->worker->o.store;
    struct err err = {0};
    size_t i;
    json_t *one;
    if (!a->memory || !text || strcmp(name, MODULE_MEMORY_FILE) != 0)
        return;
    int r = store_pin(s, a->memory, text, os_now_ns() + KEEP_NS, &err);
    json_array_foreach(a->remembered, i, one)
        if (r == 0 && strcmp(json_str(one, "ref", ""), text) != 0)
            r = store_unpin(s, a->memory, json_str(one, "ref", ""), &err);
    if (r == 0 && !is_ours(a, text) && json_array_append_new(a->remembered, json_pack("{s:s}", "ref", text)) < 0)
        r = err_nomem(&err);
    if (r < 0)
        log_warn("what module '%s' leaves to later runs: %s", a->module.name, err.msg);
}
