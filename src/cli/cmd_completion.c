/* ff completion: what the shell needs to complete by Tab.
 *
 * The scripts are thin: at each Tab they ask `ff complete WORDS...`, which walks the very table that parses commands.
 * So what is completed is always what is there: commands, options, workflows, modules, runs. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "cli/app.h"
#include "engine/shared/shared.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

#define RUNS_OFFERED 100

/* --- the scripts ------------------------------------------------------------------------------------------ */

static const char bash_script[] =
    "# ff completion bash: put into ~/.bashrc:  source <(ff completion bash)\n"
    "_ff() {\n"
    "    local IFS=$'\\n' cur=${COMP_WORDS[COMP_CWORD]} line\n"
    "    local words=(\"${COMP_WORDS[@]:1:COMP_CWORD-1}\")\n"
    "    COMPREPLY=()\n"
    "    while read -r line; do\n"
    "        case $line in\n"
    "            :files) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -f -- \"$cur\")) ;;\n"
    "            :dirs) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -d -- \"$cur\")) ;;\n"
    "            *) line=${line%%$'\\t'*}; [[ $line == *= ]] && compopt -o nospace 2>/dev/null; COMPREPLY+=(\"$line\") ;;\n"
    "        esac\n"
    "    done < <(\"${COMP_WORDS[0]}\" complete -- \"${words[@]}\" \"$cur\" 2>/dev/null)\n"
    "}\n"
    "complete -F _ff ff fuzzforge\n";

static const char zsh_script[] =
    "#compdef ff fuzzforge\n"
    "# ff completion zsh: put into a folder of $fpath:  ff completion zsh > ~/.zsh/completions/_ff\n"
    "_ff() {\n"
    "    local line\n"
    "    local -a plain\n"
    "    while IFS= read -r line; do\n"
    "        case $line in\n"
    "            :files) _files ;;\n"
    "            :dirs) _files -/ ;;\n"
    "            *) plain+=(\"${${line//:/\\\\:}/$'\\t'/:}\") ;;\n"
    "        esac\n"
    "    done < <(\"${words[1]}\" complete -- \"${(@)words[2,CURRENT-1]}\" \"${words[CURRENT]}\" 2>/dev/null)\n"
    "    (( ${#plain} )) && _describe ff plain\n"
    "}\n"
    "compdef _ff ff fuzzforge\n";

static const char fish_script[] =
    "# ff completion fish: ff completion fish > ~/.config/fish/completions/ff.fish\n"
    "function __ff_complete\n"
    "    set -l words (commandline -opc)\n"
    "    set -l cur (commandline -ct)\n"
    "    for line in ($words[1] complete -- $words[2..-1] \"$cur\" 2>/dev/null)\n"
    "        switch $line\n"
    "            case ':files'\n"
    "                __fish_complete_path \"$cur\"\n"
    "            case ':dirs'\n"
    "                __fish_complete_directories \"$cur\"\n"
    "            case '*'\n"
    "                echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c ff -f -a '(__ff_complete)'\n"
    "complete -c fuzzforge -f -a '(__ff_complete)'\n";

static int completion(struct app *app, const struct args *a)
{
    const char *shell = args_pos(a, 0);
    const char *text = strcmp(shell, "bash") == 0 ? bash_script
                       : strcmp(shell, "zsh") == 0 ? zsh_script
                       : strcmp(shell, "fish") == 0 ? fish_script
                                                    : NULL;
    if (!text)
        return app_usage(app, "no completion for '%.40s': bash, zsh or fish", shell);
    if (app->json)
        app_print_json(app, json_pack("{s:s, s:s}", "shell", shell, "script", text));
    else
        fputs(text, stdout);
    return EXIT_OK;
}

/* --- the candidates --------------------------------------------------------------------------------------- */

struct completing {
    struct app *app;
    const char *word; /* the one in hand, "" at its beginning */
};

/* A tab separates the word from what it is. */
static void offer(const struct completing *c, const char *text, const char *what)
{
    if (strncmp(text, c->word, strlen(c->word)) == 0)
        printf("%s%s%s\n", text, what && *what ? "\t" : "", what ? what : "");
}

static void offer_options(const struct completing *c, const struct opt *table)
{
    char text[80];
    for (const struct opt *o = table; o && o->name; o++) {
        snprintf(text, sizeof text, "--%s", o->name);
        offer(c, text, o->help);
    }
}

static void offer_workflows(const struct completing *c)
{
    struct workflow_def **w = NULL;
    size_t n = 0;
    if (app_open_toolbox(c->app, NULL) < 0 || toolbox_list(c->app->toolbox, &w, &n, NULL) < 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (!w[i]->broken)
            offer(c, w[i]->name, w[i]->description);
    toolbox_list_free(w, n);
}

static void offer_modules(const struct completing *c)
{
    struct module_def *m = NULL;
    size_t n = 0;
    if (app_open_toolbox(c->app, NULL) < 0 || module_registry_list(c->app->modules, &m, &n, NULL) < 0)
        return;
    for (size_t i = 0; i < n; i++) {
        if (!m[i].broken && !m[i].shadowed_by)
            offer(c, m[i].name, m[i].description);
        module_def_release(&m[i]);
    }
    free(m);
}

/* "name=" for each property of a JSON Schema. */
static void offer_properties(const struct completing *c, const json_t *schema)
{
    const char *key;
    json_t *v;
    json_object_foreach(json_object_get(schema, "properties"), key, v) {
        _cleanup_free_ char *text = mem_printf("%s=", key);
        if (text)
            offer(c, text, json_string_value(json_object_get(v, "description")));
    }
}

static void offer_parameters(const struct completing *c, const struct command *cmd, const char *name)
{
    struct workflow_def *w;
    struct module_def m;
    if (app_open_toolbox(c->app, NULL) < 0)
        return;
    if (strncmp(cmd->usage, "WORKFLOW", 8) == 0 && toolbox_find(c->app->toolbox, name, &w, NULL) == 0) {
        offer_properties(c, w->parameters);
        workflow_def_free(w);
    } else if (strncmp(cmd->usage, "MODULE", 6) == 0 && module_registry_find(c->app->modules, name, &m, NULL) == 0) {
        offer_properties(c, m.input_schema);
        module_def_release(&m);
    }
}

/* The newest runs, unless the state is held by a process that cannot be reached: Tab does not wait. */
static void offer_runs(const struct completing *c)
{
    _cleanup_free_ char *path = os_path_join(c->app->state_dir, "state.db");
    struct engine *e = NULL;
    struct engine_shared_options o = {.dir = c->app->state_dir, .identity = "completion", .wait_ms = 1};
    if (!path || !os_exists(path) || engine_shared_open(&o, &e, NULL) < 0)
        return;
    Pb__ListWorkflowExecutionsRequest req = PB__LIST_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    req.namespace_ = service_namespace(&c->app->service);
    req.page_size = RUNS_OFFERED;
    if (engine_call_sync(e, ENGINE_LIST, &req.base, 0, &m, NULL) == 0) {
        const Pb__ListWorkflowExecutionsResponse *l = (Pb__ListWorkflowExecutionsResponse *)m;
        for (size_t i = 0; i < l->n_executions; i++)
            offer(c, l->executions[i]->execution->workflow_id, l->executions[i]->type ? l->executions[i]->type->name : "");
        engine_free_message(m);
    }
    engine_free(e);
}

static void offer_words(const struct completing *c, const char *words, const char *separators)
{
    _cleanup_free_ char *copy = mem_strdup(words);
    char *save = NULL;
    for (char *w = copy ? strtok_r(copy, separators, &save) : NULL; w; w = strtok_r(NULL, separators, &save))
        offer(c, w, NULL);
}

static void offer_settings(const struct completing *c)
{
    for (int k = 0; k < CONFIG_COUNT_; k++)
        offer(c, config_infos[k].name, config_infos[k].help);
}

/* What a word of a usage line, or of an option's argument, stands for. */
static void offer_kind(const struct completing *c, const char *kind, const struct command *cmd, const char *first)
{
    static const char levels[] = "critical high medium low info error warning note";
    if (strcmp(kind, "WORKFLOW") == 0)
        offer_workflows(c);
    else if (strcmp(kind, "MODULE") == 0)
        offer_modules(c);
    else if (strcmp(kind, "ID") == 0 || strcmp(kind, "RUN") == 0)
        offer_runs(c);
    else if (strcmp(kind, "LEVEL") == 0)
        offer_words(c, levels, " ");
    else if (strcmp(kind, "SETTING") == 0)
        offer_settings(c);
    else if (strcmp(kind, "DIR") == 0)
        puts(":dirs");
    else if (strncmp(kind, "FILE", 4) == 0 || strcmp(kind, "TARGET") == 0)
        puts(":files");
    else if (strncmp(kind, "key=value", 9) == 0 && cmd && first)
        offer_parameters(c, cmd, first);
    else if (strchr(kind, '|') && kind[strspn(kind, "abcdefghijklmnopqrstuvwxyz|-")] == 0)
        offer_words(c, kind, "|");
}

/* The i-th word of a usage line without brackets; options are left out, the last word with dots repeats. */
static bool usage_word(const char *usage, size_t i, char *buf, size_t size)
{
    for (const char *p = usage; p && *p;) {
        p += strspn(p, " ");
        bool option = strncmp(p, "[-", 2) == 0 || strncmp(p, "[options", 8) == 0;
        size_t n = option && *p == '[' ? strcspn(p, "]") : strcspn(p, " ");
        const char *word = p + strspn(p, "["), *end = p + n;
        bool repeats = n > 3 && memmem(p, n, "...", 3) != NULL;
        p = end + (option && *end == ']');
        if (option || n == 0)
            continue;
        while (end > word && strchr("].", end[-1]))
            end--;
        snprintf(buf, size, "%.*s", (int)(end - word), word);
        if (i == 0 || repeats)
            return true;
        i--;
    }
    return false;
}

static const struct opt *find_opt(const struct command *cmd, const char *word)
{
    const struct opt *tables[] = {cmd ? cmd->opts : NULL, global_opts};
    for (size_t t = 0; t < 2; t++)
        for (const struct opt *o = tables[t]; o && o->name; o++)
            if (word[1] == '-' ? strcmp(word + 2, o->name) == 0 : word[1] == o->short_name && !word[2])
                return o;
    return NULL;
}

static const struct command *find_sub(const struct command *c, const char *name)
{
    for (const struct command *const *s = c->subs; s && *s; s++)
        if (strcmp((*s)->name, name) == 0)
            return *s;
    return NULL;
}

/* Where the words before the one in hand lead. */
struct position {
    const struct command *cmd;
    const struct opt *value_of; /* the word in hand is this option's value */
    const char *first;          /* the first positional word */
    size_t positional;
};

static struct position walk(const char *const *words, size_t n)
{
    struct position p = {0};
    for (size_t i = 0; i < n; i++) {
        const char *w = words[i];
        p.value_of = NULL;
        if (w[0] == '-' && w[1]) {
            const struct opt *o = strchr(w, '=') ? NULL : find_opt(p.cmd, w);
            if (o && o->arg && i + 1 == n)
                p.value_of = o;
            i += o && o->arg;
            continue;
        }
        const struct command *next = !p.cmd ? cli_find(w) : find_sub(p.cmd, w);
        if (next && p.positional == 0) {
            p.cmd = next;
            continue;
        }
        if (p.positional++ == 0)
            p.first = w;
    }
    return p;
}

static void offer_commands(const struct completing *c, const struct command *parent)
{
    if (parent) {
        for (const struct command *const *s = parent->subs; *s; s++)
            if (!(*s)->hidden)
                offer(c, (*s)->name, (*s)->summary);
        return;
    }
    for (const struct command_group *g = command_groups; g->title; g++)
        for (const struct command *const *s = g->commands; *s; s++)
            if (!(*s)->hidden)
                offer(c, (*s)->name, (*s)->summary);
}

/* The folders that the line in hand names count for what it can be completed to. */
static void take_folders(struct app *app, const struct args *words, struct args *ret)
{
    for (size_t i = 0; i < words->options.len; i++)
        if (!VEC_PUSH(&ret->options, words->options.v[i]))
            return;
    for (size_t i = 0; i + 1 < words->positional.len; i++) {
        const char *w = words->positional.v[i], *eq = strchr(w, '=');
        size_t len = eq ? (size_t)(eq - w) : strlen(w);
        bool toolbox = len == 9 && strncmp(w, "--toolbox", len) == 0, state = len == 7 && strncmp(w, "--state", len) == 0;
        const char *value = eq ? eq + 1 : i + 2 < words->positional.len ? words->positional.v[i + 1] : NULL;
        if (!value || (!toolbox && !state))
            continue;
        struct opt_value v = {find_opt(NULL, toolbox ? "--toolbox" : "--state"), value};
        if (toolbox && os_is_dir(value) && !VEC_PUSH(&ret->options, v))
            return;
        char *dir = state ? mem_strdup(value) : NULL;
        if (dir) {
            free(app->state_dir);
            app->state_dir = dir;
        }
    }
    app->args = ret;
}

static int complete(struct app *app, const struct args *a)
{
    struct args with_folders = {0};
    size_t n = a->positional.len;
    take_folders(app, a, &with_folders);
    struct completing c = {.app = app, .word = n ? a->positional.v[n - 1] : ""};
    struct position p = walk(a->positional.v, n ? n - 1 : 0);
    char kind[64];
    if (p.value_of) {
        offer_kind(&c, p.value_of->arg, p.cmd, p.first);
    } else if (c.word[0] == '-') {
        offer_options(&c, p.cmd ? p.cmd->opts : NULL);
        offer_options(&c, global_opts);
    } else if (!p.cmd || (p.cmd->subs && p.positional == 0)) {
        offer_commands(&c, p.cmd);
    } else if (usage_word(p.cmd->usage, p.positional, kind, sizeof kind)) {
        offer_kind(&c, kind, p.cmd, p.first);
    }
    app->args = a;
    VEC_RELEASE(&with_folders.options);
    return EXIT_OK;
}

const struct command cmd_completion = {
    .name = "completion",
    .summary = "Print a script that makes Tab complete commands",
    .usage = "bash|zsh|fish",
    .details = "Commands, options, workflows, modules, their parameters, and the ids of runs are completed.",
    .examples = "  source <(ff completion bash)                                   for this shell\n"
                "  ff completion bash > /etc/bash_completion.d/ff                 for all\n"
                "  ff completion zsh > ~/.zsh/completions/_ff\n"
                "  ff completion fish > ~/.config/fish/completions/ff.fish",
    .min_args = 1,
    .max_args = 1,
    .run = completion,
};

const struct command cmd_complete = {
    .name = "complete",
    .summary = "Print what could come next (for completion scripts)",
    .usage = "-- WORDS...",
    .max_args = -1,
    .hidden = true,
    .run = complete,
};
