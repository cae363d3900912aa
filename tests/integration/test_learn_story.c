/*
 * Learning on a live daemon, on the tiny model: tasks become lanes, labels get owners, lanes leave
 * each other alone to the byte, and what a task learned is forgotten exactly.  One daemon for the
 * story, whose parts run in the order of their names.
 */
#include "tests/support/lane_story.h"

static struct session story;

static const struct task left = {"left", 10, {"ten", "eleven", "twelve"}};
static const struct task right = {"right", 20, {"twenty", "twenty-one", "twenty-two"}};

static const char left_id[] = "0199a5b0-0000-7000-8000-000000000001";
static const char right_id[] = "0199a5b0-0000-7000-8000-000000000002";

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    session_new(&story, "eval_per_class = 40\n" SESSION_GATE SESSION_FAST);
    session_import(&story);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    session_free(&story);
    return 0;
}

/* ------------------------------------------------------------------ the story */

void test_learn_1_a_task_becomes_a_lane(void **state)
{
    (void)state;
    char lane[LETHE_DIGEST_TEXT], terms[LETHE_DIGEST_TEXT], base[LETHE_DIGEST_TEXT];
    struct lethe_predictions *before = predict(&story, "base", 1, 0);
    import_task(&story, &left, "left-images", TASK_CLASSES);
    struct lethe_request *r = learn(&story, &left, "left-images", left_id);
    assert_string_equal(r->kind, "learn");
    assert_string_equal(r->task, "left");
    assert_string_not_equal(r->version_before, r->version_after);
    assert_non_null(strstr(r->evaluation, "lane:left"));
    assert_null(strstr(r->evaluation, "\"n\":0,"));
    lethe_free(r);
    component(&story, "lane", "left", lane);
    component(&story, "router", "lane:left", terms);
    component(&story, "router", "base", base);
    assert_true(lane[0] && terms[0] && base[0]);
    assert_true(accuracy(&story, &left) > 0.8);
    struct lethe_predictions *after = predict(&story, "base", 1, 0);
    assert_memory_equal(before->items[0].logits, after->items[0].logits,
                        TINY_CLASSES * sizeof(float));
    struct lethe_predictions *own = predict(&story, "all", 10, 1);
    assert_string_equal(own->items[0].labels[0].owner, "lane:left");
    lethe_free(before);
    lethe_free(after);
    lethe_free(own);
}

void test_learn_2_another_task_leaves_the_first_alone(void **state)
{
    (void)state;
    char lane[LETHE_DIGEST_TEXT], again[LETHE_DIGEST_TEXT];
    component(&story, "lane", "left", lane);
    import_task(&story, &right, "right-images", TASK_CLASSES);
    lethe_free(learn(&story, &right, "right-images", right_id));
    component(&story, "lane", "left", again);
    assert_string_equal(lane, again);
    assert_true(accuracy(&story, &left) > 0.8);
    assert_true(accuracy(&story, &right) > 0.8);
    struct lethe_error e = {0};
    struct lethe_status *status;
    struct lethe_model *model;
    session_ok(lethe_status(story.l, &status, &e), e);
    assert_int_equal(status->lanes, 2);
    assert_int_equal(status->experts, 0);
    lethe_free(status);
    session_ok(lethe_model(story.l, &model, &e), e);
    assert_int_equal(model->n_owners, 3);
    assert_string_equal(model->owners[2], "lane:right");
    lethe_free(model);
    session_sound(&story);
}

void test_learn_3_names_in_use_are_refused(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_request *r;
    struct lethe_learn_args args = {.task = "left", .data = "left-images"};
    session_refused(lethe_learn(story.l, &args, &r, &e), LETHE_ALREADY_EXISTS, "task", e);
    args.task = "left-again";
    session_refused(lethe_learn(story.l, &args, &r, &e), LETHE_ALREADY_EXISTS, "data", e);
    args.data = "nowhere";
    session_refused(lethe_learn(story.l, &args, &r, &e), LETHE_NOT_FOUND, "data", e);
    args = (struct lethe_learn_args){.task = "x", .data = "left-images", .floor = 1.5f};
    session_refused(lethe_learn(story.l, &args, &r, &e), LETHE_INVALID_ARGUMENT, "floor", e);
    args = (struct lethe_learn_args){.task = "../x", .data = "left-images"};
    session_refused(lethe_learn(story.l, &args, &r, &e), LETHE_INVALID_ARGUMENT, "task", e);
}

/* One class of a lane: the lane is what it would be had it never seen the class. */
void test_learn_4_a_class_of_a_lane_is_forgotten_exactly(void **state)
{
    (void)state;
    char lane_left[LETHE_DIGEST_TEXT], lane_right[LETHE_DIGEST_TEXT], again[LETHE_DIGEST_TEXT];
    char terms[LETHE_DIGEST_TEXT], never[LETHE_DIGEST_TEXT];
    component(&story, "lane", "left", lane_left);
    lethe_free(session_forget_class(&story, "twenty-one"));
    component(&story, "lane", "left", again);
    assert_string_equal(lane_left, again);
    component(&story, "lane", "right", lane_right);
    component(&story, "router", "lane:right", terms);
    for (uint32_t i = 0; i < 10; i++) {
        struct lethe_predictions *p = predict(&story, "all", 21, i);
        for (size_t k = 0; k < p->items[0].n_labels; k++)
            assert_string_not_equal(p->items[0].labels[k].label, "twenty-one");
        lethe_free(p);
    }
    struct session other;
    session_new(&other, "eval_per_class = 40\n" SESSION_GATE SESSION_FAST);
    session_import(&other);
    import_task(&other, &right, "right-images", 1);
    lethe_free(learn(&other, &right, "right-images", right_id));
    component(&other, "lane", "right", never);
    assert_string_equal(lane_right, never);
    component(&other, "router", "lane:right", never);
    assert_string_equal(terms, never);
    session_free(&other);
}

void test_learn_5_a_whole_task_is_forgotten(void **state)
{
    (void)state;
    char digest[LETHE_DIGEST_TEXT], right_before[LETHE_DIGEST_TEXT], id[LETHE_ID_TEXT];
    struct lethe_error e = {0};
    struct lethe_request *r;
    component(&story, "lane", "right", right_before);
    const struct lethe_forget_args args = {.task = "left", .mode = LETHE_MODE_EXACT};
    session_forget(&story, &args, id);
    r = session_wait(&story, id, "committed");
    lethe_free(r);
    component(&story, "lane", "left", digest);
    assert_string_equal(digest, "");
    component(&story, "router", "lane:left", digest);
    assert_string_equal(digest, "");
    component(&story, "lane", "right", digest);
    assert_string_equal(digest, right_before);
    const struct lethe_learn_args back = {.task = "left-again", .data = "left-images"};
    session_refused(lethe_learn(story.l, &back, &r, &e), LETHE_FAILED_PRECONDITION, "data", e);
    session_refused(lethe_forget(story.l, &args, &r, &e), LETHE_FAILED_PRECONDITION, "task", e);
    session_sound(&story);
}

void test_learn_6_the_base_forgets_beneath_the_lanes(void **state)
{
    (void)state;
    char lane[LETHE_DIGEST_TEXT];
    lethe_free(session_forget_class(&story, tiny_labels[2]));
    component(&story, "lane", "right", lane);
    assert_true(lane[0]);
    for (uint32_t i = 0; i < 8; i++) {
        struct lethe_predictions *p = predict(&story, "all", 2, i);
        assert_string_not_equal(p->items[0].labels[0].label, tiny_labels[2]);
        lethe_free(p);
    }
    session_sound(&story);
}

/* A floor that the task cannot reach: rejected, and the version that serves is untouched. */
void test_learn_7_a_floor_out_of_reach_rejects(void **state)
{
    (void)state;
    char before[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT], id[LETHE_ID_TEXT];
    static const struct task up = {"up", 30, {"thirty", "thirty-one", "thirty-two"}};
    struct lethe_error e = {0};
    struct lethe_request *r;
    session_serving(&story, before);
    task_import_images(&story, &up, "up-images", "train", TASK_CLASSES, 1);
    const struct lethe_option options[] = {{"prompt_blocks", "2"}, {"epochs", "1"}};
    const struct lethe_learn_args args = {
        .task = "up", .data = "up-images", .floor = 1.0f, .options = options, .n_options = 2};
    session_ok(lethe_learn(story.l, &args, &r, &e), e);
    memcpy(id, r->id, sizeof id);
    lethe_free(r);
    lethe_free(session_wait(&story, id, "rejected"));
    session_serving(&story, after);
    assert_string_equal(before, after);
}

/* What was learned and forgotten is there again after a restart. */
void test_learn_8_a_restart_changes_nothing(void **state)
{
    (void)state;
    char before[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT];
    struct lethe_predictions *p = predict(&story, "all", 20, 0), *q;
    session_serving(&story, before);
    test_daemon_stop(&story.d);
    test_daemon_start(&story.d);
    session_connect(&story);
    session_serving(&story, after);
    assert_string_equal(before, after);
    q = predict(&story, "all", 20, 0);
    assert_int_equal(p->items[0].n_logits, q->items[0].n_logits);
    assert_memory_equal(p->items[0].logits, q->items[0].logits,
                        p->items[0].n_logits * sizeof(float));
    lethe_free(p);
    lethe_free(q);
}
