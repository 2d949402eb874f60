/* A sign of life: the HTTP side is asked as its clients ask it, over a connection of the program's own. */
#include "api/rest/rest_internal.h"

#include "os/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void open_own(struct rest *r)
{
    static const struct sockaddr here = {.sa_family = AF_UNIX};
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return;
    atomic_store(&r->pulse.taken, fds[1]);
    if (http.MHD_add_connection(r->daemon, fds[1], &here, sizeof here) == MHD_YES) {
        r->pulse.fd = fds[0];
        return;
    }
    atomic_store(&r->pulse.taken, -1); /* no room for one more: others have it, and are being served */
    close(fds[0]);
}

static void ask(struct rest *r)
{
    static const char request[] = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    if (r->pulse.fd < 0)
        open_own(r);
    if (r->pulse.fd >= 0 && send(r->pulse.fd, request, sizeof request - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        r->pulse.asked_ns = os_mono_ns();
}

int64_t rest_pulse(struct rest *r)
{
    char answer[2048];
    int64_t tls = r->tls ? rest_tls_pulse(r->tls) : 0;
    ssize_t n = r->pulse.fd >= 0 ? recv(r->pulse.fd, answer, sizeof answer, MSG_DONTWAIT) : -1;
    bool gone = r->pulse.fd >= 0 && (n == 0 || (n < 0 && errno != EAGAIN)); /* one that was idle is ended: a sign of life too */
    if (n > 0 || gone)
        r->pulse.asked_ns = 0;
    if (gone) {
        close(r->pulse.fd);
        r->pulse.fd = -1;
    }
    if (!r->pulse.asked_ns)
        ask(r);
    return tls && tls < r->pulse.asked_ns ? tls : r->pulse.asked_ns ? r->pulse.asked_ns : tls;
}
