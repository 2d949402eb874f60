/* Network namespaces that are used again.
 *
 * A new one takes longer than all else of a sandbox together, and as long again when it goes. So each of the first places in the
 * spawner's table keeps one for what asks for no network and is our own code (sandbox.h): nothing but one such activity at a time
 * is in it, its only interface was never up, its settings belong to a user namespace in which no activity has rights, and sockets
 * end with the processes. What one could learn from it of another is a count of packets. */
#include "base/cleanup.h"
#include "sandbox/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    char buf[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

/* Gives the spawner a descriptor of this process's namespace. Should that fail, the next one in this place tries again. */
static void offer(const struct host *h, size_t index)
{
    _cleanup_close_ int fd = openat(h->proc_fd, "self/ns/net", O_RDONLY | O_CLOEXEC);
    union control control = {0};
    struct iovec iov = {.iov_base = &index, .iov_len = sizeof index};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (fd < 0)
        return;
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    (void)!sendmsg(h->offers[1], &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void network_keep(struct host *h)
{
    for (;;) {
        size_t index;
        int fd;
        union control control;
        struct iovec iov = {.iov_base = &index, .iov_len = sizeof index};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        if (recvmsg(h->offers[0], &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof index)
            return;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof fd))
            continue;
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
        if (index < NETWORKS_MAX && !h->networks[index])
            h->networks[index] = fd;
        else
            close(fd);
    }
}

int network_enter(const struct host *h, size_t index, struct err *err)
{
    if (index < NETWORKS_MAX && h->networks[index])
        return setns(h->networks[index], CLONE_NEWNET) < 0 ? err_sys(err, errno, "enter the network namespace") : 0;
    int r = network_renew(h, err);
    if (r == 0 && h->protection.net_ns && h->protection.pid_ns && index < NETWORKS_MAX)
        offer(h, index);
    return r;
}

int network_renew(const struct host *h, struct err *err)
{
    if (h->protection.net_ns && unshare(CLONE_NEWNET) < 0)
        return err_sys(err, errno, "new network namespace");
    return 0;
}
