/* Any bytes as a file of rules: refused with a reason, or usable. */
#include "fuzz.h"
#include "scan/analyzer.h"

#include <stdlib.h>
#include <string.h>

static int on_finding(const struct finding *f, void *arg, struct err *err)
{
    (void)f;
    (void)arg;
    (void)err;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char code[] = "import os\nos.system(input())\nx = {'a': 1}\n";
    struct rules *rules;
    struct err err = {0};
    struct analyzer_result result;
    if (rules_new(&rules, &err) < 0)
        return 0;
    int r = rules_load(rules, (const char *)data, size, "own.yaml", &err);
    if (r < 0 && !err.msg[0])
        abort();
    if (r == 0)
        (void)analyzer_run(rules, NULL, LANG_PYTHON, "a", code, strlen(code), on_finding, NULL, &result, &err);
    rules_free(rules);
    return 0;
}
