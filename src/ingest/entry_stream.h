/* What a reader inside the sandbox tells of an archive or repository: a stream of frames on its
 * standard output.
 *
 *   u8 type, u32 length (little endian), payload
 *
 * The writer is run on hostile input and may be in anybody's hands; the reader here believes
 * nothing but the framing, and the parent (members.c) judges every path, kind and size anew. */
#ifndef FF_INGEST_ENTRY_STREAM_H
#define FF_INGEST_ENTRY_STREAM_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum frame_type {
    FRAME_DIR = 'D',        /* path */
    FRAME_FILE = 'F',       /* u8 executable, path; then data frames and an end frame */
    FRAME_SIZE = 'S',       /* u64 bytes of the file whose frame comes next, where that is known */
    FRAME_DATA = 'B',       /* u64 bytes of the input read so far, bytes */
    FRAME_FILE_END = 'E',   /* u8: 0 whole, 1 damaged: text */
    FRAME_SYMLINK = 'L',    /* u32 length of path, path, target */
    FRAME_HARDLINK = 'H',   /* the same */
    FRAME_ODD = 'O',        /* path: a device, a FIFO, a socket */
    FRAME_UNREADABLE = 'U', /* u32 length of path, path, why: encrypted, damaged */
    FRAME_NOTE = 'N',       /* the same: nothing is lost, but it should be said */
    FRAME_DAMAGED = 'X',    /* why: the end; what follows cannot be read */
    FRAME_NOT_ONE = 'Q',    /* the end: the input is no archive at all */
    FRAME_DONE = 'Z',       /* the end: all was read */
};

#define FRAME_MAX ((size_t)1 << 20)

/* Inside: writes to a descriptor. All give 0 or -ERR_x; an error means that nobody reads any more.
 * */
int frame_write(int fd, enum frame_type type, const void *a, size_t a_len, const void *b,
                size_t b_len);
/* u32 length of a, a, b. */
int frame_write_pair(int fd, enum frame_type type, const char *a, const char *b);

/* Outside. */
struct frame_reader {
    int fd;
    uint8_t *buf; /* FRAME_MAX + 5 bytes */
    size_t have, used;
};
struct frame {
    uint8_t type; /* 0: the end of the stream */
    const uint8_t *data; /* borrowed until the next call */
    size_t len;
};
int frame_reader_init(struct frame_reader *r, int fd, struct err *err);
void frame_reader_release(struct frame_reader *r);
/* -ERR_CORRUPT for a frame that is too long or cut off. */
int frame_read(struct frame_reader *r, struct frame *ret, struct err *err);

#endif
