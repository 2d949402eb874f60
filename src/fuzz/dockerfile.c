/* A Dockerfile, as far as it is plain, as a shell script. It is not run as an image would be built: there is no root and no other
 * system, and RUN lines are those of the project. So what installs or fetches is looked for first: a package of the system is
 * there or is named, a clone lies where the clone would make it or is fetched where that is allowed. */
#include "base/cleanup.h"
#include "fuzz/build_internal.h"

#include <ctype.h>
#include <string.h>

#define LINE_NUMBERS_MAX 100000

/* The image's folders, where a word begins with one, are ours. */
static const char *mapped(const char *at)
{
    static const char *const dirs[][2] = {{"/src", "$SRC"}, {"/work", "$WORK"}, {"/out", "$OUT"}};
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        size_t n = strlen(dirs[i][0]);
        if (strncmp(at, dirs[i][0], n) == 0 && !isalnum((unsigned char)at[n]) && !strchr("._-", at[n] ? at[n] : '/'))
            return dirs[i][1];
    }
    return NULL;
}

static void add_text(struct strbuf *b, const char *text)
{
    for (const char *p = text; *p; p++) {
        const char *to = *p == '/' && (p == text || strchr(" \t\"'=:(;&|<>", p[-1])) ? mapped(p) : NULL;
        if (!to) {
            strbuf_putc(b, *p);
            continue;
        }
        strbuf_puts(b, to);
        p += strlen(to) - 1; /* both have the same length */
    }
}

static void refuse(struct strbuf *b, unsigned line, const char *what)
{
    strbuf_printf(b, "note 'Dockerfile, line %u: %s is not understood, and was left out'\n", line, what);
}

/* ["a", "b"] -> words of the shell. False: it is none. */
static bool add_exec_form(struct strbuf *b, const char *text)
{
    json_t *list = text[0] == '[' ? json_loads(text, 0, NULL) : NULL, *v;
    size_t i;
    bool ok = json_is_array(list);
    json_array_foreach(list, i, v) {
        strbuf_puts(b, " '");
        for (const char *p = json_is_string(v) ? json_string_value(v) : ""; *p; p++)
            if (*p == '\'')
                strbuf_puts(b, "'\\''");
            else
                strbuf_putc(b, *p);
        strbuf_putc(b, '\'');
    }
    json_decref(list);
    return ok;
}

/* Past "--flag=value" words. NULL: one of them changes what the line means. */
static const char *past_flags(const char *s)
{
    while (strncmp(s, "--", 2) == 0) {
        if (strncmp(s, "--from=", 7) == 0 || (strncmp(s, "--mount=", 8) == 0 && !strstr(s, "type=cache")))
            return NULL;
        s += strcspn(s, " \t");
        s += strspn(s, " \t");
    }
    return s;
}

static void add_run(struct strbuf *b, const char *text, unsigned line)
{
    if (!(text = past_flags(text))) {
        refuse(b, line, "RUN with this --mount");
        return;
    }
    strbuf_puts(b, "( set +eu; cd \"$HERE\"\n");
    if (!add_exec_form(b, text))
        add_text(b, text);
    strbuf_printf(b, "\n) || failed %u\n", line);
}

/* Of what lies in the project's folder. */
static void add_copy(struct strbuf *b, const char *text, unsigned line)
{
    if (!(text = past_flags(text))) {
        refuse(b, line, "COPY --from");
        return;
    }
    if (strstr(text, "://")) {
        strbuf_puts(b, "( cd \"$HERE\" && add_url ");
        add_text(b, text);
        strbuf_printf(b, " ) || failed %u\n", line);
        return;
    }
    strbuf_puts(b, "( cd \"$PROJECT\" && copy ");
    if (!add_exec_form(b, text))
        add_text(b, text);
    strbuf_printf(b, " ) || failed %u\n", line);
}

/* "A=b C=d", or "A b". */
static void add_env(struct strbuf *b, const char *text, bool arg, unsigned line)
{
    size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    if (!n || isdigit((unsigned char)text[0]) || (text[n] && text[n] != '=' && text[n] != ' ' && text[n] != '\t')) {
        refuse(b, line, "this variable");
    } else if (text[n] == '=') {
        strbuf_puts(b, "export ");
        add_text(b, text);
        strbuf_putc(b, '\n');
    } else if (text[n] && !arg) {
        strbuf_printf(b, "export %.*s=\"", (int)n, text);
        add_text(b, text + n + strspn(text + n, " \t"));
        strbuf_puts(b, "\"\n");
    }
}

static void add_workdir(struct strbuf *b, const char *text)
{
    strbuf_puts(b, "enter ");
    add_text(b, text);
    strbuf_putc(b, '\n');
}

static void add_instruction(struct strbuf *b, const char *s, unsigned line)
{
    static const char *const passed_over[] = {"FROM", "LABEL", "MAINTAINER", "CMD", "ENTRYPOINT", "EXPOSE", "USER", "VOLUME",
                                              "STOPSIGNAL", "HEALTHCHECK"};
    char word[16] = "";
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    for (size_t i = 0; i < n && i < sizeof word - 1; i++)
        word[i] = (char)toupper((unsigned char)s[i]);
    const char *rest = s + n + strspn(s + n, " \t");
    for (size_t i = 0; i < ARRAY_LEN(passed_over); i++)
        if (strcmp(word, passed_over[i]) == 0)
            return;
    if (strstr(rest, "<<") && strchr("RCA", word[0]))
        refuse(b, line, "a here-document");
    else if (strcmp(word, "RUN") == 0)
        add_run(b, rest, line);
    else if (strcmp(word, "COPY") == 0 || strcmp(word, "ADD") == 0)
        add_copy(b, rest, line);
    else if (strcmp(word, "WORKDIR") == 0)
        add_workdir(b, rest);
    else if (strcmp(word, "ENV") == 0 || strcmp(word, "ARG") == 0)
        add_env(b, rest, word[0] == 'A', line);
    else
        refuse(b, line, n && n < sizeof word ? word : "this");
}

/* The word that ends a here-document of this line. "": there is none. */
static void here_end(const char *s, char *ret, size_t size)
{
    const char *p = strstr(s, "<<");
    size_t n = 0;
    if (p) {
        p += 2;
        p += strspn(p, "-'\"");
        n = strcspn(p, "'\" \t;&|>");
    }
    n = n < size ? n : size - 1;
    memcpy(ret, p ? p : "", n);
    ret[n] = 0;
}

/* Takes one line out of text. */
static char *take_line(char **text, unsigned *number)
{
    char *l = *text, *end = l ? strchr(l, '\n') : NULL;
    if (!l || !*l)
        return NULL;
    *text = end ? end + 1 : NULL;
    if (end)
        *end = 0;
    if (end && end > l && end[-1] == '\r')
        end[-1] = 0;
    ++*number;
    return l;
}

/* The lines that a backslash joins, without the comments between them. True: there is one. */
static bool take_instruction(char **text, unsigned *number, unsigned *first, struct strbuf *ret)
{
    strbuf_clear(ret);
    for (char *l; (l = take_line(text, number));) {
        const char *s = l + strspn(l, " \t");
        if (*s == '#' || (!*s && !ret->len))
            continue;
        if (!ret->len)
            *first = *number;
        size_t n = strlen(s);
        while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
            n--;
        bool more = n && s[n - 1] == '\\';
        strbuf_append(ret, s, more ? n - 1 : n);
        if (!more)
            return true;
        strbuf_putc(ret, ' ');
    }
    return ret->len > 0;
}

int fuzz_build_dockerfile(char *text, struct strbuf *b, struct err *err)
{
    struct strbuf one = STRBUF_INIT;
    unsigned number = 0, first = 0;
    char end[64];
    strbuf_puts(b, fuzz_dockerfile_sh);
    while (number < LINE_NUMBERS_MAX && take_instruction(&text, &number, &first, &one)) {
        add_instruction(b, strbuf_str(&one), first);
        here_end(strbuf_str(&one), end, sizeof end);
        for (char *l = end[0] ? take_line(&text, &number) : NULL; l && strcmp(l + strspn(l, "\t"), end) != 0;)
            l = take_line(&text, &number);
    }
    int r = strbuf_check(&one, err);
    strbuf_release(&one);
    strbuf_puts(b, "cd \"$HERE\"\n");
    return r < 0 ? r : strbuf_check(b, err);
}
