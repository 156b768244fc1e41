//! Read-only library objects: their members, as C asks for them.

use std::ffi::{c_char, c_int, c_void};

use crate::cx::{Cx, Func, Kind};
use crate::ffi;

/// A member of a library object.
pub enum Member<H: 'static> {
    /// An API function.
    Function(Func<H>),
    /// An API function that carries a text ([`Cx::push_own_value`]).
    Named(Func<H>, &'static str),
    /// An integer constant.
    Integer(i32),
    /// A float constant.
    Number(f32),
    /// The null light userdata.
    Null,
    /// A Lua value of the table given to [`Cx::make_rotable`].
    Given,
}

/// What a library object offers, in declaration order.
pub struct Members<H: 'static>(pub Vec<(&'static str, Member<H>)>);

impl<H: 'static> Cx<'_, H> {
    /// Replaces the table on top, which holds the [`Member::Given`] ones, by
    /// the read-only object with these members.
    pub fn make_rotable(&mut self, members: &'static Members<H>) {
        assert_eq!(self.kind(-1), Kind::Table, "given members are in a table");
        self.room();
        // SAFETY: a table on top, room made; native state. The members live
        // for ever and are turned back by `find` and `at` of the same H.
        unsafe { ffi::lua32_rotable(self.l, std::ptr::from_ref(members).cast()) };
    }

    /// Replaces the library object on top by an `__index` function that looks
    /// methods up in it.
    pub fn make_method_index(&mut self) {
        assert_eq!(self.kind(-1), Kind::Userdata, "a library object is on top");
        // SAFETY: one value is popped and one pushed; native state.
        unsafe { ffi::lua32_method_index(self.l) };
    }

    /// Makes the library object on top the source of string methods.
    pub fn use_for_string_methods(&mut self) {
        assert_eq!(self.kind(-1), Kind::Userdata, "a library object is on top");
        unsafe {
            // SAFETY: room made; native state.
            assert!(ffi::lua_checkstack(self.l, 4) != 0, "room for four values");
            ffi::lua32_string_methods(self.l);
        }
    }
}

fn describe<H>(member: &Member<H>, out: &mut ffi::Member) {
    match member {
        Member::Function(func) => {
            out.kind = ffi::MEMBER_FUNCTION;
            out.func = *func as *const c_void;
        }
        Member::Named(func, text) => {
            out.kind = ffi::MEMBER_NAMED;
            out.func = *func as *const c_void;
            out.text = text.as_ptr().cast();
            out.text_len = text.len();
        }
        Member::Integer(n) => {
            out.kind = ffi::MEMBER_INTEGER;
            out.integer = *n;
        }
        Member::Number(n) => {
            out.kind = ffi::MEMBER_NUMBER;
            out.number = *n;
        }
        Member::Null => out.kind = ffi::MEMBER_NULL,
        Member::Given => out.kind = ffi::MEMBER_NIL,
    }
}

/// Describes the member called `name`.
///
/// # Safety
/// `members` must come from `make_rotable::<H>`, `name` must be `len` bytes.
pub(crate) unsafe extern "C" fn find<H: 'static>(
    members: *const c_void,
    name: *const c_char,
    len: usize,
    out: *mut ffi::Member,
) -> c_int {
    // SAFETY: by contract; `out` is a C local of the caller.
    let (members, name, out) = unsafe {
        let name = std::slice::from_raw_parts(name.cast::<u8>(), len);
        (&*members.cast::<Members<H>>(), name, &mut *out)
    };
    let found = members.0.iter().find(|(n, _)| n.as_bytes() == name);
    found.map_or(0, |(_, member)| {
        describe(member, out);
        1
    })
}

/// Names the member at a position, from 0.
///
/// # Safety
/// `members` must come from `make_rotable::<H>`.
pub(crate) unsafe extern "C" fn at<H: 'static>(
    members: *const c_void,
    index: usize,
    out: *mut ffi::Member,
) -> c_int {
    // SAFETY: by contract; `out` is a C local of the caller.
    let (members, out) = unsafe { (&*members.cast::<Members<H>>(), &mut *out) };
    members.0.get(index).map_or(0, |(name, _)| {
        out.text = name.as_ptr().cast();
        out.text_len = name.len();
        1
    })
}
