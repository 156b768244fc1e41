//! Arguments as LuatOS's C functions take them.

use airbench_lua32::{Cx, Kind, Raise, Ref};

use crate::runtime::Runtime;

/// The view an API function of this runtime has of the VM.
pub(crate) type Call<'a> = Cx<'a, Runtime>;

/// What an API function gives back: the number of results, or an error.
pub(crate) type Results = Result<usize, Raise>;

/// Argument checks with Lua's own error texts.
pub(crate) trait Args {
    /// A number with an integer value, or an error.
    fn check_integer(&self, index: i32) -> Result<i32, Raise>;
    /// The same, or `default` for nothing and `nil`.
    fn opt_integer(&self, index: i32, default: i32) -> Result<i32, Raise>;
    /// A number, or an error.
    fn check_number(&self, index: i32) -> Result<f32, Raise>;
    /// A string or number as bytes, or an error.
    fn check_bytes(&self, index: i32) -> Result<Vec<u8>, Raise>;
    /// The same as text, invalid UTF-8 replaced.
    fn check_text(&self, index: i32) -> Result<String, Raise>;
    /// A path as C sees it: up to the first NUL.
    fn check_path(&self, index: i32) -> Result<String, Raise>;
    /// A function, kept to be called later; nothing for anything else.
    fn keep_function(&mut self, index: i32) -> Option<Ref>;
}

fn expected(cx: &Call<'_>, index: i32, what: &str) -> Raise {
    Raise::Argument(
        index,
        format!("{what} expected, got {}", cx.type_name(index)),
    )
}

impl Args for Call<'_> {
    fn check_integer(&self, index: i32) -> Result<i32, Raise> {
        self.to_integer(index).ok_or_else(|| {
            if self.to_number(index).is_some() {
                Raise::Argument(index, "number has no integer representation".into())
            } else {
                expected(self, index, "number")
            }
        })
    }

    fn opt_integer(&self, index: i32, default: i32) -> Result<i32, Raise> {
        if self.is_none_or_nil(index) {
            Ok(default)
        } else {
            self.check_integer(index)
        }
    }

    fn check_number(&self, index: i32) -> Result<f32, Raise> {
        self.to_number(index)
            .ok_or_else(|| expected(self, index, "number"))
    }

    fn check_bytes(&self, index: i32) -> Result<Vec<u8>, Raise> {
        self.to_bytes(index)
            .map(<[u8]>::to_vec)
            .ok_or_else(|| expected(self, index, "string"))
    }

    fn check_text(&self, index: i32) -> Result<String, Raise> {
        Ok(String::from_utf8_lossy(&self.check_bytes(index)?).into_owned())
    }

    fn check_path(&self, index: i32) -> Result<String, Raise> {
        let mut path = self.check_text(index)?;
        if let Some(end) = path.find('\0') {
            path.truncate(end);
        }
        Ok(path)
    }

    fn keep_function(&mut self, index: i32) -> Option<Ref> {
        if self.kind(index) != Kind::Function {
            return None;
        }
        self.push_value(index);
        Some(self.make_ref())
    }
}
