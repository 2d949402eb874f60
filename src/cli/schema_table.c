#include "cli/schema_table.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "cli/table.h"
#include "cli/term.h"
#include "codec/json.h"

#include <stdio.h>
#include <string.h>

#define NESTING_SHOWN 3

/* "string", "integer or null", "one of a, b", "list of string". */
static void type_text(const json_t *schema, struct strbuf *b)
{
    const json_t *type = json_object_get(schema, "type"), *one = json_object_get(schema, "enum");
    size_t i;
    json_t *v;
    if (json_is_array(one)) {
        strbuf_puts(b, "one of ");
        json_array_foreach(one, i, v) {
            strbuf_puts(b, i ? ", " : "");
            if (json_is_string(v))
                strbuf_puts(b, json_string_value(v));
            else
                json_write(v, b, NULL);
        }
    } else if (json_is_array(type)) {
        json_array_foreach(type, i, v)
            strbuf_printf(b, "%s%s", i ? " or " : "", json_is_string(v) ? json_string_value(v) : "?");
    } else if (json_is_string(type) && strcmp(json_string_value(type), "array") == 0) {
        const char *item = json_str(json_object_get(schema, "items"), "type", NULL);
        strbuf_printf(b, item ? "list of %s" : "list", item);
    } else {
        strbuf_puts(b, json_is_string(type) ? json_string_value(type) : "any");
    }
}

static bool is_required(const json_t *schema, const char *key)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(schema, "required"), i, v)
        if (json_is_string(v) && strcmp(json_string_value(v), key) == 0)
            return true;
    return false;
}

static void add_properties(struct table *t, const json_t *schema, const json_t *defaults, const char *prefix, int depth)
{
    const char *key;
    json_t *v;
    json_object_foreach(json_object_get(schema, "properties"), key, v) {
        struct strbuf type = STRBUF_INIT, def = STRBUF_INIT;
        const json_t *d = json_object_get(defaults, key) ? json_object_get(defaults, key) : json_object_get(v, "default");
        _cleanup_free_ char *name = mem_printf("%s%s", prefix, key), *inner = mem_printf("%s%s.", prefix, key);
        type_text(v, &type);
        if (d)
            json_write(d, &def, NULL);
        if (name && inner) {
            table_add(t, term_bold(), name);
            table_add(t, NULL, strbuf_str(&type));
            table_add(t, NULL, is_required(schema, key) ? "(required)" : strbuf_str(&def));
            table_add(t, NULL, json_str(v, "description", ""));
            if (depth < NESTING_SHOWN)
                add_properties(t, v, json_object_get(defaults, key), inner, depth + 1);
        }
        strbuf_release(&type);
        strbuf_release(&def);
    }
}

void schema_table_print(const json_t *schema, const json_t *defaults)
{
    static const char *const heads[] = {"NAME", "TYPE", "DEFAULT", "DESCRIPTION", NULL};
    struct table t;
    table_init(&t, heads);
    add_properties(&t, schema, defaults, "", 1);
    if (t.cells.len == 0)
        puts("  none");
    table_print(&t);
}
