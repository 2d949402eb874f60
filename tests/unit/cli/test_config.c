/* Settings: their order, what an untrusted project may say, and what is wrong with a value. */
#include "cli/config.h"
#include "os/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char *root;

static void put(const char *name, const char *text)
{
    char *path = os_path_join(root, name), *slash = strrchr(path, '/');
    *slash = 0;
    assert_int_equal(os_mkdirs(path, 0755, NULL), 0);
    *slash = '/';
    assert_int_equal(os_write_file_atomic(path, text, strlen(text), 0644, NULL), 0);
    free(path);
}

static int setup(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(os_temp_dir("/tmp", "ff-config-", &root, &err), 0);
    assert_int_equal(chdir(root), 0);
    setenv("HOME", root, 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("S3_BUCKET");
    unsetenv("FF_STATE_DIR");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(os_remove_tree(root, NULL), 0);
    free(root);
    return 0;
}

static void test_order(void **state)
{
    (void)state;
    struct config c;
    struct err err = {0};
    put(".config/fuzzforge/config.yaml", "s3:\n  bucket: user\n  region: user\nengine: embedded\n");
    put("extra.yaml", "s3: {bucket: file}\n");
    assert_int_equal(config_load(&c, NULL, &err), 0);
    assert_string_equal(config_get(&c, CONFIG_s3_bucket), "user");
    assert_non_null(strstr(config_source(&c, CONFIG_s3_bucket), "config.yaml"));
    assert_string_equal(config_source(&c, CONFIG_store), "default");
    config_release(&c);
    assert_int_equal(config_load(&c, "extra.yaml", &err), 0);
    assert_string_equal(config_get(&c, CONFIG_s3_bucket), "file");
    assert_string_equal(config_get(&c, CONFIG_s3_region), "user");
    config_release(&c);
    setenv("S3_BUCKET", "env", 1);
    assert_int_equal(config_load(&c, "extra.yaml", &err), 0);
    assert_string_equal(config_get(&c, CONFIG_s3_bucket), "env");
    assert_string_equal(config_source(&c, CONFIG_s3_bucket), "environment S3_BUCKET");
    config_release(&c);
}

static void test_untrusted_project_only_tightens(void **state)
{
    (void)state;
    struct config c;
    struct err err = {0};
    char *dir;
    put(".fuzzforge/config.yaml", "server: {url: 'http://evil.example'}\nsandbox: {require: true}\n");
    assert_int_equal(config_load(&c, NULL, &err), 0);
    assert_non_null(c.project);
    assert_false(c.project_trusted);
    assert_true(c.project_ignored);
    assert_string_equal(config_get(&c, CONFIG_server_url), "");
    assert_string_equal(config_get(&c, CONFIG_sandbox_require), "true");
    assert_int_equal(config_state_dir(&c, &dir, &err), 0);
    assert_null(strstr(dir, ".fuzzforge")); /* its state is not opened either */
    free(dir);
    config_release(&c);
    assert_int_equal(config_trust(".fuzzforge", &err), 0);
    assert_int_equal(config_load(&c, NULL, &err), 0);
    assert_true(c.project_trusted);
    assert_string_equal(config_get(&c, CONFIG_server_url), "http://evil.example");
    assert_int_equal(config_state_dir(&c, &dir, &err), 0);
    assert_non_null(strstr(dir, ".fuzzforge"));
    free(dir);
    config_release(&c);
}

static void test_mistakes(void **state)
{
    (void)state;
    struct config c;
    struct err err = {0};
    put("bad.yaml", "s3:\n  bukket: x\n");
    assert_int_equal(config_load(&c, "bad.yaml", &err), -ERR_INVALID);
    assert_non_null(strstr(err.msg, "bad.yaml:2: unknown setting 's3.bukket'"));
    assert_non_null(strstr(err.hint, "s3.bucket"));
    config_release(&c);
    assert_int_equal(config_load(&c, "absent.yaml", &err), -ERR_NOT_FOUND);
    config_release(&c);
    put("value.yaml", "cache: {max_size: lots}\nworker: {max_concurrent_activities: -3}\n");
    assert_int_equal(config_load(&c, "value.yaml", &err), 0);
    uint64_t size;
    int64_t n;
    bool b;
    assert_int_equal(config_size(&c, CONFIG_cache_max_size, &size, &err), -ERR_INVALID);
    assert_non_null(strstr(err.msg, "cache.max_size (value.yaml)"));
    assert_int_equal(config_int(&c, CONFIG_worker_slots, 0, 9, &n, &err), -ERR_INVALID);
    assert_int_equal(config_bool(&c, CONFIG_sandbox_require, &b, &err), 0);
    assert_false(b);
    config_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_untrusted_project_only_tightens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mistakes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
