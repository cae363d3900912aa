/*
 * What "exact" means, byte for byte: five tasks are learned, then one task, one class of it, or one
 * person's samples are forgotten.  Every component that did not descend from the data keeps its
 * bytes, and so does everything, the components trained again included, beside a daemon that was
 * given the same requests and never saw the data.
 */
#include "tests/support/people_story.h"

#define TASKS   5u
#define SETTING "eval_per_class = 20\n" SESSION_GATE SESSION_FAST
#define NOBODY  PEOPLE
#define ALL     TASK_CLASSES

static const struct task tasks[TASKS] = {{"one", 10, {"ten", "eleven", "twelve"}},
                                         {"two", 20, {"twenty", "twenty-one", "twenty-two"}},
                                         {"three", 30, {"thirty", "thirty-one", "thirty-two"}},
                                         {"four", 40, {"forty", "forty-one", "forty-two"}},
                                         {"five", 50, {"fifty", "fifty-one", "fifty-two"}}};
static const char *const data[TASKS] = {"images-1", "images-2", "images-3", "images-4", "images-5"};
static const char *const ids[TASKS] = {
    "0199a5b0-0000-7000-8000-000000000031", "0199a5b0-0000-7000-8000-000000000032",
    "0199a5b0-0000-7000-8000-000000000033", "0199a5b0-0000-7000-8000-000000000034",
    "0199a5b0-0000-7000-8000-000000000035"};
#define THREE  2u /* that is forgotten, wholly or in part */
#define FIVE   4u /* the other one that knows people */
#define PERSON 1u

/*
 * Both are stopped: one knows the tasks before the third, from where those go on that never see it
 * whole; the other all five, from where every case forgets.  And a copy of that one, running.
 */
static struct session early, origin, before;

/* What a daemon does not get to see. */
struct never {
    int task;        /* 1: nothing of the third task */
    uint32_t class;  /* of the third task; ALL: it sees them all */
    uint32_t person; /* of the third and the fifth; NOBODY */
};

/* Imports the images of a task, as far as they may be seen, and learns it. */
static void teach(struct session *s, uint32_t t, const struct never *never)
{
    if (t == THREE && never->task)
        return;
    if (t == THREE || t == FIVE)
        people_task(s, &tasks[t], data[t], t == THREE ? never->class : ALL, never->person);
    else
        import_task(s, &tasks[t], data[t], ALL);
    lethe_free(learn(s, &tasks[t], data[t], ids[t]));
}

static void teach_the_rest(struct session *s, const struct never *never)
{
    session_copy(s, &early, SETTING);
    for (uint32_t t = THREE; t < TASKS; t++)
        teach(s, t, never);
}

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    const struct never nothing = {0, ALL, NOBODY};
    session_new(&early, SETTING);
    session_import(&early);
    for (uint32_t t = 0; t < THREE; t++)
        teach(&early, t, &nothing);
    test_daemon_stop(&early.d);
    teach_the_rest(&origin, &nothing);
    test_daemon_stop(&origin.d);
    session_copy(&before, &origin, SETTING);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    session_free(&before);
    session_free(&origin);
    session_free(&early);
    return 0;
}

/* ------------------------------------------------------------------ components */

static struct lethe_version *serving(struct session *s)
{
    struct lethe_error e = {0};
    struct lethe_version *v;
    session_ok(lethe_show(s->l, "serving", &v, &e), e);
    return v;
}

static const struct lethe_component *find(const struct lethe_version *v,
                                          const struct lethe_component *like)
{
    const int any =
        strcmp(like->kind, "base") == 0; /* called as the folder that it was read from */
    for (size_t i = 0; i < v->n_components; i++)
        if (strcmp(v->components[i].kind, like->kind) == 0 &&
            (any || strcmp(v->components[i].name, like->name) == 0))
            return &v->components[i];
    return NULL;
}

/* Records about the erasure itself: no model, and nothing to have where nothing was erased. */
static int is_record(const struct lethe_component *c)
{
    return strcmp(c->kind, "relapse") == 0 || strcmp(c->kind, "tombstones") == 0;
}

/* Whether the lineage says that a component was made from the images of a task. */
static int descends(const struct lethe_component *c, uint32_t task)
{
    char text[64];
    const int n = snprintf(text, sizeof text, "dataset:%s:", data[task]);
    for (size_t i = 0; i < c->n_lineage; i++)
        if (strncmp(c->lineage[i], text, (size_t)n) == 0)
            return 1;
    return 0;
}

static int is_of(const struct lethe_component *c, uint32_t task)
{
    char terms[64];
    (void)snprintf(terms, sizeof terms, "lane:%s", tasks[task].name);
    return (strcmp(c->kind, "lane") == 0 && strcmp(c->name, tasks[task].name) == 0) ||
           (strcmp(c->kind, "router") == 0 && strcmp(c->name, terms) == 0);
}

/* Everything that `a` has is in `b` with the same bytes. */
static void all_of_it_is_in(const struct lethe_version *a, const struct lethe_version *b)
{
    for (size_t i = 0; i < a->n_components; i++) {
        const struct lethe_component *c = &a->components[i];
        if (is_record(c))
            continue;
        const struct lethe_component *k = find(b, c);
        if (!k || strcmp(k->digest, c->digest) != 0 || k->bytes != c->bytes)
            fail_msg("%s %s is %s", c->kind, c->name, k ? "another one" : "missing");
    }
}

/*
 * The lineage before the request names just what the request changed: lane and router terms of the
 * tasks in `affected` (a bit each), which are gone or other bytes now, and nothing else.
 */
static void just_the_descendants_changed(const struct lethe_version *then,
                                         const struct lethe_version *now,
                                         unsigned affected)
{
    unsigned changed = 0;
    for (size_t i = 0; i < then->n_components; i++) {
        const struct lethe_component *c = &then->components[i], *k = find(now, c);
        int is_affected = 0;
        for (uint32_t t = 0; t < TASKS; t++) {
            assert_int_equal(descends(c, t), is_of(c, t));
            is_affected |= (affected >> t & 1) && descends(c, t);
        }
        if (is_affected == (k != NULL && strcmp(k->digest, c->digest) == 0))
            fail_msg("%s %s %s", c->kind, c->name, is_affected ? "did not change" : "changed");
        changed += is_affected != 0;
    }
    assert_int_equal(changed, 2 * __builtin_popcount(affected));
}

/* ------------------------------------------------------------------ files */

struct file {
    unsigned char *bytes;
    size_t used, size;
};

static bool keep_bytes(void *context, const void *bytes, size_t size)
{
    struct file *f = context;
    assert_true(size <= f->size - f->used);
    memcpy(f->bytes + f->used, bytes, size);
    f->used += size;
    return true;
}

static struct file export_of(struct session *s, uint32_t task)
{
    char name[64];
    struct lethe_error e = {0};
    struct lethe_export *x;
    (void)snprintf(name, sizeof name, "lane:%s", tasks[task].name);
    session_ok(lethe_component_export(s->l, "serving", name, &x, &e), e);
    assert_int_equal(x->n_files, 1);
    struct file f = {.bytes = malloc(x->files[0].bytes), .size = x->files[0].bytes};
    assert_non_null(f.bytes);
    session_ok(lethe_blob(s->l, &x->files[0], keep_bytes, &f, &e), e);
    assert_int_equal(f.used, f.size);
    lethe_free(x);
    return f;
}

static int same_file(struct session *a, struct session *b, uint32_t task)
{
    struct file x = export_of(a, task), y = export_of(b, task);
    const int same = x.size == y.size && memcmp(x.bytes, y.bytes, x.size) == 0;
    free(x.bytes);
    free(y.bytes);
    return same;
}

/* ------------------------------------------------------------------ predictions */

static const float *logit_of(const struct lethe_predictions *p, const char *label)
{
    for (size_t i = 0; i < p->n_logit_labels; i++)
        if (strcmp(p->logit_labels[i], label) == 0)
            return &p->items[0].logits[i];
    return NULL;
}

/* The labels that both know have the same logits, to the bit; returns how many these are. */
static uint32_t same_logits(const struct lethe_predictions *a, const struct lethe_predictions *b)
{
    uint32_t n = 0;
    for (size_t i = 0; i < a->n_logit_labels; i++) {
        const float *x = &a->items[0].logits[i], *y = logit_of(b, a->logit_labels[i]);
        if (y && memcmp(x, y, sizeof *x) != 0)
            fail_msg("the logit of %s is %.9g and %.9g", a->logit_labels[i], (double)*x,
                     (double)*y);
        n += y != NULL;
    }
    return n;
}

/* The whole answers are the same: expert, order of the labels, probabilities to the bit. */
static void same_answer(const struct lethe_predictions *a, const struct lethe_predictions *b)
{
    const struct lethe_prediction *x = &a->items[0], *y = &b->items[0];
    assert_string_equal(x->expert, y->expert);
    assert_int_equal(x->n_labels, y->n_labels);
    for (size_t i = 0; i < x->n_labels; i++) {
        assert_string_equal(x->labels[i].label, y->labels[i].label);
        assert_string_equal(x->labels[i].owner, y->labels[i].owner);
        assert_memory_equal(&x->labels[i].p, &y->labels[i].p, sizeof(float));
    }
}

/* An image of another task: before, after and where the data never were. */
static void same_predictions(struct session *after,
                             struct session *other,
                             const char *scope,
                             uint32_t pattern,
                             unsigned affected)
{
    struct lethe_predictions *p = predict(&before, scope, pattern, 0);
    struct lethe_predictions *q = predict(after, scope, pattern, 0);
    struct lethe_predictions *r = predict(other, scope, pattern, 0);
    const uint32_t live = (uint32_t)r->n_logit_labels;
    assert_true(live > TASK_CLASSES);
    assert_int_equal(same_logits(r, q), live);
    same_answer(q, r);
    /* what was there before, less the tasks that were touched */
    for (uint32_t t = 0; t < TASKS; t++)
        for (uint32_t c = 0; !(affected >> t & 1) && c < TASK_CLASSES; c++) {
            const float *x = logit_of(p, tasks[t].labels[c]), *y = logit_of(q, tasks[t].labels[c]);
            assert_true(x && y);
            assert_memory_equal(x, y, sizeof *x);
        }
    lethe_free(p);
    lethe_free(q);
    lethe_free(r);
}

static void
predictions_are_the_same(struct session *after, struct session *other, unsigned affected)
{
    for (uint32_t t = 0; t < TASKS; t++)
        for (uint32_t c = 0; c < TASK_CLASSES; c++) {
            same_predictions(after, other, "all", tasks[t].first + c, affected);
            same_predictions(after, other, "lanes", tasks[t].first + c, affected);
        }
}

/* ------------------------------------------------------------------ the three cases */

static void forget(struct session *s, const struct lethe_forget_args *args)
{
    char id[LETHE_ID_TEXT];
    session_copy(s, &origin, SETTING);
    session_forget(s, args, id);
    lethe_free(session_wait(s, id, "committed"));
}

static void
check(const struct lethe_forget_args *args, const struct never *never, unsigned affected)
{
    struct session after, other;
    forget(&after, args);
    teach_the_rest(&other, never);
    struct lethe_version *then = serving(&before), *now = serving(&after), *v = serving(&other);
    just_the_descendants_changed(then, now, affected);
    all_of_it_is_in(now, v);
    all_of_it_is_in(v, now);
    for (uint32_t t = 0; t < TASKS; t++) {
        if (t == THREE && never->task)
            continue;
        assert_true(same_file(&after, &other, t));
        assert_int_equal(same_file(&after, &before, t), !(affected >> t & 1));
    }
    predictions_are_the_same(&after, &other, affected);
    lethe_free(then);
    lethe_free(now);
    lethe_free(v);
    session_sound(&after);
    session_free(&other);
    session_free(&after);
}

void test_exactness_of_a_whole_task(void **state)
{
    (void)state;
    const struct lethe_forget_args args = {.task = tasks[THREE].name};
    const struct never never = {1, ALL, NOBODY};
    check(&args, &never, 1u << THREE);
}

void test_exactness_of_one_class(void **state)
{
    (void)state;
    const struct lethe_forget_args args = {.classes = &tasks[THREE].labels[1], .n_classes = 1};
    const struct never never = {0, 1, NOBODY};
    check(&args, &never, 1u << THREE);
}

/* Whose samples are in two tasks: both lanes are trained again. */
void test_exactness_of_one_person(void **state)
{
    (void)state;
    const struct lethe_forget_args args = {.subject = people[PERSON]};
    const struct never never = {0, ALL, PERSON};
    check(&args, &never, 1u << THREE | 1u << FIVE);
}
