/* Objects as answers. A large one goes through a file: it is checked before its first byte is sent, and memory stays flat. */
#include "api/rest/rest_internal.h"

#include "base/cleanup.h"
#include "os/file.h"

#include <string.h>

#define IN_MEMORY_MAX ((uint64_t)1 << 20) /* and then it may be compressed, too */
#define TYPE "application/octet-stream"

static int from_memory(struct exchange *x, const char *ref, struct err *err)
{
    char *bytes = NULL;
    size_t len;
    int r = store_get(x->svc.store, ref, IN_MEMORY_MAX, &bytes, &len, err);
    return r < 0 ? r : reply_text(x, 200, TYPE, bytes, len, err);
}

static int from_file(struct exchange *x, const char *ref, struct err *err)
{
    _cleanup_close_ int fd = -1;
    uint64_t size;
    int r = os_open_nameless(x->rest->o.upload_dir, &fd, err);
    if (r == 0)
        r = store_get_fd(x->svc.store, ref, fd, &size, err);
    if (r < 0)
        return r;
    struct MHD_Response *answer = http.MHD_create_response_from_fd64(size, fd);
    if (!answer)
        return err_nomem(err);
    fd = -1; /* the response's */
    if (http.MHD_add_response_header(answer, "Content-Type", TYPE) != MHD_YES) {
        http.MHD_destroy_response(answer);
        return err_nomem(err);
    }
    x->answer.ready = answer;
    x->answer.in_file = true;
    x->answer.status = 200;
    x->sent = size;
    return 0;
}

int reply_object(struct exchange *x, const char *ref, struct err *err)
{
    struct store_object_info info;
    int r = store_stat(x->svc.store, ref, &info, err);
    if (r == 0)
        r = info.size_bytes <= IN_MEMORY_MAX ? from_memory(x, ref, err) : from_file(x, ref, err);
    strcpy(x->answer.header[0], "Content-Disposition");
    strcpy(x->answer.header[1], "attachment");
    return r;
}
