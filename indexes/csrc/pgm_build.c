/* pgm_build.c: makes a PGM-index: the fewest lines within the bound, level by level.
 *
 * O'Rourke's algorithm: a line is right when it is above every point lowered by epsilon (floor) and below every point raised by it (ceiling).
 * Kept are the steepest and the flattest line that are; a new point narrows them, or, when it lies outside of both, begins the next line.
 *
 *        ceiling        /  steepest: through a floor point on the left and a ceiling point on the right
 *      .  .   .   .    /.
 *             .       / _ _  flattest: the other way round
 *      .   .     . _ /- .    floor
 */
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/pgm_format.h"
#include <math.h>
#include <stdlib.h>

enum { LEVEL_EPSILON = 4 };

typedef struct point {
    uint64_t x;
    int64_t y;
} point;

typedef struct output {
    uint8_t *at;
    size_t n, cap;
} output;

/* The points of a level: of the array, each key once, with its rank; or of the lines below, with their numbers. */
typedef struct source {
    const uint64_t *keys; /* NULL: lines */
    const output *lines; /* from byte lines_at on */
    size_t lines_at, n, at;
    int has_extra; /* behind a key that repeats, its successor's rank is a point of its own, so that keys between it and the next are right */
    point extra;
} source;

static int next_point(source *s, point *p) {
    if (s->has_extra) {
        s->has_extra = 0;
        *p = s->extra;
        return 1;
    }
    if (s->at == s->n) return 0;
    const size_t first = s->at++;
    *p = (point){s->keys ? s->keys[first] : idx_load64(s->lines->at + s->lines_at + first * PGM_LINE), (int64_t)first};
    if (!s->keys) return 1;
    while (s->at < s->n && s->keys[s->at] == p->x) s->at++;
    s->has_extra = s->at - first > 1 && p->x != UINT64_MAX && (s->at == s->n || s->keys[s->at] != p->x + 1);
    s->extra = (point){p->x + 1, (int64_t)s->at};
    return 1;
}

/* A chain of points of which none lies inside; those before first cannot be touched any more. */
typedef struct chain {
    point *at;
    size_t n, cap, first;
} chain;

typedef struct fit {
    int64_t epsilon;
    chain floor, ceiling;
    point steep[2], flat[2]; /* left and right point of the two lines */
} fit;

/* Positive when c is above the line through a and b; a.x < b.x <= c.x or a.x < c.x. */
static __int128 above(point a, point b, point c) { return (__int128)(c.y - a.y) * (b.x - a.x) - (__int128)(b.y - a.y) * (c.x - a.x); }

/* Appends p; sign 1: to the lower side of the ceiling, -1: to the upper side of the floor. */
static int extend(chain *c, point p, int sign) {
    while (c->n >= c->first + 2 && above(c->at[c->n - 2], c->at[c->n - 1], p) * sign <= 0) c->n--;
    if (c->n == c->cap) {
        const size_t cap = c->cap ? c->cap * 2 : 64;
        point *more = realloc(c->at, cap * sizeof *more);
        if (!more) return -1;
        c->at = more;
        c->cap = cap;
    }
    c->at[c->n++] = p;
    return 0;
}

/* The point of the chain whose line to p leaves the whole chain on one side; what lies before it is done with. */
static point touch(chain *c, point p, int sign) {
    size_t i = c->first;
    while (i + 1 < c->n && above(c->at[i], p, c->at[i + 1]) * sign >= 0) i++;
    c->first = i;
    return c->at[i];
}

/* 1: a line through all so far and p is there; 0: none; -1: out of memory. */
static int take(fit *f, point p, size_t have) {
    const point up = {p.x, p.y + f->epsilon}, down = {p.x, p.y - f->epsilon};
    if (have < 2) {
        if (have == 0) f->floor.n = f->floor.first = f->ceiling.n = f->ceiling.first = 0;
        f->steep[have] = have ? up : down;
        f->flat[have] = have ? down : up;
        return extend(&f->floor, down, -1) || extend(&f->ceiling, up, 1) ? -1 : 1;
    }
    if (above(f->flat[0], f->flat[1], up) < 0 || above(f->steep[0], f->steep[1], down) > 0) return 0;
    const int lower = above(f->steep[0], f->steep[1], up) < 0, higher = above(f->flat[0], f->flat[1], down) > 0;
    if (lower) {
        f->steep[0] = touch(&f->floor, up, 1);
        f->steep[1] = up;
    }
    if (higher) {
        f->flat[0] = touch(&f->ceiling, down, -1);
        f->flat[1] = down;
    }
    if (lower && extend(&f->ceiling, up, 1)) return -1;
    return higher && extend(&f->floor, down, -1) ? -1 : 1;
}

static double slope_of(const point line[2]) { return (double)(line[1].y - line[0].y) / (double)(line[1].x - line[0].x); }

/* A slope as a whole number of at most 32 bits over a power of two. */
static void whole(double slope, uint32_t *number, uint32_t *shift) {
    int exponent;
    const double half = frexp(slope, &exponent); /* 0, or slope = half * 2^exponent with half in [0.5, 1) */
    *number = *shift = 0;
    if (!(half > 0) || exponent <= -(PGM_MAX_SHIFT - 32)) return;
    *shift = exponent < 32 ? (uint32_t)(32 - exponent) : 0;
    *number = exponent <= 32 ? (uint32_t)ldexp(half, 32) : UINT32_MAX;
}

/* Writes the line of `count` points from s on; what it is really off by, rounding included, enters *error. */
static void write_line(const fit *f, source s, size_t count, uint8_t *line, uint32_t *error) {
    uint32_t number = 0, shift = 0;
    if (count > 1) whole((slope_of(f->steep) + slope_of(f->flat)) / 2, &number, &shift);
    int64_t least = INT64_MAX, most = INT64_MIN;
    uint64_t first = 0;
    point p;
    for (size_t i = 0; i < count; i++) {
        next_point(&s, &p); /* there are so many */
        if (i == 0) first = p.x;
        const int64_t off = p.y - (int64_t)((unsigned __int128)(p.x - first) * number >> shift);
        if (off < least) least = off;
        if (off > most) most = off;
    }
    const int64_t middle = least + (most - least) / 2;
    if (most - middle > *error) *error = (uint32_t)(most - middle);
    idx_store64(line, first);
    idx_store64(line + 8, (uint64_t)middle);
    idx_store32(line + 16, number);
    idx_store32(line + 20, shift);
}

static uint8_t *new_line(output *out) {
    if (out->n + PGM_LINE > out->cap) {
        const size_t cap = out->cap * 2 + 64 * PGM_LINE;
        uint8_t *more = realloc(out->at, cap);
        if (!more) return NULL;
        out->at = more;
        out->cap = cap;
    }
    out->n += PGM_LINE;
    return out->at + out->n - PGM_LINE;
}

/* Appends the lines over the points of s. Returns how many, 0: out of memory. */
static size_t fit_level(fit *f, source s, output *out, uint32_t *error) {
    size_t lines = 0;
    source begin = s; /* where the line under way began */
    point p;
    int more = next_point(&s, &p);
    while (more) {
        size_t count = 0;
        source here = begin; /* its next point is p */
        int took = 1;
        while (more && (took = take(f, p, count)) == 1) {
            count++;
            here = s;
            more = next_point(&s, &p);
        }
        uint8_t *line = took < 0 ? NULL : new_line(out);
        if (!line) return 0;
        write_line(f, begin, count, line, error);
        begin = here;
        lines++;
    }
    return lines;
}

static int fit_all(idx_pgm *p, const uint64_t *keys, output *out) {
    fit f = {.epsilon = p->epsilon};
    source s = {.keys = keys, .n = p->n};
    int status = 0;
    while (status == 0 && p->n && !(p->levels && p->lines[p->levels - 1] == 1)) {
        const size_t at = out->n, lines = p->levels == PGM_LEVELS ? 0 : fit_level(&f, s, out, p->levels ? &p->level_error : &p->error);
        if (lines)
            p->lines[p->levels++] = lines;
        else
            status = -1;
        f.epsilon = LEVEL_EPSILON;
        s = (source){.lines = out, .lines_at = at, .n = lines};
    }
    free(f.floor.at);
    free(f.ceiling.at);
    return status;
}

static int assemble(idx_pgm *p, const output *out) {
    const size_t head = PGM_HEADER + 8 * (size_t)p->levels;
    uint8_t *b = calloc(1, head + out->n);
    if (!b) return -1;
    b[0] = PGM_KIND, b[1] = PGM_VERSION, b[2] = (uint8_t)p->levels;
    idx_store32(b + 4, p->epsilon);
    idx_store32(b + 8, p->error);
    idx_store32(b + 12, p->level_error);
    idx_store64(b + 16, p->n);
    idx_store64(b + 24, out->n / PGM_LINE);
    for (uint32_t i = 0; i < p->levels; i++) idx_store64(b + PGM_HEADER + 8 * i, p->lines[i]);
    if (out->n) memcpy(b + head, out->at, out->n);
    if (idx_pgm_header(p, b, head + out->n)) {
        free(b);
        return -1;
    }
    p->own = b;
    return 0;
}

idx_pgm *idx_pgm_build(const uint64_t *keys, size_t n, uint32_t epsilon) {
    idx_pgm *p = calloc(1, sizeof *p);
    output out = {0};
    if (!p) return NULL;
    p->n = n;
    p->epsilon = epsilon;
    if (n > PGM_MOST || fit_all(p, keys, &out) || assemble(p, &out)) {
        free(p);
        p = NULL;
    }
    free(out.at);
    return p;
}
