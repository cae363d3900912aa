/* What stands for a subject: no id in it, the same id the same, nobody is nobody. */
#include "tests/support/test.h"

#include <string.h>

#include "proto/seal/hash.h"
#include "proto/seal/subject.h"

static const struct subject_key one = {{1}}, two = {{2}};

void test_subject_public_is_the_hash_of_its_layout(void **state)
{
    (void)state;
    const struct digest d = subject_public("anna"), nobody = subject_public("");
    const struct digest expected = seal_hash("lethe/subject/v1\nanna", 21);
    assert_true(digest_equal(&d, &expected));
    assert_true(digest_is_zero(&nobody));
}

void test_subject_stored_depends_on_key_and_id(void **state)
{
    (void)state;
    const struct digest anna = subject_public("anna"), bob = subject_public("bob");
    const struct digest a = subject_stored(&one, &anna), again = subject_stored(&one, &anna);
    const struct digest b = subject_stored(&one, &bob), c = subject_stored(&two, &anna);
    const struct digest zero = {0}, nobody = subject_stored(&one, &zero);
    assert_true(digest_equal(&a, &again));
    assert_false(digest_equal(&a, &b));
    assert_false(digest_equal(&a, &c));
    assert_false(digest_equal(&a, &anna));
    assert_true(digest_is_zero(&nobody));
}

void test_subject_text_reads_back(void **state)
{
    (void)state;
    char text[SUBJECT_TEXT_SIZE];
    struct digest back;
    const struct digest anna = subject_public("anna"), a = subject_stored(&one, &anna);
    subject_format(&a, text);
    assert_int_equal(strncmp(text, "subject:", 8), 0);
    assert_int_equal(subject_parse(text, &back), 0);
    assert_true(digest_equal(&back, &a));
    assert_int_equal(subject_parse(text + 1, &back), -1);
    text[20] = 'x';
    assert_int_equal(subject_parse(text, &back), -1);
    assert_int_equal(subject_parse("anna", &back), -1);
    assert_int_equal(subject_parse("", &back), -1);
    const struct digest nobody = {0};
    subject_format(&nobody, text);
    assert_int_equal(subject_parse(text, &back), -1);
}
