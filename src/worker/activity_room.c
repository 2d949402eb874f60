/* An activity for whose work or results the disk has no room, or that cannot reach the store. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"
#include "worker/activity_internal.h"

#include <string.h>
#include <sys/statvfs.h>

#define ROOM_NEEDED ((uint64_t)1 << 20) /* below it a disk counts as full */
#define LOOK_MS 100
#define PATIENCE_FIRST_MS 1000
#define PATIENCE_MAX_MS 60000

static bool disk_is_full(const char *path)
{
    struct statvfs v;
    return statvfs(path, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < ROOM_NEEDED;
}

bool worker_activity_is_last(const struct activity *a)
{
    const Pb__RetryPolicy *p = a->task->retry_policy;
    return p && p->maximum_attempts > 0 && a->task->attempt >= p->maximum_attempts;
}

/* The store cannot be reached. Another attempt may come to a host that reaches it; the last one waits until this host does. */
static bool lacks_store(const struct activity *a)
{
    return worker_activity_is_last(a) && a->err.code == ERR_UNAVAILABLE &&
           (strcmp(a->failure_type, "WorkspaceError") == 0 || strcmp(a->failure_type, "ResultError") == 0);
}

bool worker_activity_lacks_room(const struct activity *a)
{
    if (!a->failed || a->non_retryable || a->abandoned || a->cancelled)
        return false;
    /* A module meets it as an error of its own, which only it can read. */
    return a->err.code == ERR_NO_SPACE || lacks_store(a) || disk_is_full(a->worker->scratch_dir);
}

/* As it was when it came, but for its last checkpoint. */
static void forget_attempt(struct activity *a)
{
    module_def_release(&a->module);
    module_reader_free(TAKE_PTR(a->reader));
    json_decref(TAKE_PTR(a->input));
    json_decref(TAKE_PTR(a->kept_files));
    json_decref(TAKE_PTR(a->context));
    json_decref(TAKE_PTR(a->stats));
    json_decref(TAKE_PTR(a->progress));
    json_decref(TAKE_PTR(a->answer));
    json_decref(TAKE_PTR(a->left));
    strbuf_release(&a->findings);
    strbuf_init(&a->findings, ACTIVITY_FINDINGS_BYTES_MAX);
    worker_artifacts_release(a->artifacts.v, a->artifacts.len);
    VEC_RELEASE(&a->artifacts);
    memset(&a->module, 0, sizeof a->module);
    memset(&a->artifacts, 0, sizeof a->artifacts);
    memset(&a->limits, 0, sizeof a->limits);
    memset(&a->result, 0, sizeof a->result);
    free(TAKE_PTR(a->dir));
    err_clear(&a->err);
    err_clear(&a->protocol);
    a->summary = NULL;
    a->error = NULL;
    a->findings_count = a->output_bytes = 0;
    a->errors_len = 0;
    a->errors[0] = 0;
    a->failure_type[0] = 0;
    a->failed = a->non_retryable = a->has_objects = false;
    a->prepared = a->proc_done = a->no_room = false;
}

static void look(uv_timer_t *t)
{
    struct activity *a = t->data;
    bool off = a->abandoned || a->cancelled;
    if (!off && (os_mono_ns() < a->try_again_ns || disk_is_full(a->worker->scratch_dir)))
        return;
    uv_timer_stop(t);
    if (off) {
        a->room_steps[1](a);
    } else {
        forget_attempt(a);
        a->room_steps[0](a);
    }
}

void worker_activity_wait_for_room(struct activity *a, activity_step *begin_again, activity_step *finish)
{
    json_t *data = json_pack("{s:s, s:s}", "level", "warning", "message", a->err.msg);
    worker_emit(a->worker, a->task->workflow_execution ? a->task->workflow_execution->workflow_id : "",
                a->task->activity_type->name, a->task->attempt, lacks_store(a) ? "log" : "no_space", data);
    json_decref(data);
    if (!a->has_room_timer) {
        uv_timer_init(&a->worker->activities->loop, &a->room);
        a->room.data = a;
        a->has_room_timer = true;
        a->handles++;
    }
    a->room_steps[0] = begin_again;
    a->room_steps[1] = finish;
    a->patience_ms = !a->patience_ms                        ? PATIENCE_FIRST_MS
                     : a->patience_ms * 2 > PATIENCE_MAX_MS ? PATIENCE_MAX_MS
                                                            : a->patience_ms * 2;
    a->try_again_ns = os_mono_ns() + a->patience_ms * NS_PER_MS;
    uv_timer_start(&a->room, look, LOOK_MS, LOOK_MS);
}
