/* SPDX-License-Identifier: MIT */
/*
 * Which fast path this machine has: what the C library registered, what the kernel supports, and a
 * test that an interrupted section is really aborted.
 */
#include "rseq.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#if HAVE_SECTIONS && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 35)
#include <sys/rseq.h>
#define HAVE_REGISTRATION 1
#endif
#endif
#ifndef HAVE_REGISTRATION
#define HAVE_REGISTRATION 0
#endif

/* The layout of the kernel's area. */
#define RSEQ_CPU_ID_AT  4
#define RSEQ_CS_AT      8
#define RSEQ_MM_CID_AT  24
#define RSEQ_MM_CID_END 28

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#endif

/* linux/membarrier.h of older systems lacks them. */
#define MEMBARRIER_RSEQ          (1 << 7)
#define MEMBARRIER_REGISTER_RSEQ (1 << 8)
#define MEMBARRIER_FLAG_CPU      (1 << 0)

#define SLOTS_MAX                8192

bool rseq_active;
ptrdiff_t rseq_id_offset;
ptrdiff_t rseq_cs_offset;
uint32_t slot_count = 1;
enum backend rseq_backend;

static pthread_once_t once = PTHREAD_ONCE_INIT;

#ifdef PWISE_INJECT
void (*volatile inject_hook)(int point);
volatile uint32_t inject_spins[INJECT_SECTION_POINTS];
#endif

/* Ids are below the number of CPUs that could ever come, which can be more than sysconf counts.
 * Where sysfs does not say, the size of the kernel's own CPU masks bounds it. */
static uint32_t count_possible_cpus(void)
{
    char text[256];
    long count = 0;
    int fd = open("/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t length = read(fd, text, sizeof(text) - 1);
        close(fd);
        if (length > 0) {
            text[length] = '\0';
            const char *last = text;
            for (const char *c = text; *c; c++)
                if (*c == '-' || *c == ',')
                    last = c + 1;
            count = strtol(last, NULL, 10) + 1;
        }
    }
    if (count < 1) {
        static unsigned long mask[SLOTS_MAX / 8 / sizeof(unsigned long)];
        count = syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask) * 8;
    }
    return count < 1 ? SLOTS_MAX + 1 : (uint32_t)count;
}

#if HAVE_REGISTRATION

static long membarrier(int command, unsigned flags, int cpu)
{
    return syscall(SYS_membarrier, command, flags, cpu);
}

#define SELF_TEST_ATTEMPTS 8

static void self_test_handler(int signal_number)
{
}

/*
 * A timer signals this thread while it spins in a section. The handler is in place for the test
 * alone, every other signal waits, and what was there before is put back. One signal an attempt: a
 * period would starve the thread where a signal takes longer than that, as under strace.
 */
bool rseq_self_test(void)
{
    int number = SIGRTMAX - 1;
    struct sigaction action = {.sa_handler = self_test_handler, .sa_flags = SA_RESTART}, old_action;
    sigset_t all_but, old_mask;
    sigfillset(&all_but);
    sigdelset(&all_but, number);
    if (pthread_sigmask(SIG_BLOCK, &all_but, &old_mask) != 0)
        return false;
    bool aborted = false;
    sigset_t just_it;
    sigemptyset(&just_it);
    sigaddset(&just_it, number);
    if (sigaction(number, &action, &old_action) != 0)
        goto restore_mask;
    pthread_sigmask(SIG_UNBLOCK, &just_it, NULL);

    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = number};
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    int timer;
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) == 0) {
        struct itimerspec once_only = {.it_value = {.tv_nsec = 20000}};
        for (int attempt = 0; attempt < SELF_TEST_ATTEMPTS && !aborted; attempt++)
            if (syscall(SYS_timer_settime, timer, 0, &once_only, NULL) == 0)
                aborted = section_spin(1000000);
        syscall(SYS_timer_delete, timer);
    }
    sigaction(number, &old_action, NULL);
restore_mask:
    pthread_sigmask(SIG_SETMASK, &old_mask, NULL);
    return aborted;
}

/* Linux 6.19 to 7.0.13 on AArch64 do not abort a section when its thread is preempted and resumes
 * on the same CPU, which a signal cannot show. */
static bool kernel_is_sound(void)
{
#ifdef __aarch64__
    struct utsname system;
    int major = 0, minor = 0, patch = 0;
    if (uname(&system) != 0 || sscanf(system.release, "%d.%d.%d", &major, &minor, &patch) < 2)
        return false;
    if ((major == 6 && minor >= 19) || (major == 7 && minor == 0 && patch < 14))
        return false;
#endif
    return true;
}

/* The kernel writes mm_cid into the 32 bytes that every C library registers; older ones just do not
 * say so in __rseq_size. */
static bool has_mm_cid(void)
{
    return getauxval(AT_RSEQ_FEATURE_SIZE) >= RSEQ_MM_CID_END;
}

static void choose(const char *forced)
{
    if (forced && strcmp(forced, "locked") == 0)
        return;
    if (__rseq_size == 0 || !kernel_is_sound())
        return;
    if (membarrier(MEMBARRIER_REGISTER_RSEQ, 0, 0) != 0)
        return;
    enum backend backend = has_mm_cid() ? BACKEND_MM_CID : BACKEND_CPU_ID;
    if (forced && strcmp(forced, "rseq-cpu_id") == 0)
        backend = BACKEND_CPU_ID;
    else if (forced && strcmp(forced, "rseq-mm_cid") == 0 && backend != BACKEND_MM_CID)
        return;
    rseq_cs_offset = __rseq_offset + RSEQ_CS_AT;
    rseq_id_offset = __rseq_offset + RSEQ_CPU_ID_AT;
    if (section_id() < 0 || (uint32_t)section_id() >= slot_count || !rseq_self_test())
        return;
    if (backend == BACKEND_MM_CID)
        rseq_id_offset = __rseq_offset + RSEQ_MM_CID_AT;
    rseq_backend = backend;
    rseq_active = true;
}

void rseq_fence(int id)
{
    if (rseq_backend == BACKEND_LOCKED)
        return;
    /* A concurrency id does not say which CPU to interrupt. */
    if (rseq_backend == BACKEND_CPU_ID && id >= 0 &&
        membarrier(MEMBARRIER_RSEQ, MEMBARRIER_FLAG_CPU, id) == 0)
        return;
    if (membarrier(MEMBARRIER_RSEQ, 0, 0) != 0) {
        /* It was registered, so it cannot fail; going on would hand items out twice. */
        static const char message[] = "poolwise: membarrier failed after it was registered\n";
        ssize_t ignored = write(STDERR_FILENO, message, sizeof(message) - 1);
        (void)ignored;
        abort();
    }
}

void rseq_init_child(void)
{
    if (rseq_backend != BACKEND_LOCKED)
        membarrier(MEMBARRIER_REGISTER_RSEQ, 0, 0);
}

#else

static void choose(const char *forced)
{
}

void rseq_fence(int id)
{
}

void rseq_init_child(void)
{
}

bool rseq_self_test(void)
{
    return false;
}

#endif

static void init(void)
{
    slot_count = count_possible_cpus();
    if (slot_count > SLOTS_MAX)
        slot_count = SLOTS_MAX;
    else
        choose(secure_getenv("PWISE_BACKEND"));
}

void rseq_init(void)
{
    int saved_errno = errno;
    pthread_once(&once, init);
    errno = saved_errno;
}

const char *pwise_backend(void)
{
    rseq_init();
    switch (rseq_backend) {
    case BACKEND_MM_CID:
        return "rseq-mm_cid";
    case BACKEND_CPU_ID:
        return "rseq-cpu_id";
    default:
        return "locked";
    }
}
