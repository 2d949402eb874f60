/* What a module prints, as the worker reads it: the same messages come out however the bytes are cut, all within
 * their stated bounds. */
#include "base/assert.h"
#include "codec/utf8.h"
#include "fuzz.h"
#include "module/protocol.h"

#include <string.h>

/* A running hash of all that was told. */
struct told {
    uint64_t hash;
};

static void mix(struct told *t, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++)
        t->hash = (t->hash ^ p[i]) * UINT64_C(1099511628211); /* FNV-1a */
}

static void mix_text(struct told *t, const char *s)
{
    ASSERT(utf8_valid(s, strlen(s)));
    mix(t, s, strlen(s) + 1);
}

static void mix_json(struct told *t, const json_t *j)
{
    char *s = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
    ASSERT(s);
    mix_text(t, s);
    free(s);
}

static void on_log(void *arg, const char *level, const char *message)
{
    ASSERT(strlen(message) <= MODULE_TEXT_MAX && strcmp(module_log_level(level), level) == 0);
    mix_text(arg, level);
    mix_text(arg, message);
}

static void on_progress(void *arg, uint64_t done, uint64_t total, const char *message)
{
    ASSERT(done <= INT64_MAX && total <= INT64_MAX && strlen(message) <= MODULE_TEXT_MAX);
    mix(arg, &done, sizeof done);
    mix(arg, &total, sizeof total);
    mix_text(arg, message);
}

static void on_finding(void *arg, struct finding *f)
{
    ASSERT(f->rule_id && f->title);
    json_t *j = finding_to_json(f);
    ASSERT(j);
    mix_json(arg, j);
    json_decref(j);
}

static void on_stats(void *arg, const json_t *stats)
{
    ASSERT(json_is_object(stats));
    mix_json(arg, stats);
}

static void on_artifact(void *arg, const char *path, const char *name)
{
    ASSERT(*path && *name && !strchr(name, '/') && strcmp(name, "..") != 0);
    mix_text(arg, path);
    mix_text(arg, name);
}

static void on_checkpoint(void *arg, const json_t *data)
{
    ASSERT(data);
    mix_json(arg, data);
}

/* Reads in pieces of step bytes; gives the code of the end. */
static int read_in_steps(const uint8_t *data, size_t size, size_t step, struct told *told)
{
    static const struct module_reader_ops ops = {on_log,      on_progress,   on_finding, on_stats,
                                                 on_artifact, on_checkpoint};
    struct module_reader *r = NULL;
    *told = (struct told){UINT64_C(14695981039346656037)};
    ASSERT(module_reader_new(&ops, told, &r, NULL) == 0);
    int fed = 0;
    for (size_t i = 0; i < size;) {
        size_t n = step < size - i ? step : size - i;
        fed = module_reader_feed(r, data + i, n, NULL);
        i += n;
    }
    enum module_status status;
    const json_t *summary;
    const char *error;
    struct err err = {0};
    int end = module_reader_finish(r, &status, &summary, &error, &err);
    ASSERT(fed == 0 || end == fed);
    if (end == 0) {
        ASSERT(status <= MODULE_FAILED && json_is_object(summary));
        mix_json(told, summary);
        mix_text(told, error ? error : "");
    } else {
        mix_text(told, err.msg);
    }
    module_reader_free(r);
    return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct told whole, cut;
    int a = read_in_steps(data, size, size ? size : 1, &whole);
    int b = read_in_steps(data, size, size % 7 + 1, &cut);
    ASSERT(a == b && whole.hash == cut.hash);
    return 0;
}
