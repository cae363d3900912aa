/* Every learner of learners.def keeps what learners/learner.h promises; see learner_contract.h. */
#include "tests/property/learners/learner_contract.h"

void test_learner_contract_names_are_unique(void **state)
{
    (void)state;
    assert_true(learner_count() >= 1);
    for (size_t i = 0; i < learner_count(); i++) {
        const struct learner *l = learner_at(i);
        assert_ptr_equal(learner_find(l->name), l);
        assert_ptr_equal(learner_of_kind(l->kind), l);
        assert_true(strlen(l->text) > 10);
    }
    assert_null(learner_at(learner_count()));
    assert_null(learner_find("no such learner"));
}

void test_learner_contract_same_bytes_for_any_number_of_threads(void **state)
{
    (void)state;
    for (size_t i = 0; i < learner_count(); i++)
        learner_contract_threads(learner_at(i));
}

void test_learner_contract_less_memory_is_refused_and_given_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < learner_count(); i++)
        learner_contract_memory(learner_at(i));
}

void test_learner_contract_unknown_option_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < learner_count(); i++)
        learner_contract_option(learner_at(i));
}

void test_learner_contract_damaged_components_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < learner_count(); i++)
        learner_contract_components(learner_at(i));
}

void test_learner_contract_answers_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    for (size_t i = 0; i < learner_count(); i++)
        learner_contract_batch(learner_at(i));
}
