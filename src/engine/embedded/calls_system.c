/* Calls about the engine itself. */
#include "base/mem.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/match.h"
#include "engine/embedded/token.h"

#include <stdio.h>
#include <string.h>

void call_get_system_info(struct eng *e, struct call *c)
{
    Pb__GetSystemInfoResponse *r = (void *)call_new_response(c);
    Pb__GetSystemInfoResponseCapabilities *k = r ? mem_alloc(sizeof *k) : NULL;
    if (!k) {
        engine_free_message((ProtobufCMessage *)r);
        call_answer(e, c, NULL);
        return;
    }
    pb__get_system_info_response_capabilities__init(k);
    r->capabilities = k;
    str_set(e, &r->server_version, ENGINE_TEMPORAL_VERSION);
    k->signal_and_query_header = true;
    k->internal_error_differentiation = true;
    k->activity_failure_include_heartbeat = true;
    k->encoded_failure_attributes = true;
    k->upsert_memo = true;
    k->eager_workflow_start = true;
    k->sdk_metadata = true;
    k->count_group_by_execution_status = true;
    call_answer(e, c, &r->base);
}

static void add_client(struct eng *e, Pb__GetClusterInfoResponse *r, const char *name, const char *versions)
{
    Pb__GetClusterInfoResponse__SupportedClientsEntry *entry = mem_alloc(sizeof *entry);
    if (!entry) {
        eng_nomem(e);
        return;
    }
    pb__get_cluster_info_response__supported_clients_entry__init(entry);
    str_set(e, &entry->key, name);
    str_set(e, &entry->value, versions);
    r->supported_clients[r->n_supported_clients++] = entry;
}

/* Stable as long as the state is; tells nothing of the key. */
void call_cluster_id(const struct eng *e, char buf[ENGINE_CLUSTER_ID_SIZE])
{
    snprintf(buf, ENGINE_CLUSTER_ID_SIZE, "%016llx", (unsigned long long)token_hash(e->db.token_key, "cluster", 7));
}

void call_get_cluster_info(struct eng *e, struct call *c)
{
    static const char *const clients[] = {"temporal-cli", "temporal-go", "temporal-java", "temporal-php",
                                          "temporal-python", "temporal-server", "temporal-typescript"};
    enum { CLIENTS = sizeof clients / sizeof *clients };
    Pb__GetClusterInfoResponse *r = (void *)call_new_response(c);
    if (!r || !(r->supported_clients = mem_calloc(CLIENTS, sizeof *r->supported_clients))) {
        engine_free_message((ProtobufCMessage *)r);
        call_answer(e, c, NULL);
        return;
    }
    for (int i = 0; i < CLIENTS; i++)
        add_client(e, r, clients[i], "<100.0.0");
    char id[ENGINE_CLUSTER_ID_SIZE];
    call_cluster_id(e, id);
    str_set(e, &r->server_version, ENGINE_TEMPORAL_VERSION);
    str_set(e, &r->cluster_id, id);
    str_set(e, &r->cluster_name, ENGINE_CLUSTER_NAME);
    str_set(e, &r->persistence_store, "sqlite");
    str_set(e, &r->visibility_store, "sqlite");
    r->history_shard_count = 1;
    r->initial_failover_version = 1;
    r->failover_version_increment = 10;
    call_answer(e, c, &r->base);
}

static Pb__TaskQueuePartitionMetadata *partition(struct eng *e, const char *name)
{
    Pb__TaskQueuePartitionMetadata *p = mem_alloc(sizeof *p);
    if (!p) {
        eng_nomem(e);
        return NULL;
    }
    pb__task_queue_partition_metadata__init(p);
    str_set(e, &p->key, name);
    return p;
}

/* A queue is one piece here. */
void call_list_partitions(struct eng *e, struct call *c)
{
    const Pb__ListTaskQueuePartitionsRequest *q = (const void *)c->req;
    const char *name = q->task_queue ? q->task_queue->name : "";
    if (!*name || strlen(name) > ENGINE_ID_MAX) {
        call_fail(e, c, ERR_INVALID, "Task queue not set or too long on request.");
        return;
    }
    Pb__ListTaskQueuePartitionsResponse *r = (void *)call_new_response(c);
    if (r) {
        r->activity_task_queue_partitions = mem_calloc(1, sizeof *r->activity_task_queue_partitions);
        r->workflow_task_queue_partitions = mem_calloc(1, sizeof *r->workflow_task_queue_partitions);
        if (r->activity_task_queue_partitions && (r->activity_task_queue_partitions[0] = partition(e, name)))
            r->n_activity_task_queue_partitions = 1;
        if (r->workflow_task_queue_partitions && (r->workflow_task_queue_partitions[0] = partition(e, name)))
            r->n_workflow_task_queue_partitions = 1;
    }
    call_answer(e, c, (ProtobufCMessage *)r);
}

/* A worker goes: what waits in its sticky queue is not kept for it. */
void call_shutdown_worker(struct eng *e, struct call *c)
{
    const Pb__ShutdownWorkerRequest *q = (const void *)c->req;
    if (*q->sticky_task_queue && strlen(q->sticky_task_queue) <= ENGINE_ID_MAX)
        match_abandon(e, c->ns, q->sticky_task_queue);
    call_answer_empty(e, c);
}
