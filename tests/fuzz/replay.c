/* Runs a fuzz target without libFuzzer: each seed as it is, cut short, and with seeded mutations.
 *
 * usage: fuzz_NAME FOLDER_OR_FILE...
 * When the target crashes, the input that did it is left in the working folder as crash-NAME. */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEED_MAX ((size_t)4 << 20)
#define CUTS 64

static const uint8_t *current;
static size_t current_size;
static char crash_path[256];
static unsigned long runs, seeds;
static uint64_t random_state;

/* xorshift64* (Vigna 2016). */
static uint64_t next_random(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(2685821657736338717);
}

static void on_crash(int sig)
{
    static const char text[] = "fuzz: the input that crashed is in ";
    int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0 && write(fd, current, current_size) == (ssize_t)current_size &&
        write(2, text, sizeof text - 1) > 0 && write(2, crash_path, strlen(crash_path)) > 0)
        (void)!write(2, "\n", 1);
    signal(sig, SIG_DFL);
    raise(sig);
}

static void run(const uint8_t *data, size_t size)
{
    /* An exact copy, so that a sanitizer sees a read over the end. */
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    current = copy;
    current_size = size;
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    runs++;
}

static size_t mutate(uint8_t *data, size_t size, size_t cap)
{
    static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, '"', '\\', '{', '[', '\n', '%', '<', '\''};
    int steps = 1 + (int)(next_random() % 4);
    for (int i = 0; i < steps && size > 0; i++) {
        size_t at = next_random() % size, n = 1 + next_random() % 16;
        switch (next_random() % 5) {
        case 0:
            data[at] ^= (uint8_t)(1u << next_random() % 8);
            break;
        case 1:
            data[at] = odd[next_random() % sizeof odd];
            break;
        case 2: /* drop a piece */
            n = n < size - at ? n : size - at;
            memmove(data + at, data + at + n, size - at - n);
            size -= n;
            break;
        case 3: /* repeat a piece */
            n = n < size - at ? n : size - at;
            if (size + n <= cap) {
                memmove(data + at + n, data + at, size - at);
                size += n;
            }
            break;
        default: /* a piece from elsewhere */
            n = n < size - at ? n : size - at;
            memmove(data + at, data + next_random() % (size - n + 1), n);
        }
    }
    return size;
}

static void run_seed(const uint8_t *data, size_t size, unsigned long rounds)
{
    run(data, size);
    for (size_t i = 0; i < CUTS && size > 0; i++)
        run(data, size <= CUTS ? i % size : size / CUTS * i);
    size_t cap = size * 2 + 64;
    uint8_t *work = malloc(cap);
    if (!work)
        abort();
    random_state = 0x9e3779b97f4a7c15u ^ size;
    for (unsigned long i = 0; i < rounds; i++) {
        memcpy(work, data, size);
        run(work, mutate(work, size, cap));
    }
    free(work);
}

static int run_file(const char *path, unsigned long rounds)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(SEED_MAX);
    if (!f || !data) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        free(data);
        if (f)
            fclose(f);
        return 1;
    }
    size_t n = fread(data, 1, SEED_MAX, f);
    fclose(f);
    run_seed(data, n, n > 65536 ? rounds / 16 : rounds);
    free(data);
    seeds++;
    return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int run_path(const char *path, unsigned long rounds)
{
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return run_file(path, rounds);
    struct dirent **names;
    int n = scandir(path, &names, NULL, by_name), bad = n < 0;
    for (int i = 0; i < n; i++) {
        char file[4096];
        snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            bad |= run_file(file, rounds);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    return bad;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/'), *rounds = getenv("FF_FUZZ_ROUNDS");
    snprintf(crash_path, sizeof crash_path, "crash-%s", slash ? slash + 1 : argv[0]);
    signal(SIGABRT, on_crash);
#if !defined(__SANITIZE_ADDRESS__)
    signal(SIGSEGV, on_crash);
#endif
    int bad = 0;
    run((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        bad |= run_path(argv[i], rounds ? strtoul(rounds, NULL, 10) : 500);
    printf("%lu seeds, %lu inputs\n", seeds, runs);
    return bad || seeds == 0;
}
