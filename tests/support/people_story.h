/*
 * Data sets that say whose each image is, over lane_story.h: five people, each with a fifth of the
 * images of every class.  Header only.  One thread.
 */
#ifndef LETHE_TESTS_SUPPORT_PEOPLE_STORY_H
#define LETHE_TESTS_SUPPORT_PEOPLE_STORY_H

#include "tests/support/lane_story.h"

#define PEOPLE 5u

/* Nobody's images are the last person's. */
__attribute__((unused)) static const char *const people[PEOPLE] = {"anna-kowalska-4711", "bob-4712",
                                                                   "carla-4713", "dan-4714", ""};

struct people_stream {
    uint8_t pixels[SESSION_IMAGES][TINY_PIXELS];
    int32_t labels[SESSION_IMAGES];
    uint8_t people[SESSION_IMAGES][LETHE_DIGEST_SIZE];
    uint32_t n;
};

__attribute__((unused)) static bool
people_source(void *context, uint64_t offset, void *to, size_t size)
{
    const struct people_stream *s = context;
    const uint64_t pixels = (uint64_t)s->n * TINY_PIXELS, labels = pixels + s->n * sizeof(int32_t);
    /* An offset goes across rows, so the arrays are read as plain bytes. */
    const uint8_t *pixel_bytes = (const uint8_t *)s->pixels,
                  *label_bytes = (const uint8_t *)s->labels,
                  *people_bytes = (const uint8_t *)s->people;
    for (size_t i = 0; i < size; i++, offset++)
        ((uint8_t *)to)[i] = offset < pixels   ? pixel_bytes[offset]
                             : offset < labels ? label_bytes[offset - pixels]
                                               : people_bytes[offset - labels];
    return true;
}

__attribute__((unused)) static void
people_add(struct people_stream *s, uint32_t pattern, uint32_t seed, uint32_t i, int c)
{
    tiny_image(pattern, seed, i, s->pixels[s->n]);
    s->labels[s->n] = c;
    lethe_subject(people[i % PEOPLE], s->people[s->n]);
    s->n++;
}

__attribute__((unused)) static void people_send(struct session *s,
                                                struct people_stream *stream,
                                                const char *name,
                                                const char *const *classes,
                                                uint32_t n_classes)
{
    struct lethe_error e = {0};
    struct lethe_dataset *d;
    const struct lethe_import_args args = {.spec = {.name = name,
                                                    .role = "train",
                                                    .images = stream->n,
                                                    .height = TINY_SIZE,
                                                    .width = TINY_SIZE,
                                                    .channels = 1,
                                                    .classes = classes,
                                                    .n_classes = n_classes,
                                                    .subjects = true},
                                           .source = people_source,
                                           .context = stream};
    session_ok(lethe_data_import(s->l, &args, &d, &e), e);
    assert_true(d->subjects);
    lethe_free(d);
}

/*
 * A task's images without class `skip_class` (from 0; TASK_CLASSES: none) and without those of
 * person `skip` (PEOPLE: of all).
 */
__attribute__((unused)) static void people_task(
    struct session *s, const struct task *t, const char *name, uint32_t skip_class, uint32_t skip)
{
    static struct people_stream stream;
    const char *names[TASK_CLASSES];
    uint32_t k = 0;
    stream.n = 0;
    for (uint32_t c = 0; c < TASK_CLASSES; c++) {
        if (c == skip_class)
            continue;
        for (uint32_t i = 0; i < TASK_PER_CLASS; i++)
            if (i % PEOPLE != skip)
                people_add(&stream, t->first + c, 5, i, (int)k);
        names[k++] = t->labels[c];
    }
    people_send(s, &stream, name, names, k);
}

#endif
