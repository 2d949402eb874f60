#include "cli/timeline.h"

#include "api/service/control.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "cli/term.h"
#include "codec/json.h"
#include "os/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAILURE_DEPTH 20

/* EVENT_TYPE_ACTIVITY_TASK_SCHEDULED -> ActivityTaskScheduled */
static void event_name(const char *s, char *buf, size_t size)
{
    size_t n = 0;
    bool up = true;
    if (strncmp(s, "EVENT_TYPE_", 11) == 0)
        s += 11;
    for (; *s && n + 1 < size; s++) {
        if (!isalnum((unsigned char)*s)) {
            up = true;
            continue;
        }
        buf[n++] = up ? *s : (char)tolower((unsigned char)*s);
        up = false;
    }
    buf[n] = 0;
}

/* A failure and its causes. */
static void failure_text(const json_t *f, char *buf, size_t size)
{
    size_t n = 0;
    buf[0] = 0;
    for (int i = 0; f && i < FAILURE_DEPTH && n < size - 1; f = json_object_get(f, "cause"), i++) {
        const char *message = json_str(f, "message", "");
        int more = snprintf(buf + n, size - n, "%s%s", n && *message ? ": " : "", message);
        n += more > 0 ? (size_t)more : 0;
    }
}

static void detail(const json_t *e, char *buf, size_t size)
{
    static const struct {
        const char *attributes, *object, *member; /* what says most of an event; object "": of the attributes themselves */
    } plain[] = {{"workflowExecutionStartedEventAttributes", "workflowType", "name"},
                 {"workflowExecutionSignaledEventAttributes", "", "signalName"},
                 {"workflowTaskFailedEventAttributes", "failure", "message"},
                 {"startChildWorkflowExecutionInitiatedEventAttributes", "workflowType", "name"}};
    const json_t *a;
    buf[0] = 0;
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if ((a = json_object_get(e, plain[i].attributes)))
            snprintf(buf, size, "%s",
                     json_str(*plain[i].object ? json_object_get(a, plain[i].object) : a, plain[i].member, ""));
    if ((a = json_object_get(e, "activityTaskScheduledEventAttributes"))) {
        snprintf(buf, size, "%s (activity %s)", json_str(json_object_get(a, "activityType"), "name", ""),
                 json_str(a, "activityId", ""));
    } else if ((a = json_object_get(e, "activityTaskStartedEventAttributes"))) {
        snprintf(buf, size, "of event %s, attempt %lld", json_str(a, "scheduledEventId", "0"),
                 (long long)json_i64(a, "attempt", 0));
    } else if ((a = json_object_get(e, "activityTaskCompletedEventAttributes"))) {
        snprintf(buf, size, "of event %s", json_str(a, "scheduledEventId", "0"));
    } else if ((a = json_object_get(e, "activityTaskFailedEventAttributes"))) {
        snprintf(buf, size, "of event %s: %s", json_str(a, "scheduledEventId", "0"),
                 json_str(json_object_get(a, "failure"), "message", ""));
    } else if ((a = json_object_get(e, "timerStartedEventAttributes"))) {
        char d[32];
        units_format_duration((int64_t)(strtod(json_str(a, "startToFireTimeout", "0"), NULL) * 1e3 + 0.5), d, sizeof d);
        snprintf(buf, size, "timer %s, %s", json_str(a, "timerId", ""), d);
    } else if ((a = json_object_get(e, "timerFiredEventAttributes"))) {
        snprintf(buf, size, "timer %s", json_str(a, "timerId", ""));
    } else if ((a = json_object_get(e, "workflowExecutionFailedEventAttributes"))) {
        failure_text(json_object_get(a, "failure"), buf, size);
    }
}

static int print_event(void *arg, const json_t *e, struct err *err)
{
    int64_t *start_ns = arg;
    char name[64], text[300];
    int64_t ns = os_parse_time(json_str(e, "eventTime", ""));
    (void)err;
    if (!*start_ns)
        *start_ns = ns;
    event_name(json_str(e, "eventType", "UNKNOWN"), name, sizeof name);
    detail(e, text, sizeof text);
    double s = (double)(ns - *start_ns) / (double)NS_PER_S;
    bool bad = strstr(name, "Failed") || strstr(name, "TimedOut") || strstr(name, "Terminated");
    printf("%s%+10.3f s%s  %4lld  %s%-34s%s ", term_dim(), s, term_off(), strtoll(json_str(e, "eventId", "0"), NULL, 10),
           bad ? term_red() : "", name, bad ? term_off() : "");
    term_text(stdout, text);
    putchar('\n');
    return 0;
}

static int write_event(void *arg, const json_t *e, struct err *err)
{
    bool bad = json_dumpf(e, arg, JSON_COMPACT) < 0 || fputc('\n', arg) == EOF;
    return bad ? err_sys(err, errno, "write") : 0;
}

int timeline_print(struct app *app, const char *run_id, struct err *err)
{
    int64_t start_ns = 0;
    return app->json ? run_each_document(&app->service, run_id, write_event, stdout, err)
                     : run_each_document(&app->service, run_id, print_event, &start_ns, err);
}

int timeline_export(struct app *app, const char *run_id, const char *file, struct err *err)
{
    if (!file || strcmp(file, "-") == 0)
        return run_each_document(&app->service, run_id, write_event, stdout, err);
    FILE *f = fopen(file, "wxe");
    if (!f)
        return err_sys(err, errno, "write %s", file);
    int r = run_each_document(&app->service, run_id, write_event, f, err);
    if (fclose(f) != 0 && r == 0)
        r = err_sys(err, errno, "write %s", file);
    if (r < 0)
        unlink(file); /* half a history is none; it was not there before */
    return r;
}
