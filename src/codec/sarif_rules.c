/* The rules of a SARIF run and the part of the CWE taxonomy that they refer to. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/sarif_internal.h"

#include <stdio.h>
#include <string.h>

#define HELP_MAX 8192 /* bytes of a rule's help taken from a finding */

void sarif_rules_release(struct sarif_rules *rules)
{
    VEC_RELEASE(&rules->list);
    VEC_RELEASE(&rules->cwe);
    map_release(&rules->index);
}

size_t sarif_rule_index(const struct sarif_rules *rules, const char *rule_id)
{
    size_t position = (size_t)map_get(&rules->index, rule_id);
    return position ? position - 1 : 0;
}

size_t sarif_taxon_index(const struct sarif_rules *rules, int cwe)
{
    for (size_t i = 0; i < rules->cwe.len; i++)
        if (rules->cwe.v[i] == cwe)
            return i;
    return 0;
}

static bool has_taxon(const struct sarif_rules *rules, int cwe)
{
    return rules->cwe.len > 0 && rules->cwe.v[sarif_taxon_index(rules, cwe)] == cwe;
}

static void add_cwe(struct sarif_rule *rule, int cwe)
{
    for (size_t i = 0; i < rule->cwe_count; i++)
        if (rule->cwe[i] == cwe)
            return;
    if (rule->cwe_count < FINDING_CWE_MAX)
        rule->cwe[rule->cwe_count++] = cwe;
}

int sarif_rules_add(struct sarif_rules *rules, const struct finding *f, struct err *err)
{
    size_t position = (size_t)map_get(&rules->index, f->rule_id);
    if (!position) {
        if (!VEC_PUSH(&rules->list, ((struct sarif_rule){.sample = f})))
            return err_nomem(err);
        position = rules->list.len;
        if (!map_set(&rules->index, f->rule_id, (void *)position))
            return err_nomem(err);
    }
    for (size_t i = 0; i < f->cwe_count; i++) {
        add_cwe(&rules->list.v[position - 1], f->cwe[i]);
        if (!has_taxon(rules, f->cwe[i]) && !VEC_PUSH(&rules->cwe, f->cwe[i]))
            return err_nomem(err);
    }
    return 0;
}

/* How GitHub ranks security results: critical from 9.0, high from 7.0, medium from 4.0, low below. */
static const char *security_severity(enum severity s)
{
    static const char *const scores[] = {"0.0", "3.0", "5.5", "8.0", "9.5"};
    return scores[s];
}

static json_t *rule_properties(const struct sarif_rule *rule)
{
    static const char *const precisions[] = {"low", "medium", "high"};
    struct sarif_maker m = {0};
    json_t *j = sarif_object(&m), *tags = sarif_array(&m);
    sarif_push(&m, tags, json_string("security"));
    size_t category = strcspn(rule->sample->rule_id, "/");
    if (rule->sample->rule_id[category] && category > 0) {
        _cleanup_free_ char *tag = mem_strndup(rule->sample->rule_id, category);
        m.failed |= !tag;
        if (tag && strcmp(tag, "security") != 0)
            sarif_push(&m, tags, json_clean_string(tag));
    }
    for (size_t i = 0; i < rule->cwe_count; i++) {
        char tag[40];
        snprintf(tag, sizeof tag, "external/cwe/cwe-%03d", rule->cwe[i]);
        sarif_push(&m, tags, json_string(tag));
    }
    sarif_set(&m, j, "tags", tags);
    sarif_set_text(&m, j, "precision", precisions[rule->sample->confidence]);
    sarif_set_text(&m, j, "security-severity", security_severity(rule->sample->severity));
    return sarif_made(&m, j);
}

static json_t *relationships(const struct sarif_rules *rules, const struct sarif_rule *rule)
{
    struct sarif_maker m = {0};
    json_t *list = sarif_array(&m);
    for (size_t i = 0; i < rule->cwe_count; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", rule->cwe[i]);
        sarif_push(&m, list,
                   json_pack("{s:{s:s, s:I, s:{s:s, s:i}}, s:[s]}", "target", "id", id, "index",
                             (json_int_t)sarif_taxon_index(rules, rule->cwe[i]), "toolComponent", "name", "CWE",
                             "index", 0, "kinds", "superset"));
    }
    return sarif_made(&m, list);
}

/* What the rule's author says, else what its gravest finding says. */
static json_t *rule_help(const struct sarif_rule *rule, const json_t *known)
{
    struct sarif_maker m = {0};
    const struct finding *f = rule->sample;
    struct strbuf text = STRBUF_INIT, markdown = STRBUF_INIT;
    const char *what = json_str(known, "description", f->description ? f->description : f->title);
    const char *todo = f->recommendation;
    strbuf_printf(&text, "%.*s%s%.*s", HELP_MAX, what, todo ? "\n\n" : "", HELP_MAX, todo ? todo : "");
    strbuf_printf(&markdown, "%.*s%s%.*s", HELP_MAX, what, todo ? "\n\n**What to do:** " : "", HELP_MAX,
                  todo ? todo : "");
    for (size_t i = 0; i < rule->cwe_count; i++)
        strbuf_printf(&markdown, "%s[CWE-%d](https://cwe.mitre.org/data/definitions/%d.html)", i ? ", " : "\n\n",
                      rule->cwe[i], rule->cwe[i]);
    m.failed |= strbuf_check(&text, NULL) < 0 || strbuf_check(&markdown, NULL) < 0;
    json_t *j = sarif_object(&m);
    sarif_set_text(&m, j, "text", json_str(known, "help", strbuf_str(&text)));
    sarif_set_text(&m, j, "markdown", json_str(known, "help_markdown", strbuf_str(&markdown)));
    strbuf_release(&text);
    strbuf_release(&markdown);
    return sarif_made(&m, j);
}

json_t *sarif_rule_json(const struct sarif_rules *rules, const struct sarif_rule *rule, const json_t *known)
{
    struct sarif_maker m = {0};
    const struct finding *f = rule->sample;
    json_t *j = sarif_object(&m), *defaults = sarif_object(&m);
    sarif_set_text(&m, j, "id", f->rule_id);
    sarif_set_message(&m, j, "shortDescription", json_str(known, "name", f->title));
    sarif_set_message(&m, j, "fullDescription",
                      json_str(known, "description", f->description ? f->description : f->title));
    sarif_set(&m, j, "help", rule_help(rule, known));
    sarif_set_text(&m, j, "helpUri", json_str(known, "help_uri", NULL));
    sarif_set_text(&m, defaults, "level", severity_sarif_level(f->severity));
    sarif_set(&m, j, "defaultConfiguration", defaults);
    if (rule->cwe_count)
        sarif_set(&m, j, "relationships", relationships(rules, rule));
    sarif_set(&m, j, "properties", rule_properties(rule));
    return sarif_made(&m, j);
}

json_t *sarif_taxonomy_json(const struct sarif_rules *rules)
{
    struct sarif_maker m = {0};
    json_t *taxa = sarif_array(&m), *list = sarif_array(&m);
    for (size_t i = 0; i < rules->cwe.len; i++) {
        char id[16], uri[80];
        snprintf(id, sizeof id, "%d", rules->cwe.v[i]);
        snprintf(uri, sizeof uri, "https://cwe.mitre.org/data/definitions/%d.html", rules->cwe.v[i]);
        sarif_push(&m, taxa, json_pack("{s:s, s:s}", "id", id, "helpUri", uri));
    }
    json_t *j = json_pack("{s:s, s:s, s:s, s:{s:s}, s:b}", "name", "CWE", "organization", "MITRE",
                          "informationUri", "https://cwe.mitre.org/", "shortDescription", "text",
                          "The MITRE Common Weakness Enumeration", "isComprehensive", 0);
    sarif_set(&m, j, "taxa", taxa);
    sarif_push(&m, list, j);
    return sarif_made(&m, list);
}
