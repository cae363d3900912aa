/* KIND_STATUS and KIND_MODEL on the core thread, KIND_FSCK on the reader thread. */
#include "daemon/jobs/handlers.h"

#include <stdio.h>
#include <string.h>

#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/version_data.h"
#include "daemon/jobs/wire_view.h"
#include "daemon/serve/server.h"
#include "learners/answer/answer.h"
#include "learners/math/gemm.h"
#include "proto/limits.h"
#include "storage/store/fsck.h"

/* ---------------------------------------------------------------- status */

static enum status status_store(struct core *core, struct wire_status *s, struct fault *f)
{
    struct kv_stats stats;
    struct serving serving;
    struct version *v;
    uint64_t counts[REQUEST_STATES];
    int ready = 0;
    TRY(store_stats(core->store, &stats, f));
    TRY(store_read_counts(core->store, counts, f));
    TRY(store_read_serving(core->store, &serving, f));
    TRY(base_data_ready(core->store, core->base, &ready, f));
    TRY(store_read_version(core->store, &serving.version, &v, f));
    s->serving = serving.version;
    s->serving_generation = serving.generation;
    s->serving_number = v->number;
    for (size_t k = 0; k < v->n_labels; k++) {
        if (v->labels[k].status == VERSION_LABEL_ACTIVE)
            s->classes_active++;
        else
            s->classes_forgotten++;
    }
    for (size_t i = 0; i < v->n_components; i++) {
        s->lanes += version_data_is_task(v->components[i].kind) ? 1 : 0;
        s->experts += strcmp(v->components[i].kind, VERSION_KIND_EXPERT) == 0 ? 1 : 0;
    }
    version_free(v);
    s->queue_depth = (uint32_t)counts[REQUEST_QUEUED];
    s->store_bytes = stats.file_used;
    s->store_limit = stats.map_max;
    s->data_ready = ready;
    return STATUS_OK;
}

static enum status status_pinned(struct core *core, struct wire_status *s, struct fault *f)
{
    struct kv_txn *txn;
    struct serving_pin pin;
    TRY(store_read_begin(core->store, &txn, f));
    const enum status st = serving_pinned(txn, &s->serving, &pin, f);
    store_read_end(txn);
    s->pinned = st == STATUS_OK;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static void answer_status(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_STATUS};
    struct wire_status *s = &reply.body.status;
    char running[REQUEST_ID_TEXT_SIZE] = "";
    if (core->job.kind != JOB_KIND_NONE)
        request_id_format(&core->job.record.id, running);
    s->state = core->server ? server_phase_name(server_get_phase(core->server)) : "serving";
    s->lethe_version = LETHE_VERSION;
    s->started_at = core->started_us;
    s->running = running;
    s->model = core->base->name;
    s->base_digest = core->base->digest;
    s->predictions = predictor_count(core->predictor);
    s->kernel = gemm_kernel_name();
    s->threads = (uint32_t)core->config->threads;
    struct served *served = served_take_serving(core->served);
    s->streams = served->n_streams;
    served_release(served);
    s->workers_restarted = core->worker ? worker_restarts(core->worker) : 0;
    enum status st = status_store(core, s, &f);
    if (st == STATUS_OK)
        st = status_pinned(core, s, &f);
    core_answer(call, st, &reply, &f);
}

void handle_status(struct core *core, struct call *call)
{
    core_post(core, answer_status, call);
}

/* ---------------------------------------------------------------- model */

/* Who can be asked: the base, then lanes and experts.  Names are borrowed from the version. */
static enum status
model_owners(const struct served *served, struct arena *a, struct wire_model *m, struct fault *f)
{
    const struct answer_owner *owners;
    const uint32_t n = answer_owners(served->answer, &owners);
    const char **names = arena_alloc(a, n + 1u, sizeof *names);
    if (!names)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "owners", "no memory for %u owners", n);
    for (uint32_t i = 0; i < n; i++)
        names[i] = owners[i].name;
    m->owners = names;
    m->n_owners = n;
    return STATUS_OK;
}

static void answer_model(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_MODEL};
    struct wire_model *m = &reply.body.model;
    const struct base_model *base = core->base;
    float mean[3], std[3];
    struct served *served = served_take_serving(core->served);
    base_model_moments(base, mean, std);
    m->name = base->name;
    m->image_size = base->vit.image_size;
    m->channels = base->vit.channels;
    m->mean = mean;
    m->std = std;
    m->n_mean = m->n_std = base->vit.channels;
    m->resample = base_model_resample(base);
    m->resize = base->prep.keep_aspect ? base->prep.resize : 0;
    m->n_labels = served->manifest->n_labels;
    enum status st =
        wire_view_labels(served->manifest->labels, m->n_labels, call_arena(call), &m->labels, &f);
    if (st == STATUS_OK)
        st = model_owners(served, call_arena(call), m, &f);
    core_answer(call, st, &reply, &f);
    served_release(served);
}

void handle_model(struct core *core, struct call *call)
{
    core_post(core, answer_model, call);
}

/* ---------------------------------------------------------------- fsck */

struct findings {
    struct arena *arena;
    const char **list; /* [LIMIT_LIST] */
    size_t n;
};

static void note_finding(const char *what, const char *which, const char *how, void *context)
{
    struct findings *x = context;
    char text[320];
    if (x->n == LIMIT_LIST)
        return;
    (void)snprintf(text, sizeof text, "%.60s %.100s: %.140s", what, which, how);
    const char *copy = wire_view_text(x->arena, text);
    if (copy)
        x->list[x->n++] = copy;
}

static enum status
fsck_answer(struct core *core, struct call *call, struct wire_fsck *ret_fsck, struct fault *f)
{
    struct arena *a = call_arena(call);
    struct findings x = {.arena = a, .list = arena_alloc(a, LIMIT_LIST, sizeof(char *))};
    struct fsck_counts counts;
    if (!x.list)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for the findings");
    TRY(fsck_run(core->store, note_finding, &x, &counts, f));
    /* What is served must be what its digest names, folded anew. */
    struct served *again = NULL;
    struct served *serving = served_take_serving(core->served);
    struct fault broken = {0};
    if (served_build(core->base, core->store, &serving->digest, &again, &broken) != STATUS_OK) {
        note_finding("version", "serving", broken.text, &x);
        counts.findings++;
    }
    served_release(again);
    served_release(serving);
    *ret_fsck = (struct wire_fsck){.ok = counts.findings == 0,
                                   .blobs = counts.blobs,
                                   .versions = counts.versions,
                                   .requests = counts.requests,
                                   .findings = x.list,
                                   .n_findings = x.n};
    return STATUS_OK;
}

static void fsck_task(struct core *core, struct call *call, int64_t waited_us, uint32_t thread)
{
    (void)waited_us;
    (void)thread;
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_FSCK};
    const enum status st = fsck_answer(core, call, &reply.body.fsck, &f);
    core_answer(call, st, &reply, &f);
}

void handle_fsck(struct core *core, struct call *call)
{
    call_pool_post(core->readers, fsck_task, call);
}
