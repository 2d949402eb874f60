#include "cli/serve_again.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cli/restore.h"
#include "cli/service_manager.h"
#include "engine/embedded/lockfile.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TOLD "FF_RESTORED" /* "ID OUTCOME" */
#define ARGUMENTS_MAX ((size_t)4 << 20)
#define LOCK_WAIT_MS 2000 /* a command that looks at the state */

extern char **environ;

void serve_begun_again(struct begun_again *ret)
{
    const char *told = getenv(TOLD);
    *ret = (struct begun_again){0};
    ret->so = told && sscanf(told, "%26s %31s", ret->restore, ret->outcome) == 2;
    unsetenv(TOLD);
}

static int with_lock(const struct app *app, int64_t wait_ms, int (*what)(const char *dir, struct err *err), struct err *err)
{
    struct lockfile lock = {.fd = -1};
    _cleanup_free_ char *db = os_path_join(app->state_dir, "state.db");
    int r = db ? lockfile_take(&lock, db, wait_ms, err) : err_nomem(err);
    if (r < 0)
        return r;
    r = what(app->state_dir, err);
    lockfile_release(&lock);
    return r;
}

int serve_resume(const struct app *app, struct err *err)
{
    if (!restore_is_left(app->state_dir))
        return 0;
    int r = with_lock(app, 0, restore_resume, err);
    return r == -ERR_BUSY ? 0 : r; /* whoever holds it may be at it; opening it tells */
}

int serve_bring_back(const struct app *app, bool alone, struct err *err)
{
    int r = alone ? with_lock(app, LOCK_WAIT_MS, restore_commit, err)
                  : err_set(err, ERR_BUSY, "another process has begun to use the state meanwhile");
    if (r == -ERR_BUSY)
        restore_drop(app->state_dir);
    return r;
}

/* --- the same process, from its beginning ----------------------------------------------------------------------------- */

static void hold(int how)
{
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGHUP);
    sigaddset(&s, SIGINT);
    sigaddset(&s, SIGTERM);
    pthread_sigmask(how, &s, NULL);
}

void serve_hold_signals(void)
{
    hold(SIG_BLOCK);
}

void serve_hear(void)
{
    hold(SIG_UNBLOCK);
}

/* All but the standard ones. */
static void close_at_exec(void)
{
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *e; d && (e = readdir(d));) {
        int fd = atoi(e->d_name);
        if (fd > STDERR_FILENO)
            fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    if (d)
        closedir(d);
}

/* text stays: the words lie in it. */
static int read_arguments(char **ret_text, char ***ret_words, struct err *err)
{
    size_t len, n = 0;
    int r = os_read_file("/proc/self/cmdline", ARGUMENTS_MAX, ret_text, &len, err);
    if (r < 0)
        return r;
    char **words = mem_calloc(len + 1, sizeof *words);
    if (!words)
        return err_nomem(err);
    for (char *p = *ret_text; p < *ret_text + len; p += strlen(p) + 1)
        words[n++] = p;
    *ret_words = words;
    return 0;
}

int serve_again(const char *restore, const struct err *why, int listener, struct err *err)
{
    char told[80];
    char *text = NULL, **words = NULL;
    int r = read_arguments(&text, &words, err);
    snprintf(told, sizeof told, "%s %s", restore, why->code ? err_name(why->code) : "done");
    close_at_exec();
    if (r == 0)
        r = manager_hand_over(listener, err);
    if (r == 0 && setenv(TOLD, told, 1) < 0)
        r = err_nomem(err);
    if (r == 0) {
        execve("/proc/self/exe", words, environ);
        r = err_sys(err, errno, "begin again");
    }
    free(words);
    free(text);
    return r;
}
