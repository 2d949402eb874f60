#include "cli/share.h"

#include "api/grpc/api.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/shared/shared.h"
#include "os/clock.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define TMP_TRIES 5
#define GRACE_MS 2000 /* for calls that are being answered */

struct share {
    struct engine *engine;
    struct quotas *quotas;
    char *state_dir;
    char identity[128];
    pthread_mutex_t lock; /* the api: it is made when the first caller comes, on the thread that met him */
    struct grpc_api *api;
    bool closing, complained;
    pthread_mutex_t lock_worker; /* what is told: */
    struct worker *worker;
    void (*new_namespace)(void);
    int (*goes_on)(void *arg, const char *name_space, struct err *err);
    void *goes_on_arg;
    int (*admit)(void *arg, const char *name_space, struct err *err);
    void *admit_arg;
};

static void on_namespace(void *arg)
{
    struct share *s = arg;
    pthread_mutex_lock(&s->lock_worker);
    if (s->new_namespace)
        s->new_namespace();
    pthread_mutex_unlock(&s->lock_worker);
}

void share_on_namespace(struct share *s, void (*fn)(void))
{
    pthread_mutex_lock(&s->lock_worker);
    s->new_namespace = fn;
    pthread_mutex_unlock(&s->lock_worker);
}

/* gRPC costs some 25 ms and 2 MB to start: not before somebody speaks it. Under the lock. */
static int make_api(struct share *s, const char *address, bool insecure_loopback, struct err *err)
{
    struct grpc_api_options o = {.engine = engine_shared_outside(s->engine),
                                 .state_dir = s->state_dir,
                                 .insecure_loopback = insecure_loopback,
                                 .gzip = address && grpc_api_far(address),
                                 .admit = s->admit,
                                 .admit_arg = s->admit_arg,
                                 .new_namespace = on_namespace,
                                 .new_namespace_arg = s};
    return grpc_api_new(&o, &s->api, err);
}

static void on_connected(void *arg, int fd)
{
    struct share *s = arg;
    struct err err = {0};
    int r = 0;
    pthread_mutex_lock(&s->lock);
    if (!s->api && !s->closing) {
        r = make_api(s, NULL, false, &err);
        if (r == 0)
            r = grpc_api_start(s->api, &err);
        if (r < 0)
            grpc_api_free(TAKE_PTR(s->api), 0);
        if (r < 0 && !s->complained)
            log_warn("other processes cannot be served: %s", err.msg);
        s->complained |= r < 0;
    }
    if (s->api)
        grpc_api_adopt(s->api, fd);
    else
        close(fd);
    pthread_mutex_unlock(&s->lock);
}

static void on_ask(void *arg, const char *run_id)
{
    struct share *s = arg;
    pthread_mutex_lock(&s->lock_worker);
    if (s->worker)
        worker_ask(s->worker, run_id);
    pthread_mutex_unlock(&s->lock_worker);
}

void share_set_worker(struct share *s, struct worker *w)
{
    pthread_mutex_lock(&s->lock_worker);
    s->worker = w;
    pthread_mutex_unlock(&s->lock_worker);
}

static int may_go_on(struct share *s, const char *name_space, struct err *err)
{
    pthread_mutex_lock(&s->lock_worker);
    int r = s->goes_on ? s->goes_on(s->goes_on_arg, name_space, err) : 0;
    pthread_mutex_unlock(&s->lock_worker);
    return r;
}

/* A child counts as a run, however its parent was started. */
static int admit_child(void *arg, const char *name_space, int64_t runs, struct err *err)
{
    struct share *s = arg;
    struct quota q;
    if (runs < 0)
        return may_go_on(s, name_space, err);
    int r = quotas_get(s->quotas, name_space, &q, err);
    q.storage_bytes = 0;
    q.cpu_ms = 0;
    return r < 0 ? r : quota_check(&q, &(struct quota_usage){.runs = runs}, 1, 0, name_space, err);
}

int share_open(struct app *app, struct err *err)
{
    struct share *s = mem_zalloc(sizeof *s);
    char host[64] = "localhost", id[27];
    if (!s)
        return err_nomem(err);
    gethostname(host, sizeof host - 1);
    os_ulid(id);
    snprintf(s->identity, sizeof s->identity, "%ld@%s/%s", (long)getpid(), host, id + 16);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->lock_worker, NULL);
    s->quotas = &app->quotas;
    s->state_dir = mem_strdup(app->state_dir);
    struct engine_shared_options o = {.dir = app->state_dir,
                                      .identity = s->identity,
                                      .stays = app->stays,
                                      .connected = on_connected,
                                      .ask = on_ask,
                                      .admit = admit_child,
                                      .arg = s};
    /* The door's thread may call on_connected() before engine_shared_open() has said where the engine is. */
    pthread_mutex_lock(&s->lock);
    int r = s->state_dir ? engine_shared_open(&o, &s->engine, err) : err_nomem(err);
    pthread_mutex_unlock(&s->lock);
    if (r < 0) {
        share_close(s);
        return r;
    }
    app->share = s;
    app->engine = s->engine;
    return 0;
}

void share_drain(struct share *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    grpc_api_drain(s->api);
    pthread_mutex_unlock(&s->lock);
}

void share_close(struct share *s)
{
    if (!s)
        return;
    if (s->engine)
        engine_shared_shut(s->engine);
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    struct grpc_api *api = TAKE_PTR(s->api);
    pthread_mutex_unlock(&s->lock);
    grpc_api_free(api, GRACE_MS);
    engine_free(s->engine);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->lock_worker);
    free(s->state_dir);
    free(s);
}

int share_listen(struct share *s, const char *address, const struct rpc_tls *tls, bool insecure_loopback, int *ret_port,
                 struct err *err)
{
    pthread_mutex_lock(&s->lock);
    grpc_api_free(TAKE_PTR(s->api), 0); /* of a guest that was quicker: it comes back to the new one */
    int r = make_api(s, address, insecure_loopback, err);
    if (r == 0)
        r = grpc_api_listen(s->api, address, tls, ret_port, err);
    if (r == 0)
        r = grpc_api_start(s->api, err);
    if (r < 0)
        grpc_api_free(TAKE_PTR(s->api), 0);
    pthread_mutex_unlock(&s->lock);
    return r;
}

void share_set_admit(struct share *s, int (*admit)(void *arg, const char *name_space, struct err *err), void *arg)
{
    pthread_mutex_lock(&s->lock);
    s->admit = admit;
    s->admit_arg = arg;
    pthread_mutex_unlock(&s->lock);
}

void share_set_goes_on(struct share *s, int (*goes_on)(void *arg, const char *name_space, struct err *err), void *arg)
{
    pthread_mutex_lock(&s->lock_worker);
    s->goes_on = goes_on;
    s->goes_on_arg = arg;
    pthread_mutex_unlock(&s->lock_worker);
}

const char *share_identity(const struct share *s)
{
    return s->identity;
}

bool share_stays(const struct share *s)
{
    return engine_shared_stays(s->engine);
}

bool share_holds(const struct share *s)
{
    return engine_shared_holds(s->engine);
}

bool share_leave_alone(struct share *s)
{
    engine_shared_shut(s->engine);
    return share_holds(s) && share_guests(s) == 0;
}

size_t share_guests(const struct share *s)
{
    return engine_shared_guests(s->engine);
}

const struct engine_times *share_times(const struct share *s)
{
    return engine_shared_times(s->engine);
}

int share_copy(struct share *s, const char *id, struct err *err)
{
    return engine_shared_copy(s->engine, id, err);
}

/* --- scratch of the processes ------------------------------------------------------------------------------- */

/* A folder is locked, by flock(2) on itself, as long as its process lives; what can be locked is left over. */
static void sweep(const char *tmp)
{
    DIR *d = opendir(tmp);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        if (e->d_name[0] == '.')
            continue;
        _cleanup_free_ char *path = os_path_join(tmp, e->d_name);
        _cleanup_close_ int fd = -1;
        if (path && os_open(path, O_RDONLY | O_NOFOLLOW, 0, &fd, NULL) == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            os_remove_tree(path, NULL);
    }
    if (d)
        closedir(d);
}

int share_tmp_dir(const char *ground, char **ret_dir, int *ret_fd, struct err *err)
{
    _cleanup_free_ char *tmp = os_path_join(ground, "tmp");
    int r = tmp ? os_mkdirs(tmp, 0700, err) : err_nomem(err);
    if (r == 0)
        r = sandbox_let_in(tmp, err);
    if (r < 0)
        return r;
    sweep(tmp);
    for (int i = 0; i < TMP_TRIES; i++) { /* another one's sweep may come between making and locking */
        char id[27];
        struct stat a, b;
        os_ulid(id);
        _cleanup_free_ char *dir = os_path_join(tmp, id);
        _cleanup_close_ int fd = -1;
        r = dir ? os_mkdir(dir, 0700, false, err) : err_nomem(err);
        if (r < 0)
            return r;
        if (os_open(dir, O_RDONLY | O_DIRECTORY, 0, &fd, NULL) == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
            fstat(fd, &a) == 0 && stat(dir, &b) == 0 && a.st_ino == b.st_ino) {
            r = sandbox_let_in(dir, err);
            if (r < 0)
                return r;
            *ret_dir = TAKE_PTR(dir);
            *ret_fd = TAKE_FD(fd);
            return 0;
        }
    }
    return err_set(err, ERR_BUSY, "no folder of our own could be made in %s", tmp);
}
