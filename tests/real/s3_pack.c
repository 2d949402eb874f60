/* One pack into a bucket, of any size: only the record of an object of 40 GB is large enough for an upload in parts.
 *
 * usage: s3_pack KEY FILE CACHE_FOLDER     exit status and message as ff has them
 * S3_ENDPOINT and so on say where, S3_RETRY_MS for how long, S3_PARALLEL how much at a time. */
#include "base/cleanup.h"
#include "os/file.h"
#include "store/s3/s3_internal.h"

#include <stdio.h>
#include <stdlib.h>

static int64_t number(const char *name)
{
    const char *text = getenv(name);
    return text ? strtoll(text, NULL, 10) : 0;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    struct s3_options o = {.endpoint = getenv("S3_ENDPOINT"), .bucket = getenv("S3_BUCKET"), .access_key = getenv("S3_ACCESS_KEY"),
                           .secret_key = getenv("S3_SECRET_KEY"), .cache_dir = argv[3], .retry_ms = number("S3_RETRY_MS"),
                           .parallel = (unsigned)number("S3_PARALLEL")};
    struct err err = {0};
    struct store_backend *be = NULL;
    _cleanup_free_ char *data = NULL;
    size_t len;
    int64_t stamp_ns;
    int r = os_read_file(argv[2], (size_t)1 << 30, &data, &len, &err);
    if (r == 0)
        r = backend_s3_open(&o, &be, &err);
    if (r == 0)
        r = api_put_pack((struct s3 *)be, argv[1], data, len, &stamp_ns, &err);
    if (r < 0)
        fprintf(stderr, "ff: %s\n", err.msg);
    if (be)
        be->ops->free(be);
    return err_exit_status(r);
}
