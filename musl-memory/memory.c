/*
 * memcpy, memmove, memset, memcmp and bcmp of the C standard and POSIX, for static binaries with musl. See src/lib.rs.
 *
 * Copies use unaligned vectors of 16 bytes, which are SSE2 on x86-64. A short copy loads all bytes before it stores any, by loads from
 * both ends that overlap in the middle, so that it is right for overlapping memory too; a long one goes in the direction in which no
 * byte is overwritten before it is loaded. So memcpy and memmove are one function.
 *
 * On arm64 musl's memcpy, memmove and memset are fast, and only the comparison is replaced.
 */
#include <stddef.h>
#include <stdint.h>

typedef uint64_t u64 __attribute__((aligned(1), may_alias));
typedef uint32_t u32 __attribute__((aligned(1), may_alias));
typedef uint16_t u16 __attribute__((aligned(1), may_alias));

#ifdef __x86_64__

typedef char v16 __attribute__((vector_size(16), aligned(1), may_alias));

#define LOAD(type, at) (*(const type *)(at))
#define STORE(type, at, value) (*(type *)(at) = (value))

/* Copies up to 16 bytes. */
static inline void copy_short(char *to, const char *from, size_t count)
{
    if (count >= 8) {
        u64 first = LOAD(u64, from), last = LOAD(u64, from + count - 8);
        STORE(u64, to, first);
        STORE(u64, to + count - 8, last);
    } else if (count >= 4) {
        u32 first = LOAD(u32, from), last = LOAD(u32, from + count - 4);
        STORE(u32, to, first);
        STORE(u32, to + count - 4, last);
    } else if (count >= 2) {
        u16 first = LOAD(u16, from), last = LOAD(u16, from + count - 2);
        STORE(u16, to, first);
        STORE(u16, to + count - 2, last);
    } else if (count == 1) {
        *to = *from;
    }
}

/* Copies more than 128 bytes, from the first to the last. */
static void copy_forward(char *to, const char *from, size_t count)
{
    v16 head = LOAD(v16, from);
    v16 tail0 = LOAD(v16, from + count - 64), tail1 = LOAD(v16, from + count - 48);
    v16 tail2 = LOAD(v16, from + count - 32), tail3 = LOAD(v16, from + count - 16);
    char *end = to + count;
    /* Stores that are aligned do not cross cache lines. */
    size_t skip = 16 - ((uintptr_t)to & 15);
    char *at = to + skip;
    from += skip;
    v16 first = LOAD(v16, from), second = LOAD(v16, from + 16), third = LOAD(v16, from + 32), fourth = LOAD(v16, from + 48);
    STORE(v16, to, head);
    while (end - at > 128) {
        STORE(v16, at, first);
        STORE(v16, at + 16, second);
        STORE(v16, at + 32, third);
        STORE(v16, at + 48, fourth);
        at += 64;
        from += 64;
        first = LOAD(v16, from);
        second = LOAD(v16, from + 16);
        third = LOAD(v16, from + 32);
        fourth = LOAD(v16, from + 48);
    }
    STORE(v16, at, first);
    STORE(v16, at + 16, second);
    STORE(v16, at + 32, third);
    STORE(v16, at + 48, fourth);
    STORE(v16, end - 64, tail0);
    STORE(v16, end - 48, tail1);
    STORE(v16, end - 32, tail2);
    STORE(v16, end - 16, tail3);
}

/* Copies more than 128 bytes, from the last to the first. */
static void copy_backward(char *to, const char *from, size_t count)
{
    v16 head0 = LOAD(v16, from), head1 = LOAD(v16, from + 16);
    v16 head2 = LOAD(v16, from + 32), head3 = LOAD(v16, from + 48);
    size_t left = count;
    while (left > 64) {
        v16 first = LOAD(v16, from + left - 16), second = LOAD(v16, from + left - 32);
        v16 third = LOAD(v16, from + left - 48), fourth = LOAD(v16, from + left - 64);
        STORE(v16, to + left - 16, first);
        STORE(v16, to + left - 32, second);
        STORE(v16, to + left - 48, third);
        STORE(v16, to + left - 64, fourth);
        left -= 64;
    }
    STORE(v16, to, head0);
    STORE(v16, to + 16, head1);
    STORE(v16, to + 32, head2);
    STORE(v16, to + 48, head3);
}

void *memmove(void *destination, const void *source, size_t count)
{
    char *to = destination;
    const char *from = source;
    if (count <= 16) {
        copy_short(to, from, count);
    } else if (count <= 32) {
        v16 first = LOAD(v16, from), last = LOAD(v16, from + count - 16);
        STORE(v16, to, first);
        STORE(v16, to + count - 16, last);
    } else if (count <= 64) {
        v16 first = LOAD(v16, from), second = LOAD(v16, from + 16);
        v16 third = LOAD(v16, from + count - 32), last = LOAD(v16, from + count - 16);
        STORE(v16, to, first);
        STORE(v16, to + 16, second);
        STORE(v16, to + count - 32, third);
        STORE(v16, to + count - 16, last);
    } else if (count <= 128) {
        v16 head0 = LOAD(v16, from), head1 = LOAD(v16, from + 16);
        v16 head2 = LOAD(v16, from + 32), head3 = LOAD(v16, from + 48);
        v16 tail0 = LOAD(v16, from + count - 64), tail1 = LOAD(v16, from + count - 48);
        v16 tail2 = LOAD(v16, from + count - 32), tail3 = LOAD(v16, from + count - 16);
        STORE(v16, to, head0);
        STORE(v16, to + 16, head1);
        STORE(v16, to + 32, head2);
        STORE(v16, to + 48, head3);
        STORE(v16, to + count - 64, tail0);
        STORE(v16, to + count - 48, tail1);
        STORE(v16, to + count - 32, tail2);
        STORE(v16, to + count - 16, tail3);
    } else if ((uintptr_t)to - (uintptr_t)from < count) {
        /* The destination begins inside of the source. */
        copy_backward(to, from, count);
    } else {
        copy_forward(to, from, count);
    }
    return destination;
}

void *memcpy(void *restrict destination, const void *restrict source, size_t count) __attribute__((alias("memmove")));

void *memset(void *destination, int value, size_t count)
{
    char *to = destination;
    uint64_t word = (uint8_t)value * 0x0101010101010101u;
    if (count < 16) {
        if (count >= 8) {
            STORE(u64, to, word);
            STORE(u64, to + count - 8, word);
        } else if (count >= 4) {
            STORE(u32, to, (uint32_t)word);
            STORE(u32, to + count - 4, (uint32_t)word);
        } else if (count >= 2) {
            STORE(u16, to, (uint16_t)word);
            STORE(u16, to + count - 2, (uint16_t)word);
        } else if (count == 1) {
            *to = (char)value;
        }
        return destination;
    }
    char byte = (char)value;
    v16 bytes = {byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte};
    char *last = to + count - 16;
    STORE(v16, to, bytes);
    for (char *at = to + 16 - ((uintptr_t)to & 15); at < last; at += 16)
        STORE(v16, at, bytes);
    STORE(v16, last, bytes);
    return destination;
}

#endif

/* The order of two words that differ, by their first byte in memory that does: both architectures are little-endian. */
static inline int order(uint64_t one, uint64_t other)
{
    return __builtin_bswap64(one) < __builtin_bswap64(other) ? -1 : 1;
}

int memcmp(const void *left, const void *right, size_t count)
{
    const unsigned char *one = left, *other = right;
    size_t at = 0;
    for (; count - at >= 8; at += 8) {
        uint64_t a = *(const u64 *)(one + at), b = *(const u64 *)(other + at);
        if (a != b)
            return order(a, b);
    }
    if (at == count)
        return 0;
    if (count >= 8) {
        /* The last word overlaps the one before, which is equal. */
        uint64_t a = *(const u64 *)(one + count - 8), b = *(const u64 *)(other + count - 8);
        return a == b ? 0 : order(a, b);
    }
    if (count - at >= 4) {
        uint64_t a = *(const u32 *)(one + at), b = *(const u32 *)(other + at);
        if (a != b)
            return order(a, b);
        at += 4;
    }
    for (; at < count; at++)
        if (one[at] != other[at])
            return one[at] < other[at] ? -1 : 1;
    return 0;
}

int bcmp(const void *left, const void *right, size_t count) __attribute__((alias("memcmp")));
