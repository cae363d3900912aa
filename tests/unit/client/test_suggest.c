/* Nearest names. */
#include "tests/support/test.h"

#include "client/cli/suggest.h"

#include <string.h>

static const char *const LABELS[] = {"T-shirt/top", "Trouser", "Pullover", "Dress",      "Coat",
                                     "Sandal",      "Shirt",   "Sneaker",  "Ankle boot", "Bag"};
#define N 10

static const char *nearest(const char *word)
{
    const size_t i = suggest_nearest(word, LABELS, N);
    return i < N ? LABELS[i] : "";
}

void test_suggest_distance(void **state)
{
    (void)state;
    assert_int_equal(suggest_distance("", ""), 0);
    assert_int_equal(suggest_distance("", "abc"), 3);
    assert_int_equal(suggest_distance("kitten", "sitting"), 3);
    assert_int_equal(suggest_distance("Sandal", "sandal"), 0);
    assert_int_equal(suggest_distance("Sadnal", "Sandal"), 1); /* neighbours swapped */
    assert_int_equal(suggest_distance("ca", "abc"), 3);        /* restricted form */
    char a[200], b[200];
    memset(a, 'x', sizeof a);
    memset(b, 'y', sizeof b);
    a[199] = b[199] = '\0';
    assert_true(suggest_distance(a, b) < SUGGEST_FAR);
}

void test_suggest_nearest(void **state)
{
    (void)state;
    assert_string_equal(nearest("Sandals"), "Sandal");
    assert_string_equal(nearest("sneeker"), "Sneaker");
    assert_string_equal(nearest("ankle"), "Ankle boot"); /* part of one name */
    assert_string_equal(nearest("T-Shirt"), "T-shirt/top");
    assert_string_equal(nearest("shirt"), "Shirt"); /* part of two names, equal to one */
    assert_string_equal(nearest("bags"), "Bag");
    assert_string_equal(nearest("elephant"), "");
    assert_string_equal(nearest("q"), "");
    assert_string_equal(nearest(""), "");
    assert_int_equal(suggest_nearest("x", LABELS, 0), 0);
}
