#include "codec/pbx.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/utf8.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 4000000
#define BLOCK_ALIGN 16
#define FAILURE_TEXT_MAX ((size_t)4096)
#define FAILURE_TEXT_DEPTH 24

/* One open message of the iterative walk. */
struct frame {
    const ProtobufCMessageDescriptor *d;
    const uint8_t *end;
};

static bool read_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (*p >= end)
            return false;
        uint8_t b = *(*p)++;
        if (shift < 64)
            v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static int malformed(struct err *err, const char *why)
{
    return err_set(err, ERR_INVALID, "malformed protobuf message: %s", why);
}

/* *ret_size: about what it takes decoded. */
static int scan(const ProtobufCMessageDescriptor *d, const void *data, size_t len, uint64_t *ret_size, struct err *err)
{
    struct frame stack[PBX_DEPTH_MAX];
    int depth = 0;
    uint64_t fields = 0, decoded = d->sizeof_message;
    const uint8_t *p = data;
    const uint64_t allowed = (uint64_t)len * PBX_EXPANSION_MAX + (1 << 20);
    stack[0] = (struct frame){d, p + len};
    for (;;) {
        struct frame *f = &stack[depth];
        if (p == f->end) {
            *ret_size = decoded + fields * BLOCK_ALIGN;
            if (depth-- == 0)
                return 0;
            continue;
        }
        uint64_t tag, v;
        if (!read_varint(&p, f->end, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
            return malformed(err, "bad tag");
        if (++fields > FIELDS_MAX)
            return err_set(err, ERR_LIMIT, "protobuf message of more than %d fields", FIELDS_MAX);
        const ProtobufCFieldDescriptor *fd =
            protobuf_c_message_descriptor_get_field(f->d, (unsigned)(tag >> 3));
        decoded += fd ? sizeof(void *) : sizeof(ProtobufCMessageUnknownField);
        switch (tag & 7) {
        case 0:
            if (!read_varint(&p, f->end, &v))
                return malformed(err, "bad varint");
            continue;
        case 1:
        case 5:
            v = (tag & 7) == 1 ? 8 : 4;
            break;
        case 2:
            if (!read_varint(&p, f->end, &v))
                return malformed(err, "bad length");
            break;
        default:
            return malformed(err, "groups are not known");
        }
        if (v > (uint64_t)(f->end - p))
            return malformed(err, "a field runs over the end");
        if ((tag & 7) == 2 && fd && fd->type == PROTOBUF_C_TYPE_STRING && !utf8_valid((const char *)p, v))
            return malformed(err, "a string is not UTF-8");
        if ((tag & 7) == 2 && fd && fd->type == PROTOBUF_C_TYPE_MESSAGE) {
            if (depth + 1 == PBX_DEPTH_MAX)
                return err_set(err, ERR_LIMIT, "protobuf message nested deeper than %d", PBX_DEPTH_MAX);
            const ProtobufCMessageDescriptor *sub = fd->descriptor;
            decoded += sub->sizeof_message;
            if (decoded > allowed)
                return err_set(err, ERR_LIMIT, "protobuf message expands too much");
            stack[++depth] = (struct frame){sub, p + v};
            continue;
        }
        if (fd && fd->type != PROTOBUF_C_TYPE_STRING && fd->type != PROTOBUF_C_TYPE_BYTES)
            decoded += v * 8; /* packed numbers */
        else
            decoded += v;
        if (decoded > allowed)
            return err_set(err, ERR_LIMIT, "protobuf message expands too much");
        p += v;
    }
}

int pbx_scan(const ProtobufCMessageDescriptor *d, const void *data, size_t len, struct err *err)
{
    uint64_t size;
    return scan(d, data, len, &size, err);
}

int pbx_unpack(const ProtobufCMessageDescriptor *d, const void *data, size_t len,
               ProtobufCMessage **ret, struct err *err)
{
    int r = pbx_scan(d, data, len, err);
    if (r < 0)
        return r;
    ProtobufCMessage *m = protobuf_c_message_unpack(d, NULL, len, data);
    if (!m)
        return malformed(err, d->short_name);
    *ret = m;
    return 0;
}

/* --- in one block -------------------------------------------------------------------------------------------- */

struct pbx_block {
    struct pbx_block *more; /* what did not fit */
    size_t used, cap;
    _Alignas(BLOCK_ALIGN) uint8_t data[];
};

static struct pbx_block *block_new(size_t cap)
{
    struct pbx_block *b = mem_alloc(sizeof *b + cap);
    if (b)
        *b = (struct pbx_block){.cap = cap};
    return b;
}

static void *block_alloc(void *arg, size_t n)
{
    struct pbx_block *b = arg;
    n = (n + BLOCK_ALIGN - 1) / BLOCK_ALIGN * BLOCK_ALIGN;
    if (b->cap - b->used < n) {
        struct pbx_block *more = block_new(n);
        if (!more)
            return NULL;
        more->used = n;
        more->more = b->more;
        b->more = more;
        return more->data;
    }
    void *p = b->data + b->used;
    b->used += n;
    return p;
}

static void block_keep(void *arg, void *p)
{
    (void)arg;
    (void)p;
}

int pbx_unpack_block(const ProtobufCMessageDescriptor *d, const void *data, size_t len, struct pbx_block **ret_block,
                     const ProtobufCMessage **ret, struct err *err)
{
    uint64_t size;
    int r = scan(d, data, len, &size, err);
    if (r < 0)
        return r;
    struct pbx_block *b = block_new(size);
    if (!b)
        return err_nomem(err);
    ProtobufCAllocator in_block = {.alloc = block_alloc, .free = block_keep, .allocator_data = b};
    *ret = protobuf_c_message_unpack(d, &in_block, len, data);
    if (!*ret) {
        pbx_block_free(b);
        return malformed(err, d->short_name);
    }
    *ret_block = b;
    return 0;
}

void pbx_block_free(struct pbx_block *b)
{
    for (struct pbx_block *more; b; b = more) {
        more = b->more;
        free(b);
    }
}

int pbx_pack(const ProtobufCMessage *m, uint8_t **ret, size_t *ret_len, struct err *err)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    uint8_t *p = mem_alloc(n);
    if (!p)
        return err_nomem(err);
    *ret_len = protobuf_c_message_pack(m, p);
    *ret = p;
    return 0;
}

int pbx_dup(const ProtobufCMessage *m, ProtobufCMessage **ret, struct err *err)
{
    uint8_t *p;
    size_t n;
    int r = pbx_pack(m, &p, &n, err);
    if (r < 0)
        return r;
    ProtobufCMessage *copy = protobuf_c_message_unpack(m->descriptor, NULL, n, p);
    free(p);
    if (!copy)
        return err_nomem(err);
    *ret = copy;
    return 0;
}

char *pbx_str(const char *s)
{
    return s ? mem_strdup(s) : (char *)protobuf_c_empty_string;
}

/* Splits so that 0 <= nanos for timestamps, and both parts share a sign for durations. */
static void split(int64_t ns, bool floor, int64_t *s, int32_t *nanos)
{
    *s = ns / NS_PER_S;
    *nanos = (int32_t)(ns % NS_PER_S);
    if (floor && *nanos < 0) {
        *s -= 1;
        *nanos += (int32_t)NS_PER_S;
    }
}

static int64_t join(int64_t s, int32_t nanos)
{
    __int128 v = (__int128)s * NS_PER_S + nanos;
    return v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

Pb__Timestamp *pbx_timestamp(int64_t unix_ns)
{
    Pb__Timestamp *t = mem_alloc(sizeof *t);
    if (t) {
        pb__timestamp__init(t);
        split(unix_ns, true, &t->seconds, &t->nanos);
    }
    return t;
}

Pb__Duration *pbx_duration(int64_t ns)
{
    Pb__Duration *d = mem_alloc(sizeof *d);
    if (d) {
        pb__duration__init(d);
        split(ns, false, &d->seconds, &d->nanos);
    }
    return d;
}

int64_t pbx_timestamp_ns(const Pb__Timestamp *t)
{
    return t ? join(t->seconds, t->nanos) : 0;
}

int64_t pbx_duration_ns(const Pb__Duration *d)
{
    return d ? join(d->seconds, d->nanos) : 0;
}

static bool add_metadata(Pb__Payload *p, const char *key, const char *value)
{
    Pb__Payload__MetadataEntry *e = mem_alloc(sizeof *e);
    p->metadata = mem_calloc(1, sizeof *p->metadata);
    if (!e || !p->metadata) {
        free(e);
        return false;
    }
    pb__payload__metadata_entry__init(e);
    p->metadata[0] = e;
    p->n_metadata = 1;
    e->key = mem_strdup(key);
    e->value.data = mem_dup(value, strlen(value));
    e->value.len = e->value.data ? strlen(value) : 0;
    if (!e->key)
        e->key = (char *)protobuf_c_empty_string;
    return e->value.data && *e->key;
}

Pb__Payload *pbx_json_payload(const json_t *j)
{
    Pb__Payload *p = mem_alloc(sizeof *p);
    if (!p)
        return NULL;
    pb__payload__init(p);
    struct strbuf b = STRBUF_INIT;
    size_t n;
    char *text = json_write(j, &b, NULL) == 0 ? strbuf_take(&b, &n) : NULL;
    if (!text || !add_metadata(p, "encoding", "json/plain")) {
        free(text);
        strbuf_release(&b);
        pb__payload__free_unpacked(p, NULL);
        return NULL;
    }
    p->data.data = (uint8_t *)text;
    p->data.len = n;
    return p;
}

Pb__Payloads *pbx_json_payloads(const json_t *j)
{
    Pb__Payloads *ps = mem_alloc(sizeof *ps);
    Pb__Payload **list = mem_calloc(1, sizeof *list);
    Pb__Payload *p = pbx_json_payload(j);
    if (!ps || !list || !p) {
        free(ps);
        free(list);
        if (p)
            pb__payload__free_unpacked(p, NULL);
        return NULL;
    }
    pb__payloads__init(ps);
    list[0] = p;
    ps->payloads = list;
    ps->n_payloads = 1;
    return ps;
}

static const Pb__Payload__MetadataEntry *metadata_of(const Pb__Payload *p, const char *key)
{
    for (size_t i = 0; p && i < p->n_metadata; i++)
        if (strcmp(p->metadata[i]->key, key) == 0)
            return p->metadata[i];
    return NULL;
}

static int in_the_store(const Pb__Payload__MetadataEntry *object, const Pb__Payload__MetadataEntry *away, struct err *err)
{
    const ProtobufCBinaryData *ref = &object->value;
    int n = (int)(ref->len < 80 ? ref->len : 80);
    if (away)
        return err_set(err, ERR_UNAVAILABLE, "object %.*s, where the bytes of a payload are: %.*s", n, (const char *)ref->data,
                       (int)(away->value.len < 200 ? away->value.len : 200), (const char *)away->value.data);
    return err_set(err, ERR_NOT_FOUND, "the store has no object %.*s, where the bytes of a payload are", n,
                   (const char *)ref->data);
}

int pbx_payload_json(const Pb__Payload *p, json_t **ret, struct err *err)
{
    *ret = NULL;
    const Pb__Payload__MetadataEntry *enc = metadata_of(p, "encoding"), *object = metadata_of(p, PBX_OBJECT_KEY);
    if (object)
        return in_the_store(object, metadata_of(p, PBX_AWAY_KEY), err);
    const char *name = enc ? (const char *)enc->value.data : "";
    size_t n = enc ? enc->value.len : 0;
    if (!p || (n == 11 && memcmp(name, "binary/null", n) == 0)) {
        *ret = json_null();
        return 0;
    }
    if (n != 10 || memcmp(name, "json/plain", n) != 0)
        return err_set(err, ERR_INVALID, "payload encoding '%.*s' is not json/plain",
                       (int)(n < 40 ? n : 40), name);
    return json_parse((const char *)p->data.data, p->data.len, STRBUF_MAX_DEFAULT, ret, err);
}

int pbx_payloads_json(const Pb__Payloads *p, size_t i, json_t **ret, struct err *err)
{
    return pbx_payload_json(p && i < p->n_payloads ? p->payloads[i] : NULL, ret, err);
}

Pb__Failure *pbx_app_failure(const char *message, const char *type, bool non_retryable,
                             const json_t *details)
{
    Pb__Failure *f = mem_alloc(sizeof *f);
    Pb__ApplicationFailureInfo *info = mem_alloc(sizeof *info);
    if (!f || !info) {
        free(f);
        free(info);
        return NULL;
    }
    pb__failure__init(f);
    pb__application_failure_info__init(info);
    f->failure_info_case = PB__FAILURE__FAILURE_INFO_APPLICATION_FAILURE_INFO;
    f->application_failure_info = info;
    f->message = pbx_str(message);
    f->source = pbx_str("FuzzForge");
    info->type = pbx_str(type);
    info->non_retryable = non_retryable;
    if (details)
        info->details = pbx_json_payloads(details);
    if (!f->message || !f->source || !info->type || (details && !info->details)) {
        if (!f->message)
            f->message = (char *)protobuf_c_empty_string;
        if (!f->source)
            f->source = (char *)protobuf_c_empty_string;
        if (!info->type)
            info->type = (char *)protobuf_c_empty_string;
        pb__failure__free_unpacked(f, NULL);
        return NULL;
    }
    return f;
}

char *pbx_failure_text(const Pb__Failure *f)
{
    struct strbuf b = STRBUF_INIT_MAX(FAILURE_TEXT_MAX + 8);
    for (int depth = 0; f && depth < FAILURE_TEXT_DEPTH; f = f->cause, depth++) {
        size_t n = strlen(f->message), room = FAILURE_TEXT_MAX - b.len;
        if (n > room)
            for (n = room; n && ((unsigned char)f->message[n] & 0xc0) == 0x80;)
                n--;
        if (b.len && n)
            strbuf_puts(&b, ": ");
        strbuf_append(&b, f->message, n);
        if (b.len >= FAILURE_TEXT_MAX)
            break;
    }
    return strbuf_take(&b, NULL);
}
