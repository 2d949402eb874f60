#include "api/grpc/auth.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

int auth_init(struct auth *a, const char *dir, bool insecure_loopback, struct err *err)
{
    char token[ACCESS_TOKEN_LEN + 1];
    a->insecure_loopback = insecure_loopback;
    int r = access_open(dir, &a->access, err);
    if (r == 0)
        r = access_owner_token(a->access, token, err);
    explicit_bzero(token, sizeof token);
    return r;
}

void auth_release(struct auth *a)
{
    access_close(TAKE_PTR(a->access));
}

static bool from_loopback(const char *peer)
{
    return strncmp(peer, "ipv4:127.", 9) == 0 || strncmp(peer, "ipv6:[::1]", 10) == 0 ||
           strncasecmp(peer, "ipv6:%5B::1%5D", 14) == 0;
}

int auth_check(const struct auth *a, const struct rpc_call *call, struct access_caller *ret, struct err *err)
{
    const char *via = rpc_call_local(call)                                           ? "socket"
                      : rpc_call_client_cert(call)                                   ? "certificate"
                      : a->insecure_loopback && from_loopback(rpc_call_peer(call)) ? "loopback"
                                                                                     : NULL;
    if (via) {
        access_local_caller(via, ret);
        return 0;
    }
    int r = a->access ? access_check_header(a->access, rpc_call_metadata(call, "authorization"), ret, err)
                      : err_set(err, ERR_UNAUTHENTICATED, "a token is needed");
    if (r == -ERR_UNAUTHENTICATED)
        err_hint(err,
                 "send the metadata 'authorization: Bearer TOKEN'; 'ff token create' makes one; one is in the state's file '%s'",
                 ACCESS_OWNER_FILE);
    return r;
}

int auth_address(const char *address, bool *ret_loopback, struct err *err)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    size_t n = colon ? (size_t)(colon - address) : 0;
    char *end;
    long port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtol(colon + 1, &end, 10) : -1;
    if (!n || n >= sizeof host || port < 0 || port > 65535 || *end) {
        err_set(err, ERR_USAGE, "'%.100s' is no address to listen at", address);
        return err_hint(err, "ADDR:PORT, as 127.0.0.1:7233 or [::1]:7233; port 0 picks a free one");
    }
    bool brackets = address[0] == '[' && address[n - 1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(brackets ? n - 2 : n), brackets ? address + 1 : address);
    struct in_addr v4;
    struct in6_addr v6;
    *ret_loopback = strcasecmp(host, "localhost") == 0 ||
                    (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127) ||
                    (inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6));
    return 0;
}
