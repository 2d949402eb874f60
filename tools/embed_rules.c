/* A tool of the build: reads rule files and writes them as one C array of JSON without their examples, so that the
 * program needs no files and no YAML to have its rules. Usage: embed-rules OUT.c FILE.yaml... */
#include "base/strbuf.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

static int read_doc(const char *path, json_t *all, struct err *err)
{
    const struct yaml_limits limits = {.bytes = 8 << 20, .nodes = 400000};
    char *text;
    size_t len, i;
    json_t *doc = NULL, *rule;
    struct yaml_marks *marks = NULL;
    int r = os_read_file(path, 8 << 20, &text, &len, err);
    if (r < 0)
        return r;
    r = yaml_parse(text, len, &limits, &doc, &marks, err);
    free(text);
    if (r < 0)
        return err_wrap(err, "%s", path);
    json_array_foreach(json_object_get(doc, "rules"), i, rule) {
        char pointer[40];
        snprintf(pointer, sizeof pointer, "/rules/%zu", i);
        json_object_del(rule, "examples");
        json_object_set_new(rule, "line", json_integer(yaml_marks_line(marks, pointer)));
    }
    const char *base = strrchr(path, '/');
    json_object_set_new(doc, "file", json_string(base ? base + 1 : path));
    json_array_append_new(all, doc);
    yaml_marks_free(marks);
    return 0;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    json_t *all = json_array();
    for (int i = 2; i < argc; i++)
        if (read_doc(argv[i], all, &err) < 0) {
            fprintf(stderr, "embed-rules: %s\n", err.msg);
            return 1;
        }
    struct strbuf b = STRBUF_INIT;
    FILE *out = argc > 1 ? fopen(argv[1], "w") : NULL;
    if (json_write(all, &b, &err) < 0 || !out) {
        fprintf(stderr, "embed-rules: cannot write\n");
        return 1;
    }
    fprintf(out, "#include \"scan/rules.h\"\nconst unsigned char rules_embedded[] = {");
    for (size_t i = 0; i < b.len; i++)
        fprintf(out, "%s%u,", i % 24 == 0 ? "\n" : "", (unsigned char)b.s[i]);
    fprintf(out, "0};\nconst size_t rules_embedded_len = %zu;\n", b.len);
    strbuf_release(&b);
    json_decref(all);
    return fclose(out) == 0 ? 0 : 1;
}
