#include "scan/builtin.h"

const struct module *const builtin_modules[] = {&file_scanner_module, &secret_detection_module,
                                               &security_analyzer_module, &sarif_reporter_module, NULL};
