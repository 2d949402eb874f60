#include "fuzz/symbols.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/sanitizer.h"
#include "codec/crash/crash.h"
#include "os/library.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DW_SONAME "libdw.so.1"
#define DW_CALLS(X) \
    X(dwfl_begin) X(dwfl_end) X(dwfl_report_begin) X(dwfl_report_offline) X(dwfl_report_end) X(dwfl_module_addrdie)             \
    X(dwfl_module_addrinfo) X(dwfl_module_getelf) X(dwfl_offline_section_address) X(dwfl_standard_find_debuginfo)               \
    X(dwfl_build_id_find_elf) X(dwarf_child) X(dwarf_siblingof) X(dwarf_getsrc_die) X(dwarf_lineno) X(dwarf_linecol)     \
    X(dwarf_linesrc) X(dwarf_tag) X(dwarf_diename) X(dwarf_attr_integrate) X(dwarf_formstring) X(dwarf_formudata) X(dwarf_attr)  \
    X(dwarf_getsrcfiles) X(dwarf_filesrc) X(dwfl_module_nextcu) X(dwarf_haspc)
static struct {
    DW_CALLS(OS_LIBRARY_FIELD)
} lib;
#define CXX_SONAME "libstdc++.so.6"

#define MODULES_MAX 16
#define INLINES_MAX 32   /* of one address */
#define SCOPES_MAX 64    /* the same, with blocks and namespaces */
#define SECONDS_MAX 30   /* of its processor's time */
#define MEMORY_MAX ((rlim_t)4 << 30)
#define FRAMES_MAX 4096

/* --- what a line says ------------------------------------------------------------------------------------- */

static const char *skip(const char *p, const char *end, const char *set)
{
    while (p < end && *p && strchr(set, *p))
        p++;
    return p;
}

bool symbols_read_frame(const char *line, size_t len, struct symbols_frame *ret)
{
    static const char digits[] = "0123456789", hex[] = "0123456789abcdef";
    const char *end = line + len, *p = skip(line, end, " \t");
    if (p == end || *p++ != '#')
        return false;
    const char *number = p;
    p = skip(p, end, digits);
    if (p == number || end - p < 4 || memcmp(p, " 0x", 3) != 0)
        return false;
    ret->address = ++p;
    p = skip(p + 2, end, hex);
    ret->address_len = (size_t)(p - ret->address);
    p = skip(p, end, " ");
    if (p == end || *p != '(')
        return false;
    ret->module = ++p;
    const char *plus = NULL;
    for (const char *q = p; q < end && *q != ')'; q++)
        if (*q == '+')
            plus = q;
    if (!plus || end - plus < 4 || memcmp(plus, "+0x", 3) != 0 || plus == p || *p != '/')
        return false;
    ret->module_len = (size_t)(plus - p);
    const char *last = skip(plus + 3, end, hex);
    if (last == plus + 3 || last - plus > 19 || last == end || *last != ')')
        return false;
    ret->offset = strtoull(plus + 3, NULL, 16);
    return true;
}

/* Each line of a report. */
static bool next_line(const char **p, const char *end, const char **line, size_t *len)
{
    if (*p >= end)
        return false;
    const char *nl = memchr(*p, '\n', (size_t)(end - *p));
    *line = *p;
    *len = (size_t)((nl ? nl : end) - *p);
    *p = nl ? nl + 1 : end;
    return true;
}

bool symbols_wanted(const char *report, size_t len)
{
    const char *p = report, *line;
    struct symbols_frame f;
    size_t n;
    while (next_line(&p, report + len, &line, &n)) /* names elsewhere may be the target's own words */
        if (symbols_read_frame(line, n, &f))
            return true;
    return false;
}

/* --- what libdw says -------------------------------------------------------------------------------------- */

struct module {
    char path[1024];
    Dwfl *dwfl;
    Dwfl_Module *m; /* NULL: it cannot be read */
    Dwarf_Addr bias;
};

struct reader {
    struct module modules[MODULES_MAX];
    int count, number; /* of modules; of the next frame of this stack */
    bool named;
    char *(*demangle)(const char *, char *, size_t *, int *);
};

static struct module *module_of(struct reader *r, const struct symbols_frame *f)
{
    static const Dwfl_Callbacks none = {0};
    static Dwfl_Callbacks calls;
    char path[sizeof r->modules[0].path];
    snprintf(path, sizeof path, "%.*s", (int)f->module_len, f->module);
    for (int i = 0; i < r->count; i++)
        if (strcmp(r->modules[i].path, path) == 0)
            return r->modules[i].m ? &r->modules[i] : NULL;
    if (r->count == MODULES_MAX)
        return NULL;
    struct module *m = &r->modules[r->count++];
    memcpy(m->path, path, sizeof m->path);
    calls = none;
    calls.find_elf = lib.dwfl_build_id_find_elf;
    calls.find_debuginfo = lib.dwfl_standard_find_debuginfo;
    calls.section_address = lib.dwfl_offline_section_address;
    m->dwfl = lib.dwfl_begin(&calls);
    if (!m->dwfl)
        return NULL;
    lib.dwfl_report_begin(m->dwfl);
    m->m = lib.dwfl_report_offline(m->dwfl, path, path, -1);
    lib.dwfl_report_end(m->dwfl, NULL, NULL);
    if (m->m && !lib.dwfl_module_getelf(m->m, &m->bias))
        m->m = NULL;
    return m->m ? m : NULL;
}

static const char *name_of(Dwarf_Die *die)
{
    static const unsigned linkage[] = {DW_AT_linkage_name, DW_AT_MIPS_linkage_name};
    Dwarf_Attribute a;
    for (size_t i = 0; i < ARRAY_LEN(linkage); i++)
        if (lib.dwarf_attr_integrate(die, linkage[i], &a))
            return lib.dwarf_formstring(&a);
    return lib.dwarf_diename(die);
}

/* One frame, as a sanitizer prints it. file NULL: where is not known. */
static void print_frame(struct reader *r, const struct symbols_frame *f, const char *name, const char *file, int line, int column)
{
    int status = -1;
    char *plain = r->demangle && strncmp(name, "_Z", 2) == 0 ? r->demangle(name, NULL, NULL, &status) : NULL, rust[2048];
    if (crash_demangle_rust(name, strlen(name), rust, sizeof rust))
        name = rust;
    printf("    #%d %.*s in %s", r->number++, (int)f->address_len, f->address, plain ? plain : name);
    free(plain);
    if (!file)
        printf(" (%.*s+0x%llx)", (int)f->module_len, f->module, (unsigned long long)f->offset);
    else if (line && column)
        printf(" %s:%d:%d", file, line, column);
    else if (line)
        printf(" %s:%d", file, line);
    else
        printf(" %s", file);
    putchar('\n');
    r->named = true;
}

static int number_of(Dwarf_Die *die, unsigned attribute)
{
    Dwarf_Attribute a;
    Dwarf_Word v;
    return lib.dwarf_attr(die, attribute, &a) && lib.dwarf_formudata(&a, &v) == 0 && v < INT32_MAX ? (int)v : 0;
}

static const char *absolute(Dwarf_Die *cu, const char *file, char *buf, size_t size)
{
    Dwarf_Attribute a;
    const char *dir = file && file[0] != '/' && lib.dwarf_attr(cu, DW_AT_comp_dir, &a) ? lib.dwarf_formstring(&a) : NULL;
    if (!dir)
        return file;
    snprintf(buf, size, "%s/%s", dir, file);
    return buf;
}

/* clang writes no table of which unit has which addresses. */
static Dwarf_Die *unit_of(const struct module *m, Dwarf_Addr at, Dwarf_Addr *ret_bias)
{
    Dwarf_Die *cu = lib.dwfl_module_addrdie(m->m, at, ret_bias);
    if (cu)
        return cu;
    while ((cu = lib.dwfl_module_nextcu(m->m, cu, ret_bias)))
        if (lib.dwarf_haspc(cu, at - *ret_bias) > 0)
            return cu;
    return NULL;
}

static bool is_container(int tag)
{
    return tag == DW_TAG_namespace || tag == DW_TAG_module || tag == DW_TAG_structure_type || tag == DW_TAG_class_type ||
           tag == DW_TAG_union_type || tag == DW_TAG_enumeration_type;
}

/* What is open at the address below a DIE, the outermost first; gives how many there are. libdw's own search (dwarf_getscopes)
 * does not look into namespaces, where Rust has all of its functions. */
static int scopes_at(Dwarf_Die *die, Dwarf_Addr at, Dwarf_Die *scopes, int n, int depth)
{
    Dwarf_Die child;
    if (n >= SCOPES_MAX || depth >= SCOPES_MAX || lib.dwarf_child(die, &child) != 0)
        return n;
    do {
        int found = n;
        if (is_container(lib.dwarf_tag(&child))) {
            found = scopes_at(&child, at, scopes, n, depth + 1);
        } else if (lib.dwarf_haspc(&child, at) > 0) {
            scopes[n] = child;
            found = scopes_at(&child, at, scopes, n + 1, depth + 1);
        }
        if (found > n)
            return found;
    } while (lib.dwarf_siblingof(&child, &child) == 0);
    return n;
}

/* The functions that are at the address, whose unit and line are given: what was inlined first, each at the place where the
 * one before was called. 0: the unit tells none (-gline-tables-only has those alone into which something was inlined). */
static int print_inlined(struct reader *r, const struct symbols_frame *f, Dwarf_Die *cu, Dwarf_Addr at, const char *file,
                         int line, int column)
{
    Dwarf_Die scopes[SCOPES_MAX];
    Dwarf_Files *files = NULL;
    size_t files_count = 0;
    char buf[4096];
    int printed = 0;
    for (int i = scopes_at(cu, at, scopes, 0, 0) - 1; i >= 0 && printed < INLINES_MAX; i--) {
        int tag = lib.dwarf_tag(&scopes[i]);
        const char *name = tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine ? name_of(&scopes[i]) : NULL;
        if (!name)
            continue;
        print_frame(r, f, name, file, line, column);
        printed++;
        if (tag == DW_TAG_subprogram)
            break;
        int number = number_of(&scopes[i], DW_AT_call_file);
        if (!files && lib.dwarf_getsrcfiles(cu, &files, &files_count) < 0)
            files_count = 0;
        file = (size_t)number < files_count ? lib.dwarf_filesrc(files, (size_t)number, NULL, NULL) : NULL;
        file = absolute(cu, file, buf, sizeof buf);
        line = number_of(&scopes[i], DW_AT_call_line);
        column = number_of(&scopes[i], DW_AT_call_column);
    }
    return printed;
}

static void print_named(struct reader *r, const struct symbols_frame *f, const char *line, size_t len)
{
    struct module *m = module_of(r, f);
    Dwarf_Addr bias = 0, at = m ? m->bias + f->offset : 0;
    Dwarf_Die *cu = m ? unit_of(m, at, &bias) : NULL;
    Dwarf_Line *l = cu ? lib.dwarf_getsrc_die(cu, at - bias) : NULL;
    char buf[4096];
    int number = 0, column = 0;
    const char *file = l ? absolute(cu, lib.dwarf_linesrc(l, NULL, NULL), buf, sizeof buf) : NULL;
    if (l && (lib.dwarf_lineno(l, &number) < 0 || lib.dwarf_linecol(l, &column) < 0))
        number = column = 0;
    if (cu && print_inlined(r, f, cu, at - bias, file, number, column))
        return;
    GElf_Off offset;
    GElf_Sym sym;
    const char *name = m ? lib.dwfl_module_addrinfo(m->m, at, &offset, &sym, NULL, NULL, NULL) : NULL;
    if (name) {
        print_frame(r, f, name, file, number, column);
        return;
    }
    const char *address = f->address;
    printf("    #%d %.*s\n", r->number++, (int)(line + len - address), address);
}

/* --- the process ------------------------------------------------------------------------------------------ */

struct job {
    const char *report;
    size_t len;
};

static void load_demangler(struct reader *r)
{
    const struct os_symbol calls[] = {{"__cxa_demangle", &r->demangle}};
    if (os_library_load(CXX_SONAME, calls, ARRAY_LEN(calls), NULL) < 0)
        r->demangle = NULL; /* the crash parser knows such names too */
}

static int name_all(void *arg)
{
    static const struct os_symbol calls[] = {DW_CALLS(OS_LIBRARY_ENTRY)};
    static struct reader r;
    const struct job *j = arg;
    const char *p = j->report, *line;
    size_t len;
    struct symbols_frame f;
    const struct rlimit time = {SECONDS_MAX, SECONDS_MAX};
    setrlimit(RLIMIT_CPU, &time);
#ifndef BUILT_WITH_ASAN /* its shadow is terabytes of address space */
    const struct rlimit memory = {MEMORY_MAX, MEMORY_MAX};
    setrlimit(RLIMIT_AS, &memory);
#endif
    if (os_library_load(DW_SONAME, calls, ARRAY_LEN(calls), NULL) < 0)
        return 1;
    load_demangler(&r);
    for (int frames = 0; next_line(&p, j->report + j->len, &line, &len);) {
        bool is_frame = frames < FRAMES_MAX && symbols_read_frame(line, len, &f);
        if (is_frame) {
            print_named(&r, &f, line, len);
            frames++;
        } else {
            fwrite(line, 1, len, stdout);
            putchar('\n');
            r.number = 0;
        }
    }
    return fflush(stdout) == 0 && r.named ? 0 : 1;
}

int symbols_start(struct fuzz_child *child, const char *report, size_t len, struct err *err)
{
    struct job j = {report, len};
    return fuzz_child_call(child, name_all, &j, err);
}
