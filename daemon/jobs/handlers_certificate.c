/*
 * KIND_CERTIFICATE, on the core thread: issues the certificate of an erasure when it is first asked
 * for and when what it says has changed, else gives the one that was issued.
 */
#include "daemon/base/clock.h"
#include "daemon/jobs/certificate_text.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/handlers.h"
#include "daemon/jobs/receipts.h"
#include "storage/store/certificates.h"

#include <string.h>

static enum status gather(struct core *core,
                          struct call *call,
                          struct certificate_facts *x,
                          struct certificate_texts *ret_texts,
                          int *ret_known,
                          struct fault *f)
{
    struct kv_txn *txn;
    struct certificate_record old;
    const struct request_id *id = &call_message(call)->body.certify.id;
    TRY(store_read_begin(core->store, &txn, f));
    enum status st = certificate_facts_read(core, txn, id, call_arena(call), x, f);
    if (st == STATUS_OK)
        st = certificate_text_make(x, ret_texts, f);
    if (st == STATUS_OK) {
        st = certificate_record_get(txn, id, &old, f);
        *ret_known = st == STATUS_OK && digest_equal(&old.state, &ret_texts->state);
        st = st == STATUS_NOT_FOUND ? STATUS_OK : st;
    }
    store_read_end(txn);
    return st;
}

static enum status issue(struct core *core,
                         struct call *call,
                         const struct certificate_facts *x,
                         const struct certificate_texts *t,
                         struct fault *f)
{
    struct store_result result;
    const struct store_certificate c = {.request = x->record.id,
                                        .state = t->state,
                                        .level = assurance_name(x->assurance.reached),
                                        .epoch = x->shredded ? x->epoch : 0,
                                        .json = t->json,
                                        .json_size = strlen(t->json),
                                        .html = t->html,
                                        .html_size = t->html_size};
    struct store_change change = {
        .now_us = clock_wall_us(), .actor = call_principal(call), .certificate = &c};
    return core_commit(core, &change, &result, f);
}

static enum status give(struct core *core,
                        struct call *call,
                        const struct certificate_facts *x,
                        struct wire_certificate *ret_certificate,
                        struct fault *f)
{
    struct kv_txn *txn;
    struct evidence e = {0};
    const struct wire_certify *m = &call_message(call)->body.certify;
    TRY(store_read_begin(core->store, &txn, f));
    const enum status st = evidence_certificate(txn, &m->id, m->html, &e, f);
    store_read_end(txn);
    TRY(st);
    *ret_certificate = (struct wire_certificate){
        .index = e.index, .size = e.log_size, .level = assurance_name(x->assurance.reached)};
    return receipt_text(&e, call_arena(call), &ret_certificate->text, f);
}

static void answer_certificate(struct core *core, struct call *call)
{
    int known = 0;
    struct fault f = {0};
    struct certificate_facts x = {.report = NULL};
    struct certificate_texts t = {.json = NULL};
    struct wire_reply reply = {.answer = WIRE_ANSWER_CERTIFICATE};
    enum status st = gather(core, call, &x, &t, &known, &f);
    if (st == STATUS_OK && !known)
        st = issue(core, call, &x, &t, &f);
    if (st == STATUS_OK)
        st = give(core, call, &x, &reply.body.certificate, &f);
    certificate_text_free(&t);
    certificate_facts_fini(&x);
    core_answer(call, st, &reply, &f);
}

void handle_certificate(struct core *core, struct call *call)
{
    core_post(core, answer_certificate, call);
}
