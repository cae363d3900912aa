/*
 * A long mixed story, told by a table: thirty requests that learn, stream and forget go one after
 * the other through one daemon, undisturbed first, then with kill -9 of daemon and worker at seeded
 * moments.  Both must end with the same components and the same figures; every forgotten class must
 * be forgotten, no erasure may come back beyond its limit, every live class must be as good as when
 * it was learned.  What was measured is printed as tables, limits that were missed beside it.
 *
 * The world (tiny patterns, or real data) gives images; the table says which.  The random stream of
 * the shots comes from LETHE_CRASH_SEED, or is the world's own; it is printed.  Header only.
 */
#ifndef LETHE_TESTS_SUPPORT_MIXED_STORY_H
#define LETHE_TESTS_SUPPORT_MIXED_STORY_H

#include "tests/support/session.h"

#include <jansson.h>
#include <math.h>

#include "daemon/base/rng.h"

#define MIXED_REQUESTS      30u
#define MIXED_CLASSES       64u /* labels that a story may know, those of the base among them */
#define MIXED_SET           3u  /* most classes of one data set */
#define MIXED_OPTIONS       8u
#define MIXED_FORGOTTEN_MAX 0.02
#define MIXED_LOSS_MAX      0.02
#define MIXED_EVERY         4u /* requests of which one is shot at */
#define MIXED_ASKED         20u
#define MIXED_HITS          3u /* shots that must have met a request on its way */

enum mixed_kind {
    MIXED_LEARN,
    MIXED_OPEN,
    MIXED_PUSH,
    MIXED_CLOSE,
    MIXED_CLASS,   /* forget a class */
    MIXED_TASK,    /* forget a lane, an expert, a stream */
    MIXED_SAMPLES, /* forget images that were learned */
};

/* Classes first .. first + n - 1 of the world, of each the images from .. from + per_class - 1. */
struct mixed_set {
    uint32_t first, n, from, per_class;
};

struct mixed_step {
    enum mixed_kind kind;
    const char *name;     /* task, stream, or the label that goes */
    const char *data;     /* data set that is made for learn, push and samples */
    struct mixed_set set; /* its images */
};

struct mixed_world {
    const char *setting; /* configuration */
    uint32_t size;       /* pixels a side; grey */
    uint32_t test_per_class;
    uint32_t shot_ms; /* shots come within so long after a request began to run */
    uint64_t shot_seed;
    /* Image i of a class, for training or for tests; never one image for both. */
    void (*image)(uint32_t class, int test, uint32_t i, uint8_t *pixels);
    const char *(*label)(uint32_t class);
    void (*base_data)(struct session *s);
    const struct lethe_option *learn, *stream;
    size_t n_learn, n_stream;
    const struct mixed_step *steps; /* [MIXED_REQUESTS] */
};

/* ---------------------------------------------------------------- data */

struct mixed_source {
    uint8_t *bytes;
};

static bool mixed_read(void *context, uint64_t offset, void *to, size_t size)
{
    memcpy(to, ((const struct mixed_source *)context)->bytes + offset, size);
    return true;
}

/* Image after image of each class in turn, as a stream needs them. */
static void mixed_import(struct session *s,
                         const struct mixed_world *w,
                         const char *name,
                         const char *role,
                         const struct mixed_set *set)
{
    const size_t pixels = (size_t)w->size * w->size, n = (size_t)set->n * set->per_class;
    struct mixed_source source = {malloc(n * (pixels + sizeof(int32_t)))};
    const char *names[MIXED_SET];
    struct lethe_error e = {0};
    struct lethe_dataset *d;
    assert_non_null(source.bytes);
    assert_true(set->n <= MIXED_SET);
    for (size_t i = 0; i < n; i++) {
        const int32_t c = (int32_t)(i % set->n);
        w->image(set->first + (uint32_t)c, strcmp(role, "test") == 0,
                 set->from + (uint32_t)(i / set->n), source.bytes + i * pixels);
        memcpy(source.bytes + n * pixels + i * sizeof c, &c, sizeof c);
    }
    for (uint32_t c = 0; c < set->n; c++)
        names[c] = w->label(set->first + c);
    const struct lethe_import_args args = {.spec = {.name = name,
                                                    .role = role,
                                                    .images = n,
                                                    .height = w->size,
                                                    .width = w->size,
                                                    .channels = 1,
                                                    .classes = names,
                                                    .n_classes = set->n},
                                           .source = mixed_read,
                                           .context = &source};
    session_ok(lethe_data_import(s->l, &args, &d, &e), e);
    lethe_free(d);
    free(source.bytes);
}

/* Data of all requests; tests of a class that comes again are other images. */
static void mixed_import_all(struct session *s, const struct mixed_world *w)
{
    uint32_t tested[MIXED_REQUESTS] = {0};
    w->base_data(s);
    for (uint32_t i = 0; i < MIXED_REQUESTS; i++) {
        const struct mixed_step *x = &w->steps[i];
        if (!x->data)
            continue;
        mixed_import(s, w, x->data, x->kind == MIXED_SAMPLES ? "probe" : "train", &x->set);
        if (x->kind == MIXED_SAMPLES)
            continue;
        struct mixed_set test = {x->set.first, x->set.n, 0, w->test_per_class};
        tested[i] = w->test_per_class;
        for (uint32_t k = 0; k < i; k++)
            if (tested[k] > 0 && w->steps[k].set.first == test.first)
                test.from += tested[k];
        mixed_import(s, w, x->data, "test", &test);
    }
}

/* ---------------------------------------------------------------- what a run left behind */

struct mixed_class {
    char label[64], owner[64];
    double learned; /* accuracy in the report of the request that taught it */
    double now;     /* at the end; NaN: not measured */
    int forgotten;
    int n;     /* images behind `now` */
    int asked; /* these are answers of the service, not of a report */
};

struct mixed_figures {
    char state[16];
    uint32_t attempts;
    double acc_forget, acc_retain, acc_retain_before, acc_new_task;
    double relapse, limit; /* the erasure that is nearest to its limit; NaN: there was none */
    double seconds;
    char expert[64]; /* that a push ended with; "" for others */
    char *report;    /* without what may differ, canonical; free */
};

struct mixed_run {
    struct mixed_figures figures[MIXED_REQUESTS];
    struct mixed_class classes[MIXED_CLASSES];
    size_t n_classes;
    char *components; /* kind, name, digest of each, one a line; free */
    char *final;      /* the final measurement's classes, canonical; free */
    uint32_t hits, worker_hits;
    uint32_t missed; /* limits */
};

static double mixed_number(const json_t *object, const char *key)
{
    const json_t *x = json_object_get(object, key);
    return json_is_number(x) ? json_number_value(x) : (double)NAN;
}

static struct mixed_class *mixed_class_of(struct mixed_run *x, const char *label)
{
    for (size_t i = 0; i < x->n_classes; i++)
        if (strcmp(x->classes[i].label, label) == 0)
            return &x->classes[i];
    assert_true(x->n_classes < MIXED_CLASSES);
    struct mixed_class *c = &x->classes[x->n_classes++];
    *c = (struct mixed_class){.learned = (double)NAN, .now = (double)NAN};
    (void)snprintf(c->label, sizeof c->label, "%s", label);
    return c;
}

/* Rows of a report's classes; the first accuracy of a class is the one that it was learned with. */
static void mixed_take_classes(struct mixed_run *x, const json_t *report)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(report, "per_class"), i, row)
    {
        struct mixed_class *c = mixed_class_of(x, json_string_value(json_object_get(row, "label")));
        const int live = strcmp(json_string_value(json_object_get(row, "status")), "live") == 0;
        (void)snprintf(c->owner, sizeof c->owner, "%s",
                       json_string_value(json_object_get(row, "owner")));
        c->now = mixed_number(row, "acc");
        c->n = (int)json_integer_value(json_object_get(row, "n"));
        c->forgotten = !live;
        if (live && isnan(c->learned))
            c->learned = c->now;
    }
}

static void mixed_take_relapse(struct mixed_figures *x, const json_t *report)
{
    size_t i;
    json_t *row;
    x->relapse = x->limit = (double)NAN;
    json_array_foreach(json_object_get(report, "relapse"), i, row)
    {
        const double acc = mixed_number(row, "acc"), limit = mixed_number(row, "limit");
        if (isnan(acc) || isnan(limit))
            continue;
        if (isnan(x->relapse) || acc - limit > x->relapse - x->limit) {
            x->relapse = acc;
            x->limit = limit;
        }
    }
}

static json_t *mixed_parse(const char *text, size_t size)
{
    json_error_t error;
    json_t *report = json_loadb(text, size, 0, &error);
    if (!report)
        fail_msg("a report is no JSON: %s", error.text);
    return report;
}

static char *mixed_canonical(const json_t *x)
{
    char *text = json_dumps(x, JSON_COMPACT | JSON_SORT_KEYS);
    assert_non_null(text);
    return text;
}

/* With an id of its own (`is_own_id`) a request draws other bootstraps: then only its classes. */
static void
mixed_take(struct mixed_run *x, uint32_t i, const struct lethe_request *r, int is_own_id)
{
    struct mixed_figures *y = &x->figures[i];
    (void)snprintf(y->state, sizeof y->state, "%s", r->state);
    y->attempts = r->attempts;
    if (r->evaluation_bytes == 0) {
        y->acc_forget = y->acc_retain = y->acc_retain_before = y->acc_new_task = (double)NAN;
        y->relapse = y->limit = y->seconds = (double)NAN;
        y->report = strdup("");
        return;
    }
    json_t *report = mixed_parse(r->evaluation, r->evaluation_bytes);
    y->acc_forget = mixed_number(report, "acc_forget");
    y->acc_retain = mixed_number(report, "acc_retain");
    y->acc_retain_before = mixed_number(report, "acc_retain_before");
    y->acc_new_task = mixed_number(report, "acc_new_task");
    y->seconds = mixed_number(report, "seconds");
    const char *expert =
        json_string_value(json_object_get(json_object_get(report, "stream"), "expert"));
    (void)snprintf(y->expert, sizeof y->expert, "%s", expert ? expert : "");
    mixed_take_relapse(y, report);
    mixed_take_classes(x, report);
    (void)json_object_del(report, "seconds");
    y->report = mixed_canonical(is_own_id ? json_object_get(report, "per_class") : report);
    json_decref(report);
}

static void mixed_run_free(struct mixed_run *x)
{
    for (uint32_t i = 0; i < MIXED_REQUESTS; i++)
        free(x->figures[i].report);
    free(x->components);
    free(x->final);
}

/* ---------------------------------------------------------------- one request */

static enum lethe_code mixed_forget(struct session *s,
                                    const struct mixed_step *x,
                                    const char *id,
                                    struct lethe_request **r,
                                    struct lethe_error *e)
{
    struct lethe_forget_args args = {.request_id = id};
    if (x->kind == MIXED_CLASS) {
        args.classes = &x->name;
        args.n_classes = 1;
    } else if (x->kind == MIXED_TASK) {
        args.task = x->name;
    } else {
        args.samples = x->data;
    }
    return lethe_forget(s->l, &args, r, e);
}

/* With the id that the request is to have; closing takes none, and gives its own back. */
static void mixed_submit(struct session *s,
                         const struct mixed_world *w,
                         const struct mixed_step *x,
                         char id[LETHE_ID_TEXT])
{
    struct lethe_error e = {0};
    struct lethe_request *r = NULL;
    const struct lethe_learn_args learn = {.request_id = id,
                                           .task = x->name,
                                           .data = x->data,
                                           .seed = 9,
                                           .options = w->learn,
                                           .n_options = w->n_learn};
    const struct lethe_stream_args open = {.request_id = id,
                                           .name = x->name,
                                           .seed = 17,
                                           .options = w->stream,
                                           .n_options = w->n_stream};
    const struct lethe_push_args push = {.request_id = id, .name = x->name, .data = x->data};
    const enum lethe_code code = x->kind == MIXED_LEARN  ? lethe_learn(s->l, &learn, &r, &e)
                                 : x->kind == MIXED_OPEN ? lethe_stream_open(s->l, &open, &r, &e)
                                 : x->kind == MIXED_PUSH ? lethe_stream_push(s->l, &push, &r, &e)
                                 : x->kind == MIXED_CLOSE
                                     ? lethe_stream_close(s->l, x->name, &r, &e)
                                     : mixed_forget(s, x, id, &r, &e);
    if (code != LETHE_OK)
        fail_msg("request %s %s: %s (%s)", x->name ? x->name : "", x->data ? x->data : "", e.text,
                 e.field);
    memcpy(id, r->id, LETHE_ID_TEXT);
    lethe_free(r);
}

/* ---------------------------------------------------------------- shots */

static void mixed_restart(struct session *s)
{
    test_daemon_kill(&s->d);
    test_daemon_start(&s->d);
    session_connect(s);
}

/* Waits until a request runs, or is over already. */
static void mixed_until_it_runs(struct session *s, const char *id)
{
    for (int there = 0; !there; session_sleep_ms(1)) {
        struct lethe_error e = {0};
        struct lethe_request *r;
        session_ok(lethe_request(s->l, id, &r, &e), e);
        there = strcmp(r->state, "running") == 0 || lethe_state_is_final(r->state);
        lethe_free(r);
    }
}

static void mixed_shoot(struct session *s, const char *id, long after_ms, int at_worker)
{
    mixed_until_it_runs(s, id);
    session_sleep_ms(after_ms);
    if (!at_worker) {
        mixed_restart(s);
        return;
    }
    const pid_t worker = test_daemon_worker(&s->d);
    if (worker > 0)
        (void)kill(worker, SIGKILL);
}

/* ---------------------------------------------------------------- what no report can say */

/* Class of the world with this label. */
static uint32_t mixed_class_number(const struct mixed_world *w, const char *label)
{
    for (uint32_t i = 0; i < MIXED_REQUESTS; i++)
        for (uint32_t c = 0; c < w->steps[i].set.n; c++)
            if (strcmp(w->label(w->steps[i].set.first + c), label) == 0)
                return w->steps[i].set.first + c;
    fail_msg("nobody taught %s", label);
    return 0;
}

/* Whether an image of a class gets its own label, or there is a logit of that label at all. */
static int
mixed_is_known(struct session *s, const struct mixed_world *w, const char *label, uint32_t i)
{
    uint8_t *pixels = malloc((size_t)w->size * w->size);
    const void *images[] = {pixels};
    const struct lethe_predict_args args = {.scope = "all",
                                            .logits = true,
                                            .height = w->size,
                                            .width = w->size,
                                            .channels = 1,
                                            .images = images,
                                            .n_images = 1};
    struct lethe_predictions *p;
    struct lethe_error e = {0};
    assert_non_null(pixels);
    w->image(mixed_class_number(w, label), 1, i, pixels);
    session_ok(lethe_predict(s->l, &args, &p, &e), e);
    int known = strcmp(p->items[0].labels[0].label, label) == 0;
    for (size_t k = 0; k < p->n_logit_labels; k++)
        known |= strcmp(p->logit_labels[k], label) == 0 && isfinite(p->items[0].logits[k]);
    lethe_free(p);
    free(pixels);
    return known;
}

/*
 * Where an owner is gone as a whole, the version does not know its data any more, and the report
 * has no images of its classes.  The service is asked itself then.
 */
static void mixed_ask(struct session *s, const struct mixed_world *w, struct mixed_run *x)
{
    for (size_t i = 0; i < x->n_classes; i++) {
        struct mixed_class *c = &x->classes[i];
        if (!c->forgotten || c->n > 0)
            continue;
        uint32_t known = 0;
        for (uint32_t k = 0; k < MIXED_ASKED; k++)
            known += mixed_is_known(s, w, c->label, k) != 0;
        c->asked = 1;
        c->n = MIXED_ASKED;
        c->now = (double)known / MIXED_ASKED;
    }
}

/* ---------------------------------------------------------------- a run of the story */

static void mixed_measure(struct session *s, struct mixed_run *x)
{
    struct lethe_error e = {0};
    struct lethe_report *r;
    session_ok(lethe_evaluate(s->l, NULL, false, &r, &e), e);
    json_t *report = mixed_parse(r->evaluation, r->evaluation_bytes);
    mixed_take_classes(x, report);
    free(x->final);
    x->final = mixed_canonical(json_object_get(report, "per_class"));
    json_decref(report);
    lethe_free(r);
}

static void mixed_components(struct session *s, struct mixed_run *x)
{
    struct lethe_error e = {0};
    struct lethe_version *v;
    session_ok(lethe_show(s->l, "serving", &v, &e), e);
    const size_t line = 256, size = v->n_components * line + 1;
    size_t used = 0;
    x->components = calloc(size, 1);
    assert_non_null(x->components);
    for (size_t i = 0; i < v->n_components; i++)
        used +=
            (size_t)snprintf(x->components + used, size - used, "%.31s %.127s %s\n",
                             v->components[i].kind, v->components[i].name, v->components[i].digest);
    lethe_free(v);
}

/* Starts on a copy of a stopped daemon's store, with the same base model. */
static void
mixed_begin(struct session *s, const struct mixed_world *w, const struct session *origin)
{
    char command[2200];
    memset(s, 0, sizeof *s);
    test_support_mkdir(s->model);
    test_daemon_new(&s->d, origin->model, w->setting);
    (void)snprintf(command, sizeof command,
                   "cp -a '%.500s' '%.500s' && cp -a '%.500s.keys' '%.500s.keys'", origin->d.store,
                   s->d.store, origin->d.store, s->d.store);
    assert_int_equal(system(command), 0);
    test_daemon_start(&s->d);
    session_connect(s);
}

static const char *mixed_kind_name(enum mixed_kind kind)
{
    static const char *const names[] = {"learn", "open",        "push",          "close",
                                        "class", "forget task", "forget samples"};
    return kind == MIXED_CLASS ? "forget class" : names[kind];
}

static void mixed_print_request(const struct mixed_world *w, const struct mixed_run *x, uint32_t i)
{
    const struct mixed_step *p = &w->steps[i];
    const struct mixed_figures *y = &x->figures[i];
    print_message("  %2u %-14s %-12s %-10s %u  forget %7.4f  retain %7.4f > %7.4f  new %7.4f  "
                  "relapse %7.4f <= %7.4f  %5.1f s  %s\n",
                  i + 1, mixed_kind_name(p->kind), p->kind == MIXED_SAMPLES ? p->data : p->name,
                  y->state, y->attempts, y->acc_forget, y->acc_retain_before, y->acc_retain,
                  y->acc_new_task, y->relapse, y->limit, y->seconds, y->expert);
}

/* One request to its end; shot at, if `rng` says so. */
static void mixed_request(struct session *s,
                          const struct mixed_world *w,
                          struct mixed_run *x,
                          uint32_t i,
                          struct rng *shots,
                          int is_shot)
{
    char id[LETHE_ID_TEXT];
    struct lethe_error e = {0};
    struct lethe_request *r;
    const int at_worker = i / MIXED_EVERY % 2 == 0;
    (void)snprintf(id, sizeof id, "0199a5b0-0000-7000-8000-0000000007%02u", i);
    mixed_submit(s, w, &w->steps[i], id);
    if (is_shot)
        mixed_shoot(s, id, (long)rng_below(shots, w->shot_ms), at_worker);
    session_ok(lethe_wait(s->l, id, -1, NULL, NULL, &r, &e), e);
    mixed_take(x, i, r, w->steps[i].kind == MIXED_CLOSE);
    x->hits += is_shot && r->attempts > 1;
    x->worker_hits += is_shot && at_worker && r->attempts > 1;
    mixed_print_request(w, x, i);
    if (strcmp(r->state, "committed") != 0)
        print_message("     %s %s\n", r->error.text, r->reason);
    lethe_free(r);
}

/* `seed` 0: undisturbed. */
static void mixed_tell(const struct mixed_world *w,
                       const struct session *origin,
                       uint64_t seed,
                       struct mixed_run *x)
{
    struct session s;
    struct rng shots;
    const struct rng_root root = {.seed = seed};
    uint32_t shot = 0;
    memset(x, 0, sizeof *x);
    rng_init(&shots, &root, "mixed", 0);
    mixed_begin(&s, w, origin);
    mixed_measure(&s, x);
    for (uint32_t i = 0; i < MIXED_REQUESTS; i++) {
        if (i % MIXED_EVERY == 0)
            shot = i + (uint32_t)rng_below(&shots, MIXED_EVERY);
        mixed_request(&s, w, x, i, &shots, seed != 0 && i == shot);
    }
    mixed_measure(&s, x);
    mixed_ask(&s, w, x);
    mixed_components(&s, x);
    session_sound(&s);
    session_free(&s);
}

/* ---------------------------------------------------------------- judging */

static void mixed_missed(struct mixed_run *x, const char *what, const char *which)
{
    x->missed++;
    print_message("  MISSED: %s (%s)\n", what, which);
}

static void mixed_judge_class(struct mixed_run *x, const struct mixed_class *c)
{
    print_message("  %-14s %-14s %-9s  %3d images  learned %7.4f  now %7.4f%s\n", c->label,
                  c->owner, c->forgotten ? "forgotten" : "live", c->n, c->learned, c->now,
                  c->asked ? " (its owner is gone: answers)" : "");
    if (c->forgotten && !(c->now <= MIXED_FORGOTTEN_MAX))
        mixed_missed(x, "a forgotten class is known, or was not measured", c->label);
    if (!c->forgotten && !(c->now >= c->learned - MIXED_LOSS_MAX - 1e-9))
        mixed_missed(x, "a live class lost more than two points", c->label);
}

static void mixed_judge(const struct mixed_world *w, struct mixed_run *x)
{
    for (uint32_t i = 0; i < MIXED_REQUESTS; i++) {
        const struct mixed_figures *y = &x->figures[i];
        const char *what = w->steps[i].name ? w->steps[i].name : w->steps[i].data;
        if (strcmp(y->state, "committed") != 0)
            mixed_missed(x, "a request was not committed", what);
        if ((w->steps[i].kind == MIXED_CLASS || w->steps[i].kind == MIXED_TASK) &&
            !(y->acc_forget <= MIXED_FORGOTTEN_MAX))
            mixed_missed(x, "an erasure left too much", what);
        if (!isnan(y->relapse) && y->relapse > y->limit)
            mixed_missed(x, "an erasure came back beyond its limit", what);
    }
    for (size_t i = 0; i < x->n_classes; i++)
        mixed_judge_class(x, &x->classes[i]);
}

/* The lines of `a` that `b` does not have. */
static void mixed_print_only(const char *which, const char *a, const char *b)
{
    for (const char *at = a, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        char line[256];
        (void)snprintf(line, sizeof line, "%.*s", (int)(end - at) + 1, at);
        if (!strstr(b, line))
            print_message("    %s: %s", which, line);
    }
}

/* Where both runs are not the same, it is said where. */
static void mixed_compare(const struct mixed_world *w, struct mixed_run *a, struct mixed_run *b)
{
    for (uint32_t i = 0; i < MIXED_REQUESTS; i++)
        if (strcmp(a->figures[i].report, b->figures[i].report) != 0) {
            mixed_missed(b, "a report has other figures", mixed_kind_name(w->steps[i].kind));
            print_message("    %.400s\n    %.400s\n", a->figures[i].report, b->figures[i].report);
        }
    if (strcmp(a->components, b->components) != 0) {
        mixed_missed(b, "other components", "at the end");
        mixed_print_only("undisturbed", a->components, b->components);
        mixed_print_only("with kill -9", b->components, a->components);
    }
    if (strcmp(a->final, b->final) != 0)
        mixed_missed(b, "other figures", "at the end");
}

/* Both runs and the verdict.  `origin` runs, is empty, and is stopped here; free it afterwards. */
static void mixed_story(const struct mixed_world *w, struct session *origin)
{
    static struct mixed_run quiet, shot;
    const char *text = getenv("LETHE_CRASH_SEED");
    const uint64_t seed = text && text[0] != '\0' ? strtoull(text, NULL, 10) : w->shot_seed;
    assert_true(seed != 0);
    mixed_import_all(origin, w);
    test_daemon_stop(&origin->d);
    print_message("  undisturbed\n");
    mixed_tell(w, origin, 0, &quiet);
    mixed_judge(w, &quiet);
    print_message("  with kill -9, LETHE_CRASH_SEED=%llu\n", (unsigned long long)seed);
    mixed_tell(w, origin, seed, &shot);
    mixed_compare(w, &quiet, &shot);
    print_message("  %u of the shots met a request, %u of these its worker; %u limits missed, %u "
                  "differences\n",
                  shot.hits, shot.worker_hits, quiet.missed, shot.missed);
    const uint32_t hits = shot.hits, bad = quiet.missed + shot.missed;
    mixed_run_free(&quiet);
    mixed_run_free(&shot);
    assert_int_equal(bad, 0);
    assert_true(hits >= MIXED_HITS);
}

#endif
