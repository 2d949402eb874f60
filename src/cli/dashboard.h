/* What 'ff monitor live' shows of a run on a terminal: what it is, its statistics as curves, its engines, its crashes and what
 * happened last. Drawing knows no terminal: it writes lines. */
#ifndef FF_CLI_DASHBOARD_H
#define FF_CLI_DASHBOARD_H

#include "api/service/run.h"

#include <stdio.h>

#define DASHBOARD_CRASHES 50
#define DASHBOARD_EVENTS 100

struct dashboard {
    json_t *stats;  /* the last, {executions, executions_per_sec, coverage, ...}; NULL: none */
    json_t *points; /* [{elapsed_time, executions_per_sec, coverage, corpus_size}], oldest first; NULL: none */
    json_t *crashes; /* the last DASHBOARD_CRASHES, oldest first */
    json_t *events;  /* lines of text, the last DASHBOARD_EVENTS, oldest first */
    uint64_t crashes_seen;
};

int dashboard_init(struct dashboard *d, struct err *err);
void dashboard_release(struct dashboard *d);

/* Each takes the reference; NULL is let pass. */
void dashboard_set_stats(struct dashboard *d, json_t *stats);
void dashboard_set_points(struct dashboard *d, json_t *points);
void dashboard_add_crash(struct dashboard *d, json_t *crash);
void dashboard_add_event(struct dashboard *d, json_t *line);
/* For who has no series: the statistics become a point of one, which halves itself before it grows too long. */
void dashboard_add_point(struct dashboard *d);

/* At most so many lines. Curves are as wide as columns, other lines may be wider. */
void dashboard_draw(const struct dashboard *d, const struct run_info *run, int columns, int rows, FILE *f);

#endif
