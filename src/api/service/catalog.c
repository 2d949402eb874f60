#include "api/service/catalog.h"

#include "api/client/remote.h"
#include "base/cleanup.h"
#include "codec/json.h"

#include <string.h>

int workflows_list(const struct service *svc, struct workflow_def ***ret, size_t *ret_count, struct err *err)
{
    return svc->client ? client_workflows(svc->client, ret, ret_count, err) : toolbox_list(svc->toolbox, ret, ret_count, err);
}

int workflow_find(const struct service *svc, const char *name, struct workflow_def **ret, struct err *err)
{
    return svc->client ? client_workflow(svc->client, name, ret, err) : toolbox_find(svc->toolbox, name, ret, err);
}

const char *catalog_short(const char *text)
{
    static const char *const folders[] = {"/workflows/", "/modules/"};
    const char *found = text;
    for (size_t i = 0; text[0] == '/' && i < ARRAY_LEN(folders); i++)
        for (const char *p = text; (p = strstr(p, folders[i])); p++)
            found = p + 1 > found ? p + 1 : found;
    return found;
}

void catalog_shorten(json_t *j)
{
    static const char *const members[] = {"folder", "broken", "file", "library"};
    json_t *item;
    size_t i;
    for (i = 0; i < ARRAY_LEN(members); i++) {
        const char *text = json_str(j, members[i], NULL);
        if (text && catalog_short(text) != text)
            json_object_set_new(j, members[i], json_string(catalog_short(text)));
    }
    json_array_foreach(j, i, item)
        catalog_shorten(item);
}

static json_t *or_null(json_t *j)
{
    return j ? json_incref(j) : json_null();
}

json_t *workflow_head_json(const struct workflow_def *d)
{
    struct err why = {0};
    if (workflow_def_error(d, &why) < 0)
        return json_pack("{s:s, s:s*, s:s?, s:s, s:s?, s:i}", "name", d->name, "version", d->version, "folder", d->dir, "broken",
                         why.msg, "file", d->broken_file, "line", d->broken_line);
    return json_pack("{s:s, s:s?, s:s?, s:s?, s:s?, s:o, s:s?, s:b}", "name", d->name, "version", d->version,
                     "description", d->description, "author", d->author, "vertical", d->vertical, "tags", or_null(d->tags),
                     "folder", d->dir, "untrusted", d->untrusted);
}

json_t *workflow_info_json(const struct workflow_def *d)
{
    json_t *j = workflow_head_json(d);
    if (!j)
        return NULL;
    json_object_set_new(j, "workspace_isolation", json_string(d->isolation ? d->isolation : "isolated"));
    json_object_set_new(j, "network", json_string(d->network ? d->network : "none"));
    if (d->network_if)
        json_object_set_new(j, "network_if", json_string(d->network_if));
    json_object_set_new(j, "timeout_ms", d->timeout_ms ? json_integer(d->timeout_ms) : json_null());
    json_object_set_new(j, "schedule", d->schedule ? json_string(d->schedule) : json_null());
    json_object_set_new(j, "script_ref", json_string(d->script_ref));
    json_object_set_new(j, "resources", or_null(d->resources));
    json_object_set_new(j, "required_modules", or_null(d->required_modules));
    json_object_set_new(j, "parameters", or_null(d->parameters));
    json_object_set_new(j, "default_parameters", or_null(d->default_parameters));
    json_object_set_new(j, "output_schema", or_null(d->output_schema));
    return j;
}

json_t *workflow_parameters_json(const struct workflow_def *d)
{
    json_t *required = json_object_get(d->parameters, "required");
    return json_pack("{s:s, s:o, s:o, s:o}", "workflow", d->name, "parameters", or_null(d->parameters), "default_parameters",
                     or_null(d->default_parameters), "required_parameters",
                     json_is_array(required) ? json_incref(required) : json_array());
}

json_t *workflow_metadata_schema(void)
{
    static const char text[] =
        "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"metadata.yaml\",\"type\":\"object\","
        "\"required\":[\"name\",\"version\"],\"additionalProperties\":false,\"properties\":{"
        "\"name\":{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$\"},"
        "\"version\":{\"type\":[\"string\",\"number\"]},\"vertical\":{\"type\":\"string\"},\"description\":{\"type\":\"string\"},"
        "\"author\":{\"type\":\"string\"},\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
        "\"workspace_isolation\":{\"enum\":[\"isolated\",\"shared\",\"copy-on-write\"]},"
        "\"default_parameters\":{\"type\":\"object\"},"
        "\"parameters\":{\"type\":\"object\"},\"output_schema\":{\"type\":\"object\"},"
        "\"required_modules\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
        "\"timeout\":{\"type\":[\"string\",\"number\"]},"
        "\"resources\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"memory\":{},\"cpu\":{},\"pids\":{},"
        "\"disk\":{},\"files\":{}}},\"network\":{\"enum\":[\"none\",\"loopback\",\"full\"]},"
        "\"network_if\":{\"type\":\"string\"},\"schedule\":{\"type\":\"string\"},"
        "\"script\":{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$\"}}}";
    return json_loads(text, 0, NULL);
}

const char *module_kind_name(enum module_kind k)
{
    static const char *const names[] = {"built in", "executable", "shared object"};
    return (size_t)k < ARRAY_LEN(names) ? names[k] : "executable";
}

static json_t *strings_json(char *const *v)
{
    json_t *j = json_array();
    for (; v && *v; v++)
        json_array_append_new(j, json_string(*v));
    return j;
}

json_t *module_json(const struct module_def *d)
{
    json_t *j = json_pack("{s:s, s:s?, s:s?, s:s?, s:s?}", "name", d->name, "folder", d->dir, "broken", d->broken,
                          "shadowed_by", d->shadowed_by, "kind", d->broken ? NULL : module_kind_name(d->kind));
    if (!j || d->broken)
        return j;
    json_object_set_new(j, "version", json_string(d->version));
    json_object_set_new(j, "category", json_string(module_category_name(d->category)));
    json_object_set_new(j, "description", json_string(d->description));
    json_object_set_new(j, "tags", strings_json(d->tags));
    json_object_set_new(j, "requires_workspace", json_boolean(d->requires_workspace));
    json_object_set_new(j, "input_schema", d->input_schema ? json_incref(d->input_schema) : json_null());
    json_object_set_new(j, "output_schema", d->output_schema ? json_incref(d->output_schema) : json_null());
    json_object_set_new(j, "exec", d->argv ? strings_json(d->argv) : json_null());
    json_object_set_new(j, "library", d->library ? json_string(d->library) : json_null());
    return j;
}

int modules_list(const struct service *svc, json_t **ret, struct err *err)
{
    if (svc->client)
        return client_modules(svc->client, ret, err);
    struct module_def *defs = NULL;
    size_t n = 0;
    json_t *list = json_array();
    int r = list ? module_registry_list(svc->modules, &defs, &n, err) : err_nomem(err);
    for (size_t i = 0; i < n; i++) {
        if (r == 0 && json_array_append_new(list, module_json(&defs[i])) < 0)
            r = err_nomem(err);
        module_def_release(&defs[i]);
    }
    free(defs);
    if (r == 0)
        *ret = list;
    else
        json_decref(list);
    return r;
}

int module_find(const struct service *svc, const char *name, json_t **ret, struct err *err)
{
    if (svc->client)
        return client_module(svc->client, name, ret, err);
    struct module_def d;
    int r = module_registry_find(svc->modules, name, &d, err);
    if (r < 0)
        return r;
    *ret = module_json(&d);
    module_def_release(&d);
    return *ret ? 0 : err_nomem(err);
}
