/* A store in a bucket and what is larger than an object: a target taken in, a stream of any length, a target fetched twice.
 * One line of JSON, for bench/s3.
 *
 * usage: s3_target take FOLDER CACHE_FOLDER        its reference, seconds
 *        s3_target stream BYTES CACHE_FOLDER       an object of so many bytes that do not compress: seconds, memory
 *        s3_target MODE REF CACHE_FOLDER           laid out as a workspace of that mode: seconds since the program began
 * S3_ENDPOINT and so on say where, S3_PREFIX in which store; take and stream make it. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "ingest/ingest.h"
#include "os/clock.h"
#include "os/file.h"
#include "store/s3/s3.h"
#include "store/store.h"
#include "store/workspace.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static double since(int64_t start)
{
    return (double)(os_mono_ns() - start) / 1e9;
}

static long peak_kb(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

static int take(struct store *s, const char *folder, struct err *err)
{
    struct ingest_options o = {0};
    struct ingest_result res = {0};
    int64_t start = os_mono_ns();
    int r = ingest(s, folder, &o, &res, err);
    if (r == 0)
        printf("{\"ref\": \"%s\", \"seconds\": %.4f}\n", res.tree.text, since(start));
    ingest_result_release(&res);
    return r;
}

struct source {
    int fd;
    uint64_t bytes;
};

static void *generate(void *arg)
{
    struct source *x = arg;
    uint64_t seed = (uint64_t)os_now_ns(), block[8192];
    for (uint64_t left = x->bytes; left;) {
        for (size_t i = 0; i < sizeof block / 8; i++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            block[i] = seed;
        }
        size_t n = left < sizeof block ? (size_t)left : sizeof block;
        if (os_write_full(x->fd, block, n, NULL) < 0)
            break;
        left -= n;
    }
    close(x->fd);
    return NULL;
}

static int stream(struct store *s, uint64_t bytes, struct err *err)
{
    int fds[2];
    pthread_t id;
    struct store_ref ref;
    uint64_t size = 0;
    if (pipe(fds) < 0)
        return err_set(err, ERR_IO, "pipe");
    struct source x = {fds[1], bytes};
    long before_kb = peak_kb();
    int64_t start = os_mono_ns();
    if (pthread_create(&id, NULL, generate, &x) != 0)
        return err_set(err, ERR_IO, "thread");
    int r = store_put_fd(s, STORE_RESULTS, fds[0], UINT64_MAX, NULL, &ref, &size, err);
    close(fds[0]);
    pthread_join(id, NULL);
    if (r == 0)
        printf("{\"ref\": \"%s\", \"seconds\": %.4f, \"bytes\": %llu, \"rss_mb\": %.1f}\n", ref.text, since(start),
               (unsigned long long)size, (double)(peak_kb() - before_kb) / 1024);
    return r;
}

static int lay_out(struct store *s, const char *ref, enum isolation mode, const char *cache, int64_t start, struct err *err)
{
    _cleanup_free_ char *dir = mem_printf("%s/workspaces", cache);
    struct workspaces_options o = {.dir = dir, .overlay = true};
    struct workspaces *w;
    struct workspace *ws;
    int r = workspaces_open(s, &o, &w, err);
    if (r < 0)
        return r;
    r = workspace_acquire(w, ref, mode, "bench", &ws, err);
    if (r == 0) {
        printf("{\"seconds\": %.6f}\n", since(start));
        workspace_release(ws);
    }
    workspaces_free(w);
    return r;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: s3_target take FOLDER CACHE | stream BYTES CACHE | MODE REF CACHE\n");
        return 2;
    }
    struct s3_options o = {.endpoint = getenv("S3_ENDPOINT"), .bucket = getenv("S3_BUCKET"), .access_key = getenv("S3_ACCESS_KEY"),
                           .secret_key = getenv("S3_SECRET_KEY"), .prefix = getenv("S3_PREFIX"), .cache_dir = argv[3]};
    struct s3_retention keep = {0};
    struct err err = {0};
    struct store *s = NULL;
    int64_t start = os_mono_ns();
    enum isolation mode = ISOLATION_SHARED;
    bool takes = strcmp(argv[1], "take") == 0, streams = strcmp(argv[1], "stream") == 0;
    int r = takes || streams ? s3_init(&o, &keep, NULL, &err) : isolation_parse(argv[1], &mode, &err);
    if (r == 0)
        r = store_open_s3(&o, &s, &err);
    if (r == 0)
        r = takes     ? take(s, argv[2], &err)
            : streams ? stream(s, strtoull(argv[2], NULL, 10), &err)
                      : lay_out(s, argv[2], mode, argv[3], start, &err);
    if (r < 0)
        fprintf(stderr, "%s\n", err.msg);
    store_free(s);
    return r < 0;
}
