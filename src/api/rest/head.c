/* What the head of a request says of itself, before anything is asked: whose it is, where it ends, what answer it can read. */
#include "api/rest/rest_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct framing {
    int hosts, lengths, codings;
    bool odd;   /* a coding that is not "chunked" alone */
    bool blank; /* in a name: others may take it for the name without */
};

static enum MHD_Result look(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct framing *f = arg;
    (void)kind;
    f->blank = f->blank || strpbrk(name, " \t");
    if (strcasecmp(name, "Host") == 0)
        f->hosts++;
    else if (strcasecmp(name, "Content-Length") == 0)
        f->lengths++;
    else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        f->codings++;
        f->odd = f->odd || !value || strcasecmp(value, "chunked") != 0;
    }
    return MHD_YES;
}

static int refuse(struct exchange *x, const char *why, struct err *err)
{
    x->closes = true;
    return err_set(err, ERR_USAGE, "%s", why);
}

int head_check(struct exchange *x, const char *version, struct err *err)
{
    struct framing f = {0};
    http.MHD_get_connection_values(x->conn, MHD_HEADER_KIND, look, &f);
    if (f.blank)
        return refuse(x, "a header's name has a blank in it", err);
    if (f.hosts > 1)
        return refuse(x, "Host is given twice", err);
    if (!f.hosts && strcmp(version, "HTTP/1.0") != 0)
        return refuse(x, "Host is missing", err);
    if (f.lengths > 1 || f.codings > 1 || (f.lengths && f.codings))
        return refuse(x, "where the body ends is said twice: one Content-Length or one Transfer-Encoding is wanted", err);
    if (f.odd)
        return refuse(x, "chunked is the one Transfer-Encoding that is taken", err);
    return 0;
}

bool head_is_last(const struct exchange *x, const char *version)
{
    const char *c = request_header(x, "Connection");
    return (c && (strcasestr(c, "close") || strcasestr(c, "upgrade"))) || strcmp(version, "HTTP/1.1") != 0;
}

/* The weight of one element of the list, "gzip;q=0.5": 1 where there is none. */
static double weight(const char *element, size_t len)
{
    const char *q = memchr(element, ';', len);
    while (q && ++q < element + len && (*q == ' ' || *q == '\t'))
        ;
    if (!q || element + len - q < 3 || strncasecmp(q, "q=", 2) != 0)
        return 1;
    return strtod(q + 2, NULL);
}

bool head_accepts_gzip(const char *list)
{
    bool named = false, accepted = false;
    while (list && *list) {
        list += strspn(list, " \t,");
        size_t n = strcspn(list, ","), word = strcspn(list, " \t,;");
        bool gzip = (word == 4 && strncasecmp(list, "gzip", 4) == 0) || (word == 6 && strncasecmp(list, "x-gzip", 6) == 0);
        if (gzip || (!named && word == 1 && *list == '*'))
            accepted = weight(list, n) > 0;
        named = named || gzip; /* its own word counts more than that for all */
        list += n;
    }
    return accepted;
}
