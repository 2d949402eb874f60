/* What a campaign leaves to the next one of the same target: its corpus, and the bugs that were known with a few inputs of
 * each.
 *
 * The next campaign begins with the corpus, and runs the inputs: what still crashes is there still, what does not was fixed, and
 * what crashes again after that came back. A bug whose input now crashes at another place, because the code around it
 * has changed, is the same bug, with the fingerprint that it had. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "fuzz/campaign_internal.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUGS_FILE "bugs.json"
#define BUGS_BYTES_MAX ((size_t)4 << 20)
#define INPUTS_OF_BUG 4
#define INPUT_BYTES_MAX ((uint64_t)16 << 20)

static void take_text(char *to, size_t size, const json_t *j, const char *key)
{
    snprintf(to, size, "%s", json_str(j, key, ""));
}

void memory_release(struct campaign *c)
{
    VEC_EACH(&c->known_bugs, k)
        json_decref(k->inputs);
    VEC_RELEASE(&c->known_bugs);
}

/* --- which program ---------------------------------------------------------------------------------------- */

/* Of a target, with all that lies beside it where the engine runs scripts. */
static int program_digest(const struct campaign *c, int engine, char ret[65], struct err *err)
{
    const char *program = c->targets[engine].program;
    _cleanup_free_ char *copy = os_path_join(c->work_dir, "program");
    struct corpus files = {0};
    uint64_t n;
    if (!copy)
        return err_nomem(err);
    if (c->drivers[engine]->build_env) {
        int r = fuzz_copy_file(program, copy, UINT64_MAX, ret, NULL, err);
        unlink(copy);
        return r;
    }
    size_t parent = os_is_dir(program) ? strlen(program) : (size_t)(strrchr(program, '/') - program);
    _cleanup_free_ char *dir = mem_strndup(program, parent);
    int r = dir ? corpus_init(&files, copy, err) : err_nomem(err);
    if (r == 0)
        r = corpus_take(&files, dir, NULL, NULL, &n, err);
    if (r == 0)
        r = corpus_digest(&files, ret, err);
    corpus_release(&files);
    os_remove_tree(copy, NULL);
    return r;
}

static int programs_json(const struct campaign *c, json_t **ret, struct err *err)
{
    json_t *j = json_object();
    for (int i = 0; i < c->engines; i++) {
        char digest[65] = "";
        int r = program_digest(c, i, digest, err);
        if (r < 0) {
            json_decref(j);
            return r;
        }
        json_object_set_new(j, c->drivers[i]->name, json_string(digest));
    }
    *ret = j;
    return j ? 0 : err_nomem(err);
}

/* --- before ----------------------------------------------------------------------------------------------- */

static struct known_bug *find_known(struct campaign *c, const char *type, const char *state, const char *thrown)
{
    struct fuzz_verdict a = {0}, b = {0};
    snprintf(a.type, sizeof a.type, "%s", type);
    snprintf(a.state, sizeof a.state, "%s", state);
    snprintf(a.thrown, sizeof a.thrown, "%s", thrown);
    VEC_EACH(&c->known_bugs, k) {
        snprintf(b.type, sizeof b.type, "%s", k->type);
        snprintf(b.state, sizeof b.state, "%s", k->state);
        snprintf(b.thrown, sizeof b.thrown, "%s", k->thrown);
        if (fuzz_verdict_same(&a, &b))
            return k;
    }
    return NULL;
}

void memory_match(struct campaign *c, int bug)
{
    struct bug *b = &c->bugs.v[bug];
    struct known_bug *k = find_known(c, b->verdict.type, b->verdict.state, b->verdict.thrown);
    if (!k)
        return;
    k->found = true;
    b->known = (int)(k - c->known_bugs.v);
}

void memory_replayed(struct campaign *c, const struct crash_input *in, int bug)
{
    struct known_bug *k = &c->known_bugs.v[in->known];
    k->open--;
    struct bug *b = bug < 0 ? NULL : &c->bugs.v[bug];
    if (!b || (b->known < 0 && !fuzz_type_same(b->verdict.type, k->type))) /* another fault comes behind the one that was there */
        return;
    k->found = true;
    if (b->known < 0) /* it has moved */
        b->known = in->known;
}

bool memory_is_undecided(const struct campaign *c)
{
    VEC_EACH(&c->known_bugs, k)
        if (!k->found && k->open > 0)
            return true;
    return false;
}

static int engine_index(const struct campaign *c, const char *name)
{
    for (int i = 0; i < c->engines; i++)
        if (strcmp(c->drivers[i]->name, name) == 0)
            return i;
    return -1;
}

/* Its inputs are looked at like those that an engine has found. */
static int replay(struct campaign *c, int known, const json_t *j, const char *dir, struct err *err)
{
    int engine = engine_index(c, json_str(j, "engine", "")), r = 0;
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(j, "inputs"), i, name) {
        const char *text = json_string_value(name);
        if (r < 0 || !text || strchr(text, '/') || i >= INPUTS_OF_BUG)
            continue;
        _cleanup_free_ char *from = mem_printf("%s/crashes/%s", dir, text);
        r = from ? campaign_replay_input(c, text, from, engine, known, err) : err_nomem(err);
    }
    return r;
}

static int load_bug(struct campaign *c, const json_t *j, const char *dir, struct err *err)
{
    struct known_bug k = {.fixed = json_flag(j, "fixed", false), .back = json_flag(j, "back", false),
                          .inputs = json_incref(json_object_get(j, "inputs"))};
    take_text(k.type, sizeof k.type, j, "type");
    take_text(k.state, sizeof k.state, j, "state");
    take_text(k.thrown, sizeof k.thrown, j, "thrown");
    take_text(k.title, sizeof k.title, j, "title");
    take_text(k.identity, sizeof k.identity, j, "identity");
    take_text(k.engine, sizeof k.engine, j, "engine");
    take_text(k.since, sizeof k.since, j, "since");
    take_text(k.fixed_in, sizeof k.fixed_in, j, "fixed_in");
    k.mended = k.fixed && strcmp(k.fixed_in, module_run_id(c->ctx)) == 0;
    k.fixed &= !k.mended;
    struct known_bug *same = find_known(c, k.type, k.state, k.thrown);
    if (same || !k.type[0] || !VEC_PUSH(&c->known_bugs, k)) {
        if (same) /* two campaigns at one time: what one of them saw is there */
            same->fixed &= k.fixed, same->mended &= k.mended;
        json_decref(k.inputs);
        return same || !k.type[0] ? 0 : err_nomem(err);
    }
    return replay(c, (int)c->known_bugs.len - 1, j, dir, err);
}

static int load_bugs(struct campaign *c, const char *dir, const json_t *programs, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(dir, BUGS_FILE), *text = NULL;
    _cleanup_json_ json_t *doc = NULL;
    size_t len, i;
    json_t *j;
    int r = path ? os_read_file(path, BUGS_BYTES_MAX, &text, &len, err) : err_nomem(err);
    if (r == 0)
        r = json_parse(text, len, BUGS_BYTES_MAX, &doc, err);
    json_array_foreach(json_object_get(doc, "bugs"), i, j)
        if (r == 0 && c->known_bugs.len < CAMPAIGN_BUGS_MAX)
            r = load_bug(c, j, dir, err);
    bool own = strcmp(json_str(doc, "run", ""), module_run_id(c->ctx)) == 0; /* an earlier part of this campaign has left it */
    if (r == 0 && json_equal(json_object_get(doc, "programs"), programs))
        c->affected &= own && json_flag(doc, "affected", true);
    return r;
}

static int load_one(struct campaign *c, const char *tar, const json_t *programs, struct err *err)
{
    _cleanup_free_ char *dir = os_path_join(c->base, "earlier"), *corpus = os_path_join(c->base, "earlier/corpus");
    uint64_t added = 0;
    int r = dir && corpus ? fuzz_untar(tar, dir, err) : err_nomem(err);
    if (r == 0)
        r = corpus_take(&c->corpus, corpus, NULL, NULL, &added, err);
    if (r == 0)
        r = load_bugs(c, dir, programs, err);
    c->remembered += added;
    if (dir)
        os_remove_tree(dir, NULL);
    return r;
}

int memory_load(struct campaign *c, struct err *err)
{
    const json_t *list = module_remembered(c->ctx);
    _cleanup_json_ json_t *programs = NULL;
    size_t i;
    json_t *one;
    c->affected = true;
    int r = json_array_size(list) ? programs_json(c, &programs, err) : 0;
    json_array_foreach((json_t *)(uintptr_t)list, i, one) {
        struct err why = {0};
        const char *path = json_str(one, "path", NULL);
        if (r == 0 && path && load_one(c, path, programs, &why) < 0) {
            if (why.code == ERR_NO_SPACE || why.code == ERR_NO_MEMORY)
                r = err_copy(err, &why);
            else
                module_log(c->ctx, "warning", "what an earlier run has left cannot be read, and stays as it is: %s", why.msg);
            c->unread = true;
        }
    }
    for (size_t b = 0; b < c->bugs.len; b++)
        memory_match(c, (int)b);
    if (r == 0 && json_array_size(list))
        module_log(c->ctx, "info", "earlier runs have left %llu input%s and %zu bug%s", (unsigned long long)c->remembered,
                   UNITS_S(c->remembered), c->known_bugs.len, UNITS_S(c->known_bugs.len));
    return r;
}

/* --- after ------------------------------------------------------------------------------------------------ */

enum bug_novelty memory_novelty(const struct campaign *c, const struct bug *b)
{
    if (b->known < 0)
        return BUG_NEW;
    const struct known_bug *k = &c->known_bugs.v[b->known];
    if (k->fixed)
        return BUG_BACK;
    if (strcmp(k->since, module_run_id(c->ctx)) != 0)
        return BUG_STILL;
    return k->back ? BUG_BACK : BUG_NEW; /* an attempt before this one has left it */
}

const char *memory_novelty_name(enum bug_novelty n)
{
    static const char *const names[] = {"new", "still there", "came back"};
    return names[n];
}

bool memory_is_fixed(const struct known_bug *k)
{
    return !k->found && (k->fixed || k->mended || (k->open == 0 && k->replays > 0));
}

void memory_identity(const struct campaign *c, const struct bug *b, char ret[65])
{
    const struct known_bug *k = b->known >= 0 ? &c->known_bugs.v[b->known] : NULL;
    char rule[CRASH_RULE_MAX], context[800];
    crash_rule_id(b->verdict.type, rule);
    snprintf(context, sizeof context, "%s\n%s%s", rule, b->verdict.state, b->verdict.thrown);
    if (k && k->identity[0])
        snprintf(ret, 65, "%s", k->identity);
    else
        fuzz_text_digest(context, ret);
}

/* A file of crashes/ for the archive; a minimised one under the name of its content. */
static void add_input(const struct campaign *c, const char *file, const char *name, json_t *inputs, struct strbuf *list)
{
    struct stat st;
    _cleanup_free_ char *from = os_path_join(c->crashes_dir, file), *to = os_path_join(c->crashes_dir, name);
    if (json_array_size(inputs) >= INPUTS_OF_BUG || !from || !to || stat(from, &st) < 0 || (uint64_t)st.st_size > INPUT_BYTES_MAX)
        return;
    if (strcmp(file, name) != 0 && fuzz_copy_file(from, to, INPUT_BYTES_MAX, NULL, NULL, NULL) < 0)
        return;
    json_array_append_new(inputs, json_string(name));
    strbuf_printf(list, "crashes/%s\n", name);
}

static json_t *bug_json(const struct campaign *c, const struct bug *b, struct strbuf *list)
{
    const struct known_bug *k = b->known >= 0 ? &c->known_bugs.v[b->known] : NULL;
    enum bug_novelty novelty = memory_novelty(c, b);
    json_t *inputs = json_array();
    char identity[65], name[CAMPAIGN_NAME_MAX], min[CAMPAIGN_NAME_MAX + 8];
    memory_identity(c, b, identity);
    snprintf(name, sizeof name, "%s-%.40s", fuzz_fault_name(b->fault), b->sha256);
    snprintf(min, sizeof min, "min-%s", b->input);
    if (b->minimised)
        add_input(c, min, name, inputs, list);
    add_input(c, b->input, b->input, inputs, list);
    for (size_t i = 0; i < c->inputs.len; i++) {
        const struct crash_input *in = &c->inputs.v[i];
        if (in->bug == (int)(b - c->bugs.v) && !in->packed && strcmp(in->name, b->input) != 0)
            add_input(c, in->name, in->name, inputs, list);
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:o}", "type", b->verdict.type, "state", b->verdict.state,
                     "thrown", b->verdict.thrown, "title",
                     b->verdict.title, "identity", identity, "engine", c->drivers[b->engine]->name, "since",
                     k && novelty == BUG_STILL ? k->since : module_run_id(c->ctx), "fixed", 0, "back", novelty == BUG_BACK,
                     "inputs", inputs);
}

/* Fixed, or not looked at. */
static json_t *known_json(const struct campaign *c, const struct known_bug *k, struct strbuf *list)
{
    size_t i;
    json_t *name, *inputs = json_array();
    json_array_foreach(k->inputs, i, name)
        if (json_is_string(name))
            add_input(c, json_string_value(name), json_string_value(name), inputs, list);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:o}", "type", k->type, "state", k->state, "thrown",
                     k->thrown, "title", k->title, "identity", k->identity, "engine", k->engine, "since", k->since, "fixed_in",
                     k->fixed ? k->fixed_in : module_run_id(c->ctx), "fixed", memory_is_fixed(k), "back", k->back, "inputs",
                     inputs);
}

static json_t *bugs_json(const struct campaign *c, struct strbuf *list)
{
    json_t *bugs = json_array();
    VEC_EACH(&c->bugs, b)
        json_array_append_new(bugs, bug_json(c, b, list));
    for (int fixed = 0; fixed < 2; fixed++) /* the fixed ones if there is room */
        VEC_EACH(&c->known_bugs, k)
            if (!k->found && memory_is_fixed(k) == fixed && json_array_size(bugs) < CAMPAIGN_BUGS_MAX)
                json_array_append_new(bugs, known_json(c, k, list));
    return bugs;
}

static int write_text(const char *dir, const char *name, const struct strbuf *text, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(dir, name);
    int r = strbuf_check(text, err);
    return r < 0 ? r : path ? os_write_file_atomic(path, text->s, text->len, 0644, err) : err_nomem(err);
}

/* It takes the place of what earlier runs have left, so it must have all of that in it. */
int memory_keep(struct campaign *c, struct err *err)
{
    struct strbuf list = STRBUF_INIT, text = STRBUF_INIT_MAX(BUGS_BYTES_MAX);
    _cleanup_free_ char *tar = os_path_join(c->base, MODULE_MEMORY_FILE), *names = os_path_join(c->base, "memory.list");
    _cleanup_json_ json_t *programs = NULL, *doc = NULL;
    if (!json_object_get(c->input, "memory") || c->unread)
        return 0;
    int r = tar && names ? programs_json(c, &programs, err) : err_nomem(err);
    if (r == 0)
        doc = json_pack("{s:O, s:s, s:b, s:o}", "programs", programs, "run", module_run_id(c->ctx), "affected", c->affected,
                        "bugs", bugs_json(c, &list));
    strbuf_puts(&list, BUGS_FILE "\n");
    MAP_EACH(&c->corpus.names, e)
        strbuf_printf(&list, "corpus/%s\n", e->key);
    if (r == 0)
        r = doc ? json_write(doc, &text, err) : err_nomem(err);
    if (r == 0)
        r = write_text(c->base, BUGS_FILE, &text, err);
    if (r == 0)
        r = write_text(c->base, "memory.list", &list, err);
    if (r == 0)
        r = fuzz_tar(tar, c->base, names, err);
    if (r == 0)
        module_keep(c->ctx, tar, MODULE_MEMORY_FILE);
    strbuf_release(&list);
    strbuf_release(&text);
    return r;
}
