/* What a module keeps while it runs: a fuzzer's crashes must outlast the host.
 *
 * The order is what counts. A "keep" stops the reading of the module's output; the file goes into the store, its name into a
 * heartbeat; when the engine has answered that, reading goes on. So nobody is told of a crash by a later message that a kill
 * could still lose. The next attempt is given the files as objects. */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "os/clock.h"
#include "os/file.h"
#include "worker/activity_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define HANDOVER_NS (300 * NS_PER_S) /* where only the checkpoint is new: counters, most often */

void worker_artifacts_release(struct artifact *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(v[i].name);
        free(v[i].path);
    }
}

static int keep_one(struct activity *a, int scratch_fd, const char *scratch, const struct artifact *f, struct err *err)
{
    json_t *ref = NULL;
    if (!f->path) {
        json_object_del(a->keep_all, f->name);
        return 0;
    }
    int r = worker_store_artifact(a, scratch_fd, scratch, f, &ref, err);
    if (r < 0)
        return err_wrap(err, "keep %s", f->name);
    worker_memory_keep(a, f->name, ref);
    if (json_object_size(a->keep_all) >= MODULE_KEPT_MAX && !json_object_get(a->keep_all, f->name)) {
        json_decref(ref);
        return 0;
    }
    return json_object_set_new(a->keep_all, f->name, ref) < 0 ? err_nomem(err) : 0;
}

/* In the pool. A file that cannot be kept is told of, and is no reason to stop: its module still has it. */
static void do_keep(uv_work_t *work)
{
    struct activity *a = work->data;
    _cleanup_free_ char *scratch = os_path_join(a->dir, "scratch");
    _cleanup_close_ int dir = -1;
    struct err err = {0};
    int r = scratch ? os_open(scratch, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &dir, &err) : err_nomem(&err);
    VEC_EACH(&a->keep_now, f)
        if (r == 0 && keep_one(a, dir, scratch, f, &err) < 0)
            snprintf(a->keep_problem, sizeof a->keep_problem, "%s", err.msg);
    if (r < 0)
        snprintf(a->keep_problem, sizeof a->keep_problem, "%s", err.msg);
    worker_handover_save(a, a->keep_checkpoint, a->keep_all);
}

static void start(struct activity *a);

static void kept(uv_work_t *work, int status)
{
    (void)status;
    struct activity *a = work->data;
    bool files = a->keep_now.len > 0;
    a->keeping = false;
    if (a->keep_all) {
        json_decref(a->kept);
        a->kept = TAKE_PTR(a->keep_all);
    }
    json_decref(TAKE_PTR(a->keep_checkpoint));
    worker_artifacts_release(a->keep_now.v, a->keep_now.len);
    VEC_RELEASE(&a->keep_now);
    if (a->keep_problem[0]) {
        log_warn("module '%s': %s", a->module.name, a->keep_problem);
        a->keep_problem[0] = 0;
    }
    a->keep_unsaved |= files;
    if (a->to_keep.len)
        start(a);
    else if (!files)
        worker_activity_read_on(a);
    else if (a->abandoned || a->cancelled)
        worker_activity_keep_saved(a);
    else
        worker_activity_heartbeat_now(a);
}

static void start(struct activity *a)
{
    a->keeping = true;
    a->keep_now.v = a->to_keep.v;
    a->keep_now.len = a->to_keep.len;
    a->keep_now.cap = a->to_keep.cap;
    memset(&a->to_keep, 0, sizeof a->to_keep);
    a->keep_all = a->kept ? json_copy(a->kept) : json_object();
    a->keep_checkpoint = json_incref(a->checkpoint);
    a->handed_ns = os_mono_ns();
    a->handed_files = a->keep_now.len > 0;
    a->unhanded = false;
    a->keep_work.data = a;
    uv_queue_work(&a->worker->activities->loop, &a->keep_work, do_keep, kept);
}

void worker_activity_keep(struct activity *a, const char *path, const char *name)
{
    struct artifact f = {mem_strdup(name), path ? mem_strdup(path) : NULL};
    if (!f.name || (path && !f.path) || !VEC_PUSH(&a->to_keep, f)) {
        worker_artifacts_release(&f, 1);
        return;
    }
    if (a->out_open)
        uv_poll_stop(&a->out_poll);
    if (!a->keeping)
        start(a);
}

/* The checkpoint is handed over when it tells of files that were; else now and then. */
static void hand_over(struct activity *a)
{
    bool due = a->handed_files || os_mono_ns() - a->handed_ns > HANDOVER_NS;
    if (a->handover && a->unhanded && due && a->out_open && !a->keeping && !a->keep_unsaved)
        start(a);
}

void worker_activity_keep_checkpoint(struct activity *a)
{
    a->unhanded = true;
    hand_over(a);
}

void worker_activity_keep_saved(struct activity *a)
{
    if (a->keeping || !a->keep_unsaved || a->heartbeat_out) /* what is out may be older */
        return;
    a->keep_unsaved = false;
    worker_activity_read_on(a);
    hand_over(a);
}
