//! LuatOS's additions to `bit32`.

use airbench_lua32::{Func, Raise};

use crate::args::{Args, Call, Results};
use crate::runtime::Runtime;

pub(crate) const EXTENSIONS: &[(&str, Func<Runtime>)] = &[
    ("bit", |cx| {
        let mask = mask(cx, 1)?;
        push(cx, mask)
    }),
    ("set", |cx| fold(cx, |value, mask| value | mask)),
    ("clear", |cx| fold(cx, |value, mask| value & !mask)),
    ("isset", |cx| test(cx, true)),
    ("isclear", |cx| test(cx, false)),
];

/// The bit whose position is argument `index`.
fn mask(cx: &Call<'_>, index: i32) -> Result<u32, Raise> {
    let position = cx.check_integer(index)?;
    Ok(1u32.checked_shl(position.cast_unsigned()).unwrap_or(0))
}

fn push(cx: &mut Call<'_>, value: u32) -> Results {
    cx.push_integer(value.cast_signed());
    Ok(1)
}

/// Changes the bits whose positions are the arguments after the first.
fn fold(cx: &mut Call<'_>, change: fn(u32, u32) -> u32) -> Results {
    let mut value = cx.check_integer(1)?.cast_unsigned();
    for index in 2..=cx.top() {
        value = change(value, mask(cx, index)?);
    }
    push(cx, value)
}

fn test(cx: &mut Call<'_>, set: bool) -> Results {
    let value = cx.check_integer(1)?.cast_unsigned();
    let is_set = value & mask(cx, 2)? != 0;
    cx.push_boolean(is_set == set);
    Ok(1)
}
