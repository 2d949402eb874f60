/* An OSS-Fuzz project: the plain lines of its Dockerfile, then build.sh, as its image would run them
 * (google.github.io/oss-fuzz). */
#include "base/cleanup.h"
#include "base/mem.h"
#include "fuzz/build_internal.h"
#include "os/file.h"

#include <string.h>

#define DOCKERFILE_MAX ((size_t)256 << 10)
#define NOTES_MAX ((size_t)64 << 10)

/* What the script noted. */
static void take_notes(struct fuzz_build *b)
{
    _cleanup_free_ char *path = os_path_join(b->work, "notes"), *text = NULL;
    if (path && os_read_file(path, NOTES_MAX, &text, NULL, NULL) == 0)
        strbuf_puts(&b->notes, text);
}

int fuzz_build_docker_steps(struct fuzz_build *b, const char *then, bool fetch, struct err *err)
{
    _cleanup_free_ char *dockerfile = os_path_join(b->tree, "Dockerfile"), *text = NULL;
    _cleanup_free_ char *project = mem_printf("PROJECT=%s", b->src);
    struct strbuf script = STRBUF_INIT_MAX((size_t)1 << 20);
    const char *const extra[] = {project, fetch ? "FETCH=yes" : "FETCH=no", NULL};
    if (!dockerfile || !project)
        return err_nomem(err);
    int r = os_exists(dockerfile) ? os_read_file(dockerfile, DOCKERFILE_MAX, &text, NULL, err) : 0;
    if (r == 0)
        r = fuzz_build_dockerfile(text, &script, err);
    strbuf_puts(&script, then);
    if (r == 0)
        r = strbuf_check(&script, err);
    if (r == 0)
        r = fuzz_build_shell_env(b, strbuf_str(&script), b->src, extra, err);
    take_notes(b);
    strbuf_release(&script);
    return r;
}

int fuzz_build_ossfuzz(struct fuzz_build *b, struct err *err)
{
    struct err why = {0};
    int r = fuzz_build_docker_steps(b, "build_sh\n", false, &why);
    if (r < 0 && r != -ERR_FAILED)
        return err_copy(err, &why);
    int collected = fuzz_build_collect(b, err);
    if (r == 0 || collected < 0)
        return collected;
    if (json_array_size(b->targets)) {
        strbuf_printf(&b->notes, "build.sh: %s\n", why.msg);
        return 0;
    }
    const char *notes = strbuf_str(&b->notes);
    if (!notes[0])
        return err_copy(err, &why);
    /* the cause of the compiler's error, more often than not */
    return err_set(err, ERR_FAILED, "%.250s; before that: %.*s", why.msg, (int)strcspn(notes, "\n"), notes);
}
