/*
 * The solved router: against a dense solution from the rows themselves, exact under adding and
 * forgetting, votes of the held-out images, scores, choice of the owner, record.
 */
#include "tests/support/test.h"

#include "tests/property/learners/ridge_fixture.h"

#include <math.h>

#define WIDTH  13
#define OWNERS 3
#define FIT    40
#define HELD   12

/* Three owners of two classes each: 0-1, 2-3, 4-5. */
struct world {
    struct ridge_fixture x;
    struct ridge_options o;
    struct ridge_source sources[OWNERS];
};

static void open_world(struct world *w, uint32_t threads)
{
    static const char *names[OWNERS] = {"first", "second", "third"};
    ridge_fixture_open(&w->x, threads);
    w->o = ridge_fixture_options(WIDTH);
    for (uint32_t i = 0; i < OWNERS; i++) {
        w->sources[i].terms =
            ridge_fixture_terms(&w->x, names[i], 2 * i, 2, FIT + 10 * i, HELD + i, WIDTH);
        memset(w->sources[i].digest.b, (int)(0x30 + i), DIGEST_SIZE);
    }
}

static struct ridge_router solve(struct world *w,
                                 const struct ridge_source *sources,
                                 uint32_t n,
                                 const struct ridge_options *o)
{
    struct ridge_router r;
    struct fault f = {0};
    assert_int_equal(ridge_router_solve(sources, n, o,
                                        &(struct ridge_memory){w->x.pool, &w->x.arena, &w->x.arena},
                                        &r, &f),
                     STATUS_OK);
    return r;
}

static void assert_same_weights(const struct ridge_router *a, const struct ridge_router *b)
{
    assert_int_equal(a->n_classes, b->n_classes);
    assert_memory_equal(a->weights, b->weights, a->n_classes * a->width * sizeof *a->weights);
    assert_memory_equal(a->choices, b->choices, a->n_choices * sizeof *a->choices);
}

/* ------------------------------------------------------------------ closed form */

/* Rows of every class with weights and targets, as one dense problem. */
struct dense {
    double gram[WIDTH * WIDTH], products[6 * WIDTH];
    double images;
};

/* Adds class c's rows first .. first + n, each with this weight. */
static void
dense_add(struct world *w, struct dense *d, uint32_t c, uint32_t first, uint32_t n, double weight)
{
    const float *rows = ridge_fixture_rows(&w->x, c, first, n, WIDTH);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t a = 0; a < WIDTH; a++) {
            const double v = (double)rows[i * WIDTH + a];
            d->products[c * WIDTH + a] += weight * v;
            for (uint32_t b = 0; b < WIDTH; b++)
                d->gram[a * WIDTH + b] += weight * v * (double)rows[i * WIDTH + b];
        }
    d->images += n;
}

/* All six classes; parts 1: fitted, 2: held out, 3: both. */
static struct dense dense_problem(struct world *w, unsigned parts, int balanced)
{
    struct dense d = {.images = 0};
    double images = 0;
    for (uint32_t pass = 0; pass < 2; pass++)
        for (uint32_t c = 0; c < 6; c++) {
            const uint32_t fit = FIT + 10 * (c / 2), held = HELD + c / 2;
            const uint32_t n = (parts & 1 ? fit : 0) + (parts & 2 ? held : 0);
            if (pass == 0)
                images += n;
            else
                dense_add(w, &d, c, parts & 1 ? 0 : fit, n, balanced ? images / (6.0 * n) : 1.0);
        }
    return d;
}

/* Gaussian elimination with pivots; x [6, WIDTH]. */
static void dense_solve(const struct dense *d, double lambda, double *x)
{
    double a[WIDTH][WIDTH + 6], diagonal = 0;
    for (uint32_t i = 0; i + 1 < WIDTH; i++)
        diagonal += d->gram[i * WIDTH + i] / (WIDTH - 1);
    for (uint32_t i = 0; i < WIDTH; i++) {
        memcpy(a[i], d->gram + i * WIDTH, WIDTH * sizeof **a);
        a[i][i] += i + 1 < WIDTH ? lambda * diagonal : 0.0;
        for (uint32_t c = 0; c < 6; c++)
            a[i][WIDTH + c] = d->products[c * WIDTH + i];
    }
    for (uint32_t k = 0; k < WIDTH; k++) {
        uint32_t best = k;
        for (uint32_t i = k + 1; i < WIDTH; i++)
            best = fabs(a[i][k]) > fabs(a[best][k]) ? i : best;
        for (uint32_t j = 0; j < WIDTH + 6; j++) {
            const double t = a[k][j];
            a[k][j] = a[best][j];
            a[best][j] = t;
        }
        for (uint32_t i = 0; i < WIDTH; i++)
            for (uint32_t j = WIDTH + 6; i != k && j-- > k;)
                a[i][j] -= a[i][k] / a[k][k] * a[k][j];
    }
    for (uint32_t c = 0; c < 6; c++)
        for (uint32_t i = 0; i < WIDTH; i++)
            x[c * WIDTH + i] = a[i][WIDTH + c] / a[i][i];
}

static void check_against_dense(uint32_t weighting, uint32_t refit)
{
    struct world w;
    double x[6 * WIDTH];
    open_world(&w, 1);
    w.o.weighting = weighting;
    w.o.refit = refit;
    w.o.lambda = 0.02f;
    const struct ridge_router r = solve(&w, w.sources, OWNERS, &w.o);
    const struct dense d = dense_problem(&w, refit ? 3 : 1, weighting == RIDGE_WEIGHTING_BALANCED);
    dense_solve(&d, (double)0.02f, x);
    assert_int_equal(r.n_classes, 6);
    for (uint32_t j = 0; j < 6 * WIDTH; j++)
        assert_near(r.weights[j], x[j], 1e-9);
    /* every row ends in the constant 1, so these are the means of the targets */
    double sum = 0.0;
    for (uint32_t c = 0; c < 6; c++) {
        assert_near(r.shares[c], d.products[c * WIDTH + WIDTH - 1] / d.gram[WIDTH * WIDTH - 1],
                    1e-12);
        sum += r.shares[c];
    }
    assert_near(sum, 1.0, 1e-12);
    ridge_fixture_close(&w.x);
}

void test_ridge_router_equals_the_dense_solution(void **state)
{
    (void)state;
    check_against_dense(RIDGE_WEIGHTING_PLAIN, 0);
    check_against_dense(RIDGE_WEIGHTING_PLAIN, 1);
    check_against_dense(RIDGE_WEIGHTING_BALANCED, 0);
    check_against_dense(RIDGE_WEIGHTING_BALANCED, 1);
}

/* Squared error an image of the held-out rows, from the rows themselves. */
static double error_of(struct world *w, const double *x, int balanced)
{
    double images = 0, sum = 0;
    for (uint32_t c = 0; c < 6; c++)
        images += HELD + c / 2;
    for (uint32_t c = 0; c < 6; c++) {
        const uint32_t n = HELD + c / 2;
        const float *rows = ridge_fixture_rows(&w->x, c, FIT + 10 * (c / 2), n, WIDTH);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t k = 0; k < 6; k++) {
                double z = k == c ? -1.0 : 0.0;
                for (uint32_t j = 0; j < WIDTH; j++)
                    z += x[k * WIDTH + j] * (double)rows[i * WIDTH + j];
                sum += z * z * (balanced ? images / (6.0 * n) : 1.0);
            }
    }
    return sum / images;
}

void test_ridge_router_votes_are_the_held_out_squared_errors(void **state)
{
    (void)state;
    for (uint32_t weighting = 0; weighting < 2; weighting++) {
        const int balanced = weighting == RIDGE_WEIGHTING_BALANCED;
        struct world w;
        double x[6 * WIDTH], best = 1e9;
        open_world(&w, 1);
        w.o.weighting = weighting;
        w.o.lambda_slack = 0.0f;
        const struct ridge_router r = solve(&w, w.sources, OWNERS, &w.o);
        const struct dense d = dense_problem(&w, 1, balanced);
        uint32_t elected = 0;
        assert_true(r.choices[0].voted);
        for (uint32_t g = 0; g < RIDGE_ROUTER_GRID; g++) {
            dense_solve(&d, ridge_router_lambda(g), x);
            const double error = error_of(&w, x, balanced);
            assert_near(r.choices[0].error[g], error, 1e-9);
            elected = error < best ? g : elected;
            best = error < best ? error : best;
        }
        assert_true(r.choices[0].lambda == ridge_router_lambda(elected));
        ridge_fixture_close(&w.x);
    }
}

void test_ridge_router_slack_takes_the_least_penalty_within_it(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1);
    w.o.lambda_slack = 1.0f;
    const struct ridge_router r = solve(&w, w.sources, OWNERS, &w.o);
    double best = (double)INFINITY;
    uint32_t first = 0;
    for (uint32_t g = 0; g < RIDGE_ROUTER_GRID; g++)
        best = fmin(best, r.choices[0].error[g]);
    while (r.choices[0].error[first] > 2.0 * best)
        first++;
    assert_true(r.choices[0].lambda == ridge_router_lambda(first));
    /* and without held-out images there is nothing to vote with */
    struct ridge_source alone = {.terms = ridge_fixture_terms(&w.x, "alone", 0, 2, FIT, 0, WIDTH)};
    const struct ridge_router unvoted = solve(&w, &alone, 1, &w.o);
    assert_false(unvoted.choices[0].voted);
    assert_true(unvoted.choices[0].lambda == RIDGE_ROUTER_FALLBACK);
    ridge_fixture_close(&w.x);
}

/* ------------------------------------------------------------------ exactness */

void test_ridge_router_is_the_same_in_any_order_and_for_any_thread_count(void **state)
{
    (void)state;
    struct world one;
    open_world(&one, 1);
    const struct ridge_router first = solve(&one, one.sources, OWNERS, &one.o);
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct world w;
        open_world(&w, threads);
        const struct ridge_source turned[OWNERS] = {
            w.sources[threads % 3], w.sources[(threads + 1) % 3], w.sources[(threads + 2) % 3]};
        const struct ridge_router r = solve(&w, turned, OWNERS, &w.o);
        assert_same_weights(&r, &first);
        for (uint32_t i = 0; i < OWNERS; i++)
            assert_string_equal(r.owners[i], first.owners[i]);
        ridge_fixture_close(&w.x);
    }
    ridge_fixture_close(&one.x);
}

void test_ridge_router_without_an_owner_is_as_if_it_had_never_been(void **state)
{
    (void)state;
    struct world w, never;
    open_world(&w, 1);
    open_world(&never, 1);
    /* the weights with the second owner differ, so that the comparison means something */
    const struct ridge_router all = solve(&w, w.sources, OWNERS, &w.o);
    const struct ridge_source left[2] = {w.sources[2], w.sources[0]};
    const struct ridge_router forgot = solve(&w, left, 2, &w.o);
    const struct ridge_source only[2] = {never.sources[0], never.sources[2]};
    const struct ridge_router fresh = solve(&never, only, 2, &never.o);
    assert_same_weights(&forgot, &fresh);
    assert_memory_not_equal(all.weights, fresh.weights, WIDTH * sizeof *all.weights);
    ridge_fixture_close(&w.x);
    ridge_fixture_close(&never.x);
}

void test_ridge_router_without_a_class_is_as_if_it_had_never_been(void **state)
{
    (void)state;
    struct world w, never;
    open_world(&w, 1);
    open_world(&never, 1);
    struct ridge_terms second = *w.sources[1].terms;
    const struct digest none = {{0}};
    assert_int_equal(ridge_terms_drop(&second, "class02", &none, NULL), STATUS_OK);
    w.sources[1].terms = &second;
    /* an owner that learned class 3 only, with the same images */
    never.sources[1].terms =
        ridge_fixture_terms(&never.x, "second", 3, 1, FIT + 10, HELD + 1, WIDTH);
    const struct ridge_router forgot = solve(&w, w.sources, OWNERS, &w.o);
    const struct ridge_router fresh = solve(&never, never.sources, OWNERS, &never.o);
    assert_int_equal(forgot.n_classes, 5);
    assert_same_weights(&forgot, &fresh);
    ridge_fixture_close(&w.x);
    ridge_fixture_close(&never.x);
}

/* One owner with all six classes at once: the joint problem. */
static struct ridge_terms joint_terms(struct world *w)
{
    struct ridge_terms joint = *w->sources[0].terms;
    joint.terms = arena_alloc(&w->x.arena, 6, sizeof *joint.terms);
    joint.n = 6;
    for (uint32_t i = 0; i < OWNERS; i++)
        memcpy(joint.terms + 2 * i, w->sources[i].terms->terms, 2 * sizeof *joint.terms);
    return joint;
}

void test_ridge_router_task_by_task_equals_joint_learning(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1);
    const struct ridge_terms joint = joint_terms(&w);
    const struct ridge_source together = {.terms = &joint};
    const struct ridge_router tasks = solve(&w, w.sources, OWNERS, &w.o);
    const struct ridge_router at_once = solve(&w, &together, 1, &w.o);
    assert_same_weights(&tasks, &at_once);
    /* and the clusters can be told apart, so that equality is not one of two failures */
    uint32_t right = 0;
    for (uint32_t c = 0; c < 6; c++) {
        const float *rows = ridge_fixture_rows(&w.x, c, 5000, 20, WIDTH);
        float scores[20 * 6];
        ridge_router_scores(&tasks, rows, 20, w.x.pool, scores);
        for (uint32_t i = 0; i < 20; i++) {
            uint32_t best = 0;
            for (uint32_t k = 1; k < 6; k++)
                best = scores[i * 6 + k] > scores[i * 6 + best] ? k : best;
            right += best == c;
        }
    }
    assert_true(right >= 72); /* of 120; chance is 20 */
    ridge_fixture_close(&w.x);
}

void test_ridge_router_contrast_owner_solves_each_owner_alone(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1);
    w.o.contrast = RIDGE_CONTRAST_OWNER;
    const struct ridge_router all = solve(&w, w.sources, OWNERS, &w.o);
    assert_int_equal(all.n_choices, OWNERS);
    for (uint32_t i = 0; i < OWNERS; i++) {
        const struct ridge_router alone = solve(&w, &w.sources[i], 1, &w.o);
        assert_memory_equal(all.weights + 2 * i * WIDTH, alone.weights,
                            2 * WIDTH * sizeof *all.weights);
        assert_true(all.choices[i].lambda == alone.choices[0].lambda);
    }
    ridge_fixture_close(&w.x);
}

/* ------------------------------------------------------------------ scores */

void test_ridge_router_scores_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    enum { n = 21 };
    struct world w, more;
    open_world(&w, 1);
    open_world(&more, 3);
    const struct ridge_router r = solve(&w, w.sources, OWNERS, &w.o);
    const float *rows = ridge_fixture_rows(&w.x, 3, 700, n, WIDTH);
    float together[n * 6], threaded[n * 6];
    ridge_router_scores(&r, rows, n, w.x.pool, together);
    ridge_router_scores(&r, rows, n, more.x.pool, threaded);
    assert_memory_equal(together, threaded, sizeof together);
    for (uint32_t i = 0; i < n; i++) {
        float alone[6];
        ridge_router_scores(&r, rows + i * WIDTH, 1, w.x.pool, alone);
        assert_memory_equal(together + i * 6, alone, sizeof alone);
        for (uint32_t c = 0; c < 6; c++) {
            double want = 0;
            for (uint32_t j = 0; j < WIDTH; j++)
                want += r.weights[c * WIDTH + j] * (double)rows[i * WIDTH + j];
            assert_near(alone[c], want, 1e-5);
        }
    }
    ridge_fixture_close(&w.x);
    ridge_fixture_close(&more.x);
}

void test_ridge_router_chooses_owners_by_its_rule(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1);
    struct ridge_router r = solve(&w, w.sources, OWNERS, &w.o);
    /* best class: first; largest sum: second; third: nothing */
    static const float scores[2 * 6] = {0.9f, -0.5f, 0.6f, 0.5f, 0.1f, 0.0f,
                                        0.2f, 0.1f,  0.2f, 0.1f, 0.2f, 0.1f};
    float owners[2 * OWNERS];
    uint32_t chosen[2];
    r.options.rule = RIDGE_RULE_MAX;
    ridge_router_owner_scores(&r, scores, 2, owners);
    assert_true(owners[0] == 0.9f && owners[1] == 0.6f && owners[2] == 0.1f);
    ridge_router_choose(&r, owners, 2, chosen);
    assert_int_equal(chosen[0], 0);
    assert_int_equal(chosen[1], 0); /* a tie: the first by name */
    r.options.rule = RIDGE_RULE_SUM;
    ridge_router_owner_scores(&r, scores, 2, owners);
    ridge_router_choose(&r, owners, 2, chosen);
    assert_near(owners[1], 1.1, 1e-6);
    assert_int_equal(chosen[0], 1);
    r.options.rule = RIDGE_RULE_SOFT;
    r.options.temperature = 0.5f;
    ridge_router_owner_scores(&r, scores, 2, owners);
    assert_near(owners[0], 0.5 * log(exp(0.9 / 0.5) + exp(-0.5 / 0.5)), 1e-6);
    assert_near(owners[1], 0.5 * log(exp(0.6 / 0.5) + exp(0.5 / 0.5)), 1e-6);
    ridge_fixture_close(&w.x);
}

/* ------------------------------------------------------------------ errors, plan, record */

static enum status try_solve(struct world *w, const struct ridge_options *o, struct fault *f)
{
    struct ridge_router r;
    const size_t used = w->x.arena.used;
    const enum status s = ridge_router_solve(
        w->sources, OWNERS, o, &(struct ridge_memory){w->x.pool, &w->x.arena, &w->x.arena}, &r, f);
    if (s != STATUS_OK)
        assert_int_equal(w->x.arena.used, used);
    return s;
}

void test_ridge_router_refuses_terms_that_do_not_belong_together(void **state)
{
    (void)state;
    struct world w;
    struct fault f = {0};
    open_world(&w, 1);
    struct ridge_options o = w.o;
    o.features++;
    assert_int_equal(try_solve(&w, &o, &f), STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "features");
    struct ridge_terms other = *w.sources[1].terms;
    other.origin.state.b[0] ^= 1;
    w.sources[1].terms = &other;
    assert_int_equal(try_solve(&w, &w.o, &f), STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "trunk");
    assert_non_null(strstr(f.text, "0908080808080808"));
    assert_non_null(strstr(f.text, "0808080808080808"));
    other.origin.state.b[0] ^= 1;
    memcpy(other.owner, "third", sizeof "third");
    assert_int_equal(try_solve(&w, &w.o, &f), STATUS_ALREADY_EXISTS);
    ridge_fixture_close(&w.x);
}

void test_ridge_router_plan_is_what_a_solve_takes(void **state)
{
    (void)state;
    struct world w;
    struct ridge_router r;
    size_t sizes[2];
    void *memory[2];
    struct arena arena, scratch;
    open_world(&w, 1);
    w.o.contrast = RIDGE_CONTRAST_OWNER;
    sizes[0] = ridge_router_plan(&(struct ridge_router_sizes){WIDTH, OWNERS, 6}, &sizes[1]);
    memory[0] = malloc(sizes[0]);
    memory[1] = malloc(sizes[1]);
    const struct ridge_memory with = {w.x.pool, &arena, &scratch};
    for (uint32_t less = 0; less < 3; less++) {
        arena_init(&arena, memory[0], sizes[0] - (less == 1 ? 2 * ARENA_ALIGN : 0));
        arena_init(&scratch, memory[1], sizes[1] - (less == 2 ? 2 * ARENA_ALIGN : 0));
        assert_int_equal(ridge_router_solve(w.sources, OWNERS, &w.o, &with, &r, NULL),
                         less ? STATUS_NO_MEMORY : STATUS_OK);
        assert_in_range(arena_high_water(&arena), 0, sizes[0]);
        assert_int_equal(scratch.used, 0);
        if (less)
            assert_int_equal(arena.used, 0);
    }
    free(memory[0]);
    free(memory[1]);
    ridge_fixture_close(&w.x);
}

void test_ridge_router_record_round_trip(void **state)
{
    (void)state;
    for (uint32_t contrast = 0; contrast < 2; contrast++) {
        struct world w;
        open_world(&w, 1);
        w.o.contrast = contrast;
        const struct ridge_router r = solve(&w, w.sources, OWNERS, &w.o);
        const size_t size = ridge_router_encoded_size(&r);
        uint8_t *bytes = malloc(size), *again = malloc(size);
        ridge_router_encode(&r, bytes, size);
        const size_t plan = ridge_router_decode_plan(bytes, size);
        void *memory = malloc(plan);
        struct arena arena;
        struct ridge_router back;
        arena_init(&arena, memory, plan);
        assert_int_equal(ridge_router_decode(bytes, size, &arena, &back, NULL), STATUS_OK);
        assert_int_equal(ridge_router_encoded_size(&back), size);
        ridge_router_encode(&back, again, size);
        assert_memory_equal(bytes, again, size);
        assert_true(ridge_router_is_of(&back, w.sources, OWNERS));
        assert_false(ridge_router_is_of(&back, w.sources, OWNERS - 1));
        w.sources[0].digest.b[5] ^= 1;
        assert_false(ridge_router_is_of(&back, w.sources, OWNERS));
        free(memory);
        free(bytes);
        free(again);
        ridge_fixture_close(&w.x);
    }
}

void test_ridge_router_record_is_strict(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1);
    const struct ridge_router r = solve(&w, w.sources, OWNERS, &w.o);
    const size_t size = ridge_router_encoded_size(&r);
    uint8_t *bytes = arena_alloc(&w.x.arena, size + 1, 1);
    bytes[size] = 0;
    ridge_router_encode(&r, bytes, size);
    struct ridge_router back;
    const size_t used = w.x.arena.used;
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(ridge_router_decode(bytes, cut, &w.x.arena, &back, NULL),
                         STATUS_BAD_FORMAT);
    assert_int_equal(ridge_router_decode(bytes, size + 1, &w.x.arena, &back, NULL),
                     STATUS_BAD_FORMAT);
    /* a share above 1, a weight that is not finite, and every single damaged byte: an error or
     * another record */
    const size_t shares = size - (size_t)6 * (WIDTH + 1) * 8;
    memset(bytes + shares, 0x41, 8);
    assert_int_equal(ridge_router_decode(bytes, size, &w.x.arena, &back, NULL), STATUS_BAD_FORMAT);
    ridge_router_encode(&r, bytes, size);
    memset(bytes + size - 8, 0xff, 8);
    assert_int_equal(ridge_router_decode(bytes, size, &w.x.arena, &back, NULL), STATUS_BAD_FORMAT);
    for (size_t i = 0; i < size - 8; i++) {
        ridge_router_encode(&r, bytes, size);
        bytes[i] ^= 0x41;
        (void)ridge_router_decode_plan(bytes, size);
        const struct arena_mark mark = arena_mark(&w.x.arena);
        if (ridge_router_decode(bytes, size, &w.x.arena, &back, NULL) == STATUS_OK)
            assert_true(ridge_router_encoded_size(&back) == size);
        arena_rewind(&w.x.arena, mark);
    }
    assert_int_equal(w.x.arena.used, used);
    ridge_fixture_close(&w.x);
}
