/*
 * The keys and the base of a running daemon: an erasure is sealed into the base, the old base and
 * its erasure are gone for good, everything else answers as before to the bit, also after a restart
 * and with further erasures; backups are brought up to date and restored.
 */
#include "tests/support/session.h"

#include "daemon/base/sysio.h"

#include <dirent.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SETTING "eval_per_class = 40\nshred_window_s = 3600\n" SESSION_GATE SESSION_FAST

static struct session story;

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    session_new(&story, SETTING);
    session_import(&story);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    session_free(&story);
    return 0;
}

/* The answer to one image, as bytes that can be compared. */
static void answer(struct session *s, uint32_t label, char *to, size_t size)
{
    struct lethe_predictions *p = session_predict(s, NULL, label, 0);
    size_t used = 0;
    to[0] = '\0';
    for (size_t i = 0; i < p->items[0].n_labels; i++)
        used += (size_t)snprintf(to + used, size - used, "%s %.9g\n", p->items[0].labels[i].label,
                                 (double)p->items[0].labels[i].p);
    lethe_free(p);
}

static void restart(struct session *s)
{
    lethe_close(s->l);
    s->l = NULL;
    test_daemon_stop(&s->d);
    test_daemon_start(&s->d);
    session_connect(s);
}

/* Number of files in the folder of the key-encryption keys. */
static unsigned key_files(const struct session *s)
{
    char path[700];
    unsigned n = 0;
    (void)snprintf(path, sizeof path, "%s.keys", s->d.store);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        n += e->d_name[0] != '.';
    (void)closedir(d);
    return n;
}

void test_seal_1_nothing_to_seal_is_refused(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_vault *v;
    session_refused(lethe_seal(story.l, &v, &e), LETHE_FAILED_PRECONDITION, "version", e);
    session_ok(lethe_rotate(story.l, &v, &e), e);
    assert_int_equal(v->epoch, 2);
    assert_string_equal(v->key_store, "file");
    assert_true(v->data_keys > 0);
    lethe_free(v);
    assert_int_equal(key_files(&story), 1);
    session_sound(&story);
}

void test_seal_2_answers_stay_and_the_old_base_is_gone(void **state)
{
    (void)state;
    static char before[2][4096], after[2][4096];
    struct lethe_error e;
    struct lethe_vault *v;
    struct lethe_version *shown;
    struct lethe_diff *diff;
    char unsealed[LETHE_DIGEST_TEXT], sealed[LETHE_DIGEST_TEXT];
    lethe_free(session_forget_class(&story, tiny_labels[1]));
    session_serving(&story, unsealed);
    answer(&story, 0, before[0], sizeof before[0]);
    answer(&story, 1, before[1], sizeof before[1]);
    session_ok(lethe_seal(story.l, &v, &e), e);
    assert_true(v->destroyed >= 2); /* the old base and the delta */
    assert_int_equal(v->epoch, 3);
    assert_int_equal(v->n_copies, 2);
    assert_non_null(strstr(v->copies[1], story.model));
    memcpy(sealed, v->version, sizeof sealed);
    lethe_free(v);
    session_serving(&story, after[0]);
    assert_string_equal(after[0], sealed);
    for (unsigned again = 0; again < 2; again++) {
        answer(&story, 0, after[0], sizeof after[0]);
        answer(&story, 1, after[1], sizeof after[1]);
        assert_string_equal(before[0], after[0]);
        assert_string_equal(before[1], after[1]);
        session_sound(&story);
        restart(&story);
    }
    /* manifests stay, contents do not */
    session_ok(lethe_show(story.l, unsealed, &shown, &e), e);
    lethe_free(shown);
    session_ok(lethe_diff(story.l, unsealed, sealed, &diff, &e), e);
    lethe_free(diff);
    struct lethe_predictions *p;
    uint8_t pixels[TINY_PIXELS];
    const void *images[] = {pixels};
    tiny_image(0, 3, 0, pixels);
    const char *const OLD[] = {"1", unsealed};
    for (size_t i = 0; i < 2; i++) {
        const struct lethe_predict_args args = {.version = OLD[i],
                                                .top = 1,
                                                .pixel = LETHE_PIXEL_U8,
                                                .height = TINY_SIZE,
                                                .width = TINY_SIZE,
                                                .channels = 1,
                                                .images = images,
                                                .n_images = 1};
        if (lethe_predict(story.l, &args, &p, &e) != LETHE_FAILED_PRECONDITION)
            fail_msg("version %s: %s (%s)", OLD[i], e.text, e.field);
    }
    struct lethe_version *r;
    assert_int_equal(lethe_rollback(story.l, unsealed, &r, &e), LETHE_FAILED_PRECONDITION);
    session_refused(lethe_seal(story.l, &v, &e), LETHE_FAILED_PRECONDITION, "version", e);
    assert_int_equal(key_files(&story), 1);
}

/* Forgetting goes on from the sealed base, and what it leaves can be sealed again. */
void test_seal_3_further_erasures(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_vault *v;
    static char before[4096], after[4096];
    lethe_free(session_forget_class(&story, tiny_labels[2]));
    session_sound(&story);
    restart(&story);
    session_sound(&story);
    answer(&story, 0, before, sizeof before);
    session_ok(lethe_seal(story.l, &v, &e), e);
    lethe_free(v);
    answer(&story, 0, after, sizeof after);
    assert_string_equal(before, after);
    restart(&story);
    answer(&story, 0, after, sizeof after);
    assert_string_equal(before, after);
    session_sound(&story);
}

/* ---------------------------------------------------------------- copies */

static int run(const char *format, ...)
{
    char command[3000];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(command, sizeof command, format, list);
    va_end(list);
    const int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void test_seal_4_compacting_and_backups(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_vault *v;
    char folder[500], stale[500];
    (void)snprintf(folder, sizeof folder, "%s/backup", story.d.folder);
    (void)snprintf(stale, sizeof stale, "%s/stale", story.d.folder);
    session_ok(lethe_compact(story.l, &v, &e), e);
    lethe_free(v);
    session_sound(&story);
    session_refused(lethe_backup(story.l, "relative", &v, &e), LETHE_INVALID_ARGUMENT, "folder", e);
    session_ok(lethe_backup(story.l, folder, &v, &e), e);
    assert_true(v->bytes > 1000);
    lethe_free(v);
    assert_int_equal(run("cp -a '%s' '%s'", folder, stale), 0);
    /* a copy from before a rotation opens nothing any more; one that was brought up to date does */
    session_ok(lethe_rotate(story.l, &v, &e), e);
    lethe_free(v);
    assert_int_equal(run("%s/bin/lethe-restore --keys '%s.keys' '%s' '%s/r1' 2>/dev/null",
                         LETHE_BUILD, story.d.store, stale, story.d.folder),
                     1);
    session_ok(lethe_backup(story.l, folder, &v, &e), e);
    lethe_free(v);
    assert_int_equal(run("%s/bin/lethe-restore --keys '%s.keys' '%s' '%s/r2' >/dev/null",
                         LETHE_BUILD, story.d.store, folder, story.d.folder),
                     0);
    session_sound(&story);
    /* the daemon goes on with what was restored; the key of the log is in no backup */
    lethe_close(story.l);
    story.l = NULL;
    test_daemon_stop(&story.d);
    assert_int_equal(run("cp '%s/log.key' '%s/r2/' && rm -rf '%s' && mv '%s/r2' '%s'",
                         story.d.store, story.d.folder, story.d.store, story.d.folder,
                         story.d.store),
                     0);
    test_daemon_start(&story.d);
    session_connect(&story);
    session_sound(&story);
}

/* With a window of nothing, what was deleted is gone by itself. */
void test_seal_5_deletions_rotate_by_themselves(void **state)
{
    (void)state;
    struct session s;
    struct lethe_error e;
    struct lethe_vault *v;
    session_new(&s, "shred_window_s = 0\n" SESSION_GATE SESSION_FAST);
    session_import(&s);
    session_ok(lethe_data_remove(s.l, "tiny-test", &e), e);
    for (unsigned i = 0; i < 100 && !test_daemon_said(&s.d, "shred.done"); i++)
        session_sleep_ms(100);
    assert_true(test_daemon_said(&s.d, "shred.done"));
    session_ok(lethe_rotate(s.l, &v, &e), e);
    assert_true(v->epoch >= 3);
    lethe_free(v);
    session_sound(&s);
    session_free(&s);
}
