/* Any bytes as code of any language: tokens, syntax, flow and rules. The first byte chooses the language. */
#include "fuzz.h"
#include "scan/analyzer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int on_finding(const struct finding *f, void *arg, struct err *err)
{
    (void)err;
    *(size_t *)arg += (size_t)f->line;
    return f->line > 0 && f->rule_id ? 0 : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rules *rules;
    struct err err = {0};
    struct analyzer_result result;
    size_t lines = 0;
    if (size < 1 || rules_builtin(&rules, &err) < 0)
        return 0;
    char *text = malloc(size);
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    enum lang lang = (enum lang)(1 + data[0] % (LANG_COUNT - 1));
    if (analyzer_run(rules, NULL, lang, "a", text, size - 1, on_finding, &lines, &result, &err) < 0)
        abort();
    free(text);
    return 0;
}
