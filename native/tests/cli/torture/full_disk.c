/* A disk that is full after FULL_DISK_AFTER bytes: writes to regular files then fail with ENOSPC, the last
 * one that has room for a part writes that part. FULL_DISK_COUNT names a file that is told at the end how
 * many bytes were written. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static long long written;

static long long limit(void) {
  const char *text = getenv("FULL_DISK_AFTER");
  return text ? atoll(text) : -1;
}

/* How many of `size` bytes fit; -1 where the disk is full. */
static ssize_t room(int file, size_t size) {
  struct stat status;
  long long end = limit(), before;
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return (ssize_t)size;
  before = __atomic_fetch_add(&written, (long long)size, __ATOMIC_SEQ_CST);
  if (end < 0 || before + (long long)size <= end) return (ssize_t)size;
  if (before >= end) {
    errno = ENOSPC;
    return size == 0 ? 0 : -1;
  }
  return (ssize_t)(end - before);
}

ssize_t write(int file, const void *bytes, size_t size) {
  static ssize_t (*next)(int, const void *, size_t);
  ssize_t fits = room(file, size);
  if (!next) next = dlsym(RTLD_NEXT, "write");
  return fits < 0 ? -1 : next(file, bytes, (size_t)fits);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
  /* One part after the other: callers take a short count. */
  for (int i = 0; i < count; i++)
    if (parts[i].iov_len) return write(file, parts[i].iov_base, parts[i].iov_len);
  return 0;
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t at) {
  static ssize_t (*next)(int, const void *, size_t, off64_t);
  ssize_t fits = room(file, size);
  if (!next) next = dlsym(RTLD_NEXT, "pwrite64");
  return fits < 0 ? -1 : next(file, bytes, (size_t)fits, at);
}

/* Copies within the kernel: std::fs::copy falls back to reading and writing. */
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
  (void)in, (void)from, (void)out, (void)to, (void)size, (void)flags;
  errno = ENOSYS;
  return -1;
}

__attribute__((destructor)) static void tell(void) {
  const char *path = getenv("FULL_DISK_COUNT");
  FILE *file = path ? fopen(path, "w") : NULL;
  if (file) {
    fprintf(file, "%lld\n", written);
    fclose(file);
  }
}
