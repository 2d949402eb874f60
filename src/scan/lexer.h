/* The tokenizer: one loop, driven by a table of properties per language.
 *
 * It never fails on any bytes: what is no token of the language becomes an operator token of one byte. Time is linear
 * in the text. Strings with interpolation come out as STR_OPEN, STR_TEXT, INTERP_OPEN, tokens of the expression,
 * INTERP_CLOSE, ..., STR_CLOSE; a here-document's body comes at the place of its tag. Comments are kept apart. */
#ifndef FF_SCAN_LEXER_H
#define FF_SCAN_LEXER_H

#include "base/err.h"
#include "base/vec.h"
#include "scan/lang.h"
#include "scan/symtab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tok_kind {
    TOK_EOF,
    TOK_NAME,   /* sym; PHP variables with their '$', Ruby's with '@' */
    TOK_NUMBER,
    TOK_STRING, /* without interpolation; text between a and b */
    TOK_CHAR,
    TOK_REGEX,
    TOK_SYMBOL, /* Ruby :name */
    TOK_STR_OPEN,
    TOK_STR_TEXT,
    TOK_STR_CLOSE,
    TOK_INTERP_OPEN,
    TOK_INTERP_CLOSE,
    TOK_OP,
    TOK_NEWLINE, /* Python and Ruby: the end of a logical line */
    TOK_INDENT,
    TOK_DEDENT,
    TOK_DEFINE, /* C: "#define NAME", sym; its value follows up to a ';' that we put there */
    TOK_HTML,   /* PHP: text outside <?php ?> */
};

enum tok_flags {
    TOKF_SPACE = 1,   /* space, newline or comment before it */
    TOKF_NEWLINE = 2, /* first on its line */
    TOKF_META = 4,    /* pattern: $NAME */
    TOKF_RAW = 8,
    TOKF_BYTES = 16,
    TOKF_SHELL = 32,   /* Ruby and PHP backticks, %x() */
    TOKF_JSX = 64,
    TOKF_WORDS = 128,  /* %w[] */
};

/* An operator as a number: its characters packed. */
#define OP1(a) ((uint32_t)(a))
#define OP2(a, b) ((uint32_t)(a) | (uint32_t)(b) << 8)
#define OP3(a, b, c) (OP2(a, b) | (uint32_t)(c) << 16)
#define OP4(a, b, c, d) (OP3(a, b, c) | (uint32_t)(d) << 24)

struct token {
    uint8_t kind, flags;
    uint32_t op;         /* TOK_OP */
    uint32_t sym;        /* TOK_NAME, TOK_SYMBOL, TOK_DEFINE */
    uint32_t start, end; /* bytes of the text */
    uint32_t a, b;       /* strings: the content without quotes */
    uint32_t line;       /* 1-based */
    uint32_t match;      /* the index of the other bracket; 0: none */
};

struct comment {
    uint32_t start, end, line, end_line;
};

#define LEXER_TEXT_MAX ((size_t)64 << 20)
#define LEXER_TOKENS_MAX ((size_t)8 << 20)

struct lex {
    const char *text;
    size_t len;
    enum lang lang;
    VEC(struct token) tokens; /* the last one is TOK_EOF */
    VEC(struct comment) comments;
    VEC(uint32_t) lines; /* where each line starts; [0] = 0 */
    bool cut;            /* over LEXER_TOKENS_MAX: the rest was left out */
};

/* pattern: $NAME and $...NAME are metavariables. text must live as long as ret. */
int lex_run(const char *text, size_t len, enum lang lang, bool pattern, struct symtab *syms, struct lex *ret,
            struct err *err);
void lex_release(struct lex *l);
/* 1-based line of an offset. */
uint32_t lex_line(const struct lex *l, uint32_t offset);
/* 1-based column in UTF-16 units. */
uint32_t lex_column(const struct lex *l, uint32_t offset);

#endif
