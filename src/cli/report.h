/* What is printed at the end of a run. */
#ifndef FF_CLI_REPORT_H
#define FF_CLI_REPORT_H

#include "api/service/run.h"
#include "cli/app.h"

#include <stdio.h>

int run_exit_status(const struct run_info *run, const struct gate_verdict *v);

/* Prints a run's results, with export also as the SARIF file that its gate options name. *ret_status is the exit
 * status that the run deserves. False: its findings cannot be read; what else is known of it was printed, and that they
 * cannot. */
bool run_report(struct app *app, const struct run_info *run, bool export, int *ret_status);

/* Each finding, then the counts. compared: against a baseline. */
void findings_print(const struct findings *f, bool compared);

/* Parts of what `ff runs show` prints. The first gives the number of its lines. */
int run_print_head(FILE *f, const struct run_info *run);
void run_print_pending(const struct run_info *run);

#endif
