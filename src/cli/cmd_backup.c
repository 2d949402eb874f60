/* ff backup and ff restore: a state in one file, while it is used, and back. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/backup.h"
#include "cli/restore.h"
#include "cli/term.h"
#include "engine/embedded/lockfile.h"
#include "os/clock.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- backup ------------------------------------------------------------------------------------------------- */

/* What was there stays until all of it is there. */
static int write_file(struct app *app, const char *file, struct backup_count *n, struct err *err)
{
    char id[27];
    os_ulid(id);
    _cleanup_free_ char *part = mem_printf("%s.%s", file, id);
    _cleanup_close_ int fd = -1;
    int r = part ? os_open(part, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, err) : err_nomem(err);
    if (r < 0)
        return r;
    r = backup_write(app, fd, n, err);
    if (r == 0)
        r = os_fsync(fd, err);
    if (r == 0)
        r = os_rename(part, file, err);
    if (r < 0)
        os_unlink(part, true, NULL);
    return r;
}

static int open_state(struct app *app, struct err *err)
{
    bool any = false;
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
    if (app->json)
        app_print_json(app, json_pack("{s:s, s:s, s:I, s:I}", "state", app->state_dir, "file", file, "files",
                                      (json_int_t)n->files, "bytes", (json_int_t)n->bytes));
    else if (!app->quiet)
        printf("%s %s: %llu files, %s\n", what, file, (unsigned long long)n->files,
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
        r = to_stdout ? backup_write(app, STDOUT_FILENO, &n, &err) : write_file(app, file, &n, &err);
    if (r < 0)
        return app_fail(app, &err);
    if (!to_stdout)
        report(app, "wrote", file, &n);
    return EXIT_OK;
}

const struct command cmd_backup = {
    .instead = "run it on the server's machine: it copies the state's own files, tokens and all",
    .name = "backup",
    .summary = "Copy the state into one file, while it is used",
    .usage = "FILE|-",
    .details = "Runs with their histories, the local store, events, tokens, audit log and the settings of the state folder,\n"
               "as of one moment: runs go on meanwhile, and those that have not ended go on where a restored copy is held.\n"
               "The file holds secrets (tokens, and what runs were given) and is yours alone. It is a tar, packed with zstd.",
    .examples = "  ff backup /backups/ff-$(date +%F).tar.zst\n  ff backup - | ssh host 'cat > ff.tar.zst'",
    .min_args = 1, .max_args = 1,
    .run = backup,
};

/* --- restore ------------------------------------------------------------------------------------------------ */

static int restore_from(struct app *app, const char *file, bool replace, struct backup_count *n, struct err *err)
{
    _cleanup_free_ char *db = os_path_join(app->state_dir, "state.db");
    _cleanup_close_ int own = -1;
    struct lockfile lock = {.fd = -1};
    int fd = STDIN_FILENO, r = db ? 0 : err_nomem(err);
    if (r == 0 && strcmp(file, "-") != 0) {
        r = os_open(file, O_RDONLY, 0, &own, err);
        fd = own;
    }
    if (r == 0)
        r = os_mkdirs(app->state_dir, 0700, err);
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
    int r = restore_from(app, file, args_has(a, "replace"), &n, &err);
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
    .instead = "run it on the server's machine: it makes the state's own files",
    .name = "restore",
    .summary = "Bring a state back from a backup",
    .usage = "FILE|- [--replace]",
    .details = "The state must be empty, and nobody may use it. All of the file is read and checked first: a damaged one\n"
               "changes nothing. Runs that had not ended go on when somebody holds the state ('ff serve', 'ff runs wait ID').",
    .examples = "  ff --state ./copy restore ff.tar.zst\n  ff restore ff.tar.zst --replace",
    .opts = restore_options,
    .min_args = 1, .max_args = 1,
    .run = restore,
};
