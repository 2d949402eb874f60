/* A module as a shared object: says what it was given, and misuses the host where the input asks for it. */
#include "module/ff_module.h"

#include <stdio.h>
#include <string.h>

int ff_module_v1(const struct ff_host *h)
{
    printf("printed by the object\n");
    fflush(stdout);
    if (h->abi != FF_MODULE_ABI || h->size < sizeof *h)
        return 9;
    h->log(h, "info", h->input);
    h->log(h, "nonsense", h->checkpoint);
    h->progress(h, 1, 2, NULL);
    struct ff_finding f = {.size = sizeof f, .cwe = 89, .rule_id = "so/one", .title = "One", .severity = "high",
                           .confidence = "low", .file = "a.c", .line = 3, .metadata = "{\"k\":1}"};
    if (h->finding(h, &f) != 0)
        return 2;
    f.severity = "terrible";
    struct ff_finding small = {.size = 4};
    struct ff_finding latin = {.size = sizeof latin, .rule_id = "so/\xe9", .title = "x", .severity = "low"};
    if (h->finding(h, &f) == 0 || h->finding(h, &small) == 0 || h->finding(h, &latin) == 0 ||
        h->finding(h, NULL) == 0 || h->finding_json(h, "[]") == 0 || h->finding_json(h, NULL) == 0 ||
        h->summary(h, "1") == 0 || h->stats(h, "{") == 0 || h->save_checkpoint(h, "") == 0)
        return 3;
    if (h->finding_json(h, "{\"rule_id\":\"so/two\",\"title\":\"Two\",\"severity\":\"low\"}") != 0 ||
        h->stats(h, "{\"n\":1}") != 0 || h->save_checkpoint(h, "[7]") != 0 || h->summary(h, "{\"two\":2}") != 0)
        return 4;
    h->artifact(h, "/scratch/x.txt", NULL);
    if (strstr(h->input, "partial"))
        h->partial(h, "half of it");
    if (strstr(h->input, "fail")) {
        h->fail(h, "told to");
        return 1;
    }
    return strstr(h->input, "seven") ? 7 : 0;
}
