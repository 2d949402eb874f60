#include "ingest/entry_stream.h"

#include "base/mem.h"
#include "os/file.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static void put_u32(uint8_t *p, size_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static size_t get_u32(const uint8_t *p)
{
    return p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

static int write_parts(int fd, struct iovec *v, int n)
{
    while (n) {
        ssize_t w = writev(fd, v, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return -(int)err_from_errno(errno);
        while (n && (size_t)w >= v->iov_len) {
            w -= (ssize_t)v->iov_len;
            v++;
            n--;
        }
        if (n) {
            v->iov_base = (char *)v->iov_base + w;
            v->iov_len -= (size_t)w;
        }
    }
    return 0;
}

int frame_write(int fd, enum frame_type type, const void *a, size_t a_len, const void *b,
                size_t b_len)
{
    uint8_t head[5] = {(uint8_t)type};
    if (a_len + b_len > FRAME_MAX)
        return -ERR_LIMIT;
    put_u32(head + 1, a_len + b_len);
    struct iovec v[3] = {{head, 5}, {(void *)(uintptr_t)a, a_len}, {(void *)(uintptr_t)b, b_len}};
    return write_parts(fd, v, 3);
}

int frame_write_pair(int fd, enum frame_type type, const char *a, const char *b)
{
    uint8_t head[9] = {(uint8_t)type};
    size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len + b_len + 4 > FRAME_MAX)
        return -ERR_LIMIT;
    put_u32(head + 1, 4 + a_len + b_len);
    put_u32(head + 5, a_len);
    struct iovec v[3] = {{head, 9}, {(void *)(uintptr_t)a, a_len}, {(void *)(uintptr_t)b, b_len}};
    return write_parts(fd, v, 3);
}

int frame_reader_init(struct frame_reader *r, int fd, struct err *err)
{
    *r = (struct frame_reader){.fd = fd, .buf = mem_alloc(FRAME_MAX + 5)};
    return r->buf ? 0 : err_nomem(err);
}

void frame_reader_release(struct frame_reader *r)
{
    free(r->buf);
    *r = (struct frame_reader){.fd = -1};
}

/* Makes n bytes available; fewer only at the end. */
static int fill(struct frame_reader *r, size_t n, struct err *err)
{
    if (r->have - r->used >= n)
        return 0;
    memmove(r->buf, r->buf + r->used, r->have - r->used);
    r->have -= r->used;
    r->used = 0;
    while (r->have < n) {
        ssize_t got = read(r->fd, r->buf + r->have, FRAME_MAX + 5 - r->have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, errno, "read from the sandbox");
        if (got == 0)
            break;
        r->have += (size_t)got;
    }
    return 0;
}

int frame_read(struct frame_reader *r, struct frame *ret, struct err *err)
{
    *ret = (struct frame){0};
    int e = fill(r, 5, err);
    if (e < 0)
        return e;
    if (r->have == r->used)
        return 0;
    if (r->have - r->used < 5)
        return err_set(err, ERR_CORRUPT, "the reader in the sandbox stopped short");
    size_t len = get_u32(r->buf + r->used + 1);
    if (len > FRAME_MAX)
        return err_set(err, ERR_CORRUPT, "the reader in the sandbox sent nonsense");
    e = fill(r, 5 + len, err);
    if (e < 0)
        return e;
    if (r->have - r->used < 5 + len)
        return err_set(err, ERR_CORRUPT, "the reader in the sandbox stopped short");
    *ret = (struct frame){r->buf[r->used], r->buf + r->used + 5, len};
    r->used += 5 + len;
    return 0;
}
