/*
 * Preloaded into the service (LD_PRELOAD): counts, traces, tears and refuses its calls on files, and kills it at one of them. Knows
 * only the functions of libc that the service and SQLite use for the disk and the network.
 *
 *   FAULTS_UNDER  directory: only calls on its files count, except SQLite's -shm files, which are never durable
 *   FAULTS_TRACE  file to which every call is appended with its result, and the sent bytes; empty: no trace
 *   FAULTS_PLAN   kill N                     kills the process before the N-th call
 *                 tear N                     kills the process in the N-th call: half of a write is done, any other call as a whole
 *                 fail KINDS FROM TO ERRNO   refuses calls of these kinds, from the FROM-th of them to before the TO-th;
 *                                            the first, if it is a write, writes half
 *
 * Kinds of calls: o open for writing, w write, t truncate, s sync, u unlink, m create a directory. In the trace also: c an open that
 * created the file, f a sync that failed, x any other call that failed, n bytes for a socket, which do not count as a call.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* The function of libc that is intercepted. */
#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

enum verdict { DO, HALF, DIE, HALF_AND_DIE, REFUSE };

static struct {
    const char *under;
    int trace;
    char plan[8];
    char kinds[8];
    unsigned long from, to;
    int error;
    unsigned long calls;
} faults = { .trace = -1 };

/* Held from the decision on a call to its trace, so that the trace has the order in which calls took effect. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void set_up(void) {
    const char *plan = getenv("FAULTS_PLAN"), *trace = getenv("FAULTS_TRACE");
    faults.under = getenv("FAULTS_UNDER");
    if (plan && sscanf(plan, "fail %7s %lu %lu %d", faults.kinds, &faults.from, &faults.to, &faults.error) == 4)
        strcpy(faults.plan, "fail");
    else if (plan)
        sscanf(plan, "%7s %lu", faults.plan, &faults.from);
    if (trace && *trace) {
        /* Much greater than the descriptors of the program. */
        int fd = open(trace, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        faults.trace = fcntl(fd, F_DUPFD_CLOEXEC, 500);
        close(fd);
    }
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Whether calls on the path count. */
static int counts(const char *path) {
    if (!faults.under) return 0;
    size_t length = strlen(faults.under), all = strlen(path);
    if (strncmp(path, faults.under, length) || (path[length] && path[length] != '/')) return 0;
    return all < 4 || strcmp(path + all - 4, "-shm");
}

/* The path of an open file, if calls on it count. */
static int path_of(int fd, char path[PATH_MAX]) {
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return counts(path);
}

/* The same for a path argument. */
static int absolute(const char *given, char path[PATH_MAX]) {
    char here[PATH_MAX];
    if (*given == '/') snprintf(path, PATH_MAX, "%s", given);
    else if (!getcwd(here, sizeof here) || snprintf(path, PATH_MAX, "%s/%s", here, given) >= PATH_MAX) return 0;
    return counts(path);
}

static void record(char kind, uint64_t number, const char *path, const void *bytes, size_t length) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    if (faults.trace < 0) return;
    uint32_t lengths[2] = { strlen(path), length };
    struct iovec parts[] = {
        { &kind, 1 }, { &number, sizeof number }, { lengths, sizeof lengths }, { (void *)path, lengths[0] }, { (void *)bytes, length },
    };
    size_t whole = 1 + sizeof number + sizeof lengths + lengths[0] + length;
    if (real(faults.trace, parts, 5) != (ssize_t)whole) die();
}

/* Decides on a call; `lock` is held. */
static enum verdict judge(char kind) {
    if (!strcmp(faults.plan, "fail")) {
        if (!strchr(faults.kinds, kind)) return DO;
        unsigned long call = ++faults.calls;
        if (call < faults.from || call >= faults.to) return DO;
        errno = faults.error;
        return call == faults.from && kind == 'w' ? HALF : REFUSE;
    }
    if (!*faults.plan || ++faults.calls != faults.from) return DO;
    if (!strcmp(faults.plan, "tear")) return HALF_AND_DIE;
    return DIE;
}

/* A call that is executed or refused: `done` executes it and returns a negative number on failure. */
#define CALL(kind, recorded, number, path, done) \
    ({ \
        pthread_mutex_lock(&lock); \
        enum verdict verdict = judge(kind); \
        if (verdict == DIE) die(); \
        int result = verdict == REFUSE ? -1 : (done); \
        int error = errno; \
        record(result >= 0 ? recorded : kind == 's' ? 'f' : 'x', number, path, NULL, 0); \
        if (verdict == HALF_AND_DIE) die(); \
        pthread_mutex_unlock(&lock); \
        errno = error; \
        result; \
    })

/* A write at an offset; `append`: at the end of the file. */
static ssize_t write_at(int fd, const char *path, const void *bytes, size_t length, off_t offset, int append) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
    pthread_mutex_lock(&lock);
    enum verdict verdict = judge('w');
    if (verdict == DIE) die();
    if ((verdict == HALF || verdict == HALF_AND_DIE) && length > 1) length /= 2;
    else if (verdict == HALF) verdict = REFUSE;
    struct stat at;
    if (append && !fstat(fd, &at)) offset = at.st_size;
    ssize_t written = verdict == REFUSE ? -1 : real(fd, bytes, length, offset);
    int error = errno;
    record(written < 0 ? 'x' : 'w', offset, path, bytes, written < 0 ? 0 : written);
    if (verdict == HALF_AND_DIE) die();
    pthread_mutex_unlock(&lock);
    errno = error;
    return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
    char path[PATH_MAX];
    return path_of(fd, path) ? write_at(fd, path, bytes, length, offset, 0) : real(fd, bytes, length, offset);
}

/* Used for appended files only. */
ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(ssize_t, "write", int, const void *, size_t);
    char path[PATH_MAX];
    return path_of(fd, path) ? write_at(fd, path, bytes, length, 0, 1) : real(fd, bytes, length);
}

/* The first part only: callers continue with the rest. */
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    char path[PATH_MAX];
    if (!path_of(fd, path) || count < 1) return real(fd, parts, count);
    return write_at(fd, path, parts[0].iov_base, parts[0].iov_len, 0, 1);
}

int ftruncate64(int fd, off_t length) {
    REAL(int, "ftruncate64", int, off_t);
    char path[PATH_MAX];
    return path_of(fd, path) ? CALL('t', 't', length, path, real(fd, length)) : real(fd, length);
}

int fsync(int fd) {
    REAL(int, "fsync", int);
    char path[PATH_MAX];
    return path_of(fd, path) ? CALL('s', 's', 0, path, real(fd)) : real(fd);
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    char path[PATH_MAX];
    return path_of(fd, path) ? CALL('s', 's', 0, path, real(fd)) : real(fd);
}

int unlink(const char *given) {
    REAL(int, "unlink", const char *);
    char path[PATH_MAX];
    return absolute(given, path) ? CALL('u', 'u', 0, path, real(given)) : real(given);
}

int mkdir(const char *given, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    char path[PATH_MAX];
    return absolute(given, path) ? CALL('m', 'm', 0, path, real(given, mode)) : real(given, mode);
}

int open64(const char *given, int flags, ...) {
    REAL(int, "open64", const char *, int, ...);
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    char path[PATH_MAX];
    if ((flags & O_ACCMODE) == O_RDONLY || !absolute(given, path)) return real(given, flags, mode);
    char recorded = flags & O_CREAT && access(path, F_OK) ? 'c' : 'o';
    return CALL('o', recorded, 0, path, real(given, flags, mode));
}

/* The same, by the name that SQLite calls. */
int open(const char *given, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open64(given, flags, mode);
}

/* Before the bytes are sent: unsynced data is not durable at the moment when the peer receives them. */
ssize_t send(int fd, const void *bytes, size_t length, int flags) {
    REAL(ssize_t, "send", int, const void *, size_t, int);
    pthread_mutex_lock(&lock);
    record('n', fd, "", bytes, length);
    pthread_mutex_unlock(&lock);
    return real(fd, bytes, length, flags);
}
