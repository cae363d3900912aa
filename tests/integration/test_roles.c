/*
 * Who may do what, from a second process over tcp://127.0.0.1 with CURVE: every kind of call by
 * every role, and by those who have none.
 */
#include "tests/support/keyed_daemon.h"

#include <sys/resource.h>

/* What operations allow, apart from the daemon's own table: privacy, mlops, predict, auditor,
 * admin.  "own" is decided by the handler and is an x here. */
static const struct {
    enum wire_kind kind;
    const char *allowed;
} table[] = {
    {WIRE_KIND_STATUS, "xxxxx"},       {WIRE_KIND_FORGET, "x----"},
    {WIRE_KIND_PREDICT, "-xx--"},      {WIRE_KIND_REQUESTS, "xxxxx"},
    {WIRE_KIND_REQUEST, "xxxxx"},      {WIRE_KIND_WAIT, "xxxxx"},
    {WIRE_KIND_CANCEL, "xx--x"},       {WIRE_KIND_HISTORY, "xx-x-"},
    {WIRE_KIND_SHOW, "xx-x-"},         {WIRE_KIND_DIFF, "xx-x-"},
    {WIRE_KIND_SERVED_AT, "xx-x-"},    {WIRE_KIND_EVALUATE, "-x-x-"},
    {WIRE_KIND_ROLLBACK, "-x---"},     {WIRE_KIND_PIN, "-x---"},
    {WIRE_KIND_EXPORT, "-x---"},       {WIRE_KIND_BLOB, "-x---"},
    {WIRE_KIND_DATA_OPEN, "-x---"},    {WIRE_KIND_DATA_CHUNK, "-x---"},
    {WIRE_KIND_DATA_CLOSE, "-x---"},   {WIRE_KIND_DATA_LIST, "xx---"},
    {WIRE_KIND_DATA_REMOVE, "-x---"},  {WIRE_KIND_MODEL, "xxxxx"},
    {WIRE_KIND_FSCK, "----x"},         {WIRE_KIND_LEARN, "-x---"},
    {WIRE_KIND_STREAM_OPEN, "-x---"},  {WIRE_KIND_STREAM_PUSH, "-x---"},
    {WIRE_KIND_STREAM_CLOSE, "-x---"}, {WIRE_KIND_IMPORT, "-x---"},
    {WIRE_KIND_APPROVE, "x----"},      {WIRE_KIND_DENY, "x----"},
    {WIRE_KIND_KEYS, "----x"},         {WIRE_KIND_LOG, "x--x-"},
    {WIRE_KIND_CHECKPOINT, "x--x-"},   {WIRE_KIND_PROVE, "x--x-"},
    {WIRE_KIND_CONSISTENCY, "x--x-"},  {WIRE_KIND_SEAL, "----x"},
    {WIRE_KIND_ROTATE, "----x"},       {WIRE_KIND_BACKUP, "----x"},
    {WIRE_KIND_COMPACT, "----x"},      {WIRE_KIND_CERTIFICATE, "x--x-"},
};

static const char *allowed_to(enum wire_kind kind)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].kind == kind)
            return table[i].allowed;
    fail_msg("%s has no row in the table of this test", wire_kind_name(kind));
    return NULL;
}

/* The next kind of call that exists; 0: there is none. */
static enum wire_kind next_kind(enum wire_kind kind)
{
    for (unsigned k = (unsigned)kind + 1; k <= wire_kind_last(); k++)
        if (wire_kind_name((enum wire_kind)k))
            return (enum wire_kind)k;
    return WIRE_KIND_UNSPECIFIED;
}

static struct wire_envelope call_of(enum wire_kind kind)
{
    static uint8_t number;
    struct wire_envelope m = {.kind = kind, .deadline_ms = 20000};
    m.request_id.b[0] = (uint8_t)kind;
    m.request_id.b[15] = ++number;
    return m;
}

/* Asks; gives the status of the answer, which must tell nothing if it is a refusal. */
static int ask(struct client *c, enum wire_kind kind, const char **ret_field)
{
    const struct arena_mark mark = arena_mark(&c->arena);
    const struct wire_envelope m = call_of(kind);
    static char field[64];
    send_envelope(c, &m, 0);
    const struct wire_reply *reply = receive(c);
    const int status = reply->error ? reply->error->status : STATUS_OK;
    (void)snprintf(field, sizeof field, "%s", reply->error ? reply->error->field : "");
    if (status == STATUS_PERMISSION_DENIED) {
        assert_int_equal(reply->answer, WIRE_ANSWER_NONE);
        assert_int_equal(c->n_raw, 0);
    }
    *ret_field = field;
    arena_rewind(&c->arena, mark);
    return status;
}

void test_roles_every_kind_by_every_role(void **state)
{
    (void)state;
    struct keyed k;
    keyed_new(&k, "");
    size_t calls = 0;
    for (size_t r = 0; r < KEYED_ROLES; r++) {
        struct client c;
        curve_client(&k.x, &c, &k.keys[r], NULL);
        for (enum wire_kind kind = next_kind(0); kind; kind = next_kind(kind)) {
            const char *field;
            const int status = ask(&c, kind, &field);
            const int denied = status == STATUS_PERMISSION_DENIED && strcmp(field, "kind") == 0;
            if (denied == (allowed_to(kind)[r] == 'x'))
                fail_msg("%s by %s: %s (%s)", wire_kind_name(kind), keyed_roles[r],
                         status_name((enum status)status), field);
            calls++;
        }
        client_close(&c);
    }
    assert_int_equal(calls, KEYED_ROLES * sizeof table / sizeof table[0]);
    session_sound(&k.s);
    keyed_free(&k);
}

/* ------------------------------------------------------------ no trace of a refusal */

#define SEEN_BYTES 16384

/* What an auditor reads by the command, a process of its own: the signed head of the log, the
 * requests, the versions and which of them serves. */
static void look(const struct keyed *k, char seen[3][SEEN_BYTES])
{
    static const char *const words[] = {"checkpoint", "requests", "history"};
    char path[400];
    keyed_path(k, "auditor.key", path);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(test_daemon_cli(&k->s.d, seen[i], SEEN_BYTES, "--key", path,
                                         "--server-key", k->server_pub, "--json", words[i], NULL),
                         0);
}

void test_roles_what_is_refused_changes_nothing(void **state)
{
    (void)state;
    static char before[3][SEEN_BYTES], after[3][SEEN_BYTES];
    struct keyed k;
    keyed_new(&k, "");
    look(&k, before);
    assert_true(before[0][0] != '\0' && before[2][0] != '\0');
    for (size_t r = 0; r < KEYED_ROLES; r++) {
        struct client c;
        const char *field;
        curve_client(&k.x, &c, &k.keys[r], NULL);
        for (enum wire_kind kind = next_kind(0); kind; kind = next_kind(kind))
            if (allowed_to(kind)[r] != 'x')
                assert_int_equal(ask(&c, kind, &field), STATUS_PERMISSION_DENIED);
        client_close(&c);
    }
    look(&k, after);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(before[i], after[i]);
    session_sound(&k.s);
    keyed_free(&k);
}

/* ------------------------------------------------------------ strangers */

/* Sends every kind of call; nothing at all comes back. */
static void expect_nothing(struct client *c)
{
    char byte;
    for (enum wire_kind kind = next_kind(0); kind; kind = next_kind(kind)) {
        const struct wire_envelope m = call_of(kind);
        curve_try_send(c, &m);
    }
    client_wait(c, 1500);
    assert_int_equal(zmq_recv(c->socket, &byte, 1, 0), -1);
}

void test_roles_strangers_get_nothing(void **state)
{
    (void)state;
    struct keyed k;
    struct curve_key stranger, another, unused;
    struct client c;
    keyed_new(&k, "");
    curve_key_make(&stranger, &unused);
    curve_key_make(&unused, &another);
    curve_client(&k.x, &c, NULL, NULL); /* no key */
    expect_nothing(&c);
    client_close(&c);
    curve_client(&k.x, &c, &stranger, NULL); /* an unknown one */
    expect_nothing(&c);
    client_close(&c);
    curve_client(&k.x, &c, &k.keys[0], &another); /* another server than this one */
    expect_nothing(&c);
    client_close(&c);
    session_sound(&k.s);
    keyed_free(&k);
}

void test_roles_revoked_keys_get_nothing(void **state)
{
    (void)state;
    struct keyed k;
    struct client c;
    char path[480];
    const char *field;
    keyed_new(&k, "");
    curve_client(&k.x, &c, &k.keys[1], NULL);
    assert_int_equal(ask(&c, WIRE_KIND_STATUS, &field), STATUS_OK);
    (void)snprintf(path, sizeof path, "%s/mlops.pub", k.clients);
    assert_int_equal(unlink(path), 0);
    keyed_reload(&k, "key.revoked");
    for (enum wire_kind kind = next_kind(0); kind; kind = next_kind(kind)) {
        assert_int_equal(ask(&c, kind, &field), STATUS_PERMISSION_DENIED);
        assert_string_equal(field, "key");
    }
    client_close(&c);
    curve_client(&k.x, &c, &k.keys[1], NULL);
    expect_nothing(&c);
    client_close(&c);
    session_sound(&k.s);
    keyed_free(&k);
}

void test_roles_the_command_says_so_by_its_status(void **state)
{
    (void)state;
    struct keyed k;
    struct curve_key stranger, unused;
    char path[400], out[4096];
    keyed_new(&k, "");
    assert_int_equal(keyed_cli(&k, "auditor", "status", NULL), 0);
    assert_int_equal(keyed_cli(&k, "auditor", "history", NULL), 0);
    assert_int_equal(keyed_cli(&k, "auditor", "fsck", NULL), 3);
    assert_int_equal(keyed_cli(&k, "admin", "fsck", NULL), 0);
    assert_int_equal(keyed_cli(&k, "predict", "history", NULL), 3);
    curve_key_make(&stranger, &unused);
    keyed_path(&k, "stranger.key", path);
    assert_int_equal(curve_file_write_secret(path, &stranger, NULL), STATUS_OK);
    assert_int_equal(keyed_cli(&k, "stranger", "status", NULL), 4);
    /* tcp:// without a key is a mistake that the client finds itself. */
    assert_int_equal(test_daemon_cli(&k.s.d, out, sizeof out, "status", NULL), 2);
    keyed_free(&k);
}

/* ------------------------------------------------------------ whose requests */

void test_roles_requests_of_others(void **state)
{
    (void)state;
    struct keyed k;
    struct lethe_error e = {0};
    struct lethe_request *r;
    struct lethe_requests *list;
    keyed_new(&k, SESSION_GATE SESSION_FAST);
    session_import(&k.s);
    (void)keyed_add(&k, "dora", "privacy");
    keyed_reload(&k, "key.added");
    struct lethe *privacy = keyed_connect(&k, "privacy"), *dora = keyed_connect(&k, "dora");
    struct lethe *mlops = keyed_connect(&k, "mlops"), *auditor = keyed_connect(&k, "auditor");
    struct lethe *admin = keyed_connect(&k, "admin");
    const char *label = tiny_labels[0];
    const struct lethe_forget_args args = {.classes = &label, .n_classes = 1};
    session_ok(lethe_forget(privacy, &args, &r, &e), e);
    char id[LETHE_ID_TEXT];
    memcpy(id, r->id, sizeof id);
    assert_string_equal(r->role, "privacy");
    lethe_free(r);
    /* Not theirs. */
    session_refused(lethe_request(mlops, id, &r, &e), LETHE_PERMISSION_DENIED, "id", e);
    session_refused(lethe_request(admin, id, &r, &e), LETHE_PERMISSION_DENIED, "id", e);
    session_refused(lethe_cancel(mlops, id, "x", &r, &e), LETHE_PERMISSION_DENIED, "id", e);
    session_refused(lethe_cancel(dora, id, "x", &r, &e), LETHE_PERMISSION_DENIED, "id", e);
    session_refused(lethe_cancel(admin, id, NULL, &r, &e), LETHE_INVALID_ARGUMENT, "reason", e);
    session_ok(lethe_requests(mlops, NULL, 10, 0, &list, &e), e);
    assert_int_equal(list->n, 0);
    lethe_free(list);
    /* Those who answer for all see it. */
    struct lethe *all[] = {privacy, dora, auditor};
    for (size_t i = 0; i < 3; i++) {
        session_ok(lethe_request(all[i], id, &r, &e), e);
        lethe_free(r);
        session_ok(lethe_requests(all[i], NULL, 10, 0, &list, &e), e);
        assert_int_equal(list->n, 1);
        lethe_free(list);
    }
    /* The same id from another client is another request, and refused. */
    const struct lethe_forget_args again = {.request_id = id, .classes = &label, .n_classes = 1};
    session_ok(lethe_forget(privacy, &again, &r, &e), e);
    assert_string_equal(r->id, id);
    lethe_free(r);
    session_refused(lethe_forget(dora, &again, &r, &e), LETHE_ALREADY_EXISTS, "request_id", e);
    lethe_free(session_wait(&k.s, id, "committed"));
    struct lethe *clients[] = {privacy, dora, mlops, auditor, admin};
    for (size_t i = 0; i < 5; i++)
        lethe_close(clients[i]);
    session_sound(&k.s);
    keyed_free(&k);
}

/* Pages of a client that sees its own requests only hold its own requests. */
void test_roles_pages_hold_own_requests(void **state)
{
    (void)state;
    struct keyed k;
    struct lethe_error e = {0};
    struct lethe_request *r;
    struct lethe_requests *list;
    keyed_new(&k, "[gslora]\nepochs = 1\n");
    session_import(&k.s);
    (void)keyed_add(&k, "otto", "mlops");
    keyed_reload(&k, "key.added");
    struct lethe *mlops = keyed_connect(&k, "mlops"), *otto = keyed_connect(&k, "otto");
    for (int i = 0; i < 6; i++) {
        char name[20];
        (void)snprintf(name, sizeof name, "s%d", i);
        const struct lethe_stream_args args = {.name = name};
        session_ok(lethe_stream_open(i % 2 ? otto : mlops, &args, &r, &e), e);
        lethe_free(r);
    }
    session_ok(lethe_requests(mlops, NULL, 2, 0, &list, &e), e);
    assert_int_equal(list->n, 2);
    assert_true(list->next_before > 0);
    assert_string_equal(list->items[0].task, "s4");
    assert_string_equal(list->items[1].task, "s2");
    const uint64_t next = list->next_before;
    lethe_free(list);
    session_ok(lethe_requests(mlops, NULL, 2, next, &list, &e), e);
    assert_int_equal(list->n, 1);
    assert_string_equal(list->items[0].task, "s0");
    assert_int_equal(list->next_before, 0);
    lethe_free(list);
    lethe_close(mlops);
    lethe_close(otto);
    keyed_free(&k);
}

/* ------------------------------------------------------------ four eyes */

static void submit_erasure(struct lethe *l, const char *label, char id[LETHE_ID_TEXT])
{
    struct lethe_error e = {0};
    struct lethe_request *r;
    const struct lethe_forget_args args = {.classes = &label, .n_classes = 1};
    session_ok(lethe_forget(l, &args, &r, &e), e);
    assert_string_equal(r->state, "awaiting_approval");
    memcpy(id, r->id, LETHE_ID_TEXT);
    lethe_free(r);
}

void test_roles_erasures_wait_for_a_second_person(void **state)
{
    (void)state;
    struct keyed k;
    struct lethe_error e = {0};
    struct lethe_request *r;
    char id[LETHE_ID_TEXT];
    keyed_new(&k, "approval = class\n" SESSION_GATE SESSION_FAST);
    session_import(&k.s);
    (void)keyed_add(&k, "dora", "privacy");
    keyed_reload(&k, "key.added");
    struct lethe *privacy = keyed_connect(&k, "privacy"), *dora = keyed_connect(&k, "dora");
    struct lethe *auditor = keyed_connect(&k, "auditor");
    submit_erasure(privacy, tiny_labels[0], id);
    session_refused(lethe_approve(privacy, id, NULL, &r, &e), LETHE_PERMISSION_DENIED, "id", e);
    session_refused(lethe_deny(privacy, id, "no", &r, &e), LETHE_PERMISSION_DENIED, "id", e);
    session_refused(lethe_approve(auditor, id, NULL, &r, &e), LETHE_PERMISSION_DENIED, "kind", e);
    session_ok(lethe_approve(dora, id, "checked the ticket", &r, &e), e);
    assert_true(strcmp(r->state, "awaiting_approval") != 0);
    lethe_free(r);
    lethe_free(session_wait(&k.s, id, "committed"));
    session_refused(lethe_deny(dora, id, "late", &r, &e), LETHE_FAILED_PRECONDITION, "id", e);
    submit_erasure(privacy, tiny_labels[1], id);
    session_refused(lethe_deny(dora, id, NULL, &r, &e), LETHE_INVALID_ARGUMENT, "reason", e);
    session_ok(lethe_deny(dora, id, "identity not proven", &r, &e), e);
    assert_string_equal(r->state, "denied");
    assert_string_equal(r->reason, "identity not proven");
    lethe_free(r);
    /* Who submitted may still take it back, and a dry run waits for nobody. */
    submit_erasure(privacy, tiny_labels[1], id);
    session_ok(lethe_cancel(privacy, id, "mistake", &r, &e), e);
    assert_string_equal(r->state, "cancelled");
    lethe_free(r);
    const char *label = tiny_labels[1];
    const struct lethe_forget_args dry = {.classes = &label, .n_classes = 1, .dry_run = true};
    session_ok(lethe_forget(privacy, &dry, &r, &e), e);
    assert_true(strcmp(r->state, "awaiting_approval") != 0);
    lethe_free(r);
    lethe_close(privacy);
    lethe_close(dora);
    lethe_close(auditor);
    keyed_free(&k);
}

void test_roles_open_requests_of_one_client_are_limited(void **state)
{
    (void)state;
    struct keyed k;
    struct lethe_error e = {0};
    struct lethe_request *r;
    char id[LETHE_ID_TEXT];
    keyed_new(&k, "approval = all\nquota_open = 2\n");
    session_import(&k.s);
    struct lethe *privacy = keyed_connect(&k, "privacy");
    submit_erasure(privacy, tiny_labels[0], id);
    submit_erasure(privacy, tiny_labels[1], id);
    const char *label = tiny_labels[2];
    const struct lethe_forget_args args = {.classes = &label, .n_classes = 1};
    session_refused(lethe_forget(privacy, &args, &r, &e), LETHE_RESOURCE_EXHAUSTED, "quota_open",
                    e);
    assert_true(e.retry_after_s > 0);
    session_ok(lethe_cancel(privacy, id, NULL, &r, &e), e);
    lethe_free(r);
    submit_erasure(privacy, tiny_labels[2], id);
    lethe_close(privacy);
    keyed_free(&k);
}

/* ------------------------------------------------------------ keys by call */

void test_roles_an_admin_adds_and_revokes_keys(void **state)
{
    (void)state;
    struct keyed k;
    struct lethe_error e = {0};
    struct lethe_clients *list;
    struct curve_key secret, public;
    struct client c;
    const char *field;
    keyed_new(&k, "");
    struct lethe *admin = keyed_connect(&k, "admin");
    curve_key_make(&secret, &public);
    session_ok(lethe_keys_list(admin, &list, &e), e);
    assert_int_equal(list->n, KEYED_ROLES);
    lethe_free(list);
    struct lethe_client eva = {.name = "eva", .role = "auditor,mlops", .key = public.b};
    session_ok(lethe_keys_add(admin, &eva, &list, &e), e);
    assert_string_equal(list->items[0].name, "eva");
    lethe_free(list);
    session_refused(lethe_keys_add(admin, &eva, &list, &e), LETHE_ALREADY_EXISTS, "name", e);
    eva.name = "../eva";
    session_refused(lethe_keys_add(admin, &eva, &list, &e), LETHE_INVALID_ARGUMENT, "name", e);
    curve_client(&k.x, &c, &secret, NULL);
    assert_int_equal(ask(&c, WIRE_KIND_HISTORY, &field), STATUS_OK);
    session_ok(lethe_keys_revoke(admin, "eva", &list, &e), e);
    lethe_free(list);
    assert_int_equal(ask(&c, WIRE_KIND_HISTORY, &field), STATUS_PERMISSION_DENIED);
    assert_string_equal(field, "key");
    client_close(&c);
    session_refused(lethe_keys_revoke(admin, "eva", &list, &e), LETHE_NOT_FOUND, "name", e);
    assert_int_equal(keyed_cli(&k, "admin", "keys", "list"), 0);
    assert_int_equal(keyed_cli(&k, "auditor", "keys", "list"), 3);
    lethe_close(admin);
    keyed_free(&k);
}

/* ------------------------------------------------------------ reloading */

void test_roles_a_bad_folder_keeps_the_old_table(void **state)
{
    (void)state;
    struct keyed k;
    struct client c;
    char path[480];
    const char *field;
    keyed_new(&k, "");
    (void)snprintf(path, sizeof path, "%s/broken.pub", k.clients);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("name = broken\nrole = emperor\n", file);
    assert_int_equal(fclose(file), 0);
    const struct curve_key fresh = keyed_add(&k, "fresh", "auditor");
    keyed_reload(&k, "reload.failed");
    assert_true(test_daemon_said(&k.s.d, "broken.pub"));
    assert_true(test_daemon_said(&k.s.d, "line 2"));
    curve_client(&k.x, &c, &k.keys[3], NULL);
    assert_int_equal(ask(&c, WIRE_KIND_STATUS, &field), STATUS_OK);
    client_close(&c);
    curve_client(&k.x, &c, &fresh, NULL);
    curve_expect_silence(&c);
    client_close(&c);
    assert_int_equal(unlink(path), 0);
    keyed_reload(&k, "key.added");
    curve_client(&k.x, &c, &fresh, NULL);
    assert_int_equal(ask(&c, WIRE_KIND_HISTORY, &field), STATUS_OK);
    client_close(&c);
    keyed_free(&k);
}

/* ------------------------------------------------------------ refusing to start */

static void expect_no_start(struct keyed *k, const char *words)
{
    assert_int_not_equal(test_daemon_start_refused(&k->s.d), 0);
    if (!test_daemon_said(&k->s.d, words))
        fail_msg("lethed did not say \"%s\"", words);
}

void test_roles_tcp_without_a_key_does_not_start(void **state)
{
    (void)state;
    struct keyed k;
    memset(&k, 0, sizeof k);
    test_support_mkdir(k.s.model);
    tiny_model_write(k.s.model);
    test_daemon_new_at(&k.s.d, k.s.model, "tcp://127.0.0.1:7777", "");
    expect_no_start(&k, "tcp:// is served to clients with keys only");
    session_free(&k.s);
}

void test_roles_keys_that_others_can_read_do_not_start(void **state)
{
    (void)state;
    struct keyed k;
    char path[400];
    keyed_prepare(&k, "");
    keyed_path(&k, "curve.key", path);
    assert_int_equal(chmod(path, 0644), 0);
    expect_no_start(&k, "others can read it");
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chmod(k.clients, 0777), 0);
    expect_no_start(&k, "everybody may write");
    assert_int_equal(chmod(k.clients, 0700), 0);
    keyed_start(&k);
    session_sound(&k.s);
    keyed_free(&k);
}

/* ------------------------------------------------------------ many */

#define MANY 1000

void test_roles_a_thousand_connections(void **state)
{
    (void)state;
    struct keyed k;
    static void *sockets[MANY];
    const int linger = 0, wait_ms = 30000;
    const struct rlimit limit = {8192, 8192};
    keyed_new(&k, "quota_calls = 0\n");
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 ||
        zmq_ctx_set(k.x.f.context, ZMQ_MAX_SOCKETS, MANY + 10) != 0)
        skip();
    struct client c = {.memory = malloc(CLIENT_ARENA)};
    assert_non_null(c.memory);
    arena_init(&c.arena, c.memory, CLIENT_ARENA);
    for (size_t i = 0; i < MANY; i++) {
        sockets[i] = zmq_socket(k.x.f.context, ZMQ_DEALER);
        assert_non_null(sockets[i]);
        assert_int_equal(zmq_setsockopt(sockets[i], ZMQ_LINGER, &linger, sizeof linger), 0);
        assert_int_equal(zmq_setsockopt(sockets[i], ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms), 0);
        curve_set_keys(sockets[i], &k.keys[i % KEYED_ROLES], &k.x.public);
        assert_int_equal(zmq_connect(sockets[i], k.x.f.endpoint), 0);
    }
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < MANY; i++) {
            const struct wire_envelope m = call_of(WIRE_KIND_STATUS);
            c.socket = sockets[i];
            send_envelope(&c, &m, 0);
        }
        for (size_t i = 0; i < MANY; i++) {
            const struct arena_mark mark = arena_mark(&c.arena);
            c.socket = sockets[i];
            assert_null(receive(&c)->error);
            arena_rewind(&c.arena, mark);
        }
    }
    session_sound(&k.s);
    for (size_t i = 0; i < MANY; i++)
        (void)zmq_close(sockets[i]);
    arena_fini(&c.arena);
    free(c.memory);
    keyed_free(&k);
}
