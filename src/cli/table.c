#include "cli/table.h"

#include "base/mem.h"
#include "cli/term.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void table_init(struct table *t, const char *const *heads)
{
    *t = (struct table){.heads = heads};
    while (heads[t->columns])
        t->columns++;
}

static void add(struct table *t, const char *colour, char *text)
{
    struct table_cell c = {text, colour ? colour : ""};
    if (!text || !VEC_PUSH(&t->cells, c))
        free(text);
}

void table_add(struct table *t, const char *colour, const char *text)
{
    add(t, colour, mem_strdup(text && *text ? text : "-"));
}

void table_addf(struct table *t, const char *colour, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    table_add(t, colour, text);
}

/* Columns on the screen: a character each; wide ones are not known. */
static size_t width(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void print_cell(const char *colour, const char *text, size_t pad_to, int cut)
{
    fputs(colour, stdout);
    term_text_cut(stdout, text, cut);
    if (*colour)
        fputs(term_off(), stdout);
    for (size_t n = width(text); n < pad_to; n++)
        putchar(' ');
}

void table_print(struct table *t)
{
    size_t *widths = mem_calloc(t->columns, sizeof *widths);
    size_t rows = t->cells.len / t->columns, before = 0;
    if (rows == 0) { /* heads alone say nothing */
        free(widths);
        widths = NULL;
    }
    for (size_t c = 0; widths && c < t->columns; c++) {
        widths[c] = width(t->heads[c]);
        for (size_t r = 0; r < rows; r++) {
            size_t w = width(t->cells.v[r * t->columns + c].text);
            widths[c] = w > widths[c] ? w : widths[c];
        }
        before += c + 1 < t->columns ? widths[c] + 2 : 0;
    }
    int room = term_stdout_is_tty() ? term_width() - (int)before : 0;
    for (size_t c = 0; widths && c < t->columns; c++)
        print_cell(term_bold(), t->heads[c], c + 1 < t->columns ? widths[c] + 2 : 0, 0);
    if (widths)
        putchar('\n');
    for (size_t i = 0; widths && i < rows * t->columns; i++) {
        size_t c = i % t->columns;
        bool last = c + 1 == t->columns;
        print_cell(t->cells.v[i].colour, t->cells.v[i].text, last ? 0 : widths[c] + 2, last && room > 20 ? room : 0);
        if (last)
            putchar('\n');
    }
    VEC_EACH(&t->cells, cell)
        free(cell->text);
    VEC_RELEASE(&t->cells);
    free(widths);
}
