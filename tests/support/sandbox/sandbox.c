/*
 * Runs a program under the protections of a systemd unit where no systemd runs:
 *     sandbox UNIT PROGRAM ARGUMENT...     sandbox UNIT (says what is refused)     sandbox
 * What is applied is read from the unit: SystemCallFilter (groups as systemd-analyze lists them),
 * SystemCallErrorNumber, MemoryDenyWriteExecute, RestrictAddressFamilies, RestrictNamespaces,
 * RestrictRealtime, RestrictSUIDSGID, LockPersonality, NoNewPrivileges, CapabilityBoundingSet,
 * LimitCORE, LimitNOFILE, and ProtectSystem=strict where a mount namespace may be made (/tmp and
 * TMPDIR stay writable, as the state folder of the service).
 * Not applied: User, PrivateUsers, PrivateDevices, ProcSubset, ProtectHome, IPAddressDeny and the
 * limits of the control group.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALLS_MAX    1024
#define FAMILIES_MAX 64
#define DEPTH_MAX    8
#define NAMESPACES                                                                                 \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
     CLONE_NEWNET)

static const char *unit;             /* path of the unit file */
static unsigned char set[CALLS_MAX]; /* by number of the call: allowed */

__attribute__((noreturn)) static void die(const char *what, const char *which)
{
    (void)fprintf(stderr, "sandbox: %s %s: %s\n", what, which, strerror(errno));
    exit(125);
}

typedef void line_reader(const char *value);

/* Every `key=value` of the unit, in order; the number of them. */
static int each_line(const char *key, line_reader *reader)
{
    char line[1024];
    const size_t length = strlen(key);
    int n = 0;
    FILE *file = fopen(unit, "re");
    if (!file)
        die("cannot read", unit);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, key, length) != 0 || line[length] != '=')
            continue;
        n++;
        if (reader)
            reader(line + length + 1);
    }
    (void)fclose(file);
    return n;
}

static int is_yes;
static void read_yes(const char *value)
{
    is_yes = strcmp(value, "yes") == 0;
}

static int says_yes(const char *key)
{
    is_yes = 0;
    (void)each_line(key, read_yes);
    return is_yes;
}

static void check(int error, const char *what)
{
    if (error != 0) {
        errno = -error;
        die("libseccomp:", what);
    }
}

/* ---------------------------------------------------------------- the filter of calls */

/* A call, or a group and the groups inside it; a name that this machine does not have is no call.
 */
static void change(const char *name, unsigned char to, int depth)
{
    char command[128], line[256], word[128];
    if (name[0] != '@') {
        const int call = seccomp_syscall_resolve_name(name);
        if (call >= 0 && call < CALLS_MAX)
            set[call] = to;
        return;
    }
    errno = EINVAL;
    if (depth > DEPTH_MAX || strlen(name) > 64 || strpbrk(name, "'$`\\\""))
        die("no group of calls:", name);
    (void)snprintf(command, sizeof command, "systemd-analyze syscall-filter '%s'", name);
    FILE *pipe = popen(command, "re");
    if (!pipe)
        die("cannot run", command);
    while (fgets(line, sizeof line, pipe))
        if (line[0] == ' ' && sscanf(line, " %127s", word) == 1 && word[0] != '#')
            change(word, to, depth + 1);
    errno = ENOENT;
    if (pclose(pipe) != 0)
        die("failed:", command);
}

static void read_filter(const char *value)
{
    char words[1024], *rest = words, *word;
    const unsigned char to = value[0] != '~';
    (void)snprintf(words, sizeof words, "%s", value + !to);
    while ((word = strsep(&rest, " ")))
        if (word[0] != '\0')
            change(word, to, 0);
}

/* systemd lets @default through whatever the list says. */
static scmp_filter_ctx allow_list(void)
{
    change("@default", 1, 0);
    if (each_line("SystemCallFilter", read_filter) == 0)
        return NULL;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    for (int call = 0; call < CALLS_MAX; call++)
        if (set[call])
            check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0), "allow");
    return filter;
}

/* ---------------------------------------------------------------- filters of arguments */

static void refuse(scmp_filter_ctx f, int error, int call, struct scmp_arg_cmp a)
{
    check(seccomp_rule_add(f, SCMP_ACT_ERRNO((uint32_t)error), call, 1, a), "refuse");
}

static struct scmp_arg_cmp has_bits(unsigned argument, scmp_datum_t bits)
{
    return (struct scmp_arg_cmp){argument, SCMP_CMP_MASKED_EQ, bits, bits};
}

static void refuse_writable_code(scmp_filter_ctx f)
{
    refuse(f, EPERM, SCMP_SYS(mmap), has_bits(2, PROT_WRITE | PROT_EXEC));
    refuse(f, EPERM, SCMP_SYS(mprotect), has_bits(2, PROT_EXEC));
    refuse(f, EPERM, SCMP_SYS(pkey_mprotect), has_bits(2, PROT_EXEC));
}

static unsigned char families[FAMILIES_MAX];
static void read_families(const char *value)
{
    families[AF_UNIX] = strstr(value, "AF_UNIX") != NULL;
    families[AF_INET6] = strstr(value, "AF_INET6") != NULL;
    families[AF_INET] = strstr(value, "AF_INET ") != NULL;
}

static void refuse_families(scmp_filter_ctx f)
{
    for (scmp_datum_t i = 0; i < FAMILIES_MAX; i++)
        if (!families[i])
            refuse(f, EAFNOSUPPORT, SCMP_SYS(socket), (struct scmp_arg_cmp){0, SCMP_CMP_EQ, i, 0});
    refuse(f, EAFNOSUPPORT, SCMP_SYS(socket),
           (struct scmp_arg_cmp){0, SCMP_CMP_GE, FAMILIES_MAX, 0});
}

/* The flags of clone3 are behind a pointer, so the C library is sent to clone. */
static void refuse_namespaces(scmp_filter_ctx f)
{
    for (scmp_datum_t bit = 1; bit <= CLONE_NEWNET; bit <<= 1)
        if (bit & NAMESPACES)
            refuse(f, EPERM, SCMP_SYS(clone), has_bits(0, bit));
    check(seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0), "clone3");
    check(seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 0), "unshare");
    check(seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setns), 0), "setns");
}

static void refuse_suid(scmp_filter_ctx f)
{
    static const mode_t bits[] = {S_ISUID, S_ISGID};
    for (size_t i = 0; i < 2; i++) {
        refuse(f, EPERM, SCMP_SYS(chmod), has_bits(1, bits[i]));
        refuse(f, EPERM, SCMP_SYS(fchmod), has_bits(1, bits[i]));
        refuse(f, EPERM, SCMP_SYS(fchmodat), has_bits(2, bits[i]));
        refuse(f, EPERM, SCMP_SYS(mkdir), has_bits(1, bits[i]));
        refuse(f, EPERM, SCMP_SYS(mkdirat), has_bits(2, bits[i]));
    }
}

static scmp_filter_ctx deny_list(void)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    if (says_yes("MemoryDenyWriteExecute"))
        refuse_writable_code(f);
    if (each_line("RestrictAddressFamilies", read_families) > 0)
        refuse_families(f);
    if (says_yes("RestrictNamespaces"))
        refuse_namespaces(f);
    if (says_yes("RestrictSUIDSGID"))
        refuse_suid(f);
    if (says_yes("RestrictRealtime"))
        refuse(f, EPERM, SCMP_SYS(sched_setscheduler),
               (struct scmp_arg_cmp){1, SCMP_CMP_EQ, SCHED_FIFO, 0}),
            refuse(f, EPERM, SCMP_SYS(sched_setscheduler),
                   (struct scmp_arg_cmp){1, SCMP_CMP_EQ, SCHED_RR, 0});
    if (says_yes("LockPersonality"))
        refuse(f, EPERM, SCMP_SYS(personality),
               (struct scmp_arg_cmp){0, SCMP_CMP_NE, PER_LINUX, 0});
    return f;
}

/* ---------------------------------------------------------------- files, limits, privileges */

static void make_writable(const char *path)
{
    struct mount_attr writable = {.attr_clr = MOUNT_ATTR_RDONLY};
    (void)mount_setattr(AT_FDCWD, path, AT_RECURSIVE, &writable, sizeof writable);
}

/* False where this process may not make a mount namespace. */
static int protect_system(void)
{
    struct mount_attr readonly = {.attr_set = MOUNT_ATTR_RDONLY};
    const char *tmp = getenv("TMPDIR");
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return 0;
    if (mount("/tmp", "/tmp", NULL, MS_BIND | MS_REC, NULL) != 0 ||
        (tmp && mount(tmp, tmp, NULL, MS_BIND | MS_REC, NULL) != 0))
        return 0;
    if (mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &readonly, sizeof readonly) != 0)
        return 0;
    make_writable("/tmp");
    make_writable("/proc");
    make_writable("/sys");
    make_writable("/dev");
    if (tmp)
        make_writable(tmp);
    return 1;
}

static int limit_kind;
static void read_limit(const char *value)
{
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)limit_kind, &limit) != 0)
        die("getrlimit", value);
    const rlim_t wanted = strtoul(value, NULL, 10);
    if (limit.rlim_max == RLIM_INFINITY || wanted < limit.rlim_max)
        limit.rlim_max = wanted;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit((__rlimit_resource_t)limit_kind, &limit) != 0)
        die("setrlimit", value);
}

static void drop_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}, {0}};
    for (unsigned long c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
        (void)prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &head, none) != 0)
        die("cannot drop", "capabilities");
}

static int no_capabilities;
static void read_capabilities(const char *value)
{
    no_capabilities = value[0] == '\0';
}

static int number_is_eperm;
static void read_number(const char *value)
{
    number_is_eperm = strcmp(value, "EPERM") == 0;
}

/* True when the file system is protected too. */
static int enter(void)
{
    scmp_filter_ctx calls = allow_list(), arguments = deny_list();
    (void)each_line("SystemCallErrorNumber", read_number);
    errno = ENOTSUP;
    if (!calls || !number_is_eperm || !says_yes("NoNewPrivileges"))
        die("needs SystemCallFilter, SystemCallErrorNumber=EPERM and NoNewPrivileges in", unit);
    const int files = each_line("ProtectSystem", NULL) > 0 && protect_system();
    limit_kind = RLIMIT_CORE;
    (void)each_line("LimitCORE", read_limit);
    limit_kind = RLIMIT_NOFILE;
    (void)each_line("LimitNOFILE", read_limit);
    (void)each_line("CapabilityBoundingSet", read_capabilities);
    if (no_capabilities)
        drop_capabilities();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        die("prctl", "NO_NEW_PRIVS");
    check(seccomp_load(arguments), "load arguments");
    check(seccomp_load(calls), "load calls");
    seccomp_release(arguments);
    seccomp_release(calls);
    return files;
}

/* ---------------------------------------------------------------- what is refused */

static void tell(const char *name, long result)
{
    const int error = errno;
    printf("%s %s\n", name, result >= 0 ? "done" : strerrorname_np(error));
}

static void probe(int files)
{
    char path[] = "/tmp/sandbox-probe-XXXXXX";
    void *page =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    tell("mmap", page == MAP_FAILED ? -1 : 0);
    tell("ptrace", ptrace(PTRACE_PEEKDATA, 0, NULL, NULL));
    tell("netlink", socket(AF_NETLINK, SOCK_RAW, 0));
    tell("packet", socket(AF_PACKET, SOCK_RAW, 0));
    tell("mount", mount("none", "/mnt", "tmpfs", 0, NULL));
    tell("unshare", unshare(CLONE_FILES));
    tell("personality", personality(PER_LINUX32));
    const int fd = mkstemp(path);
    tell("tmp", fd);
    tell("suid", fchmod(fd, S_ISUID | 0700));
    tell("chown", fchown(fd, getuid(), getgid()));
    (void)unlink(path);
    tell("unix", socket(AF_UNIX, SOCK_DGRAM, 0));
    tell("inet", socket(AF_INET, SOCK_STREAM, 0));
    if (files)
        tell("etc", open("/etc/lethe-sandbox-probe", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

int main(int argc, char **argv)
{
    unit = argv[1];
    const int files = argc > 1 && enter();
    if (argc < 3) {
        probe(files);
        return 0;
    }
    (void)execv(argv[2], argv + 2);
    die("cannot start", argv[2]);
}
