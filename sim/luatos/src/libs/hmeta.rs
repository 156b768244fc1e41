//! `hmeta`: what the module is.

use crate::args::{Call, Results};
use crate::libs::Library;

pub(crate) const LIBRARY: Library = Library {
    name: "hmeta",
    functions: &[
        ("model", |cx| text(cx, "Air780E")),
        ("hwver", |cx| text(cx, "A17")),
        ("chip", |cx| text(cx, "EC618")),
    ],
    constants: &[],
};

fn text(cx: &mut Call<'_>, text: &str) -> Results {
    cx.push_bytes(text.as_bytes());
    Ok(1)
}
