/* embed: a file as a C array, for what the program carries inside it.
 *
 *     embed [--yaml] [--drop KEY]... SYMBOL INPUT OUTPUT
 *
 * --yaml writes the document as compact JSON, which is quicker to read at every start than YAML; --drop leaves out the
 * members of that name at any depth (the examples that only tests need). Gives "const char SYMBOL[]", 0-terminated, and
 * "const size_t SYMBOL_len". */
#include "base/cleanup.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define DROPS_MAX 16
#define INPUT_MAX ((size_t)64 << 20)

static void drop(json_t *j, const char *key)
{
    const char *name;
    json_t *v;
    size_t i;
    void *next;
    if (json_is_object(j)) {
        json_object_del(j, key);
        json_object_foreach_safe(j, next, name, v)
            drop(v, key);
    }
    json_array_foreach(j, i, v)
        drop(v, key);
}

static int to_json(const char *text, size_t len, const char *const *drops, size_t n, struct strbuf *out,
                   struct err *err)
{
    _cleanup_json_ json_t *j = NULL;
    struct yaml_limits limits = {.bytes = INPUT_MAX, .nodes = 2000000};
    int r = yaml_parse(text, len, &limits, &j, NULL, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        drop(j, drops[i]);
    return r < 0 ? r : json_write(j, out, err);
}

static void to_c(const char *symbol, const char *data, size_t len, struct strbuf *out)
{
    strbuf_printf(out, "#include <stddef.h>\nextern const char %s[];\nextern const size_t %s_len;\n"
                       "const size_t %s_len = %zu;\nconst char %s[] = {", symbol, symbol, symbol, len, symbol);
    for (size_t i = 0; i < len; i++)
        strbuf_printf(out, "%s%d,", i % 24 ? "" : "\n", (signed char)data[i]);
    strbuf_puts(out, "0};\n");
}

static int embed(const char *symbol, const char *in, const char *out_path, bool yaml, const char *const *drops,
                 size_t n, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t len;
    struct strbuf json = STRBUF_INIT, out = STRBUF_INIT;
    int r = os_read_file(in, INPUT_MAX, &text, &len, err);
    if (r == 0 && yaml) {
        r = to_json(text, len, drops, n, &json, err);
        if (r < 0)
            err_wrap(err, "%s", in);
    }
    if (r == 0) {
        to_c(symbol, yaml ? strbuf_str(&json) : text, yaml ? json.len : len, &out);
        r = strbuf_check(&out, err);
    }
    if (r == 0)
        r = os_write_file_atomic(out_path, out.s, out.len, 0644, err);
    strbuf_release(&json);
    strbuf_release(&out);
    return r;
}

int main(int argc, char **argv)
{
    const char *drops[DROPS_MAX];
    size_t n = 0;
    bool yaml = false;
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--yaml") == 0)
            yaml = true;
        else if (strcmp(argv[i], "--drop") == 0 && i + 1 < argc && n < DROPS_MAX)
            drops[n++] = argv[++i];
        else
            break;
    }
    if (argc - i != 3) {
        fprintf(stderr, "usage: embed [--yaml] [--drop KEY]... SYMBOL INPUT OUTPUT\n");
        return 2;
    }
    struct err err = {0};
    int r = embed(argv[i], argv[i + 1], argv[i + 2], yaml, drops, n, &err);
    if (r < 0)
        fprintf(stderr, "embed: %s\n", err.msg);
    return r < 0;
}
