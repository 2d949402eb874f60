/* What `ff workflow new` writes: a workflow that runs as it is and shows how to go on. */
#include "base/mem.h"
#include "toolbox/toolbox.h"

static const char metadata[] =
    "name: %s\n"
    "version: \"0.1.0\"\n"
    "vertical: default\n"
    "description: \"What this workflow looks for\"\n"
    "author: \"\"\n"
    "tags: [example]\n"
    "workspace_isolation: isolated # or shared, copy-on-write\n"
    "required_modules: [file_scanner, security_analyzer]\n"
    "parameters: # JSON Schema: what `ff run %s TARGET key=value` takes\n"
    "  type: object\n"
    "  properties:\n"
    "    check_secrets:\n"
    "      type: boolean\n"
    "      default: true\n"
    "      description: Look for hard-coded credentials too\n";

static const char script[] =
    "-- The script is replayed after a crash, so it must do the same each time: what touches the world is done by activities.\n"
    "return function(input)\n"
    "  ff.progress(0, 2, \"taking stock\")\n"
    "  local files = ff.activity(\"file_scanner\", {}, {timeout = \"5m\"})\n"
    "\n"
    "  ff.progress(1, 2, \"analysing\")\n"
    "  local code = ff.activity(\"security_analyzer\", {\n"
    "    check_secrets = input.parameters.check_secrets,\n"
    "  }, {timeout = \"30m\"})\n"
    "\n"
    "  return {\n"
    "    summary = {files = files.summary, code = code.summary},\n"
    "    findings = {files.findings, code.findings},\n"
    "  }\n"
    "end\n";

int toolbox_skeleton(const char *name, char **ret_metadata, char **ret_script, struct err *err)
{
    if (!toolbox_name_valid(name))
        return err_set(err, ERR_INVALID, "'%.100s' is no workflow name: letters, digits, '-' and '_'", name);
    char *m = mem_printf(metadata, name, name), *s = mem_strdup(script);
    if (!m || !s) {
        free(m);
        free(s);
        return err_nomem(err);
    }
    *ret_metadata = m;
    *ret_script = s;
    return 0;
}
