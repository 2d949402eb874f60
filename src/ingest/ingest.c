/* What a target is, and from there to the kinds. */
#include "ingest/ingest_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "ingest/fetch.h"
#include "ingest/readers.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static uint64_t or_default(uint64_t v, uint64_t def)
{
    return v ? v : def;
}

struct ingest_limits ingest_limits_of(const struct ingest_limits *l)
{
    return (struct ingest_limits){
        .entries_max = or_default(l->entries_max, 1000000),
        .total_bytes_max = or_default(l->total_bytes_max, UINT64_C(50) << 30),
        .path_bytes_max = or_default(l->path_bytes_max, 4096),
        .depth_max = or_default(l->depth_max, 512),
        .archive_entries_max = or_default(l->archive_entries_max, 200000),
        .archive_bytes_max = or_default(l->archive_bytes_max, UINT64_C(4) << 30),
        .archive_ratio_max = or_default(l->archive_ratio_max, 100),
    };
}

char *ingest_short_name(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t start = n;
    while (start > 0 && path[start - 1] != '/')
        start--;
    return start < n ? mem_strndup(path + start, n - start) : mem_strdup(path);
}

static int ingest_single(struct ingest_job *j, int fd, struct err *err)
{
    j->res->kind = "file";
    int r = job_admit(j, j->res->name);
    return r == 1 ? job_add_file(j, fd, j->res->name, err) : r < 0 ? err_nomem(err) : 0;
}

/* An archive, or what only begins like one: then it is a file as any other. */
static int ingest_file(struct ingest_job *j, int fd, struct err *err)
{
    bool named;
    enum members_end end;
    if (!looks_like_archive(fd, j->res->name, &named))
        return ingest_single(j, fd, err);
    j->res->kind = "archive";
    int r = ingest_archive(j, fd, named, &end, err);
    if (r < 0 || end != MEMBERS_NOT_ONE)
        return r;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(err, errno, "read it again");
    return ingest_single(j, fd, err);
}

static int ingest_dir(struct ingest_job *j, int fd, const char *real, bool git, struct err *err)
{
    if (looks_like_bare_repository(fd)) {
        j->res->kind = "git";
        return ingest_git(j, real, err);
    }
    _cleanup_free_ char *inner = git ? os_path_join(real, ".git") : NULL;
    if (git && (!inner || os_is_dir(inner))) { /* a URL means what is committed, not the work tree */
        j->res->kind = "git";
        return inner ? ingest_git(j, inner, err) : err_nomem(err);
    }
    j->res->kind = "folder";
    return ingest_folder(j, fd, err);
}

static int ingest_path(struct ingest_job *j, const char *spec, bool git, struct err *err)
{
    _cleanup_free_ char *real = NULL;
    _cleanup_close_ int fd = -1;
    struct stat st;
    if (!os_exists(spec))
        return err_set(err, ERR_NOT_FOUND, "no such target: %s", spec);
    int r = os_real_path(spec, &real, err);
    if (r < 0)
        return WRAP(r, err, "target");
    j->res->name = ingest_short_name(real);
    if (!j->res->name)
        return err_nomem(err);
    r = os_open(real, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, err);
    if (r < 0)
        return WRAP(r, err, "target");
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "stat %s", real);
    if (S_ISDIR(st.st_mode))
        return ingest_dir(j, fd, real, git, err);
    if (S_ISREG(st.st_mode))
        return ingest_file(j, fd, err);
    return err_set(err, ERR_INVALID, "%s is neither a file nor a folder", spec);
}

#define FETCH_PREFIX "ff-fetch-"
#define FETCH_KEPT_S (2 * 60 * 60) /* longer than any fetch may take */

/* What a process left that was killed. */
static void sweep_fetched(const char *dir)
{
    DIR *d = opendir(dir);
    struct stat st;
    for (struct dirent *e; d && (e = readdir(d));)
        if (strncmp(e->d_name, FETCH_PREFIX, strlen(FETCH_PREFIX)) == 0 &&
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            st.st_mtime + FETCH_KEPT_S < time(NULL)) {
            _cleanup_free_ char *path = os_path_join(dir, e->d_name);
            if (path)
                (void)os_remove_tree(path, NULL);
        }
    if (d)
        closedir(d);
}

/* Fetched into a folder that is gone afterwards. */
static int ingest_url(struct ingest_job *j, const char *spec, struct err *err)
{
    struct fetch_url u;
    _cleanup_free_ char *dir = NULL, *repository = NULL;
    int r = fetch_parse_url(spec, &u, err);
    if (r < 0)
        return r;
    j->res->kind = "git";
    j->res->name = mem_strdup(u.name);
    const char *parent = j->o->tmp_dir ? j->o->tmp_dir : "/tmp";
    sweep_fetched(parent);
    r = j->res->name ? os_temp_dir(parent, FETCH_PREFIX, &dir, err) : err_nomem(err);
    if (r < 0)
        return r;
    repository = os_path_join(dir, "repository");
    r = repository ? fetch_repository(j, &u, dir, err) : err_nomem(err);
    explicit_bzero(u.password, sizeof u.password);
    if (r == 0)
        r = ingest_git(j, repository, err);
    struct err e = {0};
    if (os_remove_tree(dir, &e) < 0 && r == 0)
        r = job_notice(j, INGEST_SKIPPED, "", "what was fetched is still in %s: %s", dir, e.msg);
    return r;
}

static int ingest_spec(struct ingest_job *j, const char *spec, struct err *err)
{
    if (!looks_like_url(spec) || os_exists(spec))
        return ingest_path(j, spec, false, err);
    _cleanup_free_ char *path = NULL;
    int r = git_url_path(spec, &path, err);
    if (r == -ERR_UNIMPLEMENTED)
        return ingest_url(j, spec, err);
    return r < 0 ? r : ingest_path(j, path, true, err);
}

int ingest_builtin(const char *name)
{
    if (strcmp(name, "ingest-archive") == 0)
        return archive_reader_main(STDIN_FILENO, STDOUT_FILENO);
    if (strcmp(name, "ingest-git") == 0)
        return git_reader_main();
    if (strcmp(name, "ingest-fetch") == 0)
        return git_fetcher_main();
    return -1;
}

int ingest(struct store *s, const char *spec, const struct ingest_options *o,
           struct ingest_result *ret, struct err *err)
{
    struct ingest_job j = {.s = s, .o = o, .limits = ingest_limits_of(&o->limits), .res = ret};
    *ret = (struct ingest_result){.kind = ""};
    j.buf = mem_alloc(COPY_BUFFER);
    int r = j.buf ? tree_builder_new(s, &j.b, err) : err_nomem(err);
    if (r == 0)
        r = ingest_spec(&j, spec, err);
    if (r == -ERR_NO_MEMORY)
        err_nomem(err);
    if (r == 0)
        r = job_fits(&j, true, err);
    if (r == 0)
        r = tree_builder_finish(j.b, &ret->tree, err);
    tree_builder_free(j.b);
    free(j.buf);
    if (r == 0 && o->progress)
        o->progress(o->arg, &(struct ingest_progress){ret->files, ret->bytes});
    if (r < 0)
        ingest_result_release(ret);
    return r;
}

void ingest_result_release(struct ingest_result *r)
{
    for (size_t i = 0; i < r->notices_count; i++) {
        free(r->notices[i].path);
        free(r->notices[i].text);
    }
    free(r->notices);
    free(r->name);
    *r = (struct ingest_result){.kind = ""};
}
