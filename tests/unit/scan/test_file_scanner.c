/* file_scanner: types, languages, sensitive files, the inventory. */
#include "module_run.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "os/fault.h"
#include "os/file.h"
#include "scan/builtin.h"
#include "scan/file_type.h"
#include "scan/sensitive.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static struct lab lab;

static int setup(void **state)
{
    lab_init(&lab);
    return 0;
}

static int teardown(void **state)
{
    lab_release(&lab);
    return 0;
}

static json_t *inventory(void)
{
    _cleanup_free_ char *path = os_path_join(lab.scratch, "inventory.json"), *text = NULL;
    size_t n;
    json_t *j = NULL;
    assert_int_equal(os_read_file(path, 64 << 20, &text, &n, NULL), 0);
    assert_int_equal(json_parse(text, n, SIZE_MAX, &j, NULL), 0);
    return j;
}

static const json_t *entry(const json_t *list, const char *path)
{
    const json_t *e;
    size_t i;
    json_array_foreach(list, i, e)
        if (strcmp(json_str(e, "path", ""), path) == 0)
            return e;
    return NULL;
}

static void lists_facts_and_finds_nothing_in_ordinary_files(void **state)
{
    lab_puts(&lab, "src/a.py", "import os\nprint(1)");
    lab_puts(&lab, "run", "#!/usr/bin/env python3\n");
    lab_puts(&lab, "empty", "");
    lab_put(&lab, "x.png", "\x89PNG\r\n\x1a\n\0\0", 10);
    lab_puts(&lab, "b\xff.txt", "abc");
    _cleanup_free_ char *link = os_path_join(lab.workspace, "link");
    assert_int_equal(symlink("/etc/passwd", link), 0);
    struct module_run r = module_run(&file_scanner_module, lab.workspace, lab.scratch, NULL);
    assert_int_equal(r.exit_status, 0);
    assert_int_equal(json_array_size(r.findings), 0);
    assert_string_equal(json_str(r.result, "status", ""), "success");
    const json_t *s = json_object_get(r.result, "summary");
    assert_int_equal(json_i64(s, "files", 0), 5);
    assert_int_equal(json_i64(s, "hashed", 0), 5);
    assert_int_equal(json_i64(s, "links", 0), 1);
    const json_t *python = json_object_get(json_object_get(s, "languages"), "Python");
    assert_int_equal(json_i64(python, "files", 0), 2);
    assert_int_equal(json_i64(python, "lines", 0), 3);
    json_t *list = inventory();
    assert_int_equal(json_array_size(list), 6);
    assert_string_equal(json_str(entry(list, "x.png"), "type", ""), "png");
    assert_string_equal(json_str(entry(list, "link"), "kind", ""), "link");
    assert_string_equal(json_str(entry(list, "b%FF.txt"), "sha256", ""),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    json_decref(list);
    module_run_release(&r);
}

static void obeys_its_input(void **state)
{
    lab_puts(&lab, "a.py", "x = 1\n");
    lab_puts(&lab, "deep/id_rsa", "-----BEGIN OPENSSH " "PRIVATE KEY-----\nabc\n");
    lab_puts(&lab, "big.txt", "0123456789");
    struct module_run r = module_run(&file_scanner_module, lab.workspace, lab.scratch,
        json_pack("{s:[s,s],s:b,s:b,s:s}", "patterns", "*.txt", "deep/**", "check_sensitive", 0, "calculate_hashes", 0,
                  "max_file_size", "5"));
    const json_t *s = json_object_get(r.result, "summary");
    assert_int_equal(json_i64(s, "files", 0), 2);
    assert_int_equal(json_i64(s, "hashed", -1), 0);
    assert_int_equal(json_i64(s, "over_size", 0), 2);
    assert_int_equal(json_array_size(r.findings), 0);
    module_run_release(&r);
    r = module_run(&file_scanner_module, lab.workspace, lab.scratch, json_pack("{s:i}", "patterns", 3));
    assert_string_equal(json_str(r.result, "status", ""), "failed");
    module_run_release(&r);
}

static void reports_ignored_files_as_suppressed(void **state)
{
    lab_puts(&lab, ".ffignore", "fixtures/\n");
    lab_puts(&lab, "fixtures/.htpasswd", "me:$apr1$x$y\n");
    lab_puts(&lab, ".git/config", "[remote]\n\turl = https://me:" "s3cr3t@host.test/x.git\n");
    lab_puts(&lab, ".git/HEAD", "ref: refs/heads/main\n");
    struct module_run r = module_run(&file_scanner_module, lab.workspace, lab.scratch, NULL);
    const json_t *f = module_run_find(&r, "fixtures/.htpasswd", "sensitive-file/htpasswd");
    assert_true(json_flag(f, "suppressed", false));
    assert_non_null(strstr(json_str(f, "suppression_reason", ""), "fixtures/"));
    f = module_run_find(&r, ".git/config", "sensitive-file/git-config");
    assert_false(json_flag(f, "suppressed", false));
    assert_null(strstr(r.raw, "s3cr3t"));
    json_t *list = inventory();
    assert_null(entry(list, ".git/HEAD"));
    json_decref(list);
    module_run_release(&r);
}

static void goes_on_past_what_it_cannot_read(void **state)
{
    lab_puts(&lab, "a.txt", "a\n");
    lab_puts(&lab, "b.txt", "b\n");
    int partial = 0;
    for (long n = 1; n < 100; n++) {
        os_fault_set(n, EIO, false, "read");
        struct module_run r = module_run(&file_scanner_module, lab.workspace, lab.scratch, NULL);
        bool hit = os_fault_hit();
        os_fault_set(0, 0, false, NULL);
        const char *status = json_str(r.result, "status", "failed");
        if (hit)
            assert_string_not_equal(status, "success");
        else
            assert_string_equal(status, "success");
        partial += strcmp(status, "partial") == 0;
        module_run_release(&r);
        if (!hit)
            break;
    }
    assert_true(partial >= 2);
}

static void survives_each_failing_allocation(void **state)
{
    lab_puts(&lab, "a/id_rsa", "abc");
    lab_puts(&lab, ".ffignore", "b\n");
    lab_puts(&lab, "b/.htpasswd", "a:b\n");
    lab_puts(&lab, ".git/config", "url = https://a:" "b@c\n");
    assert_true(module_run_fault_loop(&file_scanner_module, lab.workspace, lab.scratch, 3) > 25);
}

static void tells_types(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *name;
        enum file_class class;
    } cases[] = {
        {"", 0, "empty", FILE_EMPTY},
        {"\x7f" "ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0", 18, "elf", FILE_EXECUTABLE},
        {"\x7f" "ELF\2\1\1\0\0\0\0\0\0\0\0\0\1\0", 18, "elf", FILE_OBJECT},
        {"\x7f" "ELF\2\1\1\0\0\0\0\0\0\0\0\0\4\0", 18, "core", FILE_COREDUMP},
        {"MZ\x90\0\3\0\0\0", 8, "pe", FILE_EXECUTABLE},
        {"MZ is how this text begins", 26, "text", FILE_TEXT},
        {"BMW makes cars", 14, "text", FILE_TEXT},
        {"\xca\xfe\xba\xbe\0\0\0\x34", 8, "java-class", FILE_OBJECT},
        {"\xca\xfe\xba\xbe\0\0\0\2", 8, "mach-o", FILE_EXECUTABLE},
        {"PK\3\4\0\0\0", 7, "zip", FILE_ARCHIVE},
        {"%PDF-1.7\n", 9, "pdf", FILE_DOCUMENT},
        {"SQLite format 3\0", 16, "sqlite", FILE_DATABASE},
        {"a\0b", 3, "binary", FILE_BINARY},
        {"\x7f" "ELF", 4, "elf", FILE_EXECUTABLE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct file_type t = file_type_detect(cases[i].bytes, cases[i].len);
        assert_string_equal(t.name, cases[i].name);
        assert_int_equal(t.class, cases[i].class);
    }
    assert_string_equal(file_language("a.PY", "", 0), "Python");
    assert_string_equal(file_language("x", "#!/bin/bash -e\n", 15), "Shell");
    assert_string_equal(file_language("x", "#! /usr/bin/env node", 20), "JavaScript");
    assert_string_equal(file_language("Dockerfile", "", 0), "Dockerfile");
    assert_null(file_language("x", "#!/usr/bin/shiny\n", 17));
    assert_null(file_language("noext", "", 0));
}

#define KEY_BEGIN "-----BEGIN RSA PRIVATE" " KEY-----\n"

static void tells_sensitive_files(void **state)
{
    static const struct {
        const char *path, *content, *kind; /* kind NULL: none */
        enum severity severity;
    } cases[] = {
        {"home/.ssh/id_rsa", KEY_BEGIN, "ssh-private-key", SEVERITY_HIGH},
        {"id_ed25519", "gibberish", "ssh-private-key", SEVERITY_HIGH},
        {"id_rsa.pub", "ssh-rsa AAAA me@host", NULL, 0},
        {".env", "A=b\n", "env-file", SEVERITY_MEDIUM},
        {".env.local", "# c\nexport A='b'\n", "env-file", SEVERITY_MEDIUM},
        {"prod.env", "A=b\n", "env-file", SEVERITY_MEDIUM},
        {".env", "# nothing\nA=\nB=\"\"\nC=${C}\n", NULL, 0},
        {".env.example", "A=b\n", NULL, 0},
        {"x.env.sample", "A=b\n", NULL, 0},
        {"tls/server.pem", KEY_BEGIN, "private-key", SEVERITY_HIGH},
        {"tls/ca.pem", "-----BEGIN CERTIFICATE-----\nMII\n", NULL, 0},
        {"tls/server.key", KEY_BEGIN, "private-key", SEVERITY_HIGH},
        {"slides.key", "PK\3\4", NULL, 0},
        {"release.asc", "-----BEGIN PGP SIGNATURE-----\n", NULL, 0},
        {"store.p12", "0\x82\1\1\2\1\3", "keystore", SEVERITY_HIGH},
        {"pw.kdbx", "\x03\xd9\xa2\x9a\x67\xfb\x4b\xb5", "password-store", SEVERITY_HIGH},
        {".htpasswd", "me:$apr1$x$y\n", "htpasswd", SEVERITY_HIGH},
        {".npmrc", "//r.test/:_authToken=abc\n", "npm-credentials", SEVERITY_HIGH},
        {".npmrc", "//r.test/:_authToken=${NPM_TOKEN}\n", NULL, 0},
        {".npmrc", "save-exact=true\n", NULL, 0},
        {".pypirc", "[pypi]\nusername = a\npassword = b\n", "pypi-credentials", SEVERITY_HIGH},
        {"gcp/key.json", "{\"type\": \"service_account\", \"private_key\": \"-----BEGIN PRIVATE" " KEY-----\"}",
         "service-account", SEVERITY_HIGH},
        {"package.json", "{\"name\": \"x\"}", NULL, 0},
        {"credentials.json", "{\"client_secret\": \"x\"}", "cloud-credentials", SEVERITY_HIGH},
        {"a/.docker/config.json", "{\"auths\": {\"r\": {\"auth\": \"x\"}}}", "docker-credentials", SEVERITY_HIGH},
        {"docker/config.json", "{\"auth\": 1}", NULL, 0},
        {"kubeconfig", "clusters: []\nusers:\n- user:\n    token: x\n", "kubeconfig", SEVERITY_HIGH},
        {".git/config", "[remote]\nurl = git@host:x.git\n", NULL, 0},
        {".git/config", "url = ssh://git@host/x.git\n", NULL, 0},
        {"dump.sql", "-- MySQL dump 10.13\n", "database-dump", SEVERITY_MEDIUM},
        {"schema.sql", "CREATE TABLE a (b int);\n", NULL, 0},
        {"config.php.bak", "<?php\n", "backup-file", SEVERITY_LOW},
        {"etc/shadow", "root:$6$a$b:1::::::\n", "shadow", SEVERITY_CRITICAL},
        {"core", "int main;", NULL, 0},
        {"main.tfstate", "{\"terraform_version\": \"1\"}", "terraform-state", SEVERITY_MEDIUM},
        {"ID_RSA", KEY_BEGIN, "ssh-private-key", SEVERITY_HIGH},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t n = strlen(cases[i].content);
        struct file_type t = file_type_detect(cases[i].content, n);
        struct sensitive s = {0};
        bool is = sensitive_file(cases[i].path, &t, cases[i].content, n, &s);
        if (is != (cases[i].kind != NULL))
            fail_msg("%s: %s, wanted %s", cases[i].path, is ? s.kind : "none", cases[i].kind ? cases[i].kind : "none");
        if (is) {
            assert_string_equal(s.kind, cases[i].kind);
            assert_int_equal(s.severity, cases[i].severity);
        }
    }
    struct file_type elf = {"elf", FILE_EXECUTABLE};
    struct sensitive s;
    assert_true(sensitive_file("bin/tool", &elf, "\x7f" "ELF", 4, &s));
    assert_int_equal(s.severity, SEVERITY_INFO);
    assert_true(sensitive_file("logo.png", &elf, "\x7f" "ELF", 4, &s));
    assert_string_equal(s.kind, "disguised-executable");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lists_facts_and_finds_nothing_in_ordinary_files, setup, teardown),
        cmocka_unit_test_setup_teardown(obeys_its_input, setup, teardown),
        cmocka_unit_test_setup_teardown(reports_ignored_files_as_suppressed, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_on_past_what_it_cannot_read, setup, teardown),
        cmocka_unit_test_setup_teardown(survives_each_failing_allocation, setup, teardown),
        cmocka_unit_test(tells_types),
        cmocka_unit_test(tells_sensitive_files),
    };
    return cmocka_run_group_tests_name("file_scanner", tests, NULL, NULL);
}
