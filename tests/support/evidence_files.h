/*
 * A small log and every kind of file that lethe-verify reads about it, in a folder of its own, and
 * the commands that verify them.  Fixed keys and times, so each run has the same bytes.  Any
 * failure fails the test.  Header only, as log_fixture.h.
 */
#ifndef LETHE_TESTS_SUPPORT_EVIDENCE_FILES_H
#define LETHE_TESTS_SUPPORT_EVIDENCE_FILES_H

#include "tests/support/log_fixture.h"
#include "tests/support/test.h"

#include <stdio.h>

#include "proto/seal/certificate.h"
#include "proto/seal/served_proof.h"
#include "proto/seal/sign_file.h"
#include "proto/seal/subject.h"

#define EVIDENCE_PERSON  "person-17"
#define EVIDENCE_ROOM    65536
#define EVIDENCE_COMMAND 1024

static const char evidence_files_json[] =
    "{\"classes\": [\"Sandal\"], \"proof\": \"" CERTIFICATE_SLOT "\"}\n";
static const char evidence_files_html[] =
    "<!DOCTYPE html><p>Sandal</p><i hidden>" CERTIFICATE_SLOT "</i>\n";
static const struct request_id evidence_files_id = {{1, 2, 3}};

struct evidence_files {
    char folder[256];
    char key[SIGN_VKEY_SIZE];
    char witness[SIGN_VKEY_SIZE];
    struct log_fixture *log;
    struct receipt_part payload, subject, json_part, html_part;
    uint64_t accepted, issued, moves[3];
};

/* Files of which any flipped bit must be false; the command takes the file under another name. */
static const struct evidence_flip {
    const char *file;
    const char *before;
    const char *after;
    int witnessed;
} evidence_flips[] = {
    {"receipt", "receipt", "", 0},
    {"witnessed", "receipt", "", 1},
    {"cert.json", "certificate", "", 1},
    {"cert.html", "certificate", "", 1},
    {"5-9", "consistency c5 c9", "", 0},
    {"c5", "consistency", "c9 5-9", 0},
    {"c9", "consistency c5", "5-9", 0},
    {"served", "served", "--at 2026-03-01T10:00:04Z", 0},
    {"newest", "served", "--at 2026-03-01T10:00:13Z", 0},
};
#define EVIDENCE_FLIPS (sizeof evidence_flips / sizeof *evidence_flips)

/* The arguments of lethe-verify, in the folder, for this file with the name "flipped". */
static inline void evidence_files_command(const struct evidence_files *e,
                                          const struct evidence_flip *flip,
                                          char command[EVIDENCE_COMMAND])
{
    const int n = snprintf(command, EVIDENCE_COMMAND, "%s flipped %s --key %s %s %s", flip->before,
                           flip->after, e->key, flip->witnessed ? "--witness" : "",
                           flip->witnessed ? e->witness : "");
    assert_in_range(n, 1, EVIDENCE_COMMAND - 1);
}

static inline void
evidence_files_save(const struct evidence_files *e, const char *name, const void *bytes, size_t n)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", e->folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static inline void evidence_files_add_entries(struct evidence_files *e)
{
    const struct digest person = subject_public(EVIDENCE_PERSON);
    e->payload = (struct receipt_part){"payload", {{1}}, "the request", 11};
    e->subject = (struct receipt_part){"subject", {{2}}, NULL, 0};
    e->json_part = (struct receipt_part){"json", {{3}}, NULL, 0};
    e->html_part = (struct receipt_part){"html", {{4}}, NULL, 0};
    const struct sha256 p =
        commitment_make(&e->payload.salt, "payload", e->payload.bytes, e->payload.size);
    const struct sha256 s = commitment_make(&e->subject.salt, "subject", person.b, sizeof person.b);
    struct sha256 j, h;
    assert_int_equal(certificate_commit(&e->json_part.salt, "json", evidence_files_json,
                                        sizeof evidence_files_json - 1, &j, NULL),
                     STATUS_OK);
    assert_int_equal(certificate_commit(&e->html_part.salt, "html", evidence_files_html,
                                        sizeof evidence_files_html - 1, &h, NULL),
                     STATUS_OK);
    const struct log_value accept[] = {log_value_request("request", &evidence_files_id),
                                       log_value_word("kind", "forget"),
                                       log_value_word("role", "privacy"),
                                       log_value_actor("actor", "local"),
                                       log_value_commitment("payload", &p),
                                       log_value_commitment("subject", &s),
                                       log_value_date("due", LOG_FIXTURE_NOW)};
    const struct log_value issue[] = {
        log_value_request("request", &evidence_files_id), log_value_word("level", "L1"),
        log_value_commitment("json", &j), log_value_commitment("html", &h)};
    e->moves[1] = log_fixture_move(e->log, 1);
    e->accepted = log_fixture_add(e->log, LOG_KIND_REQUEST_ACCEPTED, accept, 7);
    e->moves[2] = log_fixture_move(e->log, 2);
    e->issued = log_fixture_add(e->log, LOG_KIND_CERTIFICATE_ISSUED, issue, 4);
}

static inline void evidence_files_receipt(struct evidence_files *e,
                                          const char *name,
                                          const struct receipt_part *parts,
                                          size_t n,
                                          int witnessed)
{
    size_t size = 0;
    char *text = log_fixture_receipt(e->log, e->accepted, parts, n, witnessed, &size);
    evidence_files_save(e, name, text, size);
    free(text);
}

static inline void evidence_files_certificate(struct evidence_files *e,
                                              const char *name,
                                              const char *carrier,
                                              size_t n,
                                              const struct receipt_part *part)
{
    static char file[EVIDENCE_ROOM];
    size_t size = 0;
    char *receipt = log_fixture_receipt(e->log, e->issued, part, 1, 1, &size);
    struct byte_writer w = byte_writer_make(file, sizeof file);
    assert_int_equal(certificate_embed(&w, carrier, n, receipt, size, NULL), STATUS_OK);
    evidence_files_save(e, name, file, w.used);
    free(receipt);
}

static inline void evidence_files_checkpoint(const struct evidence_files *e,
                                             const char *name,
                                             const struct log_fixture *log,
                                             uint64_t n,
                                             int witnessed)
{
    char text[NOTE_MAX];
    evidence_files_save(e, name, text, log_fixture_checkpoint(log, n, witnessed, text));
}

static inline void evidence_files_consistency(const struct evidence_files *e,
                                              const char *name,
                                              uint64_t old_size,
                                              uint64_t new_size)
{
    char text[CONSISTENCY_MAX];
    struct consistency c;
    struct byte_writer w = byte_writer_make(text, sizeof text);
    log_fixture_consistency(e->log, old_size, new_size, &c);
    consistency_write(&w, &c);
    evidence_files_save(e, name, text, w.used);
}

static inline void
evidence_files_put_move(const struct evidence_files *e, struct byte_writer *w, uint64_t index)
{
    struct merkle_proof proof;
    size_t n = 0;
    const void *entry = log_fixture_entry(e->log, index, &n);
    log_fixture_prove(e->log, index, log_fixture_size(e->log), &proof);
    served_proof_put_move(w, entry, n, index, &proof);
}

static inline void evidence_files_served(const struct evidence_files *e,
                                         const char *name,
                                         uint64_t first,
                                         uint64_t second,
                                         uint64_t later)
{
    static char text[EVIDENCE_ROOM];
    char checkpoint[NOTE_MAX];
    const uint64_t size = log_fixture_size(e->log);
    struct byte_writer w = byte_writer_make(text, sizeof text);
    served_proof_begin(&w);
    evidence_files_put_move(e, &w, first);
    if (second)
        evidence_files_put_move(e, &w, second);
    for (uint64_t i = later; i < size; i++) {
        size_t n = 0;
        const void *entry = log_fixture_entry(e->log, i, &n);
        served_proof_put_later(&w, entry, n);
    }
    if (later < size)
        served_proof_end_later(&w);
    served_proof_end(&w, checkpoint, log_fixture_checkpoint(e->log, size, 0, checkpoint));
    assert_false(w.failed);
    evidence_files_save(e, name, text, w.used);
}

static inline void evidence_files_write(struct evidence_files *e)
{
    evidence_files_receipt(e, "receipt", &e->payload, 1, 0);
    evidence_files_receipt(e, "witnessed", &e->payload, 1, 1);
    evidence_files_receipt(e, "subject", &e->subject, 1, 0);
    evidence_files_certificate(e, "cert.json", evidence_files_json, sizeof evidence_files_json - 1,
                               &e->json_part);
    evidence_files_certificate(e, "cert.html", evidence_files_html, sizeof evidence_files_html - 1,
                               &e->html_part);
    evidence_files_checkpoint(e, "c5", e->log, 5, 0);
    evidence_files_checkpoint(e, "c9", e->log, 9, 0);
    evidence_files_checkpoint(e, "c14", e->log, 14, 1);
    evidence_files_consistency(e, "5-9", 5, 9);
    evidence_files_consistency(e, "9-14", 9, 14);
    evidence_files_consistency(e, "14-14", 14, 14);
    evidence_files_served(e, "served", e->moves[1], e->moves[2], UINT64_MAX);
    evidence_files_served(e, "newest", e->moves[2], 0, e->moves[2] + 1);
    evidence_files_served(e, "unended", e->moves[2], 0, UINT64_MAX);
}

static inline void evidence_files_make(struct evidence_files *e)
{
    char path[512];
    struct fault f = {0};
    *e = (struct evidence_files){0};
    test_support_mkdir(e->folder);
    e->log = log_fixture_new();
    log_fixture_fill(e->log, 4);
    evidence_files_add_entries(e);
    log_fixture_fill(e->log, 6);
    sign_vkey_format(log_fixture_key(e->log), e->key);
    sign_vkey_format(sign_key_public(log_fixture_witness(e->log)), e->witness);
    (void)snprintf(path, sizeof path, "%s/witness.key", e->folder);
    log_fixture_must(sign_file_write(path, log_fixture_witness(e->log), &f), &f);
    evidence_files_save(e, "log.vkey", e->key, strlen(e->key));
    evidence_files_write(e);
}

static inline void evidence_files_free(struct evidence_files *e)
{
    log_fixture_free(e->log);
    test_support_rmdir(e->folder);
}

#endif
