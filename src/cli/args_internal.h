/* The parser of options and the writer of help; for main.c alone. */
#ifndef FF_CLI_ARGS_INTERNAL_H
#define FF_CLI_ARGS_INTERNAL_H

#include "cli/cli.h"

/* Parses argv[*io_i...]; own are the options of the command (may be NULL) beside the global ones. With
 * stop_at_word it ends before the first word that is no option. *io_i is where it ended. */
int args_parse(const struct opt *own, int argc, char **argv, int *io_i, bool stop_at_word,
               struct args *ret, struct err *err);
void args_release(struct args *a);
void help_command(const struct command *c, const char *path);
void help_all(void);

#endif
