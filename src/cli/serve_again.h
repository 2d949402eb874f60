/* How `ff serve` begins again with a restored state: the same process, arguments and socket, another program image.
 *
 * What a backup brings (settings, tokens) is read as at any other start; that backups may be sent at all is on the command line
 * alone, where no file can put it. */
#ifndef FF_CLI_SERVE_AGAIN_H
#define FF_CLI_SERVE_AGAIN_H

#include "cli/app.h"

struct begun_again {
    bool so;
    char restore[27], outcome[32]; /* "done", or the name of an error */
};

/* Was this process image begun by serve_again()? Before anything is forked: nobody else is told. */
void serve_begun_again(struct begun_again *ret);
/* Ends a restore of the state that was cut short, if there is one and nobody else is at it. */
int serve_resume(const struct app *app, struct err *err);
/* Puts the restore that is staged in the place of the state, which is closed. alone: no other process uses it. After an error
 * before anything was changed the state is as it was. */
int serve_bring_back(const struct app *app, bool alone, struct err *err);
/* Signals to end, and to read the settings again, wait from here on, over serve_again(), until serve_hear(). */
void serve_hold_signals(void);
void serve_hear(void);
/* Does not come back but for an error. listener: the socket of REST, taken. */
int serve_again(const char *restore, const struct err *why, int listener, struct err *err);

#endif
