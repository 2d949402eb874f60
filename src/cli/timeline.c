#include "cli/timeline.h"

#include "base/cleanup.h"
#include "base/units.h"
#include "cli/term.h"
#include "codec/json.h"
#include "codec/pbjson.h"
#include "codec/pbx.h"
#include "os/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef int event_fn(void *arg, const Pb__HistoryEvent *e, struct err *err);

static int each_event(struct app *app, const char *run_id, event_fn *f, void *arg, struct err *err)
{
    Pb__GetWorkflowExecutionHistoryRequest req = PB__GET_WORKFLOW_EXECUTION_HISTORY_REQUEST__INIT;
    Pb__WorkflowExecution ex = PB__WORKFLOW_EXECUTION__INIT;
    ProtobufCBinaryData token = {0};
    int r;
    req.namespace_ = (char *)"default";
    ex.workflow_id = (char *)run_id;
    req.execution = &ex;
    do {
        ProtobufCMessage *m;
        req.next_page_token = token;
        r = engine_call_sync(app->engine, ENGINE_GET_HISTORY, &req.base, 0, &m, err);
        free(token.data);
        token = (ProtobufCBinaryData){0};
        if (r < 0)
            return r;
        Pb__GetWorkflowExecutionHistoryResponse *a = (Pb__GetWorkflowExecutionHistoryResponse *)m;
        for (size_t i = 0; r == 0 && a->history && i < a->history->n_events; i++)
            r = f(arg, a->history->events[i], err);
        token = a->next_page_token;
        a->next_page_token = (ProtobufCBinaryData){0};
        engine_free_message(m);
    } while (r == 0 && token.len);
    free(token.data);
    return r;
}

/* EVENT_TYPE_ACTIVITY_TASK_SCHEDULED -> ActivityTaskScheduled */
static void event_name(Pb__EventType t, char *buf, size_t size)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(&pb__event_type__descriptor, (int)t);
    const char *s = v ? v->name : "EVENT_TYPE_UNKNOWN";
    size_t n = 0;
    bool up = true;
    for (s += strlen("EVENT_TYPE_"); *s && n + 1 < size; s++) {
        if (*s == '_') {
            up = true;
            continue;
        }
        buf[n++] = up ? *s : (char)tolower((unsigned char)*s);
        up = false;
    }
    buf[n] = 0;
}

struct printer {
    int64_t start_ns;
    int64_t scheduled_count;
};

static void detail(const Pb__HistoryEvent *e, char *buf, size_t size)
{
    buf[0] = 0;
    switch (e->attributes_case) {
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_STARTED_EVENT_ATTRIBUTES:
        snprintf(buf, size, "%s", e->workflow_execution_started_event_attributes->workflow_type->name);
        break;
    case PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_SCHEDULED_EVENT_ATTRIBUTES:
        snprintf(buf, size, "%s (activity %s)", e->activity_task_scheduled_event_attributes->activity_type->name,
                 e->activity_task_scheduled_event_attributes->activity_id);
        break;
    case PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_STARTED_EVENT_ATTRIBUTES:
        snprintf(buf, size, "of event %lld, attempt %d",
                 (long long)e->activity_task_started_event_attributes->scheduled_event_id,
                 (int)e->activity_task_started_event_attributes->attempt);
        break;
    case PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_COMPLETED_EVENT_ATTRIBUTES:
        snprintf(buf, size, "of event %lld",
                 (long long)e->activity_task_completed_event_attributes->scheduled_event_id);
        break;
    case PB__HISTORY_EVENT__ATTRIBUTES_ACTIVITY_TASK_FAILED_EVENT_ATTRIBUTES:
        snprintf(buf, size, "of event %lld: %s",
                 (long long)e->activity_task_failed_event_attributes->scheduled_event_id,
                 e->activity_task_failed_event_attributes->failure
                     ? e->activity_task_failed_event_attributes->failure->message
                     : "");
        break;
    case PB__HISTORY_EVENT__ATTRIBUTES_TIMER_STARTED_EVENT_ATTRIBUTES: {
        char d[32];
        units_format_duration(pbx_duration_ns(e->timer_started_event_attributes->start_to_fire_timeout) / NS_PER_MS, d,
                              sizeof d);
        snprintf(buf, size, "timer %s, %s", e->timer_started_event_attributes->timer_id, d);
        break;
    }
    case PB__HISTORY_EVENT__ATTRIBUTES_TIMER_FIRED_EVENT_ATTRIBUTES:
        snprintf(buf, size, "timer %s", e->timer_fired_event_attributes->timer_id);
        break;
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_SIGNALED_EVENT_ATTRIBUTES:
        snprintf(buf, size, "%s", e->workflow_execution_signaled_event_attributes->signal_name);
        break;
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_TASK_FAILED_EVENT_ATTRIBUTES:
        if (e->workflow_task_failed_event_attributes->failure)
            snprintf(buf, size, "%s", e->workflow_task_failed_event_attributes->failure->message);
        break;
    case PB__HISTORY_EVENT__ATTRIBUTES_WORKFLOW_EXECUTION_FAILED_EVENT_ATTRIBUTES:
        if (e->workflow_execution_failed_event_attributes->failure)
            snprintf(buf, size, "%s", e->workflow_execution_failed_event_attributes->failure->message);
        break;
    case PB__HISTORY_EVENT__ATTRIBUTES_START_CHILD_WORKFLOW_EXECUTION_INITIATED_EVENT_ATTRIBUTES:
        snprintf(buf, size, "%s",
                 e->start_child_workflow_execution_initiated_event_attributes->workflow_type->name);
        break;
    default:
        break;
    }
}

static int print_event(void *arg, const Pb__HistoryEvent *e, struct err *err)
{
    struct printer *p = arg;
    char name[64], text[300];
    int64_t ns = pbx_timestamp_ns(e->event_time);
    (void)err;
    if (!p->start_ns)
        p->start_ns = ns;
    event_name(e->event_type, name, sizeof name);
    detail(e, text, sizeof text);
    double s = (double)(ns - p->start_ns) / (double)NS_PER_S;
    bool bad = strstr(name, "Failed") || strstr(name, "TimedOut") || strstr(name, "Terminated");
    printf("%s%+10.3f s%s  %4lld  %s%-34s%s ", term_dim(), s, term_off(), (long long)e->event_id,
           bad ? term_red() : "", name, bad ? term_off() : "");
    term_text(stdout, text);
    putchar('\n');
    return 0;
}

static int write_event(void *arg, const Pb__HistoryEvent *e, struct err *err)
{
    json_t *j = pbjson_encode(&e->base);
    if (!j)
        return err_nomem(err);
    int bad = json_dumpf(j, arg, JSON_COMPACT) < 0 || fputc('\n', arg) == EOF;
    json_decref(j);
    return bad ? err_sys(err, errno, "write") : 0;
}

int timeline_print(struct app *app, const char *run_id, struct err *err)
{
    struct printer p = {0};
    return app->json ? each_event(app, run_id, write_event, stdout, err)
                     : each_event(app, run_id, print_event, &p, err);
}

int timeline_export(struct app *app, const char *run_id, const char *file, struct err *err)
{
    if (!file || strcmp(file, "-") == 0)
        return each_event(app, run_id, write_event, stdout, err);
    FILE *f = fopen(file, "wxe");
    if (!f)
        return err_sys(err, errno, "write %s", file);
    int r = each_event(app, run_id, write_event, f, err);
    if (fclose(f) != 0 && r == 0)
        r = err_sys(err, errno, "write %s", file);
    if (r < 0)
        unlink(file); /* half a history is none; it was not there before */
    return r;
}
