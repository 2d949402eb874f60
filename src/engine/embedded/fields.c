#include "engine/embedded/fields.h"

#include <stddef.h>
#include <string.h>

/* Both maps have entries of one shape in C. */
typedef Pb__Memo__FieldsEntry field_t;
_Static_assert(sizeof(field_t) == sizeof(Pb__SearchAttributes__IndexedFieldsEntry) &&
                   offsetof(field_t, key) == offsetof(Pb__SearchAttributes__IndexedFieldsEntry, key) &&
                   offsetof(field_t, value) == offsetof(Pb__SearchAttributes__IndexedFieldsEntry, value),
               "entries of memos and of search attributes have one shape");

/* Is it a value that takes the field away? */
static bool is_nothing(const Pb__Payload *p)
{
    static const char null[] = "binary/null";
    if (!p || !p->data.len)
        return true;
    for (size_t i = 0; i < p->n_metadata; i++)
        if (strcmp(p->metadata[i]->key, "encoding") == 0 && p->metadata[i]->value.len == sizeof null - 1 &&
            memcmp(p->metadata[i]->value.data, null, sizeof null - 1) == 0)
            return true;
    return p->data.len == 4 && memcmp(p->data.data, "null", 4) == 0;
}

/* The list is in the arena, what it points to is borrowed. NULL after a fault. */
static field_t **merge(struct eng *e, field_t **have, size_t n_have, field_t **up, size_t n_up, size_t *ret_n)
{
    field_t **list = arena_alloc(&e->arena, (n_have + n_up + 1) * sizeof *list);
    size_t n = 0;
    if (!list) {
        eng_nomem(e);
        return NULL;
    }
    for (size_t i = 0; i < n_have; i++) {
        bool replaced = false;
        for (size_t j = 0; j < n_up; j++)
            replaced |= strcmp(up[j]->key, have[i]->key) == 0;
        if (!replaced)
            list[n++] = have[i];
    }
    for (size_t j = 0; j < n_up; j++)
        if (!is_nothing(up[j]->value))
            list[n++] = up[j];
    *ret_n = n;
    return list;
}

void fields_merge_memo(struct eng *e, Pb__Memo **field, const Pb__Memo *up)
{
    Pb__Memo merged = PB__MEMO__INIT, none = PB__MEMO__INIT;
    const Pb__Memo *have = *field ? *field : &none;
    if (up && (merged.fields = merge(e, have->fields, have->n_fields, up->fields, up->n_fields, &merged.n_fields)))
        msg_set(e, field, &merged);
}

void fields_merge_attributes(struct eng *e, Pb__SearchAttributes **field, const Pb__SearchAttributes *up)
{
    Pb__SearchAttributes merged = PB__SEARCH_ATTRIBUTES__INIT, none = PB__SEARCH_ATTRIBUTES__INIT;
    const Pb__SearchAttributes *have = *field ? *field : &none;
    if (!up)
        return;
    merged.indexed_fields = (Pb__SearchAttributes__IndexedFieldsEntry **)merge(
        e, (field_t **)have->indexed_fields, have->n_indexed_fields, (field_t **)up->indexed_fields,
        up->n_indexed_fields, &merged.n_indexed_fields);
    if (merged.indexed_fields)
        msg_set(e, field, &merged);
}
