/* Terms of an owner: their record, strict to read, and what belongs together. */
#include "tests/support/test.h"

#include "tests/property/learners/ridge_fixture.h"

#define WIDTH 7

/* A copy of the record in memory of its exact size, so that reading past it is seen. */
static uint8_t *encoded(struct ridge_fixture *x, const struct ridge_terms *t, size_t *ret_size)
{
    (void)x;
    *ret_size = ridge_terms_encoded_size(t);
    uint8_t *bytes = malloc(*ret_size);
    assert_non_null(bytes);
    ridge_terms_encode(t, bytes, *ret_size);
    return bytes;
}

static enum status try_decode(struct ridge_fixture *x, const uint8_t *bytes, size_t size)
{
    struct ridge_terms t;
    const struct arena_mark mark = arena_mark(&x->arena);
    const enum status s = ridge_terms_decode(bytes, size, &x->arena, &t, NULL);
    if (s != STATUS_OK)
        assert_int_equal(arena_mark(&x->arena).used, mark.used);
    arena_rewind(&x->arena, mark);
    return s;
}

/* A multi-label owner of three classes. */
static struct ridge_terms *multi_terms(struct ridge_fixture *x)
{
    enum { n = 20 };
    static const char *const names[3] = {"bird", "cat", "dog"};
    struct ridge_terms *t = ridge_fixture_terms(x, "many", 0, 1, 5, 0, WIDTH);
    uint8_t hot[n * 3];
    for (uint32_t i = 0; i < n * 3; i++)
        hot[i] = i % 7 < 3;
    const float *rows = ridge_fixture_rows(x, 4, 0, n, WIDTH);
    t->multi = 1;
    t->terms[0].n_classes = 3;
    t->terms[0].classes = names;
    t->terms[0].fit = ridge_fixture_pack(x, rows, n, WIDTH, hot, 3);
    t->terms[0].held = ridge_fixture_pack(x, rows, 3, WIDTH, hot, 3);
    return t;
}

void test_ridge_terms_record_round_trip(void **state)
{
    (void)state;
    struct ridge_fixture x;
    ridge_fixture_open(&x, 1);
    const struct ridge_terms *kinds[3] = {ridge_fixture_terms(&x, "lane", 2, 3, 30, 8, WIDTH),
                                          ridge_fixture_terms(&x, "unheld", 0, 2, 9, 0, WIDTH),
                                          multi_terms(&x)};
    for (uint32_t k = 0; k < 3; k++) {
        size_t size, again_size;
        uint8_t *bytes = encoded(&x, kinds[k], &size);
        const size_t plan = ridge_terms_decode_plan(bytes, size);
        void *memory = malloc(plan);
        struct arena arena;
        struct ridge_terms back;
        arena_init(&arena, memory, plan);
        assert_int_equal(ridge_terms_decode(bytes, size, &arena, &back, NULL), STATUS_OK);
        uint8_t *again = encoded(&x, &back, &again_size);
        assert_int_equal(again_size, size);
        memset(bytes, 0, size); /* nothing of the record is borrowed */
        uint8_t *third = encoded(&x, &back, &again_size);
        assert_memory_equal(third, again, size);
        assert_string_equal(back.owner, kinds[k]->owner);
        assert_int_equal(ridge_terms_classes(&back), ridge_terms_classes(kinds[k]));
        free(bytes);
        free(again);
        free(third);
        free(memory);
    }
    ridge_fixture_close(&x);
}

void test_ridge_terms_record_cut_or_longer_is_refused(void **state)
{
    (void)state;
    struct ridge_fixture x;
    ridge_fixture_open(&x, 1);
    size_t size;
    uint8_t *bytes = encoded(&x, multi_terms(&x), &size);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *part = malloc(cut ? cut : 1);
        memcpy(part, bytes, cut);
        assert_int_equal(try_decode(&x, part, cut), STATUS_BAD_FORMAT);
        (void)ridge_terms_decode_plan(part, cut);
        free(part);
    }
    uint8_t *longer = calloc(size + 1, 1);
    memcpy(longer, bytes, size);
    assert_int_equal(try_decode(&x, longer, size + 1), STATUS_BAD_FORMAT);
    free(longer);
    free(bytes);
    ridge_fixture_close(&x);
}

/* Every byte changed: refused, or a record that writes itself back as it was read. */
void test_ridge_terms_record_with_a_changed_byte_is_refused_or_another_record(void **state)
{
    (void)state;
    struct ridge_fixture x;
    ridge_fixture_open(&x, 1);
    const struct ridge_terms *kinds[2] = {ridge_fixture_terms(&x, "lane", 2, 2, 30, 8, WIDTH),
                                          multi_terms(&x)};
    uint32_t refused = 0;
    for (uint32_t k = 0; k < 2; k++) {
        size_t size, again_size;
        uint8_t *bytes = encoded(&x, kinds[k], &size);
        for (size_t i = 0; i < size * 2; i++) {
            const uint8_t flip = i % 2 ? 0xff : 0x01;
            bytes[i / 2] ^= flip;
            struct ridge_terms t;
            const struct arena_mark mark = arena_mark(&x.arena);
            if (ridge_terms_decode(bytes, size, &x.arena, &t, NULL) == STATUS_OK) {
                uint8_t *again = encoded(&x, &t, &again_size);
                assert_int_equal(again_size, size);
                assert_memory_equal(again, bytes, size);
                free(again);
            } else {
                refused++;
            }
            arena_rewind(&x.arena, mark);
            bytes[i / 2] ^= flip;
        }
        free(bytes);
    }
    assert_true(refused > 100);
    ridge_fixture_close(&x);
}

void test_ridge_terms_of_impossible_shape_are_refused(void **state)
{
    (void)state;
    struct ridge_fixture x;
    ridge_fixture_open(&x, 1);
    struct ridge_terms *t = ridge_fixture_terms(&x, "lane", 2, 3, 30, 8, WIDTH);
    size_t size;
    /* class names out of order, and twice */
    const struct ridge_term first = t->terms[0];
    t->terms[0].classes = t->terms[1].classes;
    uint8_t *bytes = encoded(&x, t, &size);
    assert_int_equal(try_decode(&x, bytes, size), STATUS_BAD_FORMAT);
    free(bytes);
    t->terms[0] = t->terms[1];
    t->terms[1] = first;
    bytes = encoded(&x, t, &size);
    assert_int_equal(try_decode(&x, bytes, size), STATUS_BAD_FORMAT);
    free(bytes);
    /* no fitted image; several terms that claim to be of one multi-label owner; no owner */
    t = ridge_fixture_terms(&x, "lane", 2, 3, 30, 8, WIDTH);
    t->terms[1].fit = ridge_fixture_pack(&x, NULL, 0, WIDTH, NULL, 1);
    bytes = encoded(&x, t, &size);
    assert_int_equal(try_decode(&x, bytes, size), STATUS_BAD_FORMAT);
    free(bytes);
    t = ridge_fixture_terms(&x, "lane", 2, 3, 30, 8, WIDTH);
    t->multi = 1;
    bytes = encoded(&x, t, &size);
    assert_int_equal(try_decode(&x, bytes, size), STATUS_BAD_FORMAT);
    free(bytes);
    t->multi = 0;
    t->owner[0] = '\0';
    bytes = encoded(&x, t, &size);
    assert_int_equal(try_decode(&x, bytes, size), STATUS_BAD_FORMAT);
    free(bytes);
    ridge_fixture_close(&x);
}

void test_ridge_terms_of_another_trunk_are_named(void **state)
{
    (void)state;
    struct ridge_fixture x;
    struct fault f = {0};
    ridge_fixture_open(&x, 1);
    const struct ridge_terms *t = ridge_fixture_terms(&x, "lane", 0, 1, 5, 0, WIDTH);
    struct ridge_origin here = t->origin;
    assert_int_equal(ridge_terms_check(t, &here, &f), STATUS_OK);
    here.state.b[0] = 0x5a;
    assert_int_equal(ridge_terms_check(t, &here, &f), STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "trunk");
    assert_non_null(strstr(f.text, "0808080808080808"));
    assert_non_null(strstr(f.text, "5a08080808080808"));
    here = t->origin;
    here.base.b[1] ^= 1;
    assert_int_equal(ridge_terms_check(t, &here, &f), STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "base");
    here = t->origin;
    here.preprocessing.b[1] ^= 1;
    assert_int_equal(ridge_terms_check(t, &here, &f), STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "preprocessing");
    ridge_fixture_close(&x);
}

void test_ridge_terms_drop_names_what_it_cannot_do(void **state)
{
    (void)state;
    struct ridge_fixture x;
    struct fault f = {0};
    const struct digest left = {{0x11}};
    ridge_fixture_open(&x, 1);
    struct ridge_terms *t = ridge_fixture_terms(&x, "lane", 0, 2, 5, 0, WIDTH);
    assert_int_equal(ridge_terms_drop(t, "class07", &left, &f), STATUS_NOT_FOUND);
    assert_int_equal(ridge_terms_drop(t, "class00", &left, &f), STATUS_OK);
    assert_int_equal(t->n, 1);
    assert_string_equal(t->terms[0].classes[0], "class01");
    assert_true(digest_equal(&t->origin.data, &left));
    assert_int_equal(ridge_terms_drop(t, "class01", &left, &f), STATUS_FAILED_PRECONDITION);
    ridge_fixture_close(&x);
}

/* Counted in two parts and added, terms are those of one count, to the byte. */
void test_ridge_terms_counted_in_parts(void **state)
{
    (void)state;
    static const char *const names[3] = {"bird", "cat", "dog"};
    struct ridge_fixture x;
    struct ridge_terms part[2], all, sum;
    ridge_fixture_open(&x, 1);
    const float *rows = ridge_fixture_rows(&x, 4, 0, 40, WIDTH);
    struct ridge_term terms[2][2], whole[3];
    struct ridge_terms *t = ridge_fixture_terms(&x, "expert:s.1", 0, 2, 9, 2, WIDTH);
    part[0] = part[1] = all = *t;
    /* bird and cat in the first part, cat and dog in the second */
    for (uint32_t p = 0; p < 2; p++) {
        for (uint32_t i = 0; i < 2; i++) {
            terms[p][i] = t->terms[i];
            terms[p][i].classes = names + p + i;
            terms[p][i].fit =
                ridge_fixture_pack(&x, rows + (size_t)p * 10 * WIDTH, 10, WIDTH, NULL, 1);
            terms[p][i].held =
                ridge_fixture_pack(&x, rows + (size_t)p * 3 * WIDTH, 3, WIDTH, NULL, 1);
        }
        part[p].terms = terms[p];
        part[p].n = 2;
    }
    whole[0] = terms[0][0];
    whole[1] = terms[0][1];
    whole[1].fit = ridge_fixture_pack(&x, rows, 20, WIDTH, NULL, 1);
    whole[1].held = ridge_fixture_pack(&x, rows, 6, WIDTH, NULL, 1);
    whole[2] = terms[1][1];
    all.terms = whole;
    all.n = 3;
    const size_t plan = ridge_terms_merge_plan(&part[0], &part[1]);
    void *memory = malloc(plan);
    struct arena arena;
    arena_init(&arena, memory, plan);
    assert_int_equal(ridge_terms_merge(&part[0], &part[1], &arena, &sum, NULL), STATUS_OK);
    size_t size, same;
    uint8_t *a = encoded(&x, &all, &size), *b = encoded(&x, &sum, &same);
    assert_int_equal(size, same);
    assert_memory_equal(a, b, size);
    assert_int_equal(try_decode(&x, b, same), STATUS_OK);
    free(a);
    free(b);
    struct fault f = {0};
    const struct ridge_terms *several = multi_terms(&x);
    assert_int_equal(ridge_terms_merge(several, &part[0], &arena, &sum, &f),
                     STATUS_FAILED_PRECONDITION);
    part[1].width++;
    assert_int_equal(ridge_terms_merge(&part[0], &part[1], &arena, &sum, &f),
                     STATUS_FAILED_PRECONDITION);
    arena_fini(&arena);
    free(memory);
    ridge_fixture_close(&x);
}
