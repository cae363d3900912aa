/*
 * Forgetting what one person contributed: data sets say whose each image is, requests name the
 * person, and everything of theirs goes from lanes and base at once.  Parts run in the order of
 * their names.
 */
#include "tests/support/lane_story.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/base/sysio.h"

#define PEOPLE 5u /* of each, a fifth of the images of every class */

static struct session story;

static const struct task left = {"left", 10, {"ten", "eleven", "twelve"}};
static const struct task right = {"right", 20, {"twenty", "twenty-one", "twenty-two"}};
static const char left_id[] = "0199a5b0-0000-7000-8000-000000000001";
static const char right_id[] = "0199a5b0-0000-7000-8000-000000000002";

/* Nobody's images are the last person's. */
static const char *const people[PEOPLE] = {"anna-kowalska-4711", "bob-4712", "carla-4713",
                                           "dan-4714", ""};

/* ------------------------------------------------------------------ data that say whose they are
 */

struct people_stream {
    uint8_t pixels[SESSION_IMAGES][TINY_PIXELS];
    int32_t labels[SESSION_IMAGES];
    uint8_t people[SESSION_IMAGES][LETHE_DIGEST_SIZE];
    uint32_t n;
};

static bool people_source(void *context, uint64_t offset, void *to, size_t size)
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

static void people_add(struct people_stream *s, uint32_t pattern, uint32_t seed, uint32_t i, int c)
{
    tiny_image(pattern, seed, i, s->pixels[s->n]);
    s->labels[s->n] = c;
    lethe_subject(people[i % PEOPLE], s->people[s->n]);
    s->n++;
}

static void people_send(struct session *s,
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

/* A task's images without those of person `skip` (PEOPLE: of all). */
static void people_task(struct session *s, const struct task *t, const char *name, uint32_t skip)
{
    static struct people_stream stream;
    stream.n = 0;
    for (uint32_t c = 0; c < TASK_CLASSES; c++)
        for (uint32_t i = 0; i < TASK_PER_CLASS; i++)
            if (i % PEOPLE != skip)
                people_add(&stream, t->first + c, 5, i, (int)c);
    people_send(s, &stream, name, t->labels, TASK_CLASSES);
}

static void people_base(struct session *s)
{
    static struct people_stream stream;
    stream.n = 0;
    for (uint32_t c = 0; c < TINY_CLASSES; c++)
        for (uint32_t i = 0; i < SESSION_PER_CLASS; i++)
            people_add(&stream, c, 1, i, (int)c);
    people_send(s, &stream, "tiny-train", tiny_labels, TINY_CLASSES);
    session_import_as(s, "tiny-test", "test", 2);
}

static void forget_person(struct session *s, const char *person)
{
    char id[LETHE_ID_TEXT];
    const struct lethe_forget_args args = {.subject = person};
    session_forget(s, &args, id);
    lethe_free(session_wait(s, id, "committed"));
}

/* The bytes of a text are nowhere in the daemon's folder's store. */
static void nowhere(const struct session *s, const char *text)
{
    char path[600];
    unsigned char *bytes;
    size_t size;
    (void)snprintf(path, sizeof path, "%s/store/data.mdb", s->d.folder);
    assert_int_equal(sysio_read_file(path, (size_t)1 << 30, &bytes, &size, NULL), STATUS_OK);
    assert_non_null(memmem(bytes, size, "left-images", 11)); /* texts would be seen */
    assert_null(memmem(bytes, size, text, strlen(text)));
    sysio_free(bytes);
}

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    session_new(&story, "eval_per_class = 40\n" SESSION_GATE SESSION_FAST);
    session_import(&story);
    people_task(&story, &left, "left-images", PEOPLE);
    lethe_free(learn(&story, &left, "left-images", left_id));
    people_task(&story, &right, "right-images", 0);
    lethe_free(learn(&story, &right, "right-images", right_id));
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    session_free(&story);
    return 0;
}

/* ------------------------------------------------------------------ the story */

void test_subject_1_unknown_people_are_refused(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_request *r;
    struct lethe_forget_args args = {.subject = "nobody-here"};
    session_refused(lethe_forget(story.l, &args, &r, &e), LETHE_NOT_FOUND, "subject", e);
    args.mode = LETHE_MODE_FAST;
    args.subject = people[0];
    session_refused(lethe_forget(story.l, &args, &r, &e), LETHE_INVALID_ARGUMENT, "mode", e);
    args.samples = "left-images";
    session_refused(lethe_forget(story.l, &args, &r, &e), LETHE_INVALID_ARGUMENT, "samples", e);
}

/* The lane is what it would be had it never seen them; who has nothing of theirs is untouched. */
void test_subject_2_a_lane_forgets_a_person_exactly(void **state)
{
    (void)state;
    char before[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT], never[LETHE_DIGEST_TEXT];
    char other_lane[LETHE_DIGEST_TEXT], terms[LETHE_DIGEST_TEXT];
    component(&story, "lane", "left", before);
    component(&story, "lane", "right", other_lane);
    forget_person(&story, people[0]);
    component(&story, "lane", "left", after);
    assert_string_not_equal(before, after);
    component(&story, "lane", "right", never);
    assert_string_equal(other_lane, never);
    component(&story, "router", "lane:left", terms);
    assert_true(accuracy(&story, &left) > 0.7);
    session_sound(&story);
    struct session other;
    session_new(&other, "eval_per_class = 40\n" SESSION_GATE SESSION_FAST);
    session_import(&other);
    people_task(&other, &left, "left-images", 0);
    lethe_free(learn(&other, &left, "left-images", left_id));
    component(&other, "lane", "left", never);
    assert_string_equal(after, never);
    component(&other, "router", "lane:left", never);
    assert_string_equal(terms, never);
    session_free(&other);
}

void test_subject_3_what_was_forgotten_stays_forgotten(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_request *r;
    char left_lane[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT];
    const struct lethe_forget_args args = {.subject = people[0]};
    session_refused(lethe_forget(story.l, &args, &r, &e), LETHE_FAILED_PRECONDITION, "subject", e);
    /* another person: of both lanes, and without the first */
    component(&story, "lane", "left", left_lane);
    forget_person(&story, people[1]);
    component(&story, "lane", "left", after);
    assert_string_not_equal(left_lane, after);
    component(&story, "tombstones", "left", after);
    assert_true(after[0]);
    component(&story, "tombstones", "right", after);
    assert_true(after[0]);
    session_refused(lethe_forget(story.l, &args, &r, &e), LETHE_FAILED_PRECONDITION, "subject", e);
}

/* Ids are in no stored byte: not in data sets, not in requests. */
void test_subject_4_no_id_is_stored(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < PEOPLE - 1; i++)
        nowhere(&story, people[i]);
    nowhere(&story, "nobody-here");
    session_sound(&story);
}

/* Base and lane in one request. */
void test_subject_5_base_and_lanes_forget_together(void **state)
{
    (void)state;
    struct session s;
    struct lethe_error e;
    struct lethe_request *r;
    char digest[LETHE_DIGEST_TEXT], id[LETHE_ID_TEXT], serving[LETHE_DIGEST_TEXT];
    session_new(&s, "eval_per_class = 40\n" SESSION_GATE SESSION_FAST);
    people_base(&s);
    people_task(&s, &left, "left-images", PEOPLE);
    lethe_free(learn(&s, &left, "left-images", left_id));
    struct lethe_forget_args args = {.subject = people[2], .mode = LETHE_MODE_EXACT};
    session_refused(lethe_forget(s.l, &args, &r, &e), LETHE_FAILED_PRECONDITION, "mode", e);
    args.mode = LETHE_MODE_DEFAULT;
    args.dry_run = true;
    session_serving(&s, serving);
    session_forget(&s, &args, id);
    r = session_wait(&s, id, "cancelled");
    /* 8 of each class of the base, 6 of each of the lane */
    assert_non_null(strstr(r->evaluation, "\"n_forget\":50"));
    lethe_free(r);
    session_serving(&s, digest);
    assert_string_equal(digest, serving);
    forget_person(&s, people[2]);
    component(&s, "tombstones", ":base", digest);
    assert_true(digest[0]);
    component(&s, "tombstones", "left", digest);
    assert_true(digest[0]);
    args.dry_run = false;
    session_refused(lethe_forget(s.l, &args, &r, &e), LETHE_FAILED_PRECONDITION, "subject", e);
    /* the base and the lane go on, also after a restart, and forget the next one */
    test_daemon_stop(&s.d);
    test_daemon_start(&s.d);
    session_connect(&s);
    session_sound(&s);
    forget_person(&s, people[3]);
    assert_true(accuracy(&s, &left) > 0.5);
    session_sound(&s);
    session_free(&s);
}
