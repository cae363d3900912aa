/* Keys of clients: list, add, revoke. */
#include "client/calls.h"

#include <string.h>

static enum lethe_code run(struct lethe *l,
                           const struct wire_keys *m,
                           struct lethe_clients **ret_clients,
                           struct lethe_error *e)
{
    struct client_call c = {.envelope = {.kind = WIRE_KIND_KEYS, .body.keys = *m},
                            .expects = WIRE_ANSWER_KEYS};
    void *root;
    const enum lethe_code code = calls_run(l, &c, &root, e);
    *ret_clients = root;
    return code;
}

enum lethe_code
lethe_keys_list(struct lethe *l, struct lethe_clients **ret_clients, struct lethe_error *e)
{
    const struct wire_keys m = {.action = "list"};
    return run(l, &m, ret_clients, e);
}

enum lethe_code lethe_keys_add(struct lethe *l,
                               const struct lethe_client *client,
                               struct lethe_clients **ret_clients,
                               struct lethe_error *e)
{
    struct wire_keys m = {.action = "add", .name = client->name, .role = client->role};
    memcpy(m.key.b, client->key, sizeof m.key.b);
    return run(l, &m, ret_clients, e);
}

enum lethe_code lethe_keys_revoke(struct lethe *l,
                                  const char *name,
                                  struct lethe_clients **ret_clients,
                                  struct lethe_error *e)
{
    const struct wire_keys m = {.action = "revoke", .name = name};
    return run(l, &m, ret_clients, e);
}
