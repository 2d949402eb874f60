#include "api/rest/multipart.h"

#include "base/cleanup.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum state { BODY, AFTER_BOUNDARY, HEADERS, EPILOGUE, FAILED };

struct multipart {
    struct multipart_ops ops;
    void *arg;
    enum state state;
    struct err why; /* state FAILED */
    char delimiter[MULTIPART_BOUNDARY_MAX + 5]; /* "\r\n--" and the boundary */
    size_t delimiter_len;
    size_t matched; /* bytes of the delimiter that have come */
    bool in_part;   /* else what comes is the preamble */
    int parts;
    char headers[MULTIPART_HEADERS_MAX + 1];
    size_t headers_len;
    char after[3]; /* what follows a boundary on its line */
    size_t after_len;
};

static bool boundary_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr("'()+_,-./:=?", c));
}

/* The value of a parameter "; name=value" in a header's value, quoted or not, into ret. */
static bool parameter(const char *text, const char *name, char *ret, size_t size)
{
    size_t n = strlen(name);
    for (const char *p = strchr(text, ';'); p; p = strchr(p, ';')) {
        p += 1 + strspn(p + 1, " \t");
        bool found = strncasecmp(p, name, n) == 0 && p[n] == '=';
        p += strcspn(p, "=;");
        if (*p != '=')
            continue;
        p++;
        size_t len = 0;
        bool quoted = *p == '"';
        for (p += quoted; *p && (quoted ? *p != '"' : *p != ';'); p++) {
            /* A browser writes %22 for a quote and leaves a backslash as it is; others escape with one. */
            if (quoted && p[0] == '\\' && (p[1] == '"' || p[1] == '\\'))
                p++;
            if (len + 1 >= size)
                return false;
            ret[len++] = *p;
        }
        while (!quoted && len && (ret[len - 1] == ' ' || ret[len - 1] == '\t'))
            len--;
        ret[len] = 0;
        if (found)
            return !quoted || *p == '"';
        if (quoted && *p)
            p++;
    }
    return false;
}

int multipart_boundary(const char *content_type, char *ret, struct err *err)
{
    bool ok = parameter(content_type, "boundary", ret, MULTIPART_BOUNDARY_MAX + 1) && *ret;
    size_t n = ok ? strlen(ret) : 0;
    for (size_t i = 0; i < n; i++)
        ok = ok && (boundary_char(ret[i]) || (ret[i] == ' ' && i + 1 < n));
    return ok ? 0 : err_set(err, ERR_INVALID, "the Content-Type names no boundary of 1 to %d characters", MULTIPART_BOUNDARY_MAX);
}

int multipart_new(const char *boundary, const struct multipart_ops *ops, void *arg, struct multipart **ret, struct err *err)
{
    struct multipart *m = mem_zalloc(sizeof *m);
    if (!m)
        return err_nomem(err);
    m->ops = *ops;
    m->arg = arg;
    m->delimiter_len = (size_t)snprintf(m->delimiter, sizeof m->delimiter, "\r\n--%.*s", MULTIPART_BOUNDARY_MAX, boundary);
    m->matched = 2; /* the first one needs no line before it */
    *ret = m;
    return 0;
}

static int fail(struct multipart *m, const struct err *why, struct err *err)
{
    m->state = FAILED;
    m->why = *why;
    return err_copy(err, why);
}

static int malformed(struct multipart *m, const char *what, struct err *err)
{
    struct err why = {0};
    err_set(&why, ERR_INVALID, "the multipart body is malformed: %s", what);
    return fail(m, &why, err);
}

/* The headers of a part are there. */
static int begin_part(struct multipart *m, struct err *err)
{
    char name[256] = "", file[1024] = "";
    bool named = false, has_file = false;
    char *save = NULL;
    struct err why = {0};
    m->headers[m->headers_len] = 0;
    if (memchr(m->headers, 0, m->headers_len))
        return malformed(m, "a NUL in a header", err);
    for (char *line = strtok_r(m->headers, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
        if (strncasecmp(line, "content-disposition:", 20) != 0)
            continue;
        const char *v = line + 20 + strspn(line + 20, " \t");
        if (strncasecmp(v, "form-data", 9) != 0)
            return malformed(m, "a part that is no form-data", err);
        named = parameter(v, "name", name, sizeof name);
        has_file = parameter(v, "filename", file, sizeof file);
    }
    if (!named)
        return malformed(m, "a part without a name", err);
    if (++m->parts > MULTIPART_PARTS_MAX)
        return malformed(m, "too many parts", err);
    m->state = BODY;
    m->in_part = true;
    m->matched = 0;
    return m->ops.begin(m->arg, name, has_file ? file : NULL, &why) < 0 ? fail(m, &why, err) : 0;
}

static int give(struct multipart *m, const char *data, size_t len, struct err *err)
{
    struct err why = {0};
    if (!len || !m->in_part)
        return 0;
    return m->ops.data(m->arg, data, len, &why) < 0 ? fail(m, &why, err) : 0;
}

/* Takes bytes of a part (or of the preamble) up to a boundary; gives how many, or an error. The delimiter begins with a byte
 * that is nowhere else in it: after a mismatch no earlier byte can be the beginning of another. */
static int64_t take_body(struct multipart *m, const char *p, size_t len, struct err *err)
{
    size_t i = 0;
    while (i < len && m->matched < m->delimiter_len) {
        if (p[i] == m->delimiter[m->matched]) {
            m->matched++;
            i++;
            continue;
        }
        size_t had = m->matched;
        m->matched = 0;
        if (had) {
            int r = give(m, m->delimiter, had, err);
            if (r < 0)
                return r;
            continue;
        }
        const char *cr = memchr(p + i, '\r', len - i);
        size_t n = cr ? (size_t)(cr - (p + i)) : len - i;
        int r = give(m, p + i, n, err);
        if (r < 0)
            return r;
        i += n;
    }
    if (m->matched < m->delimiter_len)
        return (int64_t)i;
    struct err why = {0};
    m->matched = 0;
    m->state = AFTER_BOUNDARY;
    m->after_len = 0;
    if (m->in_part && m->ops.end(m->arg, &why) < 0)
        return fail(m, &why, err);
    m->in_part = false;
    return (int64_t)i;
}

/* "--" ends it all; a line's end begins a part. Blanks before it are allowed. */
static int take_after(struct multipart *m, char c, struct err *err)
{
    if (m->after_len == 0 && (c == ' ' || c == '\t'))
        return 0;
    m->after[m->after_len++] = c;
    if (m->after_len < 2)
        return c == '-' || c == '\r' ? 0 : malformed(m, "something else after a boundary", err);
    if (memcmp(m->after, "--", 2) == 0) {
        m->state = EPILOGUE;
        return 0;
    }
    if (memcmp(m->after, "\r\n", 2) != 0)
        return malformed(m, "something else after a boundary", err);
    m->state = HEADERS;
    m->headers_len = 0;
    return 0;
}

static int take_header(struct multipart *m, char c, struct err *err)
{
    if (m->headers_len == MULTIPART_HEADERS_MAX)
        return malformed(m, "the headers of a part are too long", err);
    m->headers[m->headers_len++] = c;
    bool empty = m->headers_len == 2 && memcmp(m->headers, "\r\n", 2) == 0;
    bool over = m->headers_len >= 4 && memcmp(m->headers + m->headers_len - 4, "\r\n\r\n", 4) == 0;
    return empty || over ? begin_part(m, err) : 0;
}

int multipart_feed(struct multipart *m, const void *data, size_t len, struct err *err)
{
    const char *p = data;
    for (size_t i = 0; i < len;) {
        int r = 0;
        int64_t n;
        switch (m->state) {
        case BODY:
            n = take_body(m, p + i, len - i, err);
            r = n < 0 ? (int)n : 0;
            i += n < 0 ? 0 : (size_t)n;
            break;
        case AFTER_BOUNDARY:
            r = take_after(m, p[i++], err);
            break;
        case HEADERS:
            r = take_header(m, p[i++], err);
            break;
        case EPILOGUE:
            return 0;
        case FAILED:
            return err_copy(err, &m->why);
        }
        if (r < 0)
            return r;
    }
    return m->state == FAILED ? err_copy(err, &m->why) : 0;
}

int multipart_finish(struct multipart *m, struct err *err)
{
    if (m->state == FAILED)
        return err_copy(err, &m->why);
    return m->state == EPILOGUE ? 0 : malformed(m, "the last boundary has not come", err);
}

void multipart_free(struct multipart *m)
{
    free(m);
}
