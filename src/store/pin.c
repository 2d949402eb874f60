#include "store/pin.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/vec.h"
#include "os/clock.h"
#include "store/record.h"

#include <stdio.h>
#include <string.h>

#define OWNER_MAX 512
#define PIN_MAX (OWNER_MAX + 64)
#define PREFIX_LEN (2 + 32 + 1)

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

int store_pin(struct store *s, const char *owner, const char *ref, int64_t until_ns,
              struct err *err)
{
    const struct store_ops *ops = s->be->ops;
    struct digest d;
    char name[PREFIX_LEN + DIGEST_HEX + 1];
    int r = digest_from_ref(ref, &d, err);
    if (r == 0)
        r = owner_prefix(owner, name, err);
    if (r < 0)
        return r;
    digest_hex(&d, name + PREFIX_LEN);
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
        r = ops->stat(s->be, blob_name_of('o', &d).s, &info, err);
        if (r == -ERR_NOT_FOUND)
            err_set(err, ERR_NOT_FOUND, "no object %s in the store", ref);
        if (r == 0)
            r = ops->batch_commit(s->be, &batch, 1, err);
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
        r = s->be->ops->remove(s->be, (const char *const *)n.v.v, n.v.len, err);
    VEC_EACH(&n.v, name)
        free(*name);
    VEC_RELEASE(&n.v);
    return r;
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
