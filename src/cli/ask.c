#include "cli/ask.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "cli/term.h"
#include "codec/json.h"

#include <stdio.h>
#include <string.h>

static void print_question(const char *name, const json_t *schema, const json_t *def)
{
    const char *what = json_str(schema, "description", NULL);
    _cleanup_free_ char *text = def ? json_dumps(def, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    term_text(stderr, name);
    fprintf(stderr, " (%s)", json_str(schema, "type", "any"));
    if (what) {
        fputs(", ", stderr);
        term_text(stderr, what);
    }
    fprintf(stderr, " [%s]: ", text ? text : "");
    fflush(stderr);
}

static int ask_one(const struct workflow_def *def, const char *name, const json_t *schema, json_t *io_given,
                   struct err *err)
{
    _cleanup_free_ char *line = NULL;
    size_t cap = 0;
    for (;;) {
        print_question(name, schema, json_object_get(def->default_parameters, name));
        ssize_t n = getline(&line, &cap, stdin);
        if (n < 0)
            return err_set(err, ERR_USAGE, "-i: no answer for '%s'", name);
        line[strcspn(line, "\n")] = 0;
        if (!*line)
            return 0;
        _cleanup_free_ char *pair = mem_printf("%s=%s", name, line);
        _cleanup_json_ json_t *checked = NULL;
        if (!pair)
            return err_nomem(err);
        if (workflow_def_set_text(def, io_given, pair, err) == 0 &&
            workflow_def_parameters(def, io_given, &checked, err) == 0)
            return 0;
        json_object_del(io_given, name);
        term_text(stderr, err->msg);
        fputc('\n', stderr);
        err_clear(err);
    }
}

int ask_parameters(const struct workflow_def *def, json_t *io_given, struct err *err)
{
    const char *name;
    json_t *schema;
    json_object_foreach(json_object_get(def->parameters, "properties"), name, schema) {
        if (json_object_get(io_given, name))
            continue;
        int r = ask_one(def, name, schema, io_given, err);
        if (r < 0)
            return r;
    }
    return 0;
}
