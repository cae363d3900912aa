/*
 * Dispatch: every kind of the schema that is served has exactly one row, a handler and a section in
 * PROTOCOL.md, and the roles are those of the table of permissions.
 */
#include "tests/support/test.h"

#include "daemon/base/sysio.h"
#include "daemon/serve/dispatch.h"
#include "proto/limits.h"

#include <stdio.h>
#include <string.h>

void test_dispatch_every_kind_has_one_row(void **state)
{
    (void)state;
    const struct dispatch_table table = dispatch_table();
    size_t kinds = 0;
    for (unsigned kind = 1; kind <= wire_kind_last(); kind++) {
        if (!wire_kind_name((enum wire_kind)kind))
            continue;
        kinds++;
        size_t n = 0;
        for (size_t i = 0; i < table.n_rows; i++)
            n += table.rows[i].kind == (enum wire_kind)kind;
        if (n != 1)
            fail_msg("%s has %zu rows", wire_kind_name((enum wire_kind)kind), n);
        const struct dispatch_row *row = dispatch_find(table, (enum wire_kind)kind);
        assert_non_null(row);
        assert_non_null(row->handler);
        assert_true(row->roles != 0 && (row->roles & ~(unsigned)ROLE_ANY) == 0);
        assert_true(row->phases & PHASE_SERVING);
        const size_t most = kind == WIRE_KIND_IMPORT ? LIMIT_REQUEST_BYTES : LIMIT_MESSAGE_BYTES;
        assert_true(row->max_frames <= LIMIT_FRAMES && row->max_bytes <= most);
        for (size_t i = 0; i < table.n_rows; i++)
            assert_true(&table.rows[i] == row || table.rows[i].handler != row->handler);
    }
    assert_int_equal(table.n_rows, kinds);
    assert_null(dispatch_find(table, WIRE_KIND_UNSPECIFIED));
    assert_null(dispatch_find(table, (enum wire_kind)(wire_kind_last() + 1)));
}

void test_dispatch_every_kind_has_a_section_in_the_protocol(void **state)
{
    (void)state;
    unsigned char *text;
    size_t size;
    assert_int_equal(sysio_read_file("proto/PROTOCOL.md", 1u << 20, &text, &size, NULL), STATUS_OK);
    for (unsigned kind = 1; kind <= wire_kind_last(); kind++) {
        if (!wire_kind_name((enum wire_kind)kind))
            continue;
        char heading[64];
        (void)snprintf(heading, sizeof heading, "\n### %s\n", wire_kind_name((enum wire_kind)kind));
        if (!strstr((const char *)text, heading))
            fail_msg("PROTOCOL.md has no section \"%s\"", wire_kind_name((enum wire_kind)kind));
    }
    sysio_free(text);
}

void test_dispatch_what_changes_state_needs_an_id(void **state)
{
    (void)state;
    static const enum wire_kind changing[] = {
        WIRE_KIND_APPROVE,   WIRE_KIND_DENY,        WIRE_KIND_KEYS,        WIRE_KIND_FORGET,
        WIRE_KIND_CANCEL,    WIRE_KIND_EVALUATE,    WIRE_KIND_ROLLBACK,    WIRE_KIND_PIN,
        WIRE_KIND_DATA_OPEN, WIRE_KIND_DATA_CLOSE,  WIRE_KIND_DATA_REMOVE, WIRE_KIND_LEARN,
        WIRE_KIND_IMPORT,    WIRE_KIND_STREAM_OPEN, WIRE_KIND_STREAM_PUSH, WIRE_KIND_STREAM_CLOSE,
        WIRE_KIND_SEAL,      WIRE_KIND_ROTATE,      WIRE_KIND_BACKUP,      WIRE_KIND_COMPACT};
    size_t needed = 0;
    const struct dispatch_table table = dispatch_table();
    for (size_t i = 0; i < table.n_rows; i++)
        needed += table.rows[i].needs_request_id;
    assert_int_equal(needed, sizeof changing / sizeof changing[0]);
    for (size_t i = 0; i < sizeof changing / sizeof changing[0]; i++)
        assert_true(dispatch_find(table, changing[i])->needs_request_id);
}

/* A file above the limit is refused before anything of it is looked at. */
void test_dispatch_limits_the_file_of_an_import(void **state)
{
    (void)state;
    const struct wire_envelope m = {.kind = WIRE_KIND_IMPORT, .request_id.b = {1}};
    struct dispatch_request request = {.message = &m,
                                       .roles = ROLE_MLOPS,
                                       .phase = PHASE_SERVING,
                                       .raw_frames = LIMIT_FRAMES,
                                       .raw_bytes = LIMIT_IMPORT_BYTES};
    const struct dispatch_row *row = dispatch_find(dispatch_table(), WIRE_KIND_IMPORT);
    struct fault f = {0};
    assert_int_equal(dispatch_admit(row, &request, &f), STATUS_OK);
    request.raw_bytes++;
    assert_int_equal(dispatch_admit(row, &request, &f), STATUS_RESOURCE_EXHAUSTED);
    request.raw_bytes = 1;
    request.raw_frames = LIMIT_FRAMES + 1;
    assert_int_equal(dispatch_admit(row, &request, &f), STATUS_INVALID_ARGUMENT);
}

/* Whether a peer of this role alone is let in. */
static int allowed(enum wire_kind kind, unsigned role)
{
    const struct wire_envelope m = {.kind = kind, .request_id.b = {1}};
    const struct dispatch_request request = {.message = &m, .roles = role, .phase = PHASE_SERVING};
    struct fault f = {0};
    const enum status code = dispatch_admit(dispatch_find(dispatch_table(), kind), &request, &f);
    if (code != STATUS_OK) {
        assert_int_equal(code, STATUS_PERMISSION_DENIED);
        assert_string_equal(f.field, "kind");
    }
    return code == STATUS_OK;
}

void test_dispatch_roles(void **state)
{
    (void)state;
    static const unsigned roles[] = {ROLE_PRIVACY, ROLE_MLOPS, ROLE_PREDICT, ROLE_AUDITOR,
                                     ROLE_ADMIN};
    static const struct {
        enum wire_kind kind;
        const char *allowed; /* privacy, mlops, predict, auditor, admin */
    } rows[] = {{WIRE_KIND_STATUS, "xxxxx"},      {WIRE_KIND_FORGET, "x----"},
                {WIRE_KIND_PREDICT, "-xx--"},     {WIRE_KIND_WAIT, "xxxxx"},
                {WIRE_KIND_HISTORY, "xx-x-"},     {WIRE_KIND_SERVED_AT, "xx-x-"},
                {WIRE_KIND_EVALUATE, "-x-x-"},    {WIRE_KIND_ROLLBACK, "-x---"},
                {WIRE_KIND_PIN, "-x---"},         {WIRE_KIND_EXPORT, "-x---"},
                {WIRE_KIND_DATA_CLOSE, "-x---"},  {WIRE_KIND_FSCK, "----x"},
                {WIRE_KIND_SEAL, "----x"},        {WIRE_KIND_ROTATE, "----x"},
                {WIRE_KIND_BACKUP, "----x"},      {WIRE_KIND_COMPACT, "----x"},
                {WIRE_KIND_CANCEL, "xx--x"},      {WIRE_KIND_LEARN, "-x---"},
                {WIRE_KIND_IMPORT, "-x---"},

                {WIRE_KIND_STREAM_OPEN, "-x---"}, {WIRE_KIND_STREAM_PUSH, "-x---"},
                {WIRE_KIND_STREAM_CLOSE, "-x---"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t k = 0; k < 5; k++)
            if (allowed(rows[i].kind, roles[k]) != (rows[i].allowed[k] == 'x'))
                fail_msg("%s by %s", wire_kind_name(rows[i].kind), call_role_name(roles[k]));
}
