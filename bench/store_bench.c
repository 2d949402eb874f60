/* How fast is the store? Ingest of a generated source tree and of a real one, what a second version costs that differs in 1 % of its files,
 * layouts, small objects by one and by many threads, a 12-file project from nothing to a workspace.
 *
 *   store_bench [FOLDER]     a folder instead of the generated tree; work is done in $TMPDIR or /var/tmp */
#include "base/cleanup.h"
#include "base/mem.h"
#include "ingest/ingest.h"
#include "os/clock.h"
#include "os/file.h"
#include "store/workspace.h"

#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static uint64_t random_state = 42;

static uint64_t next_random(void)
{
    random_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "store_bench: %s: %s\n", what, e->msg);
    exit(1);
}

static void write_file(const char *path, const char *text, size_t len)
{
    FILE *f = fopen(path, "w");
    if (!f || fwrite(text, 1, len, f) != len)
        exit(1);
    fclose(f);
}

/* Text with the statistics of source: a few thousand words, most of them often. */
static size_t make_text(char *out, size_t len)
{
    static char words[4096][12];
    if (!words[0][0])
        for (int i = 0; i < 4096; i++)
            for (int k = 0, n = 2 + (int)(next_random() % 9); k < n; k++)
                words[i][k] = (char)('a' + next_random() % 26);
    size_t n = 0;
    while (n + 40 < len) {
        uint64_t r = next_random();
        int w = (int)((r % 64) * (r >> 20 & 63)); /* squared: few words often */
        n += (size_t)sprintf(out + n, "%s%s", words[w], r >> 40 & 7 ? " " : r >> 44 & 1 ? "();\n    " : " = ");
    }
    return n;
}

/* files of 1 to 16 KB, 40 in a folder */
static uint64_t make_project(const char *dir, int files)
{
    static char text[20000];
    uint64_t total = 0;
    for (int i = 0; i < files; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/dir%04d", dir, i / 40);
        if (i % 40 == 0)
            mkdir(path, 0755);
        snprintf(path, sizeof path, "%s/dir%04d/file%05d.c", dir, i / 40, i);
        uint64_t r = next_random();
        size_t n = make_text(text, 1000 + (r % 123) * (r >> 32 & 127));
        write_file(path, text, n);
        total += n;
    }
    return total;
}

/* Changes one line in 1 % of the files: scattered, or all in neighbouring ones. */
static void change_project(const char *dir, int files, bool scattered)
{
    for (int i = 0; i < files / 100; i++) {
        char path[4096];
        int n = scattered ? (int)(next_random() % (uint64_t)files) : files / 3 + i;
        snprintf(path, sizeof path, "%s/dir%04d/file%05d.c", dir, n / 40, n);
        FILE *f = fopen(path, "r+");
        if (!f)
            exit(1);
        fprintf(f, "changed %llu\n", (unsigned long long)next_random());
        fclose(f);
    }
}

static uint64_t disk_bytes;

static int add_size(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    disk_bytes += type == FTW_F ? (uint64_t)st->st_size : 0;
    return 0;
}

static uint64_t size_of(const char *dir)
{
    disk_bytes = 0;
    nftw(dir, add_size, 16, FTW_PHYS);
    return disk_bytes;
}

/* Processor time of the last take_in(), all threads: on a busy machine the better measure. */
static double last_cpu;

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const char *work_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    return tmp ? tmp : "/var/tmp";
}

static double take_in(struct store *s, const char *dir, struct ingest_result *res)
{
    struct err e = {0};
    struct ingest_options o = {0};
    double cpu = cpu_now();
    int64_t start = os_mono_ns();
    if (ingest(s, dir, &o, res, &e) < 0)
        die("ingest", &e);
    last_cpu = cpu_now() - cpu;
    return (double)(os_mono_ns() - start) / 1e9;
}

static double lay_out(struct workspaces *w, const char *tree, enum isolation mode, const char *key)
{
    struct err e = {0};
    struct workspace *ws;
    int64_t start = os_mono_ns();
    if (workspace_acquire(w, tree, mode, key, &ws, &e) < 0)
        die("workspace", &e);
    double t = (double)(os_mono_ns() - start) / 1e9;
    workspace_release(ws);
    return t;
}

static void bench_project(struct store *s, struct workspaces *w, const char *base, const char *given)
{
    const int files = 10000;
    _cleanup_free_ char *made = os_path_join(base, "project"), *store = os_path_join(base, "store");
    const char *dir = given ? given : made;
    if (!given) {
        mkdir(made, 0755);
        make_project(made, files);
    }
    struct ingest_result res;
    uint64_t before = size_of(store);
    double t = take_in(s, dir, &res), mb = (double)res.bytes / 1e6;
    uint64_t after = size_of(store);
    printf("ingest, new            %7.0f MB/s   (%.0f per processor second; %.0f MB, %llu files, %.2f s; stored %.1f MB, ratio %.1f)\n", mb / t, mb / last_cpu, mb,
           (unsigned long long)res.files, t, (double)(after - before) / 1e6, mb * 1e6 / (double)(after - before));
    double first = (double)(after - before);
    struct store_ref tree = res.tree;
    ingest_result_release(&res);
    t = take_in(s, dir, &res);
    printf("ingest, unchanged      %7.0f MB/s   (%.0f per processor second)\n", mb / t, mb / last_cpu);
    ingest_result_release(&res);
    for (int scattered = 0; !given && scattered < 2; scattered++) {
        change_project(dir, files, scattered);
        before = size_of(store);
        t = take_in(s, dir, &res);
        after = size_of(store);
        printf("ingest, 1 %% changed    %7.0f MB/s   (%s: %.2f MB new, %.1f %% of what the first cost)\n", mb / t,
               scattered ? "scattered" : "together", (double)(after - before) / 1e6,
               100.0 * (double)(after - before) / first);
        ingest_result_release(&res);
    }
    t = lay_out(w, tree.text, ISOLATION_ISOLATED, "bench");
    printf("layout                 %7.0f MB/s\n", mb / t);
}

/* Sources as people write them pack twice as well as the generated ones. */
static void bench_headers(struct store *s)
{
    static const char dir[] = "/usr/include";
    struct ingest_result res;
    if (!os_is_dir(dir))
        return;
    take_in(s, dir, &res); /* into the page cache */
    ingest_result_release(&res);
    char *base = NULL;
    struct err e = {0};
    struct store *fresh = NULL;
    if (os_temp_dir(work_dir(), "ff-bench-", &base, &e) < 0 || store_open_local(base, &fresh, &e) < 0)
        die("open", &e);
    double t = take_in(fresh, dir, &res), mb = (double)res.bytes / 1e6;
    printf("ingest, new            %7.0f MB/s   (%.0f per processor second; the C headers of this machine: %.0f MB, %llu files)\n",
           mb / t, mb / last_cpu, mb, (unsigned long long)res.files);
    ingest_result_release(&res);
    store_free(fresh);
    os_remove_tree(base, NULL);
    free(base);
}

static void bench_small_project(struct store *s, struct workspaces *w, const char *base)
{
    enum { ROUNDS = 200 };
    _cleanup_free_ char *dir = os_path_join(base, "small");
    double first = 0, again = 0, layout = 0;
    mkdir(dir, 0755);
    for (int i = 0; i < ROUNDS; i++) {
        struct ingest_result res;
        char key[32];
        snprintf(key, sizeof key, "run%d", i);
        make_project(dir, 12); /* other contents each time */
        first += take_in(s, dir, &res);
        ingest_result_release(&res);
        again += take_in(s, dir, &res);
        layout += lay_out(w, res.tree.text, ISOLATION_ISOLATED, key);
        ingest_result_release(&res);
        workspaces_forget(w, key, NULL);
    }
    printf("12 files: ingest new   %7.2f ms, unchanged %.2f ms, layout %.2f ms\n", first / ROUNDS * 1e3,
           again / ROUNDS * 1e3, layout / ROUNDS * 1e3);
}

struct putter {
    struct store *s;
    int n, count;
    size_t size;
    pthread_t id;
};

static void *put_many(void *arg)
{
    struct putter *p = arg;
    char text[8192];
    struct store_ref ref;
    struct err e = {0};
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i * i % 23);
    for (int i = 0; i < p->count; i++) {
        snprintf(text, 64, "object %d of %d, %zu", i, p->n, p->size);
        if (store_put(p->s, text, p->size, "text/plain", &ref, &e) < 0)
            die("put", &e);
    }
    return NULL;
}

static void bench_small_objects(struct store *s)
{
    static const int threads[] = {1, 8, 50};
    for (size_t k = 0; k < ARRAY_LEN(threads); k++) {
        struct putter p[50];
        int count = k == 0 ? 1000 : 4000 / threads[k];
        int64_t start = os_mono_ns();
        for (int i = 0; i < threads[k]; i++) {
            p[i] = (struct putter){s, i + (int)k * 100, count, 1000, 0};
            pthread_create(&p[i].id, NULL, put_many, &p[i]);
        }
        for (int i = 0; i < threads[k]; i++)
            pthread_join(p[i].id, NULL);
        printf("put of 1 KB, durable   %7.0f /s     (%d threads)\n",
               threads[k] * count / ((double)(os_mono_ns() - start) / 1e9), threads[k]);
    }
    struct store_ref ref;
    struct err e = {0};
    if (store_put(s, "an object", 9, NULL, &ref, &e) < 0)
        die("put", &e);
    int64_t start = os_mono_ns();
    for (int i = 0; i < 20000; i++) {
        char *got;
        if (store_get(s, ref.text, 100, &got, NULL, &e) < 0)
            die("get", &e);
        free(got);
    }
    printf("get, small             %7.0f /s\n", 20000 / ((double)(os_mono_ns() - start) / 1e9));
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct store *s;
    struct workspaces *w = NULL;
    char *base = NULL;
    if (os_temp_dir(work_dir(), "ff-bench-", &base, &e) < 0)
        die("folder", &e);
    _cleanup_free_ char *store = os_path_join(base, "store"), *cache = os_path_join(base, "cache");
    struct workspaces_options o = {.dir = cache};
    int64_t start = os_mono_ns();
    if (store_open_local(store, &s, &e) < 0)
        die("open", &e);
    printf("open, new store        %7.2f ms\n", (double)(os_mono_ns() - start) / 1e6);
    store_free(s);
    start = os_mono_ns();
    if (store_open_local(store, &s, &e) < 0 || workspaces_open(s, &o, &w, &e) < 0)
        die("open", &e);
    printf("open, again            %7.2f ms\n", (double)(os_mono_ns() - start) / 1e6);
    bench_project(s, w, base, argc > 1 ? argv[1] : NULL);
    if (argc == 1)
        bench_headers(s);
    bench_small_project(s, w, base);
    bench_small_objects(s);
    workspaces_free(w);
    store_free(s);
    os_remove_tree(base, NULL);
    free(base);
    return 0;
}
