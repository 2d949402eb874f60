/* Removal from a bucket that many hosts use at the same time, without a lock among them.
 *
 * Who wants to rely on a pack that is not fresh renews it (copies it onto itself, so that its stamp is
 * now), and then looks whether it is marked as gone. Who wants to remove a pack marks it as gone, and
 * then looks whether it was renewed. S3 is consistent, so of two who do this at the same time at least
 * one sees the other: the one who relies takes it for absent and sends its bytes again, or the one
 * who removes lets it be. Fresh is what is younger than a sixth of the least grace time (grace_min_ms);
 * uploads that last longer have a lease (write.c). Who relies on an object renews all that it is made of
 * (object.c, pin.c), so its parts can be removed in any order.
 *
 * A pack of which only some blobs are dead is written anew without them. */
#include "store/s3/s3_internal.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/vec.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define MERGE_MAX 256 /* small packs that become one */
#define NOISE_NS (2 * NS_PER_S) /* stamps come in whole seconds, from several clocks of the service */
#define READ_TRIES 3
#define DEAD_SHARE 4 /* a pack is written anew when this fraction of it is dead chunks */

static void gone_key(char out[S3_KEY], const char *pack)
{
    snprintf(out, S3_KEY, "gone/%.100s", pack);
}

/* --- to rely on it -------------------------------------------------------------------------------------- */

static int is_marked(struct s3 *s, const char *pack, struct err *err)
{
    char key[S3_KEY];
    gone_key(key, pack);
    int r = api_head(s, key, NULL, NULL, err);
    return r == 0 ? 1 : r == -ERR_NOT_FOUND ? 0 : r;
}

/* 1: it is safe now; 0: it is gone, or will be. known_ns: its stamp before. */
static int renew(struct s3 *s, const char *pack, int64_t known_ns, struct err *err)
{
    char key[S3_KEY];
    int64_t stamp, head;
    s3_pack_key(key, pack);
    int r = api_renew(s, key, &stamp, err);
    if (r == 0)
        r = api_head(s, key, NULL, &head, err);
    /* There are services whose copies keep the old time: then nothing keeps the pack. */
    if (r == 0 && head <= known_ns && head < stamp - NOISE_NS)
        return 0;
    if (r == 0)
        r = is_marked(s, pack, err);
    if (r == 0)
        r = index_touch(s->index, pack, head, err);
    else if (r == 1)
        return 0;
    if (r == -ERR_NOT_FOUND) {
        r = index_drop(s->index, pack, err);
        return r < 0 ? r : 0;
    }
    return r < 0 ? r : 1;
}

int s3_touch(struct store_backend *be, const char *name, enum store_class class, struct err *err)
{
    struct s3 *s = s3_of(be);
    struct blob_place b;
    if (name[0] == 'p')
        return err_set(err, ERR_INVALID, "a pin is not renewed");
    int r = s3_ready(s, err);
    if (r == 0)
        r = index_find(s->index, name, s3_class_name(class), &b, err);
    if (r == -ERR_NOT_FOUND && (r = s3_refresh(s, false, err)) == 0)
        r = index_find(s->index, name, s3_class_name(class), &b, err);
    if (r == 0) {
        r = renew(s, b.pack.name, b.pack.stamp_ns, err);
        if (r == 1)
            return 0;
        r = r < 0 ? r : -ERR_NOT_FOUND;
    }
    return r == -ERR_NOT_FOUND ? err_set(err, ERR_NOT_FOUND, "%s is not in the store", name) : r;
}

/* --- to remove it --------------------------------------------------------------------------------------- */

/* Marks a pack. 1: it may go; 0: somebody has renewed it, or it is gone. before_ns (our clock; 0: none): it was found to be dead
 * by being older. The index may have learnt of a renewal since, so what it says now tells nothing. */
static int condemn(struct s3 *s, const struct pack_info *p, int64_t before_ns, struct err *err)
{
    char key[S3_KEY], mark[S3_KEY];
    int64_t stamp;
    s3_pack_key(key, p->name);
    gone_key(mark, p->name);
    int r = api_put(s, mark, "", 0, err);
    if (r == 0)
        r = api_head(s, key, NULL, &stamp, err);
    if (r == -ERR_NOT_FOUND) {
        r = index_drop(s->index, p->name, err);
        return r < 0 ? r : 0;
    }
    if (r < 0)
        return r;
    if (before_ns ? s3_to_local(s, stamp) < before_ns : stamp <= p->stamp_ns + NOISE_NS)
        return 1;
    r = index_touch(s->index, p->name, stamp, err);
    return r < 0 ? r : 0;
}

static int delete_pack(struct s3 *s, const char *name, struct err *err)
{
    char key[S3_KEY];
    s3_pack_key(key, name);
    int r = api_delete(s, key, err);
    if (r == 0)
        r = index_drop(s->index, name, err);
    if (r == 0)
        cache_drop(s->cache, name);
    return r;
}

/* What is to be removed. */
struct doomed {
    struct digest_set chunks, records;
};

static bool is_dead(const struct doomed *d, const struct pack_entry *e)
{
    return digest_set_has(e->kind == 'c' ? &d->chunks : &d->records, &e->digest);
}

/* Of the whole pack that was read. A blob may have been changed on its way only: it is fetched again by itself. 0: it is damaged
 * there too, so that nobody can use it. */
static int sound(struct s3 *s, const char *key, const struct pack_entry *e, char *data, struct err *err)
{
    int r = 0;
    for (int tries = 0; r == 0 && tries < READ_TRIES; tries++) {
        if (XXH3_64bits(data + e->offset, e->len) == e->check)
            return 1;
        r = api_get_range_into(s, key, e->offset, e->len, data + e->offset, err);
    }
    return r < 0 ? r : XXH3_64bits(data + e->offset, e->len) == e->check;
}

/* Copies the blobs that live from one pack to another that is being made. */
static int copy_living(struct s3 *s, const struct pack_info *p, const struct pack_entries *entries,
                       const struct doomed *d, struct pack *to, struct err *err)
{
    char key[S3_KEY];
    _cleanup_free_ char *data = NULL;
    s3_pack_key(key, p->name);
    int r = api_get_range(s, key, 0, (size_t)p->size_bytes, &data, err);
    for (size_t i = 0; i < entries->len && r == 0; i++) {
        const struct pack_entry *e = &entries->v[i];
        size_t len = e->len;
        struct blob_name name = blob_name_of(e->kind, &e->digest);
        if (d && is_dead(d, e))
            continue;
        int ok = sound(s, key, e, data, err);
        if (ok != 1) {
            r = ok;
            continue;
        }
        r = pack_open_blob(&s->keys, &p->seal, e, (uint32_t)i, data + e->offset, &len, err);
        if (r == 0)
            r = pack_add(to, name.s, data + e->offset, len, err);
    }
    return r;
}

static const char *class_of(const char *pack)
{
    for (size_t i = 0; s3_classes[i]; i++)
        if (strncmp(s3_classes[i], pack, strlen(s3_classes[i])) == 0)
            return s3_classes[i];
    return "results";
}

static int write_anew(struct s3 *s, const struct pack_info *p, const struct pack_entries *entries,
                      const struct doomed *d, struct err *err)
{
    struct pack to;
    pack_init(&to, s->keys.len > 0);
    int r = copy_living(s, p, entries, d, &to, err);
    if (r == 0 && !pack_empty(&to))
        r = s3_send_pack(s, &to, class_of(p->name), NULL, err);
    pack_release(&to);
    return r;
}

/* Is it worth it? Records must go; dead chunks may stay where most of a pack lives. */
static bool must_change(const struct doomed *d, const struct pack_entries *entries, bool *ret_all)
{
    uint64_t dead = 0, all = 0;
    bool record = false;
    *ret_all = true;
    VEC_EACH(entries, e)
    {
        bool gone = is_dead(d, e);
        all += e->len;
        dead += gone ? e->len : 0;
        record = record || (gone && e->kind == 'o');
        *ret_all = *ret_all && gone;
    }
    return *ret_all || record || dead >= all / DEAD_SHARE;
}

static int remove_from(struct s3 *s, const char *name, const struct doomed *d, int64_t before_ns, struct err *err)
{
    struct pack_info p;
    struct pack_entries entries = {0};
    struct pack_seal seal;
    bool all;
    int r = index_pack(s->index, name, &p, err);
    if (r < 0)
        return r == -ERR_NOT_FOUND ? 0 : r;
    r = s3_read_directory(s, name, p.size_bytes, &entries, &seal, err);
    if (r == -ERR_NOT_FOUND)
        return index_drop(s->index, name, err);
    if (r == 0 && must_change(d, &entries, &all)) {
        r = condemn(s, &p, before_ns, err);
        if (r == 1) {
            r = all ? 0 : write_anew(s, &p, &entries, d, err);
            if (r == 0)
                r = delete_pack(s, name, err);
        }
    }
    VEC_RELEASE(&entries);
    return r;
}

/* Notes a blob as dead, and which packs hold it. */
static int doom(struct s3 *s, const char *name, struct doomed *d, struct map *packs, struct err *err)
{
    struct digest digest;
    struct name_list holders;
    if (!digest_from_hex(name + 2, &digest))
        return 0;
    int r = digest_set_add(name[0] == 'c' ? &d->chunks : &d->records, &digest, NULL, err);
    if (r == 0)
        r = index_holders(s->index, name, &holders, err);
    if (r < 0)
        return r;
    VEC_EACH(&holders, h)
    {
        if (!map_set(packs, *h, s))
            r = err_nomem(err);
    }
    name_list_release(&holders);
    return r;
}

int s3_remove(struct store_backend *be, const char *const *names, size_t n, int64_t before_ns, struct err *err)
{
    struct s3 *s = s3_of(be);
    struct doomed d = {0};
    struct map packs = {0};
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        char key[S3_KEY];
        if (names[i][0] != 'p') {
            r = doom(s, names[i], &d, &packs, err);
            continue;
        }
        snprintf(key, sizeof key, "pins/%s", names[i] + 2);
        r = api_delete(s, key, err);
    }
    MAP_EACH(&packs, e)
    {
        if (r == 0)
            r = remove_from(s, e->key, &d, before_ns, err);
    }
    map_release(&packs);
    digest_set_release(&d.chunks);
    digest_set_release(&d.records);
    return r;
}

int s3_set_aside(struct store_backend *be, const char *name, struct err *err)
{
    struct s3 *s = s3_of(be);
    struct blob_place b;
    char from[S3_KEY], to[S3_KEY];
    int r = index_find(s->index, name, NULL, &b, err);
    if (r < 0)
        return r == -ERR_NOT_FOUND ? 0 : r;
    s3_pack_key(from, b.pack.name);
    snprintf(to, sizeof to, "aside/%s", b.pack.name);
    r = api_copy(s, from, to, err);
    return r < 0 ? r : s3_remove(be, &name, 1, 0, err);
}

/* --- keeping house -------------------------------------------------------------------------------------- */

struct oldest_call {
    struct s3 *s;
    int64_t oldest; /* the server's clock */
};

static int see_lease(void *arg, const struct api_entry *e, struct err *err)
{
    struct oldest_call *o = arg;
    char *end;
    unsigned long long ms = strtoull(e->key + strlen("leases/"), &end, 16);
    if (*end == '-' && e->stamp_ns > s3_now_ns(o->s) - S3_LEASE_NS && ms < INT64_MAX / NS_PER_MS &&
        (int64_t)ms * NS_PER_MS < o->oldest)
        o->oldest = (int64_t)ms * NS_PER_MS;
    return 0;
}

int s3_session_oldest(struct store_backend *be, bool others, int64_t *ret_ns, struct err *err)
{
    struct s3 *s = s3_of(be);
    struct oldest_call o = {s, INT64_MAX};
    int r = api_list(s, "leases/", NULL, see_lease, &o, err);
    *ret_ns = o.oldest == INT64_MAX ? INT64_MAX : s3_to_local(s, o.oldest);
    pthread_mutex_lock(&s->lock);
    int64_t here = sessions_oldest(&s->sessions, others);
    *ret_ns = here < *ret_ns ? here : *ret_ns;
    pthread_mutex_unlock(&s->lock);
    return r;
}

struct old_keys {
    int64_t before_ns;
    struct name_list names;
};

static int note_old(void *arg, const struct api_entry *e, struct err *err)
{
    struct old_keys *o = arg;
    if (!e->stamp_ns || e->stamp_ns >= o->before_ns)
        return 0;
    char *key = mem_strdup(e->key);
    if (key && VEC_PUSH(&o->names, key))
        return 0;
    free(key);
    return err_nomem(err);
}

static int remove_old(struct s3 *s, const char *begin, int64_t age_ns, struct err *err)
{
    struct old_keys o = {.before_ns = s3_now_ns(s) - age_ns};
    int r = api_list(s, begin, NULL, note_old, &o, err);
    VEC_EACH(&o.names, k)
    {
        if (r == 0)
            r = api_delete(s, *k, err);
    }
    name_list_release(&o.names);
    return r;
}

/* One pack of the living of several. */
static int merge_group(struct s3 *s, const struct pack_info *v, size_t n, struct err *err)
{
    struct pack to;
    bool marked[MERGE_MAX] = {0};
    int r = 0;
    pack_init(&to, s->keys.len > 0);
    for (size_t i = 0; i < n && n > 1 && r == 0; i++) {
        struct pack_entries entries = {0};
        struct pack_seal seal;
        int found = s3_read_directory(s, v[i].name, v[i].size_bytes, &entries, &seal, err);
        if (found == 0 && (found = condemn(s, &v[i], 0, err)) == 1)
            found = copy_living(s, &v[i], &entries, NULL, &to, err);
        else if (found == 0)
            found = -ERR_NOT_FOUND; /* renewed: let it be */
        marked[i] = found == 0;
        r = found == -ERR_NOT_FOUND ? 0 : found;
        VEC_RELEASE(&entries);
    }
    if (r == 0 && !pack_empty(&to))
        r = s3_send_pack(s, &to, class_of(v[0].name), NULL, err);
    for (size_t i = 0; i < n && r == 0; i++)
        if (marked[i])
            r = delete_pack(s, v[i].name, err);
    pack_release(&to);
    return r;
}

/* Small packs become few: what many small commits left behind. Only those are taken that nobody can
 * still be sure of without renewing them. */
static int merge_small(struct s3 *s, struct err *err)
{
    struct pack_info page[64], group[MERGE_MAX];
    char after[PACK_NAME_MAX] = "";
    size_t n = ARRAY_LEN(page), g = 0;
    uint64_t bytes = 0;
    int64_t before = s3_now_ns(s) - s->grace_min_ms * NS_PER_MS;
    int r = 0;
    while (r == 0 && n == ARRAY_LEN(page)) {
        r = index_packs(s->index, after, page, ARRAY_LEN(page), &n, err);
        for (size_t i = 0; i < n && r == 0; i++) {
            bool small = page[i].size_bytes < s->pack_bytes / 8 && page[i].stamp_ns < before;
            bool fits = !g || (g < ARRAY_LEN(group) && bytes + page[i].size_bytes <= s->pack_bytes &&
                               class_of(page[i].name) == class_of(group[0].name));
            if (small && !fits) {
                r = merge_group(s, group, g, err);
                g = 0;
                bytes = 0;
            }
            if (small) {
                group[g++] = page[i];
                bytes += page[i].size_bytes;
            }
        }
        if (n)
            memcpy(after, page[n - 1].name, sizeof after);
    }
    return r == 0 ? merge_group(s, group, g, err) : r;
}

int s3_sweep(struct store_backend *be, uint64_t *ret_bytes, struct err *err)
{
    struct s3 *s = s3_of(be);
    *ret_bytes = 0;
    int r = merge_small(s, err);
    if (r == 0)
        r = remove_old(s, "gone/", S3_LEASE_NS, err);
    if (r == 0)
        r = remove_old(s, "leases/", S3_LEASE_NS, err);
    if (r == 0)
        r = remove_old(s, "aside/", 7 * S3_LEASE_NS, err);
    if (r == 0)
        (void)api_abort_uploads(s, s3_now_ns(s) - S3_LEASE_NS, NULL); /* not all services have it */
    return r;
}

/* One pack, sealed by the key that writes now, instead of the old one. */
static int rekey_pack(struct s3 *s, const struct pack_info *p, struct err *err)
{
    struct pack_entries entries = {0};
    struct pack_seal seal;
    int r = s3_read_directory(s, p->name, p->size_bytes, &entries, &seal, err);
    if (r == 0)
        r = condemn(s, p, 0, err);
    if (r == 1) {
        r = write_anew(s, p, &entries, NULL, err);
        if (r == 0)
            r = delete_pack(s, p->name, err);
        r = r < 0 ? r : 1;
    }
    VEC_RELEASE(&entries);
    return r == -ERR_NOT_FOUND ? 0 : r;
}

/* Who stays longer than the file would otherwise seal with the key that is about to be taken out of it. */
static int check_keys(const struct s3 *s, struct err *err)
{
    struct keyring now;
    int r = keyring_load(&now, s->key_file, err);
    bool same = r == 0 && now.len == s->keys.len;
    for (size_t i = 0; same && i < now.len; i++)
        same = now.v[i].id == s->keys.v[i].id;
    keyring_clear(&now);
    if (r < 0 || same)
        return r;
    err_set(err, ERR_STATE, "s3.key_file has other keys than when this process began");
    return err_hint(err, "start it again, so that it reads and writes with them, and then say it again");
}

/* New packs come meanwhile, later in each class: they have the new key already and are passed over. */
int s3_rekey(struct store_backend *be, bool (*stopped)(void *arg), void *arg, uint64_t *ret_packs, struct err *err)
{
    struct s3 *s = s3_of(be);
    struct pack_info page[64];
    char after[PACK_NAME_MAX] = "";
    size_t n = ARRAY_LEN(page);
    uint32_t want = s->keys.len ? s->keys.v[0].id : 0;
    int r = check_keys(s, err);
    if (r == 0)
        r = s3_refresh(s, true, err);
    if (r == 0)
        r = s3_all_readable(s, err);
    while (r == 0 && n == ARRAY_LEN(page)) {
        r = index_packs(s->index, after, page, ARRAY_LEN(page), &n, err);
        for (size_t i = 0; i < n && r == 0; i++) {
            if (stopped && stopped(arg))
                return err_set(err, ERR_CANCELLED, S3_CUT_SHORT);
            int done = page[i].seal.key_id == want ? 0 : rekey_pack(s, &page[i], err);
            *ret_packs += done == 1;
            r = done < 0 ? done : 0;
        }
        if (n)
            memcpy(after, page[n - 1].name, sizeof after);
    }
    return r < 0 ? r : s3_rekey_pins(s, stopped, arg, err);
}
