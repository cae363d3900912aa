/*
 * Forgetting what one person contributed: data sets say whose each image is, requests name the
 * person, and everything of theirs goes from lanes and base at once.  Parts run in the order of
 * their names.
 */
#include "tests/support/people_story.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/base/sysio.h"

static struct session story;

static const struct task left = {"left", 10, {"ten", "eleven", "twelve"}};
static const struct task right = {"right", 20, {"twenty", "twenty-one", "twenty-two"}};
static const char left_id[] = "0199a5b0-0000-7000-8000-000000000001";
static const char right_id[] = "0199a5b0-0000-7000-8000-000000000002";

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
    assert_non_null(memmem(bytes, size, "datasets", 8)); /* it is the store */
    assert_null(memmem(bytes, size, "left-images", 11)); /* names are sealed */
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
    people_task(&story, &left, "left-images", TASK_CLASSES, PEOPLE);
    lethe_free(learn(&story, &left, "left-images", left_id));
    people_task(&story, &right, "right-images", TASK_CLASSES, 0);
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
    args.subject = people[0];
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
    people_task(&other, &left, "left-images", TASK_CLASSES, 0);
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
    people_task(&s, &left, "left-images", TASK_CLASSES, PEOPLE);
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
