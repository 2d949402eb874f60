/* Objects, sent and fetched: as they are, in flat memory, and held against their names. */
#include "api/client/remote.h"

#include "api/client/client_internal.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "codec/json.h"
#include "codec/sha256.h"
#include "codec/uri.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_MAX_BYTES ((size_t)4 << 10)

/* The reference that bytes of that digest have; ends the sum. False: it could not be told. */
static bool sum_text(struct sha256 *sum, char ret[STORE_REF_LEN + 1])
{
    unsigned char digest[SHA256_BYTES];
    bool ok = sha256_end(sum, digest);
    strcpy(ret, "sha256:");
    for (size_t i = 0; ok && i < sizeof digest; i++)
        snprintf(ret + 7 + 2 * i, 3, "%02x", digest[i]);
    sha256_release(sum);
    return ok;
}

struct sent_file {
    int fd;
    uint64_t bytes;
    struct sha256 sum;
    struct err err;
};

static size_t read_bytes(char *buf, size_t size, size_t n, void *arg)
{
    struct sent_file *f = arg;
    size_t got = 0;
    if (os_read_full(f->fd, buf, size * n, &got, &f->err) < 0)
        return CURL_READFUNC_ABORT;
    f->bytes += got;
    sha256_add(&f->sum, buf, got);
    return got;
}

static int put_answer(struct client *c, struct transfer *t, const struct sent_file *f, const char *sum, struct err *err)
{
    _cleanup_json_ json_t *doc = NULL;
    int r = client_judge(c, t, err);
    if (r == 0)
        r = client_read(c, t, &doc, err);
    if (r == 0 && (strcmp(json_str(doc, "ref", ""), sum) != 0 || json_i64(doc, "bytes", -1) != (int64_t)f->bytes))
        r = err_set(err, ERR_CORRUPT, "%s has taken other bytes than those that were sent", client_url(c));
    return r;
}

int client_object_put(struct client *c, int fd, const char *media_type, struct store_ref *ret, uint64_t *ret_size,
                      struct err *err)
{
    struct sent_file f = {.fd = fd};
    struct stat st;
    struct strbuf path = STRBUF_INIT_MAX(PATH_MAX_BYTES);
    strbuf_puts(&path, "/store?type=");
    uri_append_value(&path, media_type);
    int r = strbuf_check(&path, err);
    struct client_call call = {.method = "POST", .path = strbuf_str(&path)};
    bool file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    off_t at = file ? lseek(fd, 0, SEEK_CUR) : 0;
    struct transfer t = {.call = &call, .read = read_bytes, .read_arg = &f,
                         .read_size = file && at >= 0 && at <= st.st_size ? st.st_size - at : -1};
    sha256_begin(&f.sum);
    if (r == 0)
        r = client_transfer(c, &t, err);
    bool summed = sum_text(&f.sum, ret->text);
    *ret_size = f.bytes;
    if (f.err.code) /* of the file, not of the way there */
        r = err_copy(err, &f.err);
    else if (r == 0)
        r = summed ? put_answer(c, &t, &f, ret->text, err) : err_nomem(err);
    transfer_release(&t);
    strbuf_release(&path);
    return r;
}

struct download {
    int fd;
    uint64_t bytes;
    struct sha256 sum;
};

static int take_bytes(void *arg, const void *data, size_t len, struct err *err)
{
    struct download *d = arg;
    d->bytes += len;
    sha256_add(&d->sum, data, len);
    return os_write_full(d->fd, data, len, err);
}

int client_object_get(struct client *c, const char *ref, int fd, uint64_t *ret_size, struct err *err)
{
    struct download d = {.fd = fd};
    struct strbuf path = STRBUF_INIT_MAX(PATH_MAX_BYTES);
    char text[STORE_REF_LEN + 1];
    strbuf_puts(&path, "/store/");
    uri_append_value(&path, ref);
    strbuf_puts(&path, "/bytes");
    sha256_begin(&d.sum);
    int r = strbuf_check(&path, err);
    if (r == 0)
        r = client_call(c, &(struct client_call){.path = strbuf_str(&path), .take = take_bytes, .arg = &d, .lasts = true}, NULL,
                        err);
    bool summed = sum_text(&d.sum, text);
    strbuf_release(&path);
    *ret_size = d.bytes;
    if (r == 0 && (!summed || strcmp(text, ref) != 0))
        r = err_set(err, ERR_CORRUPT, "%s gives other bytes than those of %s", client_url(c), ref);
    return r;
}
