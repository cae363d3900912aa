/* Calls for what the log says and what shows it. */
#include "client/calls.h"

enum lethe_code lethe_log(struct lethe *l,
                          uint64_t from,
                          uint32_t limit,
                          bool newest,
                          struct lethe_log **ret_log,
                          struct lethe_error *e)
{
    void *root;
    struct client_call c = {
        .envelope = {.kind = WIRE_KIND_LOG,
                     .body.log_list = {.from = from, .limit = limit, .newest = newest}},
        .expects = WIRE_ANSWER_LOG_ENTRIES};
    const enum lethe_code code = calls_run(l, &c, &root, e);
    *ret_log = root;
    return code;
}

enum lethe_code
lethe_checkpoint(struct lethe *l, struct lethe_checkpoint **ret_checkpoint, struct lethe_error *e)
{
    void *root;
    struct client_call c = {.envelope = {.kind = WIRE_KIND_CHECKPOINT},
                            .expects = WIRE_ANSWER_CHECKPOINT};
    const enum lethe_code code = calls_run(l, &c, &root, e);
    *ret_checkpoint = root;
    return code;
}

static enum lethe_code one_proof(struct lethe *l,
                                 struct client_call *c,
                                 struct lethe_proof **ret_proof,
                                 struct lethe_error *e)
{
    void *root;
    c->expects = WIRE_ANSWER_PROOF;
    const enum lethe_code code = calls_run(l, c, &root, e);
    *ret_proof = root;
    return code;
}

enum lethe_code lethe_prove(struct lethe *l,
                            const char *request_id,
                            bool accepted,
                            struct lethe_proof **ret_proof,
                            struct lethe_error *e)
{
    struct client_call c = {
        .envelope = {.kind = WIRE_KIND_PROVE, .body.prove = {.accepted = accepted}}};
    *ret_proof = NULL;
    const enum lethe_code code = calls_parse_id(request_id, "id", &c.envelope.body.prove.id, e);
    return code == LETHE_OK ? one_proof(l, &c, ret_proof, e) : code;
}

enum lethe_code lethe_consistency(struct lethe *l,
                                  uint64_t old_size,
                                  uint64_t new_size,
                                  struct lethe_proof **ret_proof,
                                  struct lethe_error *e)
{
    struct client_call c = {
        .envelope = {.kind = WIRE_KIND_CONSISTENCY,
                     .body.sizes = {.old_size = old_size, .new_size = new_size}}};
    return one_proof(l, &c, ret_proof, e);
}

enum lethe_code lethe_certificate(struct lethe *l,
                                  const char *request_id,
                                  bool html,
                                  struct lethe_certificate **ret_certificate,
                                  struct lethe_error *e)
{
    void *root;
    struct client_call c = {
        .envelope = {.kind = WIRE_KIND_CERTIFICATE, .body.certify = {.html = html}},
        .expects = WIRE_ANSWER_CERTIFICATE};
    *ret_certificate = NULL;
    enum lethe_code code = calls_parse_id(request_id, "id", &c.envelope.body.certify.id, e);
    if (code != LETHE_OK)
        return code;
    code = calls_run(l, &c, &root, e);
    *ret_certificate = root;
    return code;
}
