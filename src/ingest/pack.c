#include "ingest/pack.h"

#include <stdio.h>
#include <string.h>

#define BLOCK 512
#define NAME_MAX_ 100

struct header {
    char name[NAME_MAX_], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[NAME_MAX_], magic[8];
    char rest[BLOCK - 265];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

static const char zeros[BLOCK];

/* Octal, or from 8 GiB on 8 bytes with a mark before them. */
static void put_size(char to[12], uint64_t size)
{
    char text[24];
    if (size < UINT64_C(1) << 33) {
        snprintf(text, sizeof text, "%011llo", (unsigned long long)size);
        memcpy(to, text, 12);
        return;
    }
    to[0] = (char)0x80;
    for (int i = 0; i < 8; i++)
        to[11 - i] = (char)(size >> (8 * i));
}

static int put_header(struct pack *p, char type, const char *name, const char *link, const char *mode, uint64_t size,
                      struct err *err)
{
    struct header h = {.type = type};
    unsigned sum = 0;
    memcpy(h.name, name, strnlen(name, sizeof h.name));
    memcpy(h.link, link, strnlen(link, sizeof h.link));
    memcpy(h.mode, mode, 8);
    memcpy(h.uid, "0000000", 8);
    memcpy(h.gid, "0000000", 8);
    memcpy(h.mtime, "00000000000", 12);
    memcpy(h.magic, "ustar  ", 8);
    put_size(h.size, size);
    memset(h.sum, ' ', sizeof h.sum);
    for (size_t i = 0; i < sizeof h; i++)
        sum += ((const unsigned char *)&h)[i];
    char text[12];
    snprintf(text, sizeof text, "%06o", sum & 0777777);
    memcpy(h.sum, text, 7);
    return p->write(p->arg, &h, sizeof h, err);
}

static int put_padding(struct pack *p, uint64_t size, struct err *err)
{
    size_t over = (size_t)(size % BLOCK);
    return over ? p->write(p->arg, zeros, BLOCK - over, err) : 0;
}

/* A name that a header does not hold comes before it, as a file of its own. */
static int put_long(struct pack *p, char type, const char *name, struct err *err)
{
    size_t n = strlen(name) + 1;
    if (n <= NAME_MAX_)
        return 0;
    int r = put_header(p, type, "././@LongLink", "", "0000000", n, err);
    if (r == 0)
        r = p->write(p->arg, name, n, err);
    return r == 0 ? put_padding(p, n, err) : r;
}

static int put_entry(struct pack *p, char type, const char *path, const char *link, const char *mode, uint64_t size,
                     struct err *err)
{
    int r = put_long(p, 'K', link, err);
    if (r == 0)
        r = put_long(p, 'L', path, err);
    return r == 0 ? put_header(p, type, path, link, mode, size, err) : r;
}

int pack_dir(struct pack *p, const char *path, struct err *err)
{
    return put_entry(p, '5', path, "", "0000755", 0, err);
}

int pack_symlink(struct pack *p, const char *path, const char *target, struct err *err)
{
    return put_entry(p, '2', path, target, "0000777", 0, err);
}

int pack_file_begin(struct pack *p, const char *path, bool executable, uint64_t size, struct err *err)
{
    p->size = size;
    p->done = 0;
    return put_entry(p, '0', path, "", executable ? "0000755" : "0000644", size, err);
}

int pack_file_data(struct pack *p, const void *data, size_t len, struct err *err)
{
    size_t n = p->size - p->done < len ? (size_t)(p->size - p->done) : len;
    p->done += n;
    return n ? p->write(p->arg, data, n, err) : 0;
}

int pack_file_end(struct pack *p, struct err *err)
{
    int r = 0;
    while (r == 0 && p->done < p->size)
        r = pack_file_data(p, zeros, sizeof zeros, err);
    return r == 0 ? put_padding(p, p->size, err) : r;
}

int pack_end(struct pack *p, struct err *err)
{
    int r = p->write(p->arg, zeros, BLOCK, err);
    return r == 0 ? p->write(p->arg, zeros, BLOCK, err) : r;
}
