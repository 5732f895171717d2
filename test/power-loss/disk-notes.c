/*
 * Preloaded (LD_PRELOAD) into redis-server, node and the shells between them: notes what a power cut at this moment
 * would leave of the files under one folder. A file keeps the length that it had at its last fsync or fdatasync; a
 * name keeps what it was at the last fsync of its folder. power-cut.ts reads the notes.
 *
 * POWER_LOSS_ROOT     the folder, its real path
 * POWER_LOSS_NOTES    the notes: one line for each event, appended by all programs
 * POWER_LOSS_KEPT     a folder on the same file system: files that lost their last name, and former contents
 * POWER_LOSS_SWITCH   two numbers of 4 bytes, mapped by all: not 0 once the power is off; how many are writing notes
 * POWER_LOSS_SYNC_MS  how slow the disk is: up to so many milliseconds more for each sync
 * POWER_LOSS_AT       the power fails by itself after so many notes of one program
 *
 * Once the power is off no call returns that would change a name or make anything durable. System calls are made
 * directly: a program's allocator may call us before any library is ready.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Out of the way of programs that count on low numbers. */
#define NOTES_FD_MIN 700
#define FORMER_BYTES_MAX (256l << 20)

struct switches {
  atomic_int is_off;
  atomic_int noting;
};

/* A name in a folder that is watched. */
struct place {
  int is_watched;
  ino_t folder;
  char path[PATH_MAX];
  /* What stands there; 0 where nothing does. */
  ino_t file;
  mode_t mode;
  off_t bytes;
};

static struct switches *switches;
static int notes = -1;
static dev_t device;
static char root[PATH_MAX];
static char kept[PATH_MAX];
static long sync_ms;
static long off_at;
static atomic_long noted;
static atomic_uint numbers;

__attribute__((constructor)) static void start(void) {
  const char *folder = getenv("POWER_LOSS_ROOT"), *file = getenv("POWER_LOSS_NOTES"),
             *keep = getenv("POWER_LOSS_KEPT"), *shared = getenv("POWER_LOSS_SWITCH"),
             *slow = getenv("POWER_LOSS_SYNC_MS"), *at = getenv("POWER_LOSS_AT");
  struct stat facts;
  if (!folder || !file || !keep || !shared || stat(folder, &facts) != 0) return;
  int low = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
  int map = syscall(SYS_openat, AT_FDCWD, shared, O_RDWR | O_CLOEXEC, 0);
  if (low < 0 || map < 0) return;
  void *shares = mmap(NULL, sizeof *switches, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
  close(map);
  notes = fcntl(low, F_DUPFD_CLOEXEC, NOTES_FD_MIN);
  close(low);
  if (shares == MAP_FAILED || notes < 0) return;
  snprintf(root, sizeof root, "%s", folder);
  snprintf(kept, sizeof kept, "%s", keep);
  device = facts.st_dev;
  sync_ms = slow ? atol(slow) : 0;
  off_at = at ? atol(at) : 0;
  switches = shares;
}

/* Before a call that matters: from here until `leave` the power stays on, or it is off and this never returns. */
static void enter(void) {
  if (!switches) return;
  atomic_fetch_add(&switches->noting, 1);
  if (!atomic_load(&switches->is_off)) return;
  atomic_fetch_sub(&switches->noting, 1);
  for (;;) pause();
}

static long leave(long result) {
  int error = errno;
  if (!switches) return result;
  atomic_fetch_sub(&switches->noting, 1);
  while (atomic_load(&switches->is_off)) pause();
  errno = error;
  return result;
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...) {
  char line[3 * NAME_MAX];
  va_list values;
  va_start(values, format);
  int bytes = vsnprintf(line, sizeof line, format, values);
  va_end(values);
  /* One write to a file opened for appending: lines of several programs do not mix, and stand in their order. */
  if (bytes >= (int)sizeof line) {
    bytes = sizeof line;
    line[bytes - 1] = '\n';
  }
  if (bytes > 0 && syscall(SYS_write, notes, line, bytes) != bytes) abort();
  if (off_at && atomic_fetch_add(&noted, 1) + 1 == off_at) atomic_store(&switches->is_off, 1);
}

static int read_link(char *path, const char *of) {
  long bytes = syscall(SYS_readlinkat, AT_FDCWD, of, path, PATH_MAX - 1);
  if (bytes < 0) return 0;
  path[bytes] = 0;
  return 1;
}

static struct place locate(int at, const char *path) {
  struct place place = {0};
  char whole[PATH_MAX], folder[PATH_MAX], of[64];
  int error = errno;
  if (!switches || !path) return place;
  if (*path == '/') *folder = 0;
  else {
    if (at == AT_FDCWD) snprintf(of, sizeof of, "/proc/self/cwd");
    else snprintf(of, sizeof of, "/proc/self/fd/%d", at);
    if (!read_link(folder, of)) goto done;
  }
  if (snprintf(whole, sizeof whole, "%s/%s", folder, path) >= (int)sizeof whole) goto done;
  for (size_t end = strlen(whole); end > 1 && whole[end - 1] == '/';) whole[--end] = 0;
  char *slash = strrchr(whole, '/');
  *slash = 0;
  if (!realpath(*whole ? whole : "/", folder)) goto done;
  size_t bytes = strlen(root);
  if (strncmp(folder, root, bytes) != 0 || (folder[bytes] && folder[bytes] != '/')) goto done;
  if (snprintf(place.path, PATH_MAX, "%s/%s", folder, slash + 1) >= PATH_MAX) goto done;
  struct stat facts;
  if (stat(folder, &facts) != 0 || facts.st_dev != device) goto done;
  place.is_watched = 1;
  place.folder = facts.st_ino;
  if (lstat(place.path, &facts) == 0) {
    place.file = facts.st_ino;
    place.mode = facts.st_mode;
    place.bytes = facts.st_size;
  }
done:
  errno = error;
  return place;
}

static const char *name_of(const struct place *place) { return strrchr(place->path, '/') + 1; }

/* A further name, so that what is about to lose its own can come back, and its number is not given to another. */
static void keep(const struct place *place) {
  char path[PATH_MAX + 32];
  if (!place->file || !S_ISREG(place->mode)) return;
  snprintf(path, sizeof path, "%s/%lu", kept, (unsigned long)place->file);
  int error = errno;
  if (syscall(SYS_linkat, AT_FDCWD, place->path, AT_FDCWD, path, 0) != 0 && errno != EEXIST)
    note("unfollowed loses its name: %s\n", name_of(place));
  errno = error;
}

/* What stands in a file before it is written to in place: until the next sync that may come back. */
static void keep_bytes(const struct place *place) {
  char path[PATH_MAX + 64];
  if (!place->file || !S_ISREG(place->mode) || place->bytes == 0) return;
  unsigned number = atomic_fetch_add(&numbers, 1);
  int error = errno, pid = getpid();
  snprintf(path, sizeof path, "%s/%d.%u", kept, pid, number);
  int from = syscall(SYS_openat, AT_FDCWD, place->path, O_RDONLY | O_CLOEXEC, 0);
  int to = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  off_t left = place->bytes;
  long done = 1;
  while (from >= 0 && to >= 0 && left > 0 && left <= FORMER_BYTES_MAX && done > 0) {
    done = sendfile(to, from, NULL, left);
    left -= done > 0 ? done : 0;
  }
  if (from >= 0) close(from);
  if (to >= 0) close(to);
  if (left == 0) note("former %lu %d.%u\n", (unsigned long)place->file, pid, number);
  else note("unfollowed cannot be copied: %s\n", name_of(place));
  errno = error;
}

static struct place before_open(int at, const char *path, int flags) {
  struct place place = {0};
  int changes = flags & (O_CREAT | O_TRUNC), writes = (flags & O_ACCMODE) != O_RDONLY;
  if ((changes || (writes && !(flags & O_APPEND))) && (flags & O_TMPFILE) != O_TMPFILE) {
    place = locate(at, path);
    /* What follows writes of that kind is not built: nobody of ours makes any. */
    if (place.is_watched && writes && (flags & O_DSYNC)) note("unfollowed O_DSYNC: %s\n", name_of(&place));
    if (place.is_watched && writes && (!(flags & O_APPEND) || (flags & O_TRUNC))) keep_bytes(&place);
  }
  return place;
}

static void after_open(const struct place *place) {
  struct stat facts;
  int error = errno;
  if (place->is_watched && !place->file && lstat(place->path, &facts) == 0)
    note("create %lu %lu %s\n", (unsigned long)place->folder, (unsigned long)facts.st_ino, name_of(place));
  errno = error;
}

static int open_noted(int at, const char *path, int flags, mode_t mode) {
  enter();
  struct place place = before_open(at, path, flags);
  int handle = syscall(SYS_openat, at, path, flags, mode);
  if (handle >= 0) after_open(&place);
  return leave(handle);
}

static mode_t mode_from(int flags, va_list values) {
  return flags & (O_CREAT | O_TMPFILE) ? va_arg(values, unsigned) : 0;
}

#define OPEN(NAME)                                  \
  int NAME(const char *path, int flags, ...) {      \
    va_list values;                                 \
    va_start(values, flags);                        \
    mode_t mode = mode_from(flags, values);         \
    va_end(values);                                 \
    return open_noted(AT_FDCWD, path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(NAME)                                   \
  int NAME(int at, const char *path, int flags, ...) { \
    va_list values;                                    \
    va_start(values, flags);                           \
    mode_t mode = mode_from(flags, values);            \
    va_end(values);                                    \
    return open_noted(at, path, flags, mode);          \
  }
OPENAT(openat)
OPENAT(openat64)

int __open_2(const char *path, int flags) { return open_noted(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return open_noted(AT_FDCWD, path, flags, 0); }
int creat(const char *path, mode_t mode) {
  return open_noted(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

static FILE *fopen_noted(const char *symbol, const char *path, const char *mode) {
  FILE *(*real)(const char *, const char *) = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, symbol);
  int flags = *mode == 'w'   ? O_WRONLY | O_CREAT | O_TRUNC
              : *mode == 'a' ? O_WRONLY | O_CREAT | O_APPEND
              : strchr(mode, '+') ? O_RDWR
                                  : O_RDONLY;
  enter();
  struct place place = before_open(AT_FDCWD, path, flags);
  FILE *file = real(path, mode);
  if (file) after_open(&place);
  leave(0);
  return file;
}
FILE *fopen(const char *path, const char *mode) { return fopen_noted("fopen", path, mode); }
FILE *fopen64(const char *path, const char *mode) { return fopen_noted("fopen64", path, mode); }

/* Names that the C library draws. */
static int temp_noted(char *template, int suffix, int flags) {
  int (*real)(char *, int, int) = (int (*)(char *, int, int))dlsym(RTLD_NEXT, "mkostemps");
  enter();
  int handle = real(template, suffix, flags);
  if (handle >= 0) {
    struct place place = locate(AT_FDCWD, template);
    place.file = 0;
    after_open(&place);
  }
  return leave(handle);
}
int mkstemp(char *template) { return temp_noted(template, 0, 0); }
int mkstemp64(char *template) { return temp_noted(template, 0, 0); }
int mkostemp(char *template, int flags) { return temp_noted(template, 0, flags); }
int mkostemp64(char *template, int flags) { return temp_noted(template, 0, flags); }

int mkdirat(int at, const char *path, mode_t mode) {
  enter();
  struct place place = locate(at, path);
  long result = syscall(SYS_mkdirat, at, path, mode);
  if (result == 0) after_open(&place);
  return leave(result);
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
  enter();
  struct place old = locate(from_at, from), new = locate(to_at, to);
  int is_same = old.file && old.file == new.file;
  if (new.is_watched && !is_same) keep(&new);
  long result = syscall(SYS_renameat2, from_at, from, to_at, to, flags);
  if (result == 0 && (old.is_watched || new.is_watched) && !is_same) {
    if (!old.is_watched || !new.is_watched || (flags & RENAME_EXCHANGE))
      note("unfollowed rename: %s\n", from);
    else
      note("rename %lu %lu %lu %lu %s/%s\n", (unsigned long)old.folder, (unsigned long)new.folder,
           (unsigned long)old.file, (unsigned long)new.file, name_of(&old), name_of(&new));
  }
  return leave(result);
}
int renameat(int from_at, const char *from, int to_at, const char *to) {
  return renameat2(from_at, from, to_at, to, 0);
}
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
  enter();
  struct place place = locate(to_at, to);
  long result = syscall(SYS_linkat, from_at, from, to_at, to, flags);
  if (result == 0) after_open(&place);
  return leave(result);
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int symlink(const char *target, const char *path) {
  enter();
  struct place place = locate(AT_FDCWD, path);
  long result = syscall(SYS_symlinkat, target, AT_FDCWD, path);
  if (result == 0) after_open(&place);
  return leave(result);
}

int unlinkat(int at, const char *path, int flags) {
  enter();
  struct place place = locate(at, path);
  if (place.is_watched) keep(&place);
  long result = syscall(SYS_unlinkat, at, path, flags);
  /* A socket, such as a server's, is nothing that anybody expects to find again. */
  if (result == 0 && place.is_watched && (S_ISREG(place.mode) || S_ISDIR(place.mode)))
    note("remove %lu %lu %s\n", (unsigned long)place.folder, (unsigned long)place.file, name_of(&place));
  return leave(result);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
  int result = unlink(path);
  return result != 0 && (errno == EISDIR || errno == EPERM) ? rmdir(path) : result;
}

int truncate(const char *path, off_t bytes) {
  enter();
  struct place place = locate(AT_FDCWD, path);
  if (place.is_watched) keep_bytes(&place);
  return leave(syscall(SYS_truncate, path, bytes));
}
int truncate64(const char *path, off64_t bytes) { return truncate(path, bytes); }

int ftruncate(int handle, off_t bytes) {
  char of[64], path[PATH_MAX];
  enter();
  snprintf(of, sizeof of, "/proc/self/fd/%d", handle);
  if (switches && read_link(path, of)) {
    struct place place = locate(AT_FDCWD, path);
    if (place.is_watched && place.file) keep_bytes(&place);
  }
  return leave(syscall(SYS_ftruncate, handle, bytes));
}
int ftruncate64(int handle, off64_t bytes) { return ftruncate(handle, bytes); }

static void slow_disk(void) {
  if (sync_ms <= 0) return;
  long us = (long)(atomic_fetch_add(&numbers, 1) * 2654435761u >> 8) % (sync_ms * 1000);
  struct timespec pause = {us / 1000000, us % 1000000 * 1000};
  nanosleep(&pause, NULL);
}

static int sync_noted(int handle, long call) {
  struct stat facts;
  enter();
  int is_watched = switches && fstat(handle, &facts) == 0 && facts.st_dev == device;
  int is_folder = is_watched && S_ISDIR(facts.st_mode);
  unsigned number = atomic_fetch_add(&numbers, 1);
  /* What happens in a folder from now on may come too late for this sync; so may bytes that are appended. */
  if (is_folder) note("syncing %lu %d.%u\n", (unsigned long)facts.st_ino, getpid(), number);
  if (is_watched) slow_disk();
  long result = syscall(call, handle);
  if (result == 0 && is_folder) note("synced %lu %d.%u\n", (unsigned long)facts.st_ino, getpid(), number);
  if (result == 0 && is_watched && S_ISREG(facts.st_mode))
    note("sync %lu %ld\n", (unsigned long)facts.st_ino, (long)facts.st_size);
  return leave(result);
}
int fsync(int handle) { return sync_noted(handle, SYS_fsync); }
int fdatasync(int handle) { return sync_noted(handle, SYS_fdatasync); }

/* sync_file_range, sync and syncfs go on unnoted: the first makes nothing durable by its own word (its manual
 * page: no metadata, no disk cache), and of the others nothing is claimed. */
