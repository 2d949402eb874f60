#include "api/access/quota.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int set(const char *word, struct quota *io, struct err *err)
{
    if (strncmp(word, "storage=", 8) == 0)
        return units_parse_size(word + 8, &io->storage_bytes, err);
    if (strncmp(word, "cpu=", 4) == 0)
        return units_parse_duration_ms(word + 4, &io->cpu_ms, err);
    if (strncmp(word, "runs=", 5) == 0) {
        char *end;
        errno = 0;
        long long n = strtoll(word + 5, &end, 10);
        if (errno || end == word + 5 || *end || n < 0)
            return err_set(err, ERR_INVALID, "'%.40s' is no number of runs", word + 5);
        io->runs = n;
        return 0;
    }
    return err_set(err, ERR_INVALID, "quota '%.40s': runs=N, storage=SIZE or cpu=TIME", word);
}

int quota_parse(const char *text, struct quota *io, struct err *err)
{
    _cleanup_free_ char *copy = mem_strdup(text);
    char *save = NULL;
    int r = copy ? 0 : err_nomem(err);
    for (char *w = copy ? strtok_r(copy, " \t\n", &save) : NULL; r == 0 && w; w = strtok_r(NULL, " \t\n", &save))
        r = set(w, io, err);
    return r;
}

int quota_of(const char *defaults, const char *namespaces, const char *name, struct quota *ret, struct err *err)
{
    *ret = (struct quota){0};
    _cleanup_free_ char *copy = mem_strdup(namespaces);
    char *save = NULL;
    int r = copy ? quota_parse(defaults, ret, err) : err_nomem(err);
    for (char *p = r == 0 ? strtok_r(copy, ";", &save) : NULL; r == 0 && p; p = strtok_r(NULL, ";", &save)) {
        struct quota other = {0};
        p += strspn(p, " \t\n");
        size_t n = strcspn(p, " \t\n");
        bool own = n == strlen(name) && strncmp(p, name, n) == 0;
        r = quota_parse(p + n, own ? ret : &other, err);
        if (r < 0)
            err_wrap(err, "namespace '%.*s'", (int)(n < 80 ? n : 80), p);
    }
    return r;
}

int quota_check(const struct quota *q, const struct quota_usage *u, int64_t more_runs, uint64_t more_bytes, const char *name,
                struct err *err)
{
    char limit[32], used[32];
    if (q->runs && u->runs + more_runs > q->runs)
        return err_set(err, ERR_QUOTA, "namespace '%s' has %lld run%s under way, and may have %lld", name, (long long)u->runs,
                       UNITS_S(u->runs), (long long)q->runs);
    if (q->storage_bytes && (u->storage_bytes > q->storage_bytes || more_bytes > q->storage_bytes - u->storage_bytes))
        return err_set(err, ERR_QUOTA, "namespace '%s' stores %s, and may store %s", name,
                       units_format_size(u->storage_bytes, used, sizeof used), units_format_size(q->storage_bytes, limit,
                                                                                                 sizeof limit));
    if (q->cpu_ms && u->cpu_ms >= q->cpu_ms)
        return err_set(err, ERR_QUOTA, "namespace '%s' has had %s of CPU time today, and may have %s", name,
                       units_format_duration(u->cpu_ms, used, sizeof used), units_format_duration(q->cpu_ms, limit,
                                                                                                  sizeof limit));
    return 0;
}

void quotas_release(struct quotas *q)
{
    free(TAKE_PTR(q->defaults));
    free(TAKE_PTR(q->namespaces));
}

int quotas_set(struct quotas *q, const char *defaults, const char *namespaces, struct err *err)
{
    struct quota any;
    char *d = mem_strdup(defaults), *n = mem_strdup(namespaces);
    int r = d && n ? quota_of(d, n, "", &any, err) : err_nomem(err);
    if (r == 0) {
        pthread_mutex_lock(&q->lock);
        quotas_release(q);
        q->defaults = TAKE_PTR(d);
        q->namespaces = TAKE_PTR(n);
        pthread_mutex_unlock(&q->lock);
    }
    free(d);
    free(n);
    return r < 0 ? err_wrap(err, "quota") : 0;
}

int quotas_get(struct quotas *q, const char *name, struct quota *ret, struct err *err)
{
    pthread_mutex_lock(&q->lock);
    int r = q->defaults ? quota_of(q->defaults, q->namespaces, name, ret, err) : 0;
    if (!q->defaults)
        *ret = (struct quota){0};
    pthread_mutex_unlock(&q->lock);
    return r;
}
