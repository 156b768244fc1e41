//! zbuffs as frame buffers: points, lines, rectangles, circles.

use std::collections::BTreeSet;

use airbench_lua32::Func;

use crate::args::{Args, Call, Results};
use crate::libs::zbuff::{Zbuff, this, with};
use crate::runtime::Runtime;

pub(crate) const METHODS: &[(&str, Func<Runtime>)] = &[
    ("setFrameBuffer", set_frame_buffer),
    ("pixel", pixel),
    ("drawLine", draw_line),
    ("drawRect", draw_rectangle),
    ("drawCircle", draw_circle),
];

/// Shape of a frame buffer: points across, down, and bits of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) bits: u8,
    /// It follows the new core's rules.
    pub(crate) new: bool,
}

/// Bits a point may have; others are never drawn.
const DEPTHS: [usize; 6] = [1, 4, 8, 16, 24, 32];

impl Frame {
    /// Bytes all points take. V1112 computes in 32 bits, so that a huge picture
    /// may seem small; its points then lie outside the allocation.
    pub(crate) fn bytes(self) -> usize {
        let bits = u128::from(self.width) * u128::from(self.height) * u128::from(self.bits);
        let bits = if self.new {
            bits
        } else {
            u128::from(bits as u32)
        };
        usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX)
    }
}

impl Zbuff {
    /// Stores a point; one outside the allocation is lost. Of a negative color
    /// V1112 takes bytes as C divides: towards zero.
    fn set_point(&mut self, point: usize, color: i64) {
        let bits = usize::from(self.frame.bits);
        if !DEPTHS.contains(&bits) {
            return;
        }
        let color = if self.frame.new {
            i64::from(color as u32)
        } else {
            color
        };
        if bits >= 8 {
            let start = self.place(point);
            let end = start.saturating_add(bits / 8);
            let Some(bytes) = self.data.get_mut(start..end) else {
                return;
            };
            let mut scale = 1i64 << (bits - 8);
            // The top byte alone is not cut to its own bits first.
            let mut rest = color;
            for byte in bytes {
                *byte = (rest / scale) as u8;
                rest %= scale;
                scale /= 0x100;
            }
            return;
        }
        let Some(byte) = self.data.get_mut(point / (8 / bits)) else {
            return;
        };
        let color = color as u8;
        match bits {
            1 => {
                let bit = 0x80 >> (point % 8);
                *byte = *byte & !bit | if color % 2 == 1 { bit } else { 0 };
            }
            // V1112 does not mask the color: its upper half spoils the
            // neighbour.
            _ if point % 2 == 1 => {
                *byte = *byte & 0xF0 | if self.frame.new { color & 0x0F } else { color };
            }
            _ => *byte = *byte & 0x0F | color << 4,
        }
    }

    /// Where a point of whole bytes begins. Of 32-bit points V1112 forgets to
    /// scale the place.
    fn place(&self, point: usize) -> usize {
        match self.frame.bits {
            32 if !self.frame.new => point,
            bits => point.saturating_mul(usize::from(bits) / 8),
        }
    }

    /// The color of a point.
    fn point(&self, point: usize) -> u32 {
        let bits = usize::from(self.frame.bits);
        if !DEPTHS.contains(&bits) {
            return 0;
        }
        if bits >= 8 {
            let size = bits / 8;
            let start = self.place(point);
            let end = start.saturating_add(size);
            let bytes = self.data.get(start..end).unwrap_or_default();
            return bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        }
        let per_byte = 8 / bits.max(1);
        let shift = 8 - bits - point % per_byte * bits;
        let mask = ((1u16 << bits) - 1) as u8;
        let byte = self.data.get(point / per_byte).copied().unwrap_or(0);
        u32::from(byte >> shift & mask)
    }

    /// Points across and down that can lie in the allocation.
    fn extent(&self) -> (i64, i64) {
        if !DEPTHS.contains(&usize::from(self.frame.bits)) {
            return (0, 0);
        }
        let points = self.data.len() as i64 * 8;
        let (width, height) = (i64::from(self.frame.width), i64::from(self.frame.height));
        (width.min(points), height.min(points / width.max(1) + 1))
    }

    /// Stores the point at x, y if it lies inside.
    fn plot(&mut self, x: i64, y: i64, color: i64) {
        let (width, height) = (i64::from(self.frame.width), i64::from(self.frame.height));
        if (0..width).contains(&x) && (0..height).contains(&y) {
            self.set_point((x + y * width) as usize, color);
        }
    }

    /// All points in one color.
    pub(crate) fn flood(&mut self, color: i64) {
        let points = self.frame.width as usize * self.frame.height as usize;
        for point in 0..points.min(self.data.len() * 8) {
            self.set_point(point, color);
        }
    }
}

/// An integer argument as the firmware's 32-bit unsigned numbers take it.
fn unsigned(cx: &Call<'_>, index: i32) -> Result<u32, airbench_lua32::Raise> {
    Ok(cx.check_integer(index)?.cast_unsigned())
}

fn set_frame_buffer(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let frame = Frame {
        width: unsigned(cx, 2)?,
        height: unsigned(cx, 3)?,
        bits: cx.check_integer(4)? as u8,
        new: cx.host().config.core.is_new(),
    };
    let color = cx.is_integer(5).then(|| cx.to_integer(5).unwrap_or(0));
    let fits = with(cx, id, |b| {
        let least = usize::from(frame.new);
        let fits = (least..=b.data.len()).contains(&frame.bytes());
        if fits {
            b.frame = frame;
            if let Some(color) = color {
                b.flood(color.into());
            }
        }
        fits
    });
    if !fits {
        if frame.new {
            cx.host()
                .zbuff_warning("invalid framebuffer size, setFrameBuffer refused");
        }
        return Ok(0);
    }
    cx.push_boolean(true);
    Ok(1)
}

fn pixel(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let (x, y) = (unsigned(cx, 2)?, unsigned(cx, 3)?);
    let frame = with(cx, id, |b| b.frame);
    if x >= frame.width || y >= frame.height {
        return Ok(0);
    }
    let point = x as usize + y as usize * frame.width as usize;
    if cx.is_integer(4) {
        let color = cx.check_integer(4)?.into();
        with(cx, id, |b| b.set_point(point, color));
        cx.push_boolean(true);
    } else {
        let color = with(cx, id, |b| b.point(point));
        cx.push_integer(color.cast_signed());
    }
    Ok(1)
}

/// Bresenham's line without its last point but for the way there.
fn draw_line(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    if with(cx, id, |b| b.frame.width) == 0 {
        return Ok(0);
    }
    let mut ends = [0i64; 4];
    for (end, index) in ends.iter_mut().zip(2..) {
        *end = cx.check_integer(index)?.into();
    }
    let color = i64::from(cx.opt_integer(6, 0)?.cast_unsigned());
    let [mut x, mut y, x1, y1] = ends;
    let (dx, dy) = (x1 - x, y1 - y);
    let steep = dy.abs() > dx.abs();
    let (long, short) = (dx.abs().max(dy.abs()), dx.abs().min(dy.abs()));
    // No display is longer; the rest of a longer line is outside.
    let steps = long.min(65_536);
    let mut error = 2 * short - long;
    with(cx, id, |b| {
        for _ in 0..steps {
            b.plot(x, y, color);
            if error >= 0 {
                error -= 2 * long;
                if steep {
                    x += if dx >= 0 { 1 } else { -1 };
                } else {
                    y += if dy >= 0 { 1 } else { -1 };
                }
            }
            error += 2 * short;
            if steep {
                y += if dy >= 0 { 1 } else { -1 };
            } else {
                x += if dx >= 0 { 1 } else { -1 };
            }
        }
    });
    cx.push_boolean(true);
    Ok(1)
}

fn draw_rectangle(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let frame = with(cx, id, |b| b.frame);
    if frame.width == 0 {
        return Ok(0);
    }
    let limits = [frame.width, frame.height, frame.width, frame.height];
    let mut corners = [0i64; 4];
    for ((corner, limit), index) in corners.iter_mut().zip(limits).zip(2..) {
        let given = i64::from(cx.check_integer(index)?);
        *corner = given.clamp(0, i64::from(limit).max(1) - 1);
    }
    let color = i64::from(cx.opt_integer(6, 0)?);
    let fill = cx.to_boolean(7);
    let [x1, y1, x2, y2] = corners;
    let (left, right) = (x1.min(x2), x1.max(x2));
    let (top, bottom) = (y1.min(y2), y1.max(y2));
    with(cx, id, |b| {
        let (width, height) = b.extent();
        for x in left..=right.min(width - 1) {
            for y in top..=bottom.min(height - 1) {
                if fill || x == left || x == right || y == top || y == bottom {
                    b.plot(x, y, color);
                }
            }
        }
    });
    cx.push_boolean(true);
    Ok(1)
}

/// Of the distances from `first` to `last` those at which a point of a circle
/// can lie inside the picture.
fn circle_rows(
    (width, height): (i64, i64),
    (xc, yc): (i64, i64),
    first: i64,
    last: i64,
) -> BTreeSet<i64> {
    let near = |center: i64, size: i64| [(center - size + 1, center), (-center, size - 1 - center)];
    let ranges = [near(xc, width), near(yc, height)].concat();
    let clipped = ranges
        .into_iter()
        .map(|(low, high)| low.max(first)..=high.min(last));
    clipped.flatten().collect()
}

fn draw_circle(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let frame = with(cx, id, |b| b.frame);
    if frame.width == 0 {
        return Ok(0);
    }
    let (xc, yc) = (
        i64::from(cx.check_integer(2)?),
        i64::from(cx.check_integer(3)?),
    );
    let r = i64::from(cx.check_integer(4)?);
    let color = i64::from(cx.opt_integer(5, 0)?);
    let fill = cx.to_boolean(6);
    // The firmware compares without signs: what is left of the frame counts as
    // far right of it.
    let outside = xc + r < 0
        || yc + r < 0
        || !(0..i64::from(frame.width)).contains(&(xc - r))
        || !(0..i64::from(frame.height)).contains(&(yc - r));
    if outside || r > 65_536 {
        return Ok(0);
    }
    with(cx, id, |b| {
        let (mut x, mut y, mut d) = (0, r, 3 - 2 * r);
        while x <= y {
            for yi in circle_rows(b.extent(), (xc, yc), if fill { x } else { y }, y) {
                for (a, c) in [(x, yi), (yi, x)] {
                    b.plot(xc + a, yc + c, color);
                    b.plot(xc - a, yc + c, color);
                    b.plot(xc + a, yc - c, color);
                    b.plot(xc - a, yc - c, color);
                }
            }
            if d < 0 {
                d += 4 * x + 6;
            } else {
                d += 4 * (x - y) + 10;
                y -= 1;
            }
            x += 1;
        }
    });
    cx.push_boolean(true);
    Ok(1)
}
