/* Which store the settings mean, and how to open it. */
#ifndef FF_CLI_STORE_OPEN_H
#define FF_CLI_STORE_OPEN_H

#include "cli/config.h"
#include "store/s3/credentials.h"
#include "store/s3/s3.h"
#include "store/store.h"

/* What the options of an S3 store point to. */
struct s3_settings {
    struct s3_options o;
    char *cache_dir, *credentials_file; /* owned */
    struct s3_keys keys;
};
int s3_settings_read(const struct config *c, const char *state_dir, struct s3_settings *ret, struct err *err);
void s3_settings_release(struct s3_settings *s);

/* "local" or "s3"; kind NULL: the setting `store`. */
int store_open(const struct config *c, const char *state_dir, const char *kind, struct store **ret, struct err *err);
/* The folder of caches; the caller frees. */
char *store_cache_dir(const struct config *c, const char *state_dir);

#endif
