/* One end of a link: frames in and out of a socket. */
#include "link_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/utf8.h"
#include "rpc_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST ((size_t)8 << 10)
#define KEPT ((size_t)64 << 10) /* a larger buffer is given back when it is empty */

/* --- frames ------------------------------------------------------------------------------------------------ */

int64_t link_frame_parse(const uint8_t *data, size_t len, size_t max, struct link_frame *ret)
{
    if (len < sizeof *ret)
        return 0;
    memcpy(ret, data, sizeof *ret);
    if (ret->kind < LINK_CALL || ret->kind > LINK_BYE || ret->name > ret->size || ret->size - ret->name > max)
        return -1;
    return len - sizeof *ret < ret->size ? 0 : (int64_t)(sizeof *ret + ret->size);
}

uint8_t *link_failure_encode(const struct err *err, const char *detail_name, const ProtobufCMessage *detail, size_t *ret_len)
{
    int code = err->code ? err->code : ERR_INTERNAL;
    const char *texts[] = {err_name(code), err->msg[0] ? err->msg : err_text(code), err->hint};
    _cleanup_free_ uint8_t *status = NULL;
    size_t n = 0, status_len = 0;
    if (detail && rpc_status_encode(err_grpc_status(code), texts[1], detail_name, detail, &status, &status_len, NULL) < 0)
        status_len = 0; /* then without it */
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        n += strlen(texts[i]) + 1;
    uint8_t *out = mem_alloc(n + status_len), *p = out;
    for (size_t i = 0; out && i < ARRAY_LEN(texts); i++)
        p = (uint8_t *)stpcpy((char *)p, texts[i]) + 1;
    if (out && status_len)
        memcpy(p, status, status_len);
    *ret_len = n + status_len;
    return out;
}

static int code_of(const char *name)
{
    for (int c = 1; c < ERR_COUNT_; c++)
        if (strcmp(name, err_name(c)) == 0)
            return c;
    return ERR_INTERNAL; /* of another version */
}

void link_failure_decode(const uint8_t *data, size_t len, const struct rpc_detail_type *types, size_t n, struct err *ret,
                         ProtobufCMessage **ret_detail)
{
    const char *texts[3];
    *ret_detail = NULL;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const uint8_t *end = len ? memchr(data, 0, len) : NULL;
        if (!end || !utf8_valid((const char *)data, (size_t)(end - data))) {
            err_set(ret, ERR_CORRUPT, "an answer that cannot be read");
            return;
        }
        texts[i] = (const char *)data;
        len -= (size_t)(end + 1 - data);
        data = end + 1;
    }
    err_clear(ret);
    err_set(ret, (enum err_code)code_of(texts[0]), "%s", texts[1]);
    if (*texts[2])
        err_hint(ret, "%s", texts[2]);
    if (len)
        *ret_detail = rpc_status_decode(data, len, types, n);
}

/* --- buffers ----------------------------------------------------------------------------------------------- */

static bool make_room(struct link_bytes *b, size_t more)
{
    if (b->cap - b->len >= more)
        return true;
    size_t cap = b->cap ? b->cap : FIRST;
    while (cap - b->len < more)
        cap *= 2;
    uint8_t *v = mem_realloc(b->v, cap);
    if (!v)
        return false;
    b->v = v;
    b->cap = cap;
    return true;
}

static void emptied(struct link_bytes *b)
{
    b->len = b->sent = 0;
    if (b->cap > KEPT) {
        free(b->v);
        *b = (struct link_bytes){0};
    }
}

/* --- connections ------------------------------------------------------------------------------------------- */

void link_conn_init(struct link_conn *c, int fd, size_t send_max)
{
    *c = (struct link_conn){.fd = fd, .send_max = send_max};
    pthread_mutex_init(&c->lock, NULL);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        c->broken = true;
}

void link_conn_release(struct link_conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free(c->filling.v);
    free(c->writing.v);
    free(c->in.v);
    pthread_mutex_destroy(&c->lock);
}

int link_conn_put(struct link_conn *c, struct link_frame f, const char *name, const ProtobufCMessage *message, const void *data,
                  size_t len, uint64_t *ret_end)
{
    if (message)
        len = protobuf_c_message_get_packed_size(message);
    if (len > c->send_max)
        return -ERR_LIMIT;
    f.name = name ? (uint16_t)strlen(name) : 0;
    f.size = (uint32_t)(f.name + len);
    pthread_mutex_lock(&c->lock);
    struct link_bytes *b = &c->filling;
    int r = c->broken ? -ERR_UNAVAILABLE : make_room(b, sizeof f + f.size) ? 0 : -ERR_NO_MEMORY;
    if (r == 0) {
        memcpy(b->v + b->len, &f, sizeof f);
        b->len += sizeof f;
        if (name)
            memcpy(b->v + b->len, name, f.name);
        b->len += f.name;
        if (message)
            protobuf_c_message_pack(message, b->v + b->len);
        else if (len)
            memcpy(b->v + b->len, data, len);
        b->len += len;
        c->queued += sizeof f + f.size;
        if (ret_end)
            *ret_end = c->queued;
    }
    pthread_mutex_unlock(&c->lock);
    return r;
}

/* Under the lock, which is given up meanwhile. False: no more can be written now. */
static bool write_some(struct link_conn *c)
{
    struct link_bytes *b = &c->writing;
    pthread_mutex_unlock(&c->lock);
    ssize_t n = send(c->fd, b->v + b->sent, b->len - b->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    int e = errno;
    pthread_mutex_lock(&c->lock);
    if (n < 0) {
        c->blocked = e == EAGAIN;
        c->broken |= e != EAGAIN && e != EINTR;
        return e == EINTR;
    }
    c->written += (uint64_t)n;
    b->sent += (size_t)n;
    if (b->sent == b->len)
        emptied(b);
    return true;
}

bool link_conn_flush(struct link_conn *c)
{
    pthread_mutex_lock(&c->lock);
    bool mine = !c->busy && !c->blocked;
    c->busy |= mine;
    while (mine && !c->broken) {
        if (!c->writing.len) {
            struct link_bytes empty = c->writing;
            c->writing = c->filling;
            c->filling = empty;
        }
        if (!c->writing.len || !write_some(c))
            break;
    }
    if (mine)
        c->busy = false;
    bool ok = !c->broken && !c->blocked;
    pthread_mutex_unlock(&c->lock);
    return ok;
}

bool link_conn_pending(struct link_conn *c)
{
    pthread_mutex_lock(&c->lock);
    bool yes = !c->broken && !c->blocked && !c->busy && (c->filling.len || c->writing.len);
    pthread_mutex_unlock(&c->lock);
    return yes;
}

size_t link_conn_waiting(struct link_conn *c)
{
    pthread_mutex_lock(&c->lock);
    size_t n = c->filling.len + c->writing.len - c->writing.sent;
    pthread_mutex_unlock(&c->lock);
    return n;
}

bool link_conn_blocked(struct link_conn *c)
{
    pthread_mutex_lock(&c->lock);
    bool yes = c->blocked && !c->broken;
    pthread_mutex_unlock(&c->lock);
    return yes;
}

void link_conn_unblock(struct link_conn *c)
{
    pthread_mutex_lock(&c->lock);
    c->blocked = false;
    pthread_mutex_unlock(&c->lock);
}

uint64_t link_conn_written(struct link_conn *c)
{
    pthread_mutex_lock(&c->lock);
    uint64_t n = c->written;
    pthread_mutex_unlock(&c->lock);
    return n;
}

void link_conn_break(struct link_conn *c)
{
    pthread_mutex_lock(&c->lock);
    c->broken = true;
    pthread_mutex_unlock(&c->lock);
}

bool link_conn_read(struct link_conn *c, size_t max, link_heard *fn, void *arg)
{
    struct link_bytes *b = &c->in;
    if (!make_room(b, b->len < FIRST ? FIRST - b->len : 1)) /* no more than twice what has come */
        return false;
    ssize_t n = recv(c->fd, b->v + b->len, b->cap - b->len, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    b->len += (size_t)n;
    struct link_frame f;
    int64_t used;
    size_t at = 0;
    while ((used = link_frame_parse(b->v + at, b->len - at, max, &f)) > 0) {
        if (!fn(arg, &f, b->v + at + sizeof f))
            return false;
        at += (size_t)used;
    }
    memmove(b->v, b->v + at, b->len - at);
    b->len -= at;
    if (!b->len)
        emptied(b);
    return used == 0;
}
