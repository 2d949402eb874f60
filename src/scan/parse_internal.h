/* The parts of the tolerant parser. Every function makes progress or leaves the position where it was, and the loops
 * above them step over what nobody took. */
#ifndef FF_SCAN_PARSE_INTERNAL_H
#define FF_SCAN_PARSE_INTERNAL_H

#include "scan/syntax.h"

#define PARSE_DEPTH_MAX 200

struct parser {
    struct syntax *sx;
    const struct token *toks;
    uint32_t pos, count;
    enum lang lang;
    int depth;
    bool in_class;      /* directly in a class's body */
    bool no_brace;      /* Go headers: '{' opens the block, not a composite literal */
    bool no_in;         /* for-headers: 'in' is not an operator */
    bool no_block;      /* Ruby: "while x do" */
    bool in_brackets;   /* newlines are space */
    bool pattern;
    bool nomem;
    struct node *decorators; /* seen before the declaration they belong to */
    struct node sink;        /* what is given when memory is out */
};

/* A list under construction. */
struct nodes {
    struct node *head, **tail;
};
#define NODES_INIT(l) {.head = NULL, .tail = &(l).head}

static inline void nodes_add(struct nodes *l, struct node *n)
{
    if (!n || n->kind == N_NONE)
        return;
    *l->tail = n;
    while (*l->tail)
        l->tail = &(*l->tail)->next;
}

static inline const struct token *cur(const struct parser *p)
{
    return &p->toks[p->pos];
}
static inline const struct token *ahead(const struct parser *p, uint32_t k)
{
    return &p->toks[p->pos + k < p->count ? p->pos + k : p->count - 1];
}
static inline bool is_op(const struct token *t, uint32_t op)
{
    return t->kind == TOK_OP && t->op == op;
}
static inline bool is_kw(const struct token *t, uint32_t kw)
{
    return t->kind == TOK_NAME && t->sym == kw;
}
static inline bool at_op(const struct parser *p, uint32_t op)
{
    return is_op(cur(p), op);
}
static inline bool at_kw(const struct parser *p, uint32_t kw)
{
    return is_kw(cur(p), kw);
}
static inline void advance(struct parser *p)
{
    if (p->pos + 1 < p->count)
        p->pos++;
}
static inline bool take_op(struct parser *p, uint32_t op)
{
    if (!at_op(p, op))
        return false;
    advance(p);
    return true;
}
static inline bool take_kw(struct parser *p, uint32_t kw)
{
    if (!at_kw(p, kw))
        return false;
    advance(p);
    return true;
}
static inline bool at_eof(const struct parser *p)
{
    return cur(p)->kind == TOK_EOF;
}
static inline bool is_js(const struct parser *p)
{
    return p->lang == LANG_JAVASCRIPT || p->lang == LANG_TYPESCRIPT;
}
static inline bool is_c(const struct parser *p)
{
    return p->lang == LANG_C || p->lang == LANG_CPP;
}
/* Types come before names. */
static inline bool is_typed(const struct parser *p)
{
    return is_c(p) || p->lang == LANG_JAVA || p->lang == LANG_CSHARP;
}

struct node *node_new(struct parser *p, enum node_kind kind);
struct node *node_end(struct parser *p, struct node *n); /* sets tok_end */
bool parse_enter(struct parser *p); /* false: too deep; then skip and return */
void parse_leave(struct parser *p);
/* Skips one token, or a whole bracket group. */
void parse_skip(struct parser *p);
void parse_newlines(struct parser *p);

/* Expressions. prec 0: with assignment. Gives NULL if no expression starts here. */
struct node *parse_expr(struct parser *p, int prec);
struct node *parse_expr_list(struct parser *p); /* a, b, c: N_SEQ when more than one */
struct node *parse_args(struct parser *p, uint32_t close); /* after the opening bracket, takes the closing one */
struct node *parse_generator(struct parser *p, struct node *elem); /* "elem for x in y" as an argument; else elem */
struct node *parse_string(struct parser *p);
struct node *parse_prefix(struct parser *p);
struct node *parse_function_expr(struct parser *p);
struct node *parse_arrow(struct parser *p);
bool parse_is_arrow(const struct parser *p);
struct node *parse_params(struct parser *p, uint32_t close); /* after '(' */
struct node *parse_type_path(struct parser *p); /* a type as N_NAME or N_MEMBER, arguments dropped */
uint32_t parse_scan_type(const struct parser *p, uint32_t at); /* the position after a type, or 0 */
void parse_skip_ts_type(struct parser *p);

/* Statements. */
struct node *parse_stmt(struct parser *p);
struct node *parse_block(struct parser *p); /* "{...}" or one statement */
struct node *parse_braces(struct parser *p, bool class_body);
struct node *parse_class(struct parser *p);
struct node *parse_function(struct parser *p, uint32_t name); /* at '(': parameters and body */
struct node *parse_typed_decl(struct parser *p);              /* NULL: no declaration here */
struct node *parse_import(struct parser *p);                  /* NULL: none here */
struct node *parse_import_as(struct parser *p, uint32_t sym, const char *text);
struct node *parse_go_func(struct parser *p);
struct node *parse_go_type(struct parser *p);
struct node *parse_go_decl(struct parser *p);
struct node *parse_py_stmt(struct parser *p);
struct node *parse_py_lambda(struct parser *p);
struct node *parse_rb_stmt(struct parser *p);
struct node *parse_rb_body(struct parser *p); /* up to end, else, rescue ...: not taken */
struct node *parse_rb_block(struct parser *p); /* { |x| } or do |x| end; NULL: none */
struct node *parse_rb_prefix(struct parser *p); /* NULL: not one of Ruby's own */
bool parse_rb_command(const struct parser *p, const struct node *callee);
struct node *parse_decorator(struct parser *p); /* after '@' */

#endif
