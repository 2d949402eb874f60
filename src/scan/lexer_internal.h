/* What the two halves of the tokenizer share. */
#ifndef FF_SCAN_LEXER_INTERNAL_H
#define FF_SCAN_LEXER_INTERNAL_H

#include "scan/lexer.h"

#define LEX_FRAMES 48
#define LEX_HEREDOCS 8

/* How a string may hold expressions. */
enum interp {
    INTERP_NONE,
    INTERP_BRACE,      /* {x}: Python f"", C# $"" */
    INTERP_DOLLAR,     /* ${x}: JavaScript */
    INTERP_HASH,       /* #{x}: Ruby */
    INTERP_PHP,        /* $x, $x[k], $x->p, {$x}, ${x} */
    INTERP_JSX,        /* markup with {x} */
};

/* An open string; while an expression inside it is read, depth counts its brackets. */
struct lex_frame {
    enum interp interp;
    char open, close;      /* close: the delimiter; open: nests (Ruby %q()), else 0 */
    uint8_t close_len;     /* 1, or 3 for """ */
    bool raw, doubled;     /* no escapes; "" stands for a quote (C# @"") */
    bool heredoc;
    bool multiline;
    uint32_t tag, tag_len; /* heredoc: the terminator */
    int nest;              /* of open/close */
    int depth;             /* of brackets in the expression */
    int tags;              /* JSX: open elements */
    bool in_tag;
};

struct lexer {
    const char *s;
    size_t n, i;
    enum lang lang;
    bool pattern, php_code;
    struct symtab *syms;
    struct lex *out;
    struct lex_frame frames[LEX_FRAMES];
    int frame_count;
    uint32_t heredoc_resume; /* where the text after the heredoc bodies of this line goes on; 0: none */
    int bracket;             /* Python, Ruby: depth of () [] {} */
    uint32_t indents[128];
    int indent_count;
    bool line_start;         /* nothing of this line was emitted yet */
    bool space;
    bool define;             /* inside #define: a newline ends it */
    bool nomem;
    uint32_t line_hint;
};

/* Appends a token and gives it; a dummy when memory is out or the bound is met. */
struct token *lex_emit(struct lexer *lx, enum tok_kind kind, size_t start, size_t end);
char lex_peek(const struct lexer *lx, size_t ahead);
/* Is the token before a value, so that '/', '<', '?' after it is an operator? */
bool lex_after_value(const struct lexer *lx);
/* A string that starts here, with its prefix; false if none does. */
bool lex_string(struct lexer *lx);
/* Goes on with the innermost open string after an expression in it. */
void lex_string_resume(struct lexer *lx);
bool lex_jsx(struct lexer *lx);
bool lex_is_name_start(unsigned char c);
bool lex_is_name(unsigned char c);

#endif
