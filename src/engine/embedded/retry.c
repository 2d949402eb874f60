#include "engine/embedded/retry.h"

#include "base/units.h"
#include "codec/pbx.h"

#include <math.h>
#include <string.h>

#define MAXIMUM_INTERVAL_FACTOR 100

void retry_fill_defaults(Pb__RetryPolicy *p, Pb__Duration *initial, Pb__Duration *maximum)
{
    if (!pbx_duration_ns(p->initial_interval)) {
        *initial = (Pb__Duration)PB__DURATION__INIT;
        initial->seconds = 1;
        p->initial_interval = initial;
    }
    if (p->backoff_coefficient == 0)
        p->backoff_coefficient = 2;
    if (!pbx_duration_ns(p->maximum_interval)) {
        int64_t ns = pbx_duration_ns(p->initial_interval);
        ns = ns > INT64_MAX / MAXIMUM_INTERVAL_FACTOR ? INT64_MAX : ns * MAXIMUM_INTERVAL_FACTOR;
        *maximum = (Pb__Duration)PB__DURATION__INIT;
        maximum->seconds = ns / NS_PER_S;
        maximum->nanos = (int32_t)(ns % NS_PER_S);
        p->maximum_interval = maximum;
    }
}

int retry_check(const Pb__RetryPolicy *p, struct err *err)
{
    if (!p)
        return 0;
    if (pbx_duration_ns(p->initial_interval) < 0)
        return err_set(err, ERR_INVALID, "retry policy: initial interval is negative");
    if (p->backoff_coefficient != 0 && !(p->backoff_coefficient >= 1))
        return err_set(err, ERR_INVALID, "retry policy: back-off coefficient is less than 1");
    if (pbx_duration_ns(p->maximum_interval) < 0)
        return err_set(err, ERR_INVALID, "retry policy: maximum interval is negative");
    if (pbx_duration_ns(p->maximum_interval) &&
        pbx_duration_ns(p->maximum_interval) < pbx_duration_ns(p->initial_interval))
        return err_set(err, ERR_INVALID,
                       "retry policy: maximum interval is less than the initial one");
    if (p->maximum_attempts < 0)
        return err_set(err, ERR_INVALID, "retry policy: maximum attempts is negative");
    return 0;
}

/* Application failures say it themselves, or by a type in the policy's list. */
static bool non_retryable(const Pb__RetryPolicy *p, const Pb__Failure *f)
{
    if (!f)
        return false;
    switch (f->failure_info_case) {
    case PB__FAILURE__FAILURE_INFO_TERMINATED_FAILURE_INFO:
    case PB__FAILURE__FAILURE_INFO_CANCELED_FAILURE_INFO:
        return true;
    case PB__FAILURE__FAILURE_INFO_SERVER_FAILURE_INFO:
        return f->server_failure_info->non_retryable;
    case PB__FAILURE__FAILURE_INFO_TIMEOUT_FAILURE_INFO:
        return f->timeout_failure_info->timeout_type != PB__TIMEOUT_TYPE__TIMEOUT_TYPE_START_TO_CLOSE &&
               f->timeout_failure_info->timeout_type != PB__TIMEOUT_TYPE__TIMEOUT_TYPE_HEARTBEAT;
    case PB__FAILURE__FAILURE_INFO_APPLICATION_FAILURE_INFO:
        if (f->application_failure_info->non_retryable)
            return true;
        for (size_t i = 0; i < p->n_non_retryable_error_types; i++)
            if (strcmp(p->non_retryable_error_types[i], f->application_failure_info->type) == 0)
                return true;
        return false;
    default:
        return false;
    }
}

static int64_t interval(const Pb__RetryPolicy *p, int32_t attempt)
{
    int64_t first = pbx_duration_ns(p->initial_interval), max = pbx_duration_ns(p->maximum_interval);
    double v = (double)first * pow(p->backoff_coefficient, attempt - 1);
    int64_t ns = isfinite(v) && v < (double)(INT64_MAX / 2) ? (int64_t)v : INT64_MAX / 2;
    return max && ns > max ? max : ns;
}

Pb__RetryState retry_decide(const struct retry_input *in, int64_t *ret_delay_ns)
{
    const Pb__RetryPolicy *p = in->policy;
    *ret_delay_ns = 0;
    if (!p)
        return PB__RETRY_STATE__RETRY_STATE_RETRY_POLICY_NOT_SET;
    if (non_retryable(p, in->failure))
        return PB__RETRY_STATE__RETRY_STATE_NON_RETRYABLE_FAILURE;
    if (p->maximum_attempts > 0 && in->attempt - in->free_attempts >= p->maximum_attempts)
        return PB__RETRY_STATE__RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED;
    int64_t delay = interval(p, in->attempt);
    const Pb__Failure *f = in->failure;
    if (f && f->failure_info_case == PB__FAILURE__FAILURE_INFO_APPLICATION_FAILURE_INFO &&
        f->application_failure_info->next_retry_delay)
        delay = pbx_duration_ns(f->application_failure_info->next_retry_delay);
    if (delay < 0)
        delay = 0;
    if (in->deadline_ns && delay > in->deadline_ns - in->now_ns)
        return PB__RETRY_STATE__RETRY_STATE_TIMEOUT;
    *ret_delay_ns = delay;
    return PB__RETRY_STATE__RETRY_STATE_IN_PROGRESS;
}
