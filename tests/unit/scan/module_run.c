#include "module_run.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "os/file.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

static void take(struct module_run *r, json_t *j)
{
    const char *type = json_str(j, "type", "");
    if (strcmp(type, "finding") == 0)
        json_array_append(r->findings, j);
    else if (strcmp(type, "log") == 0)
        json_array_append(r->logs, j);
    else if (strcmp(type, "result") == 0)
        r->result = json_incref(j);
}

const char *module_run_objects;

struct module_run module_run_faulted(const struct module *m, const char *workspace, const char *scratch,
                                     json_t *input, long n_fault)
{
    struct module_run r = {.findings = json_array(), .logs = json_array()};
    json_t *request = json_pack("{s:i,s:s,s:s,s:i,s:o,s:s,s:s,s:s?,s:n}", "protocol", 1, "module", m->name, "run_id", "t",
                                "attempt", 1, "input", input ? input : json_object(), "workspace", workspace, "scratch",
                                scratch, "objects", module_run_objects, "checkpoint");
    char *text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    int in = memfd_create("request", 0), out = memfd_create("messages", 0);
    assert_true(in >= 0 && out >= 0);
    assert_int_equal(os_write_full(in, text, strlen(text), NULL), 0);
    assert_int_equal(os_write_full(in, "\n", 1, NULL), 0);
    free(text);
    lseek(in, 0, SEEK_SET);
    mem_fault_set(n_fault, 0);
    r.exit_status = module_serve(m, in, out);
    r.faulted = mem_fault_hit();
    mem_fault_set(0, 0);
    off_t size = lseek(out, 0, SEEK_END);
    r.raw = malloc((size_t)size + 1);
    assert_int_equal(pread(out, r.raw, (size_t)size, 0), size); /* not by os/, where a test lets calls fail */
    r.raw[size] = 0;
    close(in);
    close(out);
    for (char *line = r.raw, *nl; (nl = strchr(line, '\n')); line = nl + 1) {
        json_t *j = NULL;
        struct err err = {0};
        if (json_parse(line, (size_t)(nl - line), SIZE_MAX, &j, &err) < 0)
            fail_msg("%s: %.200s", err.msg, line);
        take(&r, j);
        json_decref(j);
    }
    return r;
}

struct module_run module_run(const struct module *m, const char *workspace, const char *scratch, json_t *input)
{
    return module_run_faulted(m, workspace, scratch, input, 0);
}

static int count_fds(void)
{
    int n = 0;
    for (int i = 0; i < 256; i++)
        n += fcntl(i, F_GETFD) >= 0;
    return n;
}

int module_run_fault_loop(const struct module *m, const char *workspace, const char *scratch, size_t findings)
{
    int before = count_fds(), hits = 0;
    for (long n = 1;; n++) {
        struct module_run r = module_run_faulted(m, workspace, scratch, NULL, n);
        bool hit = r.faulted, success = r.exit_status == 0 && strcmp(json_str(r.result, "status", ""), "success") == 0;
        if (success && json_array_size(r.findings) != findings)
            fail_msg("allocation %ld: %zu findings and success", n, json_array_size(r.findings));
        if (!hit)
            assert_true(success);
        assert_int_equal(count_fds(), before);
        module_run_release(&r);
        if (!hit)
            return hits;
        hits++;
    }
}

void module_run_release(struct module_run *r)
{
    json_decref(r->findings);
    json_decref(r->logs);
    json_decref(r->result);
    free(r->raw);
}

static bool fits(const json_t *f, const char *file, const char *rule)
{
    return (!file || strcmp(json_str(f, "file", ""), file) == 0) &&
           (!rule || strcmp(json_str(f, "rule_id", ""), rule) == 0);
}

const json_t *module_run_find(const struct module_run *r, const char *file, const char *rule)
{
    const json_t *found = NULL, *f;
    size_t i;
    json_array_foreach(r->findings, i, f) {
        if (!fits(f, file, rule))
            continue;
        if (found)
            fail_msg("%s twice in %s", rule, file);
        found = f;
    }
    if (!found)
        fail_msg("no %s in %s\n%s", rule, file, r->raw);
    return found;
}

size_t module_run_count(const struct module_run *r, const char *file)
{
    size_t n = 0, i;
    const json_t *f;
    json_array_foreach(r->findings, i, f)
        n += fits(f, file, NULL);
    return n;
}

void lab_init(struct lab *l)
{
    assert_int_equal(os_temp_dir("/tmp", "ff-lab-", &l->dir, NULL), 0);
    l->workspace = os_path_join(l->dir, "w");
    l->scratch = os_path_join(l->dir, "s");
    assert_int_equal(os_mkdirs(l->workspace, 0755, NULL), 0);
    assert_int_equal(os_mkdirs(l->scratch, 0755, NULL), 0);
}

void lab_release(struct lab *l)
{
    assert_int_equal(os_remove_tree(l->dir, NULL), 0);
    free(l->dir);
    free(l->workspace);
    free(l->scratch);
}

void lab_put(const struct lab *l, const char *path, const void *data, size_t len)
{
    _cleanup_free_ char *full = os_path_join(l->workspace, path);
    char *slash = strrchr(full, '/');
    *slash = 0;
    assert_int_equal(os_mkdirs(full, 0755, NULL), 0);
    *slash = '/';
    _cleanup_close_ int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(os_write_full(fd, data, len, NULL), 0);
}

void lab_puts(const struct lab *l, const char *path, const char *text)
{
    lab_put(l, path, text, strlen(text));
}
