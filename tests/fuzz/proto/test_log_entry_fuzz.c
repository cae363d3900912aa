/*
 * Fuzzing of log entries.  For any bytes: no read outside them, a refusal says why, and an entry
 * that parses is written again from its values to the same bytes.  With -DLETHE_LIBFUZZER
 * -fsanitize=fuzzer the same entry point is driven by libFuzzer.
 */
#include "tests/support/corpus.h"

#include "proto/seal/log_entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "log entry fuzz: %s\n", what);
    abort();
}

/* What a parsed field is made of again. */
struct again {
    struct request_id ids[LOG_REQUESTS_MAX];
    struct digest digest;
    struct sha256 hash;
    struct sign_vkey vkey;
    char word[LOG_WORD_SIZE];
};

static struct log_value value_again(const struct log_entry *e, size_t i, struct again *to)
{
    const char *name = e->fields[i].is->name;
    const enum log_type type = e->fields[i].is->type;
    int64_t us = 0;
    uint64_t number = 0;
    size_t n = 0;
    switch (type) {
    case LOG_TYPE_TIME:
    case LOG_TYPE_DATE:
        require(log_entry_time(e, name, &us), "no time");
        return type == LOG_TYPE_TIME ? log_value_time(name, us) : log_value_date(name, us);
    case LOG_TYPE_REQUEST:
        require(log_entry_request(e, name, to->ids), "no request");
        return log_value_request(name, to->ids);
    case LOG_TYPE_REQUESTS:
        n = log_entry_requests(e, name, to->ids, LOG_REQUESTS_MAX);
        return log_value_requests(name, to->ids, n);
    case LOG_TYPE_WORD:
    case LOG_TYPE_ACTOR:
        require(log_entry_word(e, name, to->word), "no word");
        return type == LOG_TYPE_WORD ? log_value_word(name, to->word)
                                     : log_value_actor(name, to->word);
    case LOG_TYPE_NUMBER:
        require(log_entry_number(e, name, &number), "no number");
        return log_value_number(name, number);
    case LOG_TYPE_DIGEST:
        require(log_entry_digest(e, name, &to->digest), "no digest");
        return log_value_digest(name, &to->digest);
    case LOG_TYPE_SHA256:
    case LOG_TYPE_COMMITMENT:
        require(log_entry_hash(e, name, &to->hash), "no hash");
        return type == LOG_TYPE_SHA256 ? log_value_sha256(name, &to->hash)
                                       : log_value_commitment(name, &to->hash);
    case LOG_TYPE_VKEY:
        require(log_entry_vkey(e, name, &to->vkey), "no key");
        return log_value_vkey(name, &to->vkey);
    case LOG_TYPES:
        break;
    }
    require(0, "a type that is none");
    return (struct log_value){0};
}

static void write_again(const struct log_entry *e, const uint8_t *data, size_t size)
{
    struct again made[LOG_FIELDS_MAX];
    struct log_value values[LOG_FIELDS_MAX];
    char text[LOG_ENTRY_MAX];
    size_t n = 0, written = 0;
    for (size_t i = 0; i < e->n_fields; i++)
        if (!e->fields[i].absent) {
            values[n] = value_again(e, i, &made[n]);
            n++;
        }
    require(log_entry_write(e->kind, e->time_us, e->clock_held, values, n, text, &written, NULL) ==
                STATUS_OK,
            "cannot be written again");
    require(written == size && memcmp(text, data, size) == 0, "other bytes");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log_entry e;
    struct fault f = {0};
    const enum status st = log_entry_parse(data, size, &e, &f);
    if (st == STATUS_OK) {
        write_again(&e, data, size);
        return 0;
    }
    require(st == STATUS_BAD_FORMAT || st == STATUS_UNIMPLEMENTED, "another status");
    require(f.text[0] != '\0', "a refusal without a reason");
    return 0;
}

#ifndef LETHE_LIBFUZZER

void test_fuzz_log_entry(void **state)
{
    struct corpus c;
    (void)state;
    corpus_load(&c, "tests/fuzz/proto/corpus_log_entry", 28);
    corpus_run(&c, "log-entry-fuzz", 400, LLVMFuzzerTestOneInput);
    corpus_free(&c);
}

#endif
