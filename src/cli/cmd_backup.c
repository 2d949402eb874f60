/* ff backup and ff restore: a state in one file, while it is used, and back. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "api/client/remote.h"
#include "cli/backup.h"
#include "cli/restore.h"
#include "cli/term.h"
#include "codec/json.h"
#include "engine/embedded/lockfile.h"
#include "os/clock.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- backup ------------------------------------------------------------------------------------------------- */

static int put_fd(void *fd, const void *data, size_t len, struct err *err)
{
    return os_write_full(*(int *)fd, data, len, err);
}

/* A server's is held against its own sums: what it is made of is known when all of it is here. dir: NULL: it is passed on. */
static int get_backup(struct app *app, int fd, const char *dir, struct backup_count *n, struct err *err)
{
    int r = app->remote ? client_backup(app->client, fd, err) : backup_write(app, put_fd, &fd, n, err);
    if (r == 0 && app->remote && dir && lseek(fd, 0, SEEK_SET) < 0)
        r = err_sys(err, errno, "read the backup again");
    return r == 0 && app->remote && dir ? backup_check(fd, dir, n, err) : r;
}

/* Without a name where the file system can do that: then nothing is left of it, whatever ends this process. */
static int open_part(const char *dir, const char *part, bool *ret_named, int *ret_fd, struct err *err)
{
    *ret_named = os_open(dir, O_TMPFILE | O_RDWR, 0600, ret_fd, NULL) < 0;
    return *ret_named ? os_open(part, O_RDWR | O_CREAT | O_EXCL, 0600, ret_fd, err) : 0;
}

static int name_part(int fd, const char *part, struct err *err)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, path, AT_FDCWD, part, AT_SYMLINK_FOLLOW) < 0 ? err_sys(err, errno, "write %s", part) : 0;
}

/* What was there stays until all of it is there. */
static int write_file(struct app *app, const char *file, struct backup_count *n, struct err *err)
{
    char id[27];
    bool named = false;
    const char *slash = strrchr(file, '/');
    os_ulid(id);
    _cleanup_free_ char *part = mem_printf("%s.%s", file, id);
    _cleanup_free_ char *dir = slash ? mem_strndup(file, slash == file ? 1 : (size_t)(slash - file)) : mem_strdup(".");
    _cleanup_close_ int fd = -1;
    int r = part && dir ? open_part(dir, part, &named, &fd, err) : err_nomem(err);
    if (r < 0)
        return r;
    r = get_backup(app, fd, dir, n, err);
    if (r == 0)
        r = os_fsync(fd, err);
    if (r == 0 && !named)
        r = name_part(fd, part, err);
    if (r == 0)
        r = os_rename(part, file, err);
    if (r < 0)
        os_unlink(part, true, NULL);
    return r;
}

static int open_state(struct app *app, struct err *err)
{
    bool any = false;
    if (app->remote)
        return app_open(app, 0, err);
    for (const struct backup_part *p = backup_parts; p->name; p++) {
        _cleanup_free_ char *path = os_path_join(app->state_dir, p->name);
        any |= path && (p->kind == BACKUP_SQLITE || p->kind == BACKUP_ENGINE) && os_exists(path);
    }
    if (!any)
        return err_set(err, ERR_NOT_FOUND, "there is no state in %s", app->state_dir);
    unsigned parts = 0; /* a cluster and a bucket have backups of their own */
    if (strcmp(config_get(&app->config, CONFIG_engine), "embedded") == 0)
        parts |= APP_ENGINE;
    if (strcmp(config_get(&app->config, CONFIG_store), "local") == 0)
        parts |= APP_STORE;
    int r = app_open(app, parts, err);
    return r == 0 && app->read_only ? err_set(err, ERR_PERMISSION, "the state is read-only: copy its folder") : r;
}

static void report(struct app *app, const char *what, const char *file, const struct backup_count *n)
{
    char size[32];
    const char *of = app->remote ? client_url(app->client) : app->state_dir;
    if (app->json)
        app_print_json(app, json_pack("{s:s, s:s, s:I, s:I}", app->remote ? "server" : "state", of, "file", file, "files",
                                      (json_int_t)n->files, "bytes", (json_int_t)n->bytes));
    else if (!app->quiet)
        printf("%s %s: %llu file%s, %s\n", what, file, (unsigned long long)n->files, UNITS_S(n->files),
               units_format_size(n->bytes, size, sizeof size));
}

static int backup(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct backup_count n;
    const char *file = args_pos(a, 0);
    bool to_stdout = strcmp(file, "-") == 0;
    if (to_stdout && (app->json || term_stdout_is_tty()))
        return app_usage(app, "the backup cannot go to the same place as what is printed: give a file");
    int r = open_state(app, &err);
    if (r == 0)
        r = to_stdout ? get_backup(app, STDOUT_FILENO, NULL, &n, &err) : write_file(app, file, &n, &err);
    if (r < 0)
        return app_fail(app, &err);
    if (!to_stdout)
        report(app, "wrote", file, &n);
    return EXIT_OK;
}

const struct command cmd_backup = {
    .remote = true,
    .name = "backup",
    .summary = "Copy the state into one file, while it is used",
    .usage = "FILE|-",
    .details = "Runs with their histories, the local store, events, tokens, audit log and the settings of the state folder,\n"
               "as of one moment: runs go on meanwhile, and those that have not ended go on where a restored copy is held.\n"
               "The file holds secrets (tokens, and what runs were given) and is yours alone. It is a tar, packed with zstd.\n"
               "A server gives its own to admins of all namespaces; what came is checked before the file is there.",
    .examples = "  ff backup /backups/ff-$(date +%F).tar.zst\n  ff backup - | ssh host 'cat > ff.tar.zst'",
    .min_args = 1, .max_args = 1,
    .run = backup,
};

/* --- restore ------------------------------------------------------------------------------------------------ */

static int restore_there(struct app *app, int fd, bool replace, struct backup_count *n, struct err *err)
{
    _cleanup_json_ json_t *doc = NULL;
    int r = app_open(app, 0, err);
    if (r == 0)
        r = client_restore(app->client, fd, replace, &doc, err);
    *n = (struct backup_count){(uint64_t)json_i64(doc, "files", 0), (uint64_t)json_i64(doc, "bytes", 0)};
    return r;
}

static int restore_here(struct app *app, int fd, bool replace, struct backup_count *n, struct err *err)
{
    _cleanup_free_ char *db = os_path_join(app->state_dir, "state.db");
    struct lockfile lock = {.fd = -1};
    int r = db ? os_mkdirs(app->state_dir, 0700, err) : err_nomem(err);
    if (r == 0)
        r = lockfile_take(&lock, db, 0, err);
    if (r == 0)
        r = restore_state(fd, app->state_dir, replace, n, err);
    lockfile_release(&lock);
    return r;
}

static int restore(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct backup_count n = {0};
    const char *file = args_pos(a, 0);
    _cleanup_close_ int own = -1;
    bool named = strcmp(file, "-") != 0, replace = args_has(a, "replace");
    int r = named ? os_open(file, O_RDONLY, 0, &own, &err) : 0, fd = named ? own : STDIN_FILENO;
    if (r == 0)
        r = app->remote ? restore_there(app, fd, replace, &n, &err) : restore_here(app, fd, replace, &n, &err);
    if (r < 0)
        return app_fail(app, &err);
    report(app, "restored from", file, &n);
    return EXIT_OK;
}

static const struct opt restore_options[] = {
    {"replace", 0, NULL, "what the state holds now is removed, once all of the backup has been read and checked"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_restore = {
    .remote = true,
    .name = "restore",
    .summary = "Bring a state back from a backup",
    .usage = "FILE|- [--replace]",
    .details = "The state must be empty, and nobody may use it. All of the file is read and checked first: a damaged one\n"
               "changes nothing. Runs that had not ended go on when somebody holds the state ('ff serve', 'ff runs wait ID').\n"
               "A server that was started with --allow-restore takes one from an admin of all namespaces: it ends, begins\n"
               "again with it, and then the tokens that count are those of the backup.",
    .examples = "  ff --state ./copy restore ff.tar.zst\n  ff restore ff.tar.zst --replace",
    .opts = restore_options,
    .min_args = 1, .max_args = 1,
    .run = restore,
};
