#include "cli/findings_show.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "cli/term.h"
#include "codec/export.h"
#include "codec/json.h"

#include <stdio.h>
#include <string.h>

/* A word for a shell: quoted if it needs to be. */
static void append_word(struct strbuf *b, const char *word)
{
    if (*word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@%+")]) {
        strbuf_puts(b, word);
        return;
    }
    strbuf_putc(b, '\'');
    for (const char *p = word; *p; p++) {
        if (*p == '\'')
            strbuf_puts(b, "'\\''");
        else
            strbuf_putc(b, *p);
    }
    strbuf_putc(b, '\'');
}

char *finding_reproduction(const struct run_info *run, const struct finding *f)
{
    struct strbuf b = STRBUF_INIT;
    const char *target = json_str(run->target, "spec", json_str(run->target, "name", NULL));
    export_commands(&b, f);
    if (b.len && b.s[b.len - 1] == '\n')
        b.s[--b.len] = 0;
    if (!b.len && f->module && target && strcmp(f->module, "fuzzforge") != 0) {
        strbuf_puts(&b, "ff module run ");
        append_word(&b, f->module);
        strbuf_putc(&b, ' ');
        append_word(&b, target);
    }
    return b.len ? strbuf_take(&b, NULL) : NULL;
}

static void print_line(const char *what, const char *text)
{
    if (!text || !*text)
        return;
    printf("  %s%-12s%s ", term_dim(), what, term_off());
    term_text(stdout, text);
    putchar('\n');
}

/* Text of several lines, indented. */
static void print_block(const char *text, const char *before)
{
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\n");
        _cleanup_free_ char *line = mem_strndup(p, n);
        printf("%s", before);
        term_text(stdout, line ? line : "");
        putchar('\n');
        p += n + (p[n] == '\n');
    }
}

static void print_section(const char *title, const char *text)
{
    if (!text || !*text)
        return;
    printf("\n%s%s%s\n", term_bold(), title, term_off());
    print_block(text, "  ");
}

static void print_steps(const char *title, const json_t *steps)
{
    size_t i;
    json_t *step;
    if (json_array_size(steps) == 0)
        return;
    printf("\n%s%s%s\n", term_bold(), title, term_off());
    json_array_foreach((json_t *)(uintptr_t)steps, i, step) {
        const char *file = json_str(step, "file", NULL);
        const char *text = json_is_string(step) ? json_string_value(step)
                                                : json_str(step, "message", json_str(step, "function", ""));
        printf("  %2zu. ", i + 1);
        if (file) {
            term_text(stdout, file);
            printf(":%lld  ", (long long)json_i64(step, "line", 0));
        }
        term_text(stdout, text);
        putchar('\n');
        if (json_str(step, "snippet", NULL)) {
            printf("      ");
            term_text(stdout, json_str(step, "snippet", ""));
            putchar('\n');
        }
    }
}

/* Evidence and metadata that have no form of their own. */
static void print_rest(const char *title, const json_t *object)
{
    static const char *const known[] = {"flow", "stack", "build", "command", "reproducer"};
    const char *key;
    json_t *v;
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)object, key, v) {
        bool skip = false;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            skip = skip || strcmp(key, known[i]) == 0;
        struct strbuf text = STRBUF_INIT_MAX(4096);
        if (!skip && json_is_string(v))
            strbuf_puts(&text, json_string_value(v));
        else if (!skip)
            (void)json_write(v, &text, NULL);
        if (!skip && first)
            printf("\n%s%s%s\n", term_bold(), title, term_off());
        first = first && skip;
        if (!skip)
            print_line(key, strbuf_str(&text));
        strbuf_release(&text);
    }
}

static void print_facts(const struct run_info *run, const struct finding *f)
{
    char place[64] = "";
    struct strbuf cwe = STRBUF_INIT, where = STRBUF_INIT;
    if (f->line && f->column)
        snprintf(place, sizeof place, ":%d:%d", f->line, f->column);
    else if (f->line)
        snprintf(place, sizeof place, ":%d", f->line);
    if (f->file)
        strbuf_printf(&where, "%s%s", f->file, place);
    for (size_t i = 0; i < f->cwe_count; i++)
        strbuf_printf(&cwe, "%sCWE-%d", i ? ", " : "", f->cwe[i]);
    print_line("place", strbuf_str(&where));
    print_line("rule", f->rule_id);
    print_line("weakness", strbuf_str(&cwe));
    print_line("confidence", confidence_name(f->confidence));
    print_line("module", f->module);
    print_line("status", f->suppressed ? "suppressed" : finding_status_name(f->status));
    print_line("reason", f->suppressed ? f->suppression_reason : NULL);
    print_line("id", f->id);
    print_line("fingerprint", f->fingerprint);
    print_line("run", run->run_id);
    strbuf_release(&cwe);
    strbuf_release(&where);
}

void finding_show(const struct run_info *run, const struct finding *f, const char *command)
{
    printf("%s%s%s  %s", term_severity(f->severity), severity_name(f->severity), term_off(), term_bold());
    term_text(stdout, f->title);
    printf("%s\n", term_off());
    print_facts(run, f);
    print_section("Code", f->snippet);
    print_section("What it is", f->description);
    print_section("What to do", f->recommendation);
    print_steps("How the data flows", json_object_get(f->evidence, "flow"));
    print_steps("Stack", json_object_get(f->evidence, "stack"));
    print_rest("Evidence", f->evidence);
    print_rest("More", f->metadata);
    print_section("See it again", command);
}
