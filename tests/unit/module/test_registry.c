/* Finding modules: folders, their mistakes with file and line, precedence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "module/registry.h"
#include "os/fault.h"
#include "os/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int run_nothing(struct module_ctx *ctx, struct err *err)
{
    return 0;
}

static const char *const tags[] = {"a", "b", NULL};
static const struct module one = {.name = "file_scanner", .version = "1.0", .description = "built in",
                                  .category = MODULE_SCANNER, .tags = tags,
                                  .input_schema = "{\"type\":\"object\"}", .requires_workspace = true,
                                  .run = run_nothing};
static const struct module two = {.name = "reporter", .version = "1.0", .description = "d", .run = run_nothing};
static const struct module *const builtins[] = {&one, &two, NULL};

struct lab {
    char *a, *b;
    struct module_registry *registry;
};

static int setup(void **state)
{
    struct lab *l = calloc(1, sizeof *l);
    assert_int_equal(os_temp_dir("/tmp", "ff-reg-", &l->a, NULL), 0);
    assert_int_equal(os_temp_dir("/tmp", "ff-reg-", &l->b, NULL), 0);
    const char *dirs[] = {l->a, l->b, "/nonexistent/modules", NULL};
    assert_int_equal(module_registry_new(builtins, dirs, &l->registry, NULL), 0);
    *state = l;
    return 0;
}

static int teardown(void **state)
{
    struct lab *l = *state;
    module_registry_free(l->registry);
    os_remove_tree(l->a, NULL);
    os_remove_tree(l->b, NULL);
    free(l->a);
    free(l->b);
    free(l);
    return 0;
}

static void put_file(const char *dir, const char *name, const char *file, const char *text, mode_t mode)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(os_mkdirs(path, 0755, NULL), 0);
    snprintf(path, sizeof path, "%s/%s/%s", dir, name, file);
    unlink(path);
    assert_int_equal(os_write_file_atomic(path, text, strlen(text), mode, NULL), 0);
    assert_int_equal(chmod(path, mode), 0);
}

#define HEAD(name) "name: " name "\nversion: \"1.0.0\"\ncategory: tool\ndescription: \"x\"\n"

static void test_executable(void **state)
{
    struct lab *l = *state;
    put_file(l->b, "probe", "run", "#!/bin/sh\n", 0755);
    put_file(l->b, "probe", "module.yaml",
             HEAD("probe") "tags: [x, y]\nrequires_workspace: false\nexec: [\"./run\", \"--fast\"]\n"
                           "input_schema: {type: object}\noutput_schema: {type: object}\n", 0644);
    struct module_def d;
    struct err err = {0};
    if (module_registry_find(l->registry, "probe", &d, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(d.kind, MODULE_EXECUTABLE);
    assert_string_equal(d.argv[0], "/module/run");
    assert_string_equal(d.argv[1], "--fast");
    assert_null(d.argv[2]);
    assert_null(d.entry);
    assert_string_equal(d.tags[1], "y");
    assert_false(d.requires_workspace);
    assert_true(json_is_object(d.input_schema) && json_is_object(d.output_schema));
    assert_int_equal(d.category, MODULE_TOOL);
    assert_non_null(strstr(d.dir, "/probe"));
    module_def_release(&d);
    put_file(l->b, "sys", "module.yaml", HEAD("sys") "exec: [/usr/bin/env]\n", 0644);
    assert_int_equal(module_registry_find(l->registry, "sys", &d, &err), 0);
    assert_string_equal(d.argv[0], "/usr/bin/env");
    assert_true(d.requires_workspace);
    assert_null(d.tags[0]);
    module_def_release(&d);
}

static void test_library(void **state)
{
    struct lab *l = *state;
    put_file(l->a, "lib", "x.so", "", 0644);
    put_file(l->a, "lib", "module.yaml", HEAD("lib") "library: ./x.so\n", 0644);
    struct module_def d;
    assert_int_equal(module_registry_find(l->registry, "lib", &d, NULL), 0);
    assert_int_equal(d.kind, MODULE_SHARED_OBJECT);
    assert_string_equal(d.library, "x.so");
    assert_string_equal(d.entry, "so:x.so");
    module_def_release(&d);
}

static void test_builtin(void **state)
{
    struct lab *l = *state;
    struct module_def d;
    assert_int_equal(module_registry_find(l->registry, "file_scanner", &d, NULL), 0);
    assert_int_equal(d.kind, MODULE_BUILTIN);
    assert_ptr_equal(d.builtin, &one);
    assert_string_equal(d.entry, "file_scanner");
    assert_string_equal(d.tags[1], "b");
    assert_string_equal(json_string_value(json_object_get(d.input_schema, "type")), "object");
    module_def_release(&d);
    assert_ptr_equal(module_registry_builtin(l->registry, "reporter"), &two);
    assert_null(module_registry_builtin(l->registry, "reporte"));
}

/* A mistake is told with the file, the line and the reason, by find and by list. */
static void expect_broken(struct lab *l, const char *yaml, const char *words)
{
    put_file(l->a, "probe", "module.yaml", yaml, 0644);
    struct module_def d;
    struct err err = {0};
    assert_int_equal(module_registry_find(l->registry, "probe", &d, &err), -ERR_INVALID);
    if (!strstr(err.msg, words))
        fail_msg("'%s' does not say '%s'", err.msg, words);
    struct module_def *all;
    size_t n;
    assert_int_equal(module_registry_list(l->registry, &all, &n, &err), 0);
    assert_int_equal(n, 3);
    assert_string_equal(all[1].name, "probe");
    assert_non_null(strstr(all[1].broken, words));
    assert_null(all[1].version);
    assert_null(all[1].argv);
    assert_null(all[0].broken);
    for (size_t i = 0; i < n; i++)
        module_def_release(&all[i]);
    free(all);
}

static void test_broken(void **state)
{
    struct lab *l = *state;
    put_file(l->a, "probe", "run", "#!/bin/sh\n", 0755);
    put_file(l->a, "probe", "data", "x", 0644);
#define EXEC "exec: [./run]\n"
    expect_broken(l, "", "module.yaml:1: a mapping");
    expect_broken(l, "- x\n", "module.yaml:1: a mapping");
    expect_broken(l, HEAD("probe") "descr: [\n", "module.yaml:6:");
    expect_broken(l, HEAD("probe") EXEC "descripton: x\n", "module.yaml:6: unknown key 'descripton', did you mean 'description'?");
    expect_broken(l, HEAD("probe") EXEC "a/b~c: x\n", "module.yaml:6: unknown key 'a/b~c'");
    expect_broken(l, HEAD("prob") EXEC, "module.yaml:1: the name 'prob' is not that of its folder, 'probe'");
    expect_broken(l, "name: probe\nversion: 1.0\n", "module.yaml:2: 'version' must be a string");
    expect_broken(l, "name: probe\nversion: \"1\"\ncategory: scaner\n", "module.yaml:3: unknown category 'scaner'");
    expect_broken(l, "name: probe\nversion: \"1\"\ncategory: tool\n" EXEC, "'description' is missing");
    expect_broken(l, HEAD("probe"), "'exec' (a program) or 'library' (a shared object) is missing");
    expect_broken(l, HEAD("probe") EXEC "library: data\n", "exclude each other");
    expect_broken(l, HEAD("probe") "exec: ./run\n", "module.yaml:5: 'exec' must be a list");
    expect_broken(l, HEAD("probe") "exec: []\n", "names no program");
    expect_broken(l, HEAD("probe") "exec:\n  - ./run\n  - 7\n", "module.yaml:7: entry 2 of 'exec'");
    expect_broken(l, HEAD("probe") "exec: [../run]\n", "leads out");
    expect_broken(l, HEAD("probe") "exec: [a/../../run]\n", "leads out");
    expect_broken(l, HEAD("probe") "exec: [python3]\n", "'python3' is no file in the module's folder");
    expect_broken(l, HEAD("probe") "exec: [./data]\n", "'data' is not executable");
    expect_broken(l, HEAD("probe") "library: /usr/lib/x.so\n", "leads out");
    expect_broken(l, HEAD("probe") "library: absent.so\n", "no file");
    expect_broken(l, HEAD("probe") EXEC "input_schema: 7\n", "JSON Schema");
    expect_broken(l, HEAD("probe") EXEC "requires_workspace: maybe\n", "true or false");
    expect_broken(l, HEAD("probe") EXEC "tags: [[x]]\n", "entry 1 of 'tags'");
    expect_broken(l, HEAD("probe") EXEC "name: probe\n", "module.yaml:6: key 'name' is there twice");
    char path[512];
    snprintf(path, sizeof path, "%s/probe/module.yaml", l->a);
    unlink(path);
    struct module_def d;
    struct err err = {0};
    assert_int_equal(module_registry_find(l->registry, "probe", &d, &err), -ERR_INVALID);
    assert_non_null(strstr(err.msg, "module.yaml:1: there is no such file"));
    assert_int_equal(mkfifo(path, 0644), 0);
    assert_int_equal(module_registry_find(l->registry, "probe", &d, &err), -ERR_INVALID);
}

static void test_not_found(void **state)
{
    struct lab *l = *state;
    struct module_def d;
    struct err err = {0};
    assert_int_equal(module_registry_find(l->registry, "file_scaner", &d, &err), -ERR_NOT_FOUND);
    assert_string_equal(err.hint, "did you mean 'file_scanner'?");
    static const char *const odd[] = {"", "../reporter", "a/b", "A", ".", "..",
                                      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < 7; i++) {
        assert_false(module_name_valid(odd[i]));
        assert_int_equal(module_registry_find(l->registry, odd[i], &d, &err), -ERR_NOT_FOUND);
    }
    assert_int_equal(module_registry_find(l->registry, "zzz", &d, NULL), -ERR_NOT_FOUND);
}

static void test_precedence(void **state)
{
    struct lab *l = *state;
    put_file(l->a, "mine", "module.yaml", HEAD("mine") "exec: [/bin/a]\n", 0644);
    put_file(l->b, "mine", "module.yaml", HEAD("mine") "exec: [/bin/b]\n", 0644);
    put_file(l->b, "file_scanner", "module.yaml", HEAD("file_scanner") "exec: [/bin/b]\n", 0644);
    put_file(l->b, "Bad Name", "module.yaml", HEAD("Bad Name") "exec: [/bin/b]\n", 0644);
    put_file(l->b, ".hidden", "module.yaml", "x", 0644);
    put_file(l->b, ".", "README", "x", 0644);
    struct module_def *all, d;
    size_t n;
    assert_int_equal(module_registry_list(l->registry, &all, &n, NULL), 0);
    assert_int_equal(n, 6);
    assert_string_equal(all[0].name, "Bad Name");
    assert_non_null(all[0].broken);
    assert_string_equal(all[1].name, "file_scanner");
    assert_null(all[1].shadowed_by);
    assert_string_equal(all[2].name, "file_scanner");
    assert_string_equal(all[2].shadowed_by, "built in");
    assert_null(all[3].shadowed_by);
    assert_non_null(strstr(all[4].shadowed_by, l->a));
    for (size_t i = 0; i < n; i++)
        module_def_release(&all[i]);
    free(all);
    assert_int_equal(module_registry_find(l->registry, "mine", &d, NULL), 0);
    assert_string_equal(d.argv[0], "/bin/a");
    module_def_release(&d);
}

/* A folder dropped in is there at the next look-up; so is a change. */
static void test_at_once(void **state)
{
    struct lab *l = *state;
    struct module_def d;
    assert_int_equal(module_registry_find(l->registry, "late", &d, NULL), -ERR_NOT_FOUND);
    put_file(l->b, "late", "module.yaml", HEAD("late") "exec: [/bin/a]\n", 0644);
    assert_int_equal(module_registry_find(l->registry, "late", &d, NULL), 0);
    module_def_release(&d);
    put_file(l->b, "late", "module.yaml", HEAD("late") "exec: [/bin/c]\n", 0644);
    assert_int_equal(module_registry_find(l->registry, "late", &d, NULL), 0);
    assert_string_equal(d.argv[0], "/bin/c");
    module_def_release(&d);
}

static void list_once(struct lab *l, int *ret, size_t *ret_n, size_t *ret_broken)
{
    struct module_def *all = NULL;
    struct err err = {0};
    *ret_n = *ret_broken = 0;
    *ret = module_registry_list(l->registry, &all, ret_n, &err);
    for (size_t i = 0; *ret == 0 && i < *ret_n; i++) {
        *ret_broken += all[i].broken != NULL;
        module_def_release(&all[i]);
    }
    free(all);
}

static void test_faults(void **state)
{
    struct lab *l = *state;
    put_file(l->b, "probe", "run", "#!/bin/sh\n", 0755);
    put_file(l->b, "probe", "module.yaml", HEAD("probe") "tags: [x]\nexec: [./run]\ninput_schema: {type: object}\n", 0644);
    put_file(l->a, "broken", "module.yaml", "nope: 1\n", 0644);
    int r;
    size_t n, broken;
    list_once(l, &r, &n, &broken);
    assert_int_equal(n, 4);
    assert_int_equal(broken, 1);
    for (long k = 1;; k++) {
        mem_fault_set(k, 0);
        list_once(l, &r, &n, &broken);
        int hit = mem_fault_hit();
        mem_fault_set(0, 0);
        assert_true(r == 0 || (hit && r == -ERR_NO_MEMORY));
        if (!hit)
            break;
        assert_int_equal(r, -ERR_NO_MEMORY);
        assert_true(k < 2000);
    }
    for (long k = 1;; k++) { /* what cannot be read is listed as broken, the rest stays */
        os_fault_set(k, EIO, false, NULL);
        list_once(l, &r, &n, &broken);
        bool hit = os_fault_hit();
        os_fault_set(0, 0, false, NULL);
        assert_int_equal(r, 0);
        if (!hit)
            break;
        assert_true(broken >= 1 && n >= 3);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_executable), T(test_library),    T(test_builtin), T(test_broken),
        T(test_not_found),  T(test_precedence), T(test_at_once), T(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
