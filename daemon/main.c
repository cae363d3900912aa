/*
 * lethed: start order and signals, nothing else.
 *
 * Start: configuration, store (locks it), core (recovery, base, serving version, self-tests),
 * sockets, metrics, READY.  SIGHUP reloads.  Stop: SIGTERM drains; a second one ends at once;
 * requests under way are queued again.
 * Exit status: 0 stopped as asked, 1 could not start, 2 usage or configuration.
 */
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/invariant.h"
#include "daemon/base/log.h"
#include "daemon/config/config.h"
#include "daemon/config/credential.h"
#include "daemon/jobs/core.h"
#include "daemon/jobs/key_changes.h"
#include "daemon/jobs/log_key.h"
#include "daemon/metrics/exporter.h"
#include "daemon/serve/dispatch.h"
#include "daemon/serve/server.h"
#include "daemon/service/limits_check.h"
#include "daemon/service/notify.h"
#include "daemon/service/watchdog.h"
#include "learners/math/gemm.h"
#include "proto/seal/aead.h"
#include "proto/seal/curve_file.h"
#include "proto/seal/hash.h"

#define PULSE_US   ((int64_t)1000000)
#define HEALTHY_US ((int64_t)30000000) /* since everything was last seen to move */

/* The core that signals stop; set once, before they are let in. */
static struct core *signalled;
static volatile sig_atomic_t stops;
static volatile sig_atomic_t reloads;
static volatile sig_atomic_t closing; /* the core's loop has ended */

struct daemon {
    struct config config;
    struct store *store;
    struct core *core;
    struct server *server;
    struct exporter *exporter;
    const char *config_path; /* NULL: there is no file */
    struct watchdog watchdog;
    int told_stuck; /* it is in the journal that a part does not move */
    int64_t next_pulse_us;
    int stopping;
    atomic_llong moved_us; /* when everything was last seen to move; read by the exporter */
};

/* ---------------------------------------------------------------- signals */

static void on_stop(int number)
{
    (void)number;
    stops = stops + 1;
    /* Everything is stored; what is left are answers on their way, and nobody waits for them. */
    if (closing && stops > 1)
        _exit(EXIT_SUCCESS);
    core_stop(signalled, stops > 1 ? CORE_STOP_FORCED : CORE_STOP_GRACEFUL);
}

static void on_reload(int number)
{
    (void)number;
    reloads = 1;
}

static void catch (int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(number, &action, NULL);
}

static void catch_signals(struct core *core)
{
    signalled = core;
    catch (SIGTERM, on_stop);
    catch (SIGINT, on_stop);
    catch (SIGHUP, on_reload);
    catch (SIGPIPE, SIG_IGN);
}

static void on_invariant(const char *text, const char *file, int line)
{
    char place[160];
    (void)snprintf(place, sizeof place, "%.120s:%d", file, line);
    log_event(LOG_LEVEL_ERROR, "invariant", text, "place", place, NULL);
}

/* ---------------------------------------------------------------- service manager */

/*
 * The configuration is read again and judged, so that the operator learns of a mistake before the
 * next start; its values take effect then.
 */
static enum status judge_config(const struct daemon *d, struct fault *f)
{
    struct config fresh;
    if (!d->config_path)
        return STATUS_OK;
    config_default(&fresh);
    TRY(config_load(&fresh, d->config_path, f));
    return config_complete(&fresh, f);
}

/* What SIGHUP makes new: the table of clients, whatever the configuration is like. */
static enum status reload(const struct daemon *d, struct core *core, struct fault *f)
{
    TRY(key_changes_reload(core, f));
    return judge_config(d, f);
}

static void take_reload(const struct daemon *d, struct core *core)
{
    struct fault f = {0};
    if (!reloads)
        return;
    reloads = 0;
    notify_reloading();
    if (reload(d, core, &f) == STATUS_OK) {
        log_event(LOG_LEVEL_INFO, "reload",
                  "clients are read again; the configuration takes effect at the next start", NULL);
        notify_reloaded("reloaded");
    } else {
        log_event(LOG_LEVEL_ERROR, "reload.failed", f.text, "field", f.field, NULL);
        notify_reloaded("reload failed, all is as it was");
    }
}

/* The core's turn is proven by being here. */
static bool everything_moves(struct daemon *d, struct core *core)
{
    struct core_motion m;
    core_motion(core, &m);
    const struct watchdog_view view = {.serve_ticks = server_ticks(d->server),
                                       .predict_busy = m.predict_busy,
                                       .predict_done = m.predict_done,
                                       .worker_busy = m.worker_busy,
                                       .worker_heard = m.worker_heard};
    const int64_t now = clock_mono_us();
    const char *stuck = watchdog_look(&d->watchdog, &view);
    if (!stuck) {
        d->told_stuck = 0;
        atomic_store(&d->moved_us, now);
    } else if (!d->told_stuck && now - atomic_load(&d->moved_us) > HEALTHY_US) {
        d->told_stuck = 1;
        log_event(LOG_LEVEL_WARNING, "watchdog.unfed", "a part of the daemon does not move", "part",
                  stuck, NULL);
    }
    return !stuck;
}

/* Once a second: reload if asked, and what the daemon does. */
static void on_pulse(struct core *core, void *context)
{
    struct daemon *d = context;
    const int64_t now = clock_mono_us();
    if (stops > 0 && !d->stopping) {
        d->stopping = 1;
        /* Draining, answers on their way, and the pools that are waited for. */
        notify_stopping((unsigned)d->config.drain_s * 2 + NOTIFY_STAGE_S);
    }
    if (now < d->next_pulse_us)
        return;
    d->next_pulse_us = now + PULSE_US;
    take_reload(d, core);
    char text[160];
    core_describe(core, text, sizeof text);
    notify_pulse(text, everything_moves(d, core));
}

/* For /health; any thread. */
static bool is_ready(void *context)
{
    struct daemon *d = context;
    return server_get_phase(d->server) == PHASE_SERVING &&
           clock_mono_us() - atomic_load(&d->moved_us) < HEALTHY_US;
}

/* ---------------------------------------------------------------- start and stop */

static enum log_level level_of(unsigned choice)
{
    static const enum log_level levels[] = {LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO,
                                            LOG_LEVEL_DEBUG};
    return levels[choice < 4 ? choice : 2];
}

static enum status open_store(struct daemon *d, struct fault *f)
{
    const struct kv_options options = {.folder = d->config.store,
                                       .map_max = (uint64_t)d->config.map_size_max};
    const enum status st = store_open_keyed(&options, d->config.kek_folder, &d->store, f);
    if (st != STATUS_OK) {
        fault_prefix(f, "store %.80s", d->config.store);
        return st;
    }
    return log_key_begin(&d->config, d->store, f);
}

/* NULL: the daemon has no key, and nobody comes with one. */
static enum status read_secret(const struct config *c, struct curve_key **ret_key, struct fault *f)
{
    char path[PATH_MAX];
    *ret_key = NULL;
    if (c->curve_key[0] == '\0')
        return STATUS_OK;
    TRY(credential_path(c->curve_key, "curve_key", path, sizeof path, f));
    struct curve_key *key = seal_secret_alloc(sizeof *key);
    if (!key)
        FAIL(f, STATUS_NO_MEMORY, "curve_key", "no memory for the key");
    const enum status st = curve_file_read_secret(path, key, f);
    if (st == STATUS_OK) {
        *ret_key = key;
        return STATUS_OK;
    }
    seal_secret_free(key);
    fault_prefix(f, "curve_key");
    return st;
}

static enum status open_doors(struct daemon *d, const struct curve_key *secret, struct fault *f)
{
    const struct config *c = &d->config;
    const int local = c->local_endpoint[0] != '\0';
    const struct auth_options auth = {.clients = secret ? c->clients : NULL,
                                      .local_roles = c->ipc_role,
                                      .calls_s = (uint32_t)c->quota_calls};
    struct server_options options = {.endpoint = c->endpoint,
                                     .events_endpoint = c->events_endpoint,
                                     .local_endpoint = local ? c->local_endpoint : NULL,
                                     .local_events_endpoint = c->local_events_endpoint,
                                     .secret = secret,
                                     .table = dispatch_table(),
                                     .drain_ms = (uint32_t)c->drain_s * 1000};
    TRY(auth_new(&auth, &options.auth, f));
    return server_open(&options, &d->server, f);
}

static enum status open_server(struct daemon *d, struct fault *f)
{
    struct curve_key *secret;
    TRY(read_secret(&d->config, &secret, f));
    const enum status st = open_doors(d, secret, f);
    seal_secret_free(secret);
    return st;
}

static enum status open_metrics(struct daemon *d, struct fault *f)
{
    const struct metrics_sources sources = {.core = d->core,
                                            .server = d->server,
                                            .version = LETHE_VERSION,
                                            .ready = is_ready,
                                            .context = d};
    struct listen at;
    TRY(listen_parse(d->config.metrics, "metrics", &at, f));
    return exporter_open(&at, &sources, &d->exporter, f);
}

static void on_stage(const char *what, void *context)
{
    (void)context;
    notify_stage(what);
}

static void warn_of_limit(enum status st, const struct fault *f)
{
    if (st != STATUS_OK)
        log_event(LOG_LEVEL_WARNING, "limits", f->text, "field", f->field, NULL);
}

static void set_limits(struct daemon *d)
{
    struct fault f = {0};
    struct config *c = &d->config;
    limits_check_no_core();
    warn_of_limit(limits_check_descriptors(limits_check_take_descriptors(), &f), &f);
    warn_of_limit(
        limits_check_memory((uint64_t)c->worker_memory_max, limits_check_allowed_memory(), &f), &f);
    c->worker_stall_s = watchdog_worker_stall_s(c->worker_stall_s, notify_watchdog_us());
}

static enum status daemon_start(struct daemon *d, struct fault *f)
{
    const struct core_start start = {.stage = on_stage};
    TRY(seal_init(f));
    TRY(gemm_setup(f));
    notify_stage("opening the store");
    /* The store's lock and the socket's lock come before any work: a second daemon ends here. */
    TRY(open_store(d, f));
    TRY(open_server(d, f));
    TRY(core_new(&d->config, d->store, &start, &d->core, f));
    core_attach(d->core, d->server);
    core_set_pulse(d->core, on_pulse, d);
    catch_signals(d->core);
    TRY(server_start(d->server, d->core, f));
    TRY(open_metrics(d, f));
    server_set_phase(d->server, PHASE_SERVING);
    atomic_store(&d->moved_us, clock_mono_us());
    return STATUS_OK;
}

static void daemon_stop(struct daemon *d)
{
    /* From here on a signal can only cut short what is left. */
    closing = 1;
    catch (SIGHUP, SIG_IGN);
    exporter_close(d->exporter);
    if (d->server)
        server_stop(d->server);
    if (stops > 1) {
        server_forget_answers(d->server);
        server_close(d->server);
        log_event(LOG_LEVEL_INFO, "stopped", "at once, as asked", NULL);
        /* Threads may still read: what they read ends with the process, as in a crash. */
        _exit(EXIT_SUCCESS);
    }
    server_close(d->server);
    core_free(d->core);
    store_close(d->store);
}

static int complain(enum status st, const struct fault *f)
{
    log_event(LOG_LEVEL_ERROR, "start.failed", f->text, "code", status_name(st), "field", f->field,
              NULL);
    (void)fprintf(stderr, "lethed: %s%s%s (%s)\n", f->field, f->field[0] ? ": " : "",
                  f->text[0] ? f->text : status_text(st), status_name(st));
    return st == STATUS_INVALID_ARGUMENT ? 2 : 1;
}

static int daemon_run(struct daemon *d)
{
    struct fault f = {0};
    const enum status st = daemon_start(d, &f);
    if (st == STATUS_OK) {
        log_event(LOG_LEVEL_INFO, "ready", "serving", "endpoint", d->config.endpoint, NULL);
        notify_ready("serving");
        core_run(d->core);
    }
    daemon_stop(d);
    if (st != STATUS_OK)
        return complain(st, &f);
    log_event(LOG_LEVEL_INFO, "stopped", "all is closed", NULL);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct fault f = {0};
    struct config_args args;
    static struct daemon d;
    const enum status st = config_from_args(&d.config, &args, argc, argv, &f);
    if (st != STATUS_OK) {
        (void)fprintf(stderr, "lethed: %s%s%s\n", f.field, f.field[0] ? ": " : "",
                      f.text[0] ? f.text : status_text(st));
        return 2;
    }
    d.config_path = args.config;
    if (args.check_only) {
        (void)printf("the configuration is good\n");
        return EXIT_SUCCESS;
    }
    log_open("lethed", level_of(d.config.log_level));
    invariant_set_hook(on_invariant);
    set_limits(&d);
    return daemon_run(&d);
}
