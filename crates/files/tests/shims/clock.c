/* A clock of the day that jumps by up to 63 years whenever it is read. The monotonic clock, which
   the system never sets, is the true one. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long jump(void) {
    static unsigned reads;
    unsigned drawn = __atomic_add_fetch(&reads, 1, __ATOMIC_RELAXED) * 2654435761u;
    return (long)(drawn % 4000000000u) - 2000000000L;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += jump();
    }
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int failed = syscall(SYS_gettimeofday, now, zone);
    if (!failed) {
        now->tv_sec += jump();
    }
    return failed;
}

time_t time(time_t *now) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (now) {
        *now = found.tv_sec;
    }
    return found.tv_sec;
}
