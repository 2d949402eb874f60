/* fuzz.yaml, a project's own word on how its targets are built:
 *
 *     build: |                       # optional, a shell script, in the folder of the file
 *       make libparse.a
 *     targets:
 *       - name: parse
 *         sources: [fuzz/parse.c]    # or program: a path that the script makes
 *         flags: [-Iinclude]
 *         libs: [libparse.a, -lz]
 *         dict: fuzz/parse.dict
 *         seeds: fuzz/seeds
 *         options: {max_len: 4096}
 *         env: {ASAN_OPTIONS: "..."} */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/suggest.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "fuzz/build_internal.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const char *const target_keys[] = {"name", "sources", "program", "flags", "libs", "dict", "seeds", "options", "env", NULL};

static int check_keys(const json_t *t, const char *const *known, struct err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)t, key, v) {
        struct suggest near;
        suggest_init(&near, key);
        bool ok = false;
        for (size_t i = 0; known[i]; i++) {
            ok |= strcmp(key, known[i]) == 0;
            suggest_offer(&near, known[i]);
        }
        if (!ok) {
            err_set(err, ERR_INVALID, FUZZ_BUILD_FILE ": unknown key '%.60s'", key);
            return near.best ? err_hint(err, "did you mean '%s'?", near.best) : -ERR_INVALID;
        }
    }
    return 0;
}

/* The words of a list, each quoted for the shell, after one another. */
static bool quote_list(struct strbuf *b, const json_t *list)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v) {
        if (!json_is_string(v))
            return false;
        strbuf_puts(b, " '");
        for (const char *p = json_string_value(v); *p; p++)
            if (*p == '\'')
                strbuf_puts(b, "'\\''");
            else
                strbuf_putc(b, *p);
        strbuf_putc(b, '\'');
    }
    return true;
}

static int compile(struct fuzz_build *b, const json_t *t, const char *name, struct err *err)
{
    struct strbuf script = STRBUF_INIT_MAX((size_t)1 << 20);
    strbuf_puts(&script, "objs=\"\"\nfor f in");
    bool ok = quote_list(&script, json_object_get(t, "sources"));
    strbuf_puts(&script, "; do\n  o=\"$WORK/$NAME-$(echo \"$f\" | tr / _).o\"\n"
                         "  compile_source \"$f\" \"$o\"");
    ok = ok && quote_list(&script, json_object_get(t, "flags"));
    strbuf_puts(&script, "; objs=\"$objs $o\"\ndone\n$CXX $CXXFLAGS $objs");
    ok = ok && quote_list(&script, json_object_get(t, "libs"));
    strbuf_puts(&script, " $LIB_FUZZING_ENGINE -lm -lpthread -o \"$OUT/$NAME\"\n");
    _cleanup_free_ char *n = mem_printf("NAME=%s", name);
    const char *const extra[] = {n, NULL};
    int r = strbuf_check(&script, err);
    if (r == 0 && !ok)
        r = err_set(err, ERR_INVALID, FUZZ_BUILD_FILE ": sources, flags and libs of '%s' are lists of words", name);
    if (r == 0)
        r = n ? fuzz_build_step(b, strbuf_str(&script), b->src, extra, err) : err_nomem(err);
    strbuf_release(&script);
    return r;
}

/* Files of the tree are copied to where OSS-Fuzz would have them, so that one piece of code finds them. */
static int place(struct fuzz_build *b, const json_t *t, const char *name, struct err *err)
{
    static const char script[] =
        "set -eu\n"
        "[ -z \"$PROGRAM\" ] || cp \"$PROGRAM\" \"$OUT/$NAME\"\n"
        "[ -z \"$DICT\" ] || cp \"$DICT\" \"$OUT/$NAME.dict\"\n"
        "[ -z \"$SEEDS\" ] || { mkdir -p \"$OUT/${NAME}_seed_corpus\"; cp -R \"$SEEDS\"/. \"$OUT/${NAME}_seed_corpus/\"; }\n";
    _cleanup_free_ char *n = mem_printf("NAME=%s", name), *p = mem_printf("PROGRAM=%s", json_str(t, "program", "")),
                        *d = mem_printf("DICT=%s", json_str(t, "dict", "")),
                        *s = mem_printf("SEEDS=%s", json_str(t, "seeds", ""));
    const char *const extra[] = {n, p, d, s, NULL};
    return n && p && d && s ? fuzz_build_shell_env(b, script, b->src, extra, err) : err_nomem(err);
}

static int pairs(const json_t *from, json_t *into, struct err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)from, key, v) {
        _cleanup_free_ char *text = json_is_string(v)    ? mem_printf("%s=%s", key, json_string_value(v))
                                    : json_is_integer(v) ? mem_printf("%s=%lld", key, (long long)json_integer_value(v))
                                                         : NULL;
        if (!text || strchr(text, '\n'))
            return err_set(err, ERR_INVALID, FUZZ_BUILD_FILE ": '%.60s' is neither a line nor a number", key);
        if (json_array_append_new(into, json_string(text)) < 0)
            return err_nomem(err);
    }
    return 0;
}

static void add_section(struct strbuf *text, const char *name, const json_t *pairs)
{
    const char *key;
    json_t *v;
    strbuf_printf(text, "\n[%s]\n", name);
    json_object_foreach((json_t *)(uintptr_t)pairs, key, v) {
        if (json_is_string(v))
            strbuf_printf(text, "%s = %s\n", key, json_string_value(v));
        else
            strbuf_printf(text, "%s = %lld\n", key, (long long)json_integer_value(v));
    }
}

/* So that the program has them wherever it is taken, as OSS-Fuzz's have. */
static int keep_options(struct fuzz_build *b, const json_t *t, const char *name, struct err *err)
{
    struct strbuf text = STRBUF_INIT;
    _cleanup_close_ int fd = -1;
    _cleanup_free_ char *path = mem_printf("%s/%s.options", b->out, name);
    add_section(&text, "libfuzzer", json_object_get(t, "options"));
    add_section(&text, "env", json_object_get(t, "env"));
    int r = path ? strbuf_check(&text, err) : err_nomem(err);
    if (r == 0)
        r = os_open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0644, &fd, err);
    if (r == 0)
        r = os_write_full(fd, text.s, text.len, err);
    strbuf_release(&text);
    return r;
}

static const char name_letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

static int build_target(struct fuzz_build *b, const json_t *t, struct err *err)
{
    const char *name = json_str(t, "name", NULL);
    const json_t *sources = json_object_get(t, "sources");
    if (!json_is_object(t) || !name || !*name || name[strspn(name, name_letters)])
        return err_set(err, ERR_INVALID, FUZZ_BUILD_FILE ": a target needs a name of letters, digits, '_', '.' and '-'");
    int r = check_keys(t, target_keys, err);
    if (r < 0 || (b->only && strcmp(b->only, name) != 0))
        return r;
    if (!json_array_size(sources) == !json_str(t, "program", NULL))
        return err_set(err, ERR_INVALID, FUZZ_BUILD_FILE ": target '%s' needs either sources or a program", name);
    if (json_array_size(sources))
        r = compile(b, t, name, err);
    if (r == 0)
        r = place(b, t, name, err);
    if (r == 0)
        r = fuzz_build_add(b, name, json_string_value(json_array_get(sources, 0)), err);
    json_t *made = json_array_get(b->targets, json_array_size(b->targets) - 1);
    if (r == 0)
        r = pairs(json_object_get(t, "options"), json_object_get(made, "options"), err);
    if (r == 0)
        r = pairs(json_object_get(t, "env"), json_object_get(made, "env"), err);
    return r < 0 ? r : keep_options(b, t, name, err);
}

int fuzz_build_yaml(struct fuzz_build *b, struct err *err)
{
    static const char *const keys[] = {"build", "targets", NULL};
    _cleanup_free_ char *path = os_path_join(b->tree, FUZZ_BUILD_FILE), *text = NULL;
    _cleanup_json_ json_t *doc = NULL;
    size_t len, i;
    json_t *t;
    int r = path ? os_read_file(path, (size_t)1 << 20, &text, &len, err) : err_nomem(err);
    if (r == 0)
        r = yaml_parse(text, len, NULL, &doc, NULL, err);
    if (r < 0)
        return err_wrap(err, FUZZ_BUILD_FILE);
    const char *script = json_str(doc, "build", NULL);
    if (!json_is_object(doc) || !json_array_size(json_object_get(doc, "targets")))
        return err_set(err, ERR_INVALID, FUZZ_BUILD_FILE ": it needs a list 'targets'");
    r = check_keys(doc, keys, err);
    if (r == 0 && script) {
        _cleanup_free_ char *strict = mem_printf("set -e\n%s", script);
        r = strict ? fuzz_build_shell(b, strict, b->src, err) : err_nomem(err);
    }
    json_array_foreach(json_object_get(doc, "targets"), i, t)
        if (r == 0)
            r = build_target(b, t, err);
    if (r == 0 && !json_array_size(b->targets))
        r = err_set(err, ERR_NOT_FOUND, FUZZ_BUILD_FILE " has no target '%s'", b->only);
    return r;
}
