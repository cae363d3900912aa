/*
 * A task learned by the closed form alone: it answers for itself, is forgotten exactly, and goes
 * into another daemon as a file.  Parts run in the order of their names.
 */
#include "tests/support/lane_story.h"

static struct session story;

static const struct task left = {"left", 10, {"ten", "eleven", "twelve"}};
static const char left_id[] = "0199a5b0-0000-7000-8000-000000000001";

static void learn_ridge(struct session *s, const char *data)
{
    struct lethe_error e = {0};
    struct lethe_request *r;
    char id[LETHE_ID_TEXT];
    const struct lethe_learn_args args = {
        .request_id = left_id, .task = "left", .data = data, .method = "ridge"};
    session_ok(lethe_learn(s->l, &args, &r, &e), e);
    memcpy(id, r->id, sizeof id);
    lethe_free(r);
    r = session_wait(s, id, "committed");
    assert_non_null(strstr(r->evaluation, "ridge:left"));
    lethe_free(r);
}

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    session_new(&story, "eval_per_class = 40\n" SESSION_GATE SESSION_FAST);
    session_import(&story);
    import_task(&story, &left, "left-images", TASK_CLASSES);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    session_free(&story);
    return 0;
}

void test_ridge_1_bad_settings_are_refused(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_request *r;
    const struct lethe_option features = {"features", "500"}, unknown = {"epochs", "3"};
    struct lethe_learn_args args = {.task = "left", .data = "left-images", .method = "magic"};
    session_refused(lethe_learn(story.l, &args, &r, &e), LETHE_INVALID_ARGUMENT, "method", e);
    args.method = "ridge";
    args.n_options = 1;
    args.options = &features;
    session_refused(lethe_learn(story.l, &args, &r, &e), LETHE_INVALID_ARGUMENT, "options", e);
    args.options = &unknown;
    session_refused(lethe_learn(story.l, &args, &r, &e), LETHE_NOT_FOUND, "epochs", e);
}

void test_ridge_2_a_task_is_learned_in_closed_form(void **state)
{
    (void)state;
    char digest[LETHE_DIGEST_TEXT];
    struct lethe_error e = {0};
    struct lethe_status *status;
    struct lethe_predictions *before = predict(&story, "base", 1, 0), *after;
    learn_ridge(&story, "left-images");
    component(&story, "ridge", "left", digest);
    assert_true(digest[0]);
    component(&story, "router", "ridge:left", digest);
    assert_true(digest[0]);
    assert_true(accuracy(&story, &left) > 0.8);
    after = predict(&story, "base", 1, 0);
    assert_memory_equal(before->items[0].logits, after->items[0].logits,
                        TINY_CLASSES * sizeof(float));
    lethe_free(before);
    lethe_free(after);
    after = predict(&story, "lanes", 11, 3);
    assert_int_equal(after->items[0].n_logits, TASK_CLASSES);
    assert_string_equal(after->items[0].labels[0].owner, "ridge:left");
    lethe_free(after);
    session_ok(lethe_status(story.l, &status, &e), e);
    assert_int_equal(status->lanes, 1);
    lethe_free(status);
    session_sound(&story);
}

/* As a file, into a daemon that never saw its data; then forgotten there as a whole. */
void test_ridge_3_it_travels_as_a_file(void **state)
{
    (void)state;
    struct session other;
    char here[LETHE_DIGEST_TEXT], there[LETHE_DIGEST_TEXT], path[300], out[4096];
    (void)snprintf(path, sizeof path, "%s/left.safetensors", story.d.folder);
    assert_int_equal(test_daemon_cli(&story.d, out, sizeof out, "export", "serving", "--component",
                                     "ridge:left", "-o", path, NULL),
                     0);
    session_new(&other, "eval_per_class = 40\n" SESSION_GATE SESSION_FAST);
    session_import(&other);
    if (test_daemon_cli(&other.d, out, sizeof out, "import", path, "--wait", NULL) != 0)
        fail_msg("%s", out);
    component(&story, "ridge", "left", there);
    component(&other, "ridge", "left", here);
    assert_string_equal(here, there);
    for (uint32_t i = 0; i < 3; i++) {
        struct lethe_predictions *p = predict(&story, "all", 10 + i, i);
        struct lethe_predictions *q = predict(&other, "all", 10 + i, i);
        assert_int_equal(p->items[0].n_logits, q->items[0].n_logits);
        assert_memory_equal(p->items[0].logits, q->items[0].logits,
                            p->items[0].n_logits * sizeof(float));
        lethe_free(p);
        lethe_free(q);
    }
    if (test_daemon_cli(&other.d, out, sizeof out, "forget", "--task", "left", "--wait", NULL) != 0)
        fail_msg("%s", out);
    component(&other, "ridge", "left", here);
    assert_string_equal(here, "");
    session_sound(&other);
    session_free(&other);
}

/* One class: what is left is what it would be had it never seen the class. */
void test_ridge_4_a_class_is_forgotten_exactly(void **state)
{
    (void)state;
    struct session other;
    char after[LETHE_DIGEST_TEXT], never[LETHE_DIGEST_TEXT];
    lethe_free(session_forget_class(&story, "eleven"));
    component(&story, "ridge", "left", after);
    session_new(&other, "eval_per_class = 40\n" SESSION_GATE SESSION_FAST);
    session_import(&other);
    import_task(&other, &left, "left-images", 1);
    learn_ridge(&other, "left-images");
    component(&other, "ridge", "left", never);
    assert_string_equal(after, never);
    session_free(&other);
}

void test_ridge_5_the_base_forgets_beneath_it(void **state)
{
    (void)state;
    char before[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT];
    component(&story, "router", "ridge:left", before);
    lethe_free(session_forget_class(&story, tiny_labels[2]));
    component(&story, "router", "ridge:left", after);
    assert_string_not_equal(before, after);
    struct lethe_predictions *p = predict(&story, "all", 10, 1);
    assert_string_equal(p->items[0].labels[0].owner, "ridge:left");
    lethe_free(p);
    session_sound(&story);
}
