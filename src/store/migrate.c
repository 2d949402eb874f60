#include "store/migrate.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/vec.h"
#include "store/blob.h"
#include "store/manifest.h"
#include "store/upload.h"

#include <string.h>

#define PIN_BYTES_MAX ((size_t)64 << 10)

struct migration {
    struct store *from, *to;
    struct upload *uploads[STORE_ANY]; /* by class */
    struct upload *upload; /* the one of the object that is copied */
    struct codec *codec;
    void (*bad)(void *, const char *, const char *);
    void (*progress)(void *, const struct store_migrate_result *);
    bool (*stopped)(void *);
    void *arg;
    struct store_migrate_result *res;
};

static int check_stopped(const struct migration *m, struct err *err)
{
    return m->stopped && m->stopped(m->arg) ? err_set(err, ERR_CANCELLED, "it was cut short: saying it again ends it") : 0;
}

/* Checked before it is written, but copied as it lies there. */
static int copy_chunk(struct migration *m, const struct chunk_ref *ch, struct err *err)
{
    struct blob_name name = blob_name_of('c', &ch->digest);
    _cleanup_free_ char *block = NULL, *plain = NULL;
    struct digest got;
    size_t len, stored, plain_len;
    int r = check_stopped(m, err);
    if (r == 0)
        r = upload_chunk_known(m->upload, name.s, &stored, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = m->from->be->ops->get(m->from->be, name.s, BLOCK_HEADER + BLOCK_MAX, &block, &len, err);
    if (r == -ERR_NOT_FOUND || r == -ERR_LIMIT)
        return err_set(err, ERR_CORRUPT, "chunk %.12s is missing", name.s + 2);
    if (r == 0)
        r = block_length(block, len, &plain_len, err);
    if (r == 0 && !(plain = mem_alloc(plain_len + 1)))
        r = err_nomem(err);
    if (r == 0)
        r = block_unpack(m->codec, block, len, plain, plain_len, err);
    if (r == 0)
        r = digest_of(plain, plain_len, &got, err);
    if (r == 0 && (!digest_equal(&got, &ch->digest) || plain_len != ch->len))
        r = err_set(err, ERR_CORRUPT, "chunk %.12s: its bytes have changed", name.s + 2);
    if (r == 0)
        r = upload_blob(m->upload, name.s, block, len, err);
    if (r == 0) {
        m->res->chunks_copied++;
        m->res->bytes_copied += len;
    }
    return r;
}

static int copy_chunks(struct migration *m, const struct chunk_list *l, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < l->len && r == 0; i++) {
        chunks_expect(m->from, l, i);
        r = copy_chunk(m, &l->v[i], err);
    }
    return r;
}

/* The object, its chunks and, of a tree, those of its files; the record goes last. corpora: as such, else as target or result,
 * which a local store tells apart by what they are. */
static int copy_object(struct migration *m, const struct digest *d, bool corpora, struct err *err)
{
    struct record rec = {0};
    struct manifest tree = {0};
    struct blob_name name = blob_name_of('o', d);
    _cleanup_free_ char *raw = NULL, *bytes = NULL, *data = NULL;
    size_t raw_len, len;
    int r = object_record(m->from, d, &rec, &bytes, err);
    if (r == 0)
        r = m->from->be->ops->get(m->from->be, name.s, RECORD_MAX, &raw, &raw_len, err);
    m->upload = m->uploads[corpora ? STORE_CORPORA : rec.tree ? STORE_TARGETS : STORE_RESULTS];
    if (r == 0 && rec.block) /* small: checked whole */
        r = object_read(m->from, d, &rec, BLOCK_MAX, &data, &len, err);
    if (r == 0 && rec.tree)
        r = manifest_load(m->from, d, &tree, err);
    if (r == 0)
        r = copy_chunks(m, &tree.chunks, err);
    if (r == 0)
        r = copy_chunks(m, &rec.chunks, err);
    if (r == 0)
        r = upload_blob(m->upload, name.s, raw, raw_len, err);
    manifest_release(&tree);
    record_release(&rec);
    return r;
}

/* Is it in the store as corpora, or as something else? 1, 0 or an error. */
static int in_class(struct store *s, const char *name, bool corpora, struct err *err)
{
    struct blob_info info;
    int r = s->be->ops->stat(s->be, name, corpora ? STORE_CORPORA : STORE_RESULTS, &info, err);
    if (r == -ERR_NOT_FOUND && !corpora)
        r = s->be->ops->stat(s->be, name, STORE_TARGETS, &info, err);
    return r == 0 ? 1 : r == -ERR_NOT_FOUND ? 0 : r;
}

/* As all that it is in the one store, it is to be in the other. Looks there without regard to what others do meanwhile. */
static int copy_missing(struct migration *m, const char *name, const struct digest *d, struct err *err)
{
    bool from[2] = {false, false}, missing[2] = {false, false}, there = false; /* as something else, as corpora */
    int r = 0;
    for (int corpora = 0; corpora < 2 && r >= 0; corpora++) {
        r = in_class(m->from, name, corpora, err);
        from[corpora] = r == 1;
        if (r != 1)
            continue;
        r = in_class(m->to, name, corpora, err);
        missing[corpora] = r == 0;
        there = there || r == 1;
    }
    if (r >= 0 && !from[0] && !from[1])
        return -ERR_NOT_FOUND;
    if (r >= 0)
        r = there ? object_renew(m->to, d, err) : 0; /* all of it is there, and stays */
    if (r == -ERR_NOT_FOUND || r == -ERR_CORRUPT) {
        memcpy(missing, from, sizeof missing);
        r = 0;
    }
    for (int corpora = 0; corpora < 2 && r == 0; corpora++)
        r = missing[corpora] ? copy_object(m, d, corpora, err) : 0;
    m->res->objects_copied += r == 0 && (missing[0] || missing[1]);
    return r;
}

static int migrate_one(void *arg, const struct blob_info *info, struct err *err)
{
    struct migration *m = arg;
    struct digest d;
    struct err e = {0};
    if (strlen(info->name) != 2 + DIGEST_HEX || !digest_from_hex(info->name + 2, &d))
        return 0;
    int r = check_stopped(m, &e);
    if (r == 0)
        r = copy_missing(m, info->name, &d, &e);
    if (r == -ERR_NOT_FOUND) /* removed meanwhile */
        return 0;
    m->res->objects++;
    if (r == -ERR_CORRUPT) {
        struct store_ref ref;
        digest_to_ref(&d, &ref);
        m->res->bad_objects++;
        if (m->bad)
            m->bad(m->arg, ref.text, e.msg);
        r = 0;
    }
    if (r < 0)
        return err_copy(err, &e);
    if (m->progress)
        m->progress(m->arg, m->res);
    return 0;
}

static int migrate_pin(void *arg, const struct blob_info *info, struct err *err)
{
    struct migration *m = arg;
    struct blob_info known;
    _cleanup_free_ char *data = NULL;
    size_t len;
    int r = check_stopped(m, err);
    if (r == 0)
        r = m->to->be->ops->stat(m->to->be, info->name, STORE_ANY, &known, err);
    if (r != -ERR_NOT_FOUND)
        return r;
    r = m->from->be->ops->get(m->from->be, info->name, PIN_BYTES_MAX, &data, &len, err);
    if (r == -ERR_NOT_FOUND)
        return 0;
    if (r == 0)
        r = upload_blob(m->upload, info->name, data, len, err);
    if (r == 0)
        m->res->pins_copied++;
    return r;
}

int store_migrate(struct store *from, struct store *to,
                  void (*bad)(void *arg, const char *ref, const char *why),
                  void (*progress)(void *arg, const struct store_migrate_result *so_far), bool (*stopped)(void *arg), void *arg,
                  struct store_migrate_result *ret, struct err *err)
{
    struct migration m = {.from = from, .to = to, .bad = bad, .progress = progress, .stopped = stopped, .arg = arg, .res = ret};
    *ret = (struct store_migrate_result){0};
    m.codec = codec_take(from);
    int r = m.codec ? 0 : err_nomem(err);
    for (int class = 0; class < STORE_ANY && r == 0; class++)
        r = upload_begin(to, (enum store_class)class, false, &m.uploads[class], err);
    if (r == 0)
        r = from->be->ops->list(from->be, "o/", migrate_one, &m, err);
    for (int class = 0; class < STORE_ANY && r == 0; class++)
        r = upload_commit(m.uploads[class], err);
    m.upload = m.uploads[STORE_RESULTS];
    if (r == 0) /* only now: a pin keeps what is there */
        r = from->be->ops->list(from->be, "p/", migrate_pin, &m, err);
    if (r == 0)
        r = upload_commit(m.upload, err);
    for (int class = 0; class < STORE_ANY; class++)
        upload_free(m.uploads[class]);
    codec_give(from, m.codec);
    return r < 0 ? WRAP(r, err, "migrate") : 0;
}
