#include "bench/tame/run.h"

#include "bench/tame/run_state.h"
#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "learners/methods/tame/tame_conv_net.h"
#include "learners/methods/tame/tame_prune.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define REPORT_EVERY  500 /* batches of a stream between two lines */
#define COUNT_OUTPUTS 10  /* the paper counts every net at so many outputs */
#define FIT_PUBLISHED 200
#define ESTIMATE_FROM                                                                              \
    1e4 /* pictures of a stream; below, an estimate takes longer than it is worth */

struct run {
    const struct run_settings *settings;
    const char *checkpoint;
    run_tell *tell;
    void *context;
    struct tasks *tasks;
    struct trial *trial;
    struct run_state *state;
};

const char *run_pruning_name(const struct run_settings *s)
{
    return s->one_stroke ? "one-stroke" : "gradual";
}

void run_name(const struct run_settings *s, char name[RUN_NAME_SIZE])
{
    (void)snprintf(name, RUN_NAME_SIZE, "%s-w%u-seed%llu-epochs%u-fit%u-%s-limit%u",
                   s->stream->name, s->window, (unsigned long long)s->seed, s->epochs,
                   s->fit_epochs, run_pruning_name(s), s->limit);
}

static void say(const struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(const struct run *r, const char *format, ...)
{
    char text[256];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    r->tell(r->context, text);
}

static double seconds_since(int64_t start_us)
{
    return (double)(clock_mono_us() - start_us) * 1e-6;
}

/* ------------------------------------------------------------------ time */

static uint32_t selector_epochs(const struct run_settings *s)
{
    const uint32_t n = s->stream->selector_epochs * s->fit_epochs / FIT_PUBLISHED;
    return n ? n : 1;
}

/*
 * What the run will take if every task gets its expert: pictures of the steps times what a step
 * takes now.
 */
static enum status say_estimate(const struct run *r, struct fault *f)
{
    const struct run_settings *s = r->settings;
    const uint32_t n_tasks = tasks_count(r->tasks);
    const double stream = (double)tasks_length(r->tasks, s->epochs);
    double step, forward, fits = 0.0;
    if (stream < ESTIMATE_FROM)
        return STATUS_OK;
    TRY(trial_speed(r->trial, &step, &forward, f));
    for (uint32_t k = 0; k < n_tasks; k++) {
        const uint32_t n = tasks_size(r->tasks, DATASET_TRAIN, k);
        fits += (double)(n < TRIAL_PRUNE_BUFFER ? n : TRIAL_PRUNE_BUFFER) * s->fit_epochs;
    }
    const double selector = (double)TRIAL_BUFFER * (selector_epochs(s) + s->fit_epochs);
    say(r,
        "%.0f pictures/s trained, %.0f forward; estimate %.0f s: stream %.0f, selector %.0f, "
        "experts after pruning %.0f",
        1.0 / step, 1.0 / forward, step * (stream + fits + selector), step * stream,
        step * selector, step * fits);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ stream */

struct batch {
    uint8_t pixels[TRIAL_BATCH][TASKS_PICTURE];
    const uint8_t *pictures[TRIAL_BATCH];
    uint32_t labels[TRIAL_BATCH];
    uint64_t numbers[TRIAL_BATCH];
    uint32_t n;
};

static void gather(const struct run *r, uint64_t position, uint64_t end, struct batch *b)
{
    b->n = end - position < TRIAL_BATCH ? (uint32_t)(end - position) : TRIAL_BATCH;
    for (uint32_t i = 0; i < b->n; i++) {
        b->numbers[i] = tasks_at(r->tasks, r->settings->epochs, position + i);
        b->labels[i] = tasks_label_of(r->tasks, DATASET_TRAIN, b->numbers[i]);
        tasks_picture(r->tasks, DATASET_TRAIN, b->numbers[i], b->pixels[i]);
        b->pictures[i] = b->pixels[i];
    }
}

/* Book-keeping for the report; nothing of it reaches the learner. */
static enum status
note(const struct run *r, const struct batch *b, const struct tame_verdict *v, struct fault *f)
{
    struct run_state *s = r->state;
    for (uint32_t i = 0; i < b->n; i++)
        s->counts.taken[v->id][tasks_task_of(r->tasks, DATASET_TRAIN, b->numbers[i])]++;
    if (v->old_id != TAME_NONE && v->old_id != v->id) {
        if (s->n_changes == RUN_CHANGES)
            FAIL(f, STATUS_RESOURCE_EXHAUSTED, "changes", "more than %d changes of expert",
                 RUN_CHANGES);
        s->changes[s->n_changes++] = s->batches;
        say(r, "batch %llu: expert %u -> %u%s (loss %.4f, average %.4f, threshold %.4f)",
            (unsigned long long)s->batches, v->old_id, v->id,
            v->outcome == TAME_CREATED ? ", new" : "", v->loss, v->average, v->threshold);
    }
    s->batches++;
    return STATUS_OK;
}

/* The numbers that a buffer kept, and their labels or experts. */
static enum status
list_kept(const struct tame_buffer *b, int experts, struct run_samples *to, struct fault *f)
{
    TRY(run_samples_take(to, b->n, f));
    for (uint32_t i = 0; i < b->n; i++) {
        to->numbers[i] = b->entries[i].id;
        to->targets[i] = experts ? b->entries[i].expert : b->entries[i].label;
    }
    return STATUS_OK;
}

static enum status finish_stream(const struct run *r, struct fault *f)
{
    struct run_state *s = r->state;
    s->experts = trial_experts(r->trial);
    TRY(list_kept(trial_buffer(r->trial), 1, &s->selector, f));
    for (uint32_t e = 0; e < s->experts; e++)
        TRY(list_kept(trial_prune_buffer(r->trial, e), 0, &s->pruning[e], f));
    s->stages |= RUN_STAGE_STREAM;
    return run_state_save(s, r->trial, r->checkpoint, f);
}

static enum status run_batches(const struct run *r, struct batch *b, struct fault *f)
{
    const uint64_t length = tasks_length(r->tasks, r->settings->epochs);
    const int64_t start = clock_mono_us();
    for (uint64_t at = 0; at < length; at += b->n) {
        struct tame_verdict v;
        gather(r, at, length, b);
        const struct trial_batch batch = {b->n, b->pictures, b->labels, b->numbers};
        TRY(trial_observe(r->trial, &batch, &v, f));
        TRY(note(r, b, &v, f));
        if (r->state->batches % REPORT_EVERY == 0)
            say(r, "stream: %llu of %llu pictures, %.0f/s, loss %.4f",
                (unsigned long long)(at + b->n), (unsigned long long)length,
                (double)(at + b->n) / seconds_since(start), v.loss);
    }
    r->state->seconds[RUN_STREAM] = seconds_since(start);
    return finish_stream(r, f);
}

static enum status run_stream(const struct run *r, struct fault *f)
{
    if (r->state->stages & RUN_STAGE_STREAM)
        return STATUS_OK;
    struct batch *b = sysio_alloc(1, sizeof *b);
    if (!b)
        FAIL(f, STATUS_NO_MEMORY, NULL, "a batch");
    const enum status s = run_batches(r, b, f);
    sysio_free(b);
    return s;
}

/* ------------------------------------------------------------------ selector and pruning */

/* Pictures of kept samples, for one fit. */
struct kept {
    uint8_t *pixels;
    const uint8_t **pictures;
};

static void kept_free(struct kept *k)
{
    sysio_free(k->pixels);
    sysio_free(k->pictures);
}

static enum status kept_open(const struct run *r,
                             const struct run_samples *s,
                             struct kept *k,
                             struct trial_samples *ret_samples,
                             struct fault *f)
{
    const size_t bytes = (size_t)tasks_side(r->tasks) * tasks_side(r->tasks);
    k->pixels = sysio_alloc(s->n ? s->n : 1, bytes);
    k->pictures = sysio_alloc(s->n ? s->n : 1, sizeof *k->pictures);
    if (!k->pixels || !k->pictures)
        FAIL(f, STATUS_NO_MEMORY, NULL, "%u kept pictures", s->n);
    for (uint32_t i = 0; i < s->n; i++) {
        tasks_picture(r->tasks, DATASET_TRAIN, s->numbers[i], k->pixels + i * bytes);
        k->pictures[i] = k->pixels + i * bytes;
    }
    *ret_samples = (struct trial_samples){s->n, k->pictures, s->targets};
    return STATUS_OK;
}

static enum status prune_expert(const struct run *r, uint32_t e, struct fault *f)
{
    struct kept k = {0};
    struct trial_samples samples;
    const int64_t start = clock_mono_us();
    enum status s = kept_open(r, &r->state->pruning[e], &k, &samples, f);
    if (s == STATUS_OK)
        s = trial_prune_expert(r->trial, e, &samples, f);
    kept_free(&k);
    TRY(s);
    r->state->n_pruned = e + 1;
    r->state->seconds[RUN_PRUNING] += seconds_since(start);
    say(r, "expert %u of %u pruned and trained again, %u samples, %.0f s", e + 1, r->state->experts,
        samples.n, seconds_since(start));
    return run_state_save(r->state, r->trial, r->checkpoint, f);
}

typedef enum status
selector_work(const struct run *r, const struct trial_samples *samples, struct fault *f);

static enum status
fit_selector(const struct run *r, const struct trial_samples *samples, struct fault *f)
{
    return trial_fit_selector(r->trial, samples, &r->state->selector_draws, f);
}

static enum status
prune_selector(const struct run *r, const struct trial_samples *samples, struct fault *f)
{
    return trial_prune_selector(r->trial, samples, f);
}

static enum status with_selector(const struct run *r, selector_work *work, struct fault *f)
{
    struct kept k = {0};
    struct trial_samples samples;
    const int64_t start = clock_mono_us();
    enum status s = kept_open(r, &r->state->selector, &k, &samples, f);
    if (s == STATUS_OK)
        s = work(r, &samples, f);
    kept_free(&k);
    r->state->seconds[RUN_SELECTOR] += seconds_since(start);
    return s;
}

static enum status run_fits(const struct run *r, struct fault *f)
{
    struct run_state *s = r->state;
    if (!(s->stages & RUN_STAGE_SELECTOR)) {
        TRY(with_selector(r, fit_selector, f));
        s->stages |= RUN_STAGE_SELECTOR;
        say(r, "selector trained, %u samples, %u starts, %.0f s", s->selector.n, s->selector_draws,
            s->seconds[RUN_SELECTOR]);
        TRY(run_state_save(s, r->trial, r->checkpoint, f));
    }
    for (uint32_t e = s->n_pruned; e < s->experts; e++)
        TRY(prune_expert(r, e, f));
    if (!s->selector_done) {
        TRY(with_selector(r, prune_selector, f));
        s->selector_done = 1;
        say(r, "selector pruned and trained again");
        TRY(run_state_save(s, r->trial, r->checkpoint, f));
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------ results */

static void judge_detection(const struct run *r, struct run_detection *d)
{
    const struct tasks_stream *stream = r->settings->stream;
    const struct run_state *s = r->state;
    struct figures_stretch stretches[TASKS_RUNS];
    for (uint32_t i = 0; i < stream->n_runs; i++)
        stretches[i] = (struct figures_stretch){tasks_run_start(r->tasks, r->settings->epochs, i) /
                                                    TRIAL_BATCH,
                                                i > 0 && stream->runs[i] != stream->runs[i - 1]};
    figures_judge(stretches, stream->n_runs, s->changes, s->n_changes, &d->changes);
    d->batches = s->batches;
    d->experts = s->experts;
    d->misplaced = figures_misplaced(&s->counts, s->experts, tasks_count(r->tasks));
}

static void count_weights(const struct run *r, struct run_result *x)
{
    const uint32_t experts = r->state->experts;
    const size_t counted = tame_conv_net_floats(COUNT_OUTPUTS);
    x->published_weights = experts * tame_prune_published(counted, TRIAL_PRUNE_EXPERT) +
                           tame_prune_published(counted, TRIAL_PRUNE_SELECTOR);
    x->nonzero_weights =
        tame_prune_nonzero(trial_selector(r->trial, TRIAL_PRUNED), trial_selector_floats(r->trial));
    for (uint32_t e = 0; e < experts; e++)
        x->nonzero_weights +=
            tame_prune_nonzero(trial_weights(r->trial, TRIAL_PRUNED, e), trial_floats(r->trial));
}

static void judge(const struct run *r, struct run_result *ret_result)
{
    const struct run_state *s = r->state;
    struct run_result x = {0};
    judge_detection(r, &x.detection);
    figures_measure(r->trial, TRIAL_DENSE, r->tasks, &s->counts, &x.before);
    figures_measure(r->trial, TRIAL_PRUNED, r->tasks, &s->counts, &x.after);
    count_weights(r, &x);
    x.selector_draws = s->selector_draws;
    memcpy(x.seconds, s->seconds, sizeof x.seconds);
    *ret_result = x;
}

/* ------------------------------------------------------------------ a run */

static enum status open_run(struct run *r, struct fault *f)
{
    const struct run_settings *s = r->settings;
    char name[RUN_NAME_SIZE];
    run_name(s, name);
    TRY(tasks_open(s->stream, s->folder, s->seed, s->limit, &r->tasks, f));
    const struct trial_config c = {.seed = s->seed,
                                   .classes = tasks_classes(r->tasks),
                                   .side = tasks_side(r->tasks),
                                   .window = s->window,
                                   .numbers = tasks_numbers(r->tasks, DATASET_TRAIN),
                                   .fit_epochs = s->fit_epochs,
                                   .selector_epochs = selector_epochs(s),
                                   .one_stroke = s->one_stroke,
                                   .threads = s->threads};
    TRY(trial_new(&c, &r->trial, f));
    return run_state_new(name, &r->state, f);
}

static enum status run_all(struct run *r, struct run_result *ret_result, struct fault *f)
{
    TRY(open_run(r, f));
    TRY(say_estimate(r, f));
    const enum status s = run_state_load(r->state, r->trial, r->checkpoint, f);
    if (s == STATUS_OK)
        say(r, "goes on from its checkpoint: %u experts, %u pruned", r->state->experts,
            r->state->n_pruned);
    else if (s != STATUS_NOT_FOUND)
        return s;
    TRY(run_stream(r, f));
    TRY(run_fits(r, f));
    judge(r, ret_result);
    return STATUS_OK;
}

enum status run_execute(const struct run_settings *s,
                        const char *checkpoint,
                        run_tell *tell,
                        void *context,
                        struct run_result *ret_result,
                        struct fault *f)
{
    struct run r = {.settings = s, .checkpoint = checkpoint, .tell = tell, .context = context};
    const enum status st = run_all(&r, ret_result, f);
    run_state_free(r.state);
    trial_free(r.trial);
    tasks_free(r.tasks);
    return st;
}
