/* Git repositories, made by libgit2 here, read in the real sandbox. */
#include "fixture.h"

#include "ingest/fetch.h"

#include <git2.h>
#include <signal.h>

static git_repository *make_repository(const char *path, bool bare)
{
    git_repository *repo;
    assert_int_equal(git_repository_init(&repo, path, bare), 0);
    return repo;
}

static void insert(git_repository *repo, git_treebuilder *b, const char *name, const char *text, git_filemode_t mode)
{
    git_oid id;
    assert_int_equal(git_blob_create_from_buffer(&id, repo, text, strlen(text)), 0);
    assert_int_equal(git_treebuilder_insert(NULL, b, name, &id, mode), 0);
}

/* One commit with all kinds of entries. */
static void commit_all(git_repository *repo)
{
    git_treebuilder *b, *sub;
    git_oid tree_id, sub_id, commit_id, other;
    git_tree *tree;
    git_signature *who;
    assert_int_equal(git_treebuilder_new(&sub, repo, NULL), 0);
    insert(repo, sub, "a.py", "import os\n", GIT_FILEMODE_BLOB);
    insert(repo, sub, "up", "../run.sh", GIT_FILEMODE_LINK);
    insert(repo, sub, "out", "../../etc/passwd", GIT_FILEMODE_LINK);
    assert_int_equal(git_treebuilder_write(&sub_id, sub), 0);
    assert_int_equal(git_treebuilder_new(&b, repo, NULL), 0);
    insert(repo, b, "run.sh", "#!/bin/sh\n", GIT_FILEMODE_BLOB_EXECUTABLE);
    insert(repo, b, "big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", GIT_FILEMODE_BLOB);
    assert_int_equal(git_treebuilder_insert(NULL, b, "src", &sub_id, GIT_FILEMODE_TREE), 0);
    memset(&other, 7, sizeof other);
    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_OBJECT_CREATION, 0);
    assert_int_equal(git_treebuilder_insert(NULL, b, "module", &other, GIT_FILEMODE_COMMIT), 0);
    assert_int_equal(git_treebuilder_write(&tree_id, b), 0);
    assert_int_equal(git_tree_lookup(&tree, repo, &tree_id), 0);
    assert_int_equal(git_signature_new(&who, "T", "t@example.org", 1, 0), 0);
    assert_int_equal(git_commit_create(&commit_id, repo, "HEAD", who, who, NULL, "first", tree, 0, NULL), 0);
    git_signature_free(who);
    git_tree_free(tree);
    git_treebuilder_free(b);
    git_treebuilder_free(sub);
}

static void check(struct fixture *f)
{
    assert_string_equal(f->res.kind, "git");
    assert_false(f->res.incomplete);
    assert_int_equal(f->res.files, 3);
    assert_content(f, "src/a.py", "import os\n");
    assert_content(f, "run.sh", "#!/bin/sh\n");
    assert_true(has_entry(f, "src/up"));
    assert_false(has_entry(f, "src/out"));
    assert_notice(f, "src/out", INGEST_SKIPPED);
    assert_notice(f, "module", INGEST_SKIPPED);
    assert_notice(f, "big.bin", INGEST_SKIPPED);
}

static void test_bare(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *path = os_path_join(f->dir, "repo.git"), *url = mem_printf("file://%s/repo%%2egit", f->dir);
    git_repository *repo = make_repository(path, true);
    commit_all(repo);
    git_repository_free(repo);
    take(f, path);
    check(f);
    take(f, url);
    check(f);
}

static void test_work_tree(void **state)
{
    struct fixture *f = *state;
    git_repository *repo = make_repository(f->target, false);
    commit_all(repo);
    git_repository_free(repo);
    lab_write(f->target, "uncommitted", "x", 1);
    take(f, f->target);
    assert_string_equal(f->res.kind, "folder"); /* as it lies there */
    assert_int_equal(f->res.files, 1);
    _cleanup_free_ char *url = mem_printf("file://%s", f->target);
    take(f, url);
    check(f);
}

static void test_damaged(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *path = os_path_join(f->dir, "repo.git"), *empty = os_path_join(f->dir, "empty.git");
    git_repository_free(make_repository(empty, true));
    take(f, empty);
    assert_int_equal(f->res.files, 0);
    git_repository *repo = make_repository(path, true);
    commit_all(repo);
    git_repository_free(repo);
    lab_write(path, "refs/heads/master", "0000000000000000000000000000000000000001\n", 41);
    lab_write(path, "HEAD", "ref: refs/heads/master\n", 23);
    take(f, path);
    assert_true(f->res.incomplete);
}

static void test_urls(void **state)
{
    struct fixture *f = *state;
    struct ingest_result res;
    struct err e = {0};
    assert_int_equal(ingest(f->s, "ssh://me:secret@example.org/x.git", &f->o, &res, &e), -ERR_UNIMPLEMENTED);
    assert_non_null(strstr(e.msg, "ssh://example.org"));
    assert_null(strstr(e.msg, "secret"));
    assert_non_null(strstr(e.hint, "git clone"));
    assert_null(strstr(e.hint, "secret"));
    assert_int_equal(ingest(f->s, "file:///nowhere/at/all.git", &f->o, &res, &e), -ERR_NOT_FOUND);
    assert_int_equal(ingest(f->s, "file://other.host/x", &f->o, &res, &e), -ERR_INVALID);
}

static void test_fetch_urls(void **state)
{
    static const struct {
        const char *spec, *url, *user, *password, *name;
        uint32_t loopback_port;
    } good[] = {
        {"https://example.org/a/shop.git", "https://example.org/a/shop.git", "", "", "shop", 0},
        {"https://me:p%40ss%3a@example.org:8443/a/", "https://example.org:8443/a/", "me", "p@ss:", "a", 0},
        {"https://token@example.org", "https://example.org", "token", "", "repository", 0},
        {"https://LocalHost/x?y@z", "https://LocalHost/x?y@z", "", "", "x", 443},
        {"https://127.0.0.1:8443/x", "https://127.0.0.1:8443/x", "", "", "x", 8443},
        {"https://127.0.0.1.example.org/x", "https://127.0.0.1.example.org/x", "", "", "x", 0},
        {"https://[2001:db8::1]:8443/x%", "https://[2001:db8::1]:8443/x%", "", "", "x%", 0},
        {"https://u%:p%4@h/x", "https://h/x", "u%", "p%4", "x", 0},
    };
    static const char *const bad[] = {"https://",          "https:///x",        "https://h:0/x",  "https://h:65536/x",
                                      "https://h:1a/x",    "https://h h/x",     "https://h/x y",  "https://a%0ab@h/x",
                                      "https://a:%0a@h/x", "https://h/x\nmore", "https://h:/x"};
    struct fetch_url u;
    struct err e = {0};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(fetch_parse_url(good[i].spec, &u, &e), 0);
        assert_string_equal(u.url, good[i].url);
        assert_string_equal(u.user, good[i].user);
        assert_string_equal(u.password, good[i].password);
        assert_string_equal(u.name, good[i].name);
        assert_int_equal(u.loopback_port, good[i].loopback_port);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (fetch_parse_url(bad[i], &u, &e) != -ERR_INVALID)
            fail_msg("taken: %s", bad[i]);
    char *longest = mem_alloc(8192);
    memset(longest, 'a', 8191);
    memcpy(longest, "https://h/", 10);
    longest[8191] = 0;
    assert_int_equal(fetch_parse_url(longest, &u, &e), -ERR_INVALID);
    memcpy(longest + 300, "@", 1);
    memcpy(longest, "https://aa", 10);
    assert_int_equal(fetch_parse_url(longest, &u, &e), -ERR_INVALID); /* a user of 292 bytes */
    free(longest);
}

static int builtin(const char *name, void *arg)
{
    return ingest_builtin(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(test_bare), CASE(test_work_tree), CASE(test_damaged), CASE(test_urls), CASE(test_fetch_urls)};
    struct spawner_options o = {.builtin = builtin};
    struct err err = {0};
    if (spawner_start(&o, &fixture_spawner, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    git_libgit2_init();
    for (int level = GIT_CONFIG_LEVEL_PROGRAMDATA; level <= GIT_CONFIG_LEVEL_GLOBAL; level++)
        git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, ""); /* nothing of whoever runs the test */
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    git_libgit2_shutdown();
    spawner_free(fixture_spawner);
    return r;
}
