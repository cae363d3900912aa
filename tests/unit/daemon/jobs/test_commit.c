/*
 * From a queued request over a hand-made worker result to a committed version: everything that one
 * commit must make true together, and everything that a refused one must leave alone.
 */
#include "tests/support/jobs_fixture.h"

#include <string.h>

#include "daemon/jobs/commit.h"
#include "daemon/jobs/records.h"
#include "storage/store/fsck.h"

static const char *const cross[] = {"Cross"};
static const char *const circle[] = {"Circle"};

/* One job that is being evaluated, with its result and verdict. */
struct candidate_fixture {
    struct job job;
    struct job_result result;
    struct gate gate;
    uint8_t *delta, *report;
    float *means;
    uint64_t *counts;
};

static struct wire_forget forget_of(const char *const *classes)
{
    return (struct wire_forget){
        .classes = classes, .n_classes = 1, .samples = "", .task = "", .subject = "", .ticket = ""};
}

static void candidate_new(struct jobs_fixture *x,
                          struct candidate_fixture *c,
                          uint8_t number,
                          const char *const *classes,
                          double acc_forget)
{
    memset(c, 0, sizeof *c);
    const struct wire_forget m = forget_of(classes);
    const struct queue_record queued = jobs_queue(x, number, &m);
    jobs_ok(job_build(&x->context, &queued, &c->job, fx));
    c->job.record = jobs_move(x, &queued.id, REQUEST_EVENT_START);
    c->job.record = jobs_move(x, &queued.id, REQUEST_EVENT_CANDIDATE);
    c->means = sysio_alloc((size_t)TINY_CLASSES * TINY_WIDTH, sizeof(float));
    c->counts = sysio_alloc(TINY_CLASSES, sizeof(uint64_t));
    assert_true(c->means && c->counts);
    c->result = (struct job_result){
        .request = c->job.record.id,
        .status = STATUS_OK,
        .n_made = 1,
        .made = {{.kind = VERSION_KIND_ERASURE, .groups_total = 2, .groups_zero = 1}},
        .prototypes = c->means,
        .prototype_counts = c->counts,
        .kernel = "Test",
        .threads = 1};
    request_id_format(&c->job.record.id, c->result.made[0].name);
    c->result.made[0].size = jobs_delta(&c->job, number, &c->delta);
    c->result.made[0].bytes = c->delta;
    c->result.report_size = jobs_report(acc_forget, &x->config.gate, &c->report);
    c->result.report = c->report;
    jobs_ok(gate_judge(c->report, c->result.report_size, &x->config.gate, &c->gate, fx));
}

static void candidate_free(struct candidate_fixture *c)
{
    job_clear(&c->job);
    gate_fini(&c->gate);
    sysio_free(c->delta);
    sysio_free(c->report);
    sysio_free(c->means);
    sysio_free(c->counts);
}

static struct commit_context context_of(struct jobs_fixture *x)
{
    return (struct commit_context){
        .base = x->base, .store = x->store, .config = &x->config, .now_us = JOBS_NOW + 1};
}

static void assert_sound(struct jobs_fixture *x)
{
    struct fsck_counts counts;
    jobs_ok(fsck_run(x->store, NULL, NULL, &counts, fx));
    assert_int_equal(counts.findings, 0);
}

static uint32_t memory_rows(struct jobs_fixture *x, const char *name, uint32_t class_index)
{
    struct replay_memory *m;
    jobs_ok(store_read_memory(x->store, name, &m, fx));
    const struct replay_memory_list *list = replay_memory_find(m, DATASET_TRAIN, class_index);
    const uint32_t n = list ? list->n_rows : 0;
    replay_memory_free(m);
    return n;
}

void test_commit_makes_everything_true_together(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct candidate_fixture c;
    jobs_fixture_new(&x);
    jobs_fixture_import_usual(&x);
    candidate_new(&x, &c, 1, cross, 0.0);
    assert_int_equal(memory_rows(&x, BASE_MEMORY_TRAIN, 2), 4);
    const struct commit_context context = context_of(&x);
    struct queue_record record;
    struct served *served;
    jobs_ok(commit_candidate(&context, &c.job, &c.result, &c.gate, &record, &served, fx));

    assert_int_equal(record.state, REQUEST_COMMITTED);
    assert_true(digest_equal(&record.version_after, &served->digest));
    assert_true(digest_equal(&record.version_before, &c.job.parent_digest));
    struct serving now;
    jobs_ok(store_read_serving(x.store, &now, fx));
    assert_true(digest_equal(&now.version, &served->digest));
    assert_int_equal(now.generation, c.job.serving.generation + 1);

    const struct version *v = served->manifest;
    assert_int_equal(v->number, 2);
    assert_int_equal(v->n_erasures, 1);
    assert_int_equal(v->labels[2].status, VERSION_LABEL_FORGOTTEN);
    assert_true(request_id_equal(&v->labels[2].forgotten_by, &record.id));
    assert_int_equal(v->labels[0].status, VERSION_LABEL_ACTIVE);
    assert_string_equal(v->kernel, "Test");
    const struct version_component *e = version_find_component(v, VERSION_KIND_ERASURE, NULL);
    assert_non_null(e);
    assert_int_equal(e->groups_total, 2);
    assert_int_equal(e->groups_zero, 1);
    assert_true(e->n_lineage >= 3);
    assert_non_null(version_find_component(v, RECORD_KIND_RELAPSE, e->name));
    assert_non_null(version_find_component(v, VERSION_KIND_PROTOTYPES, NULL));

    /* The erased class left both memories, the others stayed. */
    assert_int_equal(memory_rows(&x, BASE_MEMORY_TRAIN, 2), 0);
    assert_int_equal(memory_rows(&x, BASE_MEMORY_VALIDATION, 2), 0);
    assert_int_equal(memory_rows(&x, BASE_MEMORY_TRAIN, 0), 4);

    /* The report is kept, byte for byte. */
    void *report;
    size_t size;
    jobs_ok(store_read_blob(x.store, &record.report, 1 << 20, &report, &size, fx));
    assert_int_equal(size, c.gate.json_size);
    assert_memory_equal(report, c.gate.json, size);
    sysio_free(report);
    assert_sound(&x);
    served_release(served);
    candidate_free(&c);
    jobs_fixture_free(&x);
}

/* A version folded before its commit and the same one built from the store: equal to the bit. */
void test_commit_served_equals_rebuilt_after_reopening(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct candidate_fixture c;
    jobs_fixture_new(&x);
    jobs_fixture_import_usual(&x);
    candidate_new(&x, &c, 1, cross, 0.0);
    const struct commit_context context = context_of(&x);
    struct queue_record record;
    struct served *before, *after;
    jobs_ok(commit_candidate(&context, &c.job, &c.result, &c.gate, &record, &before, fx));
    const struct vit_config v = x.base->vit;
    const size_t n = (size_t)v.hidden * v.width;
    float *kept = sysio_alloc(n, sizeof *kept);
    assert_non_null(kept);
    memcpy(kept, before->weights.blocks[v.depth - 1].fc1_w, n * sizeof *kept);
    assert_memory_not_equal(kept, x.base->weights.blocks[v.depth - 1].fc1_w, n * sizeof *kept);
    served_release(before);
    candidate_free(&c);
    jobs_fixture_close(&x);

    jobs_fixture_open(&x);
    jobs_ok(recover_serving(x.store, x.base, &after, fx));
    assert_true(digest_equal(&after->digest, &record.version_after));
    assert_memory_equal(kept, after->weights.blocks[v.depth - 1].fc1_w, n * sizeof *kept);
    assert_int_equal(after->n_live, TINY_CLASSES - 1);
    served_release(after);
    sysio_free(kept);
    jobs_fixture_free(&x);
}

void test_commit_second_erasure_sees_the_first(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct candidate_fixture first, second;
    jobs_fixture_new(&x);
    jobs_fixture_import_usual(&x);
    candidate_new(&x, &first, 1, cross, 0.0);
    const struct commit_context context = context_of(&x);
    struct queue_record record;
    struct served *served;
    jobs_ok(
        commit_candidate(&context, &first.job, &first.result, &first.gate, &record, &served, fx));
    served_release(served);
    candidate_new(&x, &second, 2, circle, 0.0);
    const struct job_spec *s = &second.job.spec;
    assert_int_equal(s->n_erasures, 1);
    assert_true(request_id_equal(&s->erasures[0].request, &record.id));
    assert_true(s->erasures[0].recheckable);
    assert_near(s->erasures[0].relapse_limit, 0.10, 1e-9); /* upper end 0.05 and the margin */
    assert_int_equal(s->erasures[0].delta_size, first.result.made[0].size);
    assert_int_equal(s->classes[2].status, JOB_CLASS_ERASED);
    assert_int_equal(s->classes[0].status, JOB_CLASS_FORGET_NOW);
    assert_int_equal(s->classes[1].status, JOB_CLASS_LIVE);
    assert_non_null(s->prototypes);
    jobs_ok(commit_candidate(&context, &second.job, &second.result, &second.gate, &record, &served,
                             fx));
    assert_int_equal(served->manifest->n_erasures, 2);
    assert_int_equal(served->n_live, 2);
    served_release(served);
    assert_sound(&x);
    candidate_free(&first);
    candidate_free(&second);
    jobs_fixture_free(&x);
}

/* The pointer moved while the candidate was measured: nothing of it may become true. */
void test_commit_is_aborted_when_the_pointer_moved(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct candidate_fixture c;
    jobs_fixture_new(&x);
    jobs_fixture_import_usual(&x);
    candidate_new(&x, &c, 1, cross, 0.0);
    const struct serving_move again = {.expected_generation = c.job.serving.generation,
                                       .version = c.job.serving.version,
                                       .now_us = JOBS_NOW};
    const struct store_change change = {.now_us = JOBS_NOW, .serve = &again};
    jobs_ok(store_commit(x.store, &change, NULL, fx));
    const struct commit_context context = context_of(&x);
    struct queue_record record;
    struct served *served = NULL;
    struct fault f = {0};
    assert_int_equal(commit_candidate(&context, &c.job, &c.result, &c.gate, &record, &served, &f),
                     STATUS_ABORTED);
    jobs_ok(store_read_request(x.store, &c.job.record.id, &record, fx));
    assert_int_equal(record.state, REQUEST_EVALUATING);
    assert_int_equal(memory_rows(&x, BASE_MEMORY_TRAIN, 2), 4);
    jobs_ok(commit_move(&context, &c.job, REQUEST_EVENT_OVERTAKEN, NULL, NULL, &record, fx));
    assert_int_equal(record.state, REQUEST_QUEUED);
    assert_int_equal(record.seed, 1);
    assert_sound(&x);
    candidate_free(&c);
    jobs_fixture_free(&x);
}

void test_commit_rejection_keeps_report_and_pointer(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct candidate_fixture c;
    jobs_fixture_new(&x);
    jobs_fixture_import_usual(&x);
    candidate_new(&x, &c, 1, cross, 0.9);
    const struct commit_context context = context_of(&x);
    struct queue_error error = {.code = STATUS_FAILED_PRECONDITION, .field = "gate"};
    gate_reason(&c.gate, error.text, sizeof error.text);
    struct queue_record record;
    jobs_ok(commit_move(&context, &c.job, REQUEST_EVENT_REJECT, &c.gate, &error, &record, fx));
    assert_int_equal(record.state, REQUEST_REJECTED);
    assert_false(digest_is_zero(&record.report));
    assert_non_null(strstr(record.error.text, "acc_forget"));
    assert_true(digest_is_zero(&record.version_after));
    struct serving now;
    jobs_ok(store_read_serving(x.store, &now, fx));
    assert_int_equal(now.generation, c.job.serving.generation);
    assert_int_equal(memory_rows(&x, BASE_MEMORY_TRAIN, 2), 4);
    assert_sound(&x);
    candidate_free(&c);
    jobs_fixture_free(&x);
}

/* A pin of the version that keeps erased state falls with the commit. */
void test_commit_drops_the_pin(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct candidate_fixture c;
    jobs_fixture_new(&x);
    jobs_fixture_import_usual(&x);
    candidate_new(&x, &c, 1, cross, 0.0);
    const struct serving_pin pin = {
        .version = c.job.serving.version, .since_us = JOBS_NOW, .who = "local"};
    const struct store_change change = {.now_us = JOBS_NOW, .pin = &pin};
    jobs_ok(store_commit(x.store, &change, NULL, fx));
    const struct commit_context context = context_of(&x);
    struct queue_record record;
    struct served *served;
    jobs_ok(commit_candidate(&context, &c.job, &c.result, &c.gate, &record, &served, fx));
    struct kv_txn *txn;
    struct serving_pin found;
    jobs_ok(store_read_begin(x.store, &txn, fx));
    assert_int_equal(serving_pinned(txn, &pin.version, &found, NULL), STATUS_NOT_FOUND);
    store_read_end(txn);
    served_release(served);
    candidate_free(&c);
    jobs_fixture_free(&x);
}

/* What a request named may have gone while it waited. */
void test_commit_build_refuses_what_has_gone(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct candidate_fixture c;
    jobs_fixture_new(&x);
    jobs_fixture_import_usual(&x);
    const struct wire_forget m = forget_of(cross);
    candidate_new(&x, &c, 1, cross, 0.0);
    const struct queue_record later = jobs_queue(&x, 2, &m);
    const struct commit_context context = context_of(&x);
    struct queue_record record;
    struct served *served;
    jobs_ok(commit_candidate(&context, &c.job, &c.result, &c.gate, &record, &served, fx));
    struct job job;
    struct fault f = {0};
    assert_int_equal(job_build(&x.context, &later, &job, &f), STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "classes");
    assert_non_null(strstr(f.text, "already forgotten"));
    served_release(served);
    candidate_free(&c);
    jobs_fixture_free(&x);
}
