#include "api/mcp/stdio.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "os/file.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define PIECE 65536

struct stdio {
    struct mcp_session *session;
    struct mcp_sink sink;
    int out;
    pthread_mutex_t lock; /* out, running */
    pthread_cond_t cond;
    int running; /* threads */
    atomic_bool broken; /* nobody reads out any more */
    struct strbuf line;
    bool too_long; /* the rest of the line is passed over */
};

static void send(void *arg, const json_t *message)
{
    struct stdio *io = arg;
    _cleanup_(strbuf_release) struct strbuf b = STRBUF_INIT;
    if (json_write(message, &b, NULL) < 0)
        return;
    strbuf_putc(&b, '\n');
    pthread_mutex_lock(&io->lock);
    if (b.failed || os_write_full(io->out, b.s, b.len, NULL) < 0)
        atomic_store(&io->broken, true);
    pthread_mutex_unlock(&io->lock);
}

struct job {
    struct stdio *io;
    struct mcp_call *call;
};

static void *work(void *arg)
{
    struct job j = *(struct job *)arg;
    free(arg);
    mcp_call_run(j.call);
    pthread_mutex_lock(&j.io->lock);
    j.io->running--;
    pthread_cond_signal(&j.io->cond);
    pthread_mutex_unlock(&j.io->lock);
    return NULL;
}

/* In a thread of its own, so that a ping is answered and a cancellation heard meanwhile. */
static void start(struct stdio *io, struct mcp_call *call)
{
    pthread_t t;
    struct job *j = mem_alloc(sizeof *j);
    if (j) {
        *j = (struct job){io, call};
        pthread_mutex_lock(&io->lock);
        io->running++;
        pthread_mutex_unlock(&io->lock);
        if (pthread_create(&t, NULL, work, j) == 0) {
            pthread_detach(t);
            return;
        }
        pthread_mutex_lock(&io->lock);
        io->running--;
        pthread_mutex_unlock(&io->lock);
        free(j);
    }
    mcp_call_run(call); /* late is better than not */
}

static void message(struct stdio *io, const char *text, size_t len)
{
    struct mcp_message m;
    json_t *error;
    if (mcp_message_parse(text, len, &m, &error) < 0) {
        if (error)
            send(io, error);
        json_decref(error);
        return;
    }
    struct mcp_call *call = mcp_call_new(io->session, &m, &io->sink);
    if (!call)
        return;
    if (mcp_call_slow(call))
        start(io, call);
    else
        mcp_call_run(call);
}

static void end_of_line(struct stdio *io)
{
    if (io->too_long) {
        _cleanup_json_ json_t *error = mcp_error(NULL, MCP_INVALID_REQUEST, "the message is too long", NULL);
        if (error)
            send(io, error);
    } else if (io->line.len && strspn(io->line.s, " \t\r") != io->line.len) {
        message(io, io->line.s, io->line.len);
    }
    io->too_long = false;
    strbuf_clear(&io->line);
}

static void take(struct stdio *io, const char *p, size_t n)
{
    while (n) {
        const char *end = memchr(p, '\n', n);
        size_t k = end ? (size_t)(end - p) : n;
        if (!io->too_long && io->line.len + k > MCP_MESSAGE_MAX)
            io->too_long = true;
        if (!io->too_long)
            strbuf_append(&io->line, p, k);
        if (end)
            end_of_line(io);
        p += k + (end != NULL);
        n -= k + (end != NULL);
    }
}

static int read_all(struct stdio *io, int in, int stop_fd, struct err *err)
{
    _cleanup_free_ char *buf = mem_alloc(PIECE);
    struct pollfd p[2] = {{.fd = in, .events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};
    if (!buf)
        return err_nomem(err);
    while (!atomic_load(&io->broken)) {
        if (poll(p, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return err_sys(err, errno, "wait for messages");
        }
        if (p[1].revents)
            return 0;
        ssize_t n = read(in, buf, PIECE);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return err_sys(err, errno, "read messages");
        if (n == 0)
            break;
        take(io, buf, (size_t)n);
    }
    if (io->line.len)
        end_of_line(io); /* the last one without a newline */
    return 0;
}

int mcp_stdio(struct mcp *m, const struct mcp_session_options *o, int in, int out, int stop_fd, struct err *err)
{
    struct stdio io = {.out = out, .line = STRBUF_INIT_MAX(MCP_MESSAGE_MAX + 1)};
    io.sink = (struct mcp_sink){send, &io};
    int r = mcp_session_new(m, o, &io.session, err);
    if (r < 0)
        return r;
    pthread_mutex_init(&io.lock, NULL);
    pthread_cond_init(&io.cond, NULL);
    r = read_all(&io, in, stop_fd, err);
    mcp_session_free(io.session);
    pthread_mutex_lock(&io.lock);
    while (io.running)
        pthread_cond_wait(&io.cond, &io.lock);
    pthread_mutex_unlock(&io.lock);
    pthread_cond_destroy(&io.cond);
    pthread_mutex_destroy(&io.lock);
    strbuf_release(&io.line);
    return r;
}
