/* The firmware's number printing.
**
** LuatOS formats with a small embedded printf instead of newlib's; its visible
** habits (docs/firmware-facts.md, "Numbers as text") are reproduced here:
** doubles are split with powers of ten instead of exact decimal arithmetic,
** %g never strips zeros and turns to exponent form below 1e-4 and from 1e6 on,
** %p is eight upper-case digits without 0x, %a does not exist.
*/
#include "glue.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

enum { LEFT = 1, PLUS = 2, SPACE = 4, ALT = 8, ZERO = 16, PRECISE = 32, UPPER = 64 };

typedef struct sink {
  char *out;
  size_t size, len;
} sink;

static void put(sink *s, char c) {
  if (s->len + 1 < s->size) s->out[s->len] = c;
  s->len++;
}

static void fill(sink *s, char c, int n) {
  while (n-- > 0) put(s, c);
}

/* Emits `sign`, `zeros` zeros and `body`, padded with spaces to `width`. */
static void field(sink *s, const char *sign, int zeros, const char *body, int len,
                  int width, int flags) {
  int used = (int)strlen(sign) + zeros + len;
  if (!(flags & LEFT)) fill(s, ' ', width - used);
  while (*sign) put(s, *sign++);
  fill(s, '0', zeros);
  while (len-- > 0) put(s, *body++);
  if (flags & LEFT) fill(s, ' ', width - used);
}

static const char *sign_of(int negative, int flags) {
  if (negative) return "-";
  if (flags & PLUS) return "+";
  return flags & SPACE ? " " : "";
}

static void integer(sink *s, uint64_t value, int negative, unsigned base, int precision,
                    int width, int flags) {
  char text[32];
  char prefix[4] = "";
  int at = sizeof text, zeros, len;
  const char *digits = flags & UPPER ? "0123456789ABCDEF" : "0123456789abcdef";
  int nonzero = value != 0;
  if (nonzero || !(flags & PRECISE) || precision > 0) {
    do {
      text[--at] = digits[value % base];
      value /= base;
    } while (value);
  }
  len = (int)sizeof text - at;
  strcpy(prefix, sign_of(negative, flags));
  if ((flags & ALT) && nonzero && base != 10) {
    strcat(prefix, base == 8 ? "0" : flags & UPPER ? "0X" : "0x");
  }
  /* Left-aligned numbers get no zeros from their precision. */
  zeros = precision > len && (flags & PRECISE) && !(flags & LEFT) ? precision - len : 0;
  if ((flags & ZERO) && !(flags & (LEFT | PRECISE))) {
    int room = width - (int)strlen(prefix) - len;
    if (room > 0) zeros = room;
  }
  field(s, prefix, zeros, text + at, len, width, flags);
}

/* inf and nan; returns 0 for a finite value. */
static int not_finite(sink *s, double v, int width, int flags) {
  if (v != v) {
    field(s, "", 0, "nan", 3, width, flags & LEFT);
  } else if (v > 1.7976931348623157e308) {
    field(s, flags & PLUS ? "+" : "", 0, "inf", 3, width, flags & LEFT);
  } else if (v < -1.7976931348623157e308) {
    field(s, "-", 0, "inf", 3, width, flags & LEFT);
  } else {
    return 0;
  }
  return 1;
}

static void exponent(sink *s, double value, int precision, int width, int flags, int general);

/* Fixed notation; the fraction has at most nine computed digits and the whole
** number must fit an int, hence the switch to exponents beyond 1e9. */
static void fixed(sink *s, double value, int precision, int width, int flags) {
  static const double power[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
  char text[32];
  int at = sizeof text, negative = value < 0, whole, zeros = 0, len;
  if (not_finite(s, value, width, flags)) return;
  if (value > 1e9 || value < -1e9) {
    exponent(s, value, precision, width, flags, 0);
    return;
  }
  if (negative) value = -value;
  if (!(flags & PRECISE)) precision = 6;
  /* The buffer of 32 may fill up with zeros; then nothing else fits. */
  for (; precision > 9 && at > 0; precision--) text[--at] = '0';
  if (precision > 9) precision = 9;
  whole = (int)value;
  if (precision == 0) {
    double rest = value - whole;
    if (!(rest < 0.5) && (rest > 0.5 || (whole & 1))) whole++;
  } else {
    double scaled = (value - whole) * power[precision];
    uint32_t fraction = (uint32_t)scaled;
    double rest = scaled - fraction;
    int i;
    if (rest > 0.5) {
      if (++fraction >= power[precision]) {
        fraction = 0;
        whole++;
      }
    } else if (rest == 0.5 && (fraction == 0 || (fraction & 1))) {
      fraction++;
    }
    for (i = 0; i < precision && at > 0; i++, fraction /= 10) text[--at] = (char)('0' + fraction % 10);
    if (at > 0) text[--at] = '.';
  }
  do {
    if (at > 0) text[--at] = (char)('0' + whole % 10);
    whole /= 10;
  } while (whole);
  len = (int)sizeof text - at;
  if ((flags & ZERO) && !(flags & LEFT)) {
    zeros = width - len - (negative || (flags & (PLUS | SPACE)) ? 1 : 0);
    if (zeros > 31 - len) zeros = 31 - len;
    if (zeros < 0) zeros = 0;
  }
  field(s, at > 0 ? sign_of(negative, flags) : "", zeros, text + at, len, width, flags);
}

/* The decimal exponent, estimated from the binary one and corrected once by a
** short series for 10^e. The estimate is what makes 100.0 print one digit more
** and 0.0 print e-308. `*scale` becomes 10^exponent. */
static int decimal_exponent(double value, double *scale) {
  union { uint64_t bits; double value; } u;
  int exp2, exp10;
  double z, z2;
  u.value = value;
  exp2 = (int)((u.bits >> 52) & 0x7ff) - 1023;
  u.bits = (u.bits & ((1ull << 52) - 1)) | (1023ull << 52);
  exp10 = (int)(0.1760912590558 + exp2 * 0.301029995663981 + (u.value - 1.5) * 0.289529654602168);
  exp2 = (int)(exp10 * 3.321928094887362 + 0.5);
  z = exp10 * 2.302585092994046 - exp2 * 0.6931471805599453;
  z2 = z * z;
  u.bits = (uint64_t)(exp2 + 1023) << 52;
  u.value *= 1 + 2 * z / (2 - z + (z2 / (6 + (z2 / (10 + z2 / 14)))));
  if (value < u.value) {
    exp10--;
    u.value /= 10;
  }
  *scale = u.value;
  return exp10;
}

static void exponent(sink *s, double value, int precision, int width, int flags, int general) {
  int negative = value < 0, exp10, tail, room;
  double scale, magnitude = negative ? -value : value;
  size_t start = s->len;
  if (not_finite(s, value, width, flags)) return;
  if (!(flags & PRECISE)) precision = 6;
  exp10 = decimal_exponent(magnitude, &scale);
  tail = exp10 < 100 && exp10 > -100 ? 4 : 5;
  if (general) {
    if (magnitude >= 1e-4 && magnitude < 1e6) {
      precision = precision > exp10 ? precision - exp10 - 1 : 0;
      flags |= PRECISE;
      tail = 0;
      exp10 = 0;
    } else if (precision > 0 && (flags & PRECISE)) {
      precision--;
    }
  }
  room = width > tail ? width - tail : 0;
  if ((flags & LEFT) && tail) room = 0;
  if (exp10) magnitude /= scale;
  fixed(s, negative ? -magnitude : magnitude, precision, room, flags);
  if (tail) {
    put(s, flags & UPPER ? 'E' : 'e');
    integer(s, (uint64_t)(exp10 < 0 ? -exp10 : exp10), exp10 < 0, 10, 0, tail - 1, ZERO | PLUS);
    if (flags & LEFT) fill(s, ' ', width - (int)(s->len - start));
  }
}

static void text(sink *s, const char *str, int precision, int width, int flags) {
  int len = 0;
  if (!str) str = "(null)";
  while (str[len] && (!(flags & PRECISE) || len < precision)) len++;
  field(s, "", 0, str, len, width, flags & LEFT);
}

static int64_t signed_arg(va_list *args, int longs) {
  return longs >= 2 ? va_arg(*args, long long) : longs == 1 ? va_arg(*args, long) : va_arg(*args, int);
}

static uint64_t unsigned_arg(va_list *args, int longs) {
  return longs >= 2   ? va_arg(*args, unsigned long long)
         : longs == 1 ? va_arg(*args, unsigned long)
                      : va_arg(*args, unsigned int);
}

static void convert(sink *s, char c, int precision, int width, int flags, int longs, va_list *args) {
  switch (c) {
    case 'd': case 'i': {
      int64_t v = signed_arg(args, longs);
      integer(s, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0, 10, precision, width, flags & ~ALT);
      break;
    }
    case 'u': integer(s, unsigned_arg(args, longs), 0, 10, precision, width, flags & ~(ALT | PLUS | SPACE)); break;
    case 'o': integer(s, unsigned_arg(args, longs), 0, 8, precision, width, flags & ~(PLUS | SPACE)); break;
    case 'X': flags |= UPPER; /* fall through */
    case 'x': integer(s, unsigned_arg(args, longs), 0, 16, precision, width, flags & ~(PLUS | SPACE)); break;
    case 'F': flags |= UPPER; /* fall through */
    case 'f': fixed(s, va_arg(*args, double), precision, width, flags); break;
    case 'E': case 'G': flags |= UPPER; /* fall through */
    case 'e': case 'g':
      exponent(s, va_arg(*args, double), precision, width, flags, c == 'g' || c == 'G');
      break;
    case 'c': {
      char one = (char)va_arg(*args, int);
      field(s, "", 0, &one, 1, width, flags & LEFT);
      break;
    }
    case 's': text(s, va_arg(*args, const char *), precision, width, flags); break;
    case 'p':
      /* 32-bit addresses; the arena keeps the low half reproducible. */
      integer(s, (uint32_t)(uintptr_t)va_arg(*args, void *), 0, 16, 0, 8, UPPER | ZERO);
      break;
    default: put(s, c);
  }
}

static int number(const char **f) {
  int n = 0;
  while (**f >= '0' && **f <= '9') n = n * 10 + (*(*f)++ - '0');
  return n;
}

int lua32_snprintf(char *out, size_t size, const char *f, ...) {
  static const char signs[] = "-+ #0";
  sink s = {out, size, 0};
  va_list args;
  va_start(args, f);
  while (*f) {
    int flags = 0, width = 0, precision = 0, longs = 0;
    const char *at;
    if (*f != '%') {
      put(&s, *f++);
      continue;
    }
    f++;
    while (*f && (at = strchr(signs, *f)) != NULL) flags |= 1 << (at - signs), f++;
    if (*f == '*') width = va_arg(args, int), f++;
    else width = number(&f);
    if (width < 0) width = -width, flags |= LEFT;
    if (*f == '.') {
      f++;
      flags |= PRECISE;
      if (*f == '*') precision = va_arg(args, int), f++;
      else precision = number(&f);
    }
    while (*f == 'l' || *f == 'h' || *f == 'z' || *f == 't' || *f == 'j') {
      longs += *f == 'h' ? 0 : *f == 'j' ? 2 : 1;
      f++;
    }
    if (!*f) break;
    convert(&s, *f++, precision, width, flags, longs, &args);
  }
  va_end(args);
  if (size) out[s.len < size ? s.len : size - 1] = '\0';
  return (int)s.len;
}

/* One double under a script-given format, for json and friends. */
int lua32_format_number(char *out, size_t size, const char *format, double value) {
  return lua32_snprintf(out, size, format, value);
}
