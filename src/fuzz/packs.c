#include "fuzz/packs.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 512
#define SEEN_FIRST 1024
#define NAME_BYTES 100
#define SIZE_AT 124 /* eleven octal digits */
#define SUM_AT 148

void packs_init(struct packs *p, const char *dir)
{
    *p = (struct packs){.dir = dir, .number = -1};
}

void packs_release(struct packs *p)
{
    free(p->seen);
    packs_init(p, NULL);
}

void packs_name(const struct packs *p, char *ret, size_t size)
{
    snprintf(ret, size, "crashes-%d.tar", p->number);
}

/* --- which ones ------------------------------------------------------------------------------------------- */

/* The name is a digest already. */
static uint64_t hash_of(const char *name)
{
    const char *digits = strrchr(name, '-');
    char first[17];
    snprintf(first, sizeof first, "%.16s", digits ? digits + 1 : name);
    uint64_t h = strtoull(first, NULL, 16) ^ (uint64_t)(unsigned char)name[0] << 56;
    return h ? h : 1;
}

static size_t slot_of(const struct packs *p, uint64_t hash)
{
    size_t i = hash & (p->seen_cap - 1);
    while (p->seen[i] && p->seen[i] != hash)
        i = (i + 1) & (p->seen_cap - 1);
    return i;
}

bool packs_has(const struct packs *p, const char *name)
{
    return p->seen_cap && p->seen[slot_of(p, hash_of(name))];
}

static int remember(struct packs *p, const char *name, struct err *err)
{
    if (p->seen_len * 4 >= p->seen_cap * 3) {
        struct packs larger = *p;
        larger.seen_cap = p->seen_cap ? p->seen_cap * 2 : SEEN_FIRST;
        larger.seen = mem_calloc(larger.seen_cap, sizeof *larger.seen);
        if (!larger.seen)
            return err_nomem(err);
        for (size_t i = 0; i < p->seen_cap; i++)
            if (p->seen[i])
                larger.seen[slot_of(&larger, p->seen[i])] = p->seen[i];
        free(p->seen);
        *p = larger;
    }
    p->seen[slot_of(p, hash_of(name))] = hash_of(name);
    p->seen_len++;
    p->count++;
    return 0;
}

/* --- an archive ------------------------------------------------------------------------------------------- */

static unsigned checksum(const unsigned char *h)
{
    unsigned sum = 0;
    for (int i = 0; i < BLOCK; i++)
        sum += i >= SUM_AT && i < SUM_AT + 8 ? ' ' : h[i];
    return sum;
}

static void make_header(char h[BLOCK], const char *name, uint64_t size)
{
    memset(h, 0, BLOCK);
    snprintf(h, NAME_BYTES, "%s", name);
    memcpy(h + NAME_BYTES, "0000644\0000000000\0000000000", 24);
    snprintf(h + SIZE_AT, 12, "%011llo", (unsigned long long)size);
    memcpy(h + 136, "00000000000", 12);
    h[156] = '0';
    memcpy(h + 257, "ustar\00000", 8);
    char sum[8];
    snprintf(sum, sizeof sum, "%06o", checksum((const unsigned char *)h));
    memcpy(h + SUM_AT, sum, 7);
    h[SUM_AT + 7] = ' ';
}

static uint64_t padded(uint64_t size)
{
    return (size + BLOCK - 1) / BLOCK * BLOCK;
}

/* Behind what is there; the two empty blocks that end an archive come again behind it. The header is written last: till then the
 * archive ends where it did. */
static int append(int out, uint64_t at, const char header[BLOCK], int in, uint64_t size, struct err *err)
{
    static const char zeros[3 * BLOCK];
    static char buf[64 << 10];
    uint64_t done = 0;
    size_t n = sizeof buf;
    int r = lseek(out, (off_t)(at + BLOCK), SEEK_SET) < 0 ? err_set(err, ERR_IO, "seek in an archive") : 0;
    while (r == 0 && done < size && n == sizeof buf) {
        r = os_read_full(in, buf, size - done < sizeof buf ? (size_t)(size - done) : sizeof buf, &n, err);
        if (r == 0)
            r = os_write_full(out, buf, n, err);
        done += n;
    }
    if (r == 0 && done != size)
        r = err_set(err, ERR_IO, "an input changed its size");
    if (r == 0)
        r = os_write_full(out, zeros, (size_t)(padded(size) - size) + 2 * (size_t)BLOCK, err);
    if (r == 0 && lseek(out, (off_t)at, SEEK_SET) < 0)
        r = err_set(err, ERR_IO, "seek in an archive");
    return r < 0 ? r : os_write_full(out, header, BLOCK, err);
}

int packs_add(struct packs *p, const char *name, const char *path, uint64_t size, struct err *err)
{
    bool begin = p->number < 0 || p->bytes >= PACK_BYTES;
    uint64_t needed = BLOCK + padded(size);
    if (p->count >= PACKS_INPUTS_MAX || needed > PACKS_BYTES_MAX - p->all_bytes || (begin && p->number + 1 >= PACKS_MAX))
        return err_set(err, ERR_LIMIT, "no room for more crash inputs");
    if (begin) {
        p->number++;
        p->bytes = 0;
    }
    char file[64], header[BLOCK];
    packs_name(p, file, sizeof file);
    _cleanup_free_ char *to = os_path_join(p->dir, file);
    _cleanup_close_ int in = -1, out = -1;
    int r = to ? os_open(path, O_RDONLY | O_NOFOLLOW, 0, &in, err) : err_nomem(err);
    if (r == 0)
        r = os_open(to, O_WRONLY | O_CREAT | O_NOFOLLOW, 0644, &out, err);
    make_header(header, name, size);
    if (r == 0)
        r = append(out, p->bytes, header, in, size, err);
    if (r == 0)
        r = remember(p, name, err);
    if (r < 0)
        return r;
    p->bytes += needed;
    p->all_bytes += needed;
    p->dirty = true;
    return 0;
}

/* The header at *at, which then is that of the next one. false: there is none, or it is damaged. */
static bool next_member(int fd, uint64_t *at, char name[NAME_BYTES + 1], uint64_t *ret_data, uint64_t *ret_size)
{
    unsigned char h[BLOCK];
    char octal[12];
    size_t n;
    if (os_pread_full(fd, h, sizeof h, *at, &n, NULL) < 0 || n != sizeof h || !h[0] ||
        strtoul((const char *)h + SUM_AT, NULL, 8) != checksum(h))
        return false;
    snprintf(name, NAME_BYTES + 1, "%.*s", NAME_BYTES, (const char *)h);
    snprintf(octal, sizeof octal, "%.11s", (const char *)h + SIZE_AT);
    *ret_size = strtoull(octal, NULL, 8);
    *ret_data = *at + BLOCK;
    *at = *ret_data + padded(*ret_size);
    return true;
}

int packs_restore(struct packs *p, int number, const char *path, struct err *err)
{
    _cleanup_close_ int fd = -1;
    char name[NAME_BYTES + 1];
    uint64_t at = 0, data, size;
    int r = os_open(path, O_RDONLY | O_NOFOLLOW, 0, &fd, err);
    while (r == 0 && p->count < PACKS_INPUTS_MAX && next_member(fd, &at, name, &data, &size))
        if (!packs_has(p, name))
            r = remember(p, name, err);
    if (number > p->number && number < PACKS_MAX) {
        p->number = number;
        p->bytes = PACK_BYTES; /* it grows no more */
    }
    p->all_bytes += at < PACKS_BYTES_MAX - p->all_bytes ? at : 0;
    return r;
}

int packs_extract(const char *path, const char *name, const char *to, uint64_t *ret_size, struct err *err)
{
    static char buf[64 << 10];
    _cleanup_close_ int fd = -1, out = -1;
    char member[NAME_BYTES + 1];
    uint64_t at = 0, data, size;
    size_t n = 0;
    int r = os_open(path, O_RDONLY | O_NOFOLLOW, 0, &fd, err);
    do {
        if (r == 0 && !next_member(fd, &at, member, &data, &size))
            r = err_set(err, ERR_NOT_FOUND, "there is no %s in the archive", name);
    } while (r == 0 && strcmp(member, name) != 0);
    if (r == 0)
        r = os_open(to, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644, &out, err);
    for (uint64_t done = 0; r == 0 && done < size; done += n) {
        size_t most = size - done < sizeof buf ? (size_t)(size - done) : sizeof buf;
        r = os_pread_full(fd, buf, most, data + done, &n, err);
        if (r == 0 && n != most)
            r = err_set(err, ERR_NOT_FOUND, "%s is cut short in the archive", name);
        if (r == 0)
            r = os_write_full(out, buf, n, err);
    }
    if (r == 0)
        *ret_size = size;
    return r;
}
