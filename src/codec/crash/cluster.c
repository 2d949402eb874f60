#include "codec/crash/cluster.h"

#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/vec.h"

#include <math.h>
#include <string.h>

#define DEPTH_MAX 256          /* frames of a stack that are compared */
#define DEPTH_WEIGHT 0.04      /* how fast frames lose weight with their distance from the crash */
#define SHIFT_WEIGHT 0.13      /* ... and with how far they are shifted */
#define SMALL_PERIOD_MAX 64    /* frames of a recursion's cycle */

/* A stack as numbers: equal frames have equal ones. */
struct trace {
    int frames[DEPTH_MAX];
    int len;
};

/* Where a frame is: its line, or its place in a module, or its function, or its address. */
static void frame_key(const struct crash_frame *f, struct strbuf *out)
{
    strbuf_clear(out);
    if (f->file)
        strbuf_printf(out, "f%s:%d:%d", f->file, f->line, f->column);
    else if (f->module && f->offset)
        strbuf_printf(out, "m%s+%llx", f->module, (unsigned long long)f->offset);
    else if (f->function)
        strbuf_printf(out, "n%s", f->function);
    else
        strbuf_printf(out, "a%llx", (unsigned long long)f->address);
}

/* Beside the frames that a state leaves out, those of the languages' own libraries: the same in every program. Some are
 * known by their names, others by the file that they are in. */
static const char *const library_functions[] = {
    "std::terminate", "throw_exception", "report_failure", "PyCFunction", "PyObject", "PyEval", "PyRun", "Py_", "atheris::",
    "java.base", "java.lang", "java.beans", "java.time", "java.math", "java.rmi", "java.net", "java.security", "java.text",
    "java.awt", "java.io", "java.nio", "javax.", "core::result", "<anonymous>", "(wrapper",
};
static const char *const library_files[] = {
    "/include/c++/", "-gnu/c++/", "-gnu/bits/", "sysdeps/", "/glibc-", "/compiler-rt/lib/", "/libfuzzer/lib/", "/clang/", "/gcc/",
    "/libc++", "/sanitizer_common/", "/rustc/", "/rust/", "/libfuzzer-sys-", "go/src/runtime/", "node:internal", "node:events",
    "node_modules/@jazzer.js", "node_modules/jsfuzz", "/cxxsupp/",
};

static bool of_library(const struct crash_frame *f)
{
    for (size_t i = 0; f->function && i < ARRAY_LEN(library_functions); i++)
        if (strncmp(f->function, library_functions[i], strlen(library_functions[i])) == 0)
            return true;
    for (size_t i = 0; f->file && i < ARRAY_LEN(library_files); i++)
        if (strstr(f->file, library_files[i]))
            return true;
    return f->function && strstr(f->function, "pybind");
}

/* Recursion is as deep as the input made it: of what repeats itself one round stays. */
static void drop_repetition(struct trace *t)
{
    for (int period = 1; period <= t->len / 2 && period <= SMALL_PERIOD_MAX;) {
        int out = 0, dropped = 0;
        for (int i = 0; i < t->len;) {
            int run = 0; /* frames that equal those one period further in */
            while (i + run + period < t->len && t->frames[i + run] == t->frames[i + run + period])
                run++;
            int drop = run - run % period;
            dropped += drop;
            i += drop;
            if (i < t->len)
                t->frames[out++] = t->frames[i++];
        }
        t->len = out;
        period = dropped ? 1 : period + 1;
    }
}

/* The number of a frame's key, from 1. 0: memory is out. */
static int intern(struct map *keys, const struct strbuf *key)
{
    intptr_t number = (intptr_t)map_getn(keys, strbuf_str(key), key->len);
    if (number)
        return (int)number;
    number = (intptr_t)keys->len + 1;
    return map_setn(keys, strbuf_str(key), key->len, (void *)number, NULL) ? (int)number : 0;
}

static bool make_trace(const struct crash *c, struct map *keys, struct trace *ret)
{
    struct strbuf key = STRBUF_INIT_MAX(3 * CRASH_TEXT_MAX);
    bool ok = true;
    ret->len = 0;
    for (size_t i = 0; i < c->frame_count && ret->len < DEPTH_MAX && ok; i++) {
        const struct crash_frame *f = &c->frames[i];
        if ((f->ignored && !f->entry) || of_library(f))
            continue;
        frame_key(f, &key);
        int number = intern(keys, &key);
        ok = number > 0;
        ret->frames[ret->len++] = number;
        if (f->entry)
            break;
    }
    drop_repetition(ret);
    strbuf_release(&key);
    return ok;
}

/* The powers that a comparison needs, computed once. */
struct weights {
    double depth[DEPTH_MAX + 1], shift[DEPTH_MAX + 1], sum[DEPTH_MAX + 1]; /* sum: of depth[1..i] */
};

static void weights_init(struct weights *w)
{
    w->sum[0] = 0;
    for (int i = 0; i <= DEPTH_MAX; i++) {
        w->depth[i] = exp(-DEPTH_WEIGHT * i);
        w->shift[i] = exp(-SHIFT_WEIGHT * i);
        if (i > 0)
            w->sum[i] = w->sum[i - 1] + w->depth[i];
    }
}

static double max2(double a, double b)
{
    return a > b ? a : b;
}

/* The weightiest common subsequence, as a share of the most that the shorter stack can have. */
static double similarity(const struct trace *a, const struct trace *b, const struct weights *w)
{
    double row[DEPTH_MAX + 1] = {0};
    int shorter = a->len < b->len ? a->len : b->len;
    if (!shorter)
        return 0;
    for (int i = 1; i <= a->len; i++) {
        double diagonal = 0;
        for (int j = 1; j <= b->len; j++) {
            double above = row[j], common = 0;
            if (a->frames[i - 1] == b->frames[j - 1])
                common = w->depth[i < j ? i : j] * w->shift[i > j ? i - j : j - i];
            row[j] = max2(max2(above, row[j - 1]), diagonal + common);
            diagonal = above;
        }
    }
    return row[b->len] / w->sum[shorter];
}

double crash_similarity(const struct crash *a, const struct crash *b)
{
    struct map keys = {0};
    struct trace ta, tb;
    struct weights w;
    weights_init(&w);
    bool ok = make_trace(a, &keys, &ta) && make_trace(b, &keys, &tb);
    map_release(&keys);
    return ok ? similarity(&ta, &tb, &w) : 0;
}

/* --- complete linkage --------------------------------------------------------------------------------------------------- */

/* Distances between clusters, in a triangle. A dead cluster has been merged into another. */
struct linkage {
    float *distance;
    bool *dead;
    size_t *parent; /* of the stack's cluster: itself, or the one it was merged into */
    size_t n;
};

static float *distance_at(struct linkage *l, size_t i, size_t j)
{
    if (i < j) {
        size_t k = i;
        i = j;
        j = k;
    }
    return &l->distance[i * (i - 1) / 2 + j];
}

static size_t nearest(struct linkage *l, size_t of, float *ret_distance)
{
    size_t best = of;
    *ret_distance = HUGE_VALF;
    for (size_t i = 0; i < l->n; i++)
        if (i != of && !l->dead[i] && *distance_at(l, of, i) < *ret_distance) {
            best = i;
            *ret_distance = *distance_at(l, of, i);
        }
    return best;
}

/* b becomes part of a; the distance to any other is that to the further of the two. */
static void merge(struct linkage *l, size_t a, size_t b)
{
    l->dead[b] = true;
    l->parent[b] = a;
    for (size_t i = 0; i < l->n; i++)
        if (i != a && !l->dead[i] && *distance_at(l, b, i) > *distance_at(l, a, i))
            *distance_at(l, a, i) = *distance_at(l, b, i);
}

/* From any cluster to its nearest, to that one's nearest, and so on: two that are each other's nearest are merged. It
 * gives the same clusters as looking for the nearest pair of all, in n*n steps. A chain ends where the nearest is too far:
 * then nothing in it can be merged any more, as its distances only fall along the chain. */
static void link_all(struct linkage *l, size_t *chain)
{
    for (size_t start = 0; start < l->n; start++) {
        size_t len = 0;
        if (l->dead[start])
            continue;
        chain[len++] = start;
        while (len > 0) {
            float d;
            size_t top = chain[len - 1], next = nearest(l, top, &d);
            if (d >= (float)CLUSTER_DISTANCE)
                break;
            if (len > 1 && *distance_at(l, top, chain[len - 2]) <= d) {
                next = chain[len - 2];
                len -= 2;
                merge(l, top < next ? top : next, top < next ? next : top);
                if (len == 0 && !l->dead[start])
                    chain[len++] = start;
            } else {
                chain[len++] = next;
            }
        }
    }
}

static size_t root(const struct linkage *l, size_t i)
{
    while (l->parent[i] != i)
        i = l->parent[i];
    return i;
}

static int linkage_init(struct linkage *l, const struct trace *traces, size_t n, struct err *err)
{
    struct weights w;
    weights_init(&w);
    l->n = n;
    l->distance = mem_alloc((n * n / 2 + 1) * sizeof *l->distance);
    l->dead = mem_calloc(n + 1, sizeof *l->dead);
    l->parent = mem_calloc(n + 1, sizeof *l->parent);
    if (!l->distance || !l->dead || !l->parent)
        return err_nomem(err);
    for (size_t i = 0; i < n; i++) {
        l->parent[i] = i;
        for (size_t j = 0; j < i; j++)
            *distance_at(l, i, j) = (float)(1 - similarity(&traces[i], &traces[j], &w));
    }
    return 0;
}

static void linkage_release(struct linkage *l)
{
    free(l->distance);
    free(l->dead);
    free(l->parent);
}

/* --- from crashes to stacks and back --------------------------------------------------------------------------------------- */

/* What a crash is grouped by. */
enum node_kind { NODE_ALONE, NODE_STACK, NODE_STATE };

struct node {
    enum node_kind kind;
    size_t index; /* of the stack or the state */
};

struct crash_clusters {
    VEC(struct node) nodes; /* one a crash */
    VEC(struct trace) traces;
    struct map keys, stacks, states; /* frames to numbers; stacks and states to index + 1 */
    size_t *group;
};

int crash_clusters_new(struct crash_clusters **ret, struct err *err)
{
    *ret = mem_zalloc(sizeof **ret);
    return *ret ? 0 : err_nomem(err);
}

void crash_clusters_free(struct crash_clusters *c)
{
    if (!c)
        return;
    VEC_RELEASE(&c->nodes);
    VEC_RELEASE(&c->traces);
    map_release(&c->keys);
    map_release(&c->stacks);
    map_release(&c->states);
    free(c->group);
    free(c);
}

/* The index of a key, made if it is new. false: memory is out. */
static bool index_of(struct map *m, const void *key, size_t n, size_t *ret, bool *ret_first)
{
    intptr_t known = (intptr_t)map_getn(m, key, n);
    *ret_first = known == 0;
    *ret = known ? (size_t)known - 1 : m->len;
    return known || map_setn(m, key, n, (void *)(intptr_t)(m->len + 1), NULL);
}

static bool add_state(struct crash_clusters *c, const struct crash *crash, struct node *ret, bool *ret_first)
{
    struct strbuf key = STRBUF_INIT_MAX((size_t)1 << 20);
    strbuf_printf(&key, "%s\n\n%s", crash->type, crash->state);
    ret->kind = NODE_STATE;
    bool ok = !key.failed && index_of(&c->states, strbuf_str(&key), key.len, &ret->index, ret_first);
    strbuf_release(&key);
    return ok;
}

static bool add_stack(struct crash_clusters *c, const struct trace *t, struct node *ret, bool *ret_first)
{
    ret->kind = NODE_STACK;
    return index_of(&c->stacks, t->frames, (size_t)t->len * sizeof t->frames[0], &ret->index, ret_first) &&
           (!*ret_first || VEC_PUSH(&c->traces, *t));
}

int crash_clusters_add(struct crash_clusters *c, const struct crash *crash, bool *ret_first, struct err *err)
{
    struct trace t;
    struct node node = {.kind = NODE_ALONE};
    bool first = true, ok = make_trace(crash, &c->keys, &t);
    if (ok && crash->kind != CRASH_NONE) {
        bool known = map_getn(&c->stacks, t.frames, (size_t)t.len * sizeof t.frames[0]);
        bool comparable = t.len > 0 && (known || c->traces.len < CLUSTER_STACKS_MAX);
        ok = comparable ? add_stack(c, &t, &node, &first) : add_state(c, crash, &node, &first);
    }
    if (!ok || !VEC_PUSH(&c->nodes, node))
        return err_nomem(err);
    if (ret_first)
        *ret_first = first;
    return 0;
}

/* Numbers for groups in order of first appearance. of_stack and of_state: the numbers + 1 that are given already. */
static size_t number_groups(struct crash_clusters *c, const struct linkage *l, size_t *of_stack, size_t *of_state)
{
    size_t groups = 0;
    for (size_t i = 0; i < c->nodes.len; i++) {
        const struct node *n = &c->nodes.v[i];
        size_t alone = 0, *number = n->kind == NODE_STACK   ? &of_stack[root(l, n->index)]
                                    : n->kind == NODE_STATE ? &of_state[n->index]
                                                            : &alone;
        if (!*number)
            *number = ++groups;
        c->group[i] = *number - 1;
    }
    return groups;
}

int crash_clusters_finish(struct crash_clusters *c, const size_t **ret_group, size_t *ret_groups, struct err *err)
{
    struct linkage l = {0};
    size_t n = c->traces.len;
    _cleanup_free_ size_t *chain = mem_calloc(2 * n + 2, sizeof *chain);
    _cleanup_free_ size_t *of_stack = mem_calloc(n + 1, sizeof *of_stack);
    _cleanup_free_ size_t *of_state = mem_calloc(c->states.len + 1, sizeof *of_state);
    c->group = mem_calloc(c->nodes.len + 1, sizeof *c->group);
    int r = linkage_init(&l, c->traces.v, n, err);
    if (r == 0 && (!chain || !of_stack || !of_state || !c->group))
        r = err_nomem(err);
    if (r == 0) {
        link_all(&l, chain);
        *ret_groups = number_groups(c, &l, of_stack, of_state);
        *ret_group = c->group;
    }
    linkage_release(&l);
    return r;
}
