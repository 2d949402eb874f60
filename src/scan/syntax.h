/* The light syntax tree that analysis works on: one shape for all languages.
 *
 * The parser behind it (parse_*.c) is tolerant: it accepts any token sequence, keeps what it understands and goes on
 * after what it does not; it never fails but for memory. Another producer of the same nodes (one built on full
 * grammars, say) can take its place: flow.c and the rules know only this header. */
#ifndef FF_SCAN_SYNTAX_H
#define FF_SCAN_SYNTAX_H

#include "base/arena.h"
#include "base/err.h"
#include "scan/lexer.h"

enum node_kind {
    N_NONE,
    /* expressions */
    N_NUMBER,   /* text of the token */
    N_STRING,   /* constant text: from token tok, a to b */
    N_REGEX,
    N_LITERAL,  /* true false null: sym */
    N_TEMPLATE, /* string with expressions: list of N_STRING and others */
    N_NAME,     /* sym */
    N_MEMBER,   /* a.sym */
    N_INDEX,    /* a[b]; b may be N_NONE */
    N_CALL,     /* a(list); NF_NEW for constructions */
    N_PAIR,     /* a: b in a dictionary; sym: b as a named argument (then a is NULL) */
    N_SPREAD,   /* a */
    N_BINARY,   /* a op b */
    N_UNARY,    /* op a */
    N_ASSIGN,   /* a op b; NF_DECL: declares a; c: its type; b may be NULL */
    N_COND,     /* a ? b : c */
    N_LIST,     /* list */
    N_DICT,     /* list of N_PAIR and others */
    N_CAST,     /* (c) a */
    N_COMP,     /* comprehension: a for list (N_FOREACH without body) */
    N_SEQ,      /* a, b, c: the value is the last one's; Python tuples */
    N_ELLIPSIS, /* pattern: ... */
    /* statements */
    N_BLOCK,    /* list */
    N_IF,       /* a, b, c */
    N_LOOP,     /* list: before; a: condition; b: body; c: step */
    N_FOREACH,  /* a in b: c */
    N_FUNC,     /* sym (0: anonymous); list of N_PARAM; b: body; c: list head of decorators */
    N_PARAM,    /* sym; a: default; c: type; list: annotations */
    N_CLASS,    /* sym; list: bases; b: body; c: decorators */
    N_RETURN,   /* a */
    N_THROW,    /* a */
    N_BREAK,
    N_CONTINUE,
    N_TRY,      /* b; list of handlers (N_BLOCK); c: finally */
    N_SWITCH,   /* a; list of N_CASE */
    N_CASE,     /* a: values (N_SEQ) or NULL for default; b: block */
    N_IMPORT,   /* sym: the local name; text: what it stands for */
};

enum node_flags {
    NF_NEW = 1,
    NF_DECL = 2,
    NF_POINTER = 4,    /* declared with '*' or '&' */
    NF_ARRAY = 8,      /* declared with [b] */
    NF_SAFE = 16,      /* ?. */
    NF_META = 32,      /* pattern: a metavariable */
    NF_ARROW = 64,     /* -> or ::, an expression as body */
    NF_SHELL = 128,
    NF_STATIC = 256,   /* Constant: final, const, #define, or a class's own */
    NF_WILD = 512,     /* import of all names */
    NF_FALLTHROUGH = 1024,
    NF_TUPLE = 2048,
    NF_WORDS = 4096,
    NF_JUMP = 8192,    /* N_RETURN: to the label sym */
};

struct value;

struct node {
    uint8_t kind;
    uint16_t flags;
    uint32_t op, sym;
    uint32_t tok, tok_end; /* first token and the one after the last */
    struct node *a, *b, *c, *list, *next;
    union {
        const char *text;  /* N_IMPORT */
        struct value *val; /* expressions: the last value that flow found */
    };
};

struct syntax {
    struct lex lex;
    struct symtab syms;
    struct arena *arena;
    struct node *root; /* N_BLOCK */
    bool cut;          /* some of the file was left out: a bound was met */
};

/* The arena must live as long as ret. text too. */
int syntax_parse(const char *text, size_t len, enum lang lang, struct arena *arena, struct syntax *ret,
                 struct err *err);
/* One expression or statement of a rule's pattern, with metavariables and "...". -ERR_INVALID if something is left. */
int syntax_parse_pattern(const char *text, size_t len, enum lang lang, struct arena *arena, struct syntax *ret,
                         struct err *err);
void syntax_release(struct syntax *s);
/* The content of N_STRING and N_NUMBER, a slice of the file. */
const char *syntax_text(const struct syntax *s, const struct node *n, size_t *ret_len);
uint32_t syntax_line(const struct syntax *s, const struct node *n);
/* Names joined: os.path.join, or NULL if the node is no path of names. In the arena. */
const char *syntax_path(const struct syntax *s, const struct node *n);

#endif
