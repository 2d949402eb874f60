/* Archives, and the frames that their reader sends: whatever comes, the parent ends with a tree that is one. */
#include "base/assert.h"
#include "base/mem.h"
#include "fuzz.h"
#include "ingest/readers.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

struct reader {
    int in, out;
};

static void *read_archive(void *arg)
{
    struct reader *r = arg;
    archive_reader_main(r->in, r->out);
    close(r->out);
    return NULL;
}

static void judge(int fd, uint64_t input_bytes)
{
    static struct store *store;
    static char buf[COPY_BUFFER];
    if (!store)
        ASSERT(store_open_memory(&store, NULL) == 0);
    struct ingest_options o = {0};
    struct ingest_result res = {0};
    struct ingest_job j = {.s = store, .o = &o, .res = &res, .buf = buf};
    struct members_options m = {.input_bytes = input_bytes, .entries_max = 500, .bytes_max = 1 << 20, .ratio_max = 100};
    struct store_ref ref;
    struct tree *t;
    enum members_end end;
    struct err err = {0};
    j.limits = (struct ingest_limits){.entries_max = 1000, .total_bytes_max = 1 << 20, .path_bytes_max = 4096, .depth_max = 512};
    ASSERT(tree_builder_new(store, &j.b, &err) == 0);
    ASSERT(members_take(&j, fd, &m, &end, &err) == 0);
    ASSERT(tree_builder_finish(j.b, &ref, &err) == 0);
    tree_builder_free(j.b);
    ASSERT(tree_open(store, ref.text, &t, &err) == 0);
    for (size_t i = 0; i < tree_count(t); i++)
        if (tree_entry_at(t, i)->kind == TREE_SYMLINK)
            ASSERT(link_stays_inside(tree_entry_at(t, i)->path, tree_entry_at(t, i)->link));
    ASSERT(tree_total_bytes(t) <= 500u << 20); /* by hard links only */
    tree_free(t);
    ASSERT(store_remove(store, ref.text, NULL) == 0);
    ingest_result_release(&res);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > 1 << 20)
        return 0;
    int fd = memfd_create("input", MFD_CLOEXEC), p[2];
    ASSERT(fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)(size - 1) && lseek(fd, 0, SEEK_SET) == 0);
    if (data[0] == 'F') { /* frames as they are */
        judge(fd, size);
    } else {
        pthread_t thread;
        ASSERT(pipe(p) == 0);
        struct reader r = {fd, p[1]};
        signal(SIGPIPE, SIG_IGN);
        ASSERT(pthread_create(&thread, NULL, read_archive, &r) == 0);
        judge(p[0], size);
        close(p[0]);
        pthread_join(thread, NULL);
    }
    close(fd);
    return 0;
}
