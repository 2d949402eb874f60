/* The way out of a sandbox with `network: full`. */
#ifndef FF_SANDBOX_GATEWAY_INTERNAL_H
#define FF_SANDBOX_GATEWAY_INTERNAL_H

#include "sandbox/sandbox_internal.h"

#include <ifaddrs.h>

/* Starts the process that makes networks, if pasta is installed; else h->gateway_fd stays -1. In
 * the spawner, when its user namespace is there and its system calls are not restricted yet. */
void gateway_start(struct host *h);

/* In an init: asks for a network, waits for it, enters it. It goes when *ret_link is closed, in
 * this process and in all that it shares it with. */
int gateway_join(const struct host *h, const struct sandbox_plan *plan, int *ret_link,
                 struct err *err);

/* net_routes.c */
/* Brings the loopback interface of this network namespace up. */
int net_loopback_up(struct err *err);
/* Makes the addresses of the list unreachable from this network namespace, but for those of the
 * loopback interface, which are its own, and link-local ones, which no route leads to. */
int net_refuse(const struct ifaddrs *list, struct err *err);
/* Does a route lead out of this network namespace? family: AF_INET or AF_INET6. */
bool net_has_route(int family);
/* Does something listen on this TCP port of 127.0.0.1? It looks and binds nothing: a port that is
 * tried by binding it is taken from pasta in that moment. proc_fd: a /proc. */
bool net_port_listened(int proc_fd, uint32_t port);

#endif
