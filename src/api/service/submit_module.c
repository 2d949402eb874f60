/* One module as a run of its own: the submission of a workflow that is made for it. */
#include "api/service/submit.h"

#include "base/mem.h"
#include "codec/json.h"
#include "fuzz/fuzz.h"
#include "module/registry.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

#define NO_TIMEOUT "365d"
#define ANSWER_MS 60000 /* for what comes after its end */

/* "stop": a module that can give a result of what it has does, as after Ctrl-C here. */
static const char script[] = "return function(input)\n"
                             "  local p = input.parameters\n"
                             "  local opts = {timeout = p.timeout, heartbeat = \"60s\", retry = false}\n"
                             "  local running = ff.start(p.module, p.input, opts)\n"
                             "  ff.on_signal(\"stop\", function() running:cancel() end)\n"
                             "  return ff.await(running)\n"
                             "end\n";

int module_engines_check(const char *module, const json_t *input, struct err *err)
{
    const char *one = json_str(input, "engine", NULL);
    size_t i;
    json_t *e;
    int r = fuzz_module_check(module, err);
    if (r == 0 && one)
        r = fuzz_engine_check(one, err);
    json_array_foreach(json_object_get(input, "engines"), i, e)
        if (r == 0 && json_is_string(e))
            r = fuzz_engine_check(json_string_value(e), err);
    return r;
}

static struct workflow_def *make_def(struct module_def *m)
{
    struct workflow_def *d = mem_zalloc(sizeof *d);
    if (!d)
        return NULL;
    d->name = mem_strdup(MODULE_WORKFLOW);
    d->version = mem_strdup(m->version);
    d->vertical = mem_strdup("python"); /* which every server works for */
    d->isolation = mem_strdup("shared");
    d->required_modules = json_pack("[s]", m->name);
    d->parameters = json_incref(m->input_schema);
    d->script = mem_strdup(script);
    d->script_len = sizeof script - 1;
    if (d->name && d->version && d->vertical && d->isolation && d->required_modules && d->script)
        return d;
    workflow_def_free(d);
    return NULL;
}

int submission_init_module(const struct service *svc, const char *module, struct submission *ret, struct err *err)
{
    struct module_def m;
    *ret = (struct submission)SUBMISSION_INIT;
    int r = module_registry_find(svc->modules, module, &m, err);
    if (r < 0)
        return r;
    ret->def = make_def(&m);
    ret->module.needs_target = m.requires_workspace;
    ret->module.fuzzes = m.category == MODULE_FUZZER;
    ret->module.name = mem_strdup(m.name);
    module_def_release(&m);
    os_ulid(ret->id);
    ret->fresh = true;
    if (!ret->def || !ret->module.name)
        return err_nomem(err);
    return svc->store ? store_hold_new(svc->store, &ret->hold, err) : 0;
}

static int set_text(char **ret, const char *text, struct err *err)
{
    if (!text)
        return 0;
    free(*ret);
    return (*ret = mem_strdup(text)) ? 0 : err_nomem(err);
}

/* Its input, with the schema's defaults, and how long it may take. */
static int make_parameters(struct submission *s, const struct module_bounds *b, json_t *input, struct err *err)
{
    char timeout[32] = NO_TIMEOUT;
    if (b->timeout_ms)
        snprintf(timeout, sizeof timeout, "%lldms", (long long)b->timeout_ms + ANSWER_MS);
    s->parameters = json_pack("{s:s, s:o, s:s}", "module", s->module.name, "input", input, "timeout", timeout);
    return s->parameters ? 0 : err_nomem(err);
}

int submission_module(struct submission *s, const json_t *input, const struct module_bounds *b, struct err *err)
{
    struct workflow_def *d = s->def;
    json_t *all = NULL;
    int r = workflow_def_parameters(d, input, &all, err);
    if (r == 0)
        r = make_parameters(s, b, all, err);
    if (r == 0)
        r = set_text(&d->isolation, b->isolation, err);
    if (r == 0)
        r = set_text(&d->network, b->network, err);
    if (r == 0 && !(d->resources = json_object()))
        r = err_nomem(err);
    if (r == 0 && b->timeout_ms)
        json_object_set_new(d->resources, "time_ms", json_integer(b->timeout_ms));
    if (r == 0 && b->memory_bytes)
        json_object_set_new(d->resources, "memory", json_integer((json_int_t)b->memory_bytes));
    if (r == 0 && b->disk_bytes)
        json_object_set_new(d->resources, "disk", json_integer((json_int_t)b->disk_bytes));
    return r;
}
