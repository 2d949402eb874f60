/* What a server may send: its stream of events, the same in pieces of any size; and its documents, of which only what is fit to be
 * printed becomes a structure. */
#include "api/client/documents.h"
#include "api/client/sse.h"
#include "base/assert.h"
#include "codec/json.h"
#include "fuzz.h"

#include <string.h>

static int on_event(void *arg, const struct sse_event *e, struct err *err)
{
    (void)err;
    ASSERT(strspn(e->id, "0123456789") == strlen(e->id) && e->len <= SSE_DATA_MAX && !e->data[e->len]);
    strbuf_printf(arg, "%s|%s|%zu|", e->id, e->type, e->len);
    strbuf_append(arg, e->data, e->len);
    return 0;
}

static int read_stream(const uint8_t *data, size_t size, size_t step, struct strbuf *seen)
{
    struct sse s;
    int r = 0;
    sse_init(&s, on_event, seen);
    for (size_t i = 0; r == 0 && i < size; i += step)
        r = sse_feed(&s, data + i, size - i < step ? size - i : step, NULL);
    sse_release(&s);
    return r;
}

static void look(const char *s)
{
    for (; s && *s; s++)
        ASSERT((unsigned char)*s >= 0x20 && *s != 0x7f);
}

static void read_documents(const json_t *j)
{
    struct run_info run;
    struct run_item item;
    struct workflow_def *d;
    if (document_run(j, &run, NULL) == 0) {
        look(run.run_id);
        look(run.execution_id);
        look(run.workflow);
        ASSERT(run.status && !run.gate.export_sarif && (!run.gate.baseline || run.gate.baseline[0] != '/'));
        run_info_release(&run);
    }
    if (document_item(j, &item, NULL) == 0) {
        look(item.run_id);
        look(item.workflow);
    }
    if (document_workflow(j, &d, NULL) == 0) {
        look(d->name);
        workflow_def_free(d);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct strbuf whole = STRBUF_INIT, pieces = STRBUF_INIT;
    json_t *j = NULL;
    int r = read_stream(data, size, size + 1, &whole);
    ASSERT(read_stream(data, size, 7, &pieces) == r);
    ASSERT(whole.len == pieces.len && (!whole.len || memcmp(whole.s, pieces.s, whole.len) == 0));
    strbuf_release(&whole);
    strbuf_release(&pieces);
    if (json_parse((const char *)data, size, size, &j, NULL) == 0)
        read_documents(j);
    json_decref(j);
    return 0;
}
