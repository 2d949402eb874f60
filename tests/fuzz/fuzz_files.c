/* What is decided from a file's name and first bytes: type, language, sensitive or not; globs, ff:ignore, names that
 * are not UTF-8. The first line of the input is the name, the rest the content. */
#include "fuzz.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/utf8.h"
#include "scan/file_type.h"
#include "scan/sensitive.h"
#include "scan/suppress.h"
#include "scan/walk.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nl = memchr(data, '\n', size);
    size_t n = nl ? (size_t)(nl - data) : size;
    if (n > WALK_PATH_MAX)
        return 0;
    _cleanup_free_ char *path = mem_strndup((const char *)data, n);
    /* A copy of its own, so that a read behind the end is seen. */
    size_t len = nl ? size - n - 1 : 0;
    _cleanup_free_ char *text = mem_dup(nl ? (const char *)nl + 1 : "", len);
    ASSERT(path && text);
    struct file_type t = file_type_detect(text, len < FILE_HEAD_BYTES ? len : FILE_HEAD_BYTES);
    ASSERT(t.name && file_class_name(t.class) && (len == 0) == (t.class == FILE_EMPTY));
    const char *slash = strrchr(path, '/');
    (void)file_language(slash ? slash + 1 : path, text, len);
    struct sensitive s;
    if (sensitive_file(path, &t, text, len, &s))
        ASSERT(s.kind && s.title && s.advice && s.severity <= SEVERITY_CRITICAL);
    char *reason = NULL;
    bool is = suppress_in_line(text, len, "secret/aws-key", len % 2, &reason);
    ASSERT(is == (reason != NULL));
    free(reason);
    _cleanup_free_ char *subject = mem_strndup(text, len);
    ASSERT(subject);
    (void)walk_glob_any(path, subject);
    if (!strpbrk(path, "*?[\\"))
        ASSERT(walk_glob(path, path)); /* a name without wildcards matches itself */
    struct strbuf shown = STRBUF_INIT;
    walk_show_path(&shown, path);
    ASSERT(utf8_valid(strbuf_str(&shown), shown.len));
    strbuf_release(&shown);
    return 0;
}
