#include "api/rest/mhd.h"

#include "base/cleanup.h"
#include "os/library.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct http_calls http;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct err why;

static const struct os_symbol mhd_calls[] = {
#define X(f) {#f, &http.f},
    MHD_CALLS(X)};
static const struct os_symbol wslay_calls[] = {
    WSLAY_CALLS(X)
#undef X
};

static void load(void)
{
    if (os_library_load("libmicrohttpd.so.12", mhd_calls, ARRAY_LEN(mhd_calls), &why) == 0)
        os_library_load("libwslay.so.1", wslay_calls, ARRAY_LEN(wslay_calls), &why);
}

/* The linker exports it, so that the loader finds it before the library's: no option of the library has it answer otherwise. */
__attribute__((visibility("default"), used)) enum MHD_Result MHD_queue_response(struct MHD_Connection *connection,
                                                                                unsigned int status_code,
                                                                                struct MHD_Response *response)
{
    http_refused(connection, status_code);
    return http.MHD_queue_response(connection, status_code, response); /* it cannot be sent any more; then the library ends it */
}

__attribute__((visibility("default"), used)) int shutdown(int fd, int how)
{
    if (how == SHUT_WR)
        http_ends(fd);
    return (int)syscall(SYS_shutdown, fd, how);
}

int http_load(struct err *err)
{
    pthread_once(&once, load);
    return why.code ? err_set(err, ERR_MISSING, "REST cannot be served: %s", why.msg) : 0;
}
