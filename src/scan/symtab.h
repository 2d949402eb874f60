/* Interned names: every identifier of one file as a small number, equal names as equal numbers. The words that
 * parsers ask for have fixed numbers (KW_x), so that a comparison is one of integers. */
#ifndef FF_SCAN_SYMTAB_H
#define FF_SCAN_SYMTAB_H

#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>

#define SCAN_KEYWORDS(X)                                                                           \
    X(if) X(else) X(elif) X(elsif) X(elseif) X(unless) X(for) X(foreach) X(while) X(until) X(do) X(loop)         \
    X(switch) X(case) X(default) X(when) X(match) X(then) X(end) X(begin) X(rescue) X(ensure) X(try) X(catch)    \
    X(except) X(finally) X(raise) X(throw) X(throws) X(return) X(break) X(continue) X(next) X(redo) X(yield)     \
    X(goto) X(pass) X(function) X(func) X(fn) X(def) X(lambda) X(class) X(struct) X(interface) X(enum) X(union)  \
    X(trait) X(module) X(namespace) X(package) X(import) X(from) X(as) X(export) X(use) X(using) X(require)      \
    X(require_once) X(include) X(include_once) X(new) X(delete) X(typeof) X(instanceof) X(in) X(is) X(of)        \
    X(not) X(and) X(or) X(xor) X(await) X(async) X(const) X(let) X(var) X(val) X(static) X(public) X(private)    \
    X(protected) X(internal) X(final) X(abstract) X(readonly) X(override) X(virtual) X(extern) X(inline)         \
    X(volatile) X(synchronized) X(transient) X(native) X(register) X(unsigned) X(signed) X(sizeof) X(void)       \
    X(typedef) X(template) X(typename) X(operator) X(friend) X(extends) X(implements) X(type) X(map) X(chan)     \
    X(range) X(go) X(defer) X(select) X(echo) X(print) X(exit) X(die) X(global) X(declare) X(endif) X(endwhile)  \
    X(endfor) X(endforeach) X(endswitch) X(list) X(array) X(clone) X(with) X(assert) X(del) X(nonlocal)          \
    X(self) X(this) X(super) X(True) X(False) X(None) X(nil) X(null) X(true) X(false) X(nullptr) X(undefined)    \
    X(NULL) X(NaN) X(lock) X(fixed) X(checked) X(unchecked) X(get) X(set) X(out) X(ref) X(params) X(where)       \
    X(undef) X(alias) X(defined) X(proc) X(constexpr) X(explicit) X(mutable) X(noexcept) X(long) X(short)        \
    X(int) X(char) X(float) X(double) X(bool) X(auto) X(record) X(sealed) X(partial) X(event) X(delegate)        \
    X(insteadof) X(satisfies) X(keyof) X(parent) X(attr_accessor) X(define) X(fallthrough) X(iota) X(debugger)   \
    X(static_cast) X(reinterpret_cast) X(const_cast) X(dynamic_cast) X(byte) X(boolean) X(retry) X(implicit)

enum {
    KW_none_,
#define X(w) KW_##w,
    SCAN_KEYWORDS(X)
#undef X
    KW_COUNT
};

/* Words of SCAN_KEYWORDS are in a table that all share; here is what comes besides, numbered from KW_COUNT. A rule's pattern
 * has a table of its own and few names, so an empty one costs nothing. */
struct symtab {
    struct arena *arena;
    uint32_t *slots;
    const char **names;
    uint32_t *lens;
    uint32_t count, names_cap, slots_cap; /* count: with the shared words */
    bool failed; /* memory was out once: sym 0 was given */
};

void symtab_init(struct symtab *t, struct arena *arena);
void symtab_release(struct symtab *t);
/* The number of a name; 0 when memory is out. */
uint32_t symtab_intern(struct symtab *t, const char *s, size_t n);
/* The name, 0-terminated; "" for 0. */
const char *symtab_name(const struct symtab *t, uint32_t sym);

#endif
