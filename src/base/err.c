#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *text;
    int exit_status, http, grpc;
    bool retry;
} facts[] = {
#define X(name, text, exit_status, http, grpc, retry) {#name, text, exit_status, http, grpc, retry},
#include "base/tbl/err_codes.h"
#undef X
};

static int positive(int code)
{
    if (code < 0)
        code = -code;
    return code < ERR_COUNT_ ? code : ERR_INTERNAL;
}

/* Cuts a partial UTF-8 sequence off the end of a full buffer. */
static void trim_utf8(char *s, size_t len)
{
    size_t i = len;
    while (i > 0 && len - i < 4 && ((unsigned char)s[i - 1] & 0xc0) == 0x80)
        i--;
    if (i > 0) {
        unsigned char lead = (unsigned char)s[i - 1];
        size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
        if (len - (i - 1) < need)
            s[i - 1] = 0;
    }
}

static void format_into(char *buf, size_t size, const char *fmt, va_list ap)
{
    int n = vsnprintf(buf, size, fmt, ap);
    if (n >= (int)size)
        trim_utf8(buf, size - 1);
    for (char *p = buf; *p; p++)
        if (*p == '\n' || *p == '\r')
            *p = ' ';
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        err->code = code;
        err->sys = 0;
        err->hint[0] = 0;
        format_into(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
    }
    return -(int)code;
}

int err_sys(struct err *err, int errnum, const char *fmt, ...)
{
    enum err_code code = err_from_errno(errnum);
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        err->code = code;
        err->sys = errnum;
        err->hint[0] = 0;
        format_into(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
        size_t n = strlen(err->msg);
        char text[96];
        const char *s = strerror_r(errnum, text, sizeof text);
        if (n + 3 < sizeof err->msg)
            snprintf(err->msg + n, sizeof err->msg - n, ": %s", s);
    }
    return -(int)code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    if (!err)
        return -ERR_FAILED;
    char old[ERR_MSG_MAX];
    memcpy(old, err->msg, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    format_into(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    size_t n = strlen(err->msg);
    if (n + 3 < sizeof err->msg) {
        int m = snprintf(err->msg + n, sizeof err->msg - n, ": %s", old);
        if (m >= (int)(sizeof err->msg - n))
            trim_utf8(err->msg, sizeof err->msg - 1);
    }
    return -err->code;
}

int err_hint(struct err *err, const char *fmt, ...)
{
    if (!err)
        return -ERR_FAILED;
    va_list ap;
    va_start(ap, fmt);
    format_into(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
    return -err->code;
}

int err_nomem(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "out of memory");
}

void err_clear(struct err *err)
{
    if (err) {
        err->code = 0;
        err->sys = 0;
        err->msg[0] = 0;
        err->hint[0] = 0;
    }
}

int err_copy(struct err *to, const struct err *from)
{
    if (to && from)
        *to = *from;
    return from ? -from->code : 0;
}

const char *err_text(int code)
{
    return facts[positive(code)].text;
}

const char *err_name(int code)
{
    return facts[positive(code)].name;
}

int err_exit_status(int code)
{
    return facts[positive(code)].exit_status;
}

int err_http_status(int code)
{
    return facts[positive(code)].http;
}

int err_grpc_status(int code)
{
    return facts[positive(code)].grpc;
}

bool err_retryable(int code)
{
    return facts[positive(code)].retry;
}

enum err_code err_from_errno(int errnum)
{
    switch (errnum) {
    case 0:
        return ERR_OK;
    case ENOENT:
    case ENOTDIR:
    case ESRCH:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOMEM:
        return ERR_NO_MEMORY;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
    case EISDIR:
        return ERR_INVALID;
    case EMFILE:
    case ENFILE:
    case EFBIG:
    case E2BIG:
        return ERR_LIMIT;
    case EBUSY:
    case EAGAIN:
        return ERR_BUSY;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return ERR_UNAVAILABLE;
    case ECANCELED:
        return ERR_CANCELLED;
    case ENOSYS:
    case EOPNOTSUPP:
        return ERR_UNIMPLEMENTED;
    default:
        return ERR_IO;
    }
}

enum err_code err_from_grpc(int grpc_status)
{
    for (int c = 0; c < ERR_COUNT_; c++)
        if (facts[c].grpc == grpc_status)
            return (enum err_code)c;
    return ERR_INTERNAL;
}
