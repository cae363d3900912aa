/*
 * MULTI-LANE on protocol 4 of the benchmarks (data.md): Split MNIST as five lanes, and multi-label
 * scenes in five tasks of four classes and as 10 + 5 x 2, class-incremental and without task ids,
 * on a frozen base.  Every combination of protocol, seed and part (lanes with their router, the
 * joint lane, fine-tuning; see bench/multilane/lane_trial.h) is one run; a finished run is one JSON
 * line of the results file and is not repeated, and trained components are kept in a folder beside
 * it, so the same command may be started again at any time.  Progress goes to standard error, a
 * table of means and deviations over the seeds a protocol to standard output.
 *
 *     build/bench/multilane [--protocol NAME]... [--seed N]... [--only PART]... [--check-split]
 *                           [--lane NAME=VALUE]... [--router NAME=VALUE]... [--limit N] [--valid N]
 *                           [--check N] [--threads N] [--model DIR] [--mnist DIR] [--scenes DIR]
 *                           [--out FILE] [--components DIR]
 *
 * Settings are compared with --check-split, on training images that are neither fitted nor
 * validate; the figures for the report come from the test images.
 */
#include "bench/multilane/lane_table.h"
#include "bench/multilane/lane_trial.h"
#include "bench/results/results_file.h"
#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "learners/math/gemm.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MOST 16 /* seeds or protocols of a command */

struct options {
    const struct protocol *protocols[MOST];
    uint64_t seeds[MOST];
    size_t n_protocols, n_seeds;
    int parts[LANE_TRIAL_PARTS]; /* 1: wanted */
    int some_parts;
    enum protocol_part measured;
    struct protocol_sizes sizes;
    int check_given;
    struct lane_trial_options lane, router;
    uint32_t threads;
    const char *model, *mnist, *scenes, *out, *components;
};

struct bench {
    struct options o;
    struct model *model;
    struct pool *pool;
    struct results_file results;
    json_t *runs; /* names of this command's runs */
    const char *run;
    int failures;
};

/* ------------------------------------------------------------------ runs */

static void write_line(struct bench *b, json_t *x)
{
    if (results_file_add(&b->results, x) == 0)
        return;
    (void)fprintf(stderr, "multilane: %s: %s\n", b->o.out, strerror(errno));
    exit(1);
}

static void tell(void *context, const char *text)
{
    const struct bench *b = context;
    char now[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_us(), now);
    (void)fprintf(stderr, "%s %s: %s\n", now, b->run, text);
}

static void report(struct bench *b, const char *run, const struct fault *f)
{
    (void)fprintf(stderr, "multilane: %s: %s: %s %s\n", run, status_name(f->code), f->field,
                  f->text);
    b->failures++;
}

static void
run_one(struct bench *b, const struct protocol *p, uint64_t seed, enum lane_trial_part part)
{
    const struct options *o = &b->o;
    struct lane_trial_settings s = {.protocol = p,
                                    .folder = p->several ? o->scenes : o->mnist,
                                    .seed = seed,
                                    .part = part,
                                    .measured = o->measured,
                                    .sizes = o->sizes,
                                    .lane = o->lane,
                                    .router = o->router,
                                    .components = o->components};
    const struct lane_trial_tools tools = {b->model, b->pool, tell, b};
    char name[LANE_TRIAL_NAME_SIZE];
    struct lane_trial_result r;
    struct fault f = {0};
    if (!o->check_given)
        s.sizes.check = p->several ? 2000 : 300;
    if (lane_trial_name(&s, b->model, name, &f) != STATUS_OK) {
        report(b, p->name, &f);
        return;
    }
    (void)json_array_append_new(b->runs, json_string(name));
    if (results_file_has(&b->results, name))
        return;
    b->run = name;
    if (lane_trial_execute(&s, &tools, &r, &f) == STATUS_OK)
        write_line(b, lane_table_line(name, &s, &r));
    else
        report(b, name, &f);
}

/* Seed after seed, so that each protocol's first figures come early. */
static void run_everything(struct bench *b)
{
    const struct options *o = &b->o;
    for (size_t i = 0; i < o->n_seeds; i++)
        for (size_t k = 0; k < o->n_protocols; k++)
            for (int part = 0; part < LANE_TRIAL_PARTS; part++)
                if (o->parts[part])
                    run_one(b, o->protocols[k], o->seeds[i], (enum lane_trial_part)part);
}

/* ------------------------------------------------------------------ command line */

enum key {
    KEY_CHECK_SPLIT = 256,
    KEY_LIMIT,
    KEY_VALID,
    KEY_CHECK,
    KEY_MODEL,
    KEY_MNIST,
    KEY_SCENES,
    KEY_COMPONENTS
};

static uint32_t number_of(const char *text, struct argp_state *state)
{
    char *end;
    errno = 0;
    const unsigned long x = strtoul(text, &end, 10);
    if (errno || end == text || *end || x > UINT32_MAX)
        argp_error(state, "'%s' is not a number", text);
    return (uint32_t)x;
}

static void add_protocol(struct options *o, const char *name, struct argp_state *state)
{
    for (size_t i = 0; protocol_at(i); i++)
        if (strcmp(protocol_at(i)->name, name) == 0 && o->n_protocols < MOST) {
            o->protocols[o->n_protocols++] = protocol_at(i);
            return;
        }
    argp_error(state, "'%s' is no protocol", name);
}

/* A part, or a decision of the lanes. */
static void add_part(struct options *o, const char *name, struct argp_state *state)
{
    static const char *const decisions[] = {"routed", "raw", "router"};
    o->some_parts = 1;
    for (int part = 0; part < LANE_TRIAL_PARTS; part++)
        if (strcmp(lane_trial_part_name((enum lane_trial_part)part), name) == 0) {
            o->parts[part] = 1;
            return;
        }
    for (size_t i = 0; i < sizeof decisions / sizeof *decisions; i++)
        if (strcmp(decisions[i], name) == 0) {
            o->parts[LANE_TRIAL_LANES] = 1;
            return;
        }
    argp_error(state, "'%s' is no part", name);
}

static void add_option(struct lane_trial_options *o, char *text, struct argp_state *state)
{
    char *equals = strchr(text, '=');
    if (!equals)
        argp_error(state, "'%s' is not name=value", text);
    else if (o->n == LANE_TRIAL_OPTIONS)
        argp_error(state, "more than %d options", LANE_TRIAL_OPTIONS);
    else {
        *equals = '\0';
        o->list[o->n++] = (struct learner_option){text, equals + 1};
    }
}

static int parse_path(struct options *o, int key, const char *arg)
{
    switch (key) {
    case KEY_MODEL:
        o->model = arg;
        return 1;
    case KEY_MNIST:
        o->mnist = arg;
        return 1;
    case KEY_SCENES:
        o->scenes = arg;
        return 1;
    case KEY_COMPONENTS:
        o->components = arg;
        return 1;
    case 'o':
        o->out = arg;
        return 1;
    default:
        return 0;
    }
}

static int parse_number(struct options *o, int key, const char *arg, struct argp_state *state)
{
    switch (key) {
    case KEY_LIMIT:
        o->sizes.limit = number_of(arg, state);
        return 1;
    case KEY_VALID:
        o->sizes.valid = number_of(arg, state);
        return 1;
    case KEY_CHECK:
        o->sizes.check = number_of(arg, state);
        o->check_given = 1;
        return 1;
    case 't':
        o->threads = number_of(arg, state);
        return 1;
    case 's':
        if (o->n_seeds == MOST)
            argp_error(state, "too many --seed");
        else
            o->seeds[o->n_seeds++] = number_of(arg, state);
        return 1;
    default:
        return 0;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    if (parse_path(o, key, arg) || parse_number(o, key, arg, state))
        return 0;
    switch (key) {
    case 'p':
        add_protocol(o, arg, state);
        return 0;
    case 'n':
        add_part(o, arg, state);
        return 0;
    case 'l':
        add_option(&o->lane, arg, state);
        return 0;
    case 'r':
        add_option(&o->router, arg, state);
        return 0;
    case KEY_CHECK_SPLIT:
        o->measured = PROTOCOL_CHECK;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option arguments[] = {
    {"protocol", 'p', "NAME", 0, "mnist, scenes-b0-c4, scenes-b10-c2 (all)", 0},
    {"seed", 's', "N", 0, "seeds; 1, 2 and 3 if none is given", 0},
    {"only", 'n', "PART", 0,
     "lanes (which gives the decisions routed, raw and router), joint, finetune (all)", 0},
    {"check-split", KEY_CHECK_SPLIT, NULL, 0, "figures from training images held out for it", 0},
    {"lane", 'l', "NAME=VALUE", 0, "an option of every lane", 0},
    {"router", 'r', "NAME=VALUE", 0, "an option of the router", 0},
    {"limit", KEY_LIMIT, "N", 0, "most fitted images, a class of MNIST or all scenes; 0: no bound",
     0},
    {"valid", KEY_VALID, "N", 0, "validation images a class of MNIST (300)", 0},
    {"check", KEY_CHECK, "N", 0, "images for --check-split, a class or of all scenes (300, 2000)",
     0},
    {"threads", 't', "N", 0, "threads (1)", 0},
    {"model", KEY_MODEL, "DIR", 0, "the base (models/vit-fashion)", 0},
    {"mnist", KEY_MNIST, "DIR", 0, "IDX files of MNIST (build/data/mnist)", 0},
    {"scenes", KEY_SCENES, "DIR", 0, "scenes of bench/data/scenes (build/data/scenes)", 0},
    {"out", 'o', "FILE", 0, "results, one JSON object a line (build/bench/multilane.jsonl)", 0},
    {"components", KEY_COMPONENTS, "DIR", 0, "trained components (build/bench/multilane.parts)", 0},
    {0}};

static void set_defaults(struct options *o)
{
    for (size_t i = 0; o->n_protocols == 0 && protocol_at(i); i++)
        o->protocols[i] = protocol_at(i);
    while (o->n_protocols < MOST && o->protocols[o->n_protocols])
        o->n_protocols++;
    for (size_t i = 0; o->n_seeds == 0 && i < 3; i++)
        o->seeds[i] = i + 1;
    o->n_seeds = o->n_seeds ? o->n_seeds : 3;
    for (int part = 0; !o->some_parts && part < LANE_TRIAL_PARTS; part++)
        o->parts[part] = 1;
}

static int set_up(struct bench *b)
{
    struct fault f = {0};
    if (b->o.threads < 1 || b->o.threads > POOL_MAX_THREADS) {
        (void)fprintf(stderr, "multilane: --threads: 1 to %d are possible\n", POOL_MAX_THREADS);
        return -1;
    }
    void *memory = sysio_alloc(pool_plan(b->o.threads), 1);
    if (gemm_setup(&f) == STATUS_OK && model_load_folder(b->o.model, &b->model, &f) == STATUS_OK &&
        memory && pool_init(memory, b->o.threads, &b->pool) == STATUS_OK)
        return 0;
    (void)fprintf(stderr, "multilane: %s %s\n", f.field, f.text[0] ? f.text : "out of memory");
    return -1;
}

int main(int argc, char **argv)
{
    static struct bench b;
    const struct argp argp = {
        .options = arguments, .parser = parse, .doc = "MULTI-LANE on protocol 4"};
    b.o = (struct options){.measured = PROTOCOL_TEST,
                           .sizes = {.valid = 300},
                           .threads = 1,
                           .model = "models/vit-fashion",
                           .mnist = "build/data/mnist",
                           .scenes = "build/data/scenes",
                           .out = "build/bench/multilane.jsonl",
                           .components = "build/bench/multilane.parts"};
    (void)argp_parse(&argp, argc, argv, 0, NULL, &b.o);
    set_defaults(&b.o);
    if (set_up(&b) != 0)
        return 1;
    results_file_init(&b.results, b.o.out);
    b.runs = json_array();
    run_everything(&b);
    lane_table_print(b.results.lines, b.runs, b.o.protocols, b.o.n_protocols, stdout);
    results_file_fini(&b.results);
    json_decref(b.runs);
    model_free(b.model);
    return b.failures ? 1 : 0;
}
