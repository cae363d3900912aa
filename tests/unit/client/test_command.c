/* The command line as a whole: usage, exits, what goes to which stream, what is sent. */
#include "tests/unit/client/scripted_daemon.h"

/* ------------------------------------------------------------------ usage */

void test_command_usage_errors(void **state)
{
    (void)state;
    static const struct {
        const char *words[8];
        const char *says;
    } CASES[] = {
        {{"frobnicate"}, "there is no command \"frobnicate\""},
        {{"stauts"}, "did you mean \"status\"?"},
        {{"data", "imprt"}, "did you mean \"data import\"?"},
        {{"status", "now"}, "\"now\" is one operand too many"},
        {{"status", "--colour"}, "there is no option --colour"},
        {{"--colour", "status"}, "there is no option --colour"},
        {{"request"}, "lethe request needs ID"},
        {{"diff", "1"}, "lethe diff needs VERSION VERSION"},
        {{"forget"}, "nothing to forget"},
        {{"forget", "--class"}, "--class needs a value"},
        {{"forget", "--class", "A", "--mode", "slow"}, "--mode is one of exact, fast"},
        {{"forget", "--class", "A", "--probe", "x"}, "--probe is one of"},
        {{"forget", "--class", "A", "--due", "soon"}, "is no date"},
        {{"forget", "--class", "A", "--due", "2001-01-01"}, "has passed"},
        {{"forget", "--class", "A", "--option", "depth"}, "NAME=VALUE"},
        {{"forget", "--class", "A", "--option", "=1"}, "NAME=VALUE"},
        {{"forget", "--class", "A", "--seed", "-1"}, "--seed is a number"},
        {{"forget", "--class", "A", "--timeout", "0"}, "--timeout is a number from 1"},
        {{"requests", "--state", "done"}, "--state is one of"},
        {{"history", "--limit", "0"}, "--limit is a number from 1 to 1000"},
        {{"served-at", "teatime"}, "is no time"},
        {{"pin"}, "a VERSION, or --release"},
        {{"pin", "3", "--release"}, "a VERSION, or --release"},
        {{"export", "3", "--format", "peft"}, "-o DIR"},
        {{"export", "3", "-o", "x"}, "--format"},
        {{"export", "3", "-o", "x", "-f", "h5"}, "--format is one of"},
        {{"predict", "--top", "x", "x.png"}, "--top is a number"},
        {{"predict", "--decision", "x", "x.png"}, "--decision is one of"},
        {{"data", "import", "a", "b", "--role", "x"}, "--role is one of"},
        {{"--endpoint", "lethe.sock", "status"}, "is no endpoint"},
        {{"--endpoint", "tcp://h:1", "status"}, "needs both"},
        {{"help", "frobnicate"}, "there is no command"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        int n = 0;
        while (n < 8 && CASES[i].words[n])
            n++;
        struct ran r = run(CASES[i].words, n);
        if (r.code != CLI_USAGE)
            fail_msg("%s: exit %d", CASES[i].says, r.code);
        assert_has(r.err, CASES[i].says);
        assert_string_equal(r.out, "");
        ran_free(&r);
    }
    struct ran r = run(NULL, 0);
    assert_int_equal(r.code, CLI_USAGE);
    assert_has(r.err, "usage: lethe");
    ran_free(&r);
}

void test_command_help_of_every_command(void **state)
{
    (void)state;
    const struct command *list[64];
    const size_t n = command_list(list, 64);
    struct ran all = RUN("help");
    assert_int_equal(all.code, CLI_DONE);
    assert_true(n >= 19);
    for (size_t i = 0; i < n; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s", list[i]->name);
        char *second = strchr(name, ' ');
        if (second)
            *second++ = '\0';
        const char *words[] = {"help", name, second};
        struct ran r = run(words, second ? 3 : 2);
        assert_int_equal(r.code, CLI_DONE);
        assert_has(r.out, list[i]->summary);
        assert_has(all.out, list[i]->summary);
        const char *asked[] = {name, second ? second : "--help", "--help"};
        struct ran same = run(asked, second ? 3 : 2);
        assert_string_equal(same.out, r.out);
        ran_free(&same);
        ran_free(&r);
    }
    ran_free(&all);
    struct ran r = RUN("--version");
    assert_int_equal(r.code, CLI_DONE);
    assert_memory_equal(r.out, "lethe ", 6);
    ran_free(&r);
}

void test_command_unreachable(void **state)
{
    (void)state;
    struct ran r = RUN("--timeout", "1", "-e", "ipc:///tmp/lethe-test-nobody", "status");
    assert_int_equal(r.code, CLI_UNREACHABLE);
    assert_string_equal(r.out, "");
    assert_has(r.err, "no daemon can be reached at ipc:///tmp/lethe-test-nobody");
    assert_has(r.err, "there is no socket /tmp/lethe-test-nobody");
    assert_has(r.err, "lethed --base FOLDER --store DIR");
    ran_free(&r);
    setenv("LETHE_ENDPOINT", "ipc:///tmp/lethe-test-from-environment", 1);
    r = RUN("--json", "--timeout", "1", "status");
    assert_int_equal(r.code, CLI_UNREACHABLE);
    assert_has(r.out, "{\"error\":{\"code\":\"DEADLINE_EXCEEDED\"");
    assert_has(r.err, "lethe-test-from-environment");
    unsetenv("LETHE_ENDPOINT");
    ran_free(&r);
}

/* ------------------------------------------------------------------ commands */

void test_command_status(void **state)
{
    (void)state;
    struct script s = {0};
    struct fake_server server;
    struct ran r = WITH(s, server, "--json", "status");
    assert_int_equal(r.code, CLI_DONE);
    assert_memory_equal(r.out, "{\"state\":\"serving\"", 18);
    assert_string_equal(strchr(r.out, '\n'), "\n");
    assert_string_equal(r.err, "");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "status");
    assert_int_equal(r.code, CLI_DONE);
    assert_has(r.out, "vit-tiny, 0 classes active");
    assert_has(r.out, "2 lanes, 3 experts, 1 open streams");
    ran_free(&r);
    fake_stop(&server);
}

void test_command_forget_returns_at_acceptance(void **state)
{
    (void)state;
    struct script s = {0};
    struct fake_server server;
    struct ran r = WITH(s, server, "forget", "--class", "Sandal", "--due", "2100-01-01", "--seed",
                        "7", "--option", "depth=off", "w_d=0.3");
    assert_int_equal(r.code, CLI_DONE);
    assert_int_equal(s.waits, 0);
    assert_int_equal(s.seed, 7);
    assert_string_equal(s.option, "depth:off");
    assert_int_equal(s.due_at, INT64_C(4102531199000000)); /* the end of that day */
    assert_has(r.out, ID);
    assert_has(r.err, "lethe wait 018b");
    ran_free(&r);
    fake_stop(&server);
}

void test_command_exit_of_a_waited_request(void **state)
{
    (void)state;
    static const struct {
        const char *state;
        bool dry_run;
        int code;
    } CASES[] = {{"committed", false, CLI_DONE},        {"rejected", false, CLI_ENDED_BADLY},
                 {"failed", false, CLI_ENDED_BADLY},    {"denied", false, CLI_ENDED_BADLY},
                 {"cancelled", false, CLI_ENDED_BADLY}, {"cancelled", true, CLI_DONE},
                 {"duplicate", false, CLI_DONE}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct script s = {.state = CASES[i].state, .dry_run = CASES[i].dry_run};
        struct fake_server server;
        struct ran r = WITH(s, server, "--json", "forget", "--class", "Sandal", "--wait");
        assert_int_equal(r.code, CASES[i].code);
        char want[64];
        (void)snprintf(want, sizeof want, "\"state\":\"%s\"", CASES[i].state);
        assert_has(r.out, want);
        assert_string_equal(strchr(r.out, '\n'), "\n"); /* one object, one line */
        assert_has(r.err, "is queued");
        assert_int_equal(s.waits, 2);
        ran_free(&r);
        s.waits = 0;
        r = RUN("-e", server.endpoint, "--quiet", "wait", ID);
        assert_int_equal(r.code, CASES[i].code);
        assert_has(r.out, "gate: NOT PASSED\n  acc_retain: 0.925 < 0.93");
        assert_has(r.out, "accuracy, classes to forget");
        assert_string_equal(r.err, "");
        ran_free(&r);
        fake_stop(&server);
    }
}

void test_command_wait_has_a_deadline(void **state)
{
    (void)state;
    struct script s = {.never_final = true};
    struct fake_server server;
    struct ran r = WITH(s, server, "wait", ID, "--timeout", "1");
    assert_int_equal(r.code, CLI_UNREACHABLE);
    assert_string_equal(r.out, "");
    assert_has(r.err, "it goes on");
    ran_free(&r);
    fake_stop(&server);
}

void test_command_suggests_labels(void **state)
{
    (void)state;
    struct script s = {.refuse_classes = true};
    struct fake_server server;
    struct ran r = WITH(s, server, "forget", "--class", "Sandals");
    assert_int_equal(r.code, CLI_REFUSED);
    assert_string_equal(r.out, "");
    assert_has(r.err, "the model has no class \"Sandals\"");
    assert_has(r.err, "did you mean \"Sandal\"?");
    assert_has(r.err, "labels that can be forgotten: T-shirt/top, Sandal\n");
    ran_free(&r);
    r = RUN("--json", "-q", "-e", server.endpoint, "forget", "--class", "Sandals");
    assert_int_equal(r.code, CLI_REFUSED);
    assert_string_equal(r.out,
                        "{\"error\":{\"code\":\"NOT_FOUND\",\"message\":\"the model has no class "
                        "\\\"Sandals\\\"\",\"field\":\"classes\"}}\n");
    ran_free(&r);
    fake_stop(&server);
}

void test_command_lists(void **state)
{
    (void)state;
    struct script s = {0};
    struct fake_server server;
    struct ran r = WITH(s, server, "requests", "--json");
    assert_int_equal(r.code, CLI_DONE);
    const char *second = strchr(r.out, '\n');
    assert_non_null(second);
    assert_int_equal(second[1], '{');
    assert_string_equal(strchr(second + 1, '\n'), "\n");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "requests");
    assert_has(r.out, "request  kind    state");
    assert_has(r.out, "rejected");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "data", "list", "--json");
    assert_has(r.out, "{\"name\":\"mine\",\"role\":\"train\"");
    ran_free(&r);
    fake_stop(&server);
}

void test_command_versions(void **state)
{
    (void)state;
    struct script s = {0};
    struct fake_server server;
    struct ran r = WITH(s, server, "rollback", "cdcdcdcd");
    assert_int_equal(r.code, CLI_DONE);
    assert_string_equal(s.version, "cdcdcdcd");
    assert_has(r.out, "3  (serving)");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "pin", "--release");
    assert_int_equal(r.code, CLI_DONE);
    assert_string_equal(s.version, "");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "evaluate", "--json");
    assert_int_equal(r.code, CLI_DONE);
    assert_memory_equal(r.out, "{\"version\":null,\"acc_forget\":0.001,", 35);
    ran_free(&r);
    fake_stop(&server);
}

void test_command_fsck(void **state)
{
    (void)state;
    struct script s = {0};
    struct fake_server server;
    struct ran r = WITH(s, server, "fsck");
    assert_int_equal(r.code, CLI_DONE);
    ran_free(&r);
    s.damaged = true;
    r = RUN("-e", server.endpoint, "fsck");
    assert_int_equal(r.code, CLI_ENDED_BADLY);
    assert_has(r.out, "blob 17 is damaged");
    ran_free(&r);
    fake_stop(&server);
}
