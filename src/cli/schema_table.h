/* The properties of a JSON Schema as a table: what a workflow or a module takes. */
#ifndef FF_CLI_SCHEMA_TABLE_H
#define FF_CLI_SCHEMA_TABLE_H

#include <jansson.h>

/* defaults: an object whose members stand above the schema's own "default"; or NULL. To stdout. */
void schema_table_print(const json_t *schema, const json_t *defaults);

#endif
