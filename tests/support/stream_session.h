/*
 * Streams on a live daemon with the tiny model: data sets whose images come in the order of a
 * stream, calls that must succeed, and a look at components and reports.  Header only, as
 * session.h.  One thread.
 */
#ifndef LETHE_TESTS_SUPPORT_STREAM_SESSION_H
#define LETHE_TESTS_SUPPORT_STREAM_SESSION_H

#include "tests/support/session.h"

#include <jansson.h>

#define FEED_CLASSES 3u
#define FEED_MAX     120u /* images of each class */

/* A task of a stream: patterns that the base never saw, image after image of each class in turn. */
struct feed {
    const char *name; /* of the data set */
    uint32_t pattern; /* of the first class; the others follow */
    const char *labels[FEED_CLASSES];
    uint32_t n_classes;
    uint32_t per_class;
    uint64_t seed; /* of the noise: another seed, other images of the same classes */
};

__attribute__((unused)) static enum lethe_code
feed_try_import(struct session *s, const struct feed *x, const char *role, struct lethe_error *e)
{
    static uint8_t bytes[FEED_CLASSES * FEED_MAX * (TINY_PIXELS + sizeof(int32_t))];
    int32_t labels[FEED_CLASSES * FEED_MAX];
    struct lethe_dataset *d;
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->per_class; i++)
        for (uint32_t c = 0; c < x->n_classes; c++, n++) {
            tiny_image(x->pattern + c, x->seed, i, bytes + n * TINY_PIXELS);
            labels[n] = (int32_t)c;
        }
    memcpy(bytes + n * TINY_PIXELS, labels, n * sizeof *labels);
    const struct lethe_import_args args = {.spec = {.name = x->name,
                                                    .role = role,
                                                    .images = n,
                                                    .height = TINY_SIZE,
                                                    .width = TINY_SIZE,
                                                    .channels = 1,
                                                    .classes = x->labels,
                                                    .n_classes = x->n_classes},
                                           .source = session_source,
                                           .context = bytes};
    const enum lethe_code code = lethe_data_import(s->l, &args, &d, e);
    lethe_free(d);
    return code;
}

__attribute__((unused)) static void feed_import(struct session *s, const struct feed *x)
{
    struct lethe_error e = {0};
    session_ok(feed_try_import(s, x, "train", &e), e);
}

/* ---------------------------------------------------------------- requests */

/* Waits until a request that was accepted is in this state; it is freed. */
__attribute__((unused)) static struct lethe_request *
stream_wait(struct session *s, struct lethe_request *r, const char *state)
{
    char id[LETHE_ID_TEXT];
    memcpy(id, r->id, sizeof id);
    lethe_free(r);
    return session_wait(s, id, state);
}

/*
 * Settings with which the tiny model learns a task from a dozen batches.  So few are below what the
 * alarm needs, so each push is told to be one task.
 */
__attribute__((unused)) static const struct lethe_option stream_options[] = {
    {"batch", "12"}, {"window", "16"}, {"lr", "0.03"}, {"probe", "on"}, {"rank", "4"}};
#define STREAM_OPTIONS (sizeof stream_options / sizeof stream_options[0])

__attribute__((unused)) static void stream_open_with(struct session *s,
                                                     const char *name,
                                                     const char *id,
                                                     const struct lethe_option *options,
                                                     size_t n_options)
{
    struct lethe_error e = {0};
    struct lethe_request *r;
    const struct lethe_stream_args args = {
        .request_id = id, .name = name, .seed = 17, .options = options, .n_options = n_options};
    session_ok(lethe_stream_open(s->l, &args, &r, &e), e);
    lethe_free(stream_wait(s, r, "committed"));
}

__attribute__((unused)) static void stream_open(struct session *s, const char *name, const char *id)
{
    stream_open_with(s, name, id, stream_options, STREAM_OPTIONS);
}

/* Pushes an imported feed; the answer is the finished request. */
__attribute__((unused)) static struct lethe_request *
stream_push(struct session *s, const char *name, const struct feed *x, const char *id)
{
    struct lethe_error e = {0};
    struct lethe_request *r;
    const struct lethe_push_args args = {.request_id = id, .name = name, .data = x->name};
    session_ok(lethe_stream_push(s->l, &args, &r, &e), e);
    return stream_wait(s, r, "committed");
}

__attribute__((unused)) static void stream_close(struct session *s, const char *name)
{
    struct lethe_error e = {0};
    struct lethe_request *r;
    session_ok(lethe_stream_close(s->l, name, &r, &e), e);
    lethe_free(stream_wait(s, r, "committed"));
}

/* ---------------------------------------------------------------- looking */

/* The object "stream" of a request's report; json_decref. */
__attribute__((unused)) static json_t *stream_report(const struct lethe_request *r)
{
    json_t *root = json_loadb(r->evaluation, r->evaluation_bytes, 0, NULL);
    assert_non_null(root);
    json_t *stream = json_incref(json_object_get(root, "stream"));
    assert_non_null(stream);
    json_decref(root);
    return stream;
}

__attribute__((unused)) static const char *stream_text(const json_t *stream, const char *key)
{
    const char *text = json_string_value(json_object_get(stream, key));
    assert_non_null(text);
    return text;
}

__attribute__((unused)) static int stream_count(const json_t *stream, const char *key)
{
    const json_t *x = json_object_get(stream, key);
    assert_true(json_is_integer(x));
    return (int)json_integer_value(x);
}

/* Digest of a component of the serving version; "" if it is not there. */
__attribute__((unused)) static void
stream_component(struct session *s, const char *kind, const char *name, char *digest)
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

/* Owner and status of a label of the serving version, as "OWNER STATUS"; "" if there is none. */
__attribute__((unused)) static void
stream_label(struct session *s, const char *label, char *text, size_t size)
{
    struct lethe_error e = {0};
    struct lethe_version *v;
    session_ok(lethe_show(s->l, "serving", &v, &e), e);
    text[0] = '\0';
    for (size_t i = 0; i < v->n_labels; i++)
        if (strcmp(v->labels[i].name, label) == 0)
            (void)snprintf(text, size, "%s %s", v->labels[i].owner, v->labels[i].status);
    lethe_free(v);
}

#define stream_label_is(s, label, expected)                                                        \
    do {                                                                                           \
        char text_[256];                                                                           \
        stream_label((s), (label), text_, sizeof text_);                                           \
        assert_string_equal(text_, (expected));                                                    \
    } while (0)

__attribute__((unused)) static struct lethe_predictions *stream_predict(
    struct session *s, const char *scope, const char *decision, uint32_t pattern, uint32_t i)
{
    uint8_t pixels[TINY_PIXELS];
    struct lethe_error e = {0};
    struct lethe_predictions *p;
    const void *images[] = {pixels};
    tiny_image(pattern, 99, i, pixels);
    const struct lethe_predict_args args = {.scope = scope,
                                            .decision = decision,
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

/* Both answered with the same logits, to the bit; frees them. */
__attribute__((unused)) static void stream_same_logits(struct lethe_predictions *a,
                                                       struct lethe_predictions *b)
{
    assert_int_equal(a->items[0].n_logits, b->items[0].n_logits);
    assert_memory_equal(a->items[0].logits, b->items[0].logits,
                        a->items[0].n_logits * sizeof(float));
    lethe_free(a);
    lethe_free(b);
}

/* Share of fresh images of a feed's classes that get their own label. */
__attribute__((unused)) static double
stream_accuracy(struct session *s, const char *scope, const char *decision, const struct feed *x)
{
    uint32_t right = 0, n = 0;
    for (uint32_t c = 0; c < x->n_classes; c++)
        for (uint32_t i = 0; i < 10; i++, n++) {
            struct lethe_predictions *p = stream_predict(s, scope, decision, x->pattern + c, i);
            assert_true(p->items[0].n_labels > 0);
            right += strcmp(p->items[0].labels[0].label, x->labels[c]) == 0;
            lethe_free(p);
        }
    return (double)right / n;
}

#endif
