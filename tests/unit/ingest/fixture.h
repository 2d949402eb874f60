/* A store, a target folder and a sandbox, for the tests of ingest. */
#ifndef FF_TESTS_INGEST_FIXTURE_H
#define FF_TESTS_INGEST_FIXTURE_H

#include "../store/lab.h"

#include "ingest/ingest.h"

#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char *dir, *target;
    struct store *s;
    struct ingest_options o;
    struct ingest_result res;
};

static struct spawner *fixture_spawner; /* one a process; NULL where the test needs none */

static inline int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->dir = lab_dir();
    f->target = os_path_join(f->dir, "target");
    f->o.spawner = fixture_spawner;
    assert_int_equal(mkdir(f->target, 0755), 0);
    _cleanup_free_ char *store = os_path_join(f->dir, "store");
    assert_ok(store_open_local(store, &f->s, err));
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    ingest_result_release(&f->res);
    store_free(f->s);
    lab_dir_free(&f->dir);
    free(f->target);
    free(f);
    return 0;
}

static inline void take(struct fixture *f, const char *spec)
{
    ingest_result_release(&f->res);
    assert_ok(ingest(f->s, spec, &f->o, &f->res, err));
}

static inline const struct ingest_notice *notice_for(const struct fixture *f, const char *path)
{
    for (size_t i = 0; i < f->res.notices_count; i++)
        if (strcmp(f->res.notices[i].path, path) == 0)
            return &f->res.notices[i];
    return NULL;
}

static inline void assert_notice(const struct fixture *f, const char *path, enum ingest_notice_kind kind)
{
    const struct ingest_notice *n = notice_for(f, path);
    if (!n)
        fail_msg("no notice for %s", path);
    assert_int_equal(n->kind, kind);
}

static inline const struct tree_entry *entry(struct tree *t, const char *path)
{
    for (size_t i = 0; i < tree_count(t); i++)
        if (strcmp(tree_entry_at(t, i)->path, path) == 0)
            return tree_entry_at(t, i);
    return NULL;
}

static inline void assert_content(struct fixture *f, const char *path, const char *want)
{
    struct tree *t;
    _cleanup_free_ char *got = NULL;
    assert_ok(tree_open(f->s, f->res.tree.text, &t, err));
    for (size_t i = 0; !entry(t, path) && i < f->res.notices_count; i++)
        print_error("%s: %s\n", f->res.notices[i].path, f->res.notices[i].text);
    assert_ok(tree_read_file(t, path, 1 << 20, &got, NULL, err));
    assert_string_equal(got, want);
    tree_free(t);
}

static inline bool has_entry(struct fixture *f, const char *path)
{
    struct tree *t;
    assert_ok(tree_open(f->s, f->res.tree.text, &t, err));
    bool there = entry(t, path) != NULL;
    tree_free(t);
    return there;
}

#define CASE(t) {#t, t, fixture_setup, fixture_teardown, NULL}

#endif
