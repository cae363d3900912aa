#include "client/cli/class_names.h"

#include "daemon/base/sysio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (4u << 20)

/* True if class i is called i, for all of them. */
static bool only_numbers(const struct dataset *d)
{
    const uint32_t n = dataset_classes(d);
    for (uint32_t i = 0; i < n; i++) {
        char number[16];
        (void)snprintf(number, sizeof number, "%u", i);
        if (strcmp(dataset_class_name(d, i), number) != 0)
            return false;
    }
    return true;
}

static enum status from_data(const struct dataset *d, struct class_names *names)
{
    names->n = dataset_classes(d);
    for (size_t i = 0; i < names->n; i++)
        names->items[i] = dataset_class_name(d, (uint32_t)i);
    return STATUS_OK;
}

/* "SET 0", "SET 1", ...: the texts lie one behind the other. */
static enum status
from_set(const char *set, uint32_t classes, struct class_names *names, struct fault *f)
{
    const size_t size = strlen(set) + 16;
    names->text = sysio_alloc(classes + 1, size);
    if (!names->text)
        FAIL(f, STATUS_NO_MEMORY, NULL, "out of memory");
    for (uint32_t i = 0; i < classes; i++) {
        char *to = (char *)names->text + i * size;
        (void)snprintf(to, size, "%s %u", set, i);
        names->items[names->n++] = to;
    }
    return STATUS_OK;
}

static enum status from_model(const struct lethe_model *m, struct class_names *names)
{
    names->n = m->n_labels;
    for (size_t i = 0; i < names->n; i++)
        names->items[i] = m->labels[i].name;
    return STATUS_OK;
}

/* Cuts the file into lines, in place. */
static enum status
from_file(const char *path, size_t max, struct class_names *names, struct fault *f)
{
    size_t size;
    TRY(sysio_read_file(path, FILE_MAX, &names->text, &size, f));
    if (memchr(names->text, '\0', size))
        FAIL(f, STATUS_INVALID_ARGUMENT, "class-names", "%.100s is no text file", path);
    char *line = (char *)names->text;
    while (*line != '\0' && names->n < max) {
        char *end = line + strcspn(line, "\n");
        const bool last = *end == '\0';
        *end = '\0';
        if (end > line && end[-1] == '\r')
            end[-1] = '\0';
        names->items[names->n++] = line;
        line = last ? end : end + 1;
    }
    if (*line != '\0')
        FAIL(f, STATUS_INVALID_ARGUMENT, "class-names", "%.100s has more than %zu lines", path,
             max);
    return STATUS_OK;
}

static int compare_names(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

static enum status check_names(const struct class_names *names, uint32_t classes, struct fault *f)
{
    if (names->n < classes)
        FAIL(f, STATUS_INVALID_ARGUMENT, "class-names", "%zu names for %u classes", names->n,
             classes);
    const char **sorted = sysio_alloc(names->n + 1, sizeof *sorted);
    if (!sorted)
        FAIL(f, STATUS_NO_MEMORY, NULL, "out of memory");
    if (names->n > 0)
        memcpy(sorted, names->items, names->n * sizeof *sorted);
    qsort(sorted, names->n, sizeof *sorted, compare_names);
    enum status st = STATUS_OK;
    for (size_t i = 0; st == STATUS_OK && i < names->n; i++) {
        if (sorted[i][0] == '\0')
            st = fault_set(f, STATUS_INVALID_ARGUMENT, __FILE__, __LINE__, "class-names",
                           "a class has an empty name");
        else if (i > 0 && strcmp(sorted[i - 1], sorted[i]) == 0)
            st = fault_set(f, STATUS_INVALID_ARGUMENT, __FILE__, __LINE__, "class-names",
                           "two classes are called \"%.60s\"", sorted[i]);
    }
    sysio_free(sorted);
    return st;
}

/* What a set of numbered classes takes when nothing was asked for. */
static enum status from_habit(const struct dataset *d,
                              const struct lethe_model *m,
                              const struct class_names_request *request,
                              struct class_names *names,
                              struct fault *f)
{
    if (!only_numbers(d))
        return from_data(d, names);
    if (request->foreign) {
        names->note = "its classes are numbers and are named after the data set";
        return from_set(request->set, dataset_classes(d), names, f);
    }
    if (dataset_classes(d) != m->n_labels)
        return from_data(d, names);
    names->note = "its classes are numbers and take the model's labels";
    return from_model(m, names);
}

enum status class_names_init(const struct dataset *d,
                             const struct lethe_model *m,
                             const struct class_names_request *request,
                             struct class_names *ret_names,
                             struct fault *f)
{
    struct class_names names = {0};
    const uint32_t classes = dataset_classes(d);
    const size_t max = (m->n_labels > classes ? m->n_labels : classes) + 1;
    names.items = sysio_alloc(max, sizeof *names.items);
    if (!names.items)
        FAIL(f, STATUS_NO_MEMORY, NULL, "out of memory");
    enum status st;
    if (!request->which)
        st = from_habit(d, m, request, &names, f);
    else if (strcmp(request->which, "model") == 0)
        st = from_model(m, &names);
    else if (strcmp(request->which, "data") == 0)
        st = from_data(d, &names);
    else
        st = from_file(request->which, max, &names, f);
    if (st == STATUS_OK)
        st = check_names(&names, classes, f);
    if (st != STATUS_OK) {
        class_names_fini(&names);
        return st;
    }
    *ret_names = names;
    return STATUS_OK;
}

void class_names_fini(struct class_names *names)
{
    sysio_free(names->items);
    sysio_free(names->text);
    *names = (struct class_names){0};
}
