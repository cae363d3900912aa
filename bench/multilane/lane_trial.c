#include "bench/multilane/lane_trial.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/multilane/component_store.h"
#include "bench/multilane/lane_compose.h"
#include "bench/multilane/session_answer.h"
#include "daemon/base/clock.h"
#include "learners/math/gemm.h"
#include "learners/methods/multilane/lane_options.h"
#include "learners/methods/ridge/ridge_options.h"

#define TRIAL_THRESHOLD 0.8

const char *lane_trial_part_name(enum lane_trial_part part)
{
    static const char *const names[LANE_TRIAL_PARTS] = {"lanes", "joint", "finetune"};
    return names[part];
}

/* ------------------------------------------------------------------ settings as text */

/* A text that grows; what does not fit is noticed. */
struct text {
    char *at;
    size_t size, used;
    int full;
};

__attribute__((format(printf, 2, 3))) static void text_add(struct text *t, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    const int n = vsnprintf(t->at + t->used, t->size - t->used, format, list);
    va_end(list);
    if (n < 0 || (size_t)n >= t->size - t->used)
        t->full = 1;
    else
        t->used += (size_t)n;
}

static const char *given(const struct lane_trial_options *o, const char *name)
{
    const char *value = NULL;
    for (uint32_t i = 0; i < o->n; i++)
        if (strcmp(o->list[i].name, name) == 0)
            value = o->list[i].value;
    return value;
}

static void
add_option(struct text *t, const struct lane_trial_options *o, const char *name, double x)
{
    const char *value = given(o, name);
    if (value)
        text_add(t, " %s=%s", name, value);
    else
        text_add(t, " %s=%.9g", name, x);
}

/* Every option with its value: defaults may change, and then so does the text. */
static void add_lane_options(struct text *t, const struct lane_trial_options *o)
{
    for (size_t i = 0; lane_option_row(i); i++)
        add_option(t, o, lane_option_row(i)->name, lane_option_row(i)->value);
}

static void add_router_options(struct text *t, const struct lane_trial_options *o)
{
    for (size_t i = 0; ridge_option_row(i); i++)
        add_option(t, o, ridge_option_row(i)->name, ridge_option_row(i)->value);
}

static enum status check_options(const struct lane_trial_settings *s, struct fault *f)
{
    struct lane_options lane;
    struct ridge_options router;
    lane_options_default(&lane);
    ridge_options_default(&router);
    for (uint32_t i = 0; i < s->lane.n; i++)
        TRY(lane_options_set(&lane, s->lane.list[i].name, s->lane.list[i].value, f));
    for (uint32_t i = 0; i < s->router.n; i++)
        TRY(ridge_options_set(&router, s->router.list[i].name, s->router.list[i].value, f));
    return STATUS_OK;
}

enum status lane_trial_name(const struct lane_trial_settings *s,
                            const struct model *model,
                            char name[LANE_TRIAL_NAME_SIZE],
                            struct fault *f)
{
    char all[COMPONENT_KEY_SIZE], digest[DIGEST_TEXT_SIZE];
    struct text t = {all, sizeof all, 0, 0}, n = {name, LANE_TRIAL_NAME_SIZE, 0, 0};
    TRY(check_options(s, f));
    digest_format(&model->digest, digest);
    text_add(&t, "%s %s", digest, gemm_kernel_name());
    add_lane_options(&t, &s->lane);
    if (s->part == LANE_TRIAL_LANES)
        add_router_options(&t, &s->router);
    text_add(&n, "%s-%s-seed%llu-%s-limit%u-valid%u-check%u", s->protocol->name,
             lane_trial_part_name(s->part), (unsigned long long)s->seed,
             s->measured == PROTOCOL_TEST ? "test" : "check", s->sizes.limit, s->sizes.valid,
             s->sizes.check);
    for (uint32_t i = 0; i < s->lane.n; i++)
        text_add(&n, "-%s=%s", s->lane.list[i].name, s->lane.list[i].value);
    for (uint32_t i = 0; s->part == LANE_TRIAL_LANES && i < s->router.n; i++)
        text_add(&n, "-%s=%s", s->router.list[i].name, s->router.list[i].value);
    text_add(&n, "-%08x", (unsigned)component_key_hash(all));
    if (t.full || n.full)
        FAIL(f, STATUS_INVALID_ARGUMENT, "options", "too many options");
    return STATUS_OK;
}

/* ------------------------------------------------------------------ a run */

struct trial {
    const struct lane_trial_settings *s;
    const struct lane_trial_tools *tools;
    struct protocol_set *set;
    struct learner_trunk trunk;
    struct component lanes[PROTOCOL_TASKS], terms[PROTOCOL_TASKS];
    char names[PROTOCOL_TASKS][16]; /* of lanes */
    char owners[PROTOCOL_TASKS][24];
    double a[LANE_TRIAL_LINES][PROTOCOL_TASKS * PROTOCOL_TASKS]; /* row: session */
    struct lane_trial_result *result;
};

__attribute__((format(printf, 2, 3))) static void
tell(const struct trial *t, const char *format, ...)
{
    char text[200];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    t->tools->tell(t->tools->context, text);
}

static enum status open_data(struct trial *t, struct fault *f)
{
    const struct model_config *c = &t->tools->model->config;
    const struct preparation p = {.size = c->vit.image_size,
                                  .channels = c->vit.channels,
                                  .resize = c->prep.resize ? c->prep.resize : c->vit.image_size,
                                  .keep_aspect = c->prep.keep_aspect,
                                  .resample = (enum resample)c->prep.resample};
    const struct protocol_source source = {
        .folder = t->s->folder, .preparation = &p, .seed = t->s->seed, .sizes = t->s->sizes};
    TRY(protocol_set_open(t->s->protocol, &source, &t->set, f));
    preprocessing_affine(&c->prep, t->set->images.scale, t->set->images.shift);
    return STATUS_OK;
}

static struct learner_trunk trunk_of(const struct model *m)
{
    return (struct learner_trunk){.config = m->config.vit,
                                  .weights = &m->w,
                                  .labels = m->config.labels,
                                  .base = m->digest,
                                  .state = m->digest};
}

/* ------------------------------------------------------------------ components */

/* One component over classes first .. last - 1. */
struct wanted {
    const struct learner *learner;
    const char *name;      /* of the component, for the router's terms: of the owner */
    const char *part_name; /* that it is given here */
    uint32_t first, last;
    const struct learner_part *parent; /* NULL: none */
    const struct lane_trial_options *options;
};

static void make_key(const struct trial *t,
                     const struct wanted *w,
                     const struct protocol_task *task,
                     struct text *key)
{
    char digest[DIGEST_TEXT_SIZE];
    digest_format(&t->tools->model->digest, digest);
    text_add(key, "%s %s %s %s seed=%llu data=%016llx train=%u of %u", w->learner->name, w->name,
             digest, gemm_kernel_name(), (unsigned long long)t->s->seed,
             (unsigned long long)task->sum, task->n_train, task->images.n);
    if (w->learner == &learner_multilane)
        add_lane_options(key, w->options);
    else
        add_router_options(key, w->options);
    if (w->parent)
        text_add(key, " init=previous parent=%016llx",
                 (unsigned long long)component_bytes_hash(w->parent->bytes, w->parent->size));
}

/* Options as given, and init=previous where there is a parent. */
static uint32_t list_options(const struct wanted *w, struct learner_option *list)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->options->n; i++)
        list[n++] = w->options->list[i];
    if (w->parent)
        list[n++] = (struct learner_option){"init", "previous"};
    return n;
}

static enum status make_from(struct trial *t,
                             const struct wanted *w,
                             const struct protocol_task *task,
                             struct component *ret_component,
                             struct fault *f)
{
    const char *classes[PROTOCOL_CLASSES];
    char key_text[COMPONENT_KEY_SIZE];
    struct text key = {key_text, sizeof key_text, 0, 0};
    struct learner_option options[LANE_TRIAL_OPTIONS + 1];
    for (uint32_t c = w->first; c < w->last; c++)
        classes[c - w->first] = t->set->names[c];
    make_key(t, w, task, &key);
    if (key.full)
        FAIL(f, STATUS_INVALID_ARGUMENT, "options", "too many options");
    struct learner_problem p = {.trunk = t->trunk,
                                .seed = t->s->seed,
                                .name = w->name,
                                .images = task->images,
                                .hot = task->hot,
                                .n_classes = w->last - w->first,
                                .classes = classes,
                                .parts = w->parent,
                                .n_parts = w->parent != NULL,
                                .options = options,
                                .n_options = list_options(w, options)};
    p.lists[LEARNER_TRAIN] = (struct learner_rows){task->rows, task->n_train};
    p.lists[LEARNER_VALID] =
        (struct learner_rows){task->rows + task->n_train, task->images.n - task->n_train};
    const struct component_job job = {.learner = w->learner,
                                      .problem = &p,
                                      .folder = t->s->components,
                                      .key = key_text,
                                      .part_name = w->part_name};
    return component_make(&job, t->tools->pool, ret_component, f);
}

static enum status
make(struct trial *t, const struct wanted *w, struct component *ret_component, struct fault *f)
{
    struct protocol_task task;
    TRY(protocol_task_make(t->set, w->first, w->last, &task, f));
    const int64_t start = clock_mono_us();
    const enum status st = make_from(t, w, &task, ret_component, f);
    if (st == STATUS_OK)
        tell(t, "%s %s: %u images, %.1f s (trained in %.1f s)", w->learner->name, w->name,
             task.images.n, (double)(clock_mono_us() - start) * 1e-6, ret_component->seconds);
    protocol_task_free(&task);
    return st;
}

static enum status
make_lane(struct trial *t, uint32_t task, const struct learner_part *parent, struct fault *f)
{
    const struct protocol *p = t->s->protocol;
    const struct wanted w = {.learner = &learner_multilane,
                             .name = t->names[task],
                             .part_name = t->names[task],
                             .first = protocol_first(p, task),
                             .last = protocol_first(p, task + 1),
                             .parent = parent,
                             .options = &t->s->lane};
    TRY(make(t, &w, &t->lanes[task], f));
    t->result->lane_seconds += t->lanes[task].seconds;
    return STATUS_OK;
}

static enum status make_terms(struct trial *t, uint32_t task, struct fault *f)
{
    const struct protocol *p = t->s->protocol;
    const struct wanted w = {.learner = &learner_ridge,
                             .name = t->owners[task],
                             .part_name = t->owners[task],
                             .first = protocol_first(p, task),
                             .last = protocol_first(p, task + 1),
                             .options = &t->s->router};
    TRY(make(t, &w, &t->terms[task], f));
    t->result->router_seconds += t->terms[task].seconds;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ figures */

static struct score_view view_of(const struct trial *t,
                                 const struct session_scores *x,
                                 enum session_decision d,
                                 uint32_t tasks)
{
    return (struct score_view){.protocol = t->s->protocol,
                               .scores = x->scores[d],
                               .hot = x->hot,
                               .n = x->n,
                               .tasks = tasks,
                               .link = session_link(d, t->s->protocol->several)};
}

/* Of the images: the right lane was believed most; the right lane's largest logit is right. */
static void
measure_owners(const struct trial *t, const struct session_scores *x, struct lane_trial_line *line)
{
    const struct protocol *p = t->s->protocol;
    const uint32_t k = t->set->classes;
    uint32_t owner = 0, within = 0;
    for (uint32_t i = 0; i < x->n; i++) {
        uint32_t right = 0;
        while (!x->hot[(size_t)i * k + right])
            right++;
        const uint32_t task = protocol_task_of(p, right);
        uint32_t best = protocol_first(p, task);
        for (uint32_t c = best; c < protocol_first(p, task + 1); c++)
            if (x->scores[SESSION_RAW][(size_t)i * k + c] >
                x->scores[SESSION_RAW][(size_t)i * k + best])
                best = c;
        owner += x->owner[i] == task;
        within += best == right;
    }
    line->owner = 100.0 * owner / x->n;
    line->within = 100.0 * within / x->n;
}

/* F1 after the last session; the threshold comes from the validation images. */
static enum status measure_f1(const struct score_view *measured,
                              const struct score_view *valid,
                              struct lane_trial_line *line,
                              struct fault *f)
{
    TRY(score_f1(measured, TRIAL_THRESHOLD, &line->f1, f));
    TRY(score_threshold(valid, &line->threshold, f));
    return score_f1(measured, line->threshold, &line->f1_at_threshold, f);
}

static void line_begin(struct lane_trial_line *line, const char *decision)
{
    const struct score_f1 none = {(double)NAN, (double)NAN, (double)NAN};
    *line = (struct lane_trial_line){.decision = decision,
                                     .f1 = none,
                                     .f1_at_threshold = none,
                                     .threshold = (double)NAN,
                                     .owner = (double)NAN,
                                     .within = (double)NAN};
}

/*
 * A session that ends with `tasks` tasks: figures of every decision that was answered; line i is
 * that of decisions[i].
 */
static enum status measure(struct trial *t,
                           const struct session_parts *parts,
                           uint32_t tasks,
                           const enum session_decision *decisions,
                           struct fault *f)
{
    const struct protocol *p = t->s->protocol;
    struct session_scores x, valid = {0};
    const int last = tasks == p->n_tasks;
    const int64_t start = clock_mono_us();
    TRY(session_answer(&t->trunk, parts, t->set, t->s->measured, tasks, t->tools->pool, &x, f));
    enum status st = STATUS_OK;
    if (last && p->several)
        st = session_answer(&t->trunk, parts, t->set, PROTOCOL_VALID, tasks, t->tools->pool, &valid,
                            f);
    for (uint32_t i = 0; i < t->result->n_lines && st == STATUS_OK; i++) {
        struct lane_trial_line *line = &t->result->lines[i];
        const struct score_view v = view_of(t, &x, decisions[i], tasks);
        const struct score_view held = view_of(t, &valid, decisions[i], tasks);
        st = score_session(&v, t->a[i] + (size_t)(tasks - 1) * p->n_tasks,
                           &line->sessions[line->n_sessions++], f);
        if (st == STATUS_OK && last && p->several)
            st = measure_f1(&v, &held, line, f);
        if (st == STATUS_OK)
            tell(t, "after task %u: %s %.2f", tasks, line->decision,
                 line->sessions[line->n_sessions - 1]);
    }
    if (st == STATUS_OK && last && !p->several && x.owner)
        measure_owners(t, &x, &t->result->lines[0]);
    t->result->n_measured = x.n;
    t->result->answer_seconds += (double)(clock_mono_us() - start) * 1e-6;
    session_scores_free(&x);
    session_scores_free(&valid);
    return st;
}

/* ------------------------------------------------------------------ the parts */

static enum status run_lanes(struct trial *t, struct fault *f)
{
    static const enum session_decision decisions[] = {SESSION_ROUTED, SESSION_RAW, SESSION_ROUTER};
    struct learner_part list[2 * PROTOCOL_TASKS];
    struct session_parts parts = {.parts = list};
    t->result->n_lines = 3;
    for (uint32_t i = 0; i < 3; i++)
        line_begin(&t->result->lines[i], session_decision_name(decisions[i]));
    for (uint32_t k = 0; k < t->s->protocol->n_tasks; k++) {
        TRY(make_lane(t, k, NULL, f));
        TRY(make_terms(t, k, f));
        list[parts.n_parts++] = t->lanes[k].part;
        list[parts.n_parts++] = t->terms[k].part;
        TRY(measure(t, &parts, k + 1, decisions, f));
    }
    return STATUS_OK;
}

static enum status run_joint(struct trial *t, struct fault *f)
{
    static const enum session_decision decisions[] = {SESSION_RAW};
    const struct wanted w = {.learner = &learner_multilane,
                             .name = "joint",
                             .part_name = "joint",
                             .last = t->set->classes,
                             .options = &t->s->lane};
    t->result->n_lines = 1;
    line_begin(&t->result->lines[0], "joint");
    TRY(make(t, &w, &t->lanes[0], f));
    t->result->lane_seconds = t->lanes[0].seconds;
    const struct session_parts parts = {.parts = &t->lanes[0].part, .n_parts = 1};
    return measure(t, &parts, t->s->protocol->n_tasks, decisions, f);
}

/* A record that others start from has a name; here 64 bits of it are enough. */
static void name_record(struct learner_part *part)
{
    const uint64_t h = component_bytes_hash(part->bytes, part->size);
    memcpy(part->digest.b, &h, sizeof h);
}

static enum status run_finetune(struct trial *t, struct fault *f)
{
    static const enum session_decision decisions[] = {SESSION_RAW};
    struct learner_part list[PROTOCOL_TASKS];
    t->result->n_lines = 1;
    line_begin(&t->result->lines[0], "finetune");
    for (uint32_t k = 0; k < t->s->protocol->n_tasks; k++) {
        struct lane_composed composed;
        TRY(make_lane(t, k, k ? &list[k - 1] : NULL, f));
        list[k] = t->lanes[k].part;
        name_record(&list[k]);
        TRY(lane_compose(list, k + 1, &t->trunk.config, &composed, f));
        const struct session_parts parts = {.parts = &composed.part, .n_parts = 1};
        const enum status st = measure(t, &parts, k + 1, decisions, f);
        lane_compose_free(&composed);
        TRY(st);
    }
    return STATUS_OK;
}

static void summarise(struct trial *t)
{
    const uint32_t T = t->s->protocol->n_tasks;
    for (uint32_t i = 0; i < t->result->n_lines; i++) {
        struct lane_trial_line *line = &t->result->lines[i];
        if (line->n_sessions == T)
            line->summary = score_summarise(t->a[i], line->sessions, T);
        else
            line->summary = (struct score_summary){line->sessions[0], (double)NAN, (double)NAN};
        memcpy(line->tasks, t->a[i] + (size_t)(T - 1) * T, T * sizeof *line->tasks);
    }
}

static enum status run(struct trial *t, struct fault *f)
{
    static enum status (*const parts[LANE_TRIAL_PARTS])(struct trial *, struct fault *) = {
        run_lanes, run_joint, run_finetune};
    TRY(check_options(t->s, f));
    TRY(open_data(t, f));
    t->result->n_train = t->set->from[PROTOCOL_VALID];
    for (uint32_t k = 0; k < PROTOCOL_TASKS; k++) {
        (void)snprintf(t->names[k], sizeof t->names[k], "task%u", k + 1);
        (void)snprintf(t->owners[k], sizeof t->owners[k], "lane:%s", t->names[k]);
    }
    TRY(parts[t->s->part](t, f));
    summarise(t);
    return STATUS_OK;
}

enum status lane_trial_execute(const struct lane_trial_settings *s,
                               const struct lane_trial_tools *tools,
                               struct lane_trial_result *ret_result,
                               struct fault *f)
{
    struct trial t = {
        .s = s, .tools = tools, .trunk = trunk_of(tools->model), .result = ret_result};
    *ret_result = (struct lane_trial_result){0};
    const enum status st = run(&t, f);
    for (uint32_t k = 0; k < PROTOCOL_TASKS; k++) {
        component_free(&t.lanes[k]);
        component_free(&t.terms[k]);
    }
    protocol_set_free(t.set);
    return st;
}
