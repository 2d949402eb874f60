#include "api/access/audit.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/utf8.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define NAMESPACES "namespaces" /* folder of folders: logs of who is bound to one */
#define SUBJECT_MAX 500
#define LINE_MAX_BYTES 4096

/* One of the logs that are bounded each for itself. */
struct log {
    const char *dir;
    bool denied;
};

/* n = 0: the one that is written. */
static char *file_path(const struct log *l, int n)
{
    const char *name = l->denied ? "denied" : "audit";
    return n ? mem_printf("%s/%s.%d.ndjson", l->dir, name, n) : mem_printf("%s/%s.ndjson", l->dir, name);
}

static int files_of(const struct log *l)
{
    return l->denied ? AUDIT_DENIED_FILES : AUDIT_FILES;
}

static char *folder_of(const char *state_dir, const struct access_caller *who)
{
    struct err none = {0};
    bool bound = access_check_namespace(who->name_space, false, &none) == 0;
    return bound ? mem_printf("%s/audit/" NAMESPACES "/%s", state_dir, who->name_space) : os_path_join(state_dir, "audit");
}

static json_t *text_or_null(const char *s)
{
    char cut[SUBJECT_MAX + 1];
    if (!s)
        return json_null();
    size_t n = utf8_cut(s, strlen(s), SUBJECT_MAX);
    snprintf(cut, sizeof cut, "%.*s", (int)n, s);
    return json_clean_string(cut);
}

static int make_line(const struct audit_entry *e, struct strbuf *line, struct err *err)
{
    char time[32];
    _cleanup_json_ json_t *j =
        json_pack("{s:s, s:{s:s, s:s, s:s}, s:s, s:o, s:s, s:o, s:o, s:s}", "time", os_format_time(os_now_ns(), time), "who",
                  "id",
                  e->who->id, "name", e->who->name, "role", access_role_name(e->who->role), "via", e->via, "peer",
                  text_or_null(e->peer), "action", e->action, "namespace", text_or_null(e->name_space), "subject",
                  text_or_null(e->subject), "outcome", e->denied ? "denied" : "allowed");
    int r = j ? json_write(j, line, err) : err_nomem(err);
    strbuf_putc(line, '\n');
    return r < 0 ? r : strbuf_check(line, err);
}

/* Under the lock. */
static int rotate(const struct log *l, struct err *err)
{
    int r = 0;
    for (int i = files_of(l) - 1; r == 0 && i > 0; i--) {
        _cleanup_free_ char *from = file_path(l, i - 1), *to = file_path(l, i);
        if (!from || !to)
            return err_nomem(err);
        if (os_exists(from))
            r = os_rename(from, to, err);
    }
    return r;
}

/* A line that a full disk cut short is taken back, and behind one that the machine's end cut short a new one begins, so that
 * each stands on its own. */
static int append(const char *path, const struct strbuf *line, struct err *err)
{
    _cleanup_close_ int fd = -1;
    struct stat st;
    char last = '\n';
    int r = os_open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0600, &fd, err);
    if (r == 0 && fstat(fd, &st) < 0)
        r = err_sys(err, errno, "%s", path);
    if (r < 0)
        return r;
    if (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 && last != '\n')
        r = os_write_full(fd, "\n", 1, err);
    if (r == 0)
        r = os_write_full(fd, line->s, line->len, err);
    int e = os_fault("fdatasync");
    if (r == 0 && (e || fdatasync(fd) < 0))
        r = err_sys(err, e ? e : errno, "sync %s", path);
    if (r < 0 && ftruncate(fd, st.st_size) < 0)
        return r;
    return r;
}

int audit_write(const char *state_dir, const struct audit_entry *e, struct err *err)
{
    _cleanup_(strbuf_release) struct strbuf line = STRBUF_INIT_MAX(LINE_MAX_BYTES);
    _cleanup_free_ char *dir = folder_of(state_dir, e->who), *lock = dir ? os_path_join(dir, "lock") : NULL;
    struct log log = {dir, e->denied};
    _cleanup_free_ char *path = dir ? file_path(&log, 0) : NULL;
    _cleanup_close_ int fd = -1;
    struct stat st;
    int r = dir && lock && path ? make_line(e, &line, err) : err_nomem(err);
    if (r == 0)
        r = os_mkdirs(dir, 0700, err);
    if (r == 0)
        r = os_open(lock, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &fd, err);
    while (r == 0 && flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            r = err_sys(err, errno, "lock %s", lock);
    if (r == 0 && stat(path, &st) == 0 && (size_t)st.st_size + line.len > AUDIT_FILE_MAX)
        r = rotate(&log, err);
    if (r == 0)
        r = append(path, &line, err);
    return r < 0 ? err_wrap(err, "audit log") : 0;
}

/* What was damaged is given the time of the entry before it, so that it stands there when all are sorted. */
static json_t *parse(const char *line, size_t n, char time[32])
{
    json_t *j = NULL;
    if (json_parse(line, n, LINE_MAX_BYTES, &j, NULL) == 0 && json_is_object(j)) {
        snprintf(time, 32, "%s", json_str(j, "time", ""));
        return j;
    }
    json_decref(j);
    return json_pack("{s:b, s:s}", "damaged", 1, "time", time);
}

static int read_file(const char *path, char time[32], int (*one)(void *arg, json_t *entry, struct err *err), void *arg,
                     struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t len;
    int r = os_read_file(path, AUDIT_FILE_MAX * 2, &text, &len, err);
    if (r < 0)
        return r == -ERR_NOT_FOUND ? 0 : r;
    for (char *p = text; r >= 0 && p < text + len;) {
        size_t n = strcspn(p, "\n");
        _cleanup_json_ json_t *j = parse(p, n, time);
        r = j ? one(arg, j, err) : err_nomem(err);
        p += n + 1;
    }
    return r;
}

static int read_logs(const char *dir, int (*one)(void *arg, json_t *entry, struct err *err), void *arg, struct err *err)
{
    int r = 0;
    for (int denied = 0; r >= 0 && denied < 2; denied++) {
        struct log log = {dir, denied};
        char time[32] = "";
        for (int i = files_of(&log) - 1; r >= 0 && i >= 0; i--) {
            _cleanup_free_ char *path = file_path(&log, i);
            r = path ? read_file(path, time, one, arg, err) : err_nomem(err);
        }
    }
    return r;
}

int audit_read(const char *state_dir, int (*one)(void *arg, json_t *entry, struct err *err), void *arg, struct err *err)
{
    _cleanup_free_ char *dir = os_path_join(state_dir, "audit"), *spaces = dir ? os_path_join(dir, NAMESPACES) : NULL;
    int r = spaces ? read_logs(dir, one, arg, err) : err_nomem(err);
    DIR *d = r < 0 ? NULL : opendir(spaces);
    for (struct dirent *e; r >= 0 && d && (e = readdir(d));) {
        _cleanup_free_ char *sub = os_path_join(spaces, e->d_name);
        if (e->d_name[0] != '.')
            r = sub ? read_logs(sub, one, arg, err) : err_nomem(err);
    }
    if (d)
        closedir(d);
    return r < 0 ? r : 0;
}

int audit_allow(const char *state_dir, struct audit_entry *e, enum access_role needed, struct err *err)
{
    struct err denied = {0};
    e->denied = access_allow(e->who, needed, e->name_space, &denied) < 0;
    int r = audit_write(state_dir, e, err);
    if (e->denied)
        return err_copy(err, &denied); /* whether or not it could be written down */
    return r;
}
