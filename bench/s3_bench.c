/* A store in a bucket: large objects put and got, and many small ones. One line for each value, for bench/s3, which runs a peer
 * on the same service.
 *
 * usage: s3_bench put|get|in|out SIZE COUNT THREADS CACHE_FOLDER LIST
 * put writes the references to the file LIST, get reads them. S3_ENDPOINT and so on say where, and S3_PREFIX in which store,
 * which put makes. SIZE up to 64K: COUNT objects from THREADS threads; above: one after the other with THREADS transfers each. in and out move all objects between a local store
 * and the bucket, with THREADS transfers at a time. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "os/clock.h"
#include "store/migrate.h"
#include "store/s3/s3.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define THREADS_MAX 64

struct bench {
    struct store *s, *local; /* local: of in and out */
    bool put;
    size_t size, count;
    struct store_ref *refs;
    char *data; /* what is put: all of it is made before the clock starts */
    atomic_size_t next;
    atomic_bool failed;
};

/* Bytes that do not compress and that no two objects share. */
static void fill(uint64_t *p, size_t bytes, uint64_t seed)
{
    for (size_t i = 0; i < bytes / 8; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        p[i] = seed;
    }
}

static int one(struct bench *b, struct store *to, size_t i, struct err *err)
{
    if (b->put)
        return store_put(to, b->data + i * b->size, b->size, NULL, &b->refs[i], err);
    _cleanup_free_ char *got = NULL;
    size_t n = 0;
    int r = store_get(to, b->refs[i].text, b->size, &got, &n, err);
    return r == 0 && n != b->size ? err_set(err, ERR_CORRUPT, "%zu bytes", n) : r;
}

static void *work(void *arg)
{
    struct bench *b = arg;
    struct err err = {0};
    for (size_t i; !atomic_load(&b->failed) && (i = atomic_fetch_add(&b->next, 1)) < b->count;)
        if (one(b, b->s, i, &err) < 0) {
            fprintf(stderr, "%s\n", err.msg);
            atomic_store(&b->failed, true);
        }
    return NULL;
}

/* Moves what was put into the local store before, or to it. */
static int move(struct bench *b, struct err *err)
{
    struct store_migrate_result res;
    struct store *from = b->put ? b->local : b->s, *to = b->put ? b->s : b->local;
    int r = store_migrate(from, to, NULL, NULL, NULL, NULL, &res, err);
    return r == 0 && res.objects_copied != b->count ? err_set(err, ERR_CORRUPT, "not all were moved") : r;
}

static int open_local(struct bench *b, const char *cache, struct err *err)
{
    _cleanup_free_ char *dir = mem_printf("%s-local", cache);
    int r = store_open_local(dir, &b->local, err);
    for (size_t i = 0; b->put && i < b->count && r == 0; i++)
        r = one(b, b->local, i, err);
    return r;
}

static void transfer(struct bench *b, size_t threads)
{
    pthread_t ids[THREADS_MAX];
    struct err err = {0};
    if (b->local && move(b, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        atomic_store(&b->failed, true);
    }
    size_t mine = b->local ? 0 : b->size <= 65536 ? threads : 1;
    for (size_t i = 0; i < mine; i++)
        pthread_create(&ids[i], NULL, work, b);
    for (size_t i = 0; i < mine; i++)
        pthread_join(ids[i], NULL);
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static long peak_kb(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

/* The list of references, from a file or to it. */
static bool list(struct bench *b, const char *path)
{
    FILE *f = fopen(path, b->put ? "w" : "r");
    bool ok = f != NULL;
    for (size_t i = 0; i < b->count && ok; i++)
        ok = b->put ? fprintf(f, "%s\n", b->refs[i].text) > 0 : fscanf(f, "%71s", b->refs[i].text) == 1;
    if (f && fclose(f) != 0)
        ok = false;
    return ok;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: s3_bench put|get|in|out SIZE COUNT THREADS CACHE_FOLDER LIST\n");
        return 2;
    }
    bool moves = strcmp(argv[1], "in") == 0 || strcmp(argv[1], "out") == 0;
    struct bench b = {.put = strcmp(argv[1], "put") == 0 || strcmp(argv[1], "in") == 0, .size = strtoul(argv[2], NULL, 10),
                      .count = strtoul(argv[3], NULL, 10)};
    size_t threads = strtoul(argv[4], NULL, 10);
    struct s3_options o = {.endpoint = getenv("S3_ENDPOINT"), .bucket = getenv("S3_BUCKET"), .access_key = getenv("S3_ACCESS_KEY"),
                           .secret_key = getenv("S3_SECRET_KEY"), .prefix = getenv("S3_PREFIX"), .cache_dir = argv[5],
                           .parallel = (unsigned)threads};
    struct s3_retention keep = {0};
    struct err err = {0};
    b.refs = mem_calloc(b.count, sizeof *b.refs);
    b.data = b.put ? mem_alloc(b.size * b.count) : NULL;
    if (b.data)
        fill((uint64_t *)(void *)b.data, b.size * b.count, (uint64_t)os_now_ns());
    if (!b.refs || (b.put && (!b.data || s3_init(&o, &keep, NULL, &err) < 0)) || threads > THREADS_MAX ||
        store_open_s3(&o, &b.s, &err) < 0 || (!b.put && !list(&b, argv[6])) || (moves && open_local(&b, argv[5], &err) < 0)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    long before_kb = peak_kb();
    int64_t start = os_mono_ns();
    double cpu = cpu_s();
    transfer(&b, threads);
    double s = (double)(os_mono_ns() - start) / 1e9, bytes = (double)b.size * (double)b.count;
    printf("{\"seconds\": %.4f, \"mb_per_s\": %.1f, \"per_s\": %.1f, \"cpu_s\": %.3f, \"rss_mb\": %.1f}\n", s, bytes / 1e6 / s,
           (double)b.count / s, cpu_s() - cpu, (double)(peak_kb() - before_kb) / 1024);
    store_free(b.s);
    store_free(b.local);
    bool ok = !atomic_load(&b.failed) && (!b.put || list(&b, argv[6]));
    free(b.data);
    free(b.refs);
    return ok ? 0 : 1;
}
