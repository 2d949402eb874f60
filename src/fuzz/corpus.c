#include "fuzz/corpus.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "base/vec.h"
#include "codec/sha256.h"
#include "fuzz/child.h"
#include "os/clock.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COPY_BYTES ((size_t)64 << 10)
#define DEPTH_MAX 8
#define TAR_NS (600 * NS_PER_S)
#define NAMES_MAX 2000000

static char here, is_fresh; /* values of maps that are sets */

/* Ends the hashing. false: no memory, and "". */
static bool to_hex(struct sha256 *sha, char ret[65])
{
    unsigned char digest[SHA256_BYTES];
    bool ok = sha256_end(sha, digest);
    sha256_release(sha);
    ret[0] = 0;
    for (size_t i = 0; ok && i < SHA256_BYTES; i++)
        snprintf(ret + 2 * i, 3, "%02x", digest[i]);
    return ok;
}

static int copy(int from, int to, uint64_t max, char *hex, uint64_t *ret_size, struct err *err)
{
    static char buf[COPY_BYTES];
    struct sha256 sha = {0};
    char digest[65];
    uint64_t size = 0;
    size_t n = 0;
    int r = 0;
    sha256_begin(&sha);
    do {
        r = os_read_full(from, buf, sizeof buf, &n, err);
        size += n;
        if (r == 0 && size > max)
            r = err_set(err, ERR_LIMIT, "an input of more than %llu bytes", (unsigned long long)max);
        if (r == 0)
            r = os_write_full(to, buf, n, err);
        sha256_add(&sha, buf, n);
    } while (r == 0 && n == sizeof buf);
    if (!to_hex(&sha, hex ? hex : digest) && r == 0)
        r = err_nomem(err);
    if (ret_size)
        *ret_size = size;
    return r;
}

int fuzz_copy_file(const char *from, const char *to, uint64_t max, char *sha256, uint64_t *ret_size, struct err *err)
{
    _cleanup_close_ int in = -1, out = -1;
    struct stat st;
    int r = os_open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &in, err);
    if (r == 0 && (fstat(in, &st) < 0 || !S_ISREG(st.st_mode)))
        r = err_set(err, ERR_INVALID, "%s is no regular file", from);
    if (r == 0)
        r = os_open(to, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644, &out, err);
    if (r == 0)
        r = copy(in, out, max, sha256, ret_size, err);
    if (r < 0 && out >= 0)
        unlink(to);
    return r;
}

int fuzz_list_files(const char *dir, char ***ret, size_t *ret_count, struct err *err)
{
    VEC(char *) names = {0};
    *ret = NULL;
    *ret_count = 0;
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT ? 0 : err_sys(err, errno, "read %s", dir);
    bool full = false;
    for (struct dirent *e; !full && (e = readdir(d));) {
        struct stat st;
        if (e->d_name[0] == '.' || (e->d_type != DT_REG && e->d_type != DT_UNKNOWN) ||
            (e->d_type == DT_UNKNOWN &&
             (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))))
            continue;
        char *name = mem_strdup(e->d_name);
        if (!name || names.len >= NAMES_MAX || !VEC_PUSH(&names, name)) {
            free(name);
            full = true;
        }
    }
    closedir(d);
    *ret = names.v;
    *ret_count = names.len;
    return 0;
}

/* --- the folder ------------------------------------------------------------------------------------------- */

static void forget_all(struct corpus *c)
{
    map_release(&c->names);
    memset(&c->names, 0, sizeof c->names);
    c->fresh = 0;
    c->bytes = 0;
}

static int note(struct corpus *c, const char *name, uint64_t size, bool fresh, struct err *err)
{
    if (!map_set(&c->names, name, fresh ? &is_fresh : &here))
        return err_nomem(err);
    c->fresh += fresh;
    c->bytes += size;
    return 0;
}

/* Name by name: there may be a million. */
static int read_folder(struct corpus *c, bool fresh, struct err *err)
{
    DIR *d = opendir(c->dir);
    int r = d || errno == ENOENT ? 0 : err_sys(err, errno, "read %s", c->dir);
    for (struct dirent *e; d && r == 0 && (e = readdir(d));) {
        struct stat st;
        if (e->d_name[0] != '.' && !map_get(&c->names, e->d_name) &&
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            r = note(c, e->d_name, (uint64_t)st.st_size, fresh, err);
    }
    if (d)
        closedir(d);
    return r;
}

int corpus_init(struct corpus *c, const char *dir, struct err *err)
{
    memset(c, 0, sizeof *c);
    c->dir = mem_strdup(dir);
    int r = c->dir ? os_mkdirs(dir, 0755, err) : err_nomem(err);
    return r < 0 ? r : read_folder(c, true, err);
}

void corpus_refresh(struct corpus *c)
{
    MAP_EACH(&c->names, e)
        e->value = &is_fresh;
    c->fresh = c->names.len;
}

void corpus_release(struct corpus *c)
{
    forget_all(c);
    free(c->dir);
    memset(c, 0, sizeof *c);
}

int corpus_add(struct corpus *c, const char *path, bool *ret_new, char name_ret[CORPUS_NAME_BYTES], struct err *err)
{
    char hex[65], name[CORPUS_NAME_BYTES];
    uint64_t size;
    *ret_new = false;
    _cleanup_free_ char *part = os_path_join(c->dir, ".part");
    int r = part ? fuzz_copy_file(path, part, CORPUS_INPUT_MAX, hex, &size, err) : err_nomem(err);
    if (r < 0)
        return r;
    snprintf(name, sizeof name, "%.40s", hex);
    if (name_ret)
        memcpy(name_ret, name, sizeof name);
    if (map_get(&c->names, name)) {
        unlink(part);
        return 0;
    }
    _cleanup_free_ char *to = os_path_join(c->dir, name);
    r = to ? os_rename(part, to, err) : err_nomem(err);
    *ret_new = r == 0;
    return r < 0 ? r : note(c, name, size, true, err);
}

void corpus_remove(struct corpus *c, const char *name)
{
    _cleanup_free_ char *path = os_path_join(c->dir, name);
    void *was = path ? map_remove(&c->names, name) : NULL;
    if (!was)
        return;
    unlink(path);
    c->fresh -= was == &is_fresh;
}

static int take(struct corpus *c, const char *from, corpus_name_fn own, struct map *seen, int depth, uint64_t *added,
                struct err *err)
{
    DIR *d = depth < DEPTH_MAX ? opendir(from) : NULL;
    int r = 0;
    for (struct dirent *e; d && r == 0 && (e = readdir(d));) {
        struct stat st;
        if (e->d_name[0] == '.' || (own && !own(e->d_name)) || (depth == 0 && seen && map_get(seen, e->d_name)) ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        _cleanup_free_ char *path = os_path_join(from, e->d_name);
        if (!path) {
            r = err_nomem(err);
        } else if (S_ISDIR(st.st_mode)) {
            r = own ? 0 : take(c, path, NULL, NULL, depth + 1, added, err);
            continue;
        } else if (S_ISREG(st.st_mode)) {
            bool is_new = false;
            struct err why = {0};
            r = corpus_add(c, path, &is_new, NULL, &why); /* a file that has gone meanwhile is nothing */
            r = r == -ERR_NO_MEMORY || r == -ERR_NO_SPACE ? err_copy(err, &why) : 0;
            *added += is_new;
        }
        if (r == 0 && seen && depth == 0 && !map_set(seen, e->d_name, &here))
            r = err_nomem(err);
    }
    if (d)
        closedir(d);
    return r;
}

int corpus_take(struct corpus *c, const char *from, corpus_name_fn own, struct map *seen, uint64_t *ret_added, struct err *err)
{
    *ret_added = 0;
    return take(c, from, own, seen, 0, ret_added, err);
}

void fuzz_text_digest(const char *text, char ret[65])
{
    struct sha256 sha = {0};
    sha256_begin(&sha);
    sha256_add(&sha, text, strlen(text));
    to_hex(&sha, ret);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int corpus_digest(const struct corpus *c, char ret[65], struct err *err)
{
    struct sha256 sha = {0};
    const char **names = mem_calloc(c->names.len + 1, sizeof *names);
    size_t n = 0;
    if (!names)
        return err_nomem(err);
    MAP_EACH(&c->names, e)
        names[n++] = e->key;
    qsort(names, n, sizeof *names, by_text);
    sha256_begin(&sha);
    for (size_t i = 0; i < n; i++)
        sha256_add(&sha, names[i], strlen(names[i]) + 1);
    free(names);
    return to_hex(&sha, ret) ? 0 : err_nomem(err);
}

/* --- archives --------------------------------------------------------------------------------------------- */

static int run_tar(struct fuzz_command *c, struct err *err)
{
    struct fuzz_child child;
    bool late = false;
    fuzz_child_init(&child);
    int r = fuzz_child_run(c, os_mono_ns() + TAR_NS, &child, &late, err);
    if (r == 0 && (late || !WIFEXITED(child.status) || WEXITSTATUS(child.status) != 0))
        r = err_set(err, ERR_IO, "tar: %.200s", late ? "it took too long" : strbuf_str(&child.tail));
    fuzz_child_release(&child);
    fuzz_command_release(c);
    return r;
}

int fuzz_untar(const char *tar, const char *dir, struct err *err)
{
    int r = os_mkdirs(dir, 0755, err);
    if (r < 0)
        return r;
    struct fuzz_command c = {0};
    fuzz_word(&c.argv, "tar");
    fuzz_word(&c.argv, "-xf");
    fuzz_word(&c.argv, "%s", tar);
    fuzz_word(&c.argv, "--no-same-owner");
    fuzz_word(&c.argv, "-C");
    fuzz_word(&c.argv, "%s", dir);
    return run_tar(&c, err);
}

int fuzz_tar(const char *tar, const char *dir, const char *list, struct err *err)
{
    struct fuzz_command c = {0};
    fuzz_word(&c.argv, "tar");
    fuzz_word(&c.argv, "-cf");
    fuzz_word(&c.argv, "%s", tar);
    fuzz_word(&c.argv, "--sort=name");
    fuzz_word(&c.argv, "--mtime=@0");
    fuzz_word(&c.argv, "-C");
    fuzz_word(&c.argv, "%s", dir);
    if (list)
        fuzz_word(&c.argv, "--files-from=%s", list);
    else
        fuzz_word(&c.argv, ".");
    return run_tar(&c, err);
}

int corpus_pack(struct corpus *c, bool all, const char *tar, struct err *err)
{
    struct strbuf names = STRBUF_INIT;
    _cleanup_free_ char *list = mem_printf("%s.list", tar);
    MAP_EACH(&c->names, e)
        if (all || e->value == &is_fresh)
            strbuf_printf(&names, "%s\n", e->key);
    int r = strbuf_check(&names, err);
    if (r == 0)
        r = list ? os_write_file_atomic(list, strbuf_str(&names), names.len, 0644, err) : err_nomem(err);
    strbuf_release(&names);
    if (r == 0)
        r = fuzz_tar(tar, c->dir, list, err);
    if (list)
        unlink(list);
    if (r < 0)
        return r;
    MAP_EACH(&c->names, e)
        e->value = &here;
    c->fresh = 0;
    return 0;
}

int corpus_unpack(struct corpus *c, const char *tar, struct err *err)
{
    int r = fuzz_untar(tar, c->dir, err);
    return r < 0 ? r : read_folder(c, false, err);
}
