/* Columns that line up, with text from outside made harmless. Memory that runs out gives a table without the rest. */
#ifndef FF_CLI_TABLE_H
#define FF_CLI_TABLE_H

#include "base/vec.h"

#include <stddef.h>

struct table_cell {
    char *text;
    const char *colour; /* one of term.h's, or "" */
};

struct table {
    const char *const *heads; /* NULL-terminated; as many as there are columns */
    size_t columns;
    VEC(struct table_cell) cells;
};

void table_init(struct table *t, const char *const *heads);
/* The next cell, from left to right, row by row. NULL text is shown as "-". */
void table_add(struct table *t, const char *colour, const char *text);
void table_addf(struct table *t, const char *colour, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Writes to stdout and releases. The last column is cut to the terminal's width, where there is one. */
void table_print(struct table *t);

#endif
