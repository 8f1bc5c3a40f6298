/* A file system that grants every lock to everyone. */
int flock(int file, int operation) {
    (void)file, (void)operation;
    return 0;
}
