/* What the terminal shows: colour only where there is a terminal, text from outside made harmless. */
#ifndef FF_CLI_TERM_H
#define FF_CLI_TERM_H

#include "codec/finding.h"

#include <stdbool.h>
#include <stdio.h>

/* mode: -1 finds out (terminal, NO_COLOR, TERM=dumb), 0 off. */
void term_init(int colour);
bool term_stdout_is_tty(void);
bool term_stderr_is_tty(void);
int term_width(void); /* of stderr; 80 when not known */

/* Escape sequences, or "" without colour. */
const char *term_bold(void);
const char *term_dim(void);
const char *term_off(void);
const char *term_red(void);
const char *term_green(void);
const char *term_yellow(void);
const char *term_severity(enum severity s);

/* Writes text from outside: control characters and broken UTF-8 become visible escapes. */
void term_text(FILE *f, const char *text);
/* The same, cut to so many columns with an ellipsis. */
void term_text_cut(FILE *f, const char *text, int columns);

/* A line at the bottom of stderr that is redrawn; log lines go above it. No-ops when stderr is no terminal. */
void term_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void term_status_clear(void);

/* The whole screen, redrawn; what was on it comes back at the end. false: stdout is no terminal that can do it. */
bool term_screen_begin(void);
int term_screen_rows(void);
/* Lines of text from the top. Their ends are cut where they are too long. */
void term_screen_draw(const char *text);
void term_screen_end(void);

#endif
