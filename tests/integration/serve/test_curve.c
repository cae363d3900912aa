/*
 * The encrypted socket from outside: who is let in, what a key may do when it is revoked, replaced
 * or suspended, and that a broken handler of authentication is found out before anything is served.
 */
#include "tests/support/curve_fixture.h"

#include "daemon/base/sysio.h"
#include "daemon/serve/zap.h"
#include "daemon/serve/zap_check.h"

#include <errno.h>
#include <unistd.h>

/* ------------------------------------------------------------ who is let in */

void test_curve_lets_known_keys_in_over_tcp_and_ipc(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct curve_fixture x;
        struct curve_key alice;
        curve_start(&x, tcp);
        curve_add_client(&x, "alice", "privacy", &alice);
        curve_open(&x);
        struct client c;
        curve_client(&x, &c, &alice, NULL);
        curve_expect_status(&c, STATUS_OK);
        curve_expect_kind(&c, WIRE_KIND_FORGET, STATUS_OK);
        client_close(&c);
        curve_finish(&x);
    }
}

void test_curve_strangers_get_no_answer(void **state)
{
    (void)state;
    struct curve_fixture x;
    struct curve_key alice, stranger, other, unused;
    curve_start(&x, 1);
    curve_add_client(&x, "alice", "privacy", &alice);
    curve_open(&x);
    curve_key_make(&stranger, &unused);
    curve_key_make(&unused, &other); /* a server that is not this one */
    struct client c;
    curve_client(&x, &c, &stranger, NULL);
    curve_expect_silence(&c);
    client_close(&c);
    curve_client(&x, &c, NULL, NULL);
    curve_expect_silence(&c);
    client_close(&c);
    curve_client(&x, &c, &alice, &other);
    curve_expect_silence(&c);
    client_close(&c);
    struct server_stats stats;
    server_stats(x.f.server, &stats);
    assert_true(stats.denied[AUTH_DENIED_UNKNOWN_KEY] > 0);
    assert_int_equal(stats.calls, 0);
    curve_client(&x, &c, &alice, NULL);
    curve_expect_status(&c, STATUS_OK);
    client_close(&c);
    curve_finish(&x);
}

void test_curve_names_the_client_and_its_role(void **state)
{
    (void)state;
    struct curve_fixture x;
    struct curve_key alice;
    char print[CURVE_PRINT_SIZE];
    curve_start(&x, 1);
    curve_add_client(&x, "alice", "mlops,auditor", &alice);
    curve_open(&x);
    const struct curve_key public = curve_key_public(&alice);
    curve_key_print(&public, print);
    struct client c;
    curve_client(&x, &c, &alice, NULL);
    const struct wire_envelope m = envelope(WIRE_KIND_WAIT, 1);
    send_envelope(&c, &m, 0);
    wait_held(&x.f, 1);
    assert_string_equal(call_principal(x.f.core.held[0]), print);
    assert_int_equal(call_roles(x.f.core.held[0]), ROLE_MLOPS | ROLE_AUDITOR);
    assert_string_equal(call_role(x.f.core.held[0]), "mlops");
    (void)finish_held(&x.f.core);
    assert_null(receive(&c)->error);
    curve_expect_kind(&c, WIRE_KIND_FORGET, STATUS_PERMISSION_DENIED);
    client_close(&c);
    curve_finish(&x);
}

void test_curve_serves_users_of_the_machine_beside_keys(void **state)
{
    (void)state;
    struct curve_fixture x;
    struct curve_key alice;
    curve_start(&x, 1);
    curve_add_client(&x, "alice", "predict", &alice);
    x.local_roles = "owner=auditor";
    curve_open_with_local(&x);
    struct client c;
    curve_client(&x, &c, &alice, NULL);
    curve_expect_status(&c, STATUS_OK);
    client_close(&c);
    curve_local_client(&x, &c);
    curve_expect_status(&c, STATUS_OK);
    curve_expect_kind(&c, WIRE_KIND_FORGET, STATUS_PERMISSION_DENIED);
    client_close(&c);
    curve_finish(&x);
}

void test_curve_refuses_users_without_a_role(void **state)
{
    (void)state;
    struct curve_fixture x;
    curve_start(&x, 1);
    x.local_roles = "uid:4294967294=all";
    curve_open_with_local(&x);
    struct client c;
    curve_local_client(&x, &c);
    curve_expect_silence(&c);
    client_close(&c);
    struct server_stats stats;
    server_stats(x.f.server, &stats);
    assert_true(stats.denied[AUTH_DENIED_LOCAL_USER] > 0);
    curve_finish(&x);
}

/* ------------------------------------------------------------ keys that change */

void test_curve_revoked_keys_lose_their_connection(void **state)
{
    (void)state;
    struct curve_fixture x;
    struct curve_key alice, bob;
    struct client_entry gone;
    curve_start(&x, 1);
    curve_add_client(&x, "alice", "privacy", &alice);
    curve_add_client(&x, "bob", "privacy", &bob);
    curve_open(&x);
    struct client a, b;
    curve_client(&x, &a, &alice, NULL);
    curve_client(&x, &b, &bob, NULL);
    curve_expect_status(&a, STATUS_OK);
    curve_expect_status(&b, STATUS_OK);
    assert_int_equal(auth_revoke(server_auth(x.f.server), "alice", &gone, NULL), STATUS_OK);
    curve_expect_status(&a, STATUS_PERMISSION_DENIED); /* on the connection that it has */
    curve_expect_status(&b, STATUS_OK);
    struct client again;
    curve_client(&x, &again, &alice, NULL); /* and it gets no other */
    curve_expect_silence(&again);
    client_close(&again);
    assert_int_equal(auth_revoke(server_auth(x.f.server), "alice", &gone, NULL), STATUS_NOT_FOUND);
    client_close(&a);
    client_close(&b);
    curve_finish(&x);
}

void test_curve_added_keys_are_let_in_at_once(void **state)
{
    (void)state;
    struct curve_fixture x;
    struct curve_key secret;
    struct curve_entry entry = {.name = "carol", .role = "auditor"};
    struct client_entry made;
    curve_start(&x, 1);
    curve_open(&x);
    curve_key_make(&secret, &entry.key);
    assert_int_equal(auth_add(server_auth(x.f.server), &entry, &made, NULL), STATUS_OK);
    assert_int_equal(made.roles, ROLE_AUDITOR);
    assert_int_equal(auth_add(server_auth(x.f.server), &entry, &made, NULL), STATUS_ALREADY_EXISTS);
    struct client c;
    curve_client(&x, &c, &secret, NULL);
    curve_expect_status(&c, STATUS_OK);
    client_close(&c);
    curve_finish(&x);
}

void test_curve_revoked_keys_receive_no_events(void **state)
{
    (void)state;
    struct curve_fixture x;
    struct curve_key alice, bob;
    struct client_entry gone;
    curve_start(&x, 1);
    curve_add_client(&x, "alice", "privacy", &alice);
    curve_add_client(&x, "bob", "privacy", &bob);
    curve_open(&x);
    void *a = curve_subscribe(&x, &alice), *b = curve_subscribe(&x, &bob);
    curve_expect_event(&x, a, 1);
    curve_expect_event(&x, b, 1);
    assert_int_equal(auth_revoke(server_auth(x.f.server), "alice", &gone, NULL), STATUS_OK);
    server_renew_events(x.f.server);
    curve_expect_event(&x, b, 1); /* comes back by itself */
    curve_expect_event(&x, a, 0);
    (void)zmq_close(a);
    (void)zmq_close(b);
    curve_finish(&x);
}

/* ------------------------------------------------------------ conduct */

void test_curve_three_malformed_messages_suspend_a_key(void **state)
{
    (void)state;
    struct curve_fixture x;
    struct curve_key alice, bob;
    curve_start(&x, 1);
    curve_add_client(&x, "alice", "privacy", &alice);
    curve_add_client(&x, "bob", "privacy", &bob);
    curve_open(&x);
    struct client a, b;
    curve_client(&x, &a, &alice, NULL);
    curve_client(&x, &b, &bob, NULL);
    for (int i = 0; i < 3; i++) {
        curve_expect_status(&a, STATUS_OK);
        send_bytes(&a, "GET / HTTP/1.1\r\n\r\n", 18, 0);
        assert_non_null(receive(&a)->error);
    }
    const struct wire_envelope m = envelope(WIRE_KIND_STATUS, 7);
    send_envelope(&a, &m, 0);
    const struct wire_reply *reply = receive(&a);
    expect_error(reply, STATUS_RESOURCE_EXHAUSTED, "key", 7);
    assert_true(reply->error->retry_after_s > 50 && reply->error->retry_after_s <= 60);
    curve_expect_status(&b, STATUS_OK);
    struct server_stats stats;
    server_stats(x.f.server, &stats);
    assert_int_equal(stats.denied[AUTH_DENIED_MALFORMED], 3);
    assert_int_equal(stats.denied[AUTH_DENIED_SUSPENDED], 1);
    client_close(&a);
    client_close(&b);
    curve_finish(&x);
}

void test_curve_calls_a_second_are_limited(void **state)
{
    (void)state;
    struct curve_fixture x;
    struct curve_key alice;
    curve_start(&x, 1);
    x.calls_s = 5;
    curve_add_client(&x, "alice", "privacy", &alice);
    curve_open(&x);
    struct client c;
    curve_client(&x, &c, &alice, NULL);
    unsigned refused = 0;
    for (int i = 0; i < 50; i++) {
        const struct wire_envelope m = envelope(WIRE_KIND_STATUS, (uint8_t)i);
        send_envelope(&c, &m, 0);
    }
    for (int i = 0; i < 50; i++) {
        const struct wire_reply *reply = receive(&c);
        if (!reply->error)
            continue;
        expect_error(reply, STATUS_RESOURCE_EXHAUSTED, "quota_calls", (uint8_t)i);
        assert_int_equal(reply->error->retry_after_s, 1);
        refused++;
    }
    assert_true(refused >= 30 && refused <= 45);
    client_close(&c);
    curve_finish(&x);
}

/* ------------------------------------------------------------ the self-test */

/* A door as a careless or broken daemon would have it. */
struct careless {
    void *context;
    void *socket;
    struct auth *auth;
    struct curve_key secret, public;
    char address[300];
};

static void careless_bind(struct careless *d, int curve, const char *domain, const char *at)
{
    const int one = 1, none = 0;
    size_t size = sizeof d->address;
    d->socket = zmq_socket(d->context, ZMQ_ROUTER);
    assert_non_null(d->socket);
    assert_int_equal(zmq_setsockopt(d->socket, ZMQ_LINGER, &none, sizeof none), 0);
    if (domain)
        assert_int_equal(zmq_setsockopt(d->socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain)), 0);
    if (curve) {
        assert_int_equal(zmq_setsockopt(d->socket, ZMQ_CURVE_SERVER, &one, sizeof one), 0);
        assert_int_equal(zmq_setsockopt(d->socket, ZMQ_CURVE_SECRETKEY, d->secret.b, 32), 0);
    }
    assert_int_equal(zmq_bind(d->socket, at), 0);
    assert_int_equal(zmq_getsockopt(d->socket, ZMQ_LAST_ENDPOINT, d->address, &size), 0);
}

static void careless_start(struct careless *d)
{
    static const struct auth_options nobody;
    memset(d, 0, sizeof *d);
    d->context = zmq_ctx_new();
    curve_key_make(&d->secret, &d->public);
    assert_int_equal(auth_new(&nobody, &d->auth, NULL), STATUS_OK);
}

static void careless_finish(struct careless *d, struct zap *zap)
{
    (void)zmq_close(d->socket);
    assert_int_equal(zmq_ctx_term(d->context), 0);
    zap_join(zap);
    auth_free(d->auth);
}

static void careless_check(struct careless *d, int curve, const char *words)
{
    struct fault f = {0};
    const struct zap_door door = {.address = d->address, .server = curve ? &d->public : NULL};
    assert_int_equal(zap_check(&door, d->auth, &f), STATUS_INTERNAL);
    if (!strstr(f.text, words))
        fail_msg("\"%s\" without \"%s\"", f.text, words);
}

/* libzmq lets every key in when nobody handles authentication, domain or not. */
void test_curve_self_test_finds_out_that_there_is_no_handler(void **state)
{
    (void)state;
    struct careless d;
    careless_start(&d);
    careless_bind(&d, 1, ZAP_DOMAIN_KEYS, "tcp://127.0.0.1:*");
    careless_check(&d, 1, "an unknown key was let in");
    careless_finish(&d, NULL);
}

void test_curve_self_test_finds_out_that_nothing_is_encrypted(void **state)
{
    (void)state;
    struct careless d;
    struct zap *zap;
    careless_start(&d);
    assert_int_equal(zap_open(d.context, d.auth, &zap, NULL), STATUS_OK);
    careless_bind(&d, 0, NULL, "tcp://127.0.0.1:*");
    careless_check(&d, 1, "a peer without a key was let in");
    careless_finish(&d, zap);
}

void test_curve_self_test_finds_out_that_users_are_not_asked(void **state)
{
    (void)state;
    struct careless d;
    struct zap *zap;
    char folder[256], at[300];
    test_support_mkdir(folder);
    (void)snprintf(at, sizeof at, "ipc://%s/s", folder);
    careless_start(&d);
    assert_int_equal(zap_open(d.context, d.auth, &zap, NULL), STATUS_OK);
    careless_bind(&d, 0, NULL, at); /* without a domain nobody is asked */
    careless_check(&d, 0, "a local user without a role was let in");
    careless_finish(&d, zap);
    test_support_rmdir(folder);
}

/* A handler that refuses all is found out too: otherwise a test that proves nothing would pass. */
void test_curve_self_test_finds_out_that_known_keys_are_refused(void **state)
{
    (void)state;
    struct careless d;
    struct zap *zap;
    careless_start(&d);
    assert_int_equal(zap_open(d.context, d.auth, &zap, NULL), STATUS_OK);
    careless_bind(&d, 1, "another.domain", "tcp://127.0.0.1:*");
    careless_check(&d, 1, "a known key was refused");
    careless_finish(&d, zap);
}

void test_curve_self_test_finds_out_that_nobody_answers(void **state)
{
    (void)state;
    struct careless d;
    careless_start(&d);
    careless_bind(&d, 1, ZAP_DOMAIN_KEYS, "tcp://127.0.0.1:*");
    (void)snprintf(d.address, sizeof d.address, "tcp://127.0.0.1:1");
    careless_check(&d, 1, "got no answer");
    careless_finish(&d, NULL);
}

/* ------------------------------------------------------------ floods */

void test_curve_oversize_and_many_frames_cost_nobody_else_anything(void **state)
{
    (void)state;
    struct curve_fixture x;
    struct curve_key alice, bob;
    curve_start(&x, 1);
    curve_add_client(&x, "alice", "privacy", &alice);
    curve_add_client(&x, "bob", "privacy", &bob);
    curve_open(&x);
    struct client a, b;
    curve_client(&x, &a, &alice, NULL);
    curve_client(&x, &b, &bob, NULL);
    const struct wire_envelope m = envelope(WIRE_KIND_PREDICT, 4);
    send_envelope(&a, &m, 1);
    for (size_t i = 0; i < 5000; i++)
        send_bytes(&a, "x", 1, i + 1 < 5000);
    expect_error(receive(&a), STATUS_RESOURCE_EXHAUSTED, "frames", 4);
    curve_expect_status(&b, STATUS_OK);
    send_envelope(&a, &m, 1);
    send_filler(&a, LIMIT_FRAME_BYTES + 1, 0);
    expect_error(receive(&a), STATUS_RESOURCE_EXHAUSTED, "frame_bytes", 4);
    curve_expect_status(&b, STATUS_OK);
    char byte;
    client_wait(&a, SILENCE_MS);
    send_filler(&a, LIMIT_TRANSPORT_BYTES + 1, 0); /* ends the connection, not the daemon */
    assert_int_equal(zmq_recv(a.socket, &byte, 1, 0), -1);
    curve_expect_status(&b, STATUS_OK);
    client_wait(&a, WAIT_MS);
    curve_expect_status(&a, STATUS_OK); /* on a new one */
    client_close(&a);
    client_close(&b);
    curve_finish(&x);
}

/* Asks and never reads: its answers are dropped, others are served. */
void test_curve_slow_readers_lose_their_own_answers_only(void **state)
{
    (void)state;
    struct curve_fixture x;
    struct curve_key alice, bob;
    curve_start(&x, 1);
    curve_add_client(&x, "alice", "predict", &alice);
    curve_add_client(&x, "bob", "predict", &bob);
    curve_open(&x);
    struct client a, b;
    x.client_hwm = 1;
    curve_client(&x, &a, &alice, NULL);
    curve_client(&x, &b, &bob, NULL);
    curve_expect_status(&a, STATUS_OK);
    const uint64_t sizes[] = {LIMIT_FRAME_BYTES};
    struct wire_envelope m = envelope(WIRE_KIND_PREDICT, 1);
    m.frame_bytes = sizes;
    m.n_frames = 1;
    struct server_stats stats;
    size_t sent = 0;
    do {
        send_envelope(&a, &m, 1);
        send_filler(&a, LIMIT_FRAME_BYTES, 0);
        if (++sent % 32 == 0)
            curve_expect_status(&b, STATUS_OK);
        server_stats(x.f.server, &stats);
    } while (stats.dropped == 0 && sent < 2000);
    assert_true(stats.dropped > 0);
    curve_expect_status(&b, STATUS_OK);
    client_close(&a);
    client_close(&b);
    curve_finish(&x);
}

/* Bytes of a recorded session are worth nothing in another one. */
void test_curve_recorded_bytes_cannot_be_played_again(void **state)
{
    (void)state;
    struct curve_fixture x;
    struct curve_key alice;
    curve_start(&x, 1);
    curve_add_client(&x, "alice", "privacy", &alice);
    curve_open(&x);
    struct tape tape = {.n = 0};
    tape_record(&x, &alice, &tape);
    struct server_stats before, after;
    server_stats(x.f.server, &before);
    assert_true(tape.n > 300 && before.calls == 1);
    for (int order = 0; order < 2; order++)
        tape_play(&x, &tape, order);
    struct client c;
    curve_client(&x, &c, &alice, NULL);
    curve_expect_status(&c, STATUS_OK);
    client_close(&c);
    server_stats(x.f.server, &after);
    assert_int_equal(after.calls, before.calls + 1);
    curve_finish(&x);
}
