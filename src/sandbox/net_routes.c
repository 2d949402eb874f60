/* The little of routing netlink (RFC 3549, rtnetlink(7)) that a sandbox's network needs. */
#include "base/cleanup.h"
#include "gateway_internal.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int net_loopback_up(struct err *err)
{
    _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
        return err_sys(err, errno, "bring the loopback interface up");
    return 0;
}

struct route_request {
    struct nlmsghdr head;
    struct rtmsg route;
    struct rtattr attr;
    unsigned char address[16];
};

struct route_answer {
    struct nlmsghdr head;
    struct nlmsgerr error;
};

static int refuse_one(int fd, int family, const void *address, struct err *err)
{
    unsigned char bytes = family == AF_INET ? 4 : 16;
    struct route_request q = {
        .head = {.nlmsg_type = RTM_NEWROUTE,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK},
        .route = {.rtm_family = (unsigned char)family,
                  .rtm_dst_len = (unsigned char)(bytes * 8),
                  .rtm_table = RT_TABLE_MAIN,
                  .rtm_protocol = RTPROT_STATIC,
                  .rtm_type = RTN_UNREACHABLE},
        .attr = {.rta_len = (unsigned short)RTA_LENGTH(bytes), .rta_type = RTA_DST}};
    memcpy(q.address, address, bytes);
    q.head.nlmsg_len = (uint32_t)(offsetof(struct route_request, address) + bytes);
    union {
        struct route_answer answer;
        char bytes[1024];
    } a;
    if (send(fd, &q, q.head.nlmsg_len, 0) < 0)
        return err_sys(err, errno, "ask for a route");
    ssize_t n = recv(fd, &a, sizeof a, 0);
    if (n < 0)
        return err_sys(err, errno, "ask for a route");
    if ((size_t)n < sizeof a.answer || a.answer.head.nlmsg_type != NLMSG_ERROR)
        return err_set(err, ERR_INTERNAL, "an odd answer to a question for a route");
    return a.answer.error.error ? err_sys(err, -a.answer.error.error, "add a route") : 0;
}

/* The address to refuse, or NULL. */
static const void *host_address(const struct ifaddrs *a)
{
    if (!a->ifa_addr || (a->ifa_flags & IFF_LOOPBACK && a->ifa_addr->sa_family == AF_INET &&
                         ntohl(((const struct sockaddr_in *)(const void *)a->ifa_addr)
                                   ->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET))
        return NULL;
    if (a->ifa_addr->sa_family == AF_INET)
        return &((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr;
    if (a->ifa_addr->sa_family != AF_INET6)
        return NULL;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(six) || IN6_IS_ADDR_LINKLOCAL(six) ? NULL : six;
}

int net_refuse(const struct ifaddrs *list, struct err *err)
{
    _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return err_sys(err, errno, "netlink socket");
    for (const struct ifaddrs *a = list; a; a = a->ifa_next) {
        const void *address = host_address(a);
        if (!address)
            continue;
        int family = a->ifa_addr->sa_family;
        struct err e = {0};
        int r = refuse_one(fd, family, address, &e);
        if (r < 0 && family == AF_INET6 && !net_has_route(AF_INET6))
            continue; /* no IPv6 in here at all: nothing to refuse */
        if (r < 0)
            return err_copy(err, &e);
    }
    return 0;
}

bool net_has_route(int family)
{
    /* Addresses of documents (RFC 5737, RFC 3849); connecting a datagram socket sends nothing. */
    struct sockaddr_in four = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0xc0000201)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6,
                               .sin6_port = htons(9),
                               .sin6_addr = {{{0x20, 0x01, 0x0d, 0xb8, [15] = 1}}}};
    _cleanup_close_ int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    return family == AF_INET ? connect(fd, (struct sockaddr *)&four, sizeof four) == 0
                             : connect(fd, (struct sockaddr *)&six, sizeof six) == 0;
}

bool net_port_listened(int proc_fd, uint32_t port)
{
    char text[8192]; /* a new namespace has a handful of sockets */
    size_t len = 0;
    _cleanup_close_ int fd = openat(proc_fd, "self/net/tcp", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || os_read_full(fd, text, sizeof text - 1, &len, NULL) < 0)
        return false;
    text[len] = 0;
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        unsigned address, local, state;
        if (sscanf(line, " %*u: %x:%x %*x:%*x %x", &address, &local, &state) == 3 && local == port &&
            state == TCP_LISTEN && (address == INADDR_ANY || address == htonl(INADDR_LOOPBACK)))
            return true;
    }
    return false;
}
