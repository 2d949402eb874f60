/* Many whole security assessments of a small project: the real workflow, modules and sandboxes.
 *
 * usage: assessment_bench TOOLBOX [FOLDER [COUNT [IN_FLIGHT]]] */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "engine/embedded/embedded.h"
#include "ingest/ingest.h"
#include "load.h"
#include "os/file.h"
#include "scan/builtin.h"
#include "toolbox/toolbox.h"
#include "worker/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES 12

static void preload(void *arg)
{
    (void)arg;
    builtin_preload(NULL);
}

static int builtin(const char *name, void *arg)
{
    const struct module *m = module_registry_builtin(arg, name);
    return m ? module_serve(m, STDIN_FILENO, STDOUT_FILENO) : 127;
}

/* Twelve Python files with a weakness in every third. */
static void make_project(const char *dir)
{
    struct err err = {0};
    struct strbuf text = STRBUF_INIT;
    if (os_mkdir(dir, 0755, false, &err) < 0)
        load_die("project", &err);
    for (int i = 0; i < FILES; i++) {
        char path[4096];
        strbuf_clear(&text);
        strbuf_puts(&text, "import sqlite3\n\n");
        for (int f = 0; f < 10; f++)
            strbuf_printf(&text, "def f%d(a, b):\n    total = a * %d + b\n    return {'total': total, 'name': 'n%d'}\n\n", f, f, i);
        if (i % 3 == 0)
            strbuf_puts(&text, "def find(db, request):\n    name = request.args['name']\n"
                               "    return db.execute(\"SELECT * FROM t WHERE name = '\" + name + \"'\")\n");
        snprintf(path, sizeof path, "%s/m%02d.py", dir, i);
        if (os_write_file_atomic(path, text.s, text.len, 0644, &err) < 0)
            load_die("project", &err);
    }
    strbuf_release(&text);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return fprintf(stderr, "usage: assessment_bench TOOLBOX [FOLDER [COUNT [IN_FLIGHT]]]\n"), 2;
    const char *base = argc > 2 ? argv[2] : "/tmp";
    int count = argc > 3 ? atoi(argv[3]) : 500, flight = argc > 4 ? atoi(argv[4]) : 50;
    struct err err = {0};
    _cleanup_free_ char *dir = NULL;
    if (os_temp_dir(base, "ff-bench-", &dir, &err) < 0)
        load_die("folder", &err);
    _cleanup_free_ char *db = os_path_join(dir, "state.db"), *objects = os_path_join(dir, "store");
    _cleanup_free_ char *project = os_path_join(dir, "project"), *tmp = os_path_join(dir, "tmp");
    _cleanup_free_ char *cache = os_path_join(dir, "cache");
    make_project(project);
    os_mkdir(tmp, 0700, false, NULL);

    const char *none[] = {NULL};
    struct toolbox_options to = {.installed_dir = argv[1]};
    struct module_registry *modules;
    struct toolbox *toolbox;
    struct workflow_def *def;
    if (module_registry_new(builtin_modules, none, &modules, &err) < 0 || toolbox_open(&to, &toolbox, &err) < 0 ||
        toolbox_find(toolbox, "security_assessment", &def, &err) < 0)
        load_die("toolbox", &err);
    struct spawner_options so = {.builtin = builtin, .builtin_arg = modules, .preload = preload};
    struct spawner *spawner;
    if (spawner_start(&so, &spawner, &err) < 0)
        load_die("spawner", &err);
    struct engine_embedded_options eo = {.path = db};
    struct engine *engine;
    struct store *store;
    struct workspaces_options wo = {.dir = cache};
    struct workspaces *workspaces;
    struct ingest_options io = {.spawner = spawner};
    struct ingest_result target;
    struct store_ref ref;
    if (engine_embedded_open(&eo, &engine, &err) < 0 || store_open_local(objects, &store, &err) < 0 ||
        workspaces_open(store, &wo, &workspaces, &err) < 0 || ingest(store, project, &io, &target, &err) < 0 ||
        store_put(store, def->script, def->script_len, "text/x-lua", &ref, &err) < 0)
        load_die("state", &err);
    const char *const verticals[] = {def->vertical, NULL};
    struct worker_options wk = {.engine = engine,
                                .store = store,
                                .workspaces = workspaces,
                                .spawner = spawner,
                                .modules = modules,
                                .verticals = verticals,
                                .scratch_dir = tmp,
                                .workflow_polls = 32};
    struct worker *worker;
    if (worker_start(&wk, &worker, &err) < 0)
        load_die("worker", &err);
    json_t *parameters;
    if (workflow_def_parameters(def, NULL, &parameters, &err) < 0)
        load_die("parameters", &err);
    _cleanup_free_ char *queue = worker_queue_name(def->vertical);
    struct load load = {
        .engine = engine,
        .workflow_type = def->name,
        .queue = queue,
        .input = json_pack("{s:{s:s, s:s}, s:o, s:{s:s}}", "target", "ref", target.tree.text, "name", "project",
                           "parameters", parameters, "run", "id", "bench"),
        .context = json_pack("{s:s, s:s, s:{s:s}, s:s}", "vertical", def->vertical, "isolation", def->isolation, "target",
                             "ref", target.tree.text, "network", "none"),
        .script_ref = ref.text,
        .store = store,
        .target_ref = target.tree.text,
    };
    load_run(&load, flight, flight); /* warm */
    double s = load_run(&load, count, flight);
    printf("security_assessment of a %d-file project, %d in flight: %.1f runs/s, so 10,000 in %.1f min\n", FILES, flight,
           count / s, 10000 / (count / s) / 60);
    worker_stop(worker);
    engine_free(engine);
    ingest_result_release(&target);
    workspaces_free(workspaces);
    store_free(store);
    spawner_free(spawner);
    workflow_def_free(def);
    toolbox_free(toolbox);
    module_registry_free(modules);
    json_decref(load.input);
    json_decref(load.context);
    os_remove_tree(dir, NULL);
    return 0;
}
