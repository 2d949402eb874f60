/* Objects, sent and fetched: as they are, in flat memory, and held against their names. */
#include "api/client/remote.h"

#include "api/client/client_internal.h"
#include "api/client/documents.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/units.h"
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

/* --- restoring -------------------------------------------------------------------------------------------------------------- */

#define AGAIN_MS 120000 /* at least so long a server that does not answer is waited for */
#define AGAIN_LOOK_MS 200

static int send_backup(struct client *c, int fd, bool replace, json_t **ret, struct err *err)
{
    struct stat st;
    struct client_call call = {.method = "POST", .path = replace ? "/restore?replace=true" : "/restore", .lasts = true};
    off_t at = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? lseek(fd, 0, SEEK_CUR) : -1;
    struct sent_file f = {.fd = fd};
    struct transfer t = {.call = &call, .read = read_bytes, .read_arg = &f,
                         .asks = true, .read_size = at >= 0 && at <= st.st_size ? st.st_size - at : -1};
    sha256_begin(&f.sum);
    int r = client_transfer(c, &t, err);
    sha256_release(&f.sum);
    if (f.err.code)
        r = err_copy(err, &f.err);
    if (r == 0)
        r = client_judge(c, &t, err);
    if (r == 0)
        r = client_read(c, &t, ret, err);
    transfer_release(&t);
    return r;
}

static int told_outcome(struct client *c, const char *outcome, struct err *err)
{
    int code = ERR_INTERNAL;
    if (strcmp(outcome, "done") == 0)
        return 0;
    for (int i = 1; i < ERR_COUNT_; i++)
        if (strcmp(outcome, err_name(i)) == 0)
            code = i;
    err_set(err, (enum err_code)code, "%s could not bring the backup back: %s", client_url(c), err_text(code));
    return err_hint(err, "its log says why");
}

struct again {
    const char *id;
    int64_t since, answered; /* monotonic ns: when the server had all of the backup, and when it last said something */
    bool over;               /* nothing more is to be waited for */
};

/* While the server is between two lives callers wait at its socket, or are not answered at all. */
static int look_again(struct client *c, struct again *a, struct err *err)
{
    _cleanup_json_ json_t *doc = NULL;
    int r = client_call(c, &(struct client_call){.path = "/health", .method = "GET"}, &doc, err);
    if (r < 0)
        return r;
    const json_t *restore = json_object_get(doc, "restore");
    a->answered = os_mono_ns();
    a->over = strcmp(json_str(restore, "id", ""), a->id) == 0;
    if (a->over)
        return told_outcome(c, json_str(restore, "outcome", ""), err);
    if (json_i64(doc, "uptime_seconds", INT64_MAX) >= (a->answered - a->since) / NS_PER_S)
        return err_set(err, ERR_UNAVAILABLE, "%s has not ended yet", client_url(c));
    a->over = true;
    err_set(err, ERR_UNAVAILABLE, "%s was ended meanwhile and has begun again: whether with the backup, it does not know",
            client_url(c));
    return err_hint(err, "'ff audit --action state.restore' there has it if so; else say it again");
}

static int wait_until_again(struct client *c, const char *id, struct err *err)
{
    struct again a = {.id = id, .since = os_mono_ns(), .answered = os_mono_ns()};
    int64_t patience = client_patience_ms(c) > AGAIN_MS ? client_patience_ms(c) : AGAIN_MS;
    for (;;) {
        int r = look_again(c, &a, err);
        if (r == 0 || a.over)
            return r;
        if (os_mono_ns() - a.answered > patience * NS_PER_MS) {
            err_wrap(err, "the server has all of the backup, but does not come back");
            return err_hint(err, "look at it there: whoever starts it again ends what it has begun");
        }
        if (r == -ERR_CANCELLED || !client_wait(c, AGAIN_LOOK_MS)) {
            err_set(err, ERR_CANCELLED, "cancelled: nobody waits for the server any more");
            return err_hint(err, "it has all of the backup, and begins again with it");
        }
        err_clear(err);
    }
}

int client_restore(struct client *c, int fd, bool replace, json_t **ret, struct err *err)
{
    int r = send_backup(c, fd, replace, ret, err);
    if (r == 0 && (!document_word(*ret, "restore") || !json_is_integer(json_object_get(*ret, "files"))))
        r = err_set(err, ERR_CORRUPT, "%s answers not as a server of FuzzForge does", client_url(c));
    if (r == 0)
        r = wait_until_again(c, json_str(*ret, "restore", ""), err);
    if (r < 0)
        json_decref(TAKE_PTR(*ret));
    return r;
}
