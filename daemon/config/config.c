#include "daemon/config/config.h"

#include "daemon/base/sysio.h"
#include "daemon/config/listen.h"
#include "daemon/config/local_roles.h"
#include "learners/methods/gslora/gslora_options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ini.h>

/* ------------------------------------------------------------ the table */

enum param_type { PARAM_TEXT, PARAM_COUNT, PARAM_SIZE, PARAM_REAL, PARAM_CHOICE };

struct param {
    enum param_type type;
    const char *name;
    size_t offset; /* in struct config */
    int64_t min;   /* texts: unused */
    int64_t max;   /* texts: bytes */
    double real_min;
    double real_max;
    const char *names; /* choices */
    const char *unit;
    const char *text;
};

#define AT(member) offsetof(struct config, member)

static const struct param params[] = {
#define TEXT(n, m, value, t)                                                                       \
    {.type = PARAM_TEXT, .name = #n, .offset = AT(n), .max = (m), .text = t},
#define COUNT(n, lo, hi, value, u, t)                                                              \
    {.type = PARAM_COUNT,                                                                          \
     .name = #n,                                                                                   \
     .offset = AT(n),                                                                              \
     .min = (lo),                                                                                  \
     .max = (hi),                                                                                  \
     .unit = u,                                                                                    \
     .text = t},
#define SIZE(n, lo, hi, value, t)                                                                  \
    {.type = PARAM_SIZE,                                                                           \
     .name = #n,                                                                                   \
     .offset = AT(n),                                                                              \
     .min = (lo),                                                                                  \
     .max = (hi),                                                                                  \
     .unit = "bytes",                                                                              \
     .text = t},
#define REAL(n, lo, hi, value, u, t)                                                               \
    {.type = PARAM_REAL,                                                                           \
     .name = #n,                                                                                   \
     .offset = AT(n),                                                                              \
     .real_min = (lo),                                                                             \
     .real_max = (hi),                                                                             \
     .unit = u,                                                                                    \
     .text = t},
#define CHOICE(n, list, value, t)                                                                  \
    {.type = PARAM_CHOICE, .name = #n, .offset = AT(n), .names = list, .text = t},
#include "daemon/config/params.def"
#undef TEXT
#undef COUNT
#undef SIZE
#undef REAL
#undef CHOICE
};

#define PARAMS (sizeof params / sizeof params[0])

void config_default(struct config *ret_config)
{
    *ret_config = (struct config){
#define TEXT(name, max, value, text)             .name = value,
#define COUNT(name, min, max, value, unit, text) .name = (value),
#define SIZE(name, min, max, value, text)        .name = (value),
#define REAL(name, min, max, value, unit, text)  .name = (value),
#define CHOICE(name, names, value, text)         .name = (value),
#include "daemon/config/params.def"
#undef TEXT
#undef COUNT
#undef SIZE
#undef REAL
#undef CHOICE
    };
    ret_config->gate = gate_check_defaults();
}

/* PARAMS if there is none of this name. */
static size_t find_param(const char *name)
{
    size_t i = 0;
    while (i < PARAMS && strcmp(params[i].name, name) != 0)
        i++;
    return i;
}

static void *param_at(struct config *c, const struct param *p)
{
    return (unsigned char *)c + p->offset;
}

/* ------------------------------------------------------------ values */

static enum status set_text(const struct param *p, const char *value, char *to, struct fault *f)
{
    const size_t n = strlen(value);
    if (n > (size_t)p->max)
        FAIL(f, STATUS_INVALID_ARGUMENT, p->name, "%zu bytes, at most %lld", n, (long long)p->max);
    memcpy(to, value, n + 1);
    return STATUS_OK;
}

/* Factor of a suffix K, M, G or T that ends the number; 0: no such suffix. */
static int64_t suffix_factor(const char *suffix)
{
    static const char letters[] = "KMGT";
    if (suffix[0] == '\0')
        return 1;
    const char *at = strchr(letters, suffix[0]);
    return at && suffix[1] == '\0' ? (int64_t)1 << (10 * (at - letters + 1)) : 0;
}

static enum status set_count(const struct param *p, const char *value, int64_t *to, struct fault *f)
{
    char *end;
    errno = 0;
    const long long number = strtoll(value, &end, 10);
    const int64_t factor = p->type == PARAM_SIZE ? suffix_factor(end) : *end == '\0';
    int64_t scaled;
    if (end == value || factor == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, p->name, "\"%.32s\" is not a whole number%s", value,
             p->type == PARAM_SIZE ? " (K, M, G or T may follow)" : "");
    if (errno == ERANGE || __builtin_mul_overflow((int64_t)number, factor, &scaled) ||
        scaled < p->min || scaled > p->max)
        FAIL(f, STATUS_INVALID_ARGUMENT, p->name, "%.32s is outside %lld to %lld %s", value,
             (long long)p->min, (long long)p->max, p->unit);
    *to = scaled;
    return STATUS_OK;
}

static enum status parse_real(const char *name, const char *value, double *to, struct fault *f)
{
    char *end;
    const double number = strtod(value, &end);
    if (end == value || *end != '\0' || !isfinite(number))
        FAIL(f, STATUS_INVALID_ARGUMENT, name, "\"%.32s\" is not a number", value);
    *to = number;
    return STATUS_OK;
}

static enum status set_real(const struct param *p, const char *value, double *to, struct fault *f)
{
    double number;
    TRY(parse_real(p->name, value, &number, f));
    if (number < p->real_min || number > p->real_max)
        FAIL(f, STATUS_INVALID_ARGUMENT, p->name, "%.32s is outside %g to %g", value, p->real_min,
             p->real_max);
    *to = number;
    return STATUS_OK;
}

static enum status
set_choice(const struct param *p, const char *value, unsigned *to, struct fault *f)
{
    const size_t n = strlen(value);
    unsigned i = 0;
    for (const char *at = p->names; at; i++) {
        const char *bar = strchr(at, '|');
        const size_t length = bar ? (size_t)(bar - at) : strlen(at);
        if (n == length && memcmp(at, value, n) == 0) {
            *to = i;
            return STATUS_OK;
        }
        at = bar ? bar + 1 : NULL;
    }
    FAIL(f, STATUS_INVALID_ARGUMENT, p->name, "\"%.32s\" is none of %s", value, p->names);
}

static enum status set_param(struct config *c, const char *key, const char *value, struct fault *f)
{
    const size_t i = find_param(key);
    if (i == PARAMS)
        FAIL(f, STATUS_NOT_FOUND, key, "unknown key");
    const struct param *p = &params[i];
    void *to = param_at(c, p);
    switch (p->type) {
    case PARAM_TEXT:
        return set_text(p, value, to, f);
    case PARAM_COUNT:
    case PARAM_SIZE:
        return set_count(p, value, to, f);
    case PARAM_REAL:
        return set_real(p, value, to, f);
    case PARAM_CHOICE:
        return set_choice(p, value, to, f);
    }
    FAIL(f, STATUS_INTERNAL, key, "a parameter without a type");
}

/* "LIMIT" or "LIMIT RULE". */
static enum status set_gate(struct config *c, const char *key, const char *value, struct fault *f)
{
    const enum gate_check_id id = gate_check_find(key);
    if (id == GATE_CHECK_COUNT)
        FAIL(f, STATUS_NOT_FOUND, key, "unknown check of the gate");
    struct gate_limit limit = c->gate.at[id];
    char number[CONFIG_OPTION_SIZE];
    const size_t n = strcspn(value, " \t");
    const char *rule = value + n + strspn(value + n, " \t");
    if (n >= sizeof number)
        FAIL(f, STATUS_INVALID_ARGUMENT, key, "%zu characters are no limit", n);
    memcpy(number, value, n);
    number[n] = '\0';
    TRY(parse_real(key, number, &limit.limit, f));
    if (limit.limit < 0.0 || limit.limit > 1.0)
        FAIL(f, STATUS_INVALID_ARGUMENT, key, "%s is outside 0 to 1", number);
    if (*rule && gate_check_rule_parse(rule, &limit.rule) != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, key,
             "\"%.32s\" is none of the rules pass, point, no-fail, report", rule);
    c->gate.at[id] = limit;
    return STATUS_OK;
}

/* Kept as text, because it is passed on as text; the learner says whether it would accept it. */
static enum status set_gslora(struct config *c, const char *key, const char *value, struct fault *f)
{
    struct gslora_options scratch;
    gslora_options_default(&scratch);
    TRY(gslora_options_set(&scratch, key, value, f));
    if (c->n_gslora == CONFIG_OPTIONS_MAX)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, key, "more than %u options", CONFIG_OPTIONS_MAX);
    struct config_option *o = &c->gslora[c->n_gslora];
    if (strlen(key) >= sizeof o->name || strlen(value) >= sizeof o->value)
        FAIL(f, STATUS_INVALID_ARGUMENT, key, "longer than %zu bytes", sizeof o->value - 1);
    (void)snprintf(o->name, sizeof o->name, "%s", key);
    (void)snprintf(o->value, sizeof o->value, "%s", value);
    c->n_gslora++;
    return STATUS_OK;
}

struct section {
    const char *name;
    enum status (*set)(struct config *c, const char *key, const char *value, struct fault *f);
};

static const struct section sections[] = {
    {"", set_param},
    {"lethed", set_param},
    {"gate", set_gate},
    {"gslora", set_gslora},
};

static const struct section *find_section(const char *name)
{
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        if (strcmp(sections[i].name, name) == 0)
            return &sections[i];
    return NULL;
}

enum status config_set(
    struct config *c, const char *section, const char *key, const char *value, struct fault *f)
{
    const struct section *s = find_section(section);
    if (!s)
        FAIL(f, STATUS_NOT_FOUND, section, "unknown section");
    return s->set(c, key, value, f);
}

/* ------------------------------------------------------------ the file */

#define LINE_KEYS_MAX (PARAMS + GATE_CHECK_COUNT + CONFIG_OPTIONS_MAX)

/* The file while inih walks over it; the first fault stays. */
struct source {
    struct config *config;
    const char *path;
    const char *at;
    int line;
    enum status code;
    struct fault fault;
    char seen[LINE_KEYS_MAX][CONFIG_OPTION_SIZE]; /* "section/key" */
    size_t n_seen;
};

static void complain(struct source *s, enum status code, const char *field, const char *text)
{
    if (s->code != STATUS_OK)
        return;
    s->code = fault_set(&s->fault, code, __FILE__, __LINE__, field, "%s", text);
    fault_prefix(&s->fault, "%s line %d", s->path, s->line);
}

/* inih does not report a section without keys, so its header is looked at here. */
static void check_header(struct source *s, const char *line)
{
    line += strspn(line, " \t");
    if (*line != '[')
        return;
    char name[CONFIG_OPTION_SIZE];
    const size_t n = strcspn(line + 1, "]");
    if (n < sizeof name) {
        memcpy(name, line + 1, n);
        name[n] = '\0';
        if (find_section(name) || line[n + 1] != ']')
            return;
        complain(s, STATUS_NOT_FOUND, name, "unknown section");
    } else {
        complain(s, STATUS_NOT_FOUND, NULL, "unknown section");
    }
}

/* One line of at most size - 1 bytes, as fgets reads it. */
static char *read_line(char *line, int size, void *stream)
{
    struct source *s = stream;
    if (*s->at == '\0')
        return NULL;
    const size_t n = strcspn(s->at, "\n");
    s->line++;
    if (n + 2 > (size_t)size)
        complain(s, STATUS_RESOURCE_EXHAUSTED, NULL, "a line of more than 198 bytes");
    const size_t kept = n + 2 > (size_t)size ? (size_t)size - 2 : n;
    memcpy(line, s->at, kept);
    line[kept] = '\0';
    s->at += n + (s->at[n] == '\n');
    check_header(s, line);
    return line;
}

/* False: the key was given before. */
static bool note_key(struct source *s, const char *section, const char *key)
{
    char name[CONFIG_OPTION_SIZE];
    const bool plain = strcmp(section, "lethed") == 0;
    (void)snprintf(name, sizeof name, "%.32s/%.90s", plain ? "" : section, key);
    for (size_t i = 0; i < s->n_seen; i++)
        if (strcmp(s->seen[i], name) == 0)
            return false;
    if (s->n_seen < LINE_KEYS_MAX)
        memcpy(s->seen[s->n_seen++], name, sizeof name);
    return true;
}

static int take_value(void *user, const char *section, const char *key, const char *value)
{
    struct source *s = user;
    if (s->code != STATUS_OK)
        return 0;
    if (!note_key(s, section, key)) {
        complain(s, STATUS_ALREADY_EXISTS, key, "the key is given a second time");
        return 0;
    }
    s->code = config_set(s->config, section, key, value, &s->fault);
    if (s->code != STATUS_OK)
        fault_prefix(&s->fault, "%s line %d", s->path, s->line);
    return s->code == STATUS_OK;
}

static enum status parse_file(struct source *s, struct fault *f)
{
    const int line = ini_parse_stream(read_line, s, take_value, s);
    if (s->code == STATUS_OK && line != 0) {
        s->line = line;
        complain(s, STATUS_INVALID_ARGUMENT, NULL, "neither [section] nor key = value");
    }
    if (s->code != STATUS_OK && f)
        *f = s->fault;
    return s->code;
}

enum status config_load(struct config *c, const char *path, struct fault *f)
{
    unsigned char *bytes;
    size_t size;
    TRY(sysio_read_file(path, CONFIG_FILE_MAX_BYTES, &bytes, &size, f));
    struct config loaded = *c;
    struct source *s = sysio_alloc(1, sizeof *s);
    enum status code = s ? STATUS_OK : STATUS_NO_MEMORY;
    if (s) {
        s->config = &loaded;
        s->path = path;
        s->at = (const char *)bytes;
        if (memchr(bytes, '\0', size)) {
            s->line = 1;
            complain(s, STATUS_INVALID_ARGUMENT, NULL, "a NUL byte: this is not a text file");
        }
        code = parse_file(s, f);
    } else {
        (void)fault_set(f, code, __FILE__, __LINE__, NULL, "no memory for %s", path);
    }
    if (code == STATUS_OK)
        *c = loaded;
    sysio_free(s);
    sysio_free(bytes);
    return code;
}

/* ------------------------------------------------------------ what follows from it */

/* The place beside ipc://PATH is PATH.events, beside tcp://HOST:PORT the next port. */
static enum status
derive_events(const char *from, const char *field, char to[CONFIG_ADDRESS_SIZE], struct fault *f)
{
    int n;
    if (strncmp(from, "tcp://", 6) == 0) {
        const char *colon = strrchr(from, ':');
        char *end;
        const long port = strtol(colon + 1, &end, 10);
        if (colon < from + 6 || end == colon + 1 || *end != '\0' || port < 1 || port > 65534)
            FAIL(f, STATUS_INVALID_ARGUMENT, field,
                 "\"%.64s\" is not tcp://ADDRESS:PORT with a port of 1 to 65534", from);
        n = snprintf(to, CONFIG_ADDRESS_SIZE, "%.*s:%ld", (int)(colon - from), from, port + 1);
    } else {
        n = snprintf(to, CONFIG_ADDRESS_SIZE, "%s.events", from);
    }
    if (n < 0 || n >= CONFIG_ADDRESS_SIZE)
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "too long to name the place of events beside it");
    return STATUS_OK;
}

static enum status complete_events(struct config *c, struct fault *f)
{
    if (c->events_endpoint[0] == '\0')
        TRY(derive_events(c->endpoint, "endpoint", c->events_endpoint, f));
    if (strcmp(c->endpoint, c->events_endpoint) == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "events_endpoint", "the same as endpoint");
    return STATUS_OK;
}

static enum status complete_doors(struct config *c, struct fault *f)
{
    struct local_roles roles;
    const int tcp =
        strncmp(c->endpoint, "tcp://", 6) == 0 || strncmp(c->events_endpoint, "tcp://", 6) == 0;
    TRY(local_roles_parse(c->ipc_role, "ipc_role", &roles, f));
    if (tcp && c->curve_key[0] == '\0')
        FAIL(f, STATUS_INVALID_ARGUMENT, "endpoint",
             "tcp:// is served to clients with keys only: set curve_key, or use ipc:///path");
    if (c->local_endpoint[0] == '\0')
        return STATUS_OK;
    if (c->curve_key[0] == '\0')
        FAIL(f, STATUS_INVALID_ARGUMENT, "local_endpoint",
             "without curve_key, endpoint is the local one");
    if (strncmp(c->local_endpoint, "ipc://", 6) != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "local_endpoint", "\"%.64s\" is not ipc:///path",
             c->local_endpoint);
    return derive_events(c->local_endpoint, "local_endpoint", c->local_events_endpoint, f);
}

/* The folder of this program, without a slash at the end. */
static enum status own_folder(char folder[1024], struct fault *f)
{
    const ssize_t n = readlink("/proc/self/exe", folder, 1023);
    if (n < 0)
        FAIL(f, status_from_errno(errno), "worker", "/proc/self/exe: %s", strerror(errno));
    folder[n] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    return STATUS_OK;
}

static enum status complete_worker(struct config *c, struct fault *f)
{
    static const char *const places[] = {"lethe-worker", "../libexec/lethe/lethe-worker"};
    if (c->worker[0] != '\0') {
        if (access(c->worker, X_OK) != 0)
            FAIL(f, STATUS_NOT_FOUND, "worker", "%.96s: %s", c->worker, strerror(errno));
        return STATUS_OK;
    }
    char folder[1024];
    TRY(own_folder(folder, f));
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char path[sizeof c->worker];
        const int n = snprintf(path, sizeof path, "%s/%s", folder, places[i]);
        if (n > 0 && (size_t)n < sizeof path && access(path, X_OK) == 0) {
            memcpy(c->worker, path, sizeof path);
            return STATUS_OK;
        }
    }
    FAIL(f, STATUS_NOT_FOUND, "worker",
         "lethe-worker is neither beside this program nor in ../libexec/lethe: name its place");
}

static enum status check_method(const struct config *c, struct fault *f)
{
    struct gslora_options o;
    gslora_options_default(&o);
    for (size_t i = 0; i < c->n_gslora; i++)
        TRY(gslora_options_set(&o, c->gslora[i].name, c->gslora[i].value, f));
    return gslora_options_check(&o, f);
}

enum status config_complete(struct config *c, struct fault *f)
{
    if (c->base[0] == '\0')
        FAIL(f, STATUS_INVALID_ARGUMENT, "base", "name the folder of the base model");
    if (c->store[0] == '\0')
        FAIL(f, STATUS_INVALID_ARGUMENT, "store", "name the folder of the store");
    if (c->endpoint[0] == '\0')
        FAIL(f, STATUS_INVALID_ARGUMENT, "endpoint", "name the socket");
    TRY(complete_events(c, f));
    TRY(complete_doors(c, f));
    TRY(check_method(c, f));
    struct listen metrics;
    TRY(listen_parse(c->metrics, "metrics", &metrics, f));
    if (c->threads == 0) {
        const long n = sysconf(_SC_NPROCESSORS_ONLN);
        c->threads = n < 1 ? 1 : n > 256 ? 256 : n;
    }
    return complete_worker(c, f);
}

/* Name number `position` of a list such as "none|class". */
static void copy_choice(const char *names, unsigned position, char *to, size_t size)
{
    for (; position > 0 && strchr(names, '|'); position--)
        names = strchr(names, '|') + 1;
    (void)snprintf(to, size, "%.*s", (int)strcspn(names, "|"), names);
}

int config_param_get(size_t i, struct config_param *ret_param)
{
    if (i >= PARAMS)
        return -1;
    struct config c;
    config_default(&c);
    const struct param *p = &params[i];
    const void *at = param_at(&c, p);
    *ret_param = (struct config_param){.name = p->name, .text = p->text};
    ret_param->unit = p->names ? p->names : p->unit ? p->unit : "";
    char *value = ret_param->value;
    const size_t size = sizeof ret_param->value;
    if (p->type == PARAM_TEXT)
        (void)snprintf(value, size, "%.60s", (const char *)at);
    else if (p->type == PARAM_REAL)
        (void)snprintf(value, size, "%g", *(const double *)at);
    else if (p->type == PARAM_CHOICE)
        copy_choice(p->names, *(const unsigned *)at, value, size);
    else
        (void)snprintf(value, size, "%lld", (long long)*(const int64_t *)at);
    return 0;
}
