#include "store/s3/cache.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/vec.h"
#include "os/clock.h"
#include "os/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FILES_MAX 200000
#define LOOK_SHARE 16    /* of the bound: after so much is written, what other processes have written is looked at */
#define LOOK_MS (INT64_C(3600) * 1000) /* and after this, at what has become too old, or half of the time to live */
#define DISK_SPARE ((uint64_t)32 << 20) /* left on the disk for those who need it more: the index, for one */
#define DIRECT_ALIGN ((size_t)4096)     /* what a write past the page cache must be a multiple of, and begin at */
#define PIECE_BYTES ((size_t)1 << 20)
#define SPARE_MAX 8
#define ROOM_BYTES ((size_t)5 << 20) /* rooms are of a few sizes, so that each is for any extent that comes later */
#define ROOM_SMALL ((size_t)1 << 20)
#define HUGE_BYTES ((size_t)2 << 20) /* a large page: found and cleared at once */
#define NAME_LEN 64 /* of a pack, in a file's name: its SHA-256 */

enum state { FLYING, MEMORY, DISK, GONE };

struct extent {
    char pack[NAME_LEN + 1];
    uint64_t offset;
    size_t len;
    enum state state;
    char *data; /* while MEMORY */
    char *room; /* while FLYING */
    size_t cap; /* of either */
    bool on_disk;
    bool listed;     /* in its pack's list; else freed when it is done with */
    bool queued;     /* is to be written */
    bool writing;    /* is being written: stays in memory */
    unsigned holders; /* views of it: so too */
    int64_t used_ns; /* mono, for memory */
};

struct pack_extents {
    VEC(struct extent *) v;
};

struct s3_cache {
    char *dir;
    uint64_t max_bytes;
    int64_t ttl_ms;
    size_t memory_max;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t arrived;
    struct map packs; /* sha256 -> struct pack_extents * */
    VEC(struct extent *) fresh; /* those in memory */
    size_t memory, flying;
    struct spare {
        char *p;
        size_t cap, touched;
    } spare[SPARE_MAX]; /* for use again */
    size_t spare_len, spare_bytes;
    VEC(struct extent *) queue; /* to be written, the next one last */
    pthread_cond_t work;
    pthread_t writer;
    bool writer_runs, stop;
    char *piece; /* the writer's: what is on its way to a file, aligned */
    uint64_t disk_bytes; /* as far as this process knows */
    uint64_t unseen_bytes; /* written since it looked at what others have written */
    uint64_t next_temp;
};

/* "<class>/<time>-<sha256>" -> sha256 */
static const char *short_name(const char *pack)
{
    size_t n = strlen(pack);
    ASSERT(n >= NAME_LEN);
    return pack + n - NAME_LEN;
}

static char *file_path(const struct s3_cache *c, const char *pack, uint64_t offset, size_t len)
{
    return mem_printf("%s/%.2s/%s.%llu.%zu", c->dir, pack, pack, (unsigned long long)offset, len);
}

/* --- what is known, under the lock -------------------------------------------------------------------------- */

static struct pack_extents *extents_of(struct s3_cache *c, const char *pack, bool make)
{
    struct pack_extents *x = map_get(&c->packs, pack);
    if (x || !make)
        return x;
    x = mem_zalloc(sizeof *x);
    if (x && !map_set(&c->packs, pack, x)) {
        free(x);
        x = NULL;
    }
    return x;
}

static struct extent *add_extent(struct s3_cache *c, const char *pack, uint64_t offset, size_t len, enum state state)
{
    struct pack_extents *x = extents_of(c, pack, true);
    struct extent *e = x ? mem_zalloc(sizeof *e) : NULL;
    if (!e)
        return NULL;
    snprintf(e->pack, sizeof e->pack, "%s", pack);
    e->offset = offset;
    e->len = len;
    e->state = state;
    e->listed = VEC_PUSH(&x->v, e);
    if (!e->listed) {
        free(e);
        return NULL;
    }
    return e;
}

static struct extent *find_extent(struct s3_cache *c, const char *pack, uint64_t offset, size_t len)
{
    struct pack_extents *x = extents_of(c, pack, false);
    if (!x)
        return NULL;
    VEC_EACH(&x->v, e)
    {
        if ((*e)->offset <= offset && offset + len <= (*e)->offset + (*e)->len)
            return *e;
    }
    return NULL;
}

static void give_spare(struct s3_cache *c, struct spare x)
{
    if (c->spare_len == SPARE_MAX || c->spare_bytes + x.touched > c->memory_max / 8 * 5) {
        free(x.p);
        return;
    }
    c->spare[c->spare_len++] = x;
    c->spare_bytes += x.touched;
}

/* The smallest that is large enough. */
static char *take_spare(struct s3_cache *c, size_t min, size_t *ret_cap)
{
    struct spare *best = NULL;
    for (size_t i = 0; i < c->spare_len; i++)
        if (c->spare[i].cap >= min && (!best || c->spare[i].cap < best->cap))
            best = &c->spare[i];
    if (!best)
        return NULL;
    char *p = best->p;
    *ret_cap = best->cap;
    c->spare_bytes -= best->touched;
    *best = c->spare[--c->spare_len];
    return p;
}

/* Memory for len bytes, touched before if there is such; under the lock. */
static char *find_room(struct s3_cache *c, size_t len, size_t *ret_cap)
{
    char *p = take_spare(c, len, ret_cap);
    bool small = len <= ROOM_SMALL;
    size_t unit = small ? ROOM_SMALL : ROOM_BYTES, cap = (len + unit - 1) / unit * unit;
    if (p)
        return p;
    p = mem_alloc_aligned(small ? DIRECT_ALIGN : HUGE_BYTES, cap);
    if (p && !small)
        (void)madvise(p, cap / HUGE_BYTES * HUGE_BYTES, MADV_HUGEPAGE);
    *ret_cap = p ? cap : 0;
    return p;
}

static void release_data(struct s3_cache *c, struct extent *e)
{
    if (!e->data)
        return;
    c->memory -= e->len;
    give_spare(c, (struct spare){TAKE_PTR(e->data), e->cap, e->len});
    for (size_t i = 0; i < c->fresh.len; i++)
        if (c->fresh.v[i] == e) {
            c->fresh.v[i] = VEC_POP(&c->fresh);
            return;
        }
}

static bool in_use(const struct extent *e)
{
    return e->writing || e->holders;
}

static void unqueue(struct s3_cache *c, struct extent *e)
{
    for (size_t i = 0; i < c->queue.len && e->queued; i++)
        if (c->queue.v[i] == e) {
            memmove(c->queue.v + i, c->queue.v + i + 1, (c->queue.len - i - 1) * sizeof(struct extent *));
            c->queue.len--;
            e->queued = false;
        }
}

/* Takes it out of its pack's list, and frees it unless it is on its way or being written. */
static void unlist(struct s3_cache *c, struct extent *e)
{
    struct pack_extents *x = extents_of(c, e->pack, false);
    for (size_t i = 0; x && i < x->v.len; i++)
        if (x->v.v[i] == e) {
            x->v.v[i] = VEC_POP(&x->v);
            break;
        }
    if (x && !x->v.len) {
        (void)map_remove(&c->packs, e->pack);
        VEC_RELEASE(&x->v);
        free(x);
    }
    unqueue(c, e);
    e->listed = false;
    if (in_use(e))
        return; /* the last one who does frees it */
    release_data(c, e);
    if (e->state != FLYING)
        free(e);
}

static size_t fetched_max(const struct s3_cache *c)
{
    return c->memory_max - c->memory_max / 4;
}

/* Lets go of memory, the least recently used first; what came last stays, or it would have come for nothing. */
static void trim_memory(struct s3_cache *c, size_t max)
{
    while (c->memory > max) {
        struct extent *oldest = NULL;
        size_t candidates = 0;
        VEC_EACH(&c->fresh, e)
        {
            if (!in_use(*e) && (!oldest || (*e)->used_ns < oldest->used_ns))
                oldest = *e;
            candidates += !in_use(*e);
        }
        if (candidates < 2)
            return;
        if (oldest->on_disk) {
            release_data(c, oldest);
            oldest->state = DISK;
        }
        else
            unlist(c, oldest);
    }
}

/* --- files ---------------------------------------------------------------------------------------------- */

struct cache_file {
    char *path;
    int64_t used_ns;
    uint64_t bytes;
};
typedef VEC(struct cache_file) file_list;

static int by_use(const void *a, const void *b)
{
    const struct cache_file *x = a, *y = b;
    return (x->used_ns > y->used_ns) - (x->used_ns < y->used_ns);
}

/* "<sha256>.<offset>.<length>" */
static bool parse_name(const char *name, char pack[NAME_LEN + 1], uint64_t *offset, size_t *len)
{
    unsigned long long o;
    int end = 0;
    if (strspn(name, "0123456789abcdef") != NAME_LEN || sscanf(name + NAME_LEN, ".%llu.%zu%n", &o, len, &end) != 2 ||
        name[NAME_LEN + end])
        return false;
    memcpy(pack, name, NAME_LEN);
    pack[NAME_LEN] = 0;
    *offset = o;
    return true;
}

/* Looks at one folder; what is too old or no extent (a crash left it) goes. */
static void scan_folder(struct s3_cache *c, const char *path, file_list *files, bool learn)
{
    DIR *d = opendir(path);
    struct dirent *e;
    int64_t now = os_now_ns();
    while (d && (e = readdir(d)) && files->len < FILES_MAX) {
        struct stat st;
        char pack[NAME_LEN + 1];
        uint64_t offset = 0;
        size_t len = 0;
        if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        int64_t used = (int64_t)st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec, age_ms = (now - used) / NS_PER_MS;
        bool good = parse_name(e->d_name, pack, &offset, &len) && (uint64_t)st.st_size == len;
        if (age_ms > c->ttl_ms || (!good && age_ms > 3600 * 1000)) {
            (void)unlinkat(dirfd(d), e->d_name, 0);
            continue;
        }
        struct cache_file f = {os_path_join(path, e->d_name), used, (uint64_t)st.st_size};
        if (!good || !f.path || !VEC_PUSH(files, f)) {
            free(f.path);
            continue;
        }
        struct extent *x = learn ? add_extent(c, pack, offset, len, DISK) : NULL;
        if (x)
            x->on_disk = true;
    }
    if (d)
        closedir(d);
}

static void scan(struct s3_cache *c, file_list *files, bool learn)
{
    for (unsigned i = 0; i < 256; i++) {
        _cleanup_free_ char *path = mem_printf("%s/%02x", c->dir, i);
        if (path)
            scan_folder(c, path, files, learn);
    }
}

static void release_files(file_list *files)
{
    VEC_EACH(files, f)
        free(f->path);
    VEC_RELEASE(files);
}

/* The files of all processes are looked at: those that are too old go, and if the rest leaves no room for `need` bytes, the least
 * recently used until a tenth is free. Extents that point to them find that out when they are read. */
static void trim_disk(struct s3_cache *c, size_t need)
{
    file_list files = {0};
    uint64_t total = 0;
    scan(c, &files, false);
    VEC_EACH(&files, f)
        total += f->bytes;
    if (files.len)
        qsort(files.v, files.len, sizeof *files.v, by_use);
    bool over = total + need > c->max_bytes;
    VEC_EACH(&files, f)
    {
        if (!over || total + need <= c->max_bytes / 10 * 9)
            break;
        if (unlink(f->path) == 0)
            total -= f->bytes;
    }
    release_files(&files);
    c->disk_bytes = total;
    c->unseen_bytes = 0;
}

/* A new file, written past the page cache where the file system can do that: what was sent or fetched a moment ago is in
 * memory anyway, and a page of the cache for each page of it costs more than the transfer. */
static int open_new(const char *path, int *ret_fd)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    int r = os_open(path, flags | O_DIRECT, 0600, ret_fd, NULL);
    if (r == -ERR_INVALID) { /* the file system cannot */
        (void)unlink(path);
        r = os_open(path, flags, 0600, ret_fd, NULL);
    }
    return r;
}

static size_t aligned(size_t n)
{
    return (n + DIRECT_ALIGN - 1) / DIRECT_ALIGN * DIRECT_ALIGN;
}

/* As it lies in its room, which is aligned. */
static bool write_room(int fd, char *data, size_t len)
{
    memset(data + len, 0, aligned(len) - len);
    return os_write_full(fd, data, aligned(len), NULL) == 0 && ftruncate(fd, (off_t)len) == 0;
}

static bool write_pieces(struct s3_cache *c, int fd, const char *data, size_t len)
{
    for (size_t at = 0; at < len; at += PIECE_BYTES) {
        size_t n = len - at < PIECE_BYTES ? len - at : PIECE_BYTES;
        memcpy(c->piece, data + at, n);
        memset(c->piece + n, 0, aligned(n) - n);
        if (os_write_full(fd, c->piece, aligned(n), NULL) < 0)
            return false;
    }
    return ftruncate(fd, (off_t)len) == 0;
}

/* Writes a file, whole or not at all; without a lock held. */
static bool write_file(struct s3_cache *c, const char *pack, uint64_t offset, char *data, size_t len, size_t cap)
{
    pthread_mutex_lock(&c->lock);
    if (c->disk_bytes + len > c->max_bytes || c->unseen_bytes > c->max_bytes / LOOK_SHARE)
        trim_disk(c, len);
    bool fits = c->disk_bytes + len <= c->max_bytes;
    uint64_t n = c->next_temp++;
    pthread_mutex_unlock(&c->lock);
    _cleanup_free_ char *path = file_path(c, pack, offset, len);
    _cleanup_free_ char *folder = mem_printf("%s/%.2s", c->dir, pack);
    _cleanup_free_ char *temp = mem_printf("%s/%.2s/tmp-%d-%llu", c->dir, pack, (int)getpid(), (unsigned long long)n);
    _cleanup_close_ int fd = -1;
    struct statvfs disk;
    if (statvfs(c->dir, &disk) < 0 || (uint64_t)disk.f_bavail * disk.f_frsize < len + DISK_SPARE)
        return false;
    if (!fits || !path || !temp || !folder)
        return false;
    if (open_new(temp, &fd) < 0 && (os_mkdir(folder, 0700, true, NULL) < 0 || open_new(temp, &fd) < 0))
        return false;
    bool direct = (uintptr_t)data % DIRECT_ALIGN == 0 && aligned(len) <= cap;
    bool ok = (direct ? write_room(fd, data, len) : write_pieces(c, fd, data, len)) && os_rename(temp, path, NULL) == 0;
    if (!ok) {
        (void)unlink(temp);
        return false;
    }
    pthread_mutex_lock(&c->lock);
    c->disk_bytes += len;
    c->unseen_bytes += len;
    pthread_mutex_unlock(&c->lock);
    return true;
}

/* Under the lock, which is left while it writes. */
static void write_one(struct s3_cache *c, struct extent *e)
{
    e->queued = false;
    e->writing = true;
    pthread_mutex_unlock(&c->lock);
    bool wrote = write_file(c, e->pack, e->offset, e->data, e->len, e->cap);
    pthread_mutex_lock(&c->lock);
    e->writing = false;
    e->on_disk = wrote;
    if (!e->listed) { /* dropped meanwhile */
        _cleanup_free_ char *path = wrote ? file_path(c, e->pack, e->offset, e->len) : NULL;
        if (path)
            (void)unlink(path);
        if (!in_use(e)) {
            release_data(c, e);
            free(e);
        }
    }
    trim_memory(c, fetched_max(c));
}

/* Under the lock, which is left meanwhile. False if nothing came for so long. */
static bool wait_for_work(struct s3_cache *c)
{
    int64_t until = os_mono_ns() + (c->ttl_ms / 2 < LOOK_MS ? c->ttl_ms / 2 : LOOK_MS) * NS_PER_MS;
    struct timespec t = {.tv_sec = (time_t)(until / NS_PER_S), .tv_nsec = (long)(until % NS_PER_S)};
    int e = 0;
    while (!c->queue.len && !c->stop && e == 0)
        e = pthread_cond_clockwait(&c->work, &c->lock, CLOCK_MONOTONIC, &t);
    return e == 0;
}

static void *write_files(void *arg)
{
    struct s3_cache *c = arg;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_mutex_lock(&c->lock);
    while (c->queue.len || !c->stop) {
        if (c->queue.len)
            write_one(c, VEC_POP(&c->queue));
        else if (!wait_for_work(c))
            trim_disk(c, 0);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* Into memory, and on the way to a file; takes data, of e->cap bytes, over. Under the lock. */
static void remember(struct s3_cache *c, struct extent *e, char *data)
{
    e->state = MEMORY;
    e->used_ns = os_mono_ns();
    if (!VEC_PUSH(&c->fresh, e)) {
        free(data);
        unlist(c, e);
        return;
    }
    e->data = data;
    c->memory += e->len;
    if (!c->writer_runs && (c->piece || (c->piece = mem_alloc_aligned(DIRECT_ALIGN, PIECE_BYTES))))
        c->writer_runs = pthread_create(&c->writer, NULL, write_files, c) == 0;
    e->queued = c->writer_runs && VEC_PUSH(&c->queue, e);
    pthread_cond_signal(&c->work);
}

/* [offset, offset + len) of an extent's file; false if it is not there whole. */
static bool read_file(const struct s3_cache *c, const struct extent *copy, uint64_t offset, size_t len, char *to)
{
    _cleanup_free_ char *path = file_path(c, copy->pack, copy->offset, copy->len);
    _cleanup_close_ int fd = -1;
    size_t n = 0;
    struct stat st;
    if (!path || os_open(path, O_RDONLY | O_NOFOLLOW, 0, &fd, NULL) < 0 ||
        os_pread_full(fd, to, len, offset - copy->offset, &n, NULL) < 0 || n != len)
        return false;
    if (fstat(fd, &st) == 0 && st.st_mtim.tv_sec < os_now_ns() / NS_PER_S - 60)
        (void)futimens(fd, NULL); /* used now */
    return true;
}

/* --- the interface -------------------------------------------------------------------------------------- */

int cache_open(const char *dir, uint64_t max_bytes, int64_t ttl_ms, size_t memory_bytes,
               struct s3_cache **ret, struct err *err)
{
    struct s3_cache *c = mem_zalloc(sizeof *c);
    if (!c)
        return err_nomem(err);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->arrived, NULL);
    pthread_cond_init(&c->work, NULL);
    c->dir = mem_strdup(dir);
    c->max_bytes = max_bytes;
    c->ttl_ms = ttl_ms;
    c->memory_max = memory_bytes;
    int r = c->dir ? os_mkdirs(dir, 0700, err) : err_nomem(err);
    if (r < 0) {
        cache_close(c);
        return r;
    }
    file_list files = {0};
    scan(c, &files, true);
    VEC_EACH(&files, f)
        c->disk_bytes += f->bytes;
    release_files(&files);
    *ret = c;
    return 0;
}

void cache_close(struct s3_cache *c)
{
    if (!c)
        return;
    if (c->writer_runs) { /* what is left in memory is written yet */
        pthread_mutex_lock(&c->lock);
        c->stop = true;
        pthread_cond_signal(&c->work);
        pthread_mutex_unlock(&c->lock);
        pthread_join(c->writer, NULL);
    }
    MAP_EACH(&c->packs, m)
    {
        struct pack_extents *x = m->value;
        VEC_EACH(&x->v, e)
        {
            ASSERT((*e)->state != FLYING && !(*e)->holders);
            free((*e)->data);
            free(*e);
        }
        VEC_RELEASE(&x->v);
        free(x);
    }
    map_release(&c->packs);
    VEC_RELEASE(&c->fresh);
    VEC_RELEASE(&c->queue);
    pthread_cond_destroy(&c->work);
    pthread_cond_destroy(&c->arrived);
    pthread_mutex_destroy(&c->lock);
    for (size_t i = 0; i < c->spare_len; i++)
        free(c->spare[i].p);
    free(c->piece);
    free(c->dir);
    free(c);
}

/* From its file; without a lock held. 0 also if that is gone, which is noted. */
static int view_file(struct s3_cache *c, const struct extent *copy, uint64_t offset, size_t len, struct cache_view *ret,
                     struct err *err)
{
    char *to = mem_alloc(len + 1);
    if (!to)
        return err_nomem(err);
    if (read_file(c, copy, offset, len, to)) {
        to[len] = 0;
        *ret = (struct cache_view){.data = to, .own = to};
        return 1;
    }
    free(to);
    pthread_mutex_lock(&c->lock);
    struct extent *e = find_extent(c, copy->pack, offset, len);
    if (e && e->state == DISK)
        unlist(c, e);
    pthread_mutex_unlock(&c->lock);
    return 0;
}

int cache_look(struct s3_cache *c, const char *pack, uint64_t offset, size_t len, struct cache_view *ret, struct err *err)
{
    const char *name = short_name(pack);
    struct extent *e, copy = {0};
    *ret = (struct cache_view){0};
    pthread_mutex_lock(&c->lock);
    while ((e = find_extent(c, name, offset, len)) && e->state == FLYING)
        pthread_cond_wait(&c->arrived, &c->lock);
    if (e && e->state == MEMORY) {
        e->holders++;
        e->used_ns = os_mono_ns();
        *ret = (struct cache_view){.data = e->data + (offset - e->offset), .held = e};
    } else if (e) {
        copy = *e;
    }
    pthread_mutex_unlock(&c->lock);
    return ret->held ? 1 : e ? view_file(c, &copy, offset, len, ret, err) : 0;
}

void cache_view_release(struct s3_cache *c, struct cache_view *v)
{
    struct extent *e = v->held;
    free(v->own);
    *v = (struct cache_view){0};
    if (!e)
        return;
    pthread_mutex_lock(&c->lock);
    e->holders--;
    if (!e->listed && !in_use(e)) { /* dropped meanwhile */
        release_data(c, e);
        free(e);
    }
    pthread_mutex_unlock(&c->lock);
}

bool cache_has(struct s3_cache *c, const char *pack, uint64_t offset, size_t len)
{
    pthread_mutex_lock(&c->lock);
    bool has = find_extent(c, short_name(pack), offset, len) != NULL;
    pthread_mutex_unlock(&c->lock);
    return has;
}

struct extent *cache_reserve(struct s3_cache *c, const char *pack, uint64_t offset, size_t len)
{
    pthread_mutex_lock(&c->lock);
    struct extent *e = find_extent(c, short_name(pack), offset, len);
    e = e ? NULL : add_extent(c, short_name(pack), offset, len, FLYING);
    if (e)
        c->flying += len;
    pthread_mutex_unlock(&c->lock);
    return e;
}

char *cache_room(struct s3_cache *c, struct extent *e)
{
    pthread_mutex_lock(&c->lock);
    e->room = find_room(c, e->len, &e->cap);
    pthread_mutex_unlock(&c->lock);
    return e->room;
}

void cache_fill(struct s3_cache *c, struct extent *e)
{
    pthread_mutex_lock(&c->lock);
    c->flying -= e->len;
    char *data = TAKE_PTR(e->room);
    if (e->listed) {
        remember(c, e, data);
        trim_memory(c, fetched_max(c));
    } else { /* dropped meanwhile */
        free(data);
        free(e);
    }
    pthread_cond_broadcast(&c->arrived);
    pthread_mutex_unlock(&c->lock);
}

void cache_fail(struct s3_cache *c, struct extent *e)
{
    pthread_mutex_lock(&c->lock);
    c->flying -= e->len;
    free(TAKE_PTR(e->room));
    e->state = GONE;
    if (e->listed)
        unlist(c, e);
    else
        free(e);
    pthread_cond_broadcast(&c->arrived);
    pthread_mutex_unlock(&c->lock);
}

void cache_keep(struct s3_cache *c, const char *pack, char *data, size_t len, size_t cap)
{
    const char *name = short_name(pack);
    pthread_mutex_lock(&c->lock);
    struct extent *e = find_extent(c, name, 0, len) ? NULL : add_extent(c, name, 0, len, MEMORY);
    if (e) {
        e->cap = cap;
        remember(c, e, data);
        trim_memory(c, c->memory_max / 4);
    } else {
        free(data);
    }
    pthread_mutex_unlock(&c->lock);
}

char *cache_take_room(struct s3_cache *c, size_t min, size_t *ret_cap)
{
    pthread_mutex_lock(&c->lock);
    char *p = find_room(c, min, ret_cap);
    pthread_mutex_unlock(&c->lock);
    return p;
}

void cache_drop(struct s3_cache *c, const char *pack)
{
    const char *name = short_name(pack);
    pthread_mutex_lock(&c->lock);
    struct pack_extents *x;
    while ((x = extents_of(c, name, false)) && x->v.len) {
        struct extent *e = x->v.v[x->v.len - 1];
        _cleanup_free_ char *path = e->on_disk ? file_path(c, e->pack, e->offset, e->len) : NULL;
        if (path)
            (void)unlink(path);
        unlist(c, e);
    }
    pthread_mutex_unlock(&c->lock);
}

size_t cache_flying(struct s3_cache *c)
{
    pthread_mutex_lock(&c->lock);
    size_t n = c->flying;
    pthread_mutex_unlock(&c->lock);
    return n;
}

size_t cache_memory(struct s3_cache *c)
{
    pthread_mutex_lock(&c->lock);
    size_t n = c->memory;
    pthread_mutex_unlock(&c->lock);
    return n;
}
