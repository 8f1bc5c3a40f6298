/* A file system without locks: ENOLCK on NFS without a lock service, ENOTSUP and ENOSYS on
   others. */
#include <errno.h>

#ifndef REASON
#define REASON ENOLCK
#endif

int flock(int file, int operation) {
    (void)file, (void)operation;
    errno = REASON;
    return -1;
}
