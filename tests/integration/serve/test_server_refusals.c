/*
 * What is malformed, too large, not allowed or untimely gets its own answer, and the next call is
 * served as if nothing had happened.
 */
#include "tests/support/serve_fixture.h"

/* ------------------------------------------------------------ malformed */

void test_server_refuses_empty_and_garbage(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start_with_client(&x, &c);
    send_bytes(&c, "", 0, 0);
    expect_error(receive(&c), STATUS_INVALID_ARGUMENT, "kind", 0);
    send_bytes(&c, "GET / HTTP/1.1\r\n\r\n", 18, 0);
    expect_error(receive(&c), STATUS_INVALID_ARGUMENT, "", 0);
    send_bytes(&c, "", 0, 1); /* as a REQ socket would: an empty frame first */
    const struct wire_envelope m = envelope(WIRE_KIND_STATUS, 3);
    send_envelope(&c, &m, 0);
    expect_error(receive(&c), STATUS_INVALID_ARGUMENT, "kind", 0);
    unsigned char noise[400];
    unsigned seed = 7;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof noise; i++) {
            seed = seed * 1664525u + 1013904223u;
            noise[i] = (unsigned char)(seed >> 24);
        }
        send_bytes(&c, noise, (size_t)(round * 2), 0);
        assert_non_null(receive(&c)->error);
    }
    finish_with_client(&x, &c);
}

void test_server_refuses_65_frames(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start_with_client(&x, &c);
    const struct wire_envelope m = envelope(WIRE_KIND_PREDICT, 4);
    for (size_t n = LIMIT_FRAMES + 1; n <= 5000; n += 4935) {
        send_envelope(&c, &m, 1);
        for (size_t i = 0; i < n; i++)
            send_bytes(&c, "x", 1, i + 1 < n);
        expect_error(receive(&c), STATUS_RESOURCE_EXHAUSTED, "frames", 4);
    }
    finish_with_client(&x, &c);
}

void test_server_refuses_frames_and_messages_that_are_too_large(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start_with_client(&x, &c);
    struct wire_envelope m = envelope(WIRE_KIND_PREDICT, 5);
    send_envelope(&c, &m, 1);
    send_filler(&c, LIMIT_FRAME_BYTES + 1, 0);
    expect_error(receive(&c), STATUS_RESOURCE_EXHAUSTED, "frame_bytes", 5);

    m = envelope(WIRE_KIND_PREDICT, 6);
    send_envelope(&c, &m, 1);
    const size_t more = LIMIT_REQUEST_BYTES / LIMIT_FRAME_BYTES + 1;
    for (size_t i = 0; i < more; i++)
        send_filler(&c, LIMIT_FRAME_BYTES, i + 1 < more);
    expect_error(receive(&c), STATUS_RESOURCE_EXHAUSTED, "frame_bytes", 6);

    send_filler(&c, LIMIT_ENVELOPE_BYTES + 1, 0);
    expect_error(receive(&c), STATUS_RESOURCE_EXHAUSTED, "envelope", 0);
    finish_with_client(&x, &c);
}

void test_server_survives_a_frame_beyond_the_transport_limit(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start_with_client(&x, &c);
    client_wait(&c, 300);
    send_filler(&c, LIMIT_TRANSPORT_BYTES + 1, 0);
    char byte;
    assert_int_equal(zmq_recv(c.socket, &byte, 1, 0), -1);
    check_serving(&x);
    finish_with_client(&x, &c);
}

void test_server_refuses_counts_that_lie(void **state)
{
    (void)state;
    static const struct {
        size_t stated;
        size_t sent;
        uint64_t stated_size;
        const char *field;
    } cases[] = {{2, 1, 3, "frames"}, {1, 2, 3, "frames"},      {0, 1, 3, "frames"},
                 {1, 0, 3, "frames"}, {1, 1, 4, "frame_bytes"}, {1, 1, 0, "frame_bytes"}};
    struct fixture x;
    struct client c;
    start_with_client(&x, &c);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint64_t sizes[2] = {cases[i].stated_size, cases[i].stated_size};
        struct wire_envelope m = envelope(WIRE_KIND_PREDICT, (uint8_t)(10 + i));
        m.frame_bytes = sizes;
        m.n_frames = cases[i].stated;
        send_envelope(&c, &m, cases[i].sent > 0);
        for (size_t k = 0; k < cases[i].sent; k++)
            send_bytes(&c, "abc", 3, k + 1 < cases[i].sent);
        expect_error(receive(&c), STATUS_INVALID_ARGUMENT, cases[i].field, (uint8_t)(10 + i));
    }
    finish_with_client(&x, &c);
}

void test_server_refuses_unknown_kinds(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start_with_client(&x, &c);
    send_bytes(&c, "\x08\x01\x10\x63", 4, 0); /* kind 99 */
    expect_error(receive(&c), STATUS_UNIMPLEMENTED, "kind", 0);
    const struct wire_envelope m = envelope(WIRE_KIND_FSCK, 3); /* known, but not in this table */
    send_envelope(&c, &m, 0);
    expect_error(receive(&c), STATUS_UNIMPLEMENTED, "kind", 3);
    finish_with_client(&x, &c);
}

/* ------------------------------------------------------------ the columns of the table */

void test_server_checks_roles_ids_and_sizes(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start_with_client(&x, &c);
    struct wire_envelope m = envelope(WIRE_KIND_FORGET, 0);
    send_envelope(&c, &m, 0);
    expect_error(receive(&c), STATUS_INVALID_ARGUMENT, "request_id", 0);
    m.request_id.b[15] = 1;
    send_envelope(&c, &m, 0);
    assert_null(receive(&c)->error);

    const uint64_t sizes[] = {600, 600};
    m = envelope(WIRE_KIND_DATA_CHUNK, 2);
    m.frame_bytes = sizes;
    m.n_frames = 2;
    send_envelope(&c, &m, 1);
    send_filler(&c, 600, 1);
    send_filler(&c, 600, 0);
    expect_error(receive(&c), STATUS_INVALID_ARGUMENT, "frames", 2);
    const uint64_t large[] = {1001};
    m.frame_bytes = large;
    m.n_frames = 1;
    send_envelope(&c, &m, 1);
    send_filler(&c, 1001, 0);
    expect_error(receive(&c), STATUS_RESOURCE_EXHAUSTED, "frame_bytes", 2);
    finish_with_client(&x, &c);
}

void test_server_refuses_what_the_role_may_not(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start(&x);
    const struct auth_options auth = {.local_roles = "owner=predict"};
    assert_int_equal(auth_new(&auth, &x.options.auth, NULL), STATUS_OK);
    open_server(&x);
    client_open(&x, &c);
    const struct wire_envelope m = envelope(WIRE_KIND_FORGET, 1);
    send_envelope(&c, &m, 0);
    expect_error(receive(&c), STATUS_PERMISSION_DENIED, "kind", 1);
    finish_with_client(&x, &c);
}

void test_server_says_starting_and_draining(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start_with_client(&x, &c);
    const enum server_phase phases[] = {PHASE_STARTING, PHASE_DRAINING};
    for (size_t i = 0; i < 2; i++) {
        server_set_phase(x.server, phases[i]);
        const struct wire_envelope m = envelope(WIRE_KIND_SHOW, 1);
        send_envelope(&c, &m, 0);
        const struct wire_reply *reply = receive(&c);
        expect_error(reply, STATUS_UNAVAILABLE, "", 1);
        assert_string_equal(reply->error->text, server_phase_name(phases[i]));
        assert_true(reply->error->retry_after_s > 0);
        check_serving(&x); /* status is answered in every phase */
    }
    finish_with_client(&x, &c);
}
