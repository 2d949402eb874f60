#include "cli/restore.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "engine/embedded/embedded.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define ASIDE "restoring"
#define READY "restore.ready"
#define MOVING "restore.moving"

/* What a state is, by the names in its folder; the settings beside it are replaced only by others. */
static const char *const parts[] = {"events.db", "access.db", "state.db", "store", "audit", "token", "cache"};
static const char *const settings[] = {"config.yaml", "suppressions.json", ".gitignore", "workflows", "modules"};

static int remove_one(const char *dir, const char *name, const char *suffix, struct err *err)
{
    _cleanup_free_ char *path = mem_printf("%s/%s%s", dir, name, suffix);
    if (!path)
        return err_nomem(err);
    return os_is_dir(path) ? os_remove_tree(path, err) : os_unlink(path, true, err);
}

static int remove_old(const char *dir, struct err *err)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        for (size_t k = 0; r == 0 && k < ARRAY_LEN(suffixes); k++)
            r = remove_one(dir, parts[i], suffixes[k], err);
    return r == 0 ? os_fsync_dir(dir, err) : r;
}

/* Replaces what is there, if there is something to replace it by. */
static int move_one(const char *from_dir, const char *dir, const char *name, struct err *err)
{
    _cleanup_free_ char *from = os_path_join(from_dir, name), *to = os_path_join(dir, name);
    if (!from || !to)
        return err_nomem(err);
    if (!os_exists(from))
        return 0;
    int r = os_is_dir(to) ? os_remove_tree(to, err) : 0;
    return r < 0 ? r : os_rename(from, to, err);
}

static int move_new(const char *from, const char *dir, struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(parts); i++)
        r = move_one(from, dir, parts[i], err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(settings); i++)
        r = move_one(from, dir, settings[i], err);
    if (r == 0)
        r = os_fsync_dir(dir, err);
    return r == 0 ? os_remove_tree(from, err) : r;
}

/* From READY or MOVING, if there is either. Each step may be done again. */
static int carry_on(const char *dir, struct err *err)
{
    _cleanup_free_ char *ready = os_path_join(dir, READY), *moving = os_path_join(dir, MOVING);
    int r = ready && moving ? 0 : err_nomem(err);
    if (r == 0 && os_exists(ready)) {
        r = remove_old(dir, err);
        if (r == 0)
            r = os_rename(ready, moving, err);
        if (r == 0)
            r = os_fsync_dir(dir, err);
    }
    return r == 0 && os_exists(moving) ? move_new(moving, dir, err) : r;
}

static int make_durable(const char *dir, struct err *err)
{
    _cleanup_close_ int fd = -1;
    int r = os_open(dir, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    return r < 0 ? r : syncfs(fd) < 0 ? err_sys(err, errno, "sync %s", dir) : 0;
}

static int check_empty(const char *dir, struct err *err)
{
    for (const struct backup_part *p = backup_parts; p->name; p++) {
        _cleanup_free_ char *path = os_path_join(dir, p->name);
        if (!path)
            return err_nomem(err);
        if ((p->kind != BACKUP_SQLITE && p->kind != BACKUP_ENGINE) || !os_exists(path))
            continue;
        err_set(err, ERR_EXISTS, "%s holds a state already (%s)", dir, p->name);
        return err_hint(err, "--state DIR names another folder; --replace removes what is there");
    }
    return 0;
}

/* In an SQLite file's header. */
#define SQLITE_MAGIC "SQLite format 3"
#define SQLITE_VERSION_AT 60

/* A database that a newer program wrote could not be opened when the old one has gone. max: 0: it has no versions. */
static int check_database(const char *aside, const char *name, uint32_t max, struct err *err)
{
    unsigned char h[SQLITE_VERSION_AT + 4] = "";
    size_t n = 0;
    _cleanup_close_ int fd = -1;
    _cleanup_free_ char *path = os_path_join(aside, name);
    if (path && !os_exists(path))
        return 0;
    int r = path ? os_open(path, O_RDONLY, 0, &fd, err) : err_nomem(err);
    if (r == 0)
        r = os_pread_full(fd, h, sizeof h, 0, &n, err);
    if (r < 0)
        return r;
    const unsigned char *v = h + SQLITE_VERSION_AT;
    uint32_t version = (uint32_t)v[0] << 24 | (uint32_t)v[1] << 16 | (uint32_t)v[2] << 8 | v[3];
    if (n && (n < sizeof h || memcmp(h, SQLITE_MAGIC, sizeof SQLITE_MAGIC) != 0))
        return err_set(err, ERR_CORRUPT, "%s in the backup is no database", name);
    if (!max || version <= max)
        return 0;
    err_set(err, ERR_STATE, "%s in the backup has version %u, this program knows up to %u", name, version, max);
    return err_hint(err, "a newer ff wrote it: use that one");
}

static int check_databases(const char *aside, struct err *err)
{
    static const struct {
        const char *name;
        uint32_t max;
    } known[] = {{"state.db", ENGINE_EMBEDDED_SCHEMA}, {"access.db", ACCESS_SCHEMA}, {"store/index.db", STORE_LOCAL_SCHEMA},
                 {"events.db", 0}};
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(known); i++)
        r = check_database(aside, known[i].name, known[i].max, err);
    return r;
}

/* All of it, as it will be when it is moved to its place. */
static int fill_aside(int fd, const char *aside, const struct audit_entry *asked, struct backup_count *ret, struct err *err)
{
    int r = os_remove_tree(aside, err);
    if (r == 0)
        r = os_mkdir(aside, 0700, false, err);
    if (r == 0)
        r = backup_read(fd, aside, ret, err);
    if (r == 0)
        r = check_databases(aside, err);
    if (r == 0 && asked)
        r = audit_write(aside, asked, err);
    return r == 0 ? make_durable(aside, err) : r;
}

int restore_stage(int fd, const char *dir, const struct audit_entry *asked, struct backup_count *ret, struct err *err)
{
    _cleanup_free_ char *aside = os_path_join(dir, ASIDE);
    int r = aside ? fill_aside(fd, aside, asked, ret, err) : err_nomem(err);
    if (r < 0)
        restore_drop(dir);
    return r;
}

void restore_drop(const char *dir)
{
    _cleanup_free_ char *aside = os_path_join(dir, ASIDE);
    if (aside)
        os_remove_tree(aside, NULL);
}

int restore_commit(const char *dir, struct err *err)
{
    _cleanup_free_ char *aside = os_path_join(dir, ASIDE), *ready = os_path_join(dir, READY);
    int r = aside && ready ? os_rename(aside, ready, err) : err_nomem(err);
    if (r == 0)
        r = os_fsync_dir(dir, err);
    return r == 0 ? carry_on(dir, err) : r;
}

int restore_state(int fd, const char *dir, bool replace, struct backup_count *ret, struct err *err)
{
    int r = carry_on(dir, err);
    if (r == 0 && !replace)
        r = check_empty(dir, err);
    if (r == 0)
        r = restore_stage(fd, dir, NULL, ret, err);
    return r == 0 ? restore_commit(dir, err) : r;
}

int restore_resume(const char *dir, struct err *err)
{
    _cleanup_free_ char *aside = os_path_join(dir, ASIDE);
    int r = aside ? carry_on(dir, err) : err_nomem(err);
    return r == 0 ? os_remove_tree(aside, err) : r;
}

bool restore_is_left(const char *dir)
{
    static const char *const names[] = {ASIDE, READY, MOVING};
    bool left = false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        _cleanup_free_ char *path = os_path_join(dir, names[i]);
        left |= path && os_exists(path);
    }
    return left;
}

int restore_check(const char *dir, struct err *err)
{
    static const char *const marks[] = {READY, MOVING};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        _cleanup_free_ char *path = os_path_join(dir, marks[i]);
        if (!path)
            return err_nomem(err);
        if (!os_exists(path))
            continue;
        err_set(err, ERR_STATE, "a restore was cut short");
        return err_hint(err, "'ff restore FILE' ends it, and so does 'ff serve'");
    }
    return 0;
}
