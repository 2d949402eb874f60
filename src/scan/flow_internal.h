/* The abstract machine behind flow.h. */
#ifndef FF_SCAN_FLOW_INTERNAL_H
#define FF_SCAN_FLOW_INTERNAL_H

#include "scan/flow.h"

#include <string.h>

#define FLOW_STEPS_MAX 1500000
#define FLOW_DEPTH_MAX 700
#define FLOW_INLINE_MAX 4
#define FLOW_LABELS 64
#define FLOW_TEXT_MAX 1024
#define FLOW_PATH_MAX 160
#define FLOW_FREED 16

#define CLEAN_ALL UINT64_MAX

enum value_flags {
    VF_TEXT = 1,       /* text is all of it */
    VF_BUILT = 2,      /* a string put together with something not constant */
    VF_NUM = 4,        /* num is known */
    VF_CONTAINER = 8,
    VF_SOURCE = 16,    /* an object full of outside data: its members are inputs of their own */
    VF_FREED = 32,
    VF_BOOL = 64,
    VF_NULL = 128,
    VF_ARRAY = 256,    /* size is known, in bytes or elements */
    VF_SIZED = 512,    /* made of sizeof or a length */
    VF_HEAP = 1024,
    VF_INSTANCE = 2048,
    VF_STRING = 4096,
};

struct entry;

struct value {
    uint8_t origin;
    uint32_t flags;
    uint64_t clean;     /* kinds it is harmless for */
    uint64_t labels;    /* the inputs it is made of */
    uint64_t guard;     /* inputs that are harmless where this value is true */
    uint64_t guard_kinds;
    const char *text;   /* known text, or its beginning */
    uint32_t text_len;
    uint32_t size;      /* of an array in elements, of memory from the heap in bytes; 0: not known */
    uint32_t elem;      /* bytes of an element; 0: not known */
    int64_t num;
    const char *path;   /* what it is: "os.path", "sqlite3.connect()" */
    const struct node *func;
    const struct node *literal; /* the list or dictionary in the source */
    const struct entry *entries;
    uint32_t source_line;
};

struct entry { /* of a container; the newest first */
    const struct entry *next;
    const char *key;
    uint32_t key_len;
    int64_t num; /* the key of a list */
    bool numeric;
    const struct value *value;
};

struct change {
    uint32_t sym; /* FLOW_LABEL_BASE + n: cleaned[n] */
    const struct value *old;
    uint64_t old_mask;
};
#define FLOW_LABEL_BASE 0x80000000u

struct label {
    uint64_t hash, parents;
};

struct queued {
    const struct node *func, *class;
};

struct saved { /* what has changed since a mark of the log */
    uint32_t sym;
    const struct value *value;
    uint64_t mask;
};
typedef VEC(struct saved) saved_vec;

/* C: the states in which a function jumps to its labels. */
struct jumps {
    size_t mark;
    int count;
    struct {
        uint32_t label;
        saved_vec state;
    } v[8];
};

/* A loop, a switch or a function without a name: the states in which it is left or begins anew. */
#define FLOW_EXITS 8
struct exits {
    struct exits *outer;
    enum { EXITS_LOOP, EXITS_SWITCH, EXITS_FUNCTION } kind;
    size_t mark;
    int breaks, nexts;
    saved_vec brk[FLOW_EXITS], next[FLOW_EXITS];
};

struct flow {
    struct syntax *sx;
    enum lang lang;
    const struct lang_rules *rules;
    flow_report *report;
    void *arg;
    const struct value **vars; /* by sym */
    uint32_t vars_cap;
    uint64_t cleaned[FLOW_LABELS];
    struct label labels[FLOW_LABELS];
    int label_count;
    VEC(struct change) log;
    VEC(struct queued) queue;        /* functions whose bodies are still to be entered */
    VEC(const struct node *) stack;  /* functions that are being run */
    VEC(const struct node *) classes;
    const struct node *func;         /* the innermost */
    const struct value *callback;    /* what the call under way runs over: for the functions it is given */
    const char *given_to;            /* the name of the call that an anonymous function is given to; NULL: none */
    const struct value *lambda;      /* what the last function without a name gave back */
    const struct node *stmt;         /* the statement */
    const struct node *around;       /* the statement in which the innermost anonymous function stands, or NULL */
    const struct node *cond;         /* of the innermost "if" around it */
    const struct node *target;       /* what is being assigned to, or NULL */
    const struct value *result;      /* of the function: join of its returns */
    uint64_t steps, steps_max;
    int depth, loops, inlined;
    bool terminated; /* nothing after this point is reached */
    bool returns;    /* the function being run comes back somewhere */
    bool never;      /* the last one that was run does not */
    bool top;        /* module level */
    bool nomem, cut;
    uint32_t freed[FLOW_FREED]; /* keys of fields that were freed, the last ones */
    int freed_count;
    struct exits *exits; /* the innermost, or NULL */
    struct jumps *jumps; /* of the innermost function, or NULL */
    VEC(uint32_t) locals; /* names that the functions being run have declared */
    struct map called; /* functions of the file that are called inside functions */
    struct map funcs;  /* by name */
    struct map aliases;  /* C: macros that stand for a variable, its node by their name */
    struct map fields;   /* "Class.name": what a class's own field is set to where it is declared, if that is constant */
    struct map assigned; /* "Class.name" of own fields, "name" of others' members, that something is put into by the code */
};

extern const struct value flow_const, flow_unknown;

/* Is s one of the names of a list that NULL ends? Most are told apart by their first character. */
static inline bool one_of(const char *s, const char *const *list)
{
    for (; *list; list++)
        if (**list == *s && strcmp(s, *list) == 0)
            return true;
    return false;
}

struct value *value_new(struct flow *f, enum origin origin);
struct value *value_copy(struct flow *f, const struct value *v);
const struct value *value_join(struct flow *f, const struct value *a, const struct value *b);
/* a then b as one string. */
const struct value *value_concat(struct flow *f, const struct value *a, const struct value *b);
/* Origin, labels and cleanness of both, nothing else. */
const struct value *value_mix(struct flow *f, const struct value *a, const struct value *b);
const struct value *value_text(struct flow *f, const char *s, size_t n);
const struct value *value_num(struct flow *f, int64_t n);
const struct entry *value_entry(const struct value *v, const struct value *key);
const struct value *value_with_entry(struct flow *f, const struct value *v, const struct value *key,
                                     const struct value *item);
/* The value with what checks have made of it so far: it keeps that where the checks no longer hold. */
const struct value *value_settled(struct flow *f, const struct value *v, const uint64_t *cleaned);
/* Is it (not) harmless for a kind, guards counted? */
bool value_clean(const struct flow *f, const struct value *v, uint64_t kind);
bool value_needs(const struct flow *f, const struct value *v, enum need need, uint64_t kind);
const char *path_join(struct flow *f, const char *base, const char *name);
const char *path_call(struct flow *f, const char *base);
/* Does a path end with this one, at a dot? */
bool path_matches(enum lang lang, const char *pattern, bool any_receiver, bool loose, const char *path);
/* The names as written: "req.query.x", "f().g". buf of FLOW_PATH_MAX; NULL: no names. */
const char *node_spelled(const struct flow *f, const struct node *n, char *buf);
uint64_t flow_label(struct flow *f, const struct node *n, uint64_t parents);

const struct value *var_get(const struct flow *f, uint32_t sym);
void var_set(struct flow *f, uint32_t sym, const struct value *v);
/* Is n self.x, this.x or the like? */
bool own_member(const struct flow *f, const struct node *n);
/* "Class.name" of a field of the innermost class; buf of FLOW_PATH_MAX; NULL: there is none, or it is too long. */
const char *field_key(const struct flow *f, const char *name, char *buf);
uint32_t var_key(struct flow *f, const struct node *n); /* of a name or a.b; 0: none */
void mark_clean(struct flow *f, uint64_t labels, uint64_t kinds);
void undo_to(struct flow *f, size_t mark);
/* The states since a mark as they are now; false: no memory. */
bool save_branch(struct flow *f, size_t mark, saved_vec *out);
void replay(struct flow *f, const saved_vec *s);
/* The state is what it was or has become since mark, or what it was then with s. */
void merge_saved(struct flow *f, size_t mark, const saved_vec *s);
void exits_enter(struct flow *f, struct exits *e, int kind);
void exits_leave(struct flow *f, struct exits *e);
void jump_note(struct flow *f, uint32_t label);
void jumps_release(struct jumps *j);
/* A break, a continue or a return: what is left keeps this state. */
void exits_note(struct flow *f, const struct node *n);
/* The same, but fields of objects (a.b) stay as they are; after a function without a name what it gave to names of the
 * function around it may stay, too. */
void undo_locals(struct flow *f, size_t mark, bool forget_labels);
void undo_closure(struct flow *f, size_t mark, size_t locals, bool surely);

const struct value *eval(struct flow *f, const struct node *n);
const struct value *eval_list(struct flow *f, const struct node *list); /* each; gives the mix */
const struct value *eval_call(struct flow *f, const struct node *n);
const struct value *eval_function(struct flow *f, const struct node *n); /* a definition */
const struct value *run_function(struct flow *f, const struct node *func, const struct node *args, bool inlined);
/* What a call does to its receiver and arguments (append, strcpy, fgets ...). */
/* C: something has written v to where arg points. */
void write_arg(struct flow *f, const struct node *arg, const struct value *v);
void call_effects(struct flow *f, const struct node *n, const char *name, const char *path);
/* Is it a function that never comes back? */
bool call_terminates(const struct flow *f, const struct node *n, const char *name, const char *path);
/* Sets guard of a call's value: what it tells about its arguments. */
const struct value *call_guard(struct flow *f, const struct node *n, const char *name, const struct value *result);
bool name_sanitizes(const char *name);
/* The variable has a new value: what was freed in its fields is no longer there. */
void forget_freed(struct flow *f, uint32_t sym);
void assign_to(struct flow *f, const struct node *target, const struct value *v);
/* The names in target are the innermost function's own. */
void note_locals(struct flow *f, const struct node *target);
void exec(struct flow *f, const struct node *n);
void exec_list(struct flow *f, const struct node *list);
void refine(struct flow *f, const struct node *cond, bool truth);

/* Text. */
bool text_formats(const char *name); /* does a call of this name join what it gets? */
const struct value *text_formatted(struct flow *f, const struct node *n, const struct value *receiver);
/* What comes out where the k-th conversion of a format is given v. */
const struct value *text_directive(struct flow *f, const struct value *format, int k, const struct value *v);
/* "format" % b, b being one value or a list of them. */
const struct value *text_operands(struct flow *f, const struct value *format, const struct value *b);
/* The same for the arguments of a call; false: nothing has changed. */
bool text_directives(struct flow *f, const struct node *n, const char *name);
/* Kinds that a replacement of constant characters makes its subject harmless for. */
uint64_t text_replacement(const struct flow *f, const struct node *n, const char *name);

/* Rules. */
void match_call(struct flow *f, const struct node *n);
void match_path(struct flow *f, const struct node *n);
void match_assign(struct flow *f, const struct node *n);
void match_pair(struct flow *f, const struct node *n);
void match_return(struct flow *f, const struct node *n);
void match_binary(struct flow *f, const struct node *n);
/* A finding of the rule with this "check", if there is one that allows it. */
void flow_check(struct flow *f, const char *check, const struct node *n, const struct value *v);
void check_c(struct flow *f, const struct node *n, const char *name);
/* C: the bytes of a type known by one name; 0: who knows. */
uint32_t type_size(const char *name);
const struct value *eval_sizeof(struct flow *f, const struct node *n);
void check_use(struct flow *f, const struct node *n, const struct value *v);
void check_index(struct flow *f, const struct node *n);
void check_arithmetic(struct flow *f, const struct node *n, const struct value *a, const struct value *b);
void flow_hit(struct flow *f, const struct rule *rule, const struct node *n, enum origin origin,
              uint32_t source_line);
bool rule_allowed(struct flow *f, const struct rule *rule, const struct node *n);
const struct fact *find_fact(const struct flow *f, const struct map *facts, const char *name, const char *path,
                             const struct node *n, bool call);
/* All that the matching facts say, together. */
uint64_t fact_kinds(const struct flow *f, const struct map *facts, const char *name, const char *path, const struct node *n,
                    bool call);

#endif
