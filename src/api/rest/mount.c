/* Paths that another part of the program serves. */
#include "api/rest/rest_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const char *header(void *arg, const char *name)
{
    return request_header(arg, name);
}

void exchange_peer(const struct exchange *x, char *buf, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr *a = exchange_address(x);
    if (a && a->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, host, sizeof host);
    else if (a && a->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, host, sizeof host);
    snprintf(buf, size, "%s", host);
}

int do_mount(struct exchange *x, struct err *err)
{
    char peer[64];
    exchange_peer(x, peer, sizeof peer);
    const struct rest_mount *m = x->route->mount;
    struct rest_caller caller = x->caller;
    if (x->name_space[0]) /* who names one is bound to it there */
        snprintf(caller.name_space, sizeof caller.name_space, "%s", x->name_space);
    struct rest_mount_request q = {.method = x->method, .body = strbuf_str(&x->body), .body_len = x->body.len,
                                   .caller = &caller, .peer = peer, .header = header, .arg = x};
    struct rest_mount_answer a = {.status = 200};
    if (!m)
        return err_set(err, ERR_NOT_FOUND, "that is not served here");
    if (x->body.over) {
        err_set(err, ERR_LIMIT, "the body has over %zu bytes", JSON_BODY_MAX);
        return bad_field(x, "body", err);
    }
    int r = strbuf_check(&x->body, err);
    if (r == 0)
        r = m->handle(m->arg, &q, &a, err);
    if (r < 0)
        return r;
    memcpy(x->answer.header, a.header, sizeof a.header);
    x->answer.status = a.status;
    if (a.feed)
        return stream_feed(x, a.feed, err);
    return a.body ? reply_text(x, a.status, a.type, a.body, a.body_len, err) : 0;
}
