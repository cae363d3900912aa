/* Log entries: exact text, every kind there and back, every bit, and every form that is refused. */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "proto/seal/log_entry.h"

#define NOW INT64_C(1772359200123456) /* 2026-03-01T10:00:00.123456Z */

static struct request_id ids[LOG_REQUESTS_MAX + 1];
static struct digest digest;
static struct sha256 hash;
static struct sign_vkey vkey;

int group_setup(void **state);

int group_setup(void **state)
{
    struct sign_key *key = NULL;
    const uint8_t seed[SIGN_SEED_SIZE] = {1};
    (void)state;
    for (size_t i = 0; i < LOG_REQUESTS_MAX + 1; i++)
        memset(ids[i].b, (int)(i + 1), sizeof ids[i].b);
    memset(digest.b, 0xab, sizeof digest.b);
    hash = sha256_of("x", 1);
    if (sign_key_from_seed("example.org/lethe/7f3a9c01", SIGN_LOG, seed, &key, NULL) != STATUS_OK)
        return -1;
    vkey = *sign_key_public(key);
    sign_key_free(key);
    return 0;
}

/* A value for a field; `which` is one of several. */
static struct log_value value_of(const struct log_field_type *is, unsigned which)
{
    static const char *const words[] = {"forget", "a", "9.x_Y-z"};
    static const char *const actors[] = {"local", "lethed", "k:9f2c41d07a66be13"};
    static const uint64_t numbers[] = {0, 4711, UINT64_MAX};
    switch (is->type) {
    case LOG_TYPE_TIME:
        return log_value_time(is->name, NOW);
    case LOG_TYPE_DATE:
        return log_value_date(is->name, NOW);
    case LOG_TYPE_REQUEST:
        return log_value_request(is->name, &ids[which]);
    case LOG_TYPE_REQUESTS:
        return log_value_requests(is->name, ids, which ? LOG_REQUESTS_MAX + which - 1 : 1);
    case LOG_TYPE_WORD:
        return log_value_word(is->name, words[which]);
    case LOG_TYPE_NUMBER:
        return log_value_number(is->name, numbers[which]);
    case LOG_TYPE_DIGEST:
        return log_value_digest(is->name, &digest);
    case LOG_TYPE_SHA256:
        return log_value_sha256(is->name, &hash);
    case LOG_TYPE_COMMITMENT:
        return log_value_commitment(is->name, &hash);
    case LOG_TYPE_ACTOR:
        return log_value_actor(is->name, actors[which]);
    case LOG_TYPE_VKEY:
        return log_value_vkey(is->name, &vkey);
    case LOG_TYPES:
        break;
    }
    fail();
    return (struct log_value){0};
}

/* An entry of this kind; with the optional fields or without. */
static size_t make(enum log_kind kind, unsigned which, int all, char to[LOG_ENTRY_MAX])
{
    struct log_value values[LOG_FIELDS_MAX];
    struct fault f = {0};
    size_t n_fields = 0, n = 0, size = 0;
    const struct log_field_type *fields = log_kind_fields(kind, &n_fields);
    assert_true(n_fields <= LOG_FIELDS_MAX);
    /* In the opposite order: the order of the text is the kind's. */
    for (size_t i = n_fields; i-- > 0;)
        if (all || !fields[i].optional)
            values[n++] = value_of(&fields[i], which);
    const enum status st = log_entry_write(kind, NOW, which == 1, values, n, to, &size, &f);
    if (st != STATUS_OK)
        fail_msg("%s %s: %s", log_kind_name(kind), f.field, f.text);
    return size;
}

void test_log_entry_exact_text(void **state)
{
    static const char wanted[] = "lethe-log/v1 request.accepted\n"
                                 "time 2026-03-01T10:00:00.123456Z\n"
                                 "clock ok\n"
                                 "request 01010101-0101-0101-0101-010101010101\n"
                                 "kind forget\n"
                                 "role privacy\n"
                                 "actor k:9f2c41d07a66be13\n"
                                 "payload LXEWQrcmsEQBYnylyOs5h83BGwgtgZ6ZqLdIjHHcfoE=\n"
                                 "subject -\n"
                                 "due 2026-04-01\n";
    const struct sha256 payload = {{0x2d, 0x71, 0x16, 0x42, 0xb7, 0x26, 0xb0, 0x44,
                                    0x01, 0x62, 0x7c, 0xa5, 0xc8, 0xeb, 0x39, 0x87,
                                    0xcd, 0xc1, 0x1b, 0x08, 0x2d, 0x81, 0x9e, 0x99,
                                    0xa8, 0xb7, 0x48, 0x8c, 0x71, 0xdc, 0x7e, 0x81}};
    const struct log_value values[] = {
        log_value_request("request", &ids[0]),
        log_value_word("kind", "forget"),
        log_value_word("role", "privacy"),
        log_value_actor("actor", "k:9f2c41d07a66be13"),
        log_value_commitment("payload", &payload),
        log_value_commitment("subject", NULL),
        log_value_date("due", INT64_C(1775001600000000)),
    };
    char text[LOG_ENTRY_MAX];
    size_t n = 0;
    (void)state;
    assert_int_equal(log_entry_write(LOG_KIND_REQUEST_ACCEPTED, NOW, 0, values,
                                     sizeof values / sizeof *values, text, &n, NULL),
                     STATUS_OK);
    assert_int_equal(n, sizeof wanted - 1);
    assert_memory_equal(text, wanted, n);
}

/* The value that a parsed field stands for, made again from what the typed functions give. */
static struct log_value value_again(const struct log_entry *e, const struct log_field_type *is)
{
    static struct request_id id, list[LOG_REQUESTS_MAX];
    static struct digest d;
    static struct sha256 h;
    static struct sign_vkey v;
    static char words[LOG_FIELDS_MAX][LOG_WORD_SIZE];
    static size_t turn;
    char *word = words[turn++ % LOG_FIELDS_MAX];
    int64_t us = 0;
    uint64_t number = 0;
    switch (is->type) {
    case LOG_TYPE_TIME:
    case LOG_TYPE_DATE:
        assert_true(log_entry_time(e, is->name, &us));
        return is->type == LOG_TYPE_DATE ? log_value_date(is->name, us)
                                         : log_value_time(is->name, us);
    case LOG_TYPE_REQUEST:
        assert_true(log_entry_request(e, is->name, &id));
        return log_value_request(is->name, &id);
    case LOG_TYPE_REQUESTS:
        return log_value_requests(is->name, list,
                                  log_entry_requests(e, is->name, list, LOG_REQUESTS_MAX));
    case LOG_TYPE_WORD:
        assert_true(log_entry_word(e, is->name, word));
        return log_value_word(is->name, word);
    case LOG_TYPE_ACTOR:
        assert_true(log_entry_word(e, is->name, word));
        return log_value_actor(is->name, word);
    case LOG_TYPE_NUMBER:
        assert_true(log_entry_number(e, is->name, &number));
        return log_value_number(is->name, number);
    case LOG_TYPE_DIGEST:
        assert_true(log_entry_digest(e, is->name, &d));
        return log_value_digest(is->name, &d);
    case LOG_TYPE_SHA256:
    case LOG_TYPE_COMMITMENT:
        assert_true(log_entry_hash(e, is->name, &h));
        return is->type == LOG_TYPE_SHA256 ? log_value_sha256(is->name, &h)
                                           : log_value_commitment(is->name, &h);
    case LOG_TYPE_VKEY:
        assert_true(log_entry_vkey(e, is->name, &v));
        return log_value_vkey(is->name, &v);
    case LOG_TYPES:
        break;
    }
    fail();
    return (struct log_value){0};
}

static void check_round_trip(enum log_kind kind, unsigned which, int all)
{
    char text[LOG_ENTRY_MAX], again[LOG_ENTRY_MAX];
    struct log_value values[LOG_FIELDS_MAX];
    struct log_entry e;
    struct fault f = {0};
    size_t n_fields = 0, n = 0, size = 0;
    const size_t written = make(kind, which, all, text);
    (void)log_kind_fields(kind, &n_fields);
    if (log_entry_parse(text, written, &e, &f) != STATUS_OK)
        fail_msg("%s %s: %s", log_kind_name(kind), f.field, f.text);
    assert_int_equal(e.kind, kind);
    assert_true(e.time_us == NOW);
    assert_int_equal(e.clock_held, which == 1);
    assert_int_equal(e.n_fields, n_fields);
    for (size_t i = 0; i < e.n_fields; i++) {
        assert_int_equal(e.fields[i].absent, !all && e.fields[i].is->optional);
        if (!e.fields[i].absent)
            values[n++] = value_again(&e, e.fields[i].is);
    }
    assert_int_equal(log_entry_write(kind, NOW, e.clock_held, values, n, again, &size, NULL),
                     STATUS_OK);
    assert_int_equal(size, written);
    assert_memory_equal(text, again, size);
}

void test_log_entry_every_kind_round_trips(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < LOG_KINDS; kind++)
        for (unsigned which = 0; which < 3; which++)
            for (int all = 0; all < 2; all++)
                check_round_trip((enum log_kind)kind, which, all);
}

/* Commitments carry the field's name, receipts are copied into LOG_NAME_SIZE. */
void test_log_entry_names_are_short_and_unique(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < LOG_KINDS; kind++) {
        size_t n = 0;
        const char *name = log_kind_name((enum log_kind)kind);
        const struct log_field_type *fields = log_kind_fields((enum log_kind)kind, &n);
        assert_true(strlen(name) < LOG_KIND_SIZE);
        assert_int_equal(log_kind_parse(name, strlen(name)), kind);
        for (size_t i = 0; i < n; i++) {
            assert_true(strlen(fields[i].name) < LOG_NAME_SIZE);
            assert_string_not_equal(fields[i].name, "time");
            assert_string_not_equal(fields[i].name, "clock");
            for (size_t j = 0; j < i; j++)
                assert_string_not_equal(fields[i].name, fields[j].name);
        }
    }
}

/* Every flipped bit gives no entry, or one with another kind, time, clock or value. */
void test_log_entry_every_flipped_bit_tells(void **state)
{
    char text[LOG_ENTRY_MAX];
    struct log_entry was, is;
    (void)state;
    for (unsigned kind = 0; kind < LOG_KINDS; kind++) {
        const size_t n = make((enum log_kind)kind, 2, 1, text);
        char copy[LOG_ENTRY_MAX];
        memcpy(copy, text, n);
        assert_int_equal(log_entry_parse(copy, n, &was, NULL), STATUS_OK);
        for (size_t bit = 0; bit < 8 * n; bit++) {
            int differs = 0;
            text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
            if (log_entry_parse(text, n, &is, NULL) == STATUS_OK) {
                differs = is.kind != was.kind || is.time_us != was.time_us ||
                          is.clock_held != was.clock_held;
                for (size_t i = 0; !differs && i < is.n_fields; i++)
                    differs = is.fields[i].size != was.fields[i].size ||
                              memcmp(is.fields[i].text, was.fields[i].text, is.fields[i].size);
                assert_true(differs);
            }
            text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        }
        for (size_t cut = 0; cut < n; cut++)
            assert_int_not_equal(log_entry_parse(text, cut, &is, NULL), STATUS_OK);
    }
}

/* ---------------------------------------------------------------- refusals of the writer */

#define ID_VALUE log_value_request("request", &ids[0])

static void refused(enum log_kind kind, const struct log_value *values, size_t n, const char *field)
{
    char text[LOG_ENTRY_MAX];
    size_t size = 77;
    struct fault f = {0};
    assert_int_equal(log_entry_write(kind, NOW, 0, values, n, text, &size, &f),
                     STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, field);
    assert_int_equal(size, 77);
}

void test_log_entry_writer_names_the_field(void **state)
{
    const struct log_value absent[] = {ID_VALUE, log_value_actor("actor", NULL)};
    const struct log_value twice[] = {ID_VALUE, log_value_actor("actor", "local"), ID_VALUE};
    const struct log_value other[] = {ID_VALUE, log_value_actor("actor", "local"),
                                      log_value_word("role", "admin")};
    const struct log_value type[] = {ID_VALUE, log_value_word("actor", "local")};
    const struct log_value form[] = {ID_VALUE, log_value_actor("actor", "root")};
    const struct log_value zero[] = {log_value_request("request", &(struct request_id){{0}}),
                                     log_value_actor("actor", "local")};
    (void)state;
    refused(LOG_KIND_REQUEST_CANCEL, absent, 1, "actor");
    refused(LOG_KIND_REQUEST_CANCEL, absent, 2, "actor");
    refused(LOG_KIND_REQUEST_CANCEL, twice, 3, "request");
    refused(LOG_KIND_REQUEST_CANCEL, other, 3, "role");
    refused(LOG_KIND_REQUEST_CANCEL, type, 2, "actor");
    refused(LOG_KIND_REQUEST_CANCEL, form, 2, "actor");
    refused(LOG_KIND_REQUEST_CANCEL, zero, 2, "request");
}

void test_log_entry_writer_refuses_bad_words(void **state)
{
    static const char *const words[] = {
        "-",   "two words", "a\nb",
        "a\n", "\xc3\xa4",  "_a",
        ".a",  "a/b",       "12345678901234567890123456789012345678901234567890123456789012345"};
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const struct log_value values[] = {log_value_word("reason", words[i]),
                                           log_value_number("count", 1)};
        refused(LOG_KIND_DENIAL, values, 2, "reason");
    }
}

void test_log_entry_writer_refuses_times_it_cannot_write(void **state)
{
    static const int64_t times[] = {-1, INT64_MIN, INT64_MAX, INT64_C(253402300800000000)};
    const struct log_value values[] = {ID_VALUE, log_value_actor("actor", "local")};
    char text[LOG_ENTRY_MAX];
    size_t n = 0;
    struct log_entry e;
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        struct fault f = {0};
        assert_int_equal(
            log_entry_write(LOG_KIND_REQUEST_CANCEL, times[i], 0, values, 2, text, &n, &f),
            STATUS_INVALID_ARGUMENT);
        assert_string_equal(f.field, "time");
    }
    static const int64_t good[] = {0, 1, INT64_C(951782400000000), INT64_C(253402300799999999)};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(
            log_entry_write(LOG_KIND_REQUEST_CANCEL, good[i], 0, values, 2, text, &n, NULL),
            STATUS_OK);
        assert_int_equal(log_entry_parse(text, n, &e, NULL), STATUS_OK);
        assert_true(e.time_us == good[i]);
    }
}

/* ---------------------------------------------------------------- refusals of the reader */

#define HEAD "lethe-log/v1 request.cancel\ntime 2026-03-01T10:00:00.000000Z\nclock ok\n"
#define TAIL "request 0195515f-9d00-7a3c-8f21-5b6c7d8e9f00\nactor local\n"

static enum status parse(const char *text)
{
    struct log_entry e;
    struct fault f = {0};
    const enum status st = log_entry_parse(text, strlen(text), &e, &f);
    if (st != STATUS_OK)
        assert_true(f.text[0] != '\0');
    return st;
}

void test_log_entry_reader_refuses_other_shapes(void **state)
{
    static const char *const bad[] = {
        "",
        "\n",
        "lethe-log/v1 request.cancel",
        "lethe-log/v1 request.cancel\n",
        HEAD,
        HEAD "request 0195515f-9d00-7a3c-8f21-5b6c7d8e9f00\n",
        HEAD TAIL "\n",
        HEAD TAIL "actor local\n",
        HEAD "actor local\nrequest 0195515f-9d00-7a3c-8f21-5b6c7d8e9f00\n",
        HEAD "request  0195515f-9d00-7a3c-8f21-5b6c7d8e9f00\nactor local\n",
        HEAD "request 0195515f-9d00-7a3c-8f21-5b6c7d8e9f00 \nactor local\n",
        HEAD "request 0195515F-9d00-7a3c-8f21-5b6c7d8e9f00\nactor local\n",
        HEAD "request 0195515f-9d00-7a3c-8f21-5b6c7d8e9f0\nactor local\n",
        HEAD "request 00000000-0000-0000-0000-000000000000\nactor local\n",
        HEAD "request -\nactor local\n",
        HEAD "request 0195515f-9d00-7a3c-8f21-5b6c7d8e9f00\r\nactor local\n",
        HEAD "request 0195515f-9d00-7a3c-8f21-5b6c7d8e9f00\nactor Local\n",
        HEAD "request 0195515f-9d00-7a3c-8f21-5b6c7d8e9f00\nactor k:9F2c41d07a66be13\n",
        HEAD "request 0195515f-9d00-7a3c-8f21-5b6c7d8e9f00\nactor\n",
        "lethe-log/v1 request.cancel\nclock ok\ntime 2026-03-01T10:00:00.000000Z\n" TAIL,
        "lethe-log/v1 request.cancel\ntime 2026-03-01T10:00:00Z\nclock ok\n" TAIL,
        "lethe-log/v1 request.cancel\ntime 2026-03-01T10:00:00.000Z\nclock ok\n" TAIL,
        "lethe-log/v1 request.cancel\ntime 2026-03-01T10:00:00.000000z\nclock ok\n" TAIL,
        "lethe-log/v1 request.cancel\ntime 2026-02-29T10:00:00.000000Z\nclock ok\n" TAIL,
        "lethe-log/v1 request.cancel\ntime 2026-03-01T10:00:60.000000Z\nclock ok\n" TAIL,
        "lethe-log/v1 request.cancel\ntime 2026-03-01T24:00:00.000000Z\nclock ok\n" TAIL,
        "lethe-log/v1 request.cancel\ntime 1969-12-31T23:59:59.999999Z\nclock ok\n" TAIL,
        "lethe-log/v1 request.cancel\ntime 2026-03-01T10:00:00.000000Z\nclock late\n" TAIL,
        "lethe-log/v1 request.cancel\ntime 2026-03-01T10:00:00.000000Z\n" TAIL,
        "lethe-receipt/v1\n",
    };
    (void)state;
    assert_int_equal(parse(HEAD TAIL), STATUS_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(parse(bad[i]), STATUS_BAD_FORMAT);
}

void test_log_entry_reader_tells_newer_from_malformed(void **state)
{
    (void)state;
    assert_int_equal(parse("lethe-log/v2 request.cancel\n"), STATUS_UNIMPLEMENTED);
    assert_int_equal(parse("lethe-log/v1 request.celebrated\n"), STATUS_UNIMPLEMENTED);
    assert_int_equal(parse("lethe-log/v1 \n"), STATUS_UNIMPLEMENTED);
}

void test_log_entry_reader_bounds_its_input(void **state)
{
    static char text[LOG_ENTRY_MAX + 1];
    struct log_entry e;
    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text, HEAD, sizeof HEAD - 1);
    assert_int_equal(log_entry_parse(text, sizeof text, &e, NULL), STATUS_BAD_FORMAT);
    assert_int_equal(log_entry_parse(text, sizeof text - 1, &e, NULL), STATUS_BAD_FORMAT);
    assert_int_equal(log_entry_parse(NULL, 0, &e, NULL), STATUS_BAD_FORMAT);
}

/* The text of one value in a place that takes it. */
static int is_one(enum log_type type, const char *text)
{
    return log_text_is(type, text, strlen(text));
}

void test_log_entry_values_have_one_text(void **state)
{
    char list[(LOG_REQUESTS_MAX + 1) * REQUEST_ID_TEXT_SIZE + 1] = "";
    (void)state;
    assert_true(is_one(LOG_TYPE_NUMBER, "0"));
    assert_true(is_one(LOG_TYPE_NUMBER, "18446744073709551615"));
    assert_false(is_one(LOG_TYPE_NUMBER, "18446744073709551616"));
    assert_false(is_one(LOG_TYPE_NUMBER, "00"));
    assert_false(is_one(LOG_TYPE_NUMBER, "+1"));
    assert_false(is_one(LOG_TYPE_NUMBER, "1\xb9"));
    assert_false(is_one(LOG_TYPE_NUMBER, ""));
    assert_true(is_one(LOG_TYPE_DATE, "2028-02-29"));
    assert_false(is_one(LOG_TYPE_DATE, "2026-02-29"));
    assert_false(is_one(LOG_TYPE_DATE, "2026-2-09"));
    assert_false(is_one(LOG_TYPE_DATE, "2026-04-01T"));
    assert_false(is_one(LOG_TYPE_DIGEST, "AB"));
    assert_false(is_one(LOG_TYPE_SHA256, "LXEWQrcmsEQBYnylyOs5h83BGwgtgZ6ZqLdIjHHcfoF="));
    assert_false(is_one(LOG_TYPE_ACTOR, "k:9f2c41d07a66be1"));
    assert_false(is_one(LOG_TYPE_ACTOR, "k-9f2c41d07a66be13"));
    assert_false(is_one(LOG_TYPE_VKEY, "example.org/lethe/7f3a9c01"));
    for (size_t i = 0; i < LOG_REQUESTS_MAX; i++) {
        char id[REQUEST_ID_TEXT_SIZE];
        request_id_format(&ids[i], id);
        (void)snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? " " : "", id);
        assert_true(is_one(LOG_TYPE_REQUESTS, list));
    }
    list[REQUEST_ID_TEXT_SIZE - 1] = '_';
    assert_false(is_one(LOG_TYPE_REQUESTS, list));
    list[REQUEST_ID_TEXT_SIZE - 1] = ' ';
    strncat(list, " 0195515f-9d00-7a3c-8f21-5b6c7d8e9f00", sizeof list - strlen(list) - 1);
    assert_false(is_one(LOG_TYPE_REQUESTS, list));
    assert_false(is_one(LOG_TYPE_REQUESTS, ""));
    for (unsigned type = 0; type < LOG_TYPES; type++)
        assert_false(is_one((enum log_type)type, "-"));
}

/* Asking for what is not there, or is of another type, leaves the output alone. */
void test_log_entry_getters_answer_only_their_type(void **state)
{
    char text[LOG_ENTRY_MAX], word[LOG_WORD_SIZE] = "left";
    uint64_t number = 5;
    struct log_entry e;
    struct request_id id = {{9}};
    (void)state;
    const size_t n = make(LOG_KIND_SERVING_MOVED, 1, 0, text);
    assert_int_equal(log_entry_parse(text, n, &e, NULL), STATUS_OK);
    assert_false(log_entry_request(&e, "request", &id));
    assert_false(log_entry_request(&e, "generation", &id));
    assert_false(log_entry_number(&e, "to", &number));
    assert_false(log_entry_number(&e, "nothing", &number));
    assert_false(log_entry_word(&e, "actor", word));
    assert_int_equal(log_entry_requests(&e, "request", &id, 1), 0);
    assert_int_equal(id.b[0], 9);
    assert_int_equal(number, 5);
    assert_string_equal(word, "left");
    assert_true(log_entry_number(&e, "generation", &number));
    assert_int_equal(number, 4711);
    assert_null(log_entry_field(&e, "nothing"));
    assert_true(log_entry_field(&e, "from")->absent);
}
