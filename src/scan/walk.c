#include "scan/walk.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/vec.h"
#include "os/fault.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define IGNORE_FILE ".ffignore"
#define IGNORE_FILE_MAX (256 << 10)
#define IGNORE_RULES_MAX 20000
/* Descriptors of this many levels stay open; deeper folders are reopened from there when the walk comes back to
 * them, so that 500 levels do not need 500 descriptors. */
#define OPEN_LEVELS 48

struct name {
    char *s;
    mode_t mode;
    uint64_t size_bytes;
    enum walk_kind kind;
};

struct ignore_rule {
    char *glob;      /* without the marks that follow */
    char *text;      /* as written, for reports */
    size_t base_len; /* of the path of the folder whose file it stands in, with its slash */
    bool negate, dirs_only, anchored;
};

struct level {
    int fd; /* -1 while it is closed */
    VEC(struct name) names;
    size_t next;
    size_t path_len;        /* of the folder's own path */
    size_t rules;           /* that held before this folder */
    const char *ignored_by; /* of the whole folder; owned by a rule of a level above */
};

struct walker {
    const struct walk_options *o;
    struct walk_stats stats;
    size_t entries, entries_max;
    size_t depth_max;
    VEC(struct level) levels;
    VEC(struct ignore_rule) rules;
    struct strbuf path;
    bool full; /* the bound on entries was met */
};

static void report(struct walker *w, const char *path, const struct err *why)
{
    w->stats.problems++;
    if (w->o->problem)
        w->o->problem(path, why, w->o->arg);
}

static void rule_release(struct ignore_rule *r)
{
    free(r->glob);
    free(r->text);
}

static void drop_rules(struct walker *w, size_t keep)
{
    while (w->rules.len > keep)
        rule_release(&w->rules.v[--w->rules.len]);
}

/* One line of a .ffignore. */
static int add_rule(struct walker *w, const char *line, size_t n, size_t base_len, struct err *err)
{
    while (n && (line[n - 1] == ' ' || line[n - 1] == '\t' || line[n - 1] == '\r') &&
           !(n >= 2 && line[n - 2] == '\\'))
        n--;
    if (!n || line[0] == '#' || memchr(line, 0, n))
        return 0;
    if (w->rules.len >= IGNORE_RULES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d patterns in " IGNORE_FILE, IGNORE_RULES_MAX);
    struct ignore_rule r = {.base_len = base_len, .text = mem_strndup(line, n)};
    if (line[0] == '!') {
        r.negate = true;
        line++, n--;
    }
    if (n && line[n - 1] == '/') {
        r.dirs_only = true;
        n--;
    }
    r.anchored = memchr(line, '/', n) != NULL;
    if (n && line[0] == '/')
        line++, n--;
    r.glob = mem_strndup(line, n);
    if (!n || !r.glob || !r.text || !VEC_PUSH(&w->rules, r)) {
        rule_release(&r);
        return n ? err_nomem(err) : 0;
    }
    return 0;
}

static int load_rules(struct walker *w, int dirfd, size_t base_len, struct err *err)
{
    struct walk_entry e = {.dirfd = dirfd, .name = IGNORE_FILE, .path = IGNORE_FILE};
    _cleanup_free_ char *text = NULL;
    size_t len;
    struct err why = {0};
    int r = walk_read(&e, IGNORE_FILE_MAX, &text, &len, &why);
    if (r == -ERR_NOT_FOUND)
        return 0;
    if (r == -ERR_NO_MEMORY)
        return err_copy(err, &why);
    if (r < 0) {
        report(w, strbuf_str(&w->path), &why);
        return 0;
    }
    for (char *line = text, *end = text + len; line < end;) {
        char *nl = memchr(line, '\n', (size_t)(end - line));
        size_t n = nl ? (size_t)(nl - line) : (size_t)(end - line);
        r = add_rule(w, line, n, base_len, &why);
        if (r == -ERR_NO_MEMORY)
            return err_copy(err, &why);
        if (r < 0) {
            report(w, strbuf_str(&w->path), &why);
            return 0;
        }
        line += n + 1;
    }
    return 0;
}

/* The pattern that decides, the last one that matches, as git has it; NULL when none does or it says "not ignored". */
static const char *ignored_by(const struct walker *w, const char *path, bool dir)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = w->rules.len; i-- > 0;) {
        const struct ignore_rule *r = &w->rules.v[i];
        if (r->dirs_only && !dir)
            continue;
        if (walk_glob(r->glob, r->anchored ? path + r->base_len : name))
            return r->negate ? NULL : r->text;
    }
    return NULL;
}

/* The order of whole paths: a folder sorts as if its name ended in a slash. */
static int by_path(const void *pa, const void *pb)
{
    const struct name *a = pa, *b = pb;
    size_t na = strlen(a->s), nb = strlen(b->s), n = na < nb ? na : nb;
    int c = memcmp(a->s, b->s, n);
    if (c)
        return c;
    unsigned char ca = na > n ? (unsigned char)a->s[n] : a->kind == WALK_DIR ? '/' : 0;
    unsigned char cb = nb > n ? (unsigned char)b->s[n] : b->kind == WALK_DIR ? '/' : 0;
    return ca < cb ? -1 : ca > cb;
}

static enum walk_kind kind_of(mode_t mode)
{
    return S_ISREG(mode)   ? WALK_FILE
           : S_ISDIR(mode) ? WALK_DIR
           : S_ISLNK(mode) ? WALK_SYMLINK
                           : WALK_OTHER;
}

static int add_name(struct walker *w, struct level *l, DIR *d, const char *s, struct err *err)
{
    struct stat st;
    struct err why = {0};
    int e = os_fault("stat");
    if (e || fstatat(dirfd(d), s, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        e = e ? e : errno;
        if (e != ENOENT) { /* else it went away since readdir */
            err_sys(&why, e, "stat %s", s);
            report(w, strbuf_str(&w->path), &why);
        }
        return 0;
    }
    if (w->entries >= w->entries_max) {
        if (!w->full) {
            err_set(&why, ERR_LIMIT, "more than %zu entries", w->entries_max);
            report(w, strbuf_str(&w->path), &why);
        }
        w->full = true;
        return 0;
    }
    w->entries++;
    struct name n = {.s = mem_strdup(s), .mode = st.st_mode, .kind = kind_of(st.st_mode)};
    if (n.kind == WALK_FILE && st.st_size > 0)
        n.size_bytes = (uint64_t)st.st_size;
    if (!n.s || !VEC_PUSH(&l->names, n)) {
        free(n.s);
        return err_nomem(err);
    }
    return 0;
}

/* Reads the names of the folder behind l->fd, sorted. A read error is a problem of the walk, what was read is kept. */
static int read_names(struct walker *w, struct level *l, struct err *err)
{
    struct err why = {0};
    int fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        err_sys(&why, errno, "read folder");
        if (fd >= 0)
            close(fd);
        report(w, strbuf_str(&w->path), &why);
        return 0;
    }
    int r = 0;
    while (r == 0 && !w->full) {
        errno = os_fault("readdir");
        struct dirent *e = errno ? NULL : readdir(d);
        if (!e) {
            if (errno) {
                err_sys(&why, errno, "read folder");
                report(w, strbuf_str(&w->path), &why);
            }
            break;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = add_name(w, l, d, e->d_name, err);
    }
    closedir(d);
    if (l->names.len)
        qsort(l->names.v, l->names.len, sizeof *l->names.v, by_path);
    return r;
}

static void level_release(struct level *l)
{
    if (l->fd >= 0)
        close(l->fd);
    VEC_EACH(&l->names, n)
        free(n->s);
    VEC_RELEASE(&l->names);
}

/* Takes fd. */
static int push_level(struct walker *w, int fd, const char *ignored, struct err *err)
{
    struct level l = {.fd = fd, .path_len = w->path.len, .rules = w->rules.len,
                      .ignored_by = ignored};
    int r = w->o->no_ignore ? 0 : load_rules(w, fd, l.path_len ? l.path_len + 1 : 0, err);
    if (r == 0)
        r = read_names(w, &l, err);
    if (r == 0 && !VEC_PUSH(&w->levels, l))
        r = err_nomem(err);
    if (r < 0)
        level_release(&l);
    return r;
}

/* Opens the folder of a level that was closed, part by part from the deepest one that is open. */
static int reopen(struct walker *w, size_t depth, struct err *err)
{
    size_t from = depth;
    while (w->levels.v[from].fd < 0)
        from--; /* the root is always open */
    int fd = w->levels.v[from].fd;
    for (size_t i = from + 1; i <= depth; i++) {
        const struct level *up = &w->levels.v[i - 1];
        int sub;
        int r = os_openat(fd, up->names.v[up->next - 1].s, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                          &sub, err);
        if (fd != w->levels.v[from].fd)
            close(fd);
        if (r < 0)
            return r;
        fd = sub;
    }
    w->levels.v[depth].fd = fd;
    return 0;
}

/* Goes into the folder that was just visited. */
static int descend(struct walker *w, const struct name *n, const char *ignored, struct err *err)
{
    struct level *l = &w->levels.v[w->levels.len - 1];
    struct err why = {0};
    int fd = -1;
    if (w->levels.len > w->depth_max)
        err_set(&why, ERR_LIMIT, "more than %zu folders deep", w->depth_max);
    else
        os_openat(l->fd, n->s, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, &why);
    if (fd < 0) {
        report(w, strbuf_str(&w->path), &why);
        return 0;
    }
    if (w->levels.len > OPEN_LEVELS) {
        close(l->fd);
        l->fd = -1;
    }
    return push_level(w, fd, ignored, err);
}

static void count(struct walk_stats *s, const struct walk_entry *e)
{
    s->files += e->kind == WALK_FILE;
    s->dirs += e->kind == WALK_DIR;
    s->symlinks += e->kind == WALK_SYMLINK;
    s->others += e->kind == WALK_OTHER;
    s->ignored += e->ignored_by != NULL && e->kind != WALK_DIR;
}

/* The next entry of the deepest level. */
static int visit(struct walker *w, struct err *err)
{
    size_t depth = w->levels.len - 1;
    struct level *l = &w->levels.v[depth];
    const struct name n = l->names.v[l->next++];
    struct err why = {0};
    w->path.len = l->path_len;
    if (l->path_len)
        strbuf_putc(&w->path, '/');
    strbuf_puts(&w->path, n.s);
    if (strbuf_check(&w->path, &why) < 0) {
        bool over = w->path.over;
        w->path.failed = w->path.over = false;
        w->path.len = l->path_len;
        strbuf_append(&w->path, "", 0);
        if (!over)
            return err_copy(err, &why);
        err_set(&why, ERR_LIMIT, "a path of more than %d bytes", WALK_PATH_MAX);
        report(w, strbuf_str(&w->path), &why);
        return 0;
    }
    if (l->fd < 0 && reopen(w, depth, &why) < 0) {
        report(w, strbuf_str(&w->path), &why);
        return 0;
    }
    struct walk_entry e = {.dirfd = l->fd, .name = n.s, .path = strbuf_str(&w->path),
                           .kind = n.kind, .size_bytes = n.size_bytes, .mode = n.mode,
                           .depth = (int)depth};
    e.ignored_by = l->ignored_by ? l->ignored_by : ignored_by(w, e.path, n.kind == WALK_DIR);
    count(&w->stats, &e);
    int r = w->o->entry(&e, w->o->arg, err);
    if (r < 0)
        return r;
    return n.kind == WALK_DIR && r != WALK_SKIP ? descend(w, &n, e.ignored_by, err) : 0;
}

int walk_tree(const char *root, const struct walk_options *o, struct walk_stats *ret_stats,
              struct err *err)
{
    struct walker w = {.o = o, .entries_max = o->entries_max ? o->entries_max : WALK_ENTRIES_MAX,
                       .depth_max = o->depth_max > 0 ? (size_t)o->depth_max : WALK_DEPTH_MAX,
                       .path = STRBUF_INIT_MAX(WALK_PATH_MAX)};
    int fd;
    int r = os_open(root, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (r < 0)
        return r;
    r = push_level(&w, fd, NULL, err);
    while (r == 0 && w.levels.len) {
        struct level *l = &w.levels.v[w.levels.len - 1];
        if (l->next < l->names.len) {
            r = visit(&w, err);
        } else {
            drop_rules(&w, l->rules);
            level_release(l);
            w.levels.len--;
        }
    }
    while (w.levels.len)
        level_release(&w.levels.v[--w.levels.len]);
    VEC_RELEASE(&w.levels);
    drop_rules(&w, 0);
    VEC_RELEASE(&w.rules);
    strbuf_release(&w.path);
    if (ret_stats)
        *ret_stats = w.stats;
    return r;
}

int walk_open(const struct walk_entry *e, int *ret_fd, uint64_t *ret_size, struct err *err)
{
    _cleanup_close_ int fd = -1;
    int r = os_openat(e->dirfd, e->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, &fd, err);
    if (r < 0)
        return r;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "stat %s", e->name);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is not a regular file", e->name);
    if (ret_size)
        *ret_size = (uint64_t)st.st_size;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int walk_read(const struct walk_entry *e, size_t max, char **ret, size_t *ret_len, struct err *err)
{
    _cleanup_close_ int fd = -1;
    uint64_t size;
    int r = walk_open(e, &fd, &size, err);
    if (r < 0)
        return r;
    if (size > max)
        return err_set(err, ERR_LIMIT, "%s is over %zu bytes", e->name, max);
    /* What is appended while we read is left for another time: the size at the start is what counts. */
    _cleanup_free_ char *buf = mem_alloc((size_t)size + 1);
    if (!buf)
        return err_nomem(err);
    size_t n;
    r = os_read_full(fd, buf, (size_t)size, &n, err);
    if (r < 0)
        return err_wrap(err, "%s", e->name);
    buf[n] = 0;
    *ret = TAKE_PTR(buf);
    *ret_len = n;
    return 0;
}

bool walk_is_binary(const void *data, size_t len)
{
    const unsigned char *p = data;
    if (len >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff)))
        return false;
    size_t n = len < 8000 ? len : 8000, control = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == 0)
            return true;
        control += p[i] < 32 && !strchr("\t\n\v\f\r\b\033", p[i]);
    }
    return control * 10 > n;
}
