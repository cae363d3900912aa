/*
 * Forgetting what one person gave to a stream, on the tiny model: the expert is to the bit one that
 * never saw their images, the other expert is untouched, and the images do not come back.  Parts
 * run in the order of their names, on one daemon.
 */
#include "tests/support/people_story.h"
#include "tests/support/stream_session.h"

static struct session story;

static const struct feed monday = {"monday", 10, {"ten", "eleven", "twelve"}, 3, 48, 5};
static const struct feed tuesday = {"tuesday", 20, {"twenty", "twenty-one", "twenty-two"},
                                    3,         48, 5};

/* The same seeds and ids on every daemon, so that the same data give the same bytes. */
static const char open_id[] = "0199a5b0-0000-7000-8000-000000000021";
static const char monday_id[] = "0199a5b0-0000-7000-8000-000000000022";
static const char tuesday_id[] = "0199a5b0-0000-7000-8000-000000000023";

/* Of every four images of a class in turn the first is the person's: a quarter of each batch. */
#define SHARE  4u
#define PERSON people[0]

enum whose { EVERYBODY, OTHERS, PERSONAL };

/* A feed that says whose each image is; of some only. */
static void import_of(struct session *s, const struct feed *x, const char *name, enum whose whose)
{
    static struct people_stream stream;
    stream.n = 0;
    for (uint32_t i = 0; i < x->per_class; i++)
        for (uint32_t c = 0; c < x->n_classes; c++) {
            const int theirs = i % SHARE == 0;
            if (whose != EVERYBODY && (whose == PERSONAL) != theirs)
                continue;
            tiny_image(x->pattern + c, x->seed, i, stream.pixels[stream.n]);
            stream.labels[stream.n] = (int32_t)c;
            lethe_subject(theirs ? PERSON : people[1], stream.people[stream.n]);
            stream.n++;
        }
    people_send(s, &stream, name, x->labels, x->n_classes);
}

/* A test set beside it: then every image of the feed is learned. */
static void import_test(struct session *s, const struct feed *x)
{
    struct lethe_error e = {0};
    struct feed test = *x;
    test.seed += 100;
    test.per_class = 10;
    session_ok(feed_try_import(s, &test, "test", &e), e);
}

static void begin(struct session *s)
{
    session_new(s, "eval_per_class = 20\n" SESSION_GATE SESSION_FAST);
    session_import(s);
    stream_open(s, "cam", open_id);
    import_test(s, &monday);
    import_test(s, &tuesday);
}

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    begin(&story);
    import_of(&story, &monday, "monday", EVERYBODY);
    import_of(&story, &tuesday, "tuesday", OTHERS);
    lethe_free(stream_push(&story, "cam", &monday, monday_id));
    lethe_free(stream_push(&story, "cam", &tuesday, tuesday_id));
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    session_free(&story);
    return 0;
}

void test_stream_subject_1_the_expert_is_one_that_never_saw_them(void **state)
{
    (void)state;
    char other[LETHE_DIGEST_TEXT], digest[LETHE_DIGEST_TEXT], terms[LETHE_DIGEST_TEXT];
    char id[LETHE_ID_TEXT];
    struct session never;
    struct lethe_error e = {0};
    struct lethe_request *r;
    struct lethe_predictions *before = stream_predict(&story, "stream:cam.0", "raw", 10, 0);
    stream_component(&story, "expert", "cam.1", other);
    const struct lethe_forget_args args = {.subject = PERSON};
    session_forget(&story, &args, id);
    lethe_free(session_wait(&story, id, "committed"));
    stream_component(&story, "expert", "cam.1", digest);
    assert_string_equal(digest, other);
    struct lethe_predictions *after = stream_predict(&story, "stream:cam.0", "raw", 10, 0);
    assert_memory_not_equal(before->items[0].logits, after->items[0].logits,
                            before->items[0].n_logits * sizeof(float));
    lethe_free(before);
    lethe_free(after);
    begin(&never);
    import_of(&never, &monday, "monday", OTHERS);
    const struct lethe_push_args push = {
        .request_id = monday_id, .name = "cam", .data = "monday", .batch = 9};
    session_ok(lethe_stream_push(never.l, &push, &r, &e), e);
    lethe_free(stream_wait(&never, r, "committed"));
    for (uint32_t i = 0; i < 3; i++)
        stream_same_logits(stream_predict(&story, "stream:cam.0", "raw", 10 + i, 0),
                           stream_predict(&never, "stream:cam.0", "raw", 10 + i, 0));
    stream_component(&story, "router", "expert:cam.0", terms);
    stream_component(&never, "router", "expert:cam.0", digest);
    assert_string_equal(terms, digest);
    assert_true(stream_accuracy(&story, "stream:cam", NULL, &monday) > 0.8);
    session_free(&never);
    session_sound(&story);
}

void test_stream_subject_2_the_images_stay_away(void **state)
{
    (void)state;
    struct lethe_error e = {0};
    struct lethe_request *r;
    const struct feed again = {"again", 10, {"ten", "eleven", "twelve"}, 3, 48, 5};
    const int theirs = (int)(3 * 48 / SHARE);
    import_test(&story, &again);
    import_of(&story, &again, "again", PERSONAL);
    r = stream_push(&story, "cam", &again, NULL);
    json_t *stream = stream_report(r);
    assert_int_equal(stream_count(stream, "offered"), theirs);
    assert_int_equal(stream_count(stream, "tombstoned"), theirs);
    assert_int_equal(stream_count(stream, "trained"), 0);
    json_decref(stream);
    lethe_free(r);
    const struct lethe_forget_args args = {.subject = PERSON};
    session_refused(lethe_forget(story.l, &args, &r, &e), LETHE_FAILED_PRECONDITION, "subject", e);
}
