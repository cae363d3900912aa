/* What lethed --help-config prints: a whole configuration file with the defaults. */
#include "daemon/config/config.h"

#include <stdio.h>
#include <string.h>

#include "learners/methods/gslora/gslora_options.h"

static void
print_key(FILE *out, const char *unit, const char *text, const char *key, const char *value)
{
    (void)fprintf(out, "# %s%s%s\n%s =%s%s\n", unit, *unit ? ": " : "", text, key,
                  *value ? " " : "", value);
}

static void print_params(FILE *out)
{
    struct config_param p;
    (void)fprintf(out, "[lethed]\n");
    for (size_t i = 0; config_param_get(i, &p) == 0; i++)
        print_key(out, p.unit, p.text, p.name, p.value);
}

static void print_gate(FILE *out)
{
    const struct gate_limits limits = gate_check_defaults();
    (void)fprintf(out, "\n[gate]\n");
    for (unsigned i = 0; i < GATE_CHECK_COUNT; i++) {
        const enum gate_check_id id = (enum gate_check_id)i;
        const char *way = gate_check_direction(id) == GATE_AT_MOST ? "at most" : "at least";
        char value[64];
        (void)snprintf(value, sizeof value, "%g %s", limits.at[i].limit,
                       gate_check_rule_name(limits.at[i].rule));
        print_key(out, way, gate_check_text(id), gate_check_name(id), value);
    }
}

/* Name number i of "a|b|c". */
static void copy_name(const char *names, unsigned i, char *to, size_t size)
{
    for (; i > 0; i--)
        names = strchr(names, '|') + 1;
    (void)snprintf(to, size, "%.*s", (int)strcspn(names, "|"), names);
}

static void print_gslora(FILE *out)
{
    const struct gslora_option_row *row;
    (void)fprintf(out, "\n[gslora]\n");
    for (size_t i = 0; (row = gslora_option_row(i)) != NULL; i++) {
        char value[64], range[96];
        if (row->names) {
            copy_name(row->names, (unsigned)row->value, value, sizeof value);
            (void)snprintf(range, sizeof range, "%s", row->names);
        } else {
            (void)snprintf(value, sizeof value, "%.9g", row->value);
            (void)snprintf(range, sizeof range, "%g to %g", row->min, row->max);
        }
        print_key(out, range, row->text, row->name, value);
    }
}

void config_help(FILE *out)
{
    print_params(out);
    print_gate(out);
    print_gslora(out);
}
