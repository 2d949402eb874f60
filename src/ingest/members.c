/* The parent's side: judges every member that a reader in the sandbox tells of. */
#include "ingest/readers.h"

#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define RATIO_FROM ((uint64_t)64 << 20) /* unpacked bytes above which the ratio is looked at */
#define PATH_TEXT_MAX 4096

/* What a path in the tree is, as a value of the map. */
enum { KIND_DIR = 1, KIND_FILE, KIND_LINK };

struct members {
    struct ingest_job *j;
    const struct members_options *o;
    struct map kinds;     /* path -> KIND_x */
    uint64_t entries;     /* with the folders that were not named */
    uint64_t bytes;       /* unpacked, names counted too */
    uint64_t input_done;  /* as the reader says, at most the input's size */
    bool in_file, dropping; /* dropping: the data of a member that is not taken */
    uint64_t file_bytes;
    uint64_t size; /* of the file that comes next; 0: not known */
    char path[PATH_TEXT_MAX + 1]; /* of the file that is open */
    bool ended;
    enum members_end end;
};

static intptr_t kind_of(const struct members *m, const char *path, size_t len)
{
    return (intptr_t)map_getn(&m->kinds, path, len);
}

static int set_kind(struct members *m, const char *path, size_t len, intptr_t kind, struct err *err)
{
    return map_setn(&m->kinds, path, len, (void *)kind, NULL) ? 0 : err_nomem(err);
}

static int end_with(struct members *m, enum members_end end)
{
    m->ended = true;
    m->end = end;
    return 0;
}

/* The archive is over its bounds: no more of it. */
static int refuse(struct members *m, const char *path, const char *why)
{
    m->j->res->refused = true;
    end_with(m, MEMBERS_STOPPED);
    return job_notice(m->j, INGEST_BOUND, path, "the archive is refused: %s", why);
}

/* Counts unpacked bytes against all bounds. */
static int count_bytes(struct members *m, const char *path, uint64_t n)
{
    m->bytes += n;
    if (m->o->bytes_max && m->bytes > m->o->bytes_max)
        return refuse(m, path, "it unpacks to more bytes than an archive may");
    uint64_t input = m->input_done ? m->input_done : 1;
    if (m->o->input_bytes && m->bytes > RATIO_FROM && m->bytes / input >= m->o->ratio_max)
        return refuse(m, path, "it unpacks to far more than its size");
    return 0;
}

static int count_entry(struct members *m, const char *path)
{
    if (m->o->entries_max && ++m->entries > m->o->entries_max)
        return refuse(m, path, "it has more entries than an archive may");
    return 0;
}

/* Copies a frame's text as a path of the tree: without "./" and doubled slashes. NULL (with a
 * notice) if it cannot be one. */
static const char *clean_path(struct members *m, const uint8_t *p, size_t len,
                              char out[PATH_TEXT_MAX + 1])
{
    char shown[PATH_TEXT_MAX + 1];
    size_t n = len < PATH_TEXT_MAX ? len : PATH_TEXT_MAX;
    memcpy(shown, p, n);
    shown[n] = 0;
    if (len > PATH_TEXT_MAX) {
        (void)job_notice(m->j, INGEST_BOUND, shown, "a path over %d bytes", PATH_TEXT_MAX);
        return NULL;
    }
    const char *why = memchr(p, 0, len)        ? "a zero byte in its path"
                      : len && p[0] == '/'     ? "an absolute path"
                                               : NULL;
    size_t at = 0;
    for (size_t i = 0; i < len && !why;) {
        const uint8_t *slash = memchr(p + i, '/', len - i);
        size_t end = slash ? (size_t)(slash - p) : len, part = end - i;
        if (part == 2 && p[i] == '.' && p[i + 1] == '.')
            why = "a path that leads out of the archive";
        else if (part > 255)
            why = "a name over 255 bytes";
        else if (part && !(part == 1 && p[i] == '.')) {
            if (at)
                out[at++] = '/';
            memcpy(out + at, p + i, part);
            at += part;
        }
        i = end + 1;
    }
    out[at] = 0;
    if (!why)
        return out;
    (void)job_notice(m->j, strncmp(why, "a name", 6) == 0 ? INGEST_BOUND : INGEST_SKIPPED, shown,
                     "%s", why);
    return NULL;
}

/* All folders above a path must be folders, or nothing yet: then they are from now on. 1, or 0 with
 * a notice. */
static int enter_parents(struct members *m, const char *path, struct err *err)
{
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        size_t n = (size_t)(slash - path);
        intptr_t kind = kind_of(m, path, n);
        if (kind == KIND_DIR)
            continue;
        if (kind)
            return job_notice(m->j, INGEST_SKIPPED, path, "lies below %s",
                              kind == KIND_LINK ? "a link" : "a file");
        char dir[PATH_TEXT_MAX + 1];
        memcpy(dir, path, n);
        dir[n] = 0;
        int r = count_entry(m, path);
        if (r < 0 || m->ended)
            return r;
        r = job_add_dir(m->j, dir, err);
        if (r == 0)
            r = set_kind(m, dir, n, KIND_DIR, err);
        if (r < 0)
            return r;
        m->j->res->dirs++;
    }
    return 1;
}

/* Makes way for a new member at path: 1; 0 if it must not come, with a notice. What an unpacker
 * leaves is the last of several members of one name; so do we. */
static int admit(struct members *m, const char *path, struct err *err)
{
    int r = count_bytes(m, path, strlen(path));
    if (r == 0 && !m->ended)
        r = job_admit(m->j, path);
    if (r == 1)
        r = enter_parents(m, path, err);
    if (r == 1 && !m->ended) {
        r = count_entry(m, path);
        r = r < 0 ? r : 1;
    }
    if (m->j->stopped && !m->ended)
        end_with(m, MEMBERS_STOPPED);
    if (r != 1 || m->ended)
        return r < 0 ? r : 0;
    intptr_t old = kind_of(m, path, strlen(path));
    if (!old)
        return 1;
    if (old == KIND_DIR)
        return job_notice(m->j, INGEST_SKIPPED, path, "a folder has this name");
    if (m->j->pack) /* that has gone */
        return job_notice(m->j, INGEST_SKIPPED, path, "another member of the same name came before it");
    r = tree_remove(m->j->b, path, err);
    if (r < 0)
        return r;
    map_remove(&m->kinds, path);
    m->j->res->files -= old == KIND_FILE;
    r = job_notice(m->j, INGEST_SKIPPED, path, "another member of the same name comes after it");
    return r < 0 ? r : 1;
}

static int add_dir(struct members *m, const struct frame *f, struct err *err)
{
    char buf[PATH_TEXT_MAX + 1];
    const char *path = clean_path(m, f->data, f->len, buf);
    if (!path || !*path) /* "./" is the top itself */
        return 0;
    if (kind_of(m, path, strlen(path)) == KIND_DIR)
        return 0;
    int r = admit(m, path, err);
    if (r != 1)
        return r;
    r = job_add_dir(m->j, path, err);
    if (r == 0)
        r = set_kind(m, path, strlen(path), KIND_DIR, err);
    m->j->res->dirs++;
    return r;
}

static int begin_file(struct members *m, const struct frame *f, struct err *err)
{
    uint64_t size = m->size;
    m->in_file = m->dropping = true;
    m->file_bytes = m->size = 0;
    if (f->len < 1)
        return err_set(err, ERR_CORRUPT, "the reader in the sandbox sent nonsense");
    const char *path = clean_path(m, f->data + 1, f->len - 1, m->path);
    if (!path)
        return 0;
    if (!*path)
        return job_notice(m->j, INGEST_SKIPPED, "", "a member without a name");
    int r = admit(m, path, err);
    if (r != 1)
        return r;
    r = job_file_begin(m->j, path, f->data[0] != 0, size, err);
    if (r == 0)
        r = set_kind(m, path, strlen(path), KIND_FILE, err);
    m->dropping = r < 0;
    return r;
}

/* The open file is not whole: out of the tree. */
static void abort_file(struct members *m)
{
    if (m->in_file && !m->dropping) {
        (void)job_file_abort(m->j, NULL); /* where that fails, what comes next does */
        map_remove(&m->kinds, m->path);
        m->j->res->bytes -= m->file_bytes;
    }
    m->in_file = false;
}

/* Eight bytes, the lowest first. */
static uint64_t number(const uint8_t *p)
{
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--)
        n = n << 8 | p[i];
    return n;
}

static int take_size(struct members *m, const struct frame *f, struct err *err)
{
    if (f->len != 8)
        return err_set(err, ERR_CORRUPT, "the reader in the sandbox sent nonsense");
    m->size = number(f->data);
    return 0;
}

static int add_data(struct members *m, const struct frame *f, struct err *err)
{
    if (!m->in_file || f->len < 8)
        return err_set(err, ERR_CORRUPT, "the reader in the sandbox sent nonsense");
    uint64_t done = number(f->data);
    m->input_done = done < m->o->input_bytes ? done : m->o->input_bytes;
    size_t n = f->len - 8;
    int r = count_bytes(m, m->path, n);
    if (r < 0 || m->ended || m->dropping)
        return r;
    uint64_t take = job_take_bytes(m->j, m->path, n);
    if (take < n)
        return end_with(m, MEMBERS_STOPPED);
    r = job_file_data(m->j, f->data + 8, n, err);
    m->j->res->bytes += n;
    m->file_bytes += n;
    return r < 0 ? r : job_fits(m->j, false, err);
}

static int end_file(struct members *m, const struct frame *f, struct err *err)
{
    if (!m->in_file || f->len < 1)
        return err_set(err, ERR_CORRUPT, "the reader in the sandbox sent nonsense");
    if (f->data[0]) {
        abort_file(m);
        return job_notice(m->j, INGEST_UNREADABLE, m->path, "%.*s",
                          (int)(f->len - 1 < 200 ? f->len - 1 : 200),
                          (const char *)f->data + 1);
    }
    m->in_file = false;
    if (m->dropping)
        return 0;
    m->j->res->files++;
    return job_file_end(m->j, err);
}

/* The two texts of a pair. */
static int split_pair(const struct frame *f, const uint8_t **a, size_t *a_len, const uint8_t **b,
                      size_t *b_len, struct err *err)
{
    size_t n = 0;
    for (int i = 3; i >= 0 && f->len >= 4; i--)
        n = n << 8 | f->data[i];
    if (f->len < 4 || n > f->len - 4)
        return err_set(err, ERR_CORRUPT, "the reader in the sandbox sent nonsense");
    *a = f->data + 4;
    *a_len = n;
    *b = *a + n;
    *b_len = f->len - 4 - n;
    return 0;
}

static int add_link(struct members *m, const struct frame *f, struct err *err)
{
    const uint8_t *p, *t;
    size_t p_len, t_len;
    char buf[PATH_TEXT_MAX + 1], target[PATH_TEXT_MAX + 1];
    int r = split_pair(f, &p, &p_len, &t, &t_len, err);
    if (r < 0)
        return r;
    const char *path = clean_path(m, p, p_len, buf);
    if (!path || !*path)
        return 0;
    if (!t_len || t_len > PATH_TEXT_MAX || memchr(t, 0, t_len))
        return job_notice(m->j, INGEST_SKIPPED, path, "a link to nowhere");
    memcpy(target, t, t_len);
    target[t_len] = 0;
    if (!link_stays_inside(path, target))
        return job_notice(m->j, INGEST_SKIPPED, path, "a link that leads out of the archive");
    r = admit(m, path, err);
    if (r != 1)
        return r;
    r = job_add_symlink(m->j, path, target, err);
    return r < 0 ? r : set_kind(m, path, strlen(path), KIND_LINK, err);
}

static int add_hardlink(struct members *m, const struct frame *f, struct err *err)
{
    const uint8_t *p, *t;
    size_t p_len, t_len;
    char path_buf[PATH_TEXT_MAX + 1], target_buf[PATH_TEXT_MAX + 1];
    int r = split_pair(f, &p, &p_len, &t, &t_len, err);
    if (r < 0)
        return r;
    const char *path = clean_path(m, p, p_len, path_buf);
    const char *target = path ? clean_path(m, t, t_len, target_buf) : NULL;
    if (!path || !*path || !target)
        return 0;
    if (strcmp(path, target) == 0 || kind_of(m, target, strlen(target)) != KIND_FILE)
        return job_notice(m->j, INGEST_SKIPPED, path, "a hard link to no file of the archive");
    if (m->j->pack)
        return job_notice(m->j, INGEST_SKIPPED, path, "a hard link, which is not sent");
    r = admit(m, path, err);
    if (r != 1)
        return r;
    r = tree_add_alias(m->j->b, path, target, err);
    m->j->res->files++;
    return r < 0 ? r : set_kind(m, path, strlen(path), KIND_FILE, err);
}

static int notice_pair(struct members *m, const struct frame *f, enum ingest_notice_kind kind,
                       struct err *err)
{
    const uint8_t *p, *t;
    size_t p_len, t_len;
    char path[PATH_TEXT_MAX + 1];
    int r = split_pair(f, &p, &p_len, &t, &t_len, err);
    if (r < 0)
        return r;
    snprintf(path, sizeof path, "%.*s", (int)(p_len < PATH_TEXT_MAX ? p_len : PATH_TEXT_MAX),
             (const char *)p);
    r = count_bytes(m, path, p_len); /* a notice costs memory, too */
    if (r < 0 || m->ended)
        return r;
    return job_notice(m->j, kind, path, "%.*s", (int)(t_len < 200 ? t_len : 200), (const char *)t);
}

static int notice_odd(struct members *m, const struct frame *f)
{
    char path[PATH_TEXT_MAX + 1];
    snprintf(path, sizeof path, "%.*s", (int)(f->len < PATH_TEXT_MAX ? f->len : PATH_TEXT_MAX),
             (const char *)f->data);
    return job_notice(m->j, INGEST_SKIPPED, path, "a device, a FIFO or a socket");
}

static int damaged(struct members *m, const struct frame *f)
{
    end_with(m, MEMBERS_DONE);
    return job_notice(m->j, INGEST_UNREADABLE, "", "the rest of the archive cannot be read: %.*s",
                      (int)(f->len < 160 ? f->len : 160), (const char *)f->data);
}

static int take_frame(struct members *m, const struct frame *f, struct err *err)
{
    bool of_file = f->type == FRAME_DATA || f->type == FRAME_FILE_END;
    if (m->in_file && !of_file && f->type != FRAME_DAMAGED)
        return err_set(err, ERR_CORRUPT, "the reader in the sandbox sent nonsense");
    switch (f->type) {
    case FRAME_DIR: return add_dir(m, f, err);
    case FRAME_SIZE: return take_size(m, f, err);
    case FRAME_FILE: return begin_file(m, f, err);
    case FRAME_DATA: return add_data(m, f, err);
    case FRAME_FILE_END: return end_file(m, f, err);
    case FRAME_SYMLINK: return add_link(m, f, err);
    case FRAME_HARDLINK: return add_hardlink(m, f, err);
    case FRAME_ODD: return notice_odd(m, f);
    case FRAME_UNREADABLE: return notice_pair(m, f, INGEST_UNREADABLE, err);
    case FRAME_NOTE: return notice_pair(m, f, INGEST_SKIPPED, err);
    case FRAME_DAMAGED: return damaged(m, f);
    case FRAME_NOT_ONE:
        return m->bytes ? err_set(err, ERR_CORRUPT, "the reader in the sandbox sent nonsense")
                        : end_with(m, MEMBERS_NOT_ONE);
    case FRAME_DONE: return end_with(m, MEMBERS_DONE);
    default: return err_set(err, ERR_CORRUPT, "the reader in the sandbox sent nonsense");
    }
}

int members_take(struct ingest_job *j, int fd, const struct members_options *o,
                 enum members_end *ret, struct err *err)
{
    struct members m = {.j = j, .o = o};
    struct frame_reader reader;
    struct err e = {0};
    int r = frame_reader_init(&reader, fd, &e);
    while (r == 0 && !m.ended) {
        struct frame f;
        r = job_tick(j, &e);
        if (r == 0)
            r = frame_read(&reader, &f, &e);
        if (r == 0 && !f.type)
            r = err_set(&e, ERR_CORRUPT, "the reader in the sandbox stopped short");
        if (r == 0)
            r = take_frame(&m, &f, &e);
    }
    frame_reader_release(&reader);
    abort_file(&m);
    map_release(&m.kinds);
    *ret = m.end;
    if (r == -ERR_CORRUPT) { /* the reader's fault, or of what took it over: what came before stays */
        *ret = MEMBERS_STOPPED;
        return job_notice(j, INGEST_UNREADABLE, "", "%s", e.msg);
    }
    return r < 0 ? (e.code ? err_copy(err, &e) : err_nomem(err)) : 0;
}
