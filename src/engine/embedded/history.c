#include "engine/embedded/history.h"

#include "base/assert.h"
#include "base/mem.h"
#include "codec/pbx.h"

#include <string.h>

#define LENGTH_MAX 5 /* bytes of a length that fits 32 bits */

struct reader {
    const struct history_range *range;
    struct strbuf out;
    int64_t next;
    size_t events;
    bool full, from_disk;
};

static bool varint(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
    uint64_t v = 0;
    for (int shift = 0; *p < end && shift < 64; shift += 7) {
        uint8_t b = *(*p)++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

/* Takes the wanted events of a packed History. They are written with event_id first, so that an
 * event need not be decoded to be found. */
static int take(struct reader *r, const uint8_t *p, size_t n, struct err *err)
{
    const uint8_t *end = p + n;
    while (p < end && !r->full) {
        const uint8_t *start = p;
        uint64_t tag, len, id_tag, id;
        if (!varint(&p, end, &tag) || tag != 0x0a || !varint(&p, end, &len) ||
            len > (uint64_t)(end - p))
            return err_set(err, ERR_CORRUPT, "a batch of events cannot be read");
        const uint8_t *q = p;
        p += len;
        if (!varint(&q, p, &id_tag) || id_tag != 0x08 || !varint(&q, p, &id))
            return err_set(err, ERR_CORRUPT, "an event without an id");
        if ((int64_t)id < r->next)
            continue;
        if ((int64_t)id != r->next)
            return err_set(err, ERR_CORRUPT, "event %lld is missing", (long long)r->next);
        if ((int64_t)id >= r->range->to || r->events == r->range->max_events ||
            (r->events && r->out.len + (size_t)(p - start) > r->range->max_bytes)) {
            r->full = true;
            break;
        }
        strbuf_append(&r->out, start, (size_t)(p - start));
        r->events++;
        r->next++;
    }
    return 0;
}

static int read_rows(struct eng *e, struct run *run, struct reader *r, struct err *err)
{
    int64_t base = run->key << DB_HISTORY_SHIFT;
    sqlite3_stmt *s = db_stmt(&e->db, DB_HISTORY_FROM);
    sqlite3_bind_int64(s, 1, base + r->next);
    sqlite3_bind_int64(s, 2, base + run->flushed_next);
    sqlite3_bind_int64(s, 3, base);
    int rc, q = 0;
    while (q == 0 && !r->full && (rc = sqlite3_step(s)) != SQLITE_DONE) {
        if (rc != SQLITE_ROW)
            q = db_error(&e->db, "read history", err);
        else
            q = take(r, sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1), err);
    }
    sqlite3_reset(s);
    return q;
}

/* Into r->out, behind what is there. */
static int gather(struct eng *e, struct run *run, struct reader *r, struct err *err)
{
    int q = 0;
    if (r->next < r->range->to && r->next < run->tail_first) {
        r->from_disk = true;
        q = read_rows(e, run, r, err);
    }
    if (q == 0 && !r->full && run->tail.s) {
        /* What the rows gave is skipped by its ids. */
        size_t skip = r->next >= run->flushed_next && run->tail.len > run->flushed ? run->flushed : 0;
        q = take(r, (uint8_t *)run->tail.s + skip, run->tail.len - skip, err);
    }
    return q < 0 ? q : strbuf_check(&r->out, err);
}

static int undecodable(int r, struct err *err)
{
    return r == -ERR_INVALID ? err_set(err, ERR_CORRUPT, "an event cannot be decoded") : r;
}

int history_read(struct eng *e, struct run *run, const struct history_range *range,
                 Pb__History **ret, int64_t *ret_next, struct err *err)
{
    struct reader r = {.range = range, .next = range->from, .out = STRBUF_INIT};
    ProtobufCMessage *m = NULL;
    int q = gather(e, run, &r, err);
    if (q == 0)
        q = undecodable(pbx_unpack(&pb__history__descriptor, strbuf_str(&r.out), r.out.len, &m, err), err);
    strbuf_release(&r.out);
    if (q < 0)
        return q;
    *ret = (Pb__History *)m;
    *ret_next = r.next;
    return 0;
}

/* The length before the events, whose place begins at LENGTH_MAX. */
static void put_length(struct strbuf *b)
{
    uint8_t head[LENGTH_MAX];
    size_t n = b->len - LENGTH_MAX, k = 0, v = n;
    for (; v >= 0x80; v >>= 7)
        head[k++] = (uint8_t)(v | 0x80);
    head[k++] = (uint8_t)v;
    memmove(b->s + k, b->s + LENGTH_MAX, n);
    memcpy(b->s, head, k);
    b->len = k + n;
}

int history_read_packed(struct eng *e, struct run *run, const struct history_range *range, ProtobufCMessage *to,
                        int64_t *ret_next, struct err *err)
{
    struct reader r = {.range = range, .next = range->from, .out = STRBUF_INIT};
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(to->descriptor, "history");
    ASSERT(f && f->descriptor == &pb__history__descriptor && !to->n_unknown_fields);
    ProtobufCMessageUnknownField *u = mem_zalloc(sizeof *u);
    strbuf_append(&r.out, (char[LENGTH_MAX]){0}, LENGTH_MAX);
    int q = u ? gather(e, run, &r, err) : err_nomem(err);
    if (q == 0 && r.from_disk) /* what we made ourselves is good */
        q = undecodable(pbx_scan(&pb__history__descriptor, r.out.s + LENGTH_MAX, r.out.len - LENGTH_MAX, err), err);
    if (q < 0) {
        strbuf_release(&r.out);
        free(u);
        return q;
    }
    put_length(&r.out);
    u->tag = f->id;
    u->wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    u->data = (uint8_t *)strbuf_take(&r.out, &u->len);
    to->unknown_fields = u;
    to->n_unknown_fields = 1;
    *ret_next = r.next;
    return 0;
}

int history_event(struct eng *e, struct run *run, int64_t id, Pb__HistoryEvent **ret,
                  struct err *err)
{
    struct history_range range = {.from = id, .to = id + 1, .max_events = 1, .max_bytes = 1};
    Pb__History *h;
    int64_t next;
    int r = history_read(e, run, &range, &h, &next, err);
    if (r < 0)
        return r;
    if (h->n_events == 1) {
        *ret = h->events[0];
        h->n_events = 0;
    } else {
        r = err_set(err, ERR_CORRUPT, "event %lld of run %s is missing", (long long)id,
                    run->s->run_id);
    }
    pb__history__free_unpacked(h, NULL);
    return r;
}
