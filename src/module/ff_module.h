/* A FuzzForge module as a shared object: everything that one needs, in one file that includes nothing of ours.
 *
 * Export one function, ff_module_v1(). It is called once, in a process of its own inside the sandbox, with the host's
 * table. 0 is success; anything else is failure, with the text given to host->fail(). Texts are UTF-8. Call the
 * host from one thread at a time.
 *
 *     #include <ff_module.h>
 *
 *     int ff_module_v1(const struct ff_host *host)
 *     {
 *         struct ff_finding f = {.size = sizeof f, .rule_id = "demo/todo", .title = "A TODO was left",
 *                                .severity = "info", .file = "main.c", .line = 12};
 *         host->finding(host, &f);
 *         host->summary(host, "{\"files\": 1}");
 *         return 0;
 *     }
 *
 *     cc -shared -fPIC -o toolbox/modules/todo/todo.so todo.c        # module.yaml: library: todo.so
 *
 * The table only ever grows at its end: a module that uses a member added later compares host->size first. */
#ifndef FF_MODULE_FF_MODULE_H
#define FF_MODULE_FF_MODULE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FF_MODULE_ABI 1

/* What is not known stays 0 or NULL. rule_id, title and severity must be there. */
struct ff_finding {
    uint32_t size;           /* sizeof(struct ff_finding) */
    int32_t cwe;             /* 89 for CWE-89 */
    const char *rule_id;     /* "category/name", the same for ever */
    const char *title;
    const char *description;
    const char *severity;    /* "critical" "high" "medium" "low" "info" */
    const char *confidence;  /* "high" "medium" "low" */
    const char *file;        /* relative to the workspace */
    int32_t line, column, end_line, end_column; /* from 1; columns in UTF-16 units */
    const char *snippet;     /* a secret never in full */
    const char *recommendation;
    const char *evidence;    /* a JSON object */
    const char *metadata;    /* a JSON object */
};

struct ff_host {
    uint32_t abi;            /* FF_MODULE_ABI */
    uint32_t size;           /* of this table in bytes */
    void *impl;              /* the host's own */

    const char *run_id;
    const char *input;       /* a JSON object */
    const char *workspace;   /* folder with the target; NULL: none */
    const char *scratch;     /* empty folder to write to; NULL: none */
    const char *objects;     /* folder with the objects that the input refers to; NULL: none */
    const char *checkpoint;  /* JSON that an attempt before this one left; NULL: none */
    int64_t attempt;         /* from 1 */

    /* These give 0, or -1 for what is not valid (the reason is logged; the run goes on). */
    int (*finding)(const struct ff_host *host, const struct ff_finding *f);
    int (*finding_json)(const struct ff_host *host, const char *json); /* an object with the members of a finding */
    int (*stats)(const struct ff_host *host, const char *json);        /* an object */
    int (*save_checkpoint)(const struct ff_host *host, const char *json);
    int (*summary)(const struct ff_host *host, const char *json);      /* an object; the last one counts */

    void (*log)(const struct ff_host *host, const char *level, const char *text); /* "debug" "info" "warning" "error" */
    void (*progress)(const struct ff_host *host, uint64_t done, uint64_t total, const char *text); /* total 0: not known */
    void (*artifact)(const struct ff_host *host, const char *path, const char *name); /* a file below scratch */
    void (*partial)(const struct ff_host *host, const char *reason); /* the result is incomplete, and why */
    void (*fail)(const struct ff_host *host, const char *reason);    /* what the failure says, when not 0 is returned */
};

int ff_module_v1(const struct ff_host *host);

#ifdef __cplusplus
}
#endif

#endif
