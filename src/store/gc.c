/* Collection: marks what pins and recent writes keep, removes the rest.
 *
 * First without the gate: mark from pins and from records newer than the limit. Then, in the
 * exclusive gate: mark what came since,
 * and remove the records that stay unmarked and are older than the limit. From then on no record
 * refers to an unmarked chunk older than the limit, and who wants to rely on one must touch it
 * first (collecting_set tells them); so chunks are removed in small parts, the gate left in
 * between, each looked at once more. The limit is now less the grace time, but never after the
 * start of an upload that goes on (backend.h: sessions). */
#include "store/store_internal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/vec.h"
#include "os/clock.h"
#include "store/blob.h"
#include "store/manifest.h"
#include "store/pin.h"
#include "store/upload.h"

#include <stdio.h>
#include <string.h>

#define PART 512 /* names removed in one go */

struct dead {
    char *name;
    uint64_t size_bytes;
};

struct gc {
    struct store *s;
    struct digest_set objects, chunks; /* marked */
    int64_t limit_ns;                  /* stamps from here on are kept */
    VEC(struct dead) dead;
    VEC(char *) expired; /* pins */
    struct store_gc_result *res;
};

static int mark_chunks(struct gc *g, const struct chunk_list *l, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < l->len && r == 0; i++)
        r = digest_set_add(&g->chunks, &l->v[i].digest, NULL, err);
    return r;
}

/* A damaged object keeps what can still be told of it; a failure to read stops collection. */
static int mark_object(struct gc *g, const struct digest *d, struct err *err)
{
    struct record rec;
    struct manifest m = {0};
    _cleanup_free_ char *bytes = NULL;
    bool fresh;
    int r = digest_set_add(&g->objects, d, &fresh, err);
    if (r < 0 || !fresh)
        return r;
    r = object_record(g->s, d, &rec, &bytes, err);
    if (r == 0)
        r = mark_chunks(g, &rec.chunks, err);
    if (r == 0 && rec.tree) {
        r = manifest_load(g->s, d, &m, err);
        if (r == 0)
            r = mark_chunks(g, &m.chunks, err);
        manifest_release(&m);
    }
    record_release(&rec);
    return r == -ERR_NOT_FOUND || r == -ERR_CORRUPT ? 0 : r;
}

static int mark_pin(void *arg, const struct pin *p, struct err *err)
{
    struct gc *g = arg;
    if (!p->expired)
        return mark_object(g, &p->object, err);
    char *name = mem_strdup(p->name);
    if (name && VEC_PUSH(&g->expired, name))
        return 0;
    free(name);
    return err_nomem(err);
}

static bool digest_of_name(const char *name, struct digest *d)
{
    return strlen(name) == 2 + DIGEST_HEX && digest_from_hex(name + 2, d);
}

static int mark_recent(void *arg, const struct blob_info *info, struct err *err)
{
    struct gc *g = arg;
    struct digest d;
    return info->stamp_ns >= g->limit_ns && digest_of_name(info->name, &d) ? mark_object(g, &d, err)
                                                                           : 0;
}

static int mark(struct gc *g, struct err *err)
{
    VEC_EACH(&g->expired, e)
        free(*e);
    VEC_CLEAR(&g->expired);
    int r = pin_each(g->s, mark_pin, g, err);
    return r < 0 ? r : g->s->be->ops->list(g->s->be, "o/", mark_recent, g, err);
}

/* Notes a blob that is unmarked and old. */
static int note_dead(struct gc *g, const struct blob_info *info, const struct digest_set *marked,
                     struct err *err)
{
    struct digest d;
    if (info->stamp_ns >= g->limit_ns || !digest_of_name(info->name, &d) ||
        digest_set_has(marked, &d))
        return 0;
    struct dead x = {mem_strdup(info->name), info->size_bytes};
    if (x.name && VEC_PUSH(&g->dead, x))
        return 0;
    free(x.name);
    return err_nomem(err);
}

static int note_object(void *arg, const struct blob_info *info, struct err *err)
{
    struct gc *g = arg;
    return note_dead(g, info, &g->objects, err);
}

static int note_chunk(void *arg, const struct blob_info *info, struct err *err)
{
    struct gc *g = arg;
    return note_dead(g, info, &g->chunks, err);
}

static void clear_dead(struct gc *g)
{
    VEC_EACH(&g->dead, x)
        free(x->name);
    VEC_CLEAR(&g->dead);
}

/* Removes dead[from, from + n), inside the gate; each that was touched since is spared. */
static int remove_part(struct gc *g, size_t from, size_t n, uint64_t *count, struct err *err)
{
    const struct store_ops *ops = g->s->be->ops;
    const char *names[PART];
    size_t k = 0;
    uint64_t bytes = 0;
    for (size_t i = from; i < from + n; i++) {
        struct blob_info info;
        int r = ops->stat(g->s->be, g->dead.v[i].name, STORE_ANY, &info, err);
        if (r < 0 && r != -ERR_NOT_FOUND)
            return r;
        if (r < 0 || info.stamp_ns >= g->limit_ns)
            continue;
        names[k++] = g->dead.v[i].name;
        bytes += info.size_bytes;
    }
    int r = ops->remove(g->s->be, names, k, 0, err);
    if (r == 0) {
        *count += k;
        g->res->bytes_freed += bytes;
    }
    return r;
}

static size_t part_of(const struct gc *g, size_t from)
{
    return g->dead.len - from < PART ? g->dead.len - from : PART;
}

/* Only ever raised: another collection may be in its parts. */
static int tell_limit(struct gc *g, struct err *err)
{
    const struct store_ops *ops = g->s->be->ops;
    int64_t told;
    int r = ops->collecting_before(g->s->be, &told, err);
    return r < 0 || told >= g->limit_ns ? r : ops->collecting_set(g->s->be, g->limit_ns, err);
}

/* What has expired, and the room that the back end can give back by now. */
static int sweep_out(struct gc *g, struct err *err)
{
    const struct store_ops *ops = g->s->be->ops;
    uint64_t swept = 0;
    int r = ops->remove(g->s->be, (const char *const *)g->expired.v, g->expired.len, 0, err);
    if (r == 0)
        r = ops->sweep(g->s->be, &swept, err);
    g->res->bytes_freed += swept;
    return r;
}

/* Sets the limit by who is uploading, marks once more, and removes records. In the gate. */
static int collect_objects(struct gc *g, struct err *err)
{
    const struct store_ops *ops = g->s->be->ops;
    int64_t oldest;
    int r = ops->session_oldest(g->s->be, false, &oldest, err);
    if (r == 0 && oldest != INT64_MAX && oldest - SESSION_SLACK_NS < g->limit_ns)
        g->limit_ns = oldest - SESSION_SLACK_NS;
    if (r == 0)
        r = tell_limit(g, err);
    if (r == 0)
        r = mark(g, err);
    if (r == 0)
        r = ops->list(g->s->be, "o/", note_object, g, err);
    for (size_t i = 0; i < g->dead.len && r == 0; i += PART)
        r = remove_part(g, i, part_of(g, i), &g->res->objects_removed, err);
    clear_dead(g);
    return r < 0 ? r : sweep_out(g, err);
}

static int collect(struct gc *g, struct err *err)
{
    const struct store_ops *ops = g->s->be->ops;
    int r = ops->gate_enter(g->s->be, true, err);
    if (r < 0)
        return r;
    r = collect_objects(g, err);
    ops->gate_leave(g->s->be, true);
    if (r == 0)
        r = ops->list(g->s->be, "c/", note_chunk, g, err);
    for (size_t i = 0; i < g->dead.len && r == 0; i += PART) {
        r = ops->gate_enter(g->s->be, true, err);
        if (r < 0)
            break;
        r = remove_part(g, i, part_of(g, i), &g->res->chunks_removed, err);
        ops->gate_leave(g->s->be, true);
    }
    return r;
}

/* Counts what is really gone: remove() spares what somebody has renewed, and chunks among living ones. */
static void count_gone(struct gc *g)
{
    VEC_EACH(&g->dead, x)
    {
        struct blob_info info;
        if (g->s->be->ops->stat(g->s->be, x->name, STORE_ANY, &info, NULL) != -ERR_NOT_FOUND)
            continue;
        g->res->bytes_freed += x->size_bytes;
        if (x->name[0] == 'o')
            g->res->objects_removed++;
        else
            g->res->chunks_removed++;
    }
}

/* Without a gate. Who relies on an object renews all of it, and remove() spares what is renewed; so records
 * and chunks go in one step, which is cheaper where they share their place. */
static int collect_shared(struct gc *g, struct err *err)
{
    const struct store_ops *ops = g->s->be->ops;
    int64_t oldest;
    int r = ops->session_oldest(g->s->be, false, &oldest, err);
    if (r == 0 && oldest != INT64_MAX && oldest - SESSION_SLACK_NS < g->limit_ns)
        g->limit_ns = oldest - SESSION_SLACK_NS;
    if (r == 0)
        r = mark(g, err);
    if (r == 0)
        r = ops->list(g->s->be, "o/", note_object, g, err);
    if (r == 0)
        r = ops->list(g->s->be, "c/", note_chunk, g, err);
    _cleanup_free_ const char **names = mem_calloc(g->dead.len + 1, sizeof *names);
    if (!names)
        return err_nomem(err);
    for (size_t i = 0; i < g->dead.len; i++)
        names[i] = g->dead.v[i].name;
    if (r == 0)
        r = ops->remove(g->s->be, names, g->dead.len, g->limit_ns, err);
    if (r == 0)
        count_gone(g);
    return r < 0 ? r : sweep_out(g, err);
}

/* What collect() would do. */
static int count_dead(struct gc *g, struct err *err)
{
    const struct store_ops *ops = g->s->be->ops;
    int r = ops->list(g->s->be, "o/", note_object, g, err);
    g->res->objects_removed = g->dead.len;
    if (r == 0)
        r = ops->list(g->s->be, "c/", note_chunk, g, err);
    g->res->chunks_removed = g->dead.len - g->res->objects_removed;
    VEC_EACH(&g->dead, x)
        g->res->bytes_freed += x->size_bytes;
    return r;
}

static int count_object(void *arg, const struct blob_info *info, struct err *err)
{
    struct gc *g = arg;
    g->res->objects_kept++;
    return 0;
}

int store_gc(struct store *s, int64_t grace_ms, bool dry_run, struct store_gc_result *ret,
             struct err *err)
{
    struct gc g = {.s = s, .res = ret};
    *ret = (struct store_gc_result){0};
    if (grace_ms < 0)
        return err_set(err, ERR_INVALID, "a grace time below zero");
    if (s->be->ops->grace_min_ms && grace_ms < s->be->ops->grace_min_ms(s->be))
        grace_ms = s->be->ops->grace_min_ms(s->be);
    int64_t now = os_now_ns();
    g.limit_ns = grace_ms < now / NS_PER_MS ? now - grace_ms * NS_PER_MS : 0;
    int r = mark(&g, err);
    if (r == 0)
        r = dry_run ? count_dead(&g, err) : s->be->ops->shared ? collect_shared(&g, err) : collect(&g, err);
    if (r == 0)
        r = s->be->ops->list(s->be, "o/", count_object, &g, err);
    if (r == 0 && dry_run)
        ret->objects_kept -= ret->objects_removed;
    clear_dead(&g);
    VEC_RELEASE(&g.dead);
    VEC_EACH(&g.expired, e)
        free(*e);
    VEC_RELEASE(&g.expired);
    digest_set_release(&g.objects);
    digest_set_release(&g.chunks);
    return r < 0 ? WRAP(r, err, "collect") : 0;
}

/* --- what failed uploads have left ---------------------------------------------------------------------------------- */

#define LEFT_CHUNKS_MAX ((size_t)1 << 18)

struct leftover {
    struct leftover *next;
    int64_t since_ns, until_ns; /* its chunks were written between */
    size_t n;
    struct digest v[];
};

/* What is older, no upload of another process that goes on can have found: it would have renewed it. */
static int discard_limit(struct store *s, int64_t *ret, struct err *err)
{
    int64_t oldest, now = os_now_ns();
    int r = s->be->ops->session_oldest(s->be, true, &oldest, err);
    *ret = oldest == INT64_MAX || oldest > now ? now : oldest - SESSION_SLACK_NS;
    return r;
}

/* Who may rely on one: a record that was written since, which shares it, or an upload that goes on and has found it. *ret_kept:
 * so many, at the front, stay for uploads of this process. */
static int discard(struct gc *g, struct digest *v, size_t n, int64_t since_ns, size_t *ret_kept, struct err *err)
{
    const struct store_ops *ops = g->s->be->ops;
    uint64_t count = 0;
    g->limit_ns = since_ns - SESSION_SLACK_NS;
    *ret_kept = uploads_have(g->s, v, n);
    int r = ops->list(g->s->be, "o/", mark_recent, g, err);
    if (r == 0)
        r = discard_limit(g->s, &g->limit_ns, err);
    if (r < 0)
        return r;
    r = tell_limit(g, err);
    for (size_t i = *ret_kept; r == 0 && i < n; i++) {
        struct blob_name name = blob_name_of('c', &v[i]);
        struct blob_info info = {.name = name.s};
        r = note_dead(g, &info, &g->chunks, err);
    }
    for (size_t i = 0; i < g->dead.len && r == 0; i += PART)
        r = remove_part(g, i, part_of(g, i), &count, err);
    return r;
}

/* Gives how many stay, at the front of v, until those are over that may rely on them. */
static size_t discard_inside(struct store *s, struct digest *v, size_t n, int64_t since_ns, int64_t until_ns)
{
    struct store_gc_result ignored = {0};
    struct gc g = {.s = s, .res = &ignored};
    struct err err = {0};
    size_t kept = 0;
    int r = s->be->ops->gate_enter(s->be, true, &err);
    if (r == 0) {
        r = discard(&g, v, n, since_ns, &kept, &err);
        s->be->ops->gate_leave(s->be, true);
    }
    if (r < 0)
        log_info("what a failed upload left stays until the next collection: %s", err.msg);
    clear_dead(&g);
    VEC_RELEASE(&g.dead);
    digest_set_release(&g.objects);
    digest_set_release(&g.chunks);
    return r < 0 ? 0 : g.limit_ns > until_ns ? kept : n;
}

static void keep_left(struct store *s, struct leftover *l)
{
    pthread_mutex_lock(&s->lock);
    bool kept = l->n && s->left_chunks + l->n <= LEFT_CHUNKS_MAX;
    if (kept) {
        l->next = s->left;
        s->left = l;
        s->left_chunks += l->n;
    }
    pthread_mutex_unlock(&s->lock);
    if (!kept)
        free(l); /* the next collection finds it */
}

void chunks_discard(struct store *s, struct digest *v, size_t n, int64_t since_ns)
{
    int64_t until = os_now_ns();
    n = discard_inside(s, v, n, since_ns, until);
    struct leftover *l = n && !s->be->ops->shared ? mem_alloc(sizeof *l + n * sizeof *v) : NULL;
    if (!l)
        return;
    *l = (struct leftover){.since_ns = since_ns, .until_ns = until, .n = n};
    memcpy(l->v, v, n * sizeof *v);
    keep_left(s, l);
}

static struct leftover *take_left(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    struct leftover *list = TAKE_PTR(s->left);
    s->left_chunks = 0;
    pthread_mutex_unlock(&s->lock);
    return list;
}

void chunks_discard_left(struct store *s)
{
    int64_t limit = 0;
    struct leftover *next, *l = take_left(s);
    if (l && discard_limit(s, &limit, NULL) < 0)
        limit = 0;
    for (; l; l = next) {
        next = l->next;
        if (l->until_ns < limit && uploads_have(s, l->v, l->n) < l->n) /* else that would be in vain */
            l->n = discard_inside(s, l->v, l->n, l->since_ns, l->until_ns);
        keep_left(s, l);
    }
}

void chunks_forget_left(struct store *s)
{
    for (struct leftover *next, *l = take_left(s); l; l = next) {
        next = l->next;
        free(l);
    }
}

static int hold(struct store *s, bool all, struct store_hold *ret, struct err *err)
{
    int r = s->be->ops->session_begin(s->be, all, &ret->start_ns, err);
    ret->store = r == 0 ? s : NULL;
    return r;
}

int store_hold(struct store *s, struct store_hold *ret, struct err *err)
{
    return hold(s, true, ret, err);
}

int store_hold_new(struct store *s, struct store_hold *ret, struct err *err)
{
    *ret = (struct store_hold){0};
    return s->be->ops->shared ? 0 : hold(s, false, ret, err);
}

void store_hold_release(struct store_hold *h)
{
    if (h->store)
        h->store->be->ops->session_end(h->store->be, h->start_ns);
    h->store = NULL;
}
