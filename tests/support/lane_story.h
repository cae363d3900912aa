/*
 * Tasks for stories about learning, over session.h: their images, the requests that learn them, and
 * what the serving version then holds and answers.  Header only.  One thread.
 */
#ifndef LETHE_TESTS_SUPPORT_LANE_STORY_H
#define LETHE_TESTS_SUPPORT_LANE_STORY_H

#include "tests/support/session.h"

#define TASK_CLASSES   3u
#define TASK_PER_CLASS 30u
#define TASK_IMAGES    (TASK_CLASSES * TASK_PER_CLASS)
_Static_assert(TASK_IMAGES <= SESSION_IMAGES, "a task fits into struct session_stream");

/* A task's classes are patterns that the base never saw: 10, 11, ... */
struct task {
    const char *name;
    uint32_t first;
    const char *labels[TASK_CLASSES];
};

/*
 * Imports the task's images in a role; class `skip` (from 0) is left out, TASK_CLASSES: none.  With
 * `alike` every class shows the first one's pattern, so that none can be told.
 */
__attribute__((unused)) static void task_import_images(struct session *s,
                                                       const struct task *t,
                                                       const char *name,
                                                       const char *role,
                                                       uint32_t skip,
                                                       int alike)
{
    static struct session_stream stream;
    struct lethe_error e = {0};
    struct lethe_dataset *d;
    const char *names[TASK_CLASSES];
    int32_t labels[TASK_IMAGES];
    const uint32_t seed = strcmp(role, "train") == 0 ? 5 : 8;
    uint32_t n = 0, k = 0;
    for (uint32_t c = 0; c < TASK_CLASSES; c++) {
        if (c == skip)
            continue;
        names[k] = t->labels[c];
        for (uint32_t i = 0; i < TASK_PER_CLASS; i++, n++) {
            tiny_image(alike ? t->first : t->first + c, seed, alike ? n : i,
                       stream.bytes + n * TINY_PIXELS);
            labels[n] = (int32_t)k;
        }
        k++;
    }
    memcpy(stream.bytes + n * TINY_PIXELS, labels, n * sizeof *labels);
    const struct lethe_import_args args = {.spec = {.name = name,
                                                    .role = role,
                                                    .images = n,
                                                    .height = TINY_SIZE,
                                                    .width = TINY_SIZE,
                                                    .channels = 1,
                                                    .classes = names,
                                                    .n_classes = k},
                                           .source = session_source,
                                           .context = stream.bytes};
    session_ok(lethe_data_import(s->l, &args, &d, &e), e);
    lethe_free(d);
}

__attribute__((unused)) static void task_import_as(
    struct session *s, const struct task *t, const char *name, const char *role, uint32_t skip)
{
    task_import_images(s, t, name, role, skip, 0);
}

__attribute__((unused)) static void
import_task(struct session *s, const struct task *t, const char *name, uint32_t skip)
{
    task_import_as(s, t, name, "train", skip);
}

/* The same request on any daemon: its id and seed are fixed. */
__attribute__((unused)) static struct lethe_request *
learn(struct session *s, const struct task *t, const char *data, const char *id)
{
    struct lethe_error e = {0};
    struct lethe_request *r;
    const struct lethe_option options[] = {{"selectors", "3"},     {"prompts", "2"},
                                           {"prompt_blocks", "2"}, {"epochs", "20"},
                                           {"batch", "8"},         {"lr", "0.02"}};
    const struct lethe_learn_args args = {.request_id = id,
                                          .task = t->name,
                                          .data = data,
                                          .seed = 9,
                                          .options = options,
                                          .n_options = 6};
    session_ok(lethe_learn(s->l, &args, &r, &e), e);
    char text[LETHE_ID_TEXT];
    memcpy(text, r->id, sizeof text);
    lethe_free(r);
    return session_wait(s, text, "committed");
}

/* Digest of a component of the serving version; "" if it is not there. */
__attribute__((unused)) static void
component(struct session *s, const char *kind, const char *name, char *digest)
{
    struct lethe_error e = {0};
    struct lethe_version *v;
    session_ok(lethe_show(s->l, "serving", &v, &e), e);
    digest[0] = '\0';
    for (size_t i = 0; i < v->n_components; i++)
        if (strcmp(v->components[i].kind, kind) == 0 && strcmp(v->components[i].name, name) == 0)
            memcpy(digest, v->components[i].digest, LETHE_DIGEST_TEXT);
    lethe_free(v);
}

/* Image i of a pattern, fresh. */
__attribute__((unused)) static struct lethe_predictions *
predict(struct session *s, const char *scope, uint32_t pattern, uint32_t i)
{
    uint8_t pixels[TINY_PIXELS];
    struct lethe_error e = {0};
    struct lethe_predictions *p;
    const void *images[] = {pixels};
    tiny_image(pattern, 6, i, pixels);
    const struct lethe_predict_args args = {.scope = scope,
                                            .top = 3,
                                            .logits = true,
                                            .pixel = LETHE_PIXEL_U8,
                                            .height = TINY_SIZE,
                                            .width = TINY_SIZE,
                                            .channels = 1,
                                            .images = images,
                                            .n_images = 1};
    session_ok(lethe_predict(s->l, &args, &p, &e), e);
    return p;
}

/* Share of a task's fresh images that its own class answers, and that nobody else answers for. */
__attribute__((unused)) static double accuracy(struct session *s, const struct task *t)
{
    uint32_t right_answers = 0, n = 0;
    for (uint32_t c = 0; c < TASK_CLASSES; c++)
        for (uint32_t i = 0; i < 10; i++, n++) {
            struct lethe_predictions *p = predict(s, "all", t->first + c, i);
            assert_true(p->items[0].n_labels > 0);
            right_answers += strcmp(p->items[0].labels[0].label, t->labels[c]) == 0;
            lethe_free(p);
        }
    return (double)right_answers / n;
}

#endif
