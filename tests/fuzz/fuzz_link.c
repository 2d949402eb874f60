/* What a link reads of the other end: frames out of a stream, in pieces as the first byte says; a failure, and the messages. */
#include "fuzz.h"

#include "base/assert.h"
#include "codec/pbx.h"
#include "proto/pb.h"
#include "rpc/link_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX ((size_t)64 << 10)
#define INPUT_MAX ((size_t)128 << 10) /* less than a socket holds */

static const struct rpc_detail_type types[] = {
    {"temporal.api.errordetails.v1.NotFoundFailure", &pb__error_detail_not_found__descriptor}};

static bool heard(void *arg, const struct link_frame *f, const uint8_t *data)
{
    size_t *total = arg;
    struct err err = {0};
    ProtobufCMessage *m = NULL;
    *total += sizeof *f + f->size;
    ASSERT(f->name <= f->size && f->size - f->name <= MAX);
    if (f->kind == LINK_FAILURE) {
        link_failure_decode(data, f->size, types, 1, &err, &m);
        ASSERT(err.code > 0 && err.code < ERR_COUNT_);
    } else if (pbx_unpack(&pb__payloads__descriptor, data + f->name, f->size - f->name, &m, &err) < 0) {
        ASSERT(!m && err.code > 0);
    }
    if (m)
        protobuf_c_message_free_unpacked(m, NULL);
    return f->kind != LINK_BYE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct link_conn c;
    int fds[2];
    size_t total = 0;
    if (size == 0 || size > INPUT_MAX)
        return 0;
    ASSERT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    link_conn_init(&c, fds[0], MAX);
    size_t step = data[0] ? (size_t)data[0] * 16 : size;
    bool ok = true;
    for (size_t at = 1, n; ok && at < size; at += n) {
        n = size - at < step ? size - at : step;
        ASSERT(send(fds[1], data + at, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n);
        for (size_t read = 0; ok && read < n; read += 4096)
            ok = link_conn_read(&c, MAX, heard, &total);
    }
    ASSERT(total <= size);
    close(fds[1]);
    link_conn_release(&c);
    return 0;
}
