#include "proto/seal/log_value.h"

#include "daemon/base/invariant.h"
#include "proto/seal/base64.h"
#include "proto/seal/lines.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define US_PER_S      1000000
#define TIME_END_US   (INT64_C(253402300800) * US_PER_S) /* 10000-01-01 */
#define DATE_CHARS    10
#define REQUEST_CHARS (REQUEST_ID_TEXT_SIZE - 1)
#define DIGEST_CHARS  (DIGEST_TEXT_SIZE - 1)
#define PRINT_CHARS   18 /* k: and 16 digits */

const char *log_type_name(enum log_type type)
{
    static const char *const names[LOG_TYPES] = {
        [LOG_TYPE_TIME] = "time",
        [LOG_TYPE_DATE] = "date",
        [LOG_TYPE_REQUEST] = "request",
        [LOG_TYPE_REQUESTS] = "requests",
        [LOG_TYPE_WORD] = "word",
        [LOG_TYPE_NUMBER] = "number",
        [LOG_TYPE_DIGEST] = "digest",
        [LOG_TYPE_SHA256] = "sha256",
        [LOG_TYPE_COMMITMENT] = "commitment",
        [LOG_TYPE_ACTOR] = "actor",
        [LOG_TYPE_VKEY] = "vkey",
    };
    INVARIANT((unsigned)type < LOG_TYPES);
    return names[type];
}

/* ---------------------------------------------------------------- times */

int log_time_is_valid(int64_t wall_us)
{
    return wall_us >= 0 && wall_us < TIME_END_US;
}

void log_time_format(int64_t wall_us, char text[LOG_TIME_CHARS + 1])
{
    struct tm tm = {0};
    char day[LOG_TIME_CHARS + 1];
    const time_t seconds = (time_t)(wall_us / US_PER_S);
    INVARIANT(log_time_is_valid(wall_us));
    (void)gmtime_r(&seconds, &tm);
    (void)strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    const int n = snprintf(text, LOG_TIME_CHARS + 1, "%.19s.%06dZ", day, (int)(wall_us % US_PER_S));
    INVARIANT(n == LOG_TIME_CHARS);
}

/* Digits from..from+n-1 as a number; whatever is no digit is found out by writing it again. */
static int digits(const char *text, size_t from, size_t n)
{
    int x = 0;
    for (size_t i = 0; i < n; i++)
        x = x * 10 + (text[from + i] - '0') % 10;
    return x;
}

int log_time_parse(const char *text, size_t n, int64_t *ret_wall_us)
{
    char again[LOG_TIME_CHARS + 1];
    if (n != LOG_TIME_CHARS)
        return -1;
    struct tm tm = {.tm_year = digits(text, 0, 4) - 1900,
                    .tm_mon = digits(text, 5, 2) - 1,
                    .tm_mday = digits(text, 8, 2),
                    .tm_hour = digits(text, 11, 2),
                    .tm_min = digits(text, 14, 2),
                    .tm_sec = digits(text, 17, 2)};
    const int64_t us = (int64_t)timegm(&tm) * US_PER_S + digits(text, 20, 6);
    if (!log_time_is_valid(us))
        return -1;
    log_time_format(us, again);
    if (memcmp(text, again, LOG_TIME_CHARS) != 0)
        return -1;
    *ret_wall_us = us;
    return 0;
}

/* A day is the first ten characters of a time. */
static int date_parse(const char *text, size_t n, int64_t *ret_wall_us)
{
    char time[LOG_TIME_CHARS + 1] = "0000-00-00T00:00:00.000000Z";
    if (n != DATE_CHARS)
        return -1;
    memcpy(time, text, DATE_CHARS);
    return log_time_parse(time, LOG_TIME_CHARS, ret_wall_us);
}

/* ---------------------------------------------------------------- values to write */

struct log_value log_value_time(const char *name, int64_t wall_us)
{
    return (struct log_value){name, LOG_TYPE_TIME,
                              .absent = !log_time_is_valid(wall_us) || !wall_us,
                              .number = (uint64_t)wall_us};
}

struct log_value log_value_date(const char *name, int64_t wall_us)
{
    struct log_value v = log_value_time(name, wall_us);
    v.type = LOG_TYPE_DATE;
    return v;
}

struct log_value log_value_request(const char *name, const struct request_id *id)
{
    return (struct log_value){name, LOG_TYPE_REQUEST, .absent = !id || request_id_is_zero(id),
                              .at = id};
}

struct log_value log_value_requests(const char *name, const struct request_id *ids, size_t n)
{
    const size_t written = n < LOG_REQUESTS_MAX ? n : LOG_REQUESTS_MAX;
    return (struct log_value){name, LOG_TYPE_REQUESTS, .absent = n == 0, .at = ids, .n = written};
}

static struct log_value text_value(const char *name, enum log_type type, const char *text)
{
    return (struct log_value){name, type, .absent = !text || !*text, .at = text,
                              .n = text ? strlen(text) : 0};
}

struct log_value log_value_word(const char *name, const char *word)
{
    return text_value(name, LOG_TYPE_WORD, word);
}

struct log_value log_value_number(const char *name, uint64_t number)
{
    return (struct log_value){name, LOG_TYPE_NUMBER, .number = number};
}

struct log_value log_value_digest(const char *name, const struct digest *digest)
{
    return (struct log_value){name, LOG_TYPE_DIGEST, .absent = !digest || digest_is_zero(digest),
                              .at = digest};
}

struct log_value log_value_sha256(const char *name, const struct sha256 *hash)
{
    return (struct log_value){name, LOG_TYPE_SHA256, .absent = !hash, .at = hash};
}

struct log_value log_value_commitment(const char *name, const struct sha256 *commitment)
{
    return (struct log_value){name, LOG_TYPE_COMMITMENT, .absent = !commitment, .at = commitment};
}

struct log_value log_value_actor(const char *name, const char *actor)
{
    return text_value(name, LOG_TYPE_ACTOR, actor);
}

struct log_value log_value_vkey(const char *name, const struct sign_vkey *vkey)
{
    return (struct log_value){name, LOG_TYPE_VKEY, .absent = !vkey, .at = vkey};
}

/* ---------------------------------------------------------------- writing */

static void put_time(struct byte_writer *w, uint64_t wall_us, size_t n)
{
    char text[LOG_TIME_CHARS + 1];
    log_time_format((int64_t)wall_us, text);
    put_bytes(w, text, n);
}

static void put_requests(struct byte_writer *w, const struct request_id *ids, size_t n)
{
    char text[REQUEST_ID_TEXT_SIZE];
    for (size_t i = 0; i < n; i++) {
        request_id_format(&ids[i], text);
        lines_put(w, i ? " " : "");
        lines_put(w, text);
    }
}

static void put_digest(struct byte_writer *w, const struct digest *digest)
{
    char text[DIGEST_TEXT_SIZE];
    digest_format(digest, text);
    lines_put(w, text);
}

static void put_hash(struct byte_writer *w, const struct sha256 *hash)
{
    char text[BASE64_TEXT_SIZE(SHA256_SIZE)];
    base64_format(hash->b, SHA256_SIZE, text);
    lines_put(w, text);
}

static void put_vkey(struct byte_writer *w, const struct sign_vkey *vkey)
{
    char text[SIGN_VKEY_SIZE];
    sign_vkey_format(vkey, text);
    lines_put(w, text);
}

void log_value_write(struct byte_writer *w, const struct log_value *v)
{
    INVARIANT((unsigned)v->type < LOG_TYPES);
    if (v->absent) {
        lines_put(w, "-");
        return;
    }
    switch (v->type) {
    case LOG_TYPE_TIME:
        put_time(w, v->number, LOG_TIME_CHARS);
        return;
    case LOG_TYPE_DATE:
        put_time(w, v->number, DATE_CHARS);
        return;
    case LOG_TYPE_REQUEST:
        put_requests(w, v->at, 1);
        return;
    case LOG_TYPE_REQUESTS:
        put_requests(w, v->at, v->n);
        return;
    case LOG_TYPE_WORD:
    case LOG_TYPE_ACTOR:
        put_bytes(w, v->at, v->n);
        return;
    case LOG_TYPE_NUMBER:
        lines_put_decimal(w, v->number);
        return;
    case LOG_TYPE_DIGEST:
        put_digest(w, v->at);
        return;
    case LOG_TYPE_SHA256:
    case LOG_TYPE_COMMITMENT:
        put_hash(w, v->at);
        return;
    case LOG_TYPE_VKEY:
        put_vkey(w, v->at);
        return;
    case LOG_TYPES:
        break;
    }
}

/* ---------------------------------------------------------------- reading */

static int is_lower_hex(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return 0;
    return 1;
}

static int is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static int is_word(const char *text, size_t n)
{
    if (n == 0 || n > LOG_WORD_MAX || !is_letter_or_digit(text[0]))
        return 0;
    for (size_t i = 1; i < n; i++)
        if (!is_letter_or_digit(text[i]) && text[i] != '.' && text[i] != '_' && text[i] != '-')
            return 0;
    return 1;
}

static int request_parse(const char *text, size_t n, struct request_id *ret)
{
    char copy[REQUEST_ID_TEXT_SIZE] = {0}, again[REQUEST_ID_TEXT_SIZE];
    if (n != REQUEST_CHARS)
        return -1;
    memcpy(copy, text, REQUEST_CHARS);
    if (request_id_parse(copy, ret) != 0)
        return -1;
    request_id_format(ret, again);
    return memcmp(copy, again, REQUEST_CHARS) == 0 && !request_id_is_zero(ret) ? 0 : -1;
}

/* 0 and the number of ids, the first `max` of them in ret_ids; or -1. */
static int
requests_parse(const char *text, size_t n, struct request_id *ret_ids, size_t max, size_t *ret_n)
{
    const size_t one = REQUEST_CHARS + 1;
    const size_t ids = (n + 1) / one;
    if ((n + 1) % one != 0 || ids == 0 || ids > LOG_REQUESTS_MAX)
        return -1;
    for (size_t i = 0; i < ids; i++) {
        struct request_id id;
        if (request_parse(text + i * one, REQUEST_CHARS, &id) != 0 ||
            (i + 1 < ids && text[i * one + REQUEST_CHARS] != ' '))
            return -1;
        if (i < max)
            ret_ids[i] = id;
    }
    *ret_n = ids;
    return 0;
}

static int digest_text_parse(const char *text, size_t n, struct digest *ret)
{
    char copy[DIGEST_TEXT_SIZE] = {0};
    if (n != DIGEST_CHARS || !is_lower_hex(text, n))
        return -1;
    memcpy(copy, text, DIGEST_CHARS);
    return digest_parse(copy, ret) == 0 && !digest_is_zero(ret) ? 0 : -1;
}

static int is_actor(const char *text, size_t n)
{
    return lines_same(text, n, LOG_ACTOR_LOCAL) || lines_same(text, n, LOG_ACTOR_DAEMON) ||
           (n == PRINT_CHARS && text[0] == 'k' && text[1] == ':' && is_lower_hex(text + 2, n - 2));
}

int log_text_is(enum log_type type, const char *text, size_t n)
{
    int64_t us;
    uint64_t number;
    size_t ids;
    struct request_id id;
    struct digest digest;
    struct sha256 hash;
    struct sign_vkey vkey;
    INVARIANT((unsigned)type < LOG_TYPES);
    switch (type) {
    case LOG_TYPE_TIME:
        return log_time_parse(text, n, &us) == 0;
    case LOG_TYPE_DATE:
        return date_parse(text, n, &us) == 0;
    case LOG_TYPE_REQUEST:
        return request_parse(text, n, &id) == 0;
    case LOG_TYPE_REQUESTS:
        return requests_parse(text, n, NULL, 0, &ids) == 0;
    case LOG_TYPE_WORD:
        return is_word(text, n);
    case LOG_TYPE_NUMBER:
        return lines_decimal(text, n, &number) == 0;
    case LOG_TYPE_DIGEST:
        return digest_text_parse(text, n, &digest) == 0;
    case LOG_TYPE_SHA256:
    case LOG_TYPE_COMMITMENT:
        return base64_parse_exact(text, n, hash.b, SHA256_SIZE) == 0;
    case LOG_TYPE_ACTOR:
        return is_actor(text, n);
    case LOG_TYPE_VKEY:
        return sign_vkey_parse(text, n, &vkey, NULL) == STATUS_OK;
    case LOG_TYPES:
        break;
    }
    return 0;
}

int64_t log_text_time(const char *text, size_t n)
{
    int64_t us = 0;
    const int bad = n == DATE_CHARS ? date_parse(text, n, &us) : log_time_parse(text, n, &us);
    INVARIANT(bad == 0);
    return us;
}

uint64_t log_text_number(const char *text, size_t n)
{
    uint64_t x = 0;
    const int bad = lines_decimal(text, n, &x);
    INVARIANT(bad == 0);
    return x;
}

struct request_id log_text_request(const char *text, size_t n)
{
    struct request_id id = {{0}};
    const int bad = request_parse(text, n, &id);
    INVARIANT(bad == 0);
    return id;
}

size_t log_text_requests(const char *text, size_t n, struct request_id *ret_ids, size_t max)
{
    size_t ids = 0;
    const int bad = requests_parse(text, n, ret_ids, max, &ids);
    INVARIANT(bad == 0);
    return ids;
}

struct digest log_text_digest(const char *text, size_t n)
{
    struct digest d = {{0}};
    const int bad = digest_text_parse(text, n, &d);
    INVARIANT(bad == 0);
    return d;
}

struct sha256 log_text_hash(const char *text, size_t n)
{
    struct sha256 h = {{0}};
    const int bad = base64_parse_exact(text, n, h.b, SHA256_SIZE);
    INVARIANT(bad == 0);
    return h;
}
