/* Workflow folders on disk: found, refused with file and line, shadowed, reloaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/file.h"
#include "toolbox/toolbox_internal.h"

#include <string.h>

static char *root;

static int setup(void **state)
{
    return os_temp_dir("/tmp", "ff-toolbox-", &root, NULL);
}

static int teardown(void **state)
{
    os_remove_tree(root, NULL);
    free(root);
    return 0;
}

static void put(const char *place, const char *name, const char *metadata, const char *script)
{
    char *dir = mem_printf("%s/%s/workflows/%s", root, place, name);
    char *m = mem_printf("%s/metadata.yaml", dir), *s = mem_printf("%s/workflow.lua", dir);
    assert_int_equal(os_mkdirs(dir, 0755, NULL), 0);
    if (metadata)
        assert_int_equal(os_write_file_atomic(m, metadata, strlen(metadata), 0644, NULL), 0);
    if (script)
        assert_int_equal(os_write_file_atomic(s, script, strlen(script), 0644, NULL), 0);
    free(dir);
    free(m);
    free(s);
}

static struct toolbox *open_at(const char *a, const char *b, const char *project)
{
    char *da = mem_printf("%s/%s", root, a), *db = mem_printf("%s/%s", root, b), *dp = mem_printf("%s/%s", root, project);
    const char *dirs[] = {da, NULL};
    const struct toolbox_options o = {.dirs = dirs, .installed_dir = db, .project_dir = dp};
    struct toolbox *t;
    assert_int_equal(toolbox_open(&o, &t, NULL), 0);
    free(da);
    free(db);
    free(dp);
    return t;
}

#define OK_SCRIPT "return function(input) return {} end\n"

static void test_find(void **state)
{
    put("a", "scan", "name: scan\nversion: \"1.0.0\"\nvertical: python\ndescription: d\ntags: [x, y]\n"
                     "workspace_isolation: shared\ntimeout: 10m\nresources: {memory: 256M, cpu: 10m, pids: 10}\n"
                     "network: loopback\nparameters:\n  type: object\n  properties:\n    depth: {type: integer, default: 3}\n"
                     "    names: {type: array, items: {type: string}}\n    deep: {type: object, properties: {x: {type: boolean}}}\n"
                     "default_parameters: {depth: 5}\n",
        OK_SCRIPT);
    struct toolbox *t = open_at("a", "none", "none");
    struct workflow_def *d;
    struct err err = {0};
    assert_int_equal(toolbox_find(t, "scan", &d, &err), 0);
    assert_string_equal(d->version, "1.0.0");
    assert_string_equal(d->vertical, "python");
    assert_string_equal(d->isolation, "shared");
    assert_string_equal(d->network, "loopback");
    assert_int_equal(d->timeout_ms, 600000);
    assert_int_equal(json_i64(d->resources, "memory", 0), 256 << 20);
    assert_int_equal(json_i64(d->resources, "cpu", 0), 600);
    assert_string_equal(d->script, OK_SCRIPT);
    assert_int_equal(strlen(d->script_ref), 71);
    json_t *given = json_object(), *all = NULL;
    assert_int_equal(workflow_def_set_text(d, given, "names=a,b", &err), 0);
    assert_int_equal(workflow_def_set_text(d, given, "deep.x=yes", &err), 0);
    assert_int_equal(workflow_def_parameters(d, given, &all, &err), 0);
    struct strbuf b = STRBUF_INIT;
    json_write_canonical(all, &b, NULL);
    assert_string_equal(strbuf_str(&b), "{\"deep\":{\"x\":true},\"depth\":5,\"names\":[\"a\",\"b\"]}");
    strbuf_release(&b);
    assert_int_equal(workflow_def_set_text(d, given, "dpeth=1", &err), -ERR_INVALID);
    assert_string_equal(err.msg, "unknown parameter 'dpeth': did you mean 'depth'?");
    assert_int_equal(workflow_def_set_text(d, given, "zzz=1", &err), -ERR_INVALID);
    assert_string_equal(err.msg, "unknown parameter 'zzz': there are depth, names, deep");
    assert_int_equal(workflow_def_set_text(d, given, "deep.y=1", &err), -ERR_INVALID);
    assert_int_equal(workflow_def_set_text(d, given, "depth=x", &err), -ERR_INVALID);
    assert_int_equal(workflow_def_set_text(d, given, "nonsense", &err), -ERR_INVALID);
    json_decref(given);
    json_decref(all);
    workflow_def_free(d);
    assert_int_equal(toolbox_find(t, "scam", &d, &err), -ERR_NOT_FOUND);
    assert_string_equal(err.msg, "no workflow 'scam': did you mean 'scan'?");
    assert_int_equal(toolbox_find(t, "../a/workflows/scan", &d, &err), -ERR_NOT_FOUND);
    /* hot reload */
    put("a", "scan", "name: scan\nversion: \"2\"\n", OK_SCRIPT);
    assert_int_equal(toolbox_find(t, "scan", &d, &err), 0);
    assert_string_equal(d->version, "2");
    assert_string_equal(d->vertical, "default");
    workflow_def_free(d);
    toolbox_free(t);
}

static void test_broken(void **state)
{
    static const struct {
        const char *metadata, *script, *want;
    } cases[] = {
        {"name: bad\nversion: \"1\"\n", "return function(i)\n local x = = 1 end", "workflow.lua:2: unexpected symbol near '='"},
        {"name: bad\nversion: \"1\"\n", NULL, "workflow.lua: is missing"},
        {NULL, OK_SCRIPT, "metadata.yaml: is missing"},
        {"name: bad\nversion: \"1\"\nverical: x\n", OK_SCRIPT, "metadata.yaml:3: unknown key 'verical': did you mean 'vertical'?"},
        {"name: bad\nversion: 1.0\n", OK_SCRIPT, "metadata.yaml:2: 'version' must be a string: put it into quotes"},
        {"name: other\nversion: \"1\"\n", OK_SCRIPT, "metadata.yaml:1: name 'other' is not that of its folder, 'bad'"},
        {"name: bad\n", OK_SCRIPT, "metadata.yaml:1: 'version' is missing"},
        {"name: bad\nversion: [\n", OK_SCRIPT, "metadata.yaml:3:"},
        {"name: bad\nversion: \"1\"\nparameters:\n  properties:\n    a: {typ: string}\n", OK_SCRIPT,
         "metadata.yaml:5: parameters: unknown schema keyword 'typ': did you mean 'type'?"},
        {"name: bad\nversion: \"1\"\ntimeout: soon\n", OK_SCRIPT, "metadata.yaml:3: 'timeout' must be a time"},
        {"name: bad\nversion: \"1\"\nresources:\n  memory: much\n", OK_SCRIPT, "metadata.yaml:4: 'resources.memory' must be a size"},
        {"name: bad\nversion: \"1\"\nresources:\n  memroy: 1G\n", OK_SCRIPT, "did you mean 'memory'?"},
        {"name: bad\nversion: \"1\"\nnetwork: some\n", OK_SCRIPT, "must be one of none, loopback, full"},
        {"name: bad\nversion: \"1\"\nworkspace_isolation: isolatd\n", OK_SCRIPT, "must be one of isolated"},
        {"name: bad\nversion: \"1\"\nparameters: {properties: {a: {type: integer}}}\ndefault_parameters: {a: x}\n", OK_SCRIPT,
         "metadata.yaml:4: default_parameters: parameter 'a': \"x\" is no integer"},
        {"- a\n", OK_SCRIPT, "must be a mapping"},
        {"name: bad\nversion: \"1\"\n", "\033Lua", "workflow.lua"},
        {"name: bad\nversion: \"1\"\nscript: gone\n", NULL, "workflows/gone/workflow.lua: is missing"},
        {"name: bad\nversion: \"1\"\nscript: gone\n", OK_SCRIPT, "bad/workflow.lua: is here though"},
        {"name: bad\nversion: \"1\"\nscript: ../x\n", NULL, "metadata.yaml:3: script '../x' is no name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        struct workflow_def *d = NULL, **list;
        size_t n;
        put("b", "bad", cases[i].metadata, cases[i].script);
        struct toolbox *t = open_at("b", "none", "none");
        assert_int_equal(toolbox_find(t, "bad", &d, &err), -ERR_INVALID);
        if (!strstr(err.msg, cases[i].want))
            fail_msg("'%s' does not say '%s'", err.msg, cases[i].want);
        assert_int_equal(toolbox_list(t, &list, &n, &err), 0);
        assert_int_equal(n, 1);
        assert_true(list[0]->broken);
        assert_string_equal(list[0]->name, "bad");
        toolbox_list_free(list, n);
        toolbox_free(t);
        char *dir = mem_printf("%s/b", root);
        os_remove_tree(dir, NULL);
        free(dir);
    }
}

/* One script for several workflows: what it says now, whenever the borrower is asked for. */
static void test_borrowed_script(void **state)
{
    struct workflow_def *d;
    put("s", "lends", "name: lends\nversion: \"1\"\n", OK_SCRIPT);
    put("s", "uses", "name: uses\nversion: \"2\"\nscript: lends\n", NULL);
    struct toolbox *t = open_at("s", "none", "none");
    for (int i = 0; i < 3; i++) {
        const char *script = i < 1 ? OK_SCRIPT : "return function(input) return 12 end\n"; /* of the same size */
        put("s", "lends", NULL, script);
        assert_int_equal(toolbox_find(t, "uses", &d, NULL), 0);
        assert_string_equal(d->script, script);
        assert_string_equal(d->version, "2");
        workflow_def_free(d);
    }
    toolbox_free(t);
}

static void test_precedence(void **state)
{
    put("high", "w", "name: w\nversion: \"high\"\n", OK_SCRIPT);
    put("low", "w", "name: w\nversion: \"low\"\n", OK_SCRIPT);
    put("low", "x", "name: x\nversion: \"low\"\n", OK_SCRIPT);
    put("project", "x", "name: x\nversion: \"project\"\n", OK_SCRIPT);
    put("project", "own", "name: own\nversion: \"project\"\n", OK_SCRIPT);
    struct toolbox *t = open_at("high", "low", "project");
    struct workflow_def **list;
    size_t n;
    assert_int_equal(toolbox_list(t, &list, &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_string_equal(list[0]->name, "own");
    assert_true(list[0]->untrusted);
    assert_string_equal(list[1]->version, "high");
    assert_string_equal(list[2]->version, "low"); /* not the project's: it is not trusted */
    toolbox_list_free(list, n);
    toolbox_free(t);
    char *dir = mem_printf("%s/project", root);
    const struct toolbox_options o = {.project_dir = dir, .project_trusted = true, .env = "/nowhere::/else"};
    assert_int_equal(toolbox_open(&o, &t, NULL), 0);
    struct workflow_def *d;
    assert_int_equal(toolbox_find(t, "x", &d, NULL), 0);
    assert_string_equal(d->version, "project");
    assert_false(d->untrusted);
    assert_string_equal(toolbox_search_path(t)[1], "/nowhere/workflows");
    assert_string_equal(toolbox_search_path(t)[2], "/else/workflows");
    workflow_def_free(d);
    toolbox_free(t);
    free(dir);
}

static void test_skeleton(void **state)
{
    char *m, *s;
    struct workflow_def *d;
    assert_int_equal(toolbox_skeleton("fresh", &m, &s, NULL), 0);
    put("new", "fresh", m, s);
    free(m);
    free(s);
    char *dir = mem_printf("%s/new/workflows/fresh", root);
    struct err err = {0};
    assert_int_equal(toolbox_load_dir(dir, &d, &err), 0);
    if (workflow_def_error(d, &err) < 0)
        fail_msg("%s", err.msg);
    workflow_def_free(d);
    free(dir);
    assert_int_equal(toolbox_skeleton("../x", &m, &s, &err), -ERR_INVALID);
    assert_int_equal(toolbox_load_dir("/nowhere/at/all", &d, &err), -ERR_NOT_FOUND);
}

/* What was read is kept until one of the files changes; one that changed just now is not trusted yet. */
static void test_kept(void **state)
{
    struct def_cache c = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct def_cache_stamp fresh, stamp, later;
    struct workflow_def *d, *kept;
    put("k", "w", "name: w\nversion: \"1\"\ntags: [a]\ndefault_parameters: {n: 1}\n", OK_SCRIPT);
    char *dir = mem_printf("%s/k/workflows/w", root);
    assert_false(def_cache_stamp(dir, &fresh));
    while (!def_cache_stamp(dir, &stamp))
        os_sleep_ms(50);
    assert_int_equal(toolbox_load_dir(dir, &d, NULL), 0);
    assert_null(def_cache_get(&c, dir, &stamp));
    def_cache_put(&c, dir, &stamp, d);
    kept = def_cache_get(&c, dir, &stamp);
    assert_non_null(kept);
    assert_string_equal(kept->script, OK_SCRIPT);
    assert_string_equal(kept->version, "1");
    assert_true(json_equal(kept->default_parameters, d->default_parameters) && kept->tags != d->tags);
    workflow_def_free(kept);
    workflow_def_free(d);
    put("k", "w", NULL, "return function(input) return 12 end\n"); /* of the same size */
    while (!def_cache_stamp(dir, &later))
        os_sleep_ms(50);
    assert_null(def_cache_get(&c, dir, &later));
    def_cache_release(&c);
    free(dir);
    /* The same by the way that everybody goes. */
    struct toolbox *t = open_at("k", "none", "none");
    for (int i = 0; i < 4; i++) {
        assert_int_equal(toolbox_find(t, "w", &d, NULL), 0);
        assert_string_equal(d->script, i < 2 ? "return function(input) return 12 end\n" : OK_SCRIPT);
        workflow_def_free(d);
        if (i == 1)
            put("k", "w", NULL, OK_SCRIPT);
    }
    toolbox_free(t);
}

/* Each allocation of ours fails in turn: an error each time, or all is read. */
static void test_memory(void **state)
{
    put("m", "w", "name: w\nversion: \"1\"\ntags: [a]\nresources: {memory: 1G}\nparameters: {properties: {a: {type: integer}}}\n",
        OK_SCRIPT);
    put("m", "bad", "name: bad\nversoin: \"1\"\n", OK_SCRIPT);
    for (long n = 1;; n++) {
        struct toolbox *t = open_at("m", "none", "none");
        struct workflow_def *d = NULL, **list = NULL;
        size_t count = 0;
        struct err err = {0};
        mem_fault_set(n, 0);
        int r = toolbox_list(t, &list, &count, &err);
        if (r == 0 && !mem_fault_hit())
            r = toolbox_find(t, "w", &d, &err);
        bool hit = mem_fault_hit();
        mem_fault_set(0, 0);
        if (r < 0)
            assert_int_equal(r, -ERR_NO_MEMORY);
        else
            assert_int_equal(count, 2);
        toolbox_list_free(list, count);
        workflow_def_free(d);
        toolbox_free(t);
        if (!hit) {
            assert_int_equal(r, 0);
            break;
        }
        assert_true(n < 5000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find), cmocka_unit_test(test_broken), cmocka_unit_test(test_borrowed_script), cmocka_unit_test(test_precedence), cmocka_unit_test(test_kept),
        cmocka_unit_test(test_skeleton), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
