/*
 * A folder with one sub-folder a class, PNG and JPEG pictures in each.  Classes and pictures are in
 * byte order of their names; hidden entries and files of other types are skipped.  Two such folders
 * named train and test may lie in one folder; then they are the splits of one data set.
 */
#include "client/dataset/dataset_internal.h"
#include "client/dataset/picture.h"
#include "daemon/base/sysio.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define IMAGEFOLDER_PATH 4096

struct imagefolder_class {
    struct dirent **files; /* scandir's */
    int n_files;
};

struct imagefolder {
    const char *path;
    struct dirent **folders;
    int n_folders;
    struct imagefolder_class *classes; /* [n_folders] */
    uint32_t n_images;
};

static int imagefolder_is_picture(const char *name)
{
    const char *dot = strrchr(name, '.');
    return name[0] != '.' && dot &&
           (strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".jpg") == 0 ||
            strcasecmp(dot, ".jpeg") == 0);
}

static int imagefolder_keep_picture(const struct dirent *e)
{
    return e->d_type != DT_DIR && imagefolder_is_picture(e->d_name);
}

static int imagefolder_keep_folder(const struct dirent *e)
{
    return e->d_name[0] != '.' &&
           (e->d_type == DT_DIR || e->d_type == DT_LNK || e->d_type == DT_UNKNOWN);
}

static int imagefolder_compare(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void imagefolder_free_list(struct dirent **list, int n)
{
    for (int i = 0; i < n; i++)
        free(list[i]); /* from scandir */
    free(list);
}

static void imagefolder_fini(struct imagefolder *s)
{
    for (int i = 0; s->classes && i < s->n_folders; i++)
        imagefolder_free_list(s->classes[i].files, s->classes[i].n_files);
    sysio_free(s->classes);
    imagefolder_free_list(s->folders, s->n_folders);
}

static enum status imagefolder_path(const struct imagefolder *s,
                                    const char *class_name,
                                    const char *file,
                                    char path[IMAGEFOLDER_PATH],
                                    struct fault *f)
{
    const int n =
        snprintf(path, IMAGEFOLDER_PATH, "%s/%s%s%s", s->path, class_name, *file ? "/" : "", file);
    if (n < 0 || n >= IMAGEFOLDER_PATH)
        FAIL(f, STATUS_INVALID_ARGUMENT, "path", "path is longer than %d bytes", IMAGEFOLDER_PATH);
    return STATUS_OK;
}

/* Drops entries that are no folders after all (links, file systems without types). */
static void imagefolder_drop_files(struct imagefolder *s)
{
    int kept = 0;
    for (int i = 0; i < s->n_folders; i++) {
        char path[IMAGEFOLDER_PATH];
        struct stat info;
        if (imagefolder_path(s, s->folders[i]->d_name, "", path, NULL) == STATUS_OK &&
            stat(path, &info) == 0 && S_ISDIR(info.st_mode))
            s->folders[kept++] = s->folders[i];
        else
            free(s->folders[i]);
    }
    s->n_folders = kept;
}

static enum status imagefolder_scan_class(struct imagefolder *s, int i, struct fault *f)
{
    const char *name = s->folders[i]->d_name;
    struct imagefolder_class *c = &s->classes[i];
    char path[IMAGEFOLDER_PATH];
    TRY(imagefolder_path(s, name, "", path, f));
    const int n = scandir(path, &c->files, imagefolder_keep_picture, imagefolder_compare);
    if (n < 0)
        FAIL(f, status_from_errno(errno), "path", "cannot read %.100s: %s", path, strerror(errno));
    c->n_files = n;
    if (n == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "classes", "class folder %.80s has no PNG or JPEG", name);
    if ((uint32_t)n > DATASET_MAX_IMAGES - s->n_images)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "images", "more than %u pictures", DATASET_MAX_IMAGES);
    s->n_images += (uint32_t)n;
    return STATUS_OK;
}

static enum status imagefolder_scan(struct imagefolder *s, struct fault *f)
{
    const int n = scandir(s->path, &s->folders, imagefolder_keep_folder, imagefolder_compare);
    if (n < 0)
        FAIL(f, status_from_errno(errno), "path", "cannot read %.100s: %s", s->path,
             strerror(errno));
    s->n_folders = n;
    imagefolder_drop_files(s);
    if (s->n_folders == 0)
        FAIL(f, STATUS_BAD_FORMAT, "path", "%.80s has no sub-folders, one a class", s->path);
    if (s->n_folders > (int)DATASET_MAX_CLASSES)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "classes", "%d class folders, limit %u", s->n_folders,
             DATASET_MAX_CLASSES);
    s->classes = sysio_alloc((size_t)s->n_folders, sizeof *s->classes);
    if (!s->classes)
        FAIL(f, STATUS_NO_MEMORY, "classes", "no memory for %d classes", s->n_folders);
    for (int i = 0; i < s->n_folders; i++)
        TRY(imagefolder_scan_class(s, i, f));
    return STATUS_OK;
}

/* Copies or prepares one picture into image `at` of the set, which the first picture shapes. */
static enum status imagefolder_add(const struct imagefolder *s,
                                   const struct dataset_options *o,
                                   const struct picture *p,
                                   uint32_t at,
                                   struct dataset **set,
                                   struct fault *f)
{
    const struct picture_size size = {p->height, p->width, p->channels};
    const struct preparation *prepare = o->prepare;
    if (!*set) {
        const struct dataset_shape shape = {s->n_images, prepare ? prepare->size : p->height,
                                            prepare ? prepare->size : p->width,
                                            prepare ? prepare->channels : p->channels};
        TRY(dataset_new(shape, dataset_limit(o), set, f));
    }
    const struct dataset_shape shape = dataset_shape(*set);
    uint8_t *to = dataset_pixels(*set) + at * dataset_image_bytes(*set);
    if (prepare)
        return picture_prepare(p->pixels, size, prepare, to, f);
    if (shape.height != p->height || shape.width != p->width || shape.channels != p->channels)
        FAIL(f, STATUS_INVALID_ARGUMENT, "images",
             "%ux%ux%u pixels, the first picture has %ux%ux%u", p->height, p->width, p->channels,
             shape.height, shape.width, shape.channels);
    memcpy(to, p->pixels, dataset_image_bytes(*set));
    return STATUS_OK;
}

static enum status imagefolder_load_class(const struct imagefolder *s,
                                          const struct dataset_options *o,
                                          int class_number,
                                          uint32_t *at,
                                          struct dataset **set,
                                          struct fault *f)
{
    const struct imagefolder_class *c = &s->classes[class_number];
    for (int i = 0; i < c->n_files; i++, (*at)++) {
        char path[IMAGEFOLDER_PATH];
        struct picture p;
        TRY(imagefolder_path(s, s->folders[class_number]->d_name, c->files[i]->d_name, path, f));
        TRY(picture_read(path, &p, f));
        const enum status st = imagefolder_add(s, o, &p, *at, set, f);
        picture_free(&p);
        if (st != STATUS_OK) {
            fault_prefix(f, "%.100s", path);
            return st;
        }
    }
    return STATUS_OK;
}

static enum status
imagefolder_label(const struct imagefolder *s, struct dataset *d, struct fault *f)
{
    const size_t classes = (size_t)s->n_folders;
    const char **names = sysio_alloc(classes, sizeof *names);
    int32_t *labels = sysio_alloc(s->n_images, sizeof *labels);
    if (!names || !labels) {
        sysio_free(names);
        sysio_free(labels);
        FAIL(f, STATUS_NO_MEMORY, "labels", "no memory for %u labels", s->n_images);
    }
    size_t at = 0;
    for (int c = 0; c < s->n_folders; c++) {
        names[c] = s->folders[c]->d_name;
        for (int i = 0; i < s->classes[c].n_files; i++)
            labels[at++] = c;
    }
    enum status st = dataset_set_names(d, names, (uint32_t)classes, f);
    sysio_free(names);
    if (st != STATUS_OK) {
        sysio_free(labels);
        return st;
    }
    return dataset_take_labels(d, labels, f);
}

/* Part `number`, from 1, of "a_b_c.png". */
static int imagefolder_part(const char *name, unsigned long number, char to[DATASET_SUBJECT_SIZE])
{
    const char *end = strrchr(name, '.');
    const char *at = name;
    for (unsigned long i = 1; i < number; i++) {
        at = memchr(at, '_', (size_t)(end - at));
        if (!at)
            return 0;
        at++;
    }
    const char *stop = memchr(at, '_', (size_t)(end - at));
    const size_t n = (size_t)((stop ? stop : end) - at);
    if (n == 0 || n >= DATASET_SUBJECT_SIZE)
        return 0;
    memcpy(to, at, n);
    to[n] = '\0';
    return 1;
}

static enum status imagefolder_subjects(const struct imagefolder *s,
                                        const char *field,
                                        struct dataset *d,
                                        struct fault *f)
{
    char *rest;
    char id[DATASET_SUBJECT_SIZE];
    const unsigned long number = strtoul(field, &rest, 10);
    if (*rest != '\0' || field[0] == '-' || number == 0 || number > 99)
        FAIL(f, STATUS_INVALID_ARGUMENT, "subject-field",
             "of pictures it is the number of a part of the file name, from 1, not \"%.40s\"",
             field);
    for (int c = 0; c < s->n_folders; c++)
        for (int i = 0; i < s->classes[c].n_files; i++) {
            const char *name = s->classes[c].files[i]->d_name;
            if (!imagefolder_part(name, number, id))
                FAIL(f, STATUS_INVALID_ARGUMENT, "subject-field", "%.80s has no part %lu", name,
                     number);
            TRY(dataset_add_subject(d, id, f));
        }
    return STATUS_OK;
}

enum status imagefolder_open(const char *path,
                             const struct dataset_options *o,
                             struct dataset **ret_set,
                             struct fault *f)
{
    struct imagefolder s = {.path = path};
    struct dataset *d = NULL;
    uint32_t at = 0;
    enum status st = imagefolder_scan(&s, f);
    for (int c = 0; c < s.n_folders && st == STATUS_OK; c++)
        st = imagefolder_load_class(&s, o, c, &at, &d, f);
    if (st == STATUS_OK)
        st = imagefolder_label(&s, d, f);
    if (st == STATUS_OK && o->subject_field)
        st = imagefolder_subjects(&s, o->subject_field, d, f);
    imagefolder_fini(&s);
    if (st == STATUS_OK)
        *ret_set = d;
    else
        dataset_free(d);
    return st;
}

/* A folder without pictures of its own. */
static int imagefolder_is_outer(const char *path)
{
    struct dirent **files = NULL;
    const int n = scandir(path, &files, imagefolder_keep_picture, imagefolder_compare);
    if (n >= 0)
        imagefolder_free_list(files, n);
    return n == 0;
}

int imagefolder_split(const char *path, enum dataset_split split, char ret_path[IMAGEFOLDER_PATH])
{
    static const char *const names[] = {[DATASET_TRAIN] = "train", [DATASET_TEST] = "test"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const int n = snprintf(ret_path, IMAGEFOLDER_PATH, "%s/%s", path, names[i]);
        if (n < 0 || n >= IMAGEFOLDER_PATH || !imagefolder_is_outer(ret_path))
            return 0;
    }
    (void)snprintf(ret_path, IMAGEFOLDER_PATH, "%s/%s", path, names[split]);
    return 1;
}
