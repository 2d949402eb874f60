/* One finding in full, for people. */
#ifndef FF_CLI_FINDINGS_SHOW_H
#define FF_CLI_FINDINGS_SHOW_H

#include "api/service/run.h"
#include "cli/app.h"

/* A command line that shows the finding again, or NULL; the caller frees. */
char *finding_reproduction(const struct run_info *run, const struct finding *f);
/* Prints it. command: as above, or NULL. */
void finding_show(const struct run_info *run, const struct finding *f, const char *command);

extern const struct command cmd_findings_suppress;

#endif
