/*
 * Tasks whose images have several labels, on a live daemon with the tiny model: learned as a lane,
 * judged by mAP, answered with every label that is present, forgotten exactly.  One daemon for the
 * story, whose parts run in the order of their names.
 *
 * An image has four quarters; quarter q shows the pattern of class q, or nothing.
 */
#include "tests/support/session.h"

#include <jansson.h>

#define CLASSES 4u
#define IMAGES  120u
#define HALF    (TINY_SIZE / 2)
#define NONE    UINT32_MAX

static const char *const names[CLASSES] = {"north", "east", "south", "west"};
static const char scenes_id[] = "0199a5b0-0000-7000-8000-000000000011";
static const char plain_id[] = "0199a5b0-0000-7000-8000-000000000012";

static struct session story;

/* ------------------------------------------------------------------ images */

/* Which classes image i shows: all sets but the empty one, in turn. */
static uint32_t shown(uint32_t i)
{
    return 1 + i % 15;
}

static void compose(uint32_t set, uint64_t seed, uint32_t i, uint8_t pixels[TINY_PIXELS])
{
    memset(pixels, 127, TINY_PIXELS);
    for (uint32_t q = 0; q < CLASSES; q++) {
        uint8_t pattern[TINY_PIXELS];
        if (!(set >> q & 1))
            continue;
        tiny_image(40 + q, seed, i, pattern);
        for (uint32_t y = q / 2 * HALF; y < q / 2 * HALF + HALF; y++)
            for (uint32_t x = q % 2 * HALF; x < q % 2 * HALF + HALF; x++)
                pixels[y * TINY_SIZE + x] = pattern[y * TINY_SIZE + x];
    }
}

/* What is left out of a data set, or wrong with it. */
struct choice {
    uint32_t class;        /* its column, and images that show nothing else; NONE: all stay */
    uint32_t first, n_out; /* images left out; n_out 0: none */
    uint32_t only_first;   /* of these images only; 0: all */
    uint64_t seed;
    uint32_t spoiled; /* label byte that becomes `value`; NONE: none */
    uint8_t value;
    int bare; /* 1: the first image loses its labels; 2: the last class loses its images */
};
static const struct choice everything = {.class = NONE, .seed = 5, .spoiled = NONE};

struct stream {
    uint8_t bytes[IMAGES * (TINY_PIXELS + CLASSES)];
};

static int is_out(const struct choice *c, uint32_t i)
{
    return (c->n_out > 0 && i >= c->first && i < c->first + c->n_out) ||
           (c->only_first > 0 && i >= c->only_first) ||
           (c->class != NONE && shown(i) == 1u << c->class);
}

/* Fills pixels and labels; returns how many images. */
static uint32_t fill(const struct choice *c, struct stream *stream, uint32_t columns)
{
    uint8_t labels[IMAGES * CLASSES];
    uint32_t n = 0, at = 0;
    for (uint32_t i = 0; i < IMAGES; i++) {
        if (is_out(c, i))
            continue;
        compose(shown(i), c->seed, i, stream->bytes + n * TINY_PIXELS);
        for (uint32_t q = 0; q < CLASSES; q++)
            if (q != c->class)
                labels[at++] = (uint8_t)(shown(i) >> q & 1);
        n++;
    }
    for (uint32_t k = 0; c->bare == 1 && k < columns; k++)
        labels[k] = 0;
    for (uint32_t i = 0; c->bare == 2 && i < n; i++) {
        labels[i * columns + columns - 1] = 0;
        labels[i * columns] = 1;
    }
    if (c->spoiled != NONE)
        labels[c->spoiled] = c->value;
    memcpy(stream->bytes + n * TINY_PIXELS, labels, at);
    return n;
}

static enum lethe_code try_import(struct session *s,
                                  const char *name,
                                  const char *role,
                                  const struct choice *c,
                                  struct lethe_error *e)
{
    static struct stream stream;
    struct lethe_dataset *d;
    const char *classes[CLASSES];
    uint32_t columns = 0;
    for (uint32_t q = 0; q < CLASSES; q++)
        if (q != c->class)
            classes[columns++] = names[q];
    const uint32_t n = fill(c, &stream, columns);
    const struct lethe_import_args args = {.spec = {.name = name,
                                                    .role = role,
                                                    .images = n,
                                                    .height = TINY_SIZE,
                                                    .width = TINY_SIZE,
                                                    .channels = 1,
                                                    .classes = classes,
                                                    .n_classes = columns,
                                                    .multi_label = true},
                                           .source = session_source,
                                           .context = stream.bytes};
    const enum lethe_code code = lethe_data_import(s->l, &args, &d, e);
    if (code == LETHE_OK)
        assert_true(d->multi_label);
    lethe_free(d);
    return code;
}

static void
import_scenes(struct session *s, const char *name, const char *role, const struct choice *c)
{
    struct lethe_error e = {0};
    session_ok(try_import(s, name, role, c, &e), e);
}

/* ------------------------------------------------------------------ requests */

static struct lethe_learn_args learn_args(const char *task, const char *data, const char *id)
{
    static const struct lethe_option options[] = {
        {"selectors", "3"}, {"prompts", "2"}, {"prompt_blocks", "2"}, {"epochs", "16"},
        {"batch", "8"},     {"lr", "0.02"},   {"threshold", "0.5"}};
    return (struct lethe_learn_args){.request_id = id,
                                     .task = task,
                                     .data = data,
                                     .seed = 9,
                                     .options = options,
                                     .n_options = sizeof options / sizeof options[0]};
}

static struct lethe_request *learn(struct session *s, const struct lethe_learn_args *args)
{
    struct lethe_error e = {0};
    struct lethe_request *r;
    char id[LETHE_ID_TEXT];
    session_ok(lethe_learn(s->l, args, &r, &e), e);
    memcpy(id, r->id, sizeof id);
    lethe_free(r);
    return session_wait(s, id, "committed");
}

static void component(struct session *s, const char *kind, const char *name, char *digest)
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

/* Labels that are present in a fresh image, as a set; others than the scenes' give bit 8. */
static uint32_t present(struct session *s, uint32_t set, uint32_t i)
{
    uint8_t pixels[TINY_PIXELS];
    struct lethe_error e = {0};
    struct lethe_predictions *p;
    const void *images[] = {pixels};
    uint32_t found = 0;
    compose(set, 6, i, pixels);
    const struct lethe_predict_args args = {.top = 0,
                                            .pixel = LETHE_PIXEL_U8,
                                            .height = TINY_SIZE,
                                            .width = TINY_SIZE,
                                            .channels = 1,
                                            .images = images,
                                            .n_images = 1};
    session_ok(lethe_predict(s->l, &args, &p, &e), e);
    for (size_t k = 0; k < p->items[0].n_labels; k++) {
        uint32_t q = 0;
        while (q < CLASSES && strcmp(names[q], p->items[0].labels[k].label) != 0)
            q++;
        found |= q < CLASSES ? 1u << q : 1u << 8;
    }
    lethe_free(p);
    return found;
}

/* Share of right answers about single classes, over all sets. */
static double share_right(struct session *s)
{
    uint32_t right = 0;
    for (uint32_t i = 0; i < 30; i++) {
        const uint32_t found = present(s, shown(i), i);
        for (uint32_t q = 0; q < CLASSES; q++)
            right += (found >> q & 1) == (shown(i) >> q & 1);
    }
    return (double)right / (30 * CLASSES);
}

static json_t *report_of(const struct lethe_request *r)
{
    json_t *report = json_loadb(r->evaluation, r->evaluation_bytes, 0, NULL);
    assert_non_null(report);
    return report;
}

static double figure(const json_t *object, const char *key)
{
    const json_t *x = json_object_get(object, key);
    if (!json_is_number(x))
        fail_msg("%s is no number", key);
    return json_number_value(x);
}

/* Row of a class of an owner in the report. */
static const json_t *class_row(const json_t *report, const char *label)
{
    const json_t *list = json_object_get(report, "per_class");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *row = json_array_get(list, i);
        if (strcmp(json_string_value(json_object_get(row, "label")), label) == 0)
            return row;
    }
    fail_msg("no row for %s", label);
    return NULL;
}

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

void test_several_1_bad_labels_are_refused(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_request *r;
    struct choice c = everything;
    c.spoiled = 7;
    c.value = 2;
    session_refused(try_import(&story, "odd", "train", &c, &e), LETHE_INVALID_ARGUMENT, "labels",
                    e);
    c = everything;
    c.bare = 1;
    import_scenes(&story, "bare", "train", &c);
    struct lethe_learn_args args = learn_args("scenes", "bare", NULL);
    session_refused(lethe_learn(story.l, &args, &r, &e), LETHE_INVALID_ARGUMENT, "data", e);
    assert_non_null(strstr(e.text, "image 0 has no label"));
    c = everything;
    c.bare = 2;
    import_scenes(&story, "westless", "train", &c);
    args.data = "westless";
    session_refused(lethe_learn(story.l, &args, &r, &e), LETHE_INVALID_ARGUMENT, "data", e);
    assert_non_null(strstr(e.text, "\"west\" has 0 images"));
    import_scenes(&story, "mixed", "train", &everything);
    session_import_as(&story, "mixed", "test", 3);
    args.data = "mixed";
    session_refused(lethe_learn(story.l, &args, &r, &e), LETHE_INVALID_ARGUMENT, "data", e);
    session_sound(&story);
}

void test_several_2_a_task_becomes_a_lane_judged_by_map(void **state)
{
    (void)state;
    import_scenes(&story, "scene-images", "train", &everything);
    struct lethe_learn_args args = learn_args("scenes", "scene-images", scenes_id);
    args.floor = 0.8f;
    struct lethe_request *r = learn(&story, &args);
    json_t *report = report_of(r);
    assert_true(figure(report, "map") > 0.8);
    assert_near(figure(report, "acc_new_task"), figure(report, "map"), 1e-9);
    assert_near(figure(report, "acc_new_task_raw"), figure(report, "map_raw"), 1e-9);
    assert_true(json_is_null(json_object_get(report, "map_before")));
    const json_t *owner = json_array_get(json_object_get(report, "several"), 0);
    assert_string_equal(json_string_value(json_object_get(owner, "owner")), "lane:scenes");
    assert_int_equal(json_integer_value(json_object_get(owner, "classes")), CLASSES);
    assert_true(figure(owner, "of1") > 0.6 && figure(owner, "of1") <= 1.0);
    assert_true(figure(owner, "cf1_mean_f1") > 0.6 && figure(owner, "cf1_literature") > 0.6);
    double sum = 0;
    for (uint32_t q = 0; q < CLASSES; q++) {
        const json_t *row = class_row(report, names[q]);
        sum += figure(row, "ap");
        assert_true(figure(row, "ap_raw") > 0 && figure(row, "acc_raw") >= 0);
        assert_true(json_integer_value(json_object_get(row, "n")) >= 5);
        assert_true(figure(row, "acc") > 0.5);
    }
    assert_near(sum / CLASSES, figure(report, "map"), 1e-6);
    /* classes with one label an image have both decisions and no AP */
    const json_t *plain = class_row(report, tiny_labels[1]);
    assert_true(figure(plain, "acc_raw") > 0);
    assert_null(json_object_get(plain, "ap"));
    json_decref(report);
    lethe_free(r);
    assert_true(share_right(&story) > 0.85);
}

/* Images that showed the class beside others stay with the others' labels, those that showed it
 * alone go: the lane is what it would be had the column never been there. */
void test_several_3_a_class_is_forgotten_exactly(void **state)
{
    (void)state;
    char lane[LETHE_DIGEST_TEXT], terms[LETHE_DIGEST_TEXT], never[LETHE_DIGEST_TEXT];
    struct lethe_request *r = session_forget_class(&story, "south");
    json_t *report = report_of(r);
    assert_near(figure(report, "acc_forget"), 0.0, 1e-9);
    assert_true(figure(report, "acc_forget_before") > 0.3);
    assert_null(json_object_get(class_row(report, "south"), "ap"));
    assert_true(figure(report, "map_before") > 0.8 && figure(report, "map") > 0.8);
    json_decref(report);
    lethe_free(r);
    component(&story, "lane", "scenes", lane);
    component(&story, "router", "lane:scenes", terms);
    for (uint32_t i = 0; i < 15; i++)
        assert_int_equal(present(&story, shown(i), i) >> 2 & 1, 0);
    struct session other;
    struct choice c = everything;
    c.class = 2;
    session_new(&other, "eval_per_class = 40\n" SESSION_GATE SESSION_FAST);
    session_import(&other);
    import_scenes(&other, "scene-images", "train", &c);
    const struct lethe_learn_args args = learn_args("scenes", "scene-images", scenes_id);
    lethe_free(learn(&other, &args));
    component(&other, "lane", "scenes", never);
    assert_string_equal(lane, never);
    component(&other, "router", "lane:scenes", never);
    assert_string_equal(terms, never);
    session_free(&other);
}

void test_several_4_samples_are_forgotten_exactly(void **state)
{
    (void)state;
    char lane[LETHE_DIGEST_TEXT], never[LETHE_DIGEST_TEXT], id[LETHE_ID_TEXT];
    struct lethe_error e;
    struct lethe_request *r;
    struct choice c = everything;
    c.class = 2;
    c.only_first = 20;
    import_scenes(&story, "of-one-person", "probe", &c);
    struct lethe_forget_args args = {.samples = "of-one-person", .mode = LETHE_MODE_FAST};
    session_refused(lethe_forget(story.l, &args, &r, &e), LETHE_FAILED_PRECONDITION, "mode", e);
    args.mode = LETHE_MODE_EXACT;
    session_forget(&story, &args, id);
    r = session_wait(&story, id, NULL);
    if (strcmp(r->state, "committed") != 0)
        fail_msg("%s: %s %s", r->state, r->error.text, r->evaluation);
    lethe_free(r);
    component(&story, "lane", "scenes", lane);
    struct session other;
    c = everything;
    c.class = 2;
    c.n_out = 20;
    session_new(&other, "eval_per_class = 40\n" SESSION_GATE SESSION_FAST);
    session_import(&other);
    import_scenes(&other, "scene-images", "train", &c);
    const struct lethe_learn_args learning = learn_args("scenes", "scene-images", scenes_id);
    lethe_free(learn(&other, &learning));
    component(&other, "lane", "scenes", never);
    assert_string_equal(lane, never);
    session_free(&other);
}

/* What nobody learned, and samples that are labelled in another way. */
void test_several_5_odd_samples_are_refused(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_request *r;
    char id[LETHE_ID_TEXT];
    struct choice c = everything;
    c.class = 2;
    c.seed = 99;
    import_scenes(&story, "strangers", "probe", &c);
    const struct lethe_forget_args args = {.samples = "strangers"};
    session_ok(lethe_forget(story.l, &args, &r, &e), e);
    memcpy(id, r->id, sizeof id);
    lethe_free(r);
    r = session_wait(&story, id, "denied");
    assert_int_equal(r->error.code, LETHE_NOT_FOUND);
    lethe_free(r);
    c.bare = 1;
    import_scenes(&story, "unlabelled", "probe", &c);
    const struct lethe_forget_args bare = {.samples = "unlabelled"};
    session_refused(lethe_forget(story.l, &bare, &r, &e), LETHE_INVALID_ARGUMENT, "samples", e);
}

void test_several_6_data_of_a_live_lane_stay(void **state)
{
    (void)state;
    struct lethe_error e = {0};
    session_refused(lethe_data_remove(story.l, "scene-images", &e), LETHE_FAILED_PRECONDITION,
                    "name", e);
    assert_non_null(strstr(e.text, "lane scenes"));
    session_ok(lethe_data_remove(story.l, "bare", &e), e);
    session_sound(&story);
}

/* Classes that are said never to be taught: images of the next task's "p" among them. */
static void import_zoo(struct session *s)
{
    static struct session_stream stream;
    static const char *const zoo[] = {"ape", "bear", "cat", "dog"};
    static const uint32_t patterns[] = {30, 61, 62, 63};
    struct lethe_error e = {0};
    struct lethe_dataset *d;
    int32_t labels[40];
    for (uint32_t i = 0; i < 40; i++) {
        tiny_image(patterns[i % 4], 5, i, stream.bytes + i * TINY_PIXELS);
        labels[i] = (int32_t)(i % 4);
    }
    memcpy(stream.bytes + 40 * TINY_PIXELS, labels, sizeof labels);
    const struct lethe_import_args args = {.spec = {.name = "zoo",
                                                    .role = "unseen",
                                                    .images = 40,
                                                    .height = TINY_SIZE,
                                                    .width = TINY_SIZE,
                                                    .channels = 1,
                                                    .classes = zoo,
                                                    .n_classes = 4},
                                           .source = session_source,
                                           .context = stream.bytes};
    session_ok(lethe_data_import(s->l, &args, &d, &e), e);
    lethe_free(d);
}

/* Beside another task: the lane's bytes stay, its classes have a figure before and after. */
void test_several_7_another_task_beside_it(void **state)
{
    (void)state;
    char lane[LETHE_DIGEST_TEXT], again[LETHE_DIGEST_TEXT];
    component(&story, "lane", "scenes", lane);
    static struct session_stream stream;
    static const char *const plain[] = {"p", "q"};
    struct lethe_error e = {0};
    struct lethe_dataset *d;
    int32_t labels[60];
    for (uint32_t i = 0; i < 60; i++) {
        tiny_image(30 + i % 2, 5, i, stream.bytes + i * TINY_PIXELS);
        labels[i] = (int32_t)(i % 2);
    }
    memcpy(stream.bytes + 60 * TINY_PIXELS, labels, sizeof labels);
    const struct lethe_import_args import = {.spec = {.name = "plain-images",
                                                      .role = "train",
                                                      .images = 60,
                                                      .height = TINY_SIZE,
                                                      .width = TINY_SIZE,
                                                      .channels = 1,
                                                      .classes = plain,
                                                      .n_classes = 2},
                                             .source = session_source,
                                             .context = stream.bytes};
    session_ok(lethe_data_import(story.l, &import, &d, &e), e);
    lethe_free(d);
    import_zoo(&story);
    const struct lethe_learn_args args = learn_args("plain", "plain-images", plain_id);
    struct lethe_request *r = learn(&story, &args);
    json_t *report = report_of(r);
    const json_t *reference = json_object_get(json_object_get(report, "probe"), "reference");
    assert_int_equal(json_integer_value(json_object_get(reference, "taught")), 1);
    assert_true(figure(report, "map_before") > 0.8 && figure(report, "map") > 0.7);
    assert_true(figure(report, "acc_new_task") > 0.8);
    assert_true(figure(class_row(report, "north"), "ap_before") > 0.5);
    assert_null(json_object_get(class_row(report, "p"), "ap"));
    json_decref(report);
    lethe_free(r);
    component(&story, "lane", "scenes", again);
    assert_string_equal(lane, again);
}

void test_several_8_the_whole_task_goes(void **state)
{
    (void)state;
    char digest[LETHE_DIGEST_TEXT], id[LETHE_ID_TEXT];
    struct lethe_error e = {0};
    const struct lethe_forget_args args = {.task = "scenes"};
    session_forget(&story, &args, id);
    lethe_free(session_wait(&story, id, "committed"));
    component(&story, "lane", "scenes", digest);
    assert_string_equal(digest, "");
    component(&story, "router", "lane:scenes", digest);
    assert_string_equal(digest, "");
    session_ok(lethe_data_remove(story.l, "scene-images", &e), e);
    session_refused(lethe_data_remove(story.l, "plain-images", &e), LETHE_FAILED_PRECONDITION,
                    "name", e);
    session_ok(lethe_data_remove_forced(story.l, "plain-images", &e), e);
    session_sound(&story);
}
