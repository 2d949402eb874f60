/* Objects, sent and fetched: as they are, in flat memory, and held against their names. */
#include "api/client/remote.h"

#include "api/client/client_internal.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "codec/json.h"
#include "codec/sha256.h"
#include "codec/uri.h"
#include "os/clock.h"
#include "os/file.h"

#include <errno.h>
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

/* One attempt, with what follows from the file's place. size: -1: not known. */
static int put_once(struct client *c, const struct client_call *q, struct transfer *t, struct sent_file *f, off_t size,
                    char ret[STORE_REF_LEN + 1], struct err *err)
{
    *t = (struct transfer){.call = q, .read = read_bytes, .read_arg = f, .read_size = size};
    sha256_begin(&f->sum);
    int r = client_transfer(c, t, err);
    bool summed = sum_text(&f->sum, ret);
    if (f->err.code) /* of the file, not of the way there */
        return err_copy(err, &f->err);
    if (r == 0)
        r = summed ? put_answer(c, t, f, ret, err) : err_nomem(err);
    return r;
}

int client_object_put(struct client *c, int fd, const char *media_type, struct store_ref *ret, uint64_t *ret_size,
                      struct err *err)
{
    struct stat st;
    struct strbuf path = STRBUF_INIT_MAX(PATH_MAX_BYTES);
    struct client_patience patience = {0};
    char key[27];
    strbuf_puts(&path, "/store?type=");
    uri_append_value(&path, media_type);
    int r = strbuf_check(&path, err);
    bool file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    off_t at = file ? lseek(fd, 0, SEEK_CUR) : -1;
    file = file && at >= 0 && at <= st.st_size;
    os_ulid(key);
    struct client_call call = {.method = "POST", .path = strbuf_str(&path), .patience_ms = client_patience_ms(c),
                               .key = file ? key : NULL}; /* the same bytes are the same object; what a pipe gave is gone */
    for (int64_t pause = 0; r == 0 && pause >= 0;) {
        struct sent_file f = {.fd = fd};
        struct transfer t;
        r = put_once(c, &call, &t, &f, file ? st.st_size - at : -1, ret->text, err);
        *ret_size = f.bytes;
        pause = r < 0 && !f.err.code ? client_next_try(&call, &t, r, &patience) : -1;
        transfer_release(&t);
        if (pause < 0)
            break;
        if (!client_wait(c, pause))
            r = err_set(err, ERR_CANCELLED, "cancelled");
        else if (lseek(fd, at, SEEK_SET) < 0)
            r = err_sys(err, errno, "read the file again");
        else
            r = 0;
        if (r == 0)
            err_clear(err);
    }
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

static int take_backup(void *arg, const void *data, size_t len, struct err *err)
{
    return os_write_full(*(int *)arg, data, len, err);
}

int client_backup(struct client *c, int fd, struct err *err)
{
    struct client_call q = {.method = "POST", .path = "/backup", .take = take_backup, .arg = &fd, .lasts = true};
    return client_call(c, &q, NULL, err);
}
