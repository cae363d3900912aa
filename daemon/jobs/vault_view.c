#include "daemon/jobs/vault_view.h"

enum status vault_view(struct core *core, struct wire_vault *v, struct fault *f)
{
    struct vault_state state;
    struct kv_stats stats;
    TRY(store_vault_state(core->store, &state, f));
    TRY(store_stats(core->store, &stats, f));
    v->epoch = state.epoch;
    v->data_keys = state.data_keys;
    v->key_store = state.backend;
    if (v->bytes == 0)
        v->bytes = stats.file_used;
    return STATUS_OK;
}
