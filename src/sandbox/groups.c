/* Control groups: the kernel keeps memory and number of processes of an activity, where we may make
 * groups.
 *
 * Below our own group (of cgroup v2: the nearest one upwards that may have members below) stands
 * one folder a spawner, "ff-<pid>-<start time>", with one leaf for each place in the spawner's
 * table of children. Leaves are used again: making and removing them costs more than a fork, and a
 * removed one lives on in the kernel as long as pages are charged to it. A spawner holds a lock on its
 * folders: what a dead one left is removed by the next, and that of a live one in another PID namespace,
 * whose number is nobody's here, is not.
 *
 * Formats: Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst of Linux. */
#include "base/cleanup.h"
#include "os/file.h"
#include "os/memory.h"
#include "sandbox/sandbox_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREFIX "ff-"
#define ALL_PART 7 /* of ALL_PART_OF: of the memory, for all sandboxes together */
#define ALL_PART_OF 8

enum { MEMORY, PIDS };
static const char *const controllers[GROUP_CONTROLLERS] = {[MEMORY] = "memory", [PIDS] = "pids"};

/* --- small files --- */

static int write_file(const char *path, const char *text)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t n = strlen(text);
    if (fd < 0)
        return -1;
    return write(fd, text, n) == (ssize_t)n ? 0 : -1;
}

static int write_leaf(const char *leaf, const char *file, const char *text)
{
    char path[GROUP_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", leaf, file);
    return write_file(path, text);
}

static int write_leaf_number(const char *leaf, const char *file, uint64_t n)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, n);
    return write_leaf(leaf, file, text);
}

/* The file's text, cut to the buffer; empty if it cannot be read. */
static void read_text(const char *dir, const char *file, char *buf, size_t size)
{
    char path[GROUP_PATH_MAX + 64];
    buf[0] = 0;
    snprintf(path, sizeof path, "%s/%s", dir, file);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
    buf[n > 0 ? n : 0] = 0;
}

static uint64_t read_number(const char *dir, const char *file)
{
    char text[32];
    read_text(dir, file, text, sizeof text);
    return strtoull(text, NULL, 10);
}

/* The number after "key " at the start of a line. */
static uint64_t read_keyed(const char *dir, const char *file, const char *key)
{
    char text[512], *save = NULL;
    size_t n = strlen(key);
    read_text(dir, file, text, sizeof text);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        if (strncmp(line, key, n) == 0 && line[n] == ' ')
            return strtoull(line + n, NULL, 10);
    return 0;
}

static bool has_word(const char *list, const char *word, char separator)
{
    size_t n = strlen(word);
    for (const char *p = list; (p = strstr(p, word)); p += n)
        if ((p == list || p[-1] == separator) && (p[n] == separator || p[n] == 0 || p[n] == '\n'))
            return true;
    return false;
}

/* --- finding where groups may be made --- */

/* Our own group of a controller ("" for v2) as /proc/self/cgroup names it. */
static bool own_group(const char *text, const char *controller, char *ret, size_t size)
{
    for (const char *line = text; line && *line;
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        const char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
        char names[128];
        if (!path || (size_t)(path - list - 1) >= sizeof names)
            continue;
        memcpy(names, list + 1, (size_t)(path - list - 1));
        names[path - list - 1] = 0;
        if (*controller ? !has_word(names, controller, ',') : names[0] != 0)
            continue;
        snprintf(ret, size, "%.*s", (int)strcspn(path + 1, "\n"), path + 1);
        return true;
    }
    return false;
}

/* The mount point of a hierarchy and the group that its root shows. */
static bool group_mount(const char *text, const char *controller, char *ret_point, char *ret_root,
                        size_t size)
{
    for (const char *line = text; line && *line;
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        char root[GROUP_PATH_MAX], point[GROUP_PATH_MAX], type[32], options[256];
        const char *dash = strstr(line, " - ");
        if (!dash || sscanf(line, "%*d %*d %*s %511s %511s", root, point) != 2 ||
            sscanf(dash, " - %31s %*s %255s", type, options) != 2)
            continue;
        bool v2 = strcmp(type, "cgroup2") == 0;
        if (*controller ? strcmp(type, "cgroup") != 0 || !has_word(options, controller, ',') : !v2)
            continue;
        snprintf(ret_point, size, "%s", point);
        snprintf(ret_root, size, "%s", root);
        return true;
    }
    return false;
}

static bool find_group(const char *controller, char *ret, size_t size)
{
    _cleanup_free_ char *own_text = NULL, *mounts_text = NULL;
    char own[GROUP_PATH_MAX], point[GROUP_PATH_MAX], root[GROUP_PATH_MAX];
    size_t n;
    if (os_read_file("/proc/self/cgroup", 1 << 20, &own_text, &n, NULL) < 0 ||
        os_read_file("/proc/self/mountinfo", 4 << 20, &mounts_text, &n, NULL) < 0 ||
        !own_group(own_text, controller, own, sizeof own) ||
        !group_mount(mounts_text, controller, point, root, sizeof point))
        return false;
    size_t skip = strcmp(root, "/") == 0                  ? 0
                  : strncmp(own, root, strlen(root)) == 0 ? strlen(root)
                                                          : 0;
    if (snprintf(ret, size, "%s%s", point, strcmp(own + skip, "/") == 0 ? "" : own + skip) >=
        (int)size)
        return false;
    if (!os_is_dir(ret)) /* our group is not in view: a container's mount */
        snprintf(ret, size, "%s", point);
    return true;
}

/* --- stale folders --- */

static uint64_t start_time(int proc_fd, unsigned long pid)
{
    char path[32], text[1024];
    snprintf(path, sizeof path, "%lu/stat", pid);
    _cleanup_close_ int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return 0;
    text[n] = 0;
    char *p = strrchr(text, ')'); /* field 22; the name, field 2, may contain anything */
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    return p ? strtoull(p, NULL, 10) : 0;
}

static void remove_group(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        char leaf[GROUP_PATH_MAX + 300];
        snprintf(leaf, sizeof leaf, "%s/%s", dir, e->d_name);
        if (e->d_type == DT_DIR && e->d_name[0] != '.')
            for (int i = 0; i < 20 && rmdir(leaf) < 0 && errno == EBUSY; i++)
                usleep(2000); /* the last member is just leaving */
    }
    if (d)
        closedir(d);
    rmdir(dir);
}

static void remove_stale(int proc_fd, const char *parent)
{
    DIR *d = opendir(parent);
    for (struct dirent *e; d && (e = readdir(d));) {
        char dir[GROUP_PATH_MAX + 300];
        unsigned long pid;
        uint64_t started;
        if (sscanf(e->d_name, PREFIX "%lu-%" SCNu64, &pid, &started) != 2 ||
            start_time(proc_fd, pid) == started)
            continue;
        snprintf(dir, sizeof dir, "%s/%s", parent, e->d_name);
        _cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            remove_group(dir);
    }
    if (d)
        closedir(d);
}

/* --- making ours --- */

/* All sandboxes together leave something for whoever made them: where each keeps to its limit and the sum does not, one of them
 * is killed, not a process of the host. */
static void bound_all(const char *folder, int c)
{
    uint64_t bytes = os_memory_machine() / ALL_PART_OF * ALL_PART;
    if (c != MEMORY || !bytes)
        return;
    write_leaf_number(folder, "memory.max", bytes); /* of version 2 */
    write_leaf_number(folder, "memory.limit_in_bytes", bytes);
}

/* Makes the spawner's folder of a controller below parent, and locks it. One that somebody took for left over before
 * it was locked is made again. */
static bool make_folder(struct host *h, int c, const char *parent)
{
    char *path = h->groups[c];
    remove_stale(h->proc_fd, parent);
    int n = snprintf(path, GROUP_PATH_MAX, "%s/" PREFIX "%d-%" PRIu64, parent, (int)getpid(),
                     start_time(h->proc_fd, (unsigned long)getpid()));
    for (int i = 0; i < 3 && n < GROUP_PATH_MAX - 8 && mkdir(path, 0755) == 0; i++) {
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX) == 0 && os_is_dir(path)) {
            h->group_locks[c] = fd;
            bound_all(path, c);
            return true;
        }
        if (fd >= 0)
            close(fd);
    }
    path[0] = 0;
    return false;
}

static void remove_folder(struct host *h, int c)
{
    remove_group(h->groups[c]);
    close(h->group_locks[c]);
    h->groups[c][0] = 0;
}

static bool find_v1(struct host *h)
{
    for (int c = 0; c < GROUP_CONTROLLERS; c++) {
        char parent[GROUP_PATH_MAX];
        if (find_group(controllers[c], parent, sizeof parent) && make_folder(h, c, parent))
            h->groups_version = 1;
    }
    return h->groups_version != 0;
}

/* Climbs until both controllers can be given to members below. */
static bool find_v2(struct host *h)
{
    char dir[GROUP_PATH_MAX], text[512], point[GROUP_PATH_MAX];
    if (!find_group("", dir, sizeof dir) || !find_group("", point, sizeof point))
        return false;
    for (;;) {
        read_text(dir, "cgroup.controllers", text, sizeof text);
        if (!text[0])
            return false;
        if (has_word(text, "memory", ' ') && has_word(text, "pids", ' ') &&
            write_leaf(dir, "cgroup.subtree_control", "+memory +pids") == 0 &&
            make_folder(h, MEMORY, dir)) {
            if (write_leaf(h->groups[MEMORY], "cgroup.subtree_control", "+memory +pids") == 0)
                break;
            remove_folder(h, MEMORY);
        }
        char *slash = strrchr(dir, '/');
        if (!slash || slash == dir)
            return false;
        *slash = 0;
    }
    memcpy(h->groups[PIDS], h->groups[MEMORY], sizeof h->groups[PIDS]);
    h->groups_version = 2;
    return true;
}

static void leaf_path(const struct host *h, int controller, size_t index, char *buf, size_t size)
{
    snprintf(buf, size, "%s/%zu", h->groups[controller], index);
}

int groups_make_leaf(const struct host *h, size_t index, struct err *err)
{
    for (int c = 0; c < GROUP_CONTROLLERS; c++) {
        char leaf[GROUP_PATH_MAX + 24];
        if (!h->groups[c][0])
            continue;
        leaf_path(h, c, index, leaf, sizeof leaf);
        if (mkdir(leaf, 0755) < 0 && errno != EEXIST)
            return err_sys(err, errno, "make control group %s", leaf);
    }
    return 0;
}

int groups_open_leaf(const struct host *h, size_t index)
{
    char leaf[GROUP_PATH_MAX + 24];
    leaf_path(h, MEMORY, index, leaf, sizeof leaf);
    return open(leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int groups_join(const struct host *h, size_t index, struct err *err)
{
    for (int c = 0; c < GROUP_CONTROLLERS; c++) {
        char leaf[GROUP_PATH_MAX + 24];
        if (!h->groups[c][0] || (c > 0 && strcmp(h->groups[c], h->groups[0]) == 0))
            continue;
        leaf_path(h, c, index, leaf, sizeof leaf);
        /* This process has one thread; to move a thread, unlike a process, stops no other fork or exit
         * meanwhile. */
        if (write_leaf(leaf, h->groups_version == 1 ? "tasks" : "cgroup.procs", "0") < 0)
            return err_sys(err, errno, "join control group %s", leaf);
    }
    return 0;
}

static int limit_memory(const struct host *h, const char *leaf, uint64_t bytes, struct err *err)
{
    if (h->groups_version == 2) {
        write_leaf(leaf, "memory.swap.max", "0"); /* absent without swap */
        write_leaf(leaf, "memory.oom.group", "1");
        return write_leaf_number(leaf, "memory.max", bytes) < 0
                   ? err_sys(err, errno, "limit memory")
                   : 0;
    }
    write_leaf(leaf, "memory.max_usage_in_bytes", "0");
    /* Memory with swap may never be less than memory: whichever goes first depends on the values
     * that were there. */
    int first = write_leaf_number(leaf, "memory.limit_in_bytes", bytes);
    write_leaf_number(leaf, "memory.memsw.limit_in_bytes", bytes);
    if (first == 0 || write_leaf_number(leaf, "memory.limit_in_bytes", bytes) == 0)
        return 0;
    write_leaf(leaf, "memory.force_empty", "0"); /* cached files of earlier runs */
    return write_leaf_number(leaf, "memory.limit_in_bytes", bytes) < 0
               ? err_sys(err, errno, "limit memory")
               : 0;
}

int groups_limit(const struct host *h, size_t index, const struct sandbox_limits *l,
                 struct err *err)
{
    char leaf[GROUP_PATH_MAX + 24];
    int r = 0;
    if (h->protection.cgroup_memory) {
        leaf_path(h, MEMORY, index, leaf, sizeof leaf);
        r = limit_memory(h, leaf, l->memory_bytes, err);
    }
    if (r == 0 && h->protection.cgroup_pids) {
        leaf_path(h, PIDS, index, leaf, sizeof leaf);
        if (write_leaf_number(leaf, "pids.max", l->pids + 1) < 0) /* and the init */
            r = err_sys(err, errno, "limit processes");
    }
    return r;
}

void groups_read(const struct host *h, size_t index, struct group_usage *ret)
{
    char leaf[GROUP_PATH_MAX + 24];
    memset(ret, 0, sizeof *ret);
    if (h->protection.cgroup_memory) {
        leaf_path(h, MEMORY, index, leaf, sizeof leaf);
        ret->memory_peak =
            read_number(leaf, h->groups_version == 2 ? "memory.peak" : "memory.max_usage_in_bytes");
        ret->oom_kills = read_keyed(
            leaf, h->groups_version == 2 ? "memory.events" : "memory.oom_control", "oom_kill");
    }
    if (h->protection.cgroup_pids) {
        leaf_path(h, PIDS, index, leaf, sizeof leaf);
        ret->pids_refused = read_keyed(leaf, "pids.events", "max");
    }
}

/* Joins a leaf in a child of its own: the right to make groups is not yet the right to use them. */
static bool joining_works(const struct host *h)
{
    static const struct sandbox_limits some = {.memory_bytes = 64 << 20, .pids = 16};
    if (groups_make_leaf(h, 0, NULL) < 0)
        return false;
    pid_t pid = fork();
    if (pid == 0)
        _exit(groups_join(h, 0, NULL) == 0 && groups_limit(h, 0, &some, NULL) == 0 ? 0 : 1);
    int status = 1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void groups_discover(struct host *h)
{
    struct sandbox_protection *p = &h->protection;
    if (!find_v2(h) && !find_v1(h))
        return;
    p->cgroup_version = h->groups_version;
    p->cgroup_memory = h->groups[MEMORY][0] != 0;
    p->cgroup_pids = h->groups[PIDS][0] != 0;
    if (!joining_works(h)) {
        groups_remove(h);
        p->cgroup_version = h->groups_version = 0;
        p->cgroup_memory = p->cgroup_pids = false;
        memset(h->groups, 0, sizeof h->groups);
    }
}

void groups_remove(struct host *h)
{
    if (h->groups_version == 2)
        h->groups[PIDS][0] = 0; /* one folder for both */
    for (int c = 0; c < GROUP_CONTROLLERS; c++)
        if (h->groups[c][0])
            remove_folder(h, c);
}
