/* What a module has said last, for whoever watches its run from another process: it goes along with each heartbeat.
 *
 * Numbered, so that a watcher who sees it again, or late, knows what is new; bounded, so that a module which says much does not
 * make heartbeats large. What a watcher misses of the findings he sees at the end. */
#include "worker/activity_internal.h"

#include "codec/json.h"

#include <string.h>

#define ITEMS_MAX 32
#define BYTES_MAX ((size_t)16 << 10)
#define ITEM_BYTES_MAX ((size_t)2 << 10)
#define TEXT_MAX 400

static size_t size_of(const json_t *j)
{
    return json_dumpb(j, NULL, 0, JSON_COMPACT);
}

/* Not in the midst of a character. */
static json_t *cut(const char *text)
{
    size_t n = strlen(text);
    if (n > TEXT_MAX)
        for (n = TEXT_MAX; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
            n--;
    return json_stringn(text, n);
}

/* The members of a large one that are shown, shortened. */
static json_t *shorten(const json_t *data)
{
    static const char *const members[] = {"rule_id", "severity", "title", "file", "line", "level", "message"};
    json_t *j = json_object();
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *v = json_object_get(data, members[i]);
        if (v)
            json_object_set_new(j, members[i], json_is_string(v) ? cut(json_string_value(v)) : json_incref(v));
    }
    return j;
}

void worker_recent_add(struct activity *a, const char *type, const json_t *data)
{
    if (!a->recent && !(a->recent = json_array()))
        return;
    bool large = size_of(data) > ITEM_BYTES_MAX;
    json_t *item = json_pack("{s:I, s:s, s:o}", "n", (json_int_t)++a->recent_number, "type", type, "data",
                             large ? shorten(data) : json_incref((json_t *)(uintptr_t)data));
    size_t size = item ? size_of(item) : 0;
    if (!item || json_array_append_new(a->recent, item) < 0)
        return;
    a->recent_bytes += size;
    while (json_array_size(a->recent) > ITEMS_MAX || (a->recent_bytes > BYTES_MAX && json_array_size(a->recent) > 1)) {
        a->recent_bytes -= size_of(json_array_get(a->recent, 0));
        json_array_remove(a->recent, 0);
    }
}

json_t *worker_recent_json(const struct activity *a)
{
    return json_array_size(a->recent) ? json_pack("{s:i, s:O}", "attempt", (int)a->task->attempt, "items", a->recent) : NULL;
}
