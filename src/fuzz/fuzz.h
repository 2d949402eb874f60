/* The built-in modules for fuzzing. */
#ifndef FF_FUZZ_FUZZ_H
#define FF_FUZZ_FUZZ_H

#include "module/module.h"

/* In an input_schema: "90s", or seconds. */
#define FUZZ_TIME_SCHEMA "\"type\":[\"string\",\"integer\"],\"format\":\"time-span\",\"minimum\":0"

extern const struct module *const fuzz_modules[]; /* all of them; NULL-terminated */
extern const struct module fuzz_targets_module;  /* what there is to fuzz in a tree */
extern const struct module fuzz_fetch_module;    /* what a build needs from other machines */
extern const struct module fuzz_build_module;    /* targets from sources */
extern const struct module fuzz_campaign_module; /* one target, for long */
extern const struct module fuzz_triage_module;   /* inputs that are said to crash a target */
extern const struct module cargo_test_module;    /* the tests of a tree of Rust */

/* The engines: name and the language that it fuzzes; false: there is no i-th. */
bool fuzz_engine_at(size_t i, const char **name, const char **vertical);
/* 0, or -ERR_MISSING with the package that brings the engine; -ERR_INVALID for a name that is none. */
int fuzz_engine_check(const char *name, struct err *err);
/* The same for what a module needs besides; 0 for all that need nothing. */
int fuzz_module_check(const char *name, struct err *err);
/* Is a target of this engine one file? Else it is the folder that it lies in. */
bool fuzz_engine_one_file(const char *name);

#endif
