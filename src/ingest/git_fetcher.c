/* Inside a sandbox with a network: fetches HEAD of a repository by libgit2 into /scratch.
 *
 * The server is not trusted: size, objects and time are bounded, its certificate is checked, and
 * what it sends is stored, not looked into. Redirects are followed for the first request only
 * (libgit2's bound of them holds), and not to another host when there is a password to lose. */
#include "base/cleanup.h"
#include "ingest/fetch.h"
#include "os/clock.h"
#include "os/library.h"

#include <errno.h>
#include <git2.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STALL_MS (60 * 1000)
#define TELL_MS 250
#define OBJECTS_MAX 20000000u
#define CA_FILE "ca.pem" /* in the working folder; there if the user has certificates of his own */
#define REPOSITORY "repository"

#define GIT_CALLS(X) \
    X(git_error_last) X(git_libgit2_init) X(git_libgit2_opts) X(git_reference_name_to_id)         \
    X(git_remote_create_anonymous) X(git_remote_fetch) X(git_remote_init_callbacks)               \
    X(git_fetch_options_init) X(git_repository_init) X(git_repository_set_head_detached)          \
    X(git_credential_userpass_plaintext_new) X(git_error_set_str)
static struct {
    GIT_CALLS(OS_LIBRARY_FIELD)
} lib;

struct fetch {
    char url[FETCH_URL_MAX], user[FETCH_USER_MAX], password[FETCH_USER_MAX];
    uint64_t bytes_max;
    int credentials_asked;
    bool too_large;
    int64_t told_ns;
    atomic_llong moved_ms; /* when bytes last came */
    size_t bytes;
};

static int load(struct err *err)
{
    static const struct os_symbol calls[] = {GIT_CALLS(OS_LIBRARY_ENTRY)};
    return os_library_load("libgit2.so." LIBGIT2_SOVERSION, calls, ARRAY_LEN(calls), err);
}

__attribute__((noreturn)) static void end(const char *line, const char *text)
{
    char out[600];
    int n = snprintf(out, sizeof out, "%s%s%.500s\n", line, *text ? " " : "", text);
    for (int i = 0; i < n - 1; i++)
        if (out[i] == '\n')
            out[i] = ' ';
    (void)!write(STDOUT_FILENO, out, (size_t)n);
    _exit(0);
}

__attribute__((noreturn)) static void fail(enum fetch_failure what, const char *text)
{
    char line[] = {'E', ' ', (char)what, 0};
    end(line, text);
}

static int64_t now_ms(void)
{
    return os_mono_ns() / 1000000;
}

/* Ends the process when nobody waits any more, or the server says nothing. */
static void *watch_both(void *arg)
{
    struct fetch *f = arg;
    for (;;) {
        struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
        char byte;
        if (poll(&p, 1, 500) > 0 && read(STDIN_FILENO, &byte, 1) <= 0)
            _exit(1);
        if (now_ms() - atomic_load(&f->moved_ms) > STALL_MS)
            fail(FETCH_STALLED, "the server sent nothing for a minute");
    }
    return NULL;
}

static int on_progress(const git_indexer_progress *s, void *arg)
{
    struct fetch *f = arg;
    int64_t now = now_ms();
    if (s->received_bytes != f->bytes || s->indexed_deltas) /* deltas are our own work */
        atomic_store(&f->moved_ms, now);
    f->bytes = s->received_bytes;
    if (s->received_bytes > f->bytes_max || s->total_objects > OBJECTS_MAX) {
        f->too_large = true;
        return -1;
    }
    if (now - f->told_ns >= TELL_MS) {
        f->told_ns = now;
        if (printf("P %u %zu\n", s->received_objects, s->received_bytes) < 0 || fflush(stdout) != 0)
            return -1;
    }
    return 0;
}

static int on_text(const char *text, int len, void *arg)
{
    atomic_store(&((struct fetch *)arg)->moved_ms, now_ms()); /* the server counts and packs */
    return 0;
}

static int on_credentials(git_credential **out, const char *url, const char *user, unsigned allowed,
                          void *arg)
{
    struct fetch *f = arg;
    if (f->credentials_asked++ || !*f->user || !(allowed & GIT_CREDENTIAL_USERPASS_PLAINTEXT))
        return GIT_EAUTH;
    return lib.git_credential_userpass_plaintext_new(out, f->user, f->password);
}

static void tell_failure(const struct fetch *f, int r)
{
    const git_error *e = lib.git_error_last();
    const char *text = e && e->message ? e->message : "the server said no";
    if (f->too_large)
        fail(FETCH_TOO_LARGE, "");
    if (r == GIT_ECERTIFICATE || strstr(text, "certificate"))
        fail(FETCH_CERTIFICATE, text);
    if (r == GIT_EAUTH || f->credentials_asked)
        fail(FETCH_DENIED, text);
    fail(strstr(text, "404") ? FETCH_NOT_FOUND : FETCH_FAILED, text);
}

static int fetch_head(struct fetch *f)
{
    git_repository *repo = NULL;
    git_remote *remote = NULL;
    git_fetch_options o;
    git_oid head;
    static char refspec[] = "+HEAD:refs/heads/fetched";
    char *list[] = {refspec};
    const git_strarray refspecs = {list, 1};
    int r = lib.git_repository_init(&repo, REPOSITORY, 1);
    if (r == 0)
        r = lib.git_remote_create_anonymous(&remote, repo, f->url);
    if (r == 0)
        r = lib.git_fetch_options_init(&o, GIT_FETCH_OPTIONS_VERSION);
    if (r < 0)
        return r;
    o.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
    o.update_fetchhead = 0;
    o.proxy_opts.type = GIT_PROXY_NONE;
    o.follow_redirects = *f->user ? GIT_REMOTE_REDIRECT_NONE : GIT_REMOTE_REDIRECT_INITIAL;
#if LIBGIT2_VER_MAJOR > 1 || LIBGIT2_VER_MINOR >= 7
    o.depth = 1; /* before that, the history comes too */
#endif
    o.callbacks.transfer_progress = on_progress;
    o.callbacks.sideband_progress = on_text;
    o.callbacks.credentials = on_credentials;
    o.callbacks.payload = f;
    r = lib.git_remote_fetch(remote, &refspecs, &o, NULL);
    if (r < 0)
        return r;
    r = lib.git_reference_name_to_id(&head, repo, "refs/heads/fetched");
    if (r == GIT_ENOTFOUND) /* nothing is committed: HEAD stays unborn */
        return 0;
    return r < 0 ? r : lib.git_repository_set_head_detached(repo, &head);
}

static bool read_line(char *line, size_t size)
{
    size_t n = 0;
    char c;
    while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
        if (n < size - 1)
            line[n++] = c;
        else
            return false;
    line[n] = 0;
    return true;
}

int git_fetcher_main(void)
{
    static struct fetch f;
    char bytes[32];
    pthread_t thread;
    signal(SIGPIPE, SIG_IGN);
    if (!read_line(f.url, sizeof f.url) || !read_line(f.user, sizeof f.user) ||
        !read_line(f.password, sizeof f.password) || !read_line(bytes, sizeof bytes))
        return 1;
    f.bytes_max = strtoull(bytes, NULL, 10);
    atomic_store(&f.moved_ms, now_ms());
    struct err err = {0};
    if (load(&err) < 0)
        fail(FETCH_FAILED, err.msg);
    if (lib.git_libgit2_init() < 0 ||
        pthread_create(&thread, NULL, watch_both, &f) != 0)
        fail(FETCH_FAILED, "libgit2 cannot be used");
    for (int level = GIT_CONFIG_LEVEL_PROGRAMDATA; level <= GIT_CONFIG_LEVEL_GLOBAL; level++)
        lib.git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
    lib.git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, (size_t)OBJECTS_MAX);
    if (access(CA_FILE, R_OK) == 0 &&
        lib.git_libgit2_opts(GIT_OPT_SET_SSL_CERT_LOCATIONS, CA_FILE, NULL) < 0)
        fail(FETCH_CERTIFICATE, "the file of certificates (git.ca_file) cannot be used");
    int r = fetch_head(&f);
    if (r < 0)
        tell_failure(&f, r);
    end("D", "");
}
