/* YAML from outside: what is read is within its bounds, and as JSON text it can be read again. As a JSON Schema it is checked and
 * applied to itself, which must end. */
#include "base/assert.h"
#include "codec/json.h"
#include "codec/schema.h"
#include "codec/yaml.h"
#include "fuzz.h"

#include <string.h>

static const struct yaml_limits limits = {.bytes = 1 << 16, .nodes = 5000, .depth = 40};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    json_t *j = NULL, *back = NULL;
    struct yaml_marks *marks = NULL;
    int r = yaml_parse((const char *)data, size, &limits, &j, &marks, &err);
    if (r < 0) {
        ASSERT(!j && !marks && *err.msg && (r == -ERR_INVALID || r == -ERR_LIMIT));
        return 0;
    }
    struct strbuf b = STRBUF_INIT;
    ASSERT(json_write(j, &b, &err) == 0);
    ASSERT(json_parse(strbuf_str(&b), b.len, b.len, &back, &err) == 0);
    ASSERT(yaml_marks_line(marks, "/a/b") >= 1);
    char pointer[SCHEMA_POINTER_MAX];
    if (schema_check(j, pointer, &err) == 0)
        (void)schema_apply(j, back, "parameter", &err);
    else
        ASSERT(strlen(pointer) < sizeof pointer && *err.msg);
    strbuf_release(&b);
    json_decref(j);
    json_decref(back);
    yaml_marks_free(marks);
    return 0;
}
