/* What a campaign's events look like to clients of the former service. */
#ifndef FF_API_REST_FUZZING_H
#define FF_API_REST_FUZZING_H

#include "api/live/live.h"
#include "api/service/run.h"

/* All fields of the statistics: those of data (JSON, NULL: none), the rest zero. NULL when memory is out. */
json_t *fuzzing_stats_of(const char *run_id, const char *workflow, const char *data);
/* {crash_id, timestamp, ...} of a reported crash, or of a finding that is one. */
json_t *fuzzing_crash_json(const char *run_id, const struct live_event *e);

#endif
