#include "os/lines.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define PIECE 65536

struct reader {
    const struct os_lines *o;
    struct strbuf line;
    bool too_long; /* the rest of the line is passed over */
};

static void end_of_line(struct reader *r)
{
    if (r->too_long)
        r->o->line(r->o->arg, NULL, 0);
    else if (r->line.len && strspn(r->line.s, " \t\r") != r->line.len)
        r->o->line(r->o->arg, r->line.s, r->line.len);
    r->too_long = false;
    strbuf_clear(&r->line);
}

static void take(struct reader *r, const char *p, size_t n)
{
    while (n) {
        const char *end = memchr(p, '\n', n);
        size_t k = end ? (size_t)(end - p) : n;
        r->too_long = r->too_long || r->line.len + k > r->o->max;
        if (!r->too_long)
            strbuf_append(&r->line, p, k);
        if (end)
            end_of_line(r);
        p += k + (end != NULL);
        n -= k + (end != NULL);
    }
}

static int read_all(struct reader *r, int fd, char *buf, struct err *err)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = r->o->stop_fd, .events = POLLIN}};
    while (!atomic_load(r->o->stop)) {
        if (poll(p, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return err_sys(err, errno, "wait for messages");
        }
        if (p[1].revents)
            return 0;
        ssize_t n = read(fd, buf, PIECE);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return err_sys(err, errno, "read messages");
        if (n == 0)
            break;
        take(r, buf, (size_t)n);
    }
    if (r->line.len)
        end_of_line(r); /* the last one without a newline */
    return 0;
}

int os_read_lines(int fd, const struct os_lines *o, struct err *err)
{
    struct reader r = {.o = o, .line = STRBUF_INIT_MAX(o->max + 1)};
    _cleanup_free_ char *buf = mem_alloc(PIECE);
    int x = buf ? read_all(&r, fd, buf, err) : err_nomem(err);
    strbuf_release(&r.line);
    return x;
}
