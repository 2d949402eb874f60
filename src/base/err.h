/* The one shape of an error.
 *
 * A function that can fail returns int, 0 or -ERR_x, and takes struct err * as its last parameter.
 * The callee fills it in where the error happens; each caller may add what it was doing:
 *
 *     r = file_read(path, &text, err);
 *     if (r < 0)
 *         return err_wrap(err, "read rules");
 *
 * gives "read rules: open /x/rules.yaml: permission denied". err may be NULL: then only the code is
 * given. Only the return value tells whether there is an error: after success err may hold what a step met and got
 * over. Library code never prints and never exits; only the edges (cli, api, worker loop) do. */
#ifndef FF_BASE_ERR_H
#define FF_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

enum err_code {
#define X(name, text, exit_status, http, grpc, retry) ERR_##name,
#include "base/tbl/err_codes.h"
#undef X
    ERR_COUNT_
};

#define ERR_MSG_MAX 480
#define ERR_HINT_MAX 200

struct err {
    int code;                /* enum err_code, 0 while there is no error */
    int sys;                 /* errno, or an SQLite code, or 0 */
    char msg[ERR_MSG_MAX];   /* one line, cut at a character boundary if it is longer */
    char hint[ERR_HINT_MAX]; /* what the user can do, or empty */
};

/* Sets code and message. Returns -code. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a failed system call: the code follows from errnum, whose text is appended. */
int err_sys(struct err *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts "context: " before the message. Returns -code of the error that is there. */
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Says what to do about it. Returns -code. */
int err_hint(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* -ERR_NO_MEMORY with its message. */
int err_nomem(struct err *err);
void err_clear(struct err *err);
/* Copies one error into another; either may be NULL. Returns -code of from (0 if NULL). */
int err_copy(struct err *to, const struct err *from);

/* Facts of a code; each takes the positive or the negative form. */
const char *err_text(int code);
const char *err_name(int code); /* "NOT_FOUND" */
int err_exit_status(int code);
int err_http_status(int code);
int err_grpc_status(int code);
bool err_retryable(int code);
enum err_code err_from_errno(int errnum);
enum err_code err_from_grpc(int grpc_status);

#endif
