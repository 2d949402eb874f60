#include "scan/builtin.h"

#include "scan/analyzer.h"
#include "scan/secret_rules.h"

const struct module *const builtin_modules[] = {&file_scanner_module, &secret_detection_module,
                                               &security_analyzer_module, &sarif_reporter_module, NULL};

int builtin_preload(struct err *err)
{
    struct secret_rules *secrets;
    int r = analyzer_preload(err);
    int s = secret_rules_shared(&secrets, r == 0 ? err : NULL);
    return r < 0 ? r : s;
}
