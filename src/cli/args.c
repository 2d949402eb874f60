/* Options and help, from the tables of the commands. */
#include "cli/args_internal.h"

#include "base/suggest.h"
#include "cli/term.h"

#include <stdio.h>
#include <string.h>

static const struct opt *find_in(const struct opt *table, const char *name, size_t n, char short_name)
{
    for (const struct opt *o = table; o && o->name; o++)
        if (name ? strlen(o->name) == n && strncmp(o->name, name, n) == 0
                 : short_name && o->short_name == short_name)
            return o;
    return NULL;
}

bool args_has(const struct args *a, const char *name)
{
    return args_get(a, name) != NULL;
}

const char *args_get(const struct args *a, const char *name)
{
    for (size_t i = a->options.len; i-- > 0;)
        if (strcmp(a->options.v[i].opt->name, name) == 0)
            return a->options.v[i].value;
    return NULL;
}

const char *args_global(const struct args *a, const char *name)
{
    const struct opt *o = find_in(global_opts, name, strlen(name), 0);
    for (size_t i = a->options.len; i-- > 0;)
        if (a->options.v[i].opt == o)
            return a->options.v[i].value;
    return NULL;
}

const char *args_nth(const struct args *a, const char *name, size_t n)
{
    for (size_t i = 0; i < a->options.len; i++)
        if (strcmp(a->options.v[i].opt->name, name) == 0 && n-- == 0)
            return a->options.v[i].value;
    return NULL;
}

const char *args_pos(const struct args *a, size_t i)
{
    return i < a->positional.len ? a->positional.v[i] : NULL;
}

static const struct opt *find_opt(const struct opt *own, const char *name, size_t n, char short_name)
{
    const struct opt *o = find_in(own, name, n, short_name);
    return o ? o : find_in(global_opts, name, n, short_name);
}

static int unknown_option(const struct opt *own, const char *arg, size_t n, struct err *err)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)n, arg);
    struct suggest s;
    suggest_init(&s, name);
    for (const struct opt *o = own; o && o->name; o++)
        suggest_offer(&s, o->name);
    for (const struct opt *o = global_opts; o->name; o++)
        suggest_offer(&s, o->name);
    err_set(err, ERR_USAGE, "unknown option '--%s'", name);
    return s.best ? err_hint(err, "did you mean '--%s'?", s.best) : -ERR_USAGE;
}

static int add(struct args *ret, const struct opt *o, const char *value, struct err *err)
{
    struct opt_value v = {o, value};
    return VEC_PUSH(&ret->options, v) ? 0 : err_nomem(err);
}

static int parse_long(const struct opt *own, int argc, char **argv, int *i, struct args *ret,
                      struct err *err)
{
    const char *a = argv[*i] + 2, *eq = strchr(a, '=');
    size_t n = eq ? (size_t)(eq - a) : strlen(a);
    const struct opt *o = find_opt(own, a, n, 0);
    if (!o)
        return unknown_option(own, a, n, err);
    if (!o->arg)
        return eq ? err_set(err, ERR_USAGE, "option '--%s' takes no value", o->name)
                  : add(ret, o, "", err);
    if (eq)
        return add(ret, o, eq + 1, err);
    if (*i + 1 >= argc)
        return err_set(err, ERR_USAGE, "option '--%s' needs a value (%s)", o->name, o->arg);
    return add(ret, o, argv[++*i], err);
}

static int parse_short(const struct opt *own, int argc, char **argv, int *i, struct args *ret,
                       struct err *err)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        const struct opt *o = find_opt(own, NULL, 0, *p);
        if (!o)
            return err_set(err, ERR_USAGE, "unknown option '-%c'", *p);
        if (!o->arg) {
            int r = add(ret, o, "", err);
            if (r < 0)
                return r;
            continue;
        }
        if (p[1])
            return add(ret, o, p[1] == '=' ? p + 2 : p + 1, err);
        if (*i + 1 >= argc)
            return err_set(err, ERR_USAGE, "option '-%c' needs a value (%s)", *p, o->arg);
        return add(ret, o, argv[++*i], err);
    }
    return 0;
}

int args_parse(const struct opt *own, int argc, char **argv, int *io_i, bool stop_at_word,
               struct args *ret, struct err *err)
{
    bool only_words = false;
    int i = *io_i, r = 0;
    for (; i < argc && r == 0; i++) {
        const char *a = argv[i];
        if (!only_words && strcmp(a, "--") == 0) {
            only_words = true;
        } else if (!only_words && a[0] == '-' && a[1] == '-') {
            r = parse_long(own, argc, argv, &i, ret, err);
        } else if (!only_words && a[0] == '-' && a[1]) {
            r = parse_short(own, argc, argv, &i, ret, err);
        } else if (stop_at_word) {
            break;
        } else if (!VEC_PUSH(&ret->positional, a)) {
            r = err_nomem(err);
        }
    }
    *io_i = i;
    return r;
}

void args_release(struct args *a)
{
    VEC_RELEASE(&a->options);
    VEC_RELEASE(&a->positional);
}

static void print_opts(const struct opt *table)
{
    for (const struct opt *o = table; o && o->name; o++) {
        char left[64], dash[4] = "";
        if (o->short_name)
            snprintf(dash, sizeof dash, "-%c,", o->short_name);
        snprintf(left, sizeof left, "%-3s --%s%s%s", dash, o->name, o->arg ? " " : "",
                 o->arg ? o->arg : "");
        printf("  %-30s %s\n", left, o->help);
    }
}

void help_command(const struct command *c, const char *path)
{
    printf("%s\n\n", c->summary);
    if (c->subs) {
        printf("%sUsage:%s ff %s COMMAND ...\n\n%sCommands:%s\n", term_bold(), term_off(), path, term_bold(),
               term_off());
        for (const struct command *const *s = c->subs; *s; s++)
            if (!(*s)->hidden)
                printf("  %-12s %s\n", (*s)->name, (*s)->summary);
        printf("\n'ff %s COMMAND --help' tells more of each.\n", path);
        if (c->details)
            printf("\n%s\n", c->details);
    } else {
        printf("%sUsage:%s ff %s%s%s\n", term_bold(), term_off(), path, c->usage && *c->usage ? " " : "",
               c->usage ? c->usage : "");
        if (c->details)
            printf("\n%s\n", c->details);
        if (c->opts) {
            printf("\n%sOptions:%s\n", term_bold(), term_off());
            print_opts(c->opts);
        }
    }
    if (c->examples)
        printf("\n%sExamples:%s\n%s\n", term_bold(), term_off(), c->examples);
    printf("\n%sGlobal options:%s\n", term_bold(), term_off());
    print_opts(global_opts);
    printf("\n%sExit status:%s 0 done, gate passed; 1 gate failed; 2 wrong usage or definition; 3 run failed or\n"
           "incomplete; 4 cancelled; 5 the environment is at fault; 130 left by a second Ctrl-C.\n",
           term_bold(), term_off());
}

void help_all(void)
{
    printf("ff runs security-testing workflows on code, durably: kill it at any moment, and the run goes on.\n\n"
           "%sUsage:%s ff COMMAND ...\n",
           term_bold(), term_off());
    for (const struct command_group *g = command_groups; g->title; g++) {
        bool titled = false;
        for (const struct command *const *c = g->commands; *c; c++) {
            if ((*c)->hidden)
                continue;
            if (!titled)
                printf("\n%s%s%s\n", term_bold(), g->title, term_off());
            titled = true;
            printf("  %-12s %s\n", (*c)->name, (*c)->summary);
        }
    }
    printf("\n%sGlobal options%s (before or after the command)\n", term_bold(), term_off());
    print_opts(global_opts);
    printf("\n%sFirst steps%s\n"
           "  ff run security_assessment ./my-project      scan a folder, print what was found\n"
           "  ff run security_assessment . --fail-on high  the same as a gate in CI\n"
           "  ff workflow list                             what else can be run\n"
           "\n'ff COMMAND --help' has usage, options, examples and exit statuses.\n",
           term_bold(), term_off());
}
