/* Reading everything, to find what is damaged before somebody needs it.
 *
 * A chunk whose bytes are not those of its name is set aside, so that putting the same content
 * again writes it anew instead of finding it there. */
#include "store/store_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/blob.h"
#include "store/manifest.h"
#include "store/upload.h"

#include <stdio.h>
#include <string.h>

struct verify {
    struct store *s;
    struct codec *codec;
    struct digest_set good, bad; /* chunks that were read */
    void (*report)(void *arg, const char *ref, const char *why);
    bool (*stopped)(void *arg);
    void *arg;
    struct store_verify_result *res;
};

/* -ERR_CORRUPT if the chunk is damaged or absent, each read once. */
static int verify_chunk(struct verify *v, const struct chunk_ref *ch, struct err *err)
{
    struct blob_name name = blob_name_of('c', &ch->digest);
    if (digest_set_has(&v->good, &ch->digest))
        return 0;
    if (digest_set_has(&v->bad, &ch->digest))
        return err_set(err, ERR_CORRUPT, "chunk %.12s is damaged or missing", name.s + 2);
    _cleanup_free_ char *data = NULL;
    int r = chunk_read(v->s, v->codec, &ch->digest, ch->len, &data, NULL, err);
    if (r == 0) {
        v->res->chunks++;
        v->res->bytes += ch->len;
        return digest_set_add(&v->good, &ch->digest, NULL, err);
    }
    if (r != -ERR_CORRUPT)
        return r;
    /* A failure here changes nothing of what is told. */
    (void)digest_set_add(&v->bad, &ch->digest, NULL, NULL);
    (void)v->s->be->ops->set_aside(v->s->be, name.s, NULL);
    return r;
}

static int verify_chunks(struct verify *v, const struct chunk_list *l, struct err *err)
{
    int r = 0, first = 0;
    for (size_t i = 0; i < l->len && (r == 0 || r == -ERR_CORRUPT); i++) {
        r = verify_chunk(v, &l->v[i], first ? NULL : err);
        first = first ? first : r;
    }
    return r < 0 && r != -ERR_CORRUPT ? r : first;
}

static int verify_object(struct verify *v, const struct digest *d, struct err *err)
{
    struct record rec;
    struct manifest m = {0};
    _cleanup_free_ char *bytes = NULL, *data = NULL;
    size_t len;
    int r = object_record(v->s, d, &rec, &bytes, err);
    if (r == 0)
        r = verify_chunks(v, &rec.chunks, err);
    /* The name is of the whole: a record may list good chunks that are not its own. */
    if (r == 0 && rec.chunks.len <= 1 && rec.block == NULL) {
        if (rec.chunks.len && !digest_equal(&rec.chunks.v[0].digest, d))
            r = err_set(err, ERR_CORRUPT, "the record lists a chunk that is not its own");
    } else if (r == 0 && rec.block) {
        r = object_read(v->s, d, &rec, BLOCK_MAX, &data, &len, err);
        v->res->bytes += rec.size_bytes;
    } else if (r == 0) {
        r = object_hash(v->s, d, &rec, err);
    }
    if (r == 0 && rec.tree)
        r = manifest_load(v->s, d, &m, err);
    if (r == 0)
        r = verify_chunks(v, &m.chunks, err);
    manifest_release(&m);
    record_release(&rec);
    return r;
}

static int verify_one(void *arg, const struct blob_info *info, struct err *err)
{
    struct verify *v = arg;
    struct digest d;
    struct err e = {0};
    if (v->stopped && v->stopped(v->arg))
        return err_set(err, ERR_CANCELLED, "cancelled");
    if (strlen(info->name) != 2 + DIGEST_HEX || !digest_from_hex(info->name + 2, &d))
        return 0;
    int r = verify_object(v, &d, &e);
    if (r == -ERR_NOT_FOUND) /* removed meanwhile */
        return 0;
    if (r < 0 && r != -ERR_CORRUPT && r != -ERR_IO)
        return err_copy(err, &e);
    v->res->objects++;
    if (r < 0) {
        struct store_ref ref;
        digest_to_ref(&d, &ref);
        v->res->bad_objects++;
        if (v->report)
            v->report(v->arg, ref.text, e.msg);
    }
    return 0;
}

int store_verify(struct store *s, void (*bad)(void *arg, const char *ref, const char *why), bool (*stopped)(void *arg),
                 void *arg, struct store_verify_result *ret, struct err *err)
{
    struct verify v = {.s = s, .report = bad, .stopped = stopped, .arg = arg, .res = ret};
    *ret = (struct store_verify_result){0};
    v.codec = codec_take(s);
    int r = v.codec ? s->be->ops->list(s->be, "o/", verify_one, &v, err) : err_nomem(err);
    codec_give(s, v.codec);
    digest_set_release(&v.good);
    digest_set_release(&v.bad);
    return r;
}

int store_check_index(struct store *s, struct err *err)
{
    return s->be->ops->check ? s->be->ops->check(s->be, err) : 0;
}

int64_t store_busy_since(const struct store *s)
{
    return s->be->ops->busy_since ? s->be->ops->busy_since(s->be) : 0;
}
