#include "eviction/csrc/trace_text.h"

static int is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

uint64_t evi_text_hash(const char *word, size_t n) {
    uint64_t h = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)word[i]) * UINT64_C(0x100000001B3);
    h = (h ^ h >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    h = (h ^ h >> 27) * UINT64_C(0x94D049BB133111EB);
    return h ^ h >> 31;
}

static uint32_t number(const char *text, size_t begin, size_t end, uint64_t *out) { /* 0, or why not */
    uint64_t value = 0;
    if (begin == end) return TEXT_NUMBER;
    for (size_t i = begin; i < end; i++) {
        const unsigned digit = (unsigned char)text[i] - '0';
        if (digit > 9) return TEXT_NUMBER;
        if (value > (UINT64_MAX - digit) / 10) { /* too large, if it is a number at all */
            for (; i < end; i++)
                if ((unsigned)((unsigned char)text[i] - '0') > 9) return TEXT_NUMBER;
            return TEXT_LARGE;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return 0;
}

/* One line without its end; 1 done, 0 refused. */
static int row(const char *text, size_t begin, size_t end, const evi_text_form *form, uint64_t *out, evi_text_place *place) {
    uint32_t cell = 0, next = 0;
    for (size_t i = begin;; cell++) {
        size_t stop = i;
        while (stop < end && (form->separator ? (unsigned char)text[stop] != form->separator : !is_blank(text[stop]))) stop++;
        if (next < form->columns && form->column[next] == cell) {
            size_t from = i, to = stop;
            while (from < to && is_blank(text[from])) from++;
            while (to > from && is_blank(text[to - 1])) to--;
            if (form->is_word[next])
                out[next] = evi_text_hash(text + from, to - from);
            else if ((place->why = number(text, from, to, &out[next])))
                return place->begin = from, place->end = to, place->column = next, 0;
            next++;
        }
        if (!form->separator)
            while (stop < end && is_blank(text[stop])) stop++;
        if (stop == end) break;
        i = form->separator ? stop + 1 : stop;
    }
    place->cells = cell + 1;
    if (place->cells == form->width) return 1;
    place->why = TEXT_WIDTH;
    place->begin = begin;
    place->end = end;
    return 0;
}

int64_t evi_text_rows(const char *text, size_t n, const evi_text_form *form, uint64_t *out, evi_text_place *place) {
    int64_t rows = 0;
    place->line = 0;
    for (size_t i = 0; i < n; place->line++) {
        size_t end = i, last;
        while (end < n && text[end] != '\n') end++;
        last = end;
        while (i < last && is_blank(text[i])) i++;
        while (last > i && is_blank(text[last - 1])) last--;
        const int skipped = i == last || (form->flags & TEXT_STARS && last - i == 1 && text[i] == '*');
        if (!skipped && !row(text, i, last, form, out + rows++ * form->columns, place)) return -1;
        i = end + 1;
    }
    return rows;
}
