/* What a file is, by its first bytes and by its name. */
#ifndef FF_SCAN_FILE_TYPE_H
#define FF_SCAN_FILE_TYPE_H

#include <stdbool.h>
#include <stddef.h>

enum file_class {
    FILE_EMPTY, FILE_TEXT, FILE_EXECUTABLE, FILE_OBJECT, FILE_ARCHIVE, FILE_IMAGE, FILE_MEDIA, FILE_DOCUMENT,
    FILE_DATABASE, FILE_KEYSTORE, FILE_COREDUMP, FILE_FONT, FILE_BINARY
};

struct file_type {
    const char *name; /* "elf", "png", "text", ... */
    enum file_class class;
};

#define FILE_HEAD_BYTES 4096 /* as much as is looked at */

struct file_type file_type_detect(const void *head, size_t len);
const char *file_class_name(enum file_class c);

/* The language of a text by its name, or by its "#!" line; NULL when it is none that is known. name is the last
 * part of the path. */
const char *file_language(const char *name, const void *head, size_t len);

#endif
