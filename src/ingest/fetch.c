/* A repository of another machine, from its URL to a bare repository here. */
#include "ingest/fetch.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "ingest/readers.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FETCH_WALL_MS (60 * 60 * 1000)
#define FETCH_CPU_MS (30 * 60 * 1000)
#define FETCH_MEMORY ((uint64_t)1 << 30)
#define CA_FILE_MAX ((size_t)4 << 20)
#define LINE_MAX_BYTES 1024
#define LOOK_MS 100

/* --- the URL --- */

static int cannot_fetch(const char *spec, struct err *err)
{
    const char *at = strrchr(spec, '@'); /* no password in a message */
    const char *scheme_end = strstr(spec, "://");
    int scheme = scheme_end && at ? (int)(scheme_end - spec) + 3 : 0;
    const char *rest = scheme ? at + 1 : spec;
    int r = err_set(err, ERR_UNIMPLEMENTED, "cannot fetch %.*s%.200s: https:// URLs and paths are read",
                    scheme, spec, rest);
    err_hint(err, "git clone --depth 1 %.*s%.120s, then give the folder", scheme, spec, rest);
    return r;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* Percent-decodes; false if it does not fit or has what no line may have. */
static bool decode(const char *from, size_t len, char *to, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int hi = from[i] == '%' && i + 2 < len ? hex_digit(from[i + 1]) : -1;
        int lo = hi >= 0 ? hex_digit(from[i + 2]) : -1;
        char c = lo >= 0 ? (char)(hi << 4 | lo) : from[i];
        i += lo >= 0 ? 2 : 0;
        if (n + 1 >= size || (unsigned char)c < 0x20 || c == 0x7f)
            return false;
        to[n++] = c;
    }
    to[n] = 0;
    return true;
}

static bool is_loopback(const char *host, size_t n)
{
    return (n == 9 && strncasecmp(host, "localhost", 9) == 0) ||
           (n == 9 && memcmp(host, "127.0.0.1", 9) == 0);
}

/* Host and port, without the user. */
static int parse_host(const char *host, size_t n, struct fetch_url *u, struct err *err)
{
    const char *colon = n && host[n - 1] != ']' ? memrchr(host, ':', n) : NULL;
    size_t host_len = colon ? (size_t)(colon - host) : n;
    uint32_t port = 0;
    for (const char *p = colon ? colon + 1 : host + n; p < host + n && port <= UINT16_MAX; p++)
        port = *p >= '0' && *p <= '9' ? port * 10 + (uint32_t)(*p - '0') : UINT32_MAX / 2;
    if (!host_len || port > UINT16_MAX || (colon && !port))
        return err_set(err, ERR_INVALID, "the host of the URL is not of the form host[:port]");
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)host[i] <= 0x20 || host[i] == 0x7f)
            return err_set(err, ERR_INVALID, "a host has no blanks");
    if (is_loopback(host, host_len))
        u->loopback_port = port ? port : 443;
    return 0;
}

static void name_of(const char *path, struct fetch_url *u)
{
    size_t n = strcspn(path, "?#");
    while (n && path[n - 1] == '/')
        n--;
    size_t start = n;
    while (start && path[start - 1] != '/')
        start--;
    if (n - start > 4 && memcmp(path + n - 4, ".git", 4) == 0)
        n -= 4;
    snprintf(u->name, sizeof u->name, "%.*s", (int)(n - start < 200 ? n - start : 200), path + start);
    if (!*u->name)
        snprintf(u->name, sizeof u->name, "repository");
}

int fetch_parse_url(const char *spec, struct fetch_url *u, struct err *err)
{
    static const char scheme[] = "https://";
    memset(u, 0, sizeof *u);
    if (strncmp(spec, scheme, sizeof scheme - 1) != 0)
        return cannot_fetch(spec, err);
    const char *host = spec + sizeof scheme - 1;
    size_t n = strcspn(host, "/?#");
    const char *path = host + n, *at = memrchr(host, '@', n);
    if (at) {
        const char *colon = memchr(host, ':', (size_t)(at - host));
        const char *user_end = colon ? colon : at;
        if (!decode(host, (size_t)(user_end - host), u->user, sizeof u->user) ||
            (colon && !decode(colon + 1, (size_t)(at - colon) - 1, u->password, sizeof u->password)))
            return err_set(err, ERR_INVALID, "user or password of the URL is too long or no text");
        n -= (size_t)(at + 1 - host);
        host = at + 1;
    }
    int r = parse_host(host, n, u, err);
    if (r < 0)
        return r;
    if (strlen(host) + sizeof scheme > sizeof u->url)
        return err_set(err, ERR_INVALID, "a URL of over %d bytes", FETCH_URL_MAX);
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p <= 0x20 || *p == 0x7f)
            return err_set(err, ERR_INVALID, "a URL has no blanks: write %%20");
    snprintf(u->url, sizeof u->url, "%s%s", scheme, host);
    name_of(path, u);
    return 0;
}

/* --- the fetching --- */

struct fetching {
    struct spawner *spawner;
    const struct sandbox_plan *plan;
    int in, out, null;
    struct sandbox_result result;
    int r;
    struct err err;
};

static void *run_fetcher(void *arg)
{
    struct fetching *x = arg;
    x->r = sandbox_run(x->spawner, x->plan, x->in, x->out, x->null, &x->result, &x->err);
    close(x->in);
    close(x->out); /* now the end is seen */
    return NULL;
}

/* The user's own certificates go where the fetcher finds them. */
static int copy_ca(const struct ingest_job *j, const char *scratch, struct err *err)
{
    if (!j->o->ca_file || !*j->o->ca_file)
        return 0;
    _cleanup_free_ char *text = NULL, *to = os_path_join(scratch, "ca.pem");
    size_t len;
    if (!to)
        return err_nomem(err);
    int r = os_read_file(j->o->ca_file, CA_FILE_MAX, &text, &len, err);
    if (r < 0)
        return WRAP(r, err, "certificates of git.ca_file");
    return os_write_file_atomic(to, text, len, 0644, err);
}

static int tell_failure(const struct fetch_url *u, const struct ingest_job *j, const char *line,
                        struct err *err)
{
    char size[32];
    const char *text = line[0] && line[1] ? line + 2 : "no reason was given";
    switch (line[0]) {
    case FETCH_NOT_FOUND:
        return err_set(err, ERR_NOT_FOUND, "%s: there is no such repository (404)", u->url);
    case FETCH_DENIED:
        err_set(err, ERR_UNAUTHENTICATED, "%s: the server wants %s", u->url,
                *u->user ? "another user and password" : "a user and a password");
        return err_hint(err, "a private repository: https://USER:TOKEN@HOST/..., or clone it and give the folder");
    case FETCH_CERTIFICATE:
        err_set(err, ERR_PERMISSION, "%s: its certificate is not trusted: %s", u->url, text);
        return err_hint(err, "a server with a certificate of its own: set git.ca_file (GIT_SSL_CAINFO)");
    case FETCH_TOO_LARGE:
        err_set(err, ERR_LIMIT, "%s: over %s", u->url,
                units_format_size(j->limits.archive_bytes_max, size, sizeof size));
        return err_hint(err, "git clone --depth 1, then give the folder");
    default:
        return err_set(err, ERR_UNAVAILABLE, "fetch %s: %s", u->url, text);
    }
}

/* One line of the fetcher. 1: go on; 0: it is there; an error. */
static int take_line(struct ingest_job *j, const struct fetch_url *u, char *line, struct err *err)
{
    struct ingest_progress p;
    unsigned long long objects, bytes;
    if (line[0] == 'E' && line[1] == ' ')
        return tell_failure(u, j, line + 2, err);
    if (sscanf(line, "P %llu %llu", &objects, &bytes) == 2 && j->o->progress) {
        p = (struct ingest_progress){.files = objects, .bytes = bytes, .fetching = true};
        j->o->progress(j->o->arg, &p);
    }
    return strcmp(line, "D") != 0;
}

/* Reads until the fetcher has said its last word. A line that is too long, or the end without that
 * word, ends it. 0: the repository is there; 1: it ended without a word. */
static int listen_to(struct ingest_job *j, const struct fetch_url *u, int fd, struct err *err)
{
    char buf[LINE_MAX_BYTES + 1];
    size_t have = 0;
    for (;;) {
        if (j->o->cancelled && j->o->cancelled(j->o->arg))
            return err_set(err, ERR_CANCELLED, "cancelled");
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int n = poll(&p, 1, LOOK_MS);
        if (n <= 0)
            continue;
        ssize_t k = read(fd, buf + have, LINE_MAX_BYTES - have);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return 1;
        have += (size_t)k;
        char *newline;
        while ((newline = memchr(buf, '\n', have))) {
            *newline = 0;
            int r = take_line(j, u, buf, err);
            if (r <= 0)
                return r;
            have -= (size_t)(newline + 1 - buf);
            memmove(buf, newline + 1, have);
        }
        if (have == LINE_MAX_BYTES)
            return 1;
    }
}

/* Why it ended without a word. */
static int judge_end(const struct ingest_job *j, const struct fetch_url *u,
                     const struct fetching *x, struct err *err)
{
    if (x->r < 0)
        return err_copy(err, &x->err);
    const struct sandbox_result *res = &x->result;
    if (res->end == SANDBOX_SETUP_FAILED)
        return err_copy(err, &res->err);
    if (res->limit && strcmp(res->limit, "disk") == 0)
        return tell_failure(u, j, "L", err);
    if (res->limit)
        return err_set(err, ERR_LIMIT, "fetch %s: stopped, over its limit of %s", u->url, res->limit);
    return err_set(err, ERR_FAILED, "fetch %s: the process that fetches ended by %s %d", u->url,
                   res->end == SANDBOX_EXITED ? "exit" : "signal", res->status);
}

static int run_plan(struct ingest_job *j, const struct fetch_url *u,
                    const struct sandbox_plan *plan, struct err *err)
{
    int in[2], out[2];
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || pipe2(in, O_CLOEXEC) < 0)
        return err_sys(err, errno, "make a pipe");
    if (pipe2(out, O_CLOEXEC) < 0) {
        close(in[0]);
        close(in[1]);
        return err_sys(err, errno, "make a pipe");
    }
    struct fetching x = {
        .spawner = j->o->spawner, .plan = plan, .in = in[0], .out = out[1], .null = null};
    _cleanup_free_ char *request = mem_printf("%s\n%s\n%s\n%llu\n", u->url, u->user, u->password,
                                              (unsigned long long)j->limits.archive_bytes_max);
    int r = request ? os_write_full(in[1], request, strlen(request), err) : err_nomem(err);
    pthread_t thread;
    int e = r == 0 ? pthread_create(&thread, NULL, run_fetcher, &x) : 0;
    if (e)
        r = err_sys(err, e, "start a thread");
    bool running = r == 0;
    if (running)
        r = listen_to(j, u, out[0], err);
    close(in[1]); /* nobody waits any more */
    close(out[0]);
    if (running) {
        pthread_join(thread, NULL);
    } else {
        close(in[0]);
        close(out[1]);
    }
    return r == 1 ? judge_end(j, u, &x, err) : r;
}

int fetch_repository(struct ingest_job *j, const struct fetch_url *u, const char *dir,
                     struct err *err)
{
    struct sandbox_plan plan = {
        .name = "ingest-fetch",
        .builtin = "ingest-fetch",
        .network = SANDBOX_NET_FULL,
        .loopback_port = u->loopback_port,
        .scratch = dir,
        .cwd = "/scratch",
        .limits = {.memory_bytes = FETCH_MEMORY, .cpu_ms = FETCH_CPU_MS, .wall_ms = FETCH_WALL_MS,
                   /* the pack, its index, and what is in between */
                   .disk_bytes = j->limits.archive_bytes_max + j->limits.archive_bytes_max / 4,
                   .pids = 16, .files = 256},
    };
    if (!j->o->spawner)
        return err_set(err, ERR_STATE, "there is no sandbox to fetch it in");
    int r = copy_ca(j, dir, err);
    return r < 0 ? r : run_plan(j, u, &plan, err);
}
