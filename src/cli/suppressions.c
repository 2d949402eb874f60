#include "cli/suppressions.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "codec/json.h"
#include "os/file.h"

#include <string.h>

#define FILE_BYTES_MAX ((size_t)64 << 20)

int suppressions_path(struct app *app, char **ret, bool *ret_trusted, struct err *err)
{
    const struct config *c = &app->config;
    _cleanup_free_ char *state = NULL;
    int r = config_state_dir(c, &state, err);
    if (r < 0)
        return r;
    const char *dir = c->project && c->project_trusted ? c->project : state;
    *ret_trusted = !c->project || c->project_trusted || strcmp(state, c->project) != 0;
    *ret = os_path_join(dir, "suppressions.json");
    return *ret ? 0 : err_nomem(err);
}

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

int suppressions_apply(struct app *app, struct findings *list, struct err *err)
{
    _cleanup_free_ char *path = NULL;
    _cleanup_json_ json_t *doc = NULL;
    bool trusted;
    int r = suppressions_path(app, &path, &trusted, err);
    if (r < 0 || !os_exists(path))
        return r;
    if (!trusted) {
        log_warn("%s is left aside: its project is not trusted", path);
        return 0;
    }
    r = suppressions_read(path, &doc, err);
    if (r < 0)
        return r;
    r = findings_suppress(list, doc, NULL, err);
    return r < 0 ? err_wrap(err, "%s", path) : 0;
}
