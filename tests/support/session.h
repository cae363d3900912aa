/*
 * A client, a real daemon on the tiny model and its imported data, for tests of the whole: one
 * call to have them, one to see that the daemon still serves and its store is sound.  Calls fail
 * the test with the daemon's own words.  Header only, as tiny_model.h.  One thread.
 */
#ifndef LETHE_TESTS_SUPPORT_SESSION_H
#define LETHE_TESTS_SUPPORT_SESSION_H

#include "tests/support/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/lethe.h"
#include "proto/seal/hash.h"
#include "tests/support/daemon.h"
#include "tests/support/tiny_model.h"

#define SESSION_PER_CLASS 40
#define SESSION_IMAGES    (SESSION_PER_CLASS * TINY_CLASSES)
#ifdef __SANITIZE_THREAD__
#define SESSION_WAIT_MS 900000 /* about fifteen times slower */
#else
#define SESSION_WAIT_MS 60000
#endif

/*
 * Configuration for tests: all imported images may be replayed, and the gate judges what a tiny
 * model can reach.  Sections come last, so keys of the daemon go in front of it.
 */
#define SESSION_GATE                                                                               \
    "memory_fraction = 1.0\n"                                                                      \
    "[gate]\n"                                                                                     \
    "acc_forget = 0.6\n"                                                                           \
    "retain_loss_macro = 0.9 no-fail\n"                                                            \
    "retain_loss_worst = 1.0\n"                                                                    \
    "js_drift = 1.0\n"                                                                             \
    "mia_forget = 0.5\n"                                                                           \
    "mia_retain = 1.0\n"
/* Enough for the tiny model to forget a class in a fraction of a second. */
#define SESSION_FAST "[gslora]\nepochs = 20\nlr = 0.03\nbeta = 1\n"

/* Long enough to be met while it trains. */
#define SESSION_SLOW "[gslora]\nepochs = 150\nlr = 0.03\nbeta = 1\nsettle_epochs = 10000\n"

struct session {
    struct test_daemon d;
    char model[256];
    struct lethe *l;
};

/* The call must succeed; `e` is a struct lethe_error. */
#define session_ok(call, e)                                                                        \
    do {                                                                                           \
        if ((call) != LETHE_OK)                                                                    \
            fail_msg("%s: %s (%s)", lethe_code_name((e).code), (e).text, (e).field);               \
    } while (0)

/* The call must fail with this code and field and say something. */
#define session_refused(call, expected, named, e)                                                  \
    do {                                                                                           \
        memset(&(e), 0, sizeof(e));                                                                \
        assert_int_not_equal((call), LETHE_OK);                                                    \
        if ((e).code != (expected) || strcmp((e).field, (named)) != 0 || (e).text[0] == '\0')      \
            fail_msg("%s: %s (%s), expected %s (%s)", lethe_code_name((e).code), (e).text,         \
                     (e).field, lethe_code_name(expected), (named));                               \
    } while (0)

__attribute__((unused)) static void session_sleep_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

__attribute__((unused)) static int64_t session_now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---------------------------------------------------------------- start and end */

__attribute__((unused)) static void session_connect(struct session *s)
{
    struct lethe_error e = {0};
    const struct lethe_options options = {.timeout_ms = 20000};
    lethe_close(s->l);
    s->l = NULL;
    session_ok(lethe_open(s->d.endpoint, &options, &s->l, &e), e);
}

/* A daemon that runs on a new store; `more` is added to its configuration. */
__attribute__((unused)) static void session_new(struct session *s, const char *more)
{
    memset(s, 0, sizeof *s);
    test_support_mkdir(s->model);
    tiny_model_write(s->model);
    test_daemon_new(&s->d, s->model, more);
    test_daemon_start(&s->d);
    session_connect(s);
}

/* A daemon that runs on a copy of the store of one that is stopped. */
__attribute__((unused)) static void
session_copy(struct session *s, const struct session *origin, const char *more)
{
    char command[2200];
    memset(s, 0, sizeof *s);
    test_support_mkdir(s->model);
    tiny_model_write(s->model);
    test_daemon_new(&s->d, s->model, more);
    (void)snprintf(command, sizeof command,
                   "cp -a '%.500s' '%.500s' && cp -a '%.500s.keys' '%.500s.keys'", origin->d.store,
                   s->d.store, origin->d.store, s->d.store);
    assert_int_equal(system(command), 0);
    test_daemon_start(&s->d);
    session_connect(s);
}

__attribute__((unused)) static void session_free(struct session *s)
{
    lethe_close(s->l);
    test_daemon_free(&s->d);
    test_support_rmdir(s->model);
}

/* ---------------------------------------------------------------- data */

/* Room for an import of up to SESSION_IMAGES images. */
struct session_stream {
    uint8_t bytes[SESSION_IMAGES * (TINY_PIXELS + sizeof(int32_t))];
};

/* The source of an import whose bytes are in memory; its context is the first of them. */
__attribute__((unused)) static bool
session_source(void *context, uint64_t offset, void *to, size_t size)
{
    const uint8_t *bytes = context;
    memcpy(to, bytes + offset, size);
    return true;
}

__attribute__((unused)) static enum lethe_code session_try_import(
    struct session *s, const char *name, const char *role, uint64_t seed, struct lethe_error *e)
{
    static struct session_stream stream;
    struct lethe_dataset *d;
    int32_t labels[SESSION_IMAGES];
    tiny_images(SESSION_PER_CLASS, seed, stream.bytes, labels);
    memcpy(stream.bytes + SESSION_IMAGES * TINY_PIXELS, labels, sizeof labels);
    const struct lethe_import_args args = {.spec = {.name = name,
                                                    .role = role,
                                                    .images = SESSION_IMAGES,
                                                    .height = TINY_SIZE,
                                                    .width = TINY_SIZE,
                                                    .channels = 1,
                                                    .classes = tiny_labels,
                                                    .n_classes = TINY_CLASSES},
                                           .source = session_source,
                                           .context = stream.bytes};
    const enum lethe_code code = lethe_data_import(s->l, &args, &d, e);
    if (code == LETHE_OK)
        assert_int_equal(d->images, SESSION_IMAGES);
    lethe_free(d);
    return code;
}

__attribute__((unused)) static void
session_import_as(struct session *s, const char *name, const char *role, uint64_t seed)
{
    struct lethe_error e = {0};
    session_ok(session_try_import(s, name, role, seed, &e), e);
}

/* Training and test images of the tiny classes. */
__attribute__((unused)) static void session_import(struct session *s)
{
    session_import_as(s, "tiny-train", "train", 1);
    session_import_as(s, "tiny-test", "test", 2);
}

/* ---------------------------------------------------------------- requests */

/* Submits; returns the id in `id`. */
__attribute__((unused)) static void
session_forget(struct session *s, const struct lethe_forget_args *args, char id[LETHE_ID_TEXT])
{
    struct lethe_error e = {0};
    struct lethe_request *r;
    session_ok(lethe_forget(s->l, args, &r, &e), e);
    memcpy(id, r->id, LETHE_ID_TEXT);
    lethe_free(r);
}

/* Waits for the end, which must be this state.  Free with lethe_free. */
__attribute__((unused)) static struct lethe_request *
session_wait(struct session *s, const char *id, const char *state)
{
    struct lethe_error e = {0};
    struct lethe_request *r;
    session_ok(lethe_wait(s->l, id, SESSION_WAIT_MS, NULL, NULL, &r, &e), e);
    if (state && strcmp(r->state, state) != 0)
        fail_msg("request is %s, not %s: %s (%s) %s", r->state, state, r->error.text,
                 r->error.field, r->evaluation);
    return r;
}

/* Forgets one class and waits until that is committed. */
__attribute__((unused)) static struct lethe_request *session_forget_class(struct session *s,
                                                                          const char *label)
{
    char id[LETHE_ID_TEXT];
    const struct lethe_forget_args args = {.classes = &label, .n_classes = 1};
    session_forget(s, &args, id);
    return session_wait(s, id, "committed");
}

/* Waits until a request is in this state (or a later one: final). */
__attribute__((unused)) static void
session_until(struct session *s, const char *id, const char *state)
{
    const int64_t end = session_now_ms() + SESSION_WAIT_MS;
    for (;;) {
        struct lethe_error e = {0};
        struct lethe_request *r;
        session_ok(lethe_request(s->l, id, &r, &e), e);
        const int there = strcmp(r->state, state) == 0;
        if (!there && (lethe_state_is_final(r->state) || session_now_ms() > end))
            fail_msg("request is %s and never was seen %s: %s", r->state, state, r->error.text);
        lethe_free(r);
        if (there)
            return;
        session_sleep_ms(2);
    }
}

/* ---------------------------------------------------------------- predictions */

/* Predicts image i of a class; free the answer with lethe_free. */
__attribute__((unused)) static struct lethe_predictions *
session_predict(struct session *s, const char *version, uint32_t label, uint32_t i)
{
    uint8_t pixels[TINY_PIXELS];
    struct lethe_error e = {0};
    struct lethe_predictions *p;
    const void *images[] = {pixels};
    tiny_image(label, 3, i, pixels);
    const struct lethe_predict_args args = {.version = version,
                                            .top = TINY_CLASSES,
                                            .pixel = LETHE_PIXEL_U8,
                                            .height = TINY_SIZE,
                                            .width = TINY_SIZE,
                                            .channels = 1,
                                            .images = images,
                                            .n_images = 1};
    session_ok(lethe_predict(s->l, &args, &p, &e), e);
    return p;
}

/* Digest of the serving version. */
__attribute__((unused)) static void session_serving(struct session *s, char id[LETHE_DIGEST_TEXT])
{
    struct lethe_error e = {0};
    struct lethe_status *status;
    session_ok(lethe_status(s->l, &status, &e), e);
    memcpy(id, status->serving, LETHE_DIGEST_TEXT);
    lethe_free(status);
}

/* ---------------------------------------------------------------- soundness */

/*
 * The daemon answers, its serving version answers a prediction under its own name and is found in
 * the history, and every stored byte fits its digest.
 */
__attribute__((unused)) static void session_sound(struct session *s)
{
    struct lethe_error e = {0};
    struct lethe_status *status;
    struct lethe_version *version;
    struct lethe_fsck *fsck;
    session_ok(lethe_status(s->l, &status, &e), e);
    assert_string_equal(status->state, "serving");
    struct lethe_predictions *p = session_predict(s, NULL, 0, 0);
    assert_string_equal(p->version, status->serving);
    lethe_free(p);
    session_ok(lethe_show(s->l, "serving", &version, &e), e);
    assert_string_equal(version->id, status->serving);
    lethe_free(version);
    lethe_free(status);
    session_ok(lethe_fsck(s->l, &fsck, &e), e);
    if (!fsck->ok)
        fail_msg("fsck: %s", fsck->n_findings > 0 ? fsck->findings[0] : "not ok");
    lethe_free(fsck);
}

#endif
