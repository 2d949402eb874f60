/* Memos and search attributes: maps from names to payloads that a workflow changes name by name. */
#ifndef FF_ENGINE_FIELDS_H
#define FF_ENGINE_FIELDS_H

#include "engine/embedded/engine_internal.h"

/* Fields of up replace those of *field with the same name; one that is null or has no data takes it away. */
void fields_merge_memo(struct eng *e, Pb__Memo **field, const Pb__Memo *up);
void fields_merge_attributes(struct eng *e, Pb__SearchAttributes **field, const Pb__SearchAttributes *up);

#endif
