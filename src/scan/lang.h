/* The languages that the analyzer knows, and how a file's language is told: by name, then by its first line. */
#ifndef FF_SCAN_LANG_H
#define FF_SCAN_LANG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(ID, name in rules and reports, has a parser) */
#define SCAN_LANGS(X)                                                                              \
    X(NONE, "none", false)                                                                         \
    X(PYTHON, "python", true)                                                                      \
    X(JAVASCRIPT, "javascript", true)                                                              \
    X(TYPESCRIPT, "typescript", true)                                                              \
    X(JAVA, "java", true)                                                                          \
    X(GO, "go", true)                                                                              \
    X(RUBY, "ruby", true)                                                                          \
    X(PHP, "php", true)                                                                            \
    X(C, "c", true)                                                                                \
    X(CPP, "cpp", true)                                                                            \
    X(CSHARP, "csharp", true)                                                                      \
    X(SHELL, "shell", false)                                                                       \
    X(HTML, "html", false)                                                                         \
    X(YAML, "yaml", false)                                                                         \
    X(CONFIG, "config", false)                                                                     \
    X(DOCKERFILE, "dockerfile", false)                                                             \
    X(XML, "xml", false)                                                                           \
    X(JSON, "json", false)

enum lang {
#define X(id, name, parsed) LANG_##id,
    SCAN_LANGS(X)
#undef X
    LANG_COUNT
};

const char *lang_name(enum lang l);
/* LANG_NONE for a name that is none. */
enum lang lang_by_name(const char *name, size_t len);
/* Code with a syntax layer; the others are looked at line by line. */
bool lang_parsed(enum lang l);
/* From the path's last part; for a name without a telling extension from the first line of text ("#!..."). */
enum lang lang_detect(const char *path, const char *text, size_t len);

#endif
