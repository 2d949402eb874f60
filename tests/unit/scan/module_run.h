/* Runs a built-in module on a folder without any sandbox and gives its messages. */
#ifndef FF_TESTS_MODULE_RUN_H
#define FF_TESTS_MODULE_RUN_H

#include "module/module.h"

#include <jansson.h>

struct module_run {
    int exit_status;
    bool faulted;     /* the allocation that was to fail was asked for */
    json_t *findings; /* array */
    json_t *result;   /* the result message */
    json_t *logs;     /* array */
    char *raw;        /* all of it, as text */
};

/* The folder of input objects that the next runs are told of; NULL: none. */
extern const char *module_run_objects;
struct module_run module_run(const struct module *m, const char *workspace, const char *scratch, json_t *input);
/* The same, with the n-th allocation of the module failing. */
struct module_run module_run_faulted(const struct module *m, const char *workspace, const char *scratch,
                                     json_t *input, long n);
/* Lets each allocation fail in turn: never a crash, a lost descriptor or a success that is none. Gives how many. */
int module_run_fault_loop(const struct module *m, const char *workspace, const char *scratch, size_t findings);
void module_run_release(struct module_run *r);
/* The only finding, or the only one in that file, of that rule; fails the test if there are none or several. */
const json_t *module_run_find(const struct module_run *r, const char *file, const char *rule);
size_t module_run_count(const struct module_run *r, const char *file);

/* A private folder for a test: files are put below dir/w, scratch is dir/s. */
struct lab {
    char *dir, *workspace, *scratch;
};
void lab_init(struct lab *l);
void lab_release(struct lab *l);
void lab_put(const struct lab *l, const char *path, const void *data, size_t len);
void lab_puts(const struct lab *l, const char *path, const char *text);

#endif
