#include "proto/seal/note.h"

#include "daemon/base/invariant.h"
#include "proto/seal/base64.h"
#include "proto/seal/lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DASH          "\xe2\x80\x94 " /* em dash U+2014 and a space */
#define DASH_SIZE     (sizeof DASH - 1)
#define LOG_SIZE      (SIGN_KEY_ID_SIZE + SIGN_SIGNATURE_SIZE)
#define WITNESS_SIZE  (SIGN_KEY_ID_SIZE + 8 + SIGN_SIGNATURE_SIZE)
#define COSIGNED_HEAD 64 /* "cosignature/v1\ntime SECONDS\n" and a NUL */

/* ---------------------------------------------------------------- writing */

void note_write_text(struct byte_writer *w, const struct note_checkpoint *checkpoint)
{
    char size[24], root[BASE64_TEXT_SIZE(SHA256_SIZE)];
    INVARIANT(sign_name_is_valid(checkpoint->origin, strlen(checkpoint->origin)));
    (void)snprintf(size, sizeof size, "\n%" PRIu64 "\n", checkpoint->size);
    base64_format(checkpoint->root.b, SHA256_SIZE, root);
    lines_put(w, checkpoint->origin);
    lines_put(w, size);
    lines_put(w, root);
    lines_put(w, "\n");
}

static void
put_line(struct byte_writer *w, const struct sign_vkey *v, const uint8_t *bytes, size_t n)
{
    char base64[BASE64_TEXT_SIZE(WITNESS_SIZE)];
    base64_format(bytes, n, base64);
    lines_put(w, DASH);
    lines_put(w, v->name);
    lines_put(w, " ");
    lines_put(w, base64);
    lines_put(w, "\n");
}

void note_write_signature(struct byte_writer *w,
                          const char *text,
                          size_t text_size,
                          const struct sign_key *key)
{
    const struct sign_vkey *v = sign_key_public(key);
    uint8_t bytes[LOG_SIZE];
    INVARIANT(v->type == SIGN_LOG);
    memcpy(bytes, v->id, SIGN_KEY_ID_SIZE);
    sign_bytes(key, text, text_size, bytes + SIGN_KEY_ID_SIZE);
    put_line(w, v, bytes, sizeof bytes);
}

void note_write(struct byte_writer *w,
                const struct note_checkpoint *checkpoint,
                const struct sign_key *key)
{
    uint8_t buffer[NOTE_TEXT_MAX];
    struct byte_writer text = byte_writer_make(buffer, sizeof buffer);
    INVARIANT(strcmp(checkpoint->origin, sign_key_public(key)->name) == 0);
    note_write_text(&text, checkpoint);
    INVARIANT(!text.failed);
    put_bytes(w, buffer, text.used);
    lines_put(w, "\n");
    note_write_signature(w, (const char *)buffer, text.used, key);
}

/* What a witness signs. */
static size_t cosigned(uint8_t to[COSIGNED_HEAD + NOTE_TEXT_MAX],
                       const char *text,
                       size_t text_size,
                       int64_t unix_seconds)
{
    char head[COSIGNED_HEAD];
    const int n = snprintf(head, sizeof head, "cosignature/v1\ntime %" PRId64 "\n", unix_seconds);
    INVARIANT(n > 0 && (size_t)n < sizeof head && text_size <= NOTE_TEXT_MAX);
    memcpy(to, head, (size_t)n);
    memcpy(to + n, text, text_size);
    return (size_t)n + text_size;
}

static void put_time(uint8_t to[8], uint64_t seconds)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(seconds >> (8 * (7 - i)));
}

static uint64_t get_time(const uint8_t from[8])
{
    uint64_t seconds = 0;
    for (int i = 0; i < 8; i++)
        seconds = seconds << 8 | from[i];
    return seconds;
}

void note_write_cosignature(struct byte_writer *w,
                            const char *text,
                            size_t text_size,
                            int64_t unix_seconds,
                            const struct sign_key *key)
{
    const struct sign_vkey *v = sign_key_public(key);
    uint8_t signed_bytes[COSIGNED_HEAD + NOTE_TEXT_MAX], bytes[WITNESS_SIZE];
    INVARIANT(v->type == SIGN_WITNESS && unix_seconds >= 0);
    const size_t n = cosigned(signed_bytes, text, text_size, unix_seconds);
    memcpy(bytes, v->id, SIGN_KEY_ID_SIZE);
    put_time(bytes + SIGN_KEY_ID_SIZE, (uint64_t)unix_seconds);
    sign_bytes(key, signed_bytes, n, bytes + SIGN_KEY_ID_SIZE + 8);
    put_line(w, v, bytes, sizeof bytes);
}

/* ---------------------------------------------------------------- reading */

static enum status parse_text(struct lines *in, struct note *note, struct fault *f)
{
    const char *line = NULL;
    size_t n = 0;
    struct note_checkpoint *c = &note->checkpoint;
    if (lines_next(in, &line, &n) != 0 || !sign_name_is_valid(line, n))
        FAIL(f, STATUS_BAD_FORMAT, "origin", "line 1 of a checkpoint is not a log's name");
    memcpy(c->origin, line, n);
    if (lines_next(in, &line, &n) != 0 || lines_decimal(line, n, &c->size) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "size", "line 2 of a checkpoint is not a number of entries");
    if (lines_next(in, &line, &n) != 0 || base64_parse_exact(line, n, c->root.b, SHA256_SIZE) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "root", "line 3 of a checkpoint is not a hash in base64");
    note->text_size = (size_t)(in->at - note->text);
    if (lines_next(in, &line, &n) != 0 || n != 0)
        FAIL(f, STATUS_BAD_FORMAT, "checkpoint", "line 4 of a checkpoint is not empty");
    return STATUS_OK;
}

/* The bytes behind a line's base64, whose first four are the key id; 0 or -1. */
static int signature_bytes(const struct note_signature *s, uint8_t *to, size_t max, size_t *ret_n)
{
    return base64_parse(s->base64, s->base64_size, to, max, ret_n) == 0 && *ret_n > SIGN_KEY_ID_SIZE
               ? 0
               : -1;
}

static int parse_signature(const char *line, size_t n, struct note_signature *ret)
{
    uint8_t bytes[NOTE_SIGNATURE_MAX];
    size_t size = 0;
    if (n < DASH_SIZE || memcmp(line, DASH, DASH_SIZE) != 0)
        return -1;
    const char *name = line + DASH_SIZE;
    const char *space = memchr(name, ' ', n - DASH_SIZE);
    if (!space || !sign_name_is_valid(name, (size_t)(space - name)))
        return -1;
    *ret = (struct note_signature){.name = name,
                                   .name_size = (size_t)(space - name),
                                   .base64 = space + 1,
                                   .base64_size = (size_t)(line + n - (space + 1))};
    if (signature_bytes(ret, bytes, sizeof bytes, &size) != 0)
        return -1;
    memcpy(ret->id, bytes, SIGN_KEY_ID_SIZE);
    return 0;
}

static int same_key(const struct note_signature *s, const char *name, size_t n, const uint8_t *id)
{
    return s->name_size == n && memcmp(s->name, name, n) == 0 &&
           memcmp(s->id, id, SIGN_KEY_ID_SIZE) == 0;
}

static const struct note_signature *
find(const struct note *note, const char *name, size_t n, const uint8_t *id)
{
    for (size_t i = 0; i < note->n_signatures; i++)
        if (same_key(&note->signatures[i], name, n, id))
            return &note->signatures[i];
    return NULL;
}

static enum status parse_signatures(struct lines *in, struct note *note, struct fault *f)
{
    const char *line = NULL;
    size_t n = 0;
    while (in->left > 0) {
        struct note_signature s;
        const size_t number = note->n_signatures + 5;
        if (note->n_signatures == NOTE_SIGNATURES_MAX)
            FAIL(f, STATUS_BAD_FORMAT, "signatures", "more than %d signature lines",
                 NOTE_SIGNATURES_MAX);
        if (lines_next(in, &line, &n) != 0 || parse_signature(line, n, &s) != 0)
            FAIL(f, STATUS_BAD_FORMAT, "signatures", "line %zu is not a signature", number);
        if (find(note, s.name, s.name_size, s.id))
            FAIL(f, STATUS_BAD_FORMAT, "signatures", "line %zu is of a key that signed before",
                 number);
        note->signatures[note->n_signatures++] = s;
    }
    if (note->n_signatures == 0)
        FAIL(f, STATUS_BAD_FORMAT, "signatures", "the checkpoint is not signed");
    return STATUS_OK;
}

enum status note_parse(const char *bytes, size_t n, struct note *ret_note, struct fault *f)
{
    if (n > NOTE_MAX)
        FAIL(f, STATUS_BAD_FORMAT, "checkpoint", "%zu bytes, at most %zu", n, (size_t)NOTE_MAX);
    struct note note = {.text = bytes, .size = n};
    struct lines in = lines_of(bytes, n);
    TRY(parse_text(&in, &note, f));
    TRY(parse_signatures(&in, &note, f));
    *ret_note = note;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- verifying */

static enum note_verdict
verify_log(const struct note *note, const struct sign_vkey *v, const uint8_t *bytes, size_t n)
{
    return n == LOG_SIZE && strcmp(v->name, note->checkpoint.origin) == 0 &&
                   sign_verify(v->public, note->text, note->text_size, bytes + SIGN_KEY_ID_SIZE)
               ? NOTE_GOOD
               : NOTE_FALSE;
}

static enum note_verdict verify_witness(const struct note *note,
                                        const struct sign_vkey *v,
                                        const uint8_t *bytes,
                                        size_t n,
                                        int64_t *ret_unix_seconds)
{
    uint8_t signed_bytes[COSIGNED_HEAD + NOTE_TEXT_MAX];
    if (n != WITNESS_SIZE)
        return NOTE_FALSE;
    const uint64_t seconds = get_time(bytes + SIGN_KEY_ID_SIZE);
    if (seconds > INT64_MAX)
        return NOTE_FALSE;
    const size_t size = cosigned(signed_bytes, note->text, note->text_size, (int64_t)seconds);
    if (!sign_verify(v->public, signed_bytes, size, bytes + SIGN_KEY_ID_SIZE + 8))
        return NOTE_FALSE;
    *ret_unix_seconds = (int64_t)seconds;
    return NOTE_GOOD;
}

enum note_verdict
note_verify(const struct note *note, const struct sign_vkey *vkey, int64_t *ret_unix_seconds)
{
    uint8_t bytes[NOTE_SIGNATURE_MAX];
    size_t n = 0;
    int64_t seconds = 0;
    const struct note_signature *s = find(note, vkey->name, strlen(vkey->name), vkey->id);
    if (!s)
        return NOTE_ABSENT;
    if (signature_bytes(s, bytes, sizeof bytes, &n) != 0)
        return NOTE_FALSE;
    const enum note_verdict verdict = vkey->type == SIGN_LOG
                                          ? verify_log(note, vkey, bytes, n)
                                          : verify_witness(note, vkey, bytes, n, &seconds);
    if (verdict == NOTE_GOOD && ret_unix_seconds)
        *ret_unix_seconds = seconds;
    return verdict;
}
