#include "golden.h"

#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN_MAX ((size_t)16 << 20)

static void show_difference(const char *name, const char *want, const char *got)
{
    size_t i = 0, line = 1, start = 0;
    while (want[i] && want[i] == got[i]) {
        if (want[i++] == '\n') {
            line++;
            start = i;
        }
    }
    fprintf(stderr, "%s: line %zu differs (UPDATE=1 rewrites the file when that is wanted)\n-%.*s\n+%.*s\n", name, line,
            (int)strcspn(want + start, "\n"), want + start, (int)strcspn(got + start, "\n"), got + start);
}

int golden_check(const char *dir, const char *name, const char *text, size_t len)
{
    char path[4096];
    struct err err = {0};
    const char *update = getenv("UPDATE");
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (update && strcmp(update, "1") == 0) {
        if (os_write_file_atomic(path, text, len, 0644, &err) == 0)
            return 0;
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    char *want;
    size_t want_len;
    if (os_read_file(path, GOLDEN_MAX, &want, &want_len, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    int differs = want_len != len || memcmp(want, text, len) != 0;
    if (differs)
        show_difference(name, want, text);
    free(want);
    return differs;
}
