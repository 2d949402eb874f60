/* Files that do not belong into a source tree: keys, password files, dumps, key stores. */
#ifndef FF_SCAN_SENSITIVE_H
#define FF_SCAN_SENSITIVE_H

#include "codec/finding.h"
#include "scan/file_type.h"

#include <stdbool.h>
#include <stddef.h>

#define SENSITIVE_HEAD_BYTES 65536 /* as much of a file as is looked at */

struct sensitive {
    const char *kind, *title, *advice; /* constants */
    enum severity severity;
    enum confidence confidence;
};

/* Is the file with this path (raw, relative) and these first bytes one? A name alone decides only where the
 * content cannot tell: a certificate, an empty .env or .env.example is none. */
bool sensitive_file(const char *path, const struct file_type *type, const char *head, size_t len,
                    struct sensitive *ret);

#endif
