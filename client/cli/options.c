#include "client/cli/options.h"

#include "daemon/base/sysio.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    const struct option_table *tables;
    const char *const *argv;
    int argc;
    int at;
    bool stop_at_operand;
    struct options out;
    struct fault *f;
};

/* ------------------------------------------------------------------ looking up */

/* The spec of a long name of n bytes: exact, or the only one that it begins. */
static const struct option_spec *find_long(const struct parser *p, const char *name, size_t n)
{
    const struct option_spec *found = NULL;
    size_t matches = 0;
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < p->tables[t].n; i++) {
            const struct option_spec *s = &p->tables[t].specs[i];
            if (strncmp(s->name, name, n) != 0)
                continue;
            if (s->name[n] == '\0')
                return s;
            found = s;
            matches++;
        }
    }
    return matches == 1 ? found : NULL;
}

static const struct option_spec *find_letter(const struct parser *p, char letter)
{
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < p->tables[t].n; i++) {
            if (p->tables[t].specs[i].letter == letter)
                return &p->tables[t].specs[i];
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ parsing */

static void add_hit(struct parser *p, const struct option_spec *s, const char *value)
{
    p->out.hits[p->out.n_hits++] = (struct option_hit){s, value};
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && (word[1] < '0' || word[1] > '9');
}

/* The value in the same word (`inlined`, may be NULL) or in the words that follow. */
static enum status take_value(struct parser *p, const struct option_spec *s, const char *inlined)
{
    if (s->kind == OPTION_FLAG) {
        if (inlined)
            FAIL(p->f, STATUS_INVALID_ARGUMENT, s->name, "--%s takes no value", s->name);
        add_hit(p, s, NULL);
        return STATUS_OK;
    }
    if (inlined) {
        add_hit(p, s, inlined);
        return STATUS_OK;
    }
    if (p->at >= p->argc)
        FAIL(p->f, STATUS_INVALID_ARGUMENT, s->name, "--%s needs a value: %s", s->name, s->value);
    add_hit(p, s, p->argv[p->at++]);
    while (s->kind == OPTION_VALUES && p->at < p->argc && !is_option(p->argv[p->at]))
        add_hit(p, s, p->argv[p->at++]);
    return STATUS_OK;
}

static enum status parse_long(struct parser *p, const char *word)
{
    const char *equals = strchr(word, '=');
    const size_t n = equals ? (size_t)(equals - word) : strlen(word);
    const struct option_spec *s = find_long(p, word, n);
    if (!s)
        FAIL(p->f, STATUS_INVALID_ARGUMENT, NULL, "there is no option --%.*s", (int)(n & 0xff),
             word);
    return take_value(p, s, equals ? equals + 1 : NULL);
}

/* One word of letters: flags may be joined, the last may have a value. */
static enum status parse_letters(struct parser *p, const char *word)
{
    for (const char *c = word; *c != '\0'; c++) {
        const struct option_spec *s = find_letter(p, *c);
        if (!s)
            FAIL(p->f, STATUS_INVALID_ARGUMENT, NULL, "there is no option -%c", *c);
        if (s->kind != OPTION_FLAG)
            return take_value(p, s, c[1] != '\0' ? c + 1 : NULL);
        add_hit(p, s, NULL);
    }
    return STATUS_OK;
}

static enum status parse_words(struct parser *p)
{
    while (p->at < p->argc) {
        const char *word = p->argv[p->at];
        if (strcmp(word, "--") == 0) {
            p->at++;
            break;
        }
        if (!is_option(word)) {
            if (p->stop_at_operand)
                return STATUS_OK;
            p->out.operands[p->out.n_operands++] = word;
            p->at++;
            continue;
        }
        p->at++;
        TRY(word[1] == '-' ? parse_long(p, word + 2) : parse_letters(p, word + 1));
    }
    while (!p->stop_at_operand && p->at < p->argc)
        p->out.operands[p->out.n_operands++] = p->argv[p->at++];
    return STATUS_OK;
}

/* Every word gives at most one operand, and at most as many hits as it has letters. */
static size_t count_letters(int argc, const char *const *argv)
{
    size_t n = 1;
    for (int i = 0; i < argc; i++)
        n += strlen(argv[i]) + 1;
    return n;
}

enum status options_parse(const struct option_table tables[2],
                          int argc,
                          const char *const *argv,
                          int *ret_rest,
                          struct options *ret_options,
                          struct fault *f)
{
    *ret_options = (struct options){0};
    struct parser p = {
        .tables = tables, .argv = argv, .argc = argc, .stop_at_operand = ret_rest != NULL, .f = f};
    p.out.hits = sysio_alloc(count_letters(argc, argv), sizeof *p.out.hits);
    p.out.operands = sysio_alloc((size_t)argc + 1, sizeof *p.out.operands);
    enum status st = STATUS_NO_MEMORY;
    if (p.out.hits && p.out.operands)
        st = parse_words(&p);
    else
        st = fault_set(f, st, __FILE__, __LINE__, NULL, "out of memory");
    if (st != STATUS_OK) {
        options_fini(&p.out);
        return st;
    }
    if (ret_rest)
        *ret_rest = p.at;
    *ret_options = p.out;
    return STATUS_OK;
}

void options_fini(struct options *o)
{
    sysio_free(o->hits);
    sysio_free(o->operands);
    *o = (struct options){0};
}

/* ------------------------------------------------------------------ reading */

bool options_flag(const struct options *o, const char *name)
{
    for (size_t i = 0; i < o->n_hits; i++) {
        if (strcmp(o->hits[i].spec->name, name) == 0)
            return true;
    }
    return false;
}

const char *options_text(const struct options *o, const char *name, const char *standard)
{
    const char *value = standard;
    for (size_t i = 0; i < o->n_hits; i++) {
        if (strcmp(o->hits[i].spec->name, name) == 0 && o->hits[i].value)
            value = o->hits[i].value;
    }
    return value;
}

size_t options_list(const struct options *o, const char *name, const char **ret_values, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n_hits; i++) {
        if (strcmp(o->hits[i].spec->name, name) != 0 || !o->hits[i].value)
            continue;
        if (n < max)
            ret_values[n] = o->hits[i].value;
        n++;
    }
    return n;
}

enum status options_number(const struct options *o,
                           const char *name,
                           uint64_t standard,
                           uint64_t min,
                           uint64_t max,
                           uint64_t *ret_number,
                           struct fault *f)
{
    const char *text = options_text(o, name, NULL);
    if (!text) {
        *ret_number = standard;
        return STATUS_OK;
    }
    char *end;
    errno = 0;
    const unsigned long long x = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || x < min || x > max)
        FAIL(f, STATUS_INVALID_ARGUMENT, name, "--%s is a number from %llu to %llu, not \"%.40s\"",
             name, (unsigned long long)min, (unsigned long long)max, text);
    *ret_number = x;
    return STATUS_OK;
}

enum status options_choice(const struct options *o,
                           const char *name,
                           const char *const *choices,
                           size_t standard,
                           size_t *ret_index,
                           struct fault *f)
{
    const char *text = options_text(o, name, NULL);
    if (!text) {
        *ret_index = standard;
        return STATUS_OK;
    }
    char all[FAULT_TEXT_SIZE] = "";
    for (size_t i = 0; choices[i]; i++) {
        if (strcmp(choices[i], text) == 0) {
            *ret_index = i;
            return STATUS_OK;
        }
        const size_t used = strlen(all);
        (void)snprintf(all + used, sizeof all - used, "%s%s", i > 0 ? ", " : "", choices[i]);
    }
    FAIL(f, STATUS_INVALID_ARGUMENT, name, "--%s is one of %s; not \"%.40s\"", name, all, text);
}
