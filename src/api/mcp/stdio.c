#include "api/mcp/stdio.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "codec/json.h"
#include "os/file.h"
#include "os/lines.h"

#include <pthread.h>
#include <stdatomic.h>

struct stdio {
    struct mcp_session *session;
    struct mcp_sink sink;
    int out;
    pthread_mutex_t lock; /* out, running */
    pthread_cond_t cond;
    int running; /* threads */
    atomic_bool broken; /* nobody reads out any more */
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

static void message(void *arg, const char *text, size_t len)
{
    struct stdio *io = arg;
    struct mcp_message m;
    json_t *error;
    if (!text) {
        error = mcp_error(NULL, MCP_INVALID_REQUEST, "the message is too long", NULL);
        if (error)
            send(io, error);
        json_decref(error);
        return;
    }
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

int mcp_stdio(struct mcp *m, const struct mcp_session_options *o, int in, int out, int stop_fd, struct err *err)
{
    struct stdio io = {.out = out};
    const struct os_lines lines = {.max = MCP_MESSAGE_MAX, .line = message, .arg = &io, .stop = &io.broken, .stop_fd = stop_fd};
    io.sink = (struct mcp_sink){send, &io};
    int r = mcp_session_new(m, o, &io.session, err);
    if (r < 0)
        return r;
    pthread_mutex_init(&io.lock, NULL);
    pthread_cond_init(&io.cond, NULL);
    r = os_read_lines(in, &lines, err);
    mcp_session_free(io.session);
    pthread_mutex_lock(&io.lock);
    while (io.running)
        pthread_cond_wait(&io.cond, &io.lock);
    pthread_mutex_unlock(&io.lock);
    pthread_cond_destroy(&io.cond);
    pthread_mutex_destroy(&io.lock);
    return r;
}
