/*
 * The keys and the base of a running daemon: an erasure is sealed into the base, the old base and
 * its erasure are gone for good, everything else answers as before to the bit, also after a restart
 * and with further erasures; backups are brought up to date and restored.
 */
#include "tests/support/lane_story.h"

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

/* ---------------------------------------------------------------- lanes */

/* What the lane and its router terms are, after one of its classes was forgotten. */
static void
lane_after(struct session *s, char lane[LETHE_DIGEST_TEXT], char terms[LETHE_DIGEST_TEXT])
{
    lethe_free(session_forget_class(s, "eleven"));
    component(s, "lane", "left", lane);
    component(s, "router", "lane:left", terms);
    assert_true(lane[0] && terms[0]);
    session_sound(s);
}

/* Two daemons with the same past, one of them sealed: the same lanes, now and after they change. */
void test_seal_7_lanes_do_not_notice(void **state)
{
    (void)state;
    static const struct task left = {"left", 10, {"ten", "eleven", "twelve"}};
    static const char id[] = "0199a5b0-0000-7000-8000-000000000001";
    struct session origin, open, sealed;
    struct lethe_error e;
    struct lethe_vault *v;
    char lane[3][LETHE_DIGEST_TEXT], terms[3][LETHE_DIGEST_TEXT];
    session_new(&origin, SETTING);
    session_import(&origin);
    import_task(&origin, &left, "left-images", TASK_CLASSES);
    lethe_free(learn(&origin, &left, "left-images", id));
    lethe_free(session_forget_class(&origin, tiny_labels[1]));
    component(&origin, "lane", "left", lane[0]);
    test_daemon_stop(&origin.d);
    session_copy(&open, &origin, SETTING);
    session_copy(&sealed, &origin, SETTING);
    const double before = accuracy(&sealed, &left);
    session_ok(lethe_seal(sealed.l, &v, &e), e);
    lethe_free(v);
    restart(&sealed);
    component(&sealed, "lane", "left", lane[1]);
    assert_string_equal(lane[0], lane[1]);
    assert_true(accuracy(&sealed, &left) >= before && accuracy(&sealed, &left) <= before);
    lane_after(&open, lane[0], terms[0]);
    lane_after(&sealed, lane[1], terms[1]);
    assert_string_equal(lane[0], lane[1]);
    assert_string_equal(terms[0], terms[1]);
    /* an erasure of the base moves the trunk on, with what was folded in its name */
    lethe_free(session_forget_class(&sealed, tiny_labels[2]));
    component(&sealed, "lane", "left", lane[2]);
    assert_true(lane[2][0]);
    restart(&sealed);
    session_sound(&sealed);
    session_free(&sealed);
    session_free(&open);
    session_free(&origin);
}

/* ---------------------------------------------------------------- marks */

#define MARK       32u
#define MARKS_MAX  4000u
#define ERASED     1u
#define PER_WEIGHT 32u /* bytes between two marks in a file of weights */

struct marks {
    uint8_t bytes[MARKS_MAX][MARK];
    size_t n;
};

/* A stretch of bytes that is random enough to be found nowhere else. */
static void mark(struct marks *m, const uint8_t *from)
{
    size_t changes = 0;
    for (size_t i = 1; i < MARK; i++)
        changes += from[i] != from[i - 1];
    if (m->n < MARKS_MAX && changes > MARK / 2)
        memcpy(m->bytes[m->n++], from, MARK);
}

/* The class to be erased has noise for images, every byte of it a mark. */
static void import_marked(struct session *s, struct marks *m)
{
    static struct session_stream stream;
    int32_t labels[SESSION_IMAGES];
    struct lethe_dataset *d;
    struct lethe_error e;
    tiny_images(SESSION_PER_CLASS, 1, stream.bytes, labels);
    for (size_t i = 0; i < SESSION_IMAGES; i++) {
        uint8_t *pixels = stream.bytes + i * TINY_PIXELS;
        if (labels[i] != (int32_t)ERASED)
            continue;
        seal_random(pixels, TINY_PIXELS);
        for (size_t at = 0; at < TINY_PIXELS; at += MARK)
            mark(m, pixels + at);
    }
    memcpy(stream.bytes + SESSION_IMAGES * TINY_PIXELS, labels, sizeof labels);
    const struct lethe_import_args args = {.spec = {.name = "tiny-train",
                                                    .role = "train",
                                                    .images = SESSION_IMAGES,
                                                    .height = TINY_SIZE,
                                                    .width = TINY_SIZE,
                                                    .channels = 1,
                                                    .classes = tiny_labels,
                                                    .n_classes = TINY_CLASSES},
                                           .source = session_source,
                                           .context = stream.bytes};
    session_ok(lethe_data_import(s->l, &args, &d, &e), e);
    lethe_free(d);
}

/* Marks in a file of weights that another one does not have (NULL: in any). */
static void mark_file(struct marks *m, const char *path, const char *other)
{
    unsigned char *a = NULL, *b = NULL;
    size_t n = 0, k = 0;
    assert_int_equal(sysio_read_file(path, (size_t)1 << 28, &a, &n, NULL), STATUS_OK);
    if (other)
        assert_int_equal(sysio_read_file(other, (size_t)1 << 28, &b, &k, NULL), STATUS_OK);
    for (size_t at = 512; at + MARK <= n; at += PER_WEIGHT)
        if (!b || !memmem(b, k, a + at, MARK))
            mark(m, a + at);
    sysio_free(a);
    sysio_free(b);
}

static size_t count_in(const struct marks *m, const uint8_t *bytes, size_t n)
{
    size_t found = 0;
    for (size_t i = 0; i < m->n; i++)
        found += memmem(bytes, n, m->bytes[i], MARK) != NULL;
    return found;
}

/* Marks in all files under a folder. */
static size_t count_under(const struct marks *m, const char *folder)
{
    size_t found = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        char path[2048];
        struct stat info;
        unsigned char *bytes = NULL;
        size_t n = 0;
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] == '.' || stat(path, &info) != 0)
            continue;
        if (S_ISDIR(info.st_mode)) {
            found += count_under(m, path);
        } else if (S_ISREG(info.st_mode)) {
            assert_int_equal(sysio_read_file(path, (size_t)1 << 30, &bytes, &n, NULL), STATUS_OK);
            found += count_in(m, bytes, n);
            sysio_free(bytes);
        }
    }
    (void)closedir(d);
    return found;
}

/* Marks in the writable and the mapped memory of a running process. */
static size_t count_in_memory(const struct marks *m, pid_t pid)
{
    char path[64], line[512];
    size_t found = 0, regions = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "r");
    (void)snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    FILE *memory = fopen(path, "r");
    assert_non_null(maps);
    assert_non_null(memory);
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char access[8];
        if (sscanf(line, "%lx-%lx %7s", &from, &to, access) != 3 || access[0] != 'r' ||
            strstr(line, ".so") || strstr(line, "data.mdb") || to - from > (64ul << 20))
            continue;
        uint8_t *bytes = malloc(to - from);
        assert_non_null(bytes);
        size_t n = 0;
        if (fseek(memory, (long)from, SEEK_SET) == 0)
            n = fread(bytes, 1, to - from, memory);
        found += count_in(m, bytes, n);
        regions += n > 0;
        free(bytes);
    }
    assert_true(regions > 10);
    (void)fclose(memory);
    (void)fclose(maps);
    return found;
}

/* Writes an export into a folder. */
static void export_to(struct session *s, const char *version, const char *format, const char *to)
{
    assert_int_equal(run("%s/bin/lethe --quiet -e '%s' export %s --format %s -o '%s' >/dev/null",
                         LETHE_BUILD, s->d.endpoint, version, format, to),
                     0);
}

/*
 * What is erased: the class's training images (which are its replay items too), the delta, and the
 * base from before.  Marks of each are found in no file of the store, in no backup from before, and
 * not in the memory of the daemon that is started again; the survivors read and verify.
 */
void test_seal_6_no_mark_is_left(void **state)
{
    (void)state;
    static struct marks m;
    struct session s;
    struct lethe_error e;
    struct lethe_vault *v;
    char folder[500], merged[500], peft[500], file[700], after[700];
    session_new(&s, SETTING);
    import_marked(&s, &m);
    session_import_as(&s, "tiny-test", "test", 2);
    assert_int_equal(m.n, 2 * SESSION_PER_CLASS);
    (void)snprintf(folder, sizeof folder, "%s/backup", s.d.folder);
    (void)snprintf(merged, sizeof merged, "%s/merged", s.model);
    (void)snprintf(peft, sizeof peft, "%s/peft", s.model);
    lethe_free(session_forget_class(&s, tiny_labels[ERASED]));
    export_to(&s, "serving", "merged", merged);
    export_to(&s, "serving", "peft", peft);
    (void)snprintf(file, sizeof file, "%s/adapter_model.safetensors", peft);
    mark_file(&m, file, NULL);
    (void)snprintf(file, sizeof file, "%s/model.safetensors", s.model);
    (void)snprintf(after, sizeof after, "%s/model.safetensors", merged);
    mark_file(&m, file, after);
    print_message("%zu marks\n", m.n);
    assert_true(m.n >= 1000);
    /* they are in the clear where one may look for them: the base folder, and this daemon */
    assert_true(count_under(&m, s.model) > 500);
    assert_true(count_in_memory(&m, s.d.pid) > 100);
    session_ok(lethe_backup(s.l, folder, &v, &e), e);
    lethe_free(v);
    session_ok(lethe_seal(s.l, &v, &e), e);
    lethe_free(v);
    lethe_close(s.l);
    s.l = NULL;
    test_daemon_stop(&s.d);
    /* the declared copy of the old base */
    assert_int_equal(run("rm -rf '%s'", s.model), 0);
    test_daemon_start(&s.d);
    session_connect(&s);
    session_sound(&s);
    assert_int_equal(count_under(&m, s.d.folder), 0);
    assert_int_equal(count_in_memory(&m, s.d.pid), 0);
    assert_int_equal(key_files(&s), 1);
    assert_int_equal(run("%s/bin/lethe-restore --keys '%s.keys' '%s' '%s/r' 2>/dev/null",
                         LETHE_BUILD, s.d.store, folder, s.d.folder),
                     1);
    session_sound(&s);
    session_free(&s);
}
