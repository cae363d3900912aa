#include "learners/methods/multilane/multilane_erase.h"

#include "learners/methods/gslora/suppress.h"
#include "learners/methods/multilane/multilane_internal.h"

#include <string.h>

struct multilane_erase {
    struct lane old;
    struct digest old_digest;
    struct digest trunk; /* that the new lane is fitted on */
    struct digest memory;
    struct multilane_problem problem; /* all of the lane's classes, in the lane's own order */
    struct lane_options options;
    struct multilane_run *run;
    struct suppress_group groups[1 + VIT_MAX_DEPTH];
    struct suppress_run *suppress;
};

int multilane_erase_is(const struct learner_problem *p)
{
    return p->lists[LEARNER_FORGET].n > 0;
}

/* ------------------------------------------------------------------ the lane and its parts */

static const struct learner_part *lane_part(const struct learner_problem *p)
{
    for (uint32_t i = 0; i < p->n_parts; i++)
        if (strcmp(p->parts[i].kind, "lane") == 0 && strcmp(p->parts[i].name, p->name) == 0)
            return &p->parts[i];
    return NULL;
}

static enum status find_part(const struct learner_problem *p,
                             const struct learner_part **ret_part,
                             struct fault *f)
{
    *ret_part = lane_part(p);
    if (!*ret_part)
        FAIL(f, STATUS_FAILED_PRECONDITION, "parts", "there is no lane %.64s to change", p->name);
    return STATUS_OK;
}

static enum status
read_options(const struct learner_problem *p, struct gslora_options *o, struct fault *f)
{
    suppress_options_default(o);
    for (uint32_t i = 0; i < p->n_options; i++)
        TRY(gslora_options_set(o, p->options[i].name, p->options[i].value, f));
    return gslora_options_check(o, f);
}

/* Selectors, then the prompts of each block; where they lie: lane.h. */
static uint32_t
list_groups(const struct vit_config *c, const struct lane_options *o, struct suppress_group *groups)
{
    const size_t prompts = 2 * (size_t)o->prompts * c->width;
    uint32_t n = 0;
    groups[n++] = (struct suppress_group){0, (size_t)o->selectors * c->width};
    for (uint32_t l = 0; l < o->prompt_blocks && prompts > 0; l++)
        groups[n++] = (struct suppress_group){groups[0].n + l * prompts, prompts};
    return n;
}

/* ------------------------------------------------------------------ memory */

static uint32_t all_images(const struct learner_problem *p)
{
    uint32_t n = 0;
    for (size_t i = 0; i < LEARNER_LISTS; i++)
        n += p->lists[i].n;
    return n;
}

/* The run over the lane's images: those to train with first, then those to validate on. */
static struct multilane_problem lane_problem(const struct learner_problem *p,
                                             const struct lane *lane,
                                             const uint32_t *rows)
{
    const uint32_t n_train = p->lists[LEARNER_TRAIN].n + p->lists[LEARNER_FORGET].n;
    return (struct multilane_problem){.config = p->trunk.config,
                                      .weights = p->trunk.weights,
                                      .origin = lane->origin,
                                      .name = p->name,
                                      .images = p->images,
                                      .train = rows,
                                      .valid = rows + n_train,
                                      .n_train = n_train,
                                      .n_valid = all_images(p) - n_train,
                                      .n_classes = lane->n_classes,
                                      .parent = lane};
}

static struct suppress_problem suppress_problem_of(const struct learner_problem *p,
                                                   const struct gslora_options *o)
{
    struct suppress_problem s = {.options = *o, .samples = p->samples, .root = {.seed = p->seed}};
    memcpy(s.root.request, p->request.b, REQUEST_ID_SIZE);
    memcpy(s.lists, p->lists, sizeof s.lists);
    return s;
}

static size_t plus(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

size_t multilane_erase_plan(const struct learner_problem *p, uint32_t threads)
{
    const struct learner_part *part = lane_part(p);
    struct gslora_options o;
    struct lane lane = {.n_classes = 0};
    struct suppress_group groups[1 + VIT_MAX_DEPTH];
    if (!part || read_options(p, &o, NULL) != STATUS_OK ||
        lane_peek(part->bytes, part->size, &p->trunk.config, &lane, NULL) != STATUS_OK)
        return SIZE_MAX;
    struct suppress_problem s = suppress_problem_of(p, &o);
    s.engine = (struct suppress_engine){
        .classes = lane.n_classes,
        .width = p->trunk.config.width,
        .floats = lane_floats(&p->trunk.config, &lane.options, lane.n_classes),
        .n_groups = list_groups(&p->trunk.config, &lane.options, groups)};
    struct arena_plan more = {0};
    arena_plan_add(&more, 1, sizeof(struct multilane_erase));
    arena_plan_add(&more, all_images(p), sizeof(uint32_t));
    arena_plan_add(&more, p->images.n, sizeof(int32_t));
    arena_plan_add(&more, lane.n_classes, sizeof(char *));
    const struct multilane_problem run = lane_problem(p, &lane, NULL);
    const size_t bytes = plus(plus(arena_plan_bytes(&more), suppress_plan(&s)),
                              multilane_run_size(&run, &lane.options, threads));
    return plus(bytes, lane_decode_plan(part->size));
}

/* ------------------------------------------------------------------ set-up */

/* Labels as the lane counts its classes; images in no list have any. */
static enum status number_labels(const struct learner_problem *p,
                                 const struct lane *lane,
                                 int32_t *labels,
                                 struct fault *f)
{
    for (size_t k = 0; k < LEARNER_LISTS; k++)
        for (uint32_t i = 0; i < p->lists[k].n; i++) {
            const uint32_t row = p->lists[k].rows[i];
            const int32_t y = row < p->images.n ? p->images.labels[row] : -1;
            if (y < 0 || (uint32_t)y >= p->n_classes)
                FAIL(f, STATUS_INVALID_ARGUMENT, "train", "image %u has no label", row);
            labels[row] = (int32_t)lane_class_of(lane, p->classes[y]);
            if (labels[row] < 0)
                FAIL(f, STATUS_FAILED_PRECONDITION, "classes", "lane %.40s does not know %.64s",
                     lane->name, p->classes[y]);
        }
    return STATUS_OK;
}

static enum status read_lane(struct multilane_erase *x,
                             const struct learner_problem *p,
                             const struct learner_part *part,
                             struct arena *arena,
                             struct fault *f)
{
    TRY(lane_decode(part->bytes, part->size, &p->trunk.config, &p->trunk.base, arena, &x->old, f));
    TRY(lane_check_model(&x->old, &p->trunk.base, &p->trunk.preprocessing, f));
    if (x->old.multi_label || p->hot)
        FAIL(f, STATUS_FAILED_PRECONDITION, "mode",
             "lane %.40s has several labels an image: it forgets exactly only", x->old.name);
    x->old_digest = part->digest;
    x->trunk = p->trunk.state;
    x->memory = p->memory;
    return STATUS_OK;
}

static enum status lay_out(struct multilane_erase *x,
                           const struct learner_problem *p,
                           struct arena *arena,
                           struct fault *f)
{
    uint32_t *rows = arena_alloc(arena, all_images(p), sizeof *rows), n = 0;
    int32_t *labels = arena_alloc_zero(arena, p->images.n, sizeof *labels);
    const char **classes = arena_alloc(arena, x->old.n_classes, sizeof *classes);
    if (!rows || !labels || !classes)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    static const enum learner_list ORDER[] = {LEARNER_TRAIN, LEARNER_FORGET, LEARNER_VALID,
                                              LEARNER_FORGET_VALID};
    for (size_t k = 0; k < LEARNER_LISTS; k++) {
        const struct learner_rows *list = &p->lists[ORDER[k]];
        if (list->n > 0)
            memcpy(rows + n, list->rows, list->n * sizeof *rows);
        n += list->n;
    }
    for (uint32_t i = 0; i < x->old.n_classes; i++)
        classes[i] = x->old.classes[i].name;
    x->problem = lane_problem(p, &x->old, rows);
    x->problem.classes = classes;
    x->problem.images.labels = labels;
    return number_labels(p, &x->old, labels, f);
}

/* The run takes over the lane's parameters as they are; its own draw is overwritten. */
static enum status start_run(struct multilane_erase *x,
                             const struct learner_tools *tools,
                             struct fault *f)
{
    x->options = x->old.options;
    x->options.init = LANE_INIT_PREVIOUS;
    x->options.all_classes = 0;
    TRY(multilane_run_new(&x->problem, &x->options, tools->pool, tools->arena, &x->run, f));
    memcpy(x->run->theta, x->old.block, x->run->floats * sizeof(float));
    return STATUS_OK;
}

static void
engine_forward(void *context, const uint32_t *list, uint32_t n, float *logits, float *features)
{
    const struct multilane_erase *x = context;
    multilane_forward(x->run, list, n, logits, features);
}

static void engine_backward(void *context,
                            const uint32_t *list,
                            uint32_t n,
                            const float *dlogits,
                            const float *dfeatures,
                            float *grad)
{
    const struct multilane_erase *x = context;
    multilane_backward(x->run, list, n, dlogits, dfeatures);
    memcpy(grad, x->run->grad, x->run->floats * sizeof *grad);
}

static enum status start_suppress(struct multilane_erase *x,
                                  const struct learner_problem *p,
                                  const struct gslora_options *o,
                                  struct arena *arena,
                                  struct fault *f)
{
    struct suppress_problem s = suppress_problem_of(p, o);
    s.labels = x->problem.images.labels;
    s.engine =
        (struct suppress_engine){.context = x,
                                 .classes = x->old.n_classes,
                                 .width = p->trunk.config.width,
                                 .theta = x->run->theta,
                                 .floats = x->run->floats,
                                 .groups = x->groups,
                                 .n_groups = list_groups(&p->trunk.config, &x->options, x->groups),
                                 .forward = engine_forward,
                                 .backward = engine_backward};
    return suppress_new(&s, arena, &x->suppress, f);
}

static enum status start(struct multilane_erase *x,
                         const struct learner_problem *p,
                         const struct learner_tools *tools,
                         struct fault *f)
{
    const struct learner_part *part;
    struct gslora_options o;
    TRY(find_part(p, &part, f));
    TRY(read_options(p, &o, f));
    TRY(read_lane(x, p, part, tools->arena, f));
    TRY(lay_out(x, p, tools->arena, f));
    TRY(start_run(x, tools, f));
    return start_suppress(x, p, &o, tools->arena, f);
}

enum status multilane_erase_new(const struct learner_problem *p,
                                const struct learner_tools *tools,
                                struct multilane_erase **ret_erase,
                                struct fault *f)
{
    const struct arena_mark mark = arena_mark(tools->arena);
    struct multilane_erase *x = arena_alloc_zero(tools->arena, 1, sizeof *x);
    enum status st = STATUS_NO_MEMORY;
    if (x)
        st = start(x, p, tools, f);
    else
        (void)fault_set(f, st, __FILE__, __LINE__, "memory",
                        "the memory given is smaller than planned");
    if (st != STATUS_OK) {
        arena_rewind(tools->arena, mark);
        return st;
    }
    *ret_erase = x;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ running */

enum status multilane_erase_step(struct multilane_erase *x,
                                 struct learner_progress *ret_progress,
                                 struct fault *f)
{
    return suppress_step(x->suppress, ret_progress, f);
}

void multilane_erase_result(struct multilane_erase *x,
                            struct lane *ret_lane,
                            struct learner_outcome *ret_outcome)
{
    suppress_finish(x->suppress, ret_outcome);
    *ret_lane = x->old;
    ret_lane->block = x->run->theta;
    ret_lane->options.init = LANE_INIT_PREVIOUS;
    ret_lane->origin.parent_id = x->old.origin.id;
    ret_lane->origin.parent = x->old_digest;
    ret_lane->origin.trunk = x->trunk;
    ret_lane->origin.memory = x->memory;
}
