/* Results that are taken from the store instead of being made again, of modules whose result follows from what they are given
 * (struct module's identity): the target's tree, the input, the module's version, the tools of this machine.
 *
 * An entry is an object {key, answer} and the objects that its answer names, kept by pins that end: collection removes it then.
 * What is damaged or incomplete is no entry. */
#ifndef FF_MODULE_CACHE_H
#define FF_MODULE_CACHE_H

#include "module/module.h"
#include "store/store.h"

#define MODULE_CACHE_KEY_SIZE 65 /* hex digits of a SHA-256, and 0 */
#define MODULE_CACHE_DAYS 30     /* after its last use */

/* scope: whose entry it is, say a namespace; tools: MODULE_TOOLS_ENV's value, or NULL. -ERR_UNIMPLEMENTED: its results are not
 * kept. */
int module_cache_key(const struct module *m, const char *scope, const char *tree, const json_t *input, const char *tools,
                     char ret[MODULE_CACHE_KEY_SIZE], struct err *err);
/* The answer as it was put; every object that it names has been read whole. -ERR_NOT_FOUND: there is none. */
int module_cache_get(struct store *s, const char *key, json_t **ret, struct err *err);
/* answer: {artifacts: {name: {ref, bytes, media_type}}, findings: REF or null, ...}, whose objects are in the store. */
int module_cache_put(struct store *s, const char *key, const json_t *answer, struct err *err);

#endif
