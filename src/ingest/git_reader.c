/* Inside the sandbox: tells the files of a git repository's HEAD as frames.
 *
 * The repository is mounted read-only at /workspace. Its objects are hostile input to libgit2,
 * which is why this runs in here; its hooks and configured programs are never run. */
#include "base/cleanup.h"
#include "ingest/entry_stream.h"
#include "ingest/readers.h"
#include "os/library.h"

#include <git2.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OUT STDOUT_FILENO
#define PIECE ((size_t)128 << 10)
#define LFS_HEAD "version https://git-lfs.github.com/spec/"

#define GIT_CALLS(X) \
    X(git_blob_free) X(git_blob_lookup) X(git_blob_rawcontent) X(git_blob_rawsize)                \
    X(git_error_last) X(git_libgit2_init) X(git_libgit2_opts) X(git_libgit2_shutdown)             \
    X(git_object_free) X(git_object_peel) X(git_repository_free) X(git_repository_head_unborn)    \
    X(git_repository_open_ext) X(git_revparse_single) X(git_tree_entry_filemode)                  \
    X(git_tree_entry_id) X(git_tree_entry_name) X(git_tree_free) X(git_tree_walk)
static struct {
    GIT_CALLS(OS_LIBRARY_FIELD)
} lib;

static int load(struct err *err)
{
    static const struct os_symbol calls[] = {GIT_CALLS(OS_LIBRARY_ENTRY)};
    return os_library_load("libgit2.so." LIBGIT2_SOVERSION, calls, ARRAY_LEN(calls), err);
}

static const char *why(void)
{
    const git_error *e = lib.git_error_last();
    return e && e->message ? e->message : "cannot be read";
}

static int damaged(const char *what)
{
    char text[400];
    snprintf(text, sizeof text, "%s: %s", what, why());
    return frame_write(OUT, FRAME_DAMAGED, text, strlen(text), NULL, 0);
}

/* No count of what was read of the repository: packed objects have no place of their own. The
 * parent looks at bytes alone. */
static int tell_blob(git_repository *repo, const git_tree_entry *e, const char *path)
{
    static const uint8_t nothing[8];
    git_blob *blob = NULL;
    if (lib.git_blob_lookup(&blob, repo, lib.git_tree_entry_id(e)) < 0)
        return frame_write_pair(OUT, FRAME_UNREADABLE, path, why());
    const char *data = lib.git_blob_rawcontent(blob);
    size_t len = (size_t)lib.git_blob_rawsize(blob);
    uint8_t size[8], executable = lib.git_tree_entry_filemode(e) == GIT_FILEMODE_BLOB_EXECUTABLE;
    int r = 0;
    for (int i = 0; i < 8; i++)
        size[i] = (uint8_t)((uint64_t)len >> (8 * i));
    if (len < 1024 && len > sizeof LFS_HEAD && memcmp(data, LFS_HEAD, sizeof LFS_HEAD - 1) == 0)
        r = frame_write_pair(OUT, FRAME_NOTE, path,
                             "a pointer of Git LFS: its content is not in the repository");
    if (r == 0)
        r = frame_write(OUT, FRAME_SIZE, size, sizeof size, NULL, 0);
    if (r == 0)
        r = frame_write(OUT, FRAME_FILE, &executable, 1, path, strlen(path));
    for (size_t at = 0; at < len && r == 0; at += PIECE)
        r = frame_write(OUT, FRAME_DATA, nothing, 8, data + at,
                        len - at < PIECE ? len - at : PIECE);
    if (r == 0)
        r = frame_write(OUT, FRAME_FILE_END, "\0", 1, NULL, 0);
    lib.git_blob_free(blob);
    return r;
}

static int tell_link(git_repository *repo, const git_tree_entry *e, const char *path)
{
    char target[4097];
    git_blob *blob = NULL;
    if (lib.git_blob_lookup(&blob, repo, lib.git_tree_entry_id(e)) < 0)
        return frame_write_pair(OUT, FRAME_UNREADABLE, path, why());
    size_t len = (size_t)lib.git_blob_rawsize(blob);
    len = len < sizeof target ? len : 0; /* a longer one is none: the parent says so */
    memcpy(target, lib.git_blob_rawcontent(blob), len);
    target[len] = 0;
    lib.git_blob_free(blob);
    return frame_write_pair(OUT, FRAME_SYMLINK, path, target);
}

struct walk {
    git_repository *repo;
    int r;
};

/* Stops the walk by a negative answer. */
static int visit(const char *root, const git_tree_entry *e, void *arg)
{
    struct walk *w = arg;
    char path[16384];
    if (snprintf(path, sizeof path, "%s%s", root, lib.git_tree_entry_name(e)) >= (int)sizeof path) {
        w->r = frame_write_pair(OUT, FRAME_UNREADABLE, "", "a path that is too long");
        return w->r < 0 ? w->r : 1; /* 1: not what lies below it */
    }
    switch (lib.git_tree_entry_filemode(e)) {
    case GIT_FILEMODE_TREE: w->r = frame_write(OUT, FRAME_DIR, path, strlen(path), NULL, 0); break;
    case GIT_FILEMODE_LINK: w->r = tell_link(w->repo, e, path); break;
    case GIT_FILEMODE_COMMIT:
        w->r = frame_write_pair(OUT, FRAME_NOTE, path,
                                "a submodule: its content is in another repository");
        break;
    default: w->r = tell_blob(w->repo, e, path); break;
    }
    return w->r;
}

static int tell_head(git_repository *repo)
{
    git_object *head = NULL;
    git_tree *tree = NULL;
    struct walk w = {repo, 0};
    if (lib.git_repository_head_unborn(repo) == 1)
        return frame_write(OUT, FRAME_DONE, NULL, 0, NULL, 0);
    if (lib.git_revparse_single(&head, repo, "HEAD^{tree}") < 0)
        return damaged("HEAD");
    if (lib.git_object_peel((git_object **)&tree, head, GIT_OBJECT_TREE) < 0) {
        lib.git_object_free(head);
        return damaged("HEAD");
    }
    int walked = lib.git_tree_walk(tree, GIT_TREEWALK_PRE, visit, &w);
    lib.git_tree_free(tree);
    lib.git_object_free(head);
    if (w.r < 0)
        return w.r;
    return walked < 0 ? damaged("a folder") : frame_write(OUT, FRAME_DONE, NULL, 0, NULL, 0);
}

int git_reader_main(void)
{
    git_repository *repo = NULL;
    signal(SIGPIPE, SIG_IGN);
    struct err err = {0};
    if (load(&err) < 0)
        fprintf(stderr, "%s\n", err.msg);
    if (err.code || lib.git_libgit2_init() < 0)
        return 1;
    lib.git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0); /* it is somebody else's, and only read */
    for (int level = GIT_CONFIG_LEVEL_PROGRAMDATA; level <= GIT_CONFIG_LEVEL_GLOBAL; level++)
        lib.git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
    int r = lib.git_repository_open_ext(&repo, ".", GIT_REPOSITORY_OPEN_NO_SEARCH, NULL) < 0
                ? frame_write(OUT, FRAME_NOT_ONE, NULL, 0, NULL, 0)
                : tell_head(repo);
    lib.git_repository_free(repo);
    lib.git_libgit2_shutdown();
    return r < 0 ? 1 : 0;
}
