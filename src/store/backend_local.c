/* The back end on local files.
 *
 *   index.db              small blobs (SMALL_MAX, MIDDLE_MAX below), and where in packs others are:
 *                         local_db.c
 *   files/p/<session>-<n> packs of chunks: local_pack.h. One that no row names, of a session that
 *                         has ended, is left over
 *   files/o/<2>/<name>    large records, one file each; its time of change is the stamp
 *   files/c/<2>/<name>    chunks of stores that were made before there were packs
 *   tmp/<session>-<n>     records on their way in
 *   sessions/ gate turnstile   local_gate.c
 *   aside/                damaged files, kept a week for a look
 *
 * At commit a pack is synced, then its folder, then one transaction names its blobs. A record is
 * written to tmp/, synced, renamed, and its folder synced. Write-back is started when bytes are
 * written and waited for at commit, when most of it is done. */
#include "store/backend.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/vec.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/file.h"
#include "store/local_db.h"
#include "store/local_gate.h"
#include "store/local_pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#define SMALL_MAX ((size_t)8 << 10)
/* Somewhat larger ones are rows too as long as a batch has few: then one transaction makes all of a
 * small upload durable, where a file would need three more syncs. */
#define MIDDLE_MAX ((size_t)128 << 10)
#define MIDDLE_BUDGET ((size_t)256 << 10)
#define ASIDE_KEEP_NS (INT64_C(7) * 24 * 3600 * NS_PER_S)

struct local {
    struct store_backend base;
    char *dir, *packs; /* the store's folder and that of its packs */
    struct local_db *db;
    struct local_gate *gate;
    atomic_ullong next_temp;
    atomic_bool bucket_synced[256]; /* the folder's own name is durable */
};

struct pending_file {
    char *temp, *name;
};
struct pending_row {
    char *name;
    char *data;
    size_t len;
};

struct pending_place {
    char *name;
    struct db_place place;
};

struct store_batch {
    struct local *l;
    enum store_class class;
    pthread_mutex_t lock;
    struct local_pack pack;
    VEC(struct pending_place) packed;
    VEC(struct pending_file) files; /* records */
    VEC(struct pending_row) rows;
    size_t bytes;
    size_t middle_bytes; /* of rows over SMALL_MAX, since the batch was made */
};

static struct local *local_of(struct store_backend *be)
{
    return (struct local *)be;
}

/* "c/abcd..." is at files/c/ab/abcd... */
static char *file_path(const struct local *l, const char *name)
{
    return mem_printf("%s/files/%c/%.2s/%s", l->dir, name[0], name + 2, name + 2);
}

/* Pins are always small; only chunks and records have files. */
static bool may_be_file(const char *name)
{
    return name[0] == 'c' || name[0] == 'o';
}

static int batch_new(struct store_backend *be, struct store_batch **ret, struct err *err)
{
    struct store_batch *b = mem_zalloc(sizeof *b);
    if (!b)
        return err_nomem(err);
    b->l = local_of(be);
    pthread_mutex_init(&b->lock, NULL);
    *ret = b;
    return 0;
}

static void batch_class(struct store_batch *b, enum store_class class)
{
    b->class = class;
}

static void batch_drop(struct store_batch *b)
{
    VEC_EACH(&b->files, f)
    {
        if (f->temp)
            (void)unlink(f->temp);
        free(f->temp);
        free(f->name);
    }
    VEC_EACH(&b->rows, w)
    {
        free(w->name);
        free(w->data);
    }
    VEC_EACH(&b->packed, p)
        free(p->name);
    local_pack_drop(&b->pack);
    VEC_CLEAR(&b->packed);
    VEC_CLEAR(&b->files);
    VEC_CLEAR(&b->rows);
    b->bytes = 0;
}

static void batch_free(struct store_batch *b)
{
    if (!b)
        return;
    batch_drop(b);
    VEC_RELEASE(&b->packed);
    VEC_RELEASE(&b->files);
    VEC_RELEASE(&b->rows);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static int add_row(struct store_batch *b, const char *name, const void *data, size_t len,
                   struct err *err)
{
    struct pending_row row = {mem_strdup(name), mem_dup(data, len), len};
    bool ok = row.name && row.data;
    if (ok) {
        pthread_mutex_lock(&b->lock);
        ok = VEC_PUSH(&b->rows, row);
        b->bytes += len;
        pthread_mutex_unlock(&b->lock);
    }
    if (ok)
        return 0;
    free(row.name);
    free(row.data);
    return err_nomem(err);
}

static int write_temp(const char *path, const void *data, size_t len, struct err *err)
{
    _cleanup_close_ int fd = -1;
    int r = os_open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, &fd, err);
    if (r == 0)
        r = os_write_full(fd, data, len, err);
    if (r == 0)
        (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* a head start only */
    return r;
}

/* Under the batch's lock. */
static int begin_pack(struct store_batch *b, struct err *err)
{
    const char *session;
    char name[PACK_NAME_MAX + 1];
    if (b->pack.path)
        return 0;
    int r = local_session_name(b->l->gate, &session, err);
    if (r < 0)
        return r;
    snprintf(name, sizeof name, "%s-%llu", session, atomic_fetch_add(&b->l->next_temp, 1));
    return local_pack_begin(&b->pack, b->l->packs, name, err);
}

static int add_packed(struct store_batch *b, const char *name, const void *data, size_t len,
                      struct err *err)
{
    struct pending_place p = {.name = mem_strdup(name)};
    if (!p.name)
        return err_nomem(err);
    pthread_mutex_lock(&b->lock);
    int r = begin_pack(b, err);
    if (r == 0)
        r = local_pack_add(&b->pack, data, len, &p.place, err);
    if (r == 0 && !VEC_PUSH(&b->packed, p))
        r = err_nomem(err);
    b->bytes += r == 0 ? len : 0;
    pthread_mutex_unlock(&b->lock);
    if (r < 0)
        free(p.name);
    return r;
}

static int add_file(struct store_batch *b, const char *name, const void *data, size_t len,
                    struct err *err)
{
    const char *session;
    int r = local_session_name(b->l->gate, &session, err);
    if (r < 0)
        return r;
    struct pending_file f = {
        mem_printf("%s/tmp/%s-%llu", b->l->dir, session, atomic_fetch_add(&b->l->next_temp, 1)),
        mem_strdup(name)};
    r = f.temp && f.name ? write_temp(f.temp, data, len, err) : err_nomem(err);
    if (r == 0) {
        pthread_mutex_lock(&b->lock);
        if (!VEC_PUSH(&b->files, f))
            r = err_nomem(err);
        b->bytes += len;
        pthread_mutex_unlock(&b->lock);
    }
    if (r < 0) {
        if (f.temp)
            (void)unlink(f.temp);
        free(f.temp);
        free(f.name);
    }
    return r;
}

static int batch_add(struct store_batch *b, const char *name, const void *data, size_t len,
                     struct err *err)
{
    ASSERT(strlen(name) > 4 && strlen(name) <= BLOB_NAME_MAX && name[1] == '/');
    bool row = len <= SMALL_MAX || !may_be_file(name);
    if (!row && len <= MIDDLE_MAX) {
        pthread_mutex_lock(&b->lock);
        row = b->middle_bytes + len <= MIDDLE_BUDGET;
        b->middle_bytes += row ? len : 0;
        pthread_mutex_unlock(&b->lock);
    }
    if (row)
        return add_row(b, name, data, len, err);
    return name[0] == 'c' ? add_packed(b, name, data, len, err) : add_file(b, name, data, len, err);
}

static void batch_pending(struct store_batch *b, size_t *ret_blobs, size_t *ret_bytes)
{
    pthread_mutex_lock(&b->lock);
    *ret_blobs = b->files.len + b->rows.len + b->packed.len;
    *ret_bytes = b->bytes;
    pthread_mutex_unlock(&b->lock);
}

static int sync_files(struct store_batch *b, struct err *err)
{
    VEC_EACH(&b->files, f)
    {
        _cleanup_close_ int fd = -1;
        int r = os_open(f->temp, O_WRONLY | O_NOFOLLOW, 0, &fd, err);
        if (r == 0)
            r = os_fsync(fd, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static atomic_bool *bucket_of(struct local *l, const char *name)
{
    char hex[3] = {name[2], name[3], 0};
    return &l->bucket_synced[strtoul(hex, NULL, 16) & 255];
}

/* Renames one file to its place; dirty collects the folders to sync. */
static int place_file(struct local *l, struct pending_file *f, struct map *dirty, struct err *err)
{
    _cleanup_free_ char *path = file_path(l, f->name);
    if (!path)
        return err_nomem(err);
    char *slash = strrchr(path, '/');
    *slash = 0;
    int r = os_is_dir(path) ? 0 : os_mkdir(path, 0755, true, err);
    if (r == 0 && !map_set(dirty, path, l))
        r = err_nomem(err);
    atomic_bool *synced = bucket_of(l, f->name);
    if (r == 0 && !atomic_load(synced)) { /* its parent too: it may be new */
        char *up = strrchr(path, '/');
        *up = 0;
        if (!map_set(dirty, path, l))
            r = err_nomem(err);
        *up = '/';
    }
    *slash = '/';
    if (r == 0)
        r = os_rename(f->temp, path, err);
    if (r == 0) {
        free(f->temp);
        f->temp = NULL;
    }
    return r;
}

static int place_files(struct local *l, struct store_batch *const *b, size_t n, struct err *err)
{
    struct map dirty = {0};
    int r = 0;
    for (size_t i = 0; i < n; i++)
        VEC_EACH(&b[i]->files, f)
        {
            if (r == 0)
                r = place_file(l, f, &dirty, err);
        }
    MAP_EACH(&dirty, e)
    {
        if (r == 0)
            r = os_fsync_dir(e->key, err);
    }
    map_release(&dirty);
    for (size_t i = 0; i < n && r == 0; i++)
        VEC_EACH(&b[i]->files, f)
        {
            if (!f->temp)
                atomic_store(bucket_of(l, f->name), true);
        }
    return r;
}

/* Of a transaction that found no room, and so has left nothing: nothing will ever name them. */
static void remove_packs(struct local *l, struct store_batch *const *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        VEC_EACH(&b[i]->packed, p) {
            _cleanup_free_ char *path = os_path_join(l->packs, p->place.pack);
            if (path)
                (void)unlink(path);
        }
}

/* Asked for corpora alone: what else is in a file says so itself (local_db.h), but in stores of before that was noted. */
static bool was_file(struct local *l, const char *name, enum store_class class)
{
    if (name[0] != 'o' || class != STORE_CORPORA)
        return false;
    _cleanup_free_ char *path = file_path(l, name);
    return path && os_exists(path);
}

static int commit_rows(struct local *l, struct store_batch *const *b, size_t n, struct err *err)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += b[i]->rows.len + b[i]->packed.len + b[i]->files.len;
    if (!count)
        return 0;
    _cleanup_free_ struct db_op *ops = mem_calloc(count, sizeof *ops);
    if (!ops)
        return err_nomem(err);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        VEC_EACH(&b[i]->rows, w)
            ops[k++] = (struct db_op){.kind = DB_PUT, .name = w->name, .data = w->data, .len = w->len, .class = b[i]->class,
                                      .was_file = was_file(l, w->name, b[i]->class)};
        VEC_EACH(&b[i]->packed, p)
            ops[k++] = (struct db_op){.kind = DB_PUT_PACKED, .name = p->name, .place = p->place};
        VEC_EACH(&b[i]->files, f)
            ops[k++] = (struct db_op){.kind = DB_MARK, .name = f->name, .class = b[i]->class,
                                      .was_file = was_file(l, f->name, b[i]->class)};
    }
    int r = local_db_write(l->db, ops, count, true, err);
    if (r == -ERR_NO_SPACE)
        remove_packs(l, b, n);
    return r < 0 ? r : local_pack_free_places(l->db, l->packs, ops, count, err);
}

/* From here on the packs stay, if the transaction fails in a way that leaves open whether it took place: its rows must find what
 * they name. */
static int seal_packs(struct local *l, struct store_batch *const *b, size_t n, struct err *err)
{
    bool any = false;
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        any |= b[i]->pack.path != NULL;
        r = local_pack_seal(&b[i]->pack, err);
    }
    return r == 0 && any ? os_fsync_dir(l->packs, err) : r;
}

static int batch_commit(struct store_backend *be, struct store_batch *const *b, size_t n,
                        struct err *err)
{
    struct local *l = local_of(be);
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = sync_files(b[i], err);
    if (r == 0)
        r = seal_packs(l, b, n, err);
    if (r == 0)
        r = commit_rows(l, b, n, err);
    if (r == 0)
        r = place_files(l, b, n, err);
    for (size_t i = 0; i < n; i++)
        batch_drop(b[i]);
    return r;
}

static int get_file(struct local *l, const char *name, size_t max, char **ret, size_t *ret_len,
                    struct err *err)
{
    _cleanup_free_ char *path = file_path(l, name);
    return path ? os_read_file(path, max, ret, ret_len, err) : err_nomem(err);
}

static int local_get(struct store_backend *be, const char *name, size_t max, char **ret,
                     size_t *ret_len, struct err *err)
{
    struct local *l = local_of(be);
    int r = local_db_get(l->db, name, max, ret, ret_len, err);
    if (r == -ERR_NOT_FOUND && name[0] == 'c')
        r = local_pack_get(l->db, l->packs, name, max, ret, ret_len, err);
    if (r == -ERR_NOT_FOUND && may_be_file(name))
        r = get_file(l, name, max, ret, ret_len, err);
    if (r == -ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "%s is not in the store", name);
    return r;
}

static int stat_file(struct local *l, const char *name, struct blob_info *ret, struct err *err)
{
    _cleanup_free_ char *path = file_path(l, name);
    struct stat st;
    if (!path)
        return err_nomem(err);
    int e = os_fault("stat");
    if (e || lstat(path, &st) < 0) {
        e = e ? e : errno;
        return e == ENOENT ? -ERR_NOT_FOUND : err_sys(err, e, "stat %s", path);
    }
    *ret = (struct blob_info){name, (uint64_t)st.st_size,
                              st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec};
    return 0;
}

static int local_stat(struct store_backend *be, const char *name, enum store_class class, struct blob_info *ret, struct err *err)
{
    struct local *l = local_of(be);
    int r = local_db_stat(l->db, name, ret, err);
    if (r == -ERR_NOT_FOUND && name[0] == 'c')
        r = local_pack_stat(l->db, l->packs, name, ret, err);
    if (r == -ERR_NOT_FOUND && may_be_file(name))
        r = stat_file(l, name, ret, err);
    bool in = true;
    if (r == 0 && name[0] == 'o' && class != STORE_ANY)
        r = local_db_in_class(l->db, name, class, &in, err);
    return r < 0 || in ? r : -ERR_NOT_FOUND;
}

static int local_touch(struct store_backend *be, const char *name, enum store_class class, struct err *err)
{
    struct local *l = local_of(be);
    if (may_be_file(name)) {
        _cleanup_free_ char *path = file_path(l, name);
        if (!path)
            return err_nomem(err);
        int e = os_fault("utimensat");
        if (!e && utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW) == 0)
            return 0;
        e = e ? e : errno;
        if (e != ENOENT)
            return err_sys(err, e, "touch %s", path);
    }
    struct db_op op = {.kind = DB_TOUCH, .name = name};
    int r = local_db_write(l->db, &op, 1, false, err);
    if (r == 0 && op.missing)
        r = err_set(err, ERR_NOT_FOUND, "%s is not in the store", name);
    return r;
}

static int local_remove(struct store_backend *be, const char *const *names, size_t n, int64_t before_ns, struct err *err)
{
    struct local *l = local_of(be);
    if (!n)
        return 0;
    _cleanup_free_ struct db_op *ops = mem_calloc(n, sizeof *ops);
    if (!ops)
        return err_nomem(err);
    struct map dirty = {0};
    int r = 0;
    for (size_t i = 0; i < n; i++)
        ops[i] = (struct db_op){.kind = DB_REMOVE, .name = names[i]};
    r = local_db_write(l->db, ops, n, true, err);
    if (r == 0)
        r = local_pack_free_places(l->db, l->packs, ops, n, err);
    for (size_t i = 0; i < n && r == 0; i++) {
        if (!may_be_file(names[i]))
            continue;
        _cleanup_free_ char *path = file_path(l, names[i]);
        r = path ? os_unlink(path, true, err) : err_nomem(err);
        if (r < 0)
            break;
        *strrchr(path, '/') = 0;
        if (os_is_dir(path) && !map_set(&dirty, path, l))
            r = err_nomem(err);
    }
    MAP_EACH(&dirty, e)
    {
        if (r == 0)
            r = os_fsync_dir(e->key, err);
    }
    map_release(&dirty);
    return r;
}

static int local_set_aside(struct store_backend *be, const char *name, struct err *err)
{
    struct local *l = local_of(be);
    _cleanup_free_ char *path = file_path(l, name);
    _cleanup_free_ char *to = mem_printf("%s/aside/%c-%s", l->dir, name[0], name + 2);
    if (!path || !to)
        return err_nomem(err);
    if (may_be_file(name) && os_exists(path)) {
        int r = os_rename(path, to, err);
        if (r == 0)
            (void)utimensat(AT_FDCWD, to, NULL, AT_SYMLINK_NOFOLLOW);
        return r;
    }
    return local_remove(be, &name, 1, 0, err);
}

struct listed {
    char *name;
    struct blob_info info;
};
struct listing {
    VEC(struct listed) v;
};

static void listing_release(struct listing *x)
{
    VEC_EACH(&x->v, e)
        free(e->name);
    VEC_RELEASE(&x->v);
}

static int listing_add(struct listing *x, char *name, uint64_t size, int64_t stamp, struct err *err)
{
    struct listed e = {name, {name, size, stamp}};
    if (name && VEC_PUSH(&x->v, e))
        return 0;
    free(name);
    return err_nomem(err);
}

/* The files of one folder, say "c/ab". */
static int list_folder(struct local *l, const char *prefix, struct listing *x, struct err *err)
{
    _cleanup_free_ char *path = mem_printf("%s/files/%s", l->dir, prefix);
    if (!path)
        return err_nomem(err);
    DIR *d = opendir(path);
    if (!d)
        return errno == ENOENT ? 0 : err_sys(err, errno, "read %s", path);
    struct dirent *e;
    int r = 0;
    while (r == 0 && (e = readdir(d))) {
        struct stat st;
        if (strlen(e->d_name) != 64 || strncmp(e->d_name, prefix + 2, 2) != 0 ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        r = listing_add(x, mem_printf("%c/%s", prefix[0], e->d_name), (uint64_t)st.st_size,
                        st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec, err);
    }
    closedir(d);
    return r;
}

static int list_rows(struct local *l, bool packed, const char *prefix, struct listing *x,
                     struct err *err)
{
    struct db_row rows[128];
    char after[BLOB_NAME_MAX + 1] = "";
    size_t n = ARRAY_LEN(rows);
    int r = 0;
    while (r == 0 && n == ARRAY_LEN(rows)) {
        r = local_db_page(l->db, packed, prefix, after, rows, ARRAY_LEN(rows), &n, err);
        if (r == 0 && n)
            snprintf(after, sizeof after, "%s", rows[n - 1].name);
        for (size_t i = 0; r == 0 && i < n; i++) {
            r = listing_add(x, TAKE_PTR(rows[i].name), rows[i].size_bytes, rows[i].stamp_ns, err);
            for (size_t j = i + 1; r < 0 && j < n; j++)
                free(rows[j].name);
        }
    }
    return r;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct listed *)a)->name, ((const struct listed *)b)->name);
}

static int give_listing(struct listing *x,
                        int (*each)(void *, const struct blob_info *, struct err *),
                        void *arg, struct err *err)
{
    if (x->v.len)
        qsort(x->v.v, x->v.len, sizeof *x->v.v, by_name);
    int r = 0;
    VEC_EACH(&x->v, e)
    {
        if (r != 0)
            break;
        r = each(arg, &e->info, err);
    }
    return r;
}

/* Chunks and records folder by folder, so that memory stays small with millions of them. */
static int local_list(struct store_backend *be, const char *prefix,
                      int (*each)(void *arg, const struct blob_info *info, struct err *err),
                      void *arg, struct err *err)
{
    struct local *l = local_of(be);
    bool whole = may_be_file(prefix) && strlen(prefix) == 2;
    int r = 0;
    for (int i = 0; i < (whole ? 256 : 1) && r == 0; i++) {
        char part[BLOB_NAME_MAX + 1];
        if (whole)
            snprintf(part, sizeof part, "%s%02x", prefix, (unsigned)i);
        else
            snprintf(part, sizeof part, "%s", prefix);
        struct listing x = {0};
        r = list_rows(l, false, part, &x, err);
        if (r == 0 && prefix[0] == 'c')
            r = list_rows(l, true, part, &x, err);
        if (r == 0 && may_be_file(prefix)) {
            char folder[6] = {part[0], '/', part[2], part[3], 0};
            r = list_folder(l, folder, &x, err);
        }
        if (r == 0)
            r = give_listing(&x, each, arg, err);
        listing_release(&x);
    }
    return r < 0 ? r : 0;
}

static int local_gate_enter_(struct store_backend *be, bool exclusive, struct err *err)
{
    return local_gate_enter(local_of(be)->gate, exclusive, err);
}

static void local_gate_leave_(struct store_backend *be, bool exclusive)
{
    local_gate_leave(local_of(be)->gate, exclusive);
}

static int collecting_set(struct store_backend *be, int64_t before_ns, struct err *err)
{
    return local_collecting_set(local_of(be)->gate, before_ns, err);
}

static int collecting_before(struct store_backend *be, int64_t *ret_ns, struct err *err)
{
    return local_collecting_before(local_of(be)->gate, ret_ns, err);
}

static int session_begin(struct store_backend *be, bool all, int64_t *ret_start_ns, struct err *err)
{
    return local_session_begin(local_of(be)->gate, all, ret_start_ns, err);
}

static void session_end(struct store_backend *be, int64_t start_ns)
{
    local_session_end(local_of(be)->gate, start_ns);
}

static int session_oldest(struct store_backend *be, bool others, int64_t *ret_ns, struct err *err)
{
    return local_session_oldest(local_of(be)->gate, others, ret_ns, err);
}

/* Removes from a folder what `gone` says may go. */
static int sweep_folder(struct local *l, const char *name,
                        bool (*gone)(struct local *l, const char *name, const struct stat *st),
                        uint64_t *ret_bytes, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(l->dir, name);
    if (!path)
        return err_nomem(err);
    DIR *d = opendir(path);
    if (!d)
        return err_sys(err, errno, "read %s", path);
    struct dirent *e;
    while ((e = readdir(d))) {
        struct stat st;
        if (e->d_name[0] != '.' && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && gone(l, e->d_name, &st) && unlinkat(dirfd(d), e->d_name, 0) == 0)
            *ret_bytes += (uint64_t)st.st_blocks * 512;
    }
    closedir(d);
    return 0;
}

static bool temp_gone(struct local *l, const char *name, const struct stat *st)
{
    char session[27];
    if (strlen(name) < 27 || name[26] != '-')
        return true;
    memcpy(session, name, 26);
    session[26] = 0;
    return !local_session_alive(l->gate, session);
}

static bool pack_gone(struct local *l, const char *name, const struct stat *st)
{
    bool used = true;
    return temp_gone(l, name, st) && local_db_pack_used(l->db, name, &used, NULL) == 0 && !used;
}

static bool aside_gone(struct local *l, const char *name, const struct stat *st)
{
    return os_now_ns() - st->st_mtim.tv_sec * NS_PER_S > ASIDE_KEEP_NS;
}

static int local_sweep(struct store_backend *be, uint64_t *ret_bytes, struct err *err)
{
    struct local *l = local_of(be);
    *ret_bytes = 0;
    int r = sweep_folder(l, "tmp", temp_gone, ret_bytes, err);
    if (r == 0)
        r = sweep_folder(l, "files/p", pack_gone, ret_bytes, err);
    return r < 0 ? r : sweep_folder(l, "aside", aside_gone, ret_bytes, err);
}

static int64_t local_busy_since(struct store_backend *be)
{
    return local_db_busy_since(local_of(be)->db);
}

static int local_check(struct store_backend *be, struct err *err)
{
    return local_db_check(local_of(be)->db, err);
}

static void local_free(struct store_backend *be)
{
    struct local *l = local_of(be);
    local_db_close(l->db);
    local_gate_close(l->gate);
    free(l->dir);
    free(l->packs);
    free(l);
}

static const struct store_ops local_ops = {
    .name = "local",
    .batch_new = batch_new,
    .batch_class = batch_class,
    .batch_add = batch_add,
    .batch_commit = batch_commit,
    .batch_pending = batch_pending,
    .batch_free = batch_free,
    .get = local_get,
    .stat = local_stat,
    .touch = local_touch,
    .remove = local_remove,
    .set_aside = local_set_aside,
    .list = local_list,
    .gate_enter = local_gate_enter_,
    .gate_leave = local_gate_leave_,
    .collecting_set = collecting_set,
    .collecting_before = collecting_before,
    .session_begin = session_begin,
    .session_end = session_end,
    .session_oldest = session_oldest,
    .sweep = local_sweep,
    .check = local_check,
    .busy_since = local_busy_since,
    .free = local_free,
};

static int make_folders(const char *dir, struct err *err)
{
    static const char *const names[] = {"tmp", "sessions", "aside", "files", "files/o", "files/p"};
    int r = os_mkdirs(dir, 0755, err);
    for (size_t i = 0; i < ARRAY_LEN(names) && r == 0; i++) {
        _cleanup_free_ char *path = os_path_join(dir, names[i]);
        if (!path)
            r = err_nomem(err);
        else if (!os_is_dir(path))
            r = os_mkdir(path, 0755, true, err);
    }
    return r;
}

/* Under a lock, because SQLite's change to WAL mode does not wait for another process that does the
 * same. */
static int open_index(struct local *l, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(l->dir, "index.db");
    _cleanup_free_ char *lock = os_path_join(l->dir, "opening");
    _cleanup_close_ int fd = -1;
    if (!path || !lock)
        return err_nomem(err);
    bool fresh = !os_exists(path);
    int r = os_open(lock, O_RDWR | O_CREAT, 0644, &fd, err);
    if (r == 0 && flock(fd, LOCK_EX) < 0)
        r = err_sys(err, errno, "lock %s", lock);
    if (r == 0)
        r = local_db_open(path, &l->db, err);
    if (r == 0 && fresh) { /* the names of all that was made */
        _cleanup_free_ char *files = os_path_join(l->dir, "files");
        r = files ? os_fsync_dir(files, err) : err_nomem(err);
        if (r == 0)
            r = os_fsync_dir(l->dir, err);
    }
    return r;
}

static int open_index_read_only(struct local *l, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(l->dir, "index.db");
    return path ? local_db_open_read_only(path, &l->db, err) : err_nomem(err);
}

int backend_local_open(const char *dir, bool read_only, struct store_backend **ret, struct err *err)
{
    struct local *l = mem_zalloc(sizeof *l);
    if (!l)
        return err_nomem(err);
    l->base.ops = &local_ops;
    l->dir = mem_strdup(dir);
    l->packs = os_path_join(dir, "files/p");
    int r = l->dir && l->packs ? 0 : err_nomem(err);
    if (r == 0 && !read_only)
        r = make_folders(dir, err);
    if (r == 0)
        r = local_gate_open(dir, read_only, &l->gate, err);
    if (r == 0)
        r = read_only ? open_index_read_only(l, err) : open_index(l, err);
    if (r < 0) {
        local_free(&l->base);
        return r;
    }
    *ret = &l->base;
    return 0;
}
