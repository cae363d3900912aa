/* Validation of a run: accuracies over all outputs, H, depth figure, snapshot. */
#include "learners/methods/gslora/gslora_internal.h"

#include "daemon/base/invariant.h"

#include <string.h>

double gslora_h_mean(double acc_retain, double drop)
{
    const double sum = acc_retain + drop;
    return drop <= 0 || sum <= 0 ? 0 : 2 * acc_retain * drop / sum;
}

/* Largest logit, lowest index on a tie. */
static uint32_t answer_of(const float *logits, uint32_t classes)
{
    uint32_t best = 0;
    for (uint32_t k = 1; k < classes; k++)
        if (logits[k] > logits[best])
            best = k;
    return best;
}

void gslora_infer(struct gslora_run *run,
                  const struct vit_weights *w,
                  uint32_t l0,
                  const uint32_t *list,
                  uint32_t n,
                  float *embeddings)
{
    struct gslora_validation *v = &run->validation;
    const struct image_table *images = &run->problem->images;
    const float *inputs[GSLORA_CHUNK];
    const int cached = run->options.cache != 0;
    if (cached) {
        prefix_cache_fetch(&run->cache, l0, list, n, inputs);
    } else {
        for (uint32_t i = 0; i < n; i++) {
            float *to = v->pixels + i * images_floats(images);
            images_load(images, list[i], to);
            inputs[i] = to;
        }
    }
    const struct vit_input in = {.n = n,
                                 .first = cached ? l0 : 0,
                                 .images = cached ? NULL : inputs,
                                 .prefix = cached ? inputs : NULL};
    const struct vit_output out = {.embeddings = embeddings, .logits = v->logits};
    vit_forward(run->infer, w, &in, &out);
}

/* Right answers on a list; embeddings [n, C] are filled. */
static uint32_t validate_list(struct gslora_run *run,
                              const struct vit_weights *w,
                              uint32_t l0,
                              const uint32_t *list,
                              uint32_t n,
                              float *embeddings)
{
    const uint32_t classes = run->problem->config.classes;
    uint32_t right = 0;
    for (uint32_t start = 0; start < n; start += GSLORA_CHUNK) {
        const uint32_t m = n - start < GSLORA_CHUNK ? n - start : GSLORA_CHUNK;
        float *e = embeddings + (size_t)start * run->problem->config.width;
        gslora_infer(run, w, l0, list + start, m, e);
        for (uint32_t i = 0; i < m; i++) {
            const float *z = run->validation.logits + (size_t)i * classes;
            const int32_t label = run->problem->images.labels[list[start + i]];
            right += answer_of(z, classes) == (uint32_t)label;
        }
    }
    return right;
}

/* Distance of forget to retained embeddings over evenly spaced rows. */
static double validate_depth(struct gslora_run *run, const float *forget, const float *retain)
{
    struct gslora_validation *v = &run->validation;
    const size_t c = run->problem->config.width;
    uint32_t n = v->n_forget < v->n_retain ? v->n_forget : v->n_retain;
    n = n < GSLORA_DEPTH_SAMPLES ? n : GSLORA_DEPTH_SAMPLES;
    depth_draw(&v->depth, &run->root, "depth/validate", 0, n, n);
    return depth_loss(&v->depth, &(struct depth_rows){forget, c * (v->n_forget / n)},
                      &(struct depth_rows){retain, c * (v->n_retain / n)}, 1.0, NULL);
}

static void
validate_weights(struct gslora_run *run, const struct vit_weights *w, struct gslora_figures *x)
{
    struct gslora_validation *v = &run->validation;
    float *forget = v->embeddings;
    float *retain = forget + (size_t)v->n_forget * run->problem->config.width;
    uint32_t l0 = active_set_first(&run->set);
    l0 = l0 > run->problem->config.depth ? run->problem->config.depth : l0;
    const uint32_t right_f = validate_list(run, w, l0, v->forget, v->n_forget, forget);
    const uint32_t right_r = validate_list(run, w, l0, v->retain, v->n_retain, retain);
    *x = (struct gslora_figures){.step = run->step,
                                 .acc_forget = (double)right_f / v->n_forget,
                                 .acc_retain = (double)right_r / v->n_retain,
                                 .depth = validate_depth(run, forget, retain),
                                 .n_forget = v->n_forget,
                                 .n_retain = v->n_retain};
}

/* Keeps every stride-th figure; when the list is full, every second one of it. */
static void validate_record(struct gslora_validation *v, const struct gslora_figures *x)
{
    if (v->done++ % v->stride != 0)
        return;
    if (v->n_history == GSLORA_HISTORY) {
        for (uint32_t i = 0; i < GSLORA_HISTORY / 2; i++)
            v->history[i] = v->history[2 * i];
        v->n_history = GSLORA_HISTORY / 2;
        v->stride *= 2;
    }
    v->history[v->n_history++] = *x;
}

int gslora_targets_met(const struct gslora_run *run, const struct gslora_figures *x)
{
    return x->acc_forget <= (double)run->options.target_forget &&
           x->acc_retain >= run->before.acc_retain - (double)run->options.target_drop;
}

/*
 * Is x a better snapshot than the best so far?  The best H; but with the depth term, of two that
 * both meet the targets, the one whose erased features are nearer to the retained ones.
 */
static int validate_better(const struct gslora_run *run, const struct gslora_figures *x)
{
    if (!run->has_best)
        return 1;
    const int met = gslora_targets_met(run, x), best_met = gslora_targets_met(run, &run->best);
    if (met != best_met)
        return met;
    if (met && run->options.depth != GSLORA_DEPTH_OFF)
        return x->depth < run->best.depth;
    return x->h > run->best.h;
}

void gslora_validate(struct gslora_run *run)
{
    INVARIANT(run->validation.n_forget > 0 && run->validation.n_retain > 0);
    if (run->validation.done == 0)
        validate_weights(run, run->problem->weights, &run->before);
    active_set_fold(&run->set, run->problem->weights, run->fold_memory, &run->folded);
    struct gslora_figures x;
    validate_weights(run, &run->folded, &x);
    x.h = gslora_h_mean(x.acc_retain, run->before.acc_forget - x.acc_forget);
    validate_record(&run->validation, &x);
    run->last = x;
    run->held = gslora_targets_met(run, &x) ? run->held + 1 : 0;
    if (validate_better(run, &x)) {
        run->best = x;
        run->has_best = 1;
        active_set_save(&run->set, run->best_theta, run->best_awake);
    }
}
