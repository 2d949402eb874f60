/* What modules there are: the built-in ones, and folders with a module.yaml.
 *
 * Search order (the first one of a name wins; a later one is listed as shadowed): built in, then each folder as
 * given: DIR/NAME/module.yaml. Folders are read anew at each look-up, so that dropping one in makes it available
 * to a running worker at once; a broken one is listed with file, line and reason, and breaks nothing else.
 * Any thread may call. */
#ifndef FF_MODULE_REGISTRY_H
#define FF_MODULE_REGISTRY_H

#include "module/module.h"

#include <stddef.h>

enum module_kind { MODULE_BUILTIN, MODULE_EXECUTABLE, MODULE_SHARED_OBJECT };

/* One module, as a copy that its owner releases. */
struct module_def {
    enum module_kind kind;
    char *name, *version, *description;
    enum module_category category;
    char **tags; /* NULL-terminated */
    json_t *input_schema, *output_schema; /* NULL: none */
    bool requires_workspace;
    const struct module *builtin; /* kind MODULE_BUILTIN */
    char *dir;                    /* host folder, mounted read-only at /module; NULL for built-in ones */
    char *entry;                  /* what sandbox_plan.builtin gets; NULL: MODULE_EXECUTABLE, which is exec'ed */
    char **argv;                  /* MODULE_EXECUTABLE: NULL-terminated; argv[0] resolved: "/module/run" or as given */
    char *library;                /* MODULE_SHARED_OBJECT: path below dir */
    char *broken;                 /* "file:line: reason"; then only name and dir are set */
    char *shadowed_by;            /* where the one of this name that is used comes from; NULL: this one is used */
};

void module_def_release(struct module_def *d);
bool module_name_valid(const char *name); /* [a-z0-9_-]{1,64} */

struct module_registry;

/* builtins: NULL-terminated array that outlives the registry. dirs: NULL-terminated folders (copied). */
int module_registry_new(const struct module *const *builtins, const char *const *dirs,
                        struct module_registry **ret, struct err *err);
void module_registry_free(struct module_registry *r);
/* -ERR_NOT_FOUND with the nearest name as the hint; -ERR_INVALID with file:line: reason for a broken one. */
int module_registry_find(const struct module_registry *r, const char *name, struct module_def *ret,
                         struct err *err);
/* Is there one of that name, be it broken? Nothing is read. */
bool module_registry_has(const struct module_registry *r, const char *name);
/* All, sorted by name, broken and shadowed ones too. Release each, then free(*ret). */
int module_registry_list(const struct module_registry *r, struct module_def **ret, size_t *ret_count,
                         struct err *err);
/* The built-in module of a name, or NULL. */
const struct module *module_registry_builtin(const struct module_registry *r, const char *name);

/* In the spawner's child, inside the sandbox: serves what an entry (see module_def) names: a built-in module or a shared
 * object. Returns the exit status. */
int module_entry_run(const struct module *const *builtins, const char *entry, int in_fd, int out_fd);

#endif
