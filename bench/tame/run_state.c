#include "bench/tame/run_state.h"

#include "daemon/base/bytes.h"
#include "daemon/base/sysio.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC  "LETAME2\n"
#define MOST   ((size_t)1 << 30) /* bytes of a checkpoint */
#define STAGES 2

enum status run_state_new(const char *name, struct run_state **ret_state, struct fault *f)
{
    struct run_state *s = sysio_alloc(1, sizeof *s);
    if (!s)
        FAIL(f, STATUS_NO_MEMORY, NULL, "state of a run");
    memcpy(s->name, name, strnlen(name, sizeof s->name - 1));
    *ret_state = s;
    return STATUS_OK;
}

static void samples_free(struct run_samples *s)
{
    sysio_free(s->numbers);
    sysio_free(s->targets);
}

void run_state_free(struct run_state *s)
{
    if (!s)
        return;
    samples_free(&s->selector);
    for (size_t e = 0; e < TRIAL_EXPERTS; e++)
        samples_free(&s->pruning[e]);
    sysio_free(s);
}

enum status run_samples_take(struct run_samples *s, uint32_t n, struct fault *f)
{
    s->numbers = sysio_alloc(n ? n : 1, sizeof *s->numbers);
    s->targets = sysio_alloc(n ? n : 1, sizeof *s->targets);
    if (!s->numbers || !s->targets)
        FAIL(f, STATUS_NO_MEMORY, NULL, "%u samples", n);
    s->n = n;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ writing */

static void put_samples(const struct run_samples *s, struct byte_writer *w)
{
    put_u32(w, s->n);
    for (uint32_t i = 0; i < s->n; i++) {
        put_u64(w, s->numbers[i]);
        put_u32(w, s->targets[i]);
    }
}

static void put_floats(const float *x, size_t n, struct byte_writer *w)
{
    for (size_t i = 0; i < n; i++)
        put_f32(w, x[i]);
}

static void put_weights(const struct run_state *s, const struct trial *t, struct byte_writer *w)
{
    for (uint32_t e = 0; e < s->experts; e++)
        put_floats(trial_weights(t, TRIAL_DENSE, e), trial_floats(t), w);
    for (uint32_t e = 0; e < s->n_pruned; e++)
        put_floats(trial_weights(t, TRIAL_PRUNED, e), trial_floats(t), w);
    if (s->stages & RUN_STAGE_SELECTOR)
        put_floats(trial_selector(t, TRIAL_DENSE), trial_selector_floats(t), w);
    if (s->selector_done)
        put_floats(trial_selector(t, TRIAL_PRUNED), trial_selector_floats(t), w);
}

static void put_state(const struct run_state *s, const struct trial *t, struct byte_writer *w)
{
    put_bytes(w, MAGIC, sizeof MAGIC - 1);
    put_string(w, s->name);
    put_u32(w, s->stages);
    put_u32(w, s->n_pruned);
    put_u32(w, s->selector_done);
    put_u32(w, s->selector_draws);
    put_u32(w, s->experts);
    put_u64(w, s->batches);
    for (uint32_t e = 0; e < s->experts; e++)
        for (uint32_t k = 0; k < TASKS_MAX; k++)
            put_u64(w, s->counts.taken[e][k]);
    put_u32(w, s->n_changes);
    for (uint32_t i = 0; i < s->n_changes; i++)
        put_u64(w, s->changes[i]);
    put_samples(&s->selector, w);
    for (uint32_t e = 0; e < s->experts; e++)
        put_samples(&s->pruning[e], w);
    for (size_t p = 0; p < RUN_PARTS; p++)
        put_f64(w, s->seconds[p]);
    put_weights(s, t, w);
}

enum status
run_state_save(const struct run_state *s, const struct trial *t, const char *path, struct fault *f)
{
    struct byte_writer count = byte_writer_make(NULL, 0);
    put_state(s, t, &count);
    void *bytes = sysio_alloc(count.used, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, NULL, "a checkpoint of %zu bytes", count.used);
    struct byte_writer w = byte_writer_make(bytes, count.used);
    put_state(s, t, &w);
    const enum status st = sysio_write_file(path, bytes, w.used, f);
    sysio_free(bytes);
    return st;
}

/* ------------------------------------------------------------------ reading */

static enum status get_samples(struct run_samples *s, struct byte_reader *r, struct fault *f)
{
    const uint32_t n = get_u32(r);
    if (r->failed || n > TRIAL_BUFFER + TRIAL_PRUNE_BUFFER)
        FAIL(f, STATUS_BAD_FORMAT, "samples", "%u are too many", n);
    TRY(run_samples_take(s, n, f));
    for (uint32_t i = 0; i < n; i++) {
        s->numbers[i] = get_u64(r);
        s->targets[i] = get_u32(r);
    }
    return STATUS_OK;
}

static enum status get_stream(struct run_state *s, struct byte_reader *r, struct fault *f)
{
    s->stages = get_u32(r);
    s->n_pruned = get_u32(r);
    s->selector_done = get_u32(r);
    s->selector_draws = get_u32(r);
    s->experts = get_u32(r);
    s->batches = get_u64(r);
    if (r->failed || s->experts > TRIAL_EXPERTS || s->n_pruned > s->experts)
        FAIL(f, STATUS_BAD_FORMAT, "experts", "%u experts, %u pruned", s->experts, s->n_pruned);
    for (uint32_t e = 0; e < s->experts; e++)
        for (uint32_t k = 0; k < TASKS_MAX; k++)
            s->counts.taken[e][k] = get_u64(r);
    s->n_changes = get_u32(r);
    if (r->failed || s->n_changes > RUN_CHANGES)
        FAIL(f, STATUS_BAD_FORMAT, "changes", "%u are too many", s->n_changes);
    for (uint32_t i = 0; i < s->n_changes; i++)
        s->changes[i] = get_u64(r);
    TRY(get_samples(&s->selector, r, f));
    for (uint32_t e = 0; e < s->experts; e++)
        TRY(get_samples(&s->pruning[e], r, f));
    for (size_t p = 0; p < RUN_PARTS; p++)
        s->seconds[p] = get_f64(r);
    return STATUS_OK;
}

static void get_floats(float *x, size_t n, struct byte_reader *r)
{
    for (size_t i = 0; i < n; i++)
        x[i] = get_f32(r);
}

static enum status
get_weights(struct run_state *s, struct trial *t, struct byte_reader *r, struct fault *f)
{
    const uint32_t counts[STAGES] = {s->experts, s->n_pruned};
    const uint32_t selectors[STAGES] = {s->stages & RUN_STAGE_SELECTOR, s->selector_done};
    trial_adopt(t, s->experts);
    const size_t floats = trial_floats(t), selector = trial_selector_floats(t);
    float *w = sysio_alloc(floats > selector ? floats : selector, sizeof *w);
    enum status st = w ? STATUS_OK : STATUS_NO_MEMORY;
    for (uint32_t k = 0; k < STAGES; k++)
        for (uint32_t e = 0; st == STATUS_OK && e < counts[k]; e++) {
            get_floats(w, floats, r);
            st = trial_set_weights(t, k ? TRIAL_PRUNED : TRIAL_DENSE, e, w, f);
        }
    for (uint32_t k = 0; st == STATUS_OK && k < STAGES; k++)
        if (selectors[k]) {
            get_floats(w, selector, r);
            st = trial_set_selector(t, k ? TRIAL_PRUNED : TRIAL_DENSE, w, f);
        }
    sysio_free(w);
    return st;
}

static enum status
get_state(struct run_state *s, struct trial *t, struct byte_reader *r, struct fault *f)
{
    char magic[sizeof MAGIC - 1], name[RUN_NAME_SIZE];
    get_bytes(r, magic, sizeof magic);
    if (r->failed || memcmp(magic, MAGIC, sizeof magic) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "checkpoint", "this is not a checkpoint of a run");
    get_string(r, name, sizeof name);
    if (r->failed || strcmp(name, s->name) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "checkpoint", "it belongs to another run");
    TRY(get_stream(s, r, f));
    TRY(get_weights(s, t, r, f));
    if (!byte_reader_done(r))
        FAIL(f, STATUS_BAD_FORMAT, "checkpoint", "its length does not fit what is in it");
    return STATUS_OK;
}

enum status run_state_load(struct run_state *s, struct trial *t, const char *path, struct fault *f)
{
    unsigned char *bytes;
    size_t size;
    if (access(path, F_OK) != 0)
        return STATUS_NOT_FOUND;
    TRY(sysio_read_file(path, MOST, &bytes, &size, f));
    struct byte_reader r = byte_reader_make(bytes, size);
    const enum status st = get_state(s, t, &r, f);
    sysio_free(bytes);
    if (st != STATUS_OK)
        fault_prefix(f, "%s", path);
    return st;
}
