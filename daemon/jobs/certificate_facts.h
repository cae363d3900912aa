/*
 * What a certificate says of a request, gathered from records, manifests and log in one read
 * transaction.  Core thread.
 */
#ifndef LETHE_JOBS_CERTIFICATE_FACTS_H
#define LETHE_JOBS_CERTIFICATE_FACTS_H

#include "daemon/jobs/assurance.h"
#include "daemon/jobs/core.h"
#include "proto/wire.h"
#include "storage/queue/queue.h"
#include "storage/vault/vault.h"

#include <jansson.h>

struct certificate_facts {
    struct queue_record record;
    struct wire_request request; /* in the arena of the call */
    json_t *report;              /* NULL: nothing was measured; json_decref */
    struct assurance_facts ladder;
    struct assurance assurance;
    char method[32]; /* "": none was run to its end */
    char parameters[DIGEST_TEXT_SIZE];
    uint64_t accepted, done; /* entries; done: its end */
    uint64_t served;         /* 1 + entry that moved the pointer to the version; 0: none */
    uint64_t sealed;         /* 1 + entry of the sealing after it; 0: none */
    int shredding;           /* one began after it */
    uint64_t shredded;       /* 1 + entry of the shredding after that; 0: none */
    uint64_t epoch;          /* whose keys it destroyed */
    uint64_t previous;       /* 1 + entry of the certificate before; 0: none */
    uint64_t log_size;       /* before the certificate */
    struct digest log_root;  /* SHA-256 */
    const char *key_store;
    char base_folder[1024 + 1]; /* that still holds a base; "": none */
    const char *declared;       /* copies, as configured; "": none */
};

/* FAILED_PRECONDITION, field "id": no erasure, not ended, older than the log; NOT_FOUND. */
enum status certificate_facts_read(struct core *core,
                                   struct kv_txn *txn,
                                   const struct request_id *id,
                                   struct arena *arena,
                                   struct certificate_facts *x,
                                   struct fault *f) MUST_CHECK;
void certificate_facts_fini(struct certificate_facts *x);

#endif
