/* The target of a request: what is accepted is decoded within its bounds. And cursors: what is read was written. */
#include "api/rest/target.h"
#include "base/assert.h"
#include "codec/utf8.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static void look(const char *s)
{
    ASSERT(utf8_valid(s, strlen(s)));
    for (; *s; s++)
        ASSERT((unsigned char)*s >= 0x20 && *s != 0x7f);
}

static void cursors(const uint8_t *data, size_t size)
{
    uint8_t *back = NULL;
    size_t n;
    size_t len = size < CURSOR_BYTES_MAX ? size : CURSOR_BYTES_MAX;
    char *text = cursor_write(7, data, len);
    ASSERT(text && cursor_read(7, text, &back, &n, NULL) == 0 && n == len && memcmp(back, data, n) == 0);
    free(back);
    back = NULL;
    ASSERT(cursor_read(8, text, &back, &n, NULL) < 0);
    free(text);
    char *given = strndup((const char *)data, size);
    if (given && cursor_read(7, given, &back, &n, NULL) == 0)
        free(back);
    free(given);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct target t;
    if (target_parse((const char *)data, size, &t, NULL) == 0) {
        ASSERT(t.parts_count <= TARGET_PARTS_MAX && t.fields_count <= TARGET_FIELDS_MAX);
        for (size_t i = 0; i < t.parts_count; i++)
            look(t.parts[i]);
        for (size_t i = 0; i < t.fields_count; i++) {
            look(t.fields[i].name);
            look(t.fields[i].value);
            ASSERT(target_field(&t, t.fields[i].name));
        }
        target_release(&t);
    }
    cursors(data, size);
    return 0;
}
