#include "bench/results/results_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void results_file_init(struct results_file *r, const char *path)
{
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen(path, "r");
    *r = (struct results_file){.path = path, .lines = json_array()};
    while (file && getline(&line, &room, file) > 0) {
        json_t *x = json_loads(line, 0, NULL);
        if (x)
            (void)json_array_append_new(r->lines, x);
    }
    free(line);
    if (file)
        (void)fclose(file);
}

void results_file_fini(struct results_file *r)
{
    json_decref(r->lines);
    r->lines = NULL;
}

int results_file_has(const struct results_file *r, const char *run)
{
    for (size_t i = 0; i < json_array_size(r->lines); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(r->lines, i), "run"));
        if (name && strcmp(name, run) == 0)
            return 1;
    }
    return 0;
}

static int write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "a");
    if (!file)
        return -1;
    const int bad =
        fprintf(file, "%s\n", text) < 0 || fflush(file) != 0 || fsync(fileno(file)) != 0;
    return fclose(file) != 0 || bad ? -1 : 0;
}

int results_file_add(struct results_file *r, json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(8));
    const int bad = text ? write_text(r->path, text) : -1;
    free(text);
    if (bad) {
        json_decref(line);
        return -1;
    }
    return json_array_append_new(r->lines, line);
}
