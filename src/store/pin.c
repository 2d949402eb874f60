#include "store/pin.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/vec.h"
#include "os/clock.h"
#include "store/record.h"
#include "store/upload.h"

#include <stdio.h>
#include <string.h>

#define OWNER_MAX 1280 /* a workflow id and a namespace */
#define PIN_MAX (OWNER_MAX + 64)
#define PREFIX_LEN (2 + 32 + 1)
#define PIN_NAME_SIZE (PREFIX_LEN + DIGEST_HEX + 1)

static const char magic[4] = {'F', 'F', 'P', '1'};

/* "p/<32 hex>-" */
static int owner_prefix(const char *owner, char out[PREFIX_LEN + 1], struct err *err)
{
    struct digest d;
    char hex[DIGEST_HEX + 1];
    if (!owner || !*owner || strlen(owner) > OWNER_MAX)
        return err_set(err, ERR_INVALID, "the owner of a pin has 1 to %d bytes", OWNER_MAX);
    int r = digest_of(owner, strlen(owner), &d, err);
    digest_hex(&d, hex);
    snprintf(out, PREFIX_LEN + 1, "p/%.32s-", hex);
    return r;
}

/* Also gives the object's digest. */
static int pin_name(const char *owner, const char *ref, char out[PIN_NAME_SIZE], struct digest *ret_object, struct err *err)
{
    int r = digest_from_ref(ref, ret_object, err);
    if (r == 0)
        r = owner_prefix(owner, out, err);
    if (r == 0)
        digest_hex(ret_object, out + PREFIX_LEN);
    return r;
}

/* The pin took longer to write than what was seen of the object before counts: it may have gone before anybody could see it
 * pinned. From here on who collects does see that, so once more is enough. */
static int confirm(struct store *s, const struct digest *d, const char *name, struct err *err)
{
    const char *names[] = {name};
    int r = object_renew(s, d, err);
    if (r == -ERR_NOT_FOUND)
        (void)s->be->ops->remove(s->be, names, 1, 0, NULL);
    return r;
}

int store_pin(struct store *s, const char *owner, const char *ref, int64_t until_ns,
              struct err *err)
{
    const struct store_ops *ops = s->be->ops;
    struct digest d;
    char name[PIN_NAME_SIZE];
    int r = pin_name(owner, ref, name, &d, err);
    if (r < 0)
        return r;
    struct strbuf b = STRBUF_INIT_MAX(PIN_MAX);
    strbuf_append(&b, magic, sizeof magic);
    put_u64(&b, (uint64_t)until_ns);
    put_varint(&b, strlen(owner));
    strbuf_puts(&b, owner);
    put_checksum(&b, 0);
    struct store_batch *batch = NULL;
    r = strbuf_check(&b, err);
    if (r == 0)
        r = ops->batch_new(s->be, &batch, err);
    if (r == 0)
        r = ops->batch_add(batch, name, b.s, b.len, err);
    if (r == 0)
        r = ops->gate_enter(s->be, false, err); /* so that collection sees the object pinned, or we see it gone */
    if (r == 0) {
        struct blob_info info;
        int64_t looked_ns = os_mono_ns();
        r = ops->stat(s->be, blob_name_of('o', &d).s, STORE_ANY, &info, err);
        bool fresh = r == 0 && info.stamp_ns >= object_fresh_ns(s);
        if (ops->shared && !fresh && (r == 0 || r == -ERR_NOT_FOUND)) /* no gate: collection sees it renewed, or we see it gone */
            r = object_renew(s, &d, err);
        if (r == 0)
            r = ops->batch_commit(s->be, &batch, 1, err);
        if (r == 0 && ops->shared && os_mono_ns() - looked_ns > ops->renew_after_ns(s->be))
            r = confirm(s, &d, name, err);
        if (r == -ERR_NOT_FOUND)
            err_set(err, ERR_NOT_FOUND, "no object %s in the store", ref);
        ops->gate_leave(s->be, false);
    }
    ops->batch_free(batch);
    strbuf_release(&b);
    return r;
}

struct names {
    VEC(char *) v;
};

static int collect_name(void *arg, const struct blob_info *info, struct err *err)
{
    struct names *n = arg;
    char *name = mem_strdup(info->name);
    if (name && VEC_PUSH(&n->v, name))
        return 0;
    free(name);
    return err_nomem(err);
}

int store_unpin_owner(struct store *s, const char *owner, struct err *err)
{
    char prefix[PREFIX_LEN + 1];
    struct names n = {0};
    int r = owner_prefix(owner, prefix, err);
    if (r == 0)
        r = s->be->ops->list(s->be, prefix, collect_name, &n, err);
    if (r == 0)
        r = s->be->ops->remove(s->be, (const char *const *)n.v.v, n.v.len, 0, err);
    VEC_EACH(&n.v, name)
        free(*name);
    VEC_RELEASE(&n.v);
    return r;
}

int store_unpin(struct store *s, const char *owner, const char *ref, struct err *err)
{
    struct digest d;
    char name[PIN_NAME_SIZE];
    const char *names[] = {name};
    int r = pin_name(owner, ref, name, &d, err);
    return r < 0 ? r : s->be->ops->remove(s->be, names, 1, 0, err);
}

struct each_call {
    struct store *s;
    int (*each)(void *arg, const struct pin *p, struct err *err);
    void *arg;
    int64_t now_ns;
};

static int read_pin(void *arg, const struct blob_info *info, struct err *err)
{
    struct each_call *call = arg;
    struct pin p = {.name = info->name, .owner = ""};
    char owner[OWNER_MAX + 1];
    if (strlen(info->name) != PREFIX_LEN + DIGEST_HEX ||
        !digest_from_hex(info->name + PREFIX_LEN, &p.object))
        return 0;
    _cleanup_free_ char *data = NULL;
    size_t len;
    int r = call->s->be->ops->get(call->s->be, info->name, PIN_MAX, &data, &len, err);
    if (r == -ERR_NOT_FOUND)
        return 0;
    if (r < 0 && r != -ERR_LIMIT)
        return r;
    struct cursor c;
    if (r == 0 && cursor_checked(&c, data, len)) {
        const uint8_t *m = get_bytes(&c, sizeof magic);
        int64_t until = (int64_t)get_u64(&c);
        uint64_t n = get_varint(&c);
        const uint8_t *text = n <= OWNER_MAX ? get_bytes(&c, (size_t)n) : NULL;
        if (m && memcmp(m, magic, sizeof magic) == 0 && text) {
            memcpy(owner, text, (size_t)n);
            owner[n] = 0;
            p.owner = owner;
            p.expired = until && until <= call->now_ns;
        }
    }
    return call->each(call->arg, &p, err);
}

int pin_each(struct store *s, int (*each)(void *arg, const struct pin *p, struct err *err),
             void *arg, struct err *err)
{
    struct each_call call = {s, each, arg, os_now_ns()};
    return s->be->ops->list(s->be, "p/", read_pin, &call, err);
}

static int refuse_pinned(void *arg, const struct pin *p, struct err *err)
{
    if (p->expired || !digest_equal(&p->object, arg))
        return 0;
    return err_set(err, ERR_STATE, "the object is kept by %s", *p->owner ? p->owner : "a pin");
}

int pin_refuse(struct store *s, const struct digest *d, struct err *err)
{
    struct digest copy = *d;
    return pin_each(s, refuse_pinned, &copy, err);
}

struct public_each {
    int (*each)(void *arg, const char *owner, const char *ref, struct err *err);
    void *arg;
};

static int each_living(void *arg, const struct pin *p, struct err *err)
{
    const struct public_each *e = arg;
    struct store_ref ref;
    digest_to_ref(&p->object, &ref);
    return p->expired ? 0 : e->each(e->arg, p->owner, ref.text, err);
}

int store_each_pin(struct store *s,
                   int (*each)(void *arg, const char *owner, const char *ref, struct err *err),
                   void *arg, struct err *err)
{
    struct public_each e = {each, arg};
    return pin_each(s, each_living, &e, err);
}

static int note_living(void *arg, const struct pin *p, struct err *err)
{
    (void)err;
    *(bool *)arg = !p->expired;
    return 0;
}

int store_pinned(struct store *s, const char *owner, const char *ref, bool *ret, struct err *err)
{
    struct each_call call = {s, note_living, ret, os_now_ns()};
    struct digest d;
    char name[PIN_NAME_SIZE];
    const struct blob_info info = {.name = name};
    int r = pin_name(owner, ref, name, &d, err);
    *ret = false;
    return r < 0 ? r : read_pin(&call, &info, err);
}

struct on_object {
    struct each_call call;
    const struct digest *object;
};

/* Most pins are of other objects, which their names say: those are not read. */
static int read_pin_on(void *arg, const struct blob_info *info, struct err *err)
{
    struct on_object *on = arg;
    struct digest d;
    bool other = strlen(info->name) != PREFIX_LEN + DIGEST_HEX || !digest_from_hex(info->name + PREFIX_LEN, &d) ||
                 !digest_equal(&d, on->object);
    return other ? 0 : read_pin(&on->call, info, err);
}

int store_each_pin_on(struct store *s, const char *ref,
                      int (*each)(void *arg, const char *owner, const char *ref, struct err *err),
                      void *arg, struct err *err)
{
    struct digest d;
    struct public_each e = {each, arg};
    struct on_object on = {{s, each_living, &e, os_now_ns()}, &d};
    int r = digest_from_ref(ref, &d, err);
    return r < 0 ? r : s->be->ops->list(s->be, "p/", read_pin_on, &on, err);
}

int store_each_pin_of(struct store *s, const char *owner,
                      int (*each)(void *arg, const char *owner, const char *ref, struct err *err),
                      void *arg, struct err *err)
{
    struct public_each e = {each, arg};
    struct each_call call = {s, each_living, &e, os_now_ns()};
    char prefix[PREFIX_LEN + 1];
    int r = owner_prefix(owner, prefix, err);
    return r < 0 ? r : s->be->ops->list(s->be, prefix, read_pin, &call, err);
}
