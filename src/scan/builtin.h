/* The built-in modules. */
#ifndef FF_SCAN_BUILTIN_H
#define FF_SCAN_BUILTIN_H

#include "module/module.h"

extern const struct module file_scanner_module, secret_detection_module;
extern const struct module security_analyzer_module, sarif_reporter_module;

extern const struct module *const builtin_modules[]; /* NULL-terminated */

/* Reads the rules of all of them once, so that processes forked later need not. What fails is tried again by the module that
 * needs it, which then says why. */
int builtin_preload(struct err *err);

#endif
