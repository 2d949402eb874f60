/* Settings: built-in < /etc/fuzzforge/config.yaml < user < project < --config FILE < environment < flag.
 *
 * A project's .fuzzforge/ may come with hostile code: until `ff trust` names it, its configuration may only tighten. */
#ifndef FF_CLI_CONFIG_H
#define FF_CLI_CONFIG_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_flags { CONFIG_SECRET = 1, CONFIG_TIGHTEN = 2 };

enum config_key {
#define X(ident, name, env, def, flags, help) CONFIG_##ident,
#include "cli/config_keys.h"
#undef X
    CONFIG_COUNT_
};

struct config_info {
    const char *name, *env, *def, *help;
    unsigned flags;
};
extern const struct config_info config_infos[CONFIG_COUNT_];

struct config {
    char *value[CONFIG_COUNT_];  /* owned; NULL: the default */
    char *source[CONFIG_COUNT_]; /* "default" when NULL; a file's name, "environment NAME" or "flag --x" */
    char *project;               /* the nearest .fuzzforge/ upwards, or NULL */
    bool project_trusted;
    bool project_ignored; /* untrusted, and it tried to set what it may not */
};

/* Reads everything below the flags. file: of --config, or NULL. */
int config_load(struct config *c, const char *file, struct err *err);
void config_release(struct config *c);
int config_set(struct config *c, enum config_key k, const char *value, const char *source, struct err *err);
const char *config_get(const struct config *c, enum config_key k);
const char *config_source(const struct config *c, enum config_key k);

int config_size(const struct config *c, enum config_key k, uint64_t *ret_bytes, struct err *err);
int config_duration_ms(const struct config *c, enum config_key k, int64_t *ret_ms, struct err *err);
int config_bool(const struct config *c, enum config_key k, bool *ret, struct err *err);
int config_int(const struct config *c, enum config_key k, int64_t min, int64_t max, int64_t *ret, struct err *err);

/* The state folder; the caller frees. */
int config_state_dir(const struct config *c, char **ret, struct err *err);
/* A user's folder of that XDG kind ("XDG_CONFIG_HOME", "/.config"), with "/fuzzforge" appended; the caller frees. */
char *config_user_dir(const char *xdg, const char *fallback);

/* Trusted project folders: <user config>/trusted, one absolute path a line. */
int config_trust(const char *dir, struct err *err);
bool config_is_trusted(const char *dir);
int config_distrust(const char *dir, struct err *err); /* one that is not trusted is fine */

#endif
