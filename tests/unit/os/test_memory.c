#include "os/memory.h"

#include "base/sanitizer.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGES 64

static size_t resident(void *p, size_t n)
{
    size_t count = 0;
    /* Of this process: mincore() would tell of the page cache. */
    int fd = open("/proc/self/pagemap", O_RDONLY);
    uint64_t entry[PAGES];
    long page = sysconf(_SC_PAGESIZE);
    assert_int_equal(pread(fd, entry, sizeof entry, (off_t)((uintptr_t)p / (uintptr_t)page * 8)), sizeof entry);
    close(fd);
    for (size_t i = 0; i < n; i++)
        count += entry[i] >> 63;
    return count;
}

static void gives_back_clean_pages_and_keeps_the_rest(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = PAGES * page;
    char name[] = "/tmp/memory-test-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    for (size_t i = 0; i < PAGES; i++) {
        char text[4096];
        memset(text, 'a' + (int)(i % 20), sizeof text);
        assert_int_equal(pwrite(fd, text, sizeof text, (off_t)(i * page)), sizeof text);
    }
    volatile char *clean = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    char *written = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    assert_true(clean != MAP_FAILED && written != MAP_FAILED);
    int sum = 0;
    for (size_t i = 0; i < PAGES; i++) {
        sum += clean[i * page];
        written[i * page] = 'W';
    }
    /* As the linker leaves what it relocated: read-only, but not what the file says. */
    assert_int_equal(mprotect(written, size, PROT_READ), 0);
    assert_int_equal(resident((void *)clean, PAGES), PAGES);
    uint64_t before = os_memory_resident();
    assert_true(before > 2 * size);
    os_memory_trim();
    assert_true(os_memory_resident() + size <= before);
    assert_int_equal(resident((void *)clean, PAGES), 0);
    assert_int_equal(resident(written, PAGES), PAGES);
    for (size_t i = 0; i < PAGES; i++) {
        sum -= clean[i * page];
        assert_int_equal(written[i * page], 'W');
    }
    assert_int_equal(sum, 0);
    munmap((void *)clean, size);
    munmap(written, size);
    close(fd);
}

#if !defined(BUILT_WITH_ASAN) && !defined(BUILT_WITH_TSAN) /* which bring an allocator of their own */
/* Does a small block that this thread takes come from the first heap? */
static void *take(void *arg)
{
    bool *first = arg;
    char *p = malloc(100);
    *first = p < (char *)sbrk(0);
    free(p);
    return NULL;
}

static bool another_takes(void)
{
    pthread_t t;
    bool first;
    assert_int_equal(pthread_create(&t, NULL, take, &first), 0);
    pthread_join(t, NULL);
    return first;
}

static void shares_the_heap(void **state)
{
    (void)state;
    os_memory_share_heap();
    assert_true(another_takes());
}
#else
static void shares_the_heap(void **state)
{
    (void)state;
    skip();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gives_back_clean_pages_and_keeps_the_rest), cmocka_unit_test(shares_the_heap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
