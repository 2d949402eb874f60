#include "api/service/suppressions.h"

#include "api/client/remote.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/file.h"

#include <pthread.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)64 << 20)

static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER; /* a server changes it from several threads */

int suppressions_read(const char *path, json_t **ret, struct err *err)
{
    if (!os_exists(path)) {
        *ret = json_pack("{s:i, s:[]}", "version", 1, "suppressions");
        return *ret ? 0 : err_nomem(err);
    }
    _cleanup_free_ char *text = NULL;
    size_t len;
    int r = os_read_file(path, FILE_BYTES_MAX, &text, &len, err);
    if (r == 0)
        r = json_parse(text, len, FILE_BYTES_MAX, ret, err);
    return r < 0 ? err_wrap(err, "%s", path) : 0;
}

int suppressions_write(const char *path, const json_t *doc, struct err *err)
{
    struct strbuf text = STRBUF_INIT_MAX(FILE_BYTES_MAX);
    int r = json_write_pretty(doc, &text, err);
    strbuf_putc(&text, '\n');
    if (r == 0)
        r = strbuf_check(&text, err);
    if (r == 0)
        r = os_write_file_atomic(path, text.s, text.len, 0644, err);
    strbuf_release(&text);
    return r;
}

/* The file, if it counts. */
static int read_own(const struct service *svc, json_t **ret, struct err *err)
{
    if (!svc->suppressions_trusted) {
        err_set(err, ERR_PERMISSION, "the project of %s is not trusted, so its suppressions count for nothing",
                svc->suppressions);
        return err_hint(err, "if it is yours: ff trust, with its folder");
    }
    int r = suppressions_read(svc->suppressions, ret, err);
    if (r < 0 || json_is_array(json_object_get(*ret, "suppressions")))
        return r;
    json_decref(*ret);
    *ret = NULL;
    return err_set(err, ERR_INVALID, "%s is no suppression file", svc->suppressions);
}

int suppressions_list(const struct service *svc, json_t **ret, struct err *err)
{
    if (svc->client)
        return client_suppressions(svc->client, ret, err);
    int r = read_own(svc, ret, err);
    return r < 0 || json_object_set_new(*ret, "file", json_clean_string(svc->suppressions)) == 0 ? r : err_nomem(err);
}

int suppressions_add(const struct service *svc, json_t *entries, struct err *err)
{
    char now[32];
    size_t i;
    json_t *e;
    _cleanup_json_ json_t *doc = NULL;
    if (svc->client)
        return client_suppress(svc->client, entries, err);
    pthread_mutex_lock(&writing);
    int r = read_own(svc, &doc, err);
    json_array_foreach(entries, i, e) {
        if (r == 0 && (json_object_set_new(e, "created_at", json_string(os_format_time(os_now_ns(), now))) < 0 ||
                       json_array_append(json_object_get(doc, "suppressions"), e) < 0))
            r = err_nomem(err);
    }
    if (r == 0)
        r = suppressions_write(svc->suppressions, doc, err);
    pthread_mutex_unlock(&writing);
    return r;
}

static size_t remove_entries(json_t *list, const char *what)
{
    size_t removed = 0;
    for (size_t i = json_array_size(list); i > 0; i--) {
        const json_t *j = json_array_get(list, i - 1);
        const char *fingerprint = json_str(j, "fingerprint", ""), *rule = json_str(j, "rule", "");
        if ((strlen(what) >= 4 && strncmp(fingerprint, what, strlen(what)) == 0) || strcmp(rule, what) == 0) {
            json_array_remove(list, i - 1);
            removed++;
        }
    }
    return removed;
}

int suppressions_remove(const struct service *svc, const char *what, size_t *ret_removed, struct err *err)
{
    _cleanup_json_ json_t *doc = NULL;
    if (svc->client)
        return client_unsuppress(svc->client, what, ret_removed, err);
    pthread_mutex_lock(&writing);
    int r = read_own(svc, &doc, err);
    *ret_removed = r == 0 ? remove_entries(json_object_get(doc, "suppressions"), what) : 0;
    if (r == 0 && !*ret_removed) {
        err_set(err, ERR_NOT_FOUND, "no suppression of '%.64s'", what);
        r = err_hint(err, "'ff findings suppress --list' shows them");
    }
    if (r == 0)
        r = suppressions_write(svc->suppressions, doc, err);
    pthread_mutex_unlock(&writing);
    return r;
}

int suppressions_apply(const struct service *svc, struct findings *list, struct err *err)
{
    _cleanup_json_ json_t *doc = NULL;
    if (!svc->suppressions || !os_exists(svc->suppressions))
        return 0;
    if (!svc->suppressions_trusted) {
        log_warn("%s is left aside: its project is not trusted", svc->suppressions);
        return 0;
    }
    int r = suppressions_read(svc->suppressions, &doc, err);
    if (r < 0)
        return r;
    r = findings_suppress(list, doc, NULL, err);
    return r < 0 ? err_wrap(err, "%s", svc->suppressions) : 0;
}
