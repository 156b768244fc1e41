//! The Lua heap: one address range per VM, counted in device bytes.
//!
//! Object addresses show (`tostring({})`, `%p`) and order `pairs` over function
//! and table keys, so they must repeat. Each VM's range therefore starts at the
//! same low 32 bits, [`LOW_ADDRESS`], and Lua hashes and prints only those.
//!
//! A 64-bit host's objects are larger than the device's. Every block carries a
//! header with the size the device would have used; the heap limit and the
//! memory figures count that. Array blocks of unknown kind (stacks, node and
//! constant arrays) count half, which fits arrays of values and pointers;
//! instruction and line arrays are thereby counted too low.

use std::alloc::Layout;
use std::ffi::{c_int, c_void};
use std::ptr::{NonNull, null_mut};

use rlsf::Tlsf;

use crate::ffi::Ctl;

/// Low half of every arena's start. The device prints heap objects around
/// `0C0xxxxx` (sample in the LuatOS docs); any fixed value would do.
const LOW_ADDRESS: usize = 0x0C08_0000;

/// Host bytes reserved per VM. Untouched pages cost nothing; twice the device's
/// heap plus what Rust may push while the limit is not enforced.
const RESERVED: usize = 32 << 20;

/// In front of each block: its device size, and padding to keep alignment.
const HEADER: usize = 16;

type Pool = Tlsf<'static, u32, u32, 24, 16>;

/// Why an arena could not be made.
#[derive(Debug, thiserror::Error)]
#[error("no address space for a Lua heap ({0}); raise the process's memory limit (ulimit -v)")]
pub struct ArenaError(std::io::Error);

pub(crate) struct Arena {
    pool: Pool,
    base: NonNull<u8>,
    ctl: *mut Ctl,
    /// High-water mark of `ctl.used`, in device bytes.
    pub(crate) peak: usize,
}

impl Arena {
    /// Reserves the range and hands it to the allocator.
    pub(crate) fn new(ctl: *mut Ctl) -> Result<Self, ArenaError> {
        let base = reserve(RESERVED)?;
        let mut pool = Pool::new();
        // SAFETY: the range was just mapped, is owned by this arena alone and
        // is unmapped only in `drop`, after the pool's last use.
        unsafe {
            pool.insert_free_block_ptr(NonNull::slice_from_raw_parts(base, RESERVED));
        }
        Ok(Self {
            pool,
            base,
            ctl,
            peak: 0,
        })
    }

    /// Host bytes of one more string that still surely fit, for Rust code that
    /// pushes while allocation must not fail.
    pub(crate) fn fits(&self, len: usize, used: usize) -> bool {
        len < RESERVED / 4 && used < RESERVED / 4
    }

    fn allocate(&mut self, size: usize) -> *mut u8 {
        let layout = Layout::from_size_align(size + HEADER, 16);
        layout
            .ok()
            .and_then(|l| self.pool.allocate(l))
            .map_or(null_mut(), NonNull::as_ptr)
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: mapped with this base and length in `reserve`; the Lua state
        // that used it is gone with the VM.
        unsafe { libc::munmap(self.base.as_ptr().cast(), RESERVED) };
    }
}

/// Maps `len` bytes whose address ends in [`LOW_ADDRESS`]: maps enough to hold
/// such a range at some 4 GiB boundary and gives the rest back.
#[cfg(unix)]
fn reserve(len: usize) -> Result<NonNull<u8>, ArenaError> {
    const BOUNDARY: usize = 1 << 32;
    let span = BOUNDARY + len + LOW_ADDRESS;
    // SAFETY: an anonymous private mapping at an address of the kernel's
    // choice touches no existing memory.
    let all = unsafe {
        libc::mmap(
            null_mut(),
            span,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if all == libc::MAP_FAILED {
        return Err(ArenaError(std::io::Error::last_os_error()));
    }
    let start = all as usize;
    let mut base = (start & !(BOUNDARY - 1)) | LOW_ADDRESS;
    if base < start {
        base += BOUNDARY;
    }
    // SAFETY: both ranges lie inside the mapping made above and outside
    // [base, base + len); `base + len <= start + span` by the choice of span.
    unsafe {
        if base > start {
            libc::munmap(all, base - start);
        }
        libc::munmap((base + len) as *mut c_void, start + span - base - len);
    }
    Ok(NonNull::new(base as *mut u8).expect("a mapping is never at address zero"))
}

/// Device bytes of a block of `host` bytes. `tag` is the kind Lua names for a
/// new object (0 for none). Differences of the object headers on ARM32:
/// strings 16 instead of 24 bytes, tables 32 instead of 56, userdata 24 instead
/// of 40; everything made of pointers and values is half.
fn device_size(tag: usize, host: usize) -> u32 {
    const STRING: usize = 4;
    const TABLE: usize = 5;
    const USERDATA: usize = 7;
    let size = match tag {
        STRING => host.saturating_sub(8),
        TABLE => 32,
        USERDATA => host.saturating_sub(16),
        _ => host / 2,
    };
    // Blocks of the device's allocator are multiples of 8 and carry 8 bytes.
    u32::try_from(size.div_ceil(8) * 8 + 8).unwrap_or(u32::MAX)
}

/// `lua_Alloc` over an [`Arena`]. While `ctl.native` is set Rust frames are on
/// the stack and the limit is not enforced; see `c/glue.c`.
///
/// # Safety
/// `ud` must be the arena Lua was created with; `block` one of its blocks.
pub(crate) unsafe extern "C" fn lua_alloc(
    ud: *mut c_void,
    block: *mut c_void,
    osize: usize,
    nsize: usize,
) -> *mut c_void {
    // SAFETY: Lua hands back the pointer given to lua_newstate, and never
    // re-enters the allocator from within it.
    let arena = unsafe { &mut *ud.cast::<Arena>() };
    // SAFETY: the control block outlives the arena (both owned by the VM).
    let ctl = unsafe { &mut *arena.ctl };
    let old = block.cast::<u8>();
    // SAFETY: non-null blocks were returned below, HEADER bytes into an
    // allocation whose first word is the device size.
    let old_device = if old.is_null() {
        0
    } else {
        unsafe { old.sub(HEADER).cast::<u32>().read() }
    };
    if nsize == 0 {
        if let Some(start) = NonNull::new(old) {
            ctl.used -= old_device as usize;
            // SAFETY: as above; the block is given up by Lua.
            unsafe { arena.pool.deallocate(start.sub(HEADER), 16) };
        }
        return null_mut();
    }
    let tag = if old.is_null() { osize } else { 0 };
    let device = device_size(tag, nsize);
    let used = ctl.used - old_device as usize + device as usize;
    // Lua assumes that shrinking never fails.
    let growing = device > old_device;
    let enforced: c_int = ctl.native;
    if growing && enforced == 0 && used > ctl.limit {
        return null_mut();
    }
    let new = if let Some(start) = NonNull::new(old) {
        let Ok(layout) = Layout::from_size_align(nsize + HEADER, 16) else {
            return null_mut();
        };
        // SAFETY: `start` is a live allocation of this pool with alignment 16.
        unsafe { arena.pool.reallocate(start.sub(HEADER), layout) }
            .map_or(null_mut(), NonNull::as_ptr)
    } else {
        arena.allocate(nsize)
    };
    if new.is_null() {
        return null_mut();
    }
    ctl.used = used;
    arena.peak = arena.peak.max(used);
    // SAFETY: the allocation is at least HEADER + nsize bytes and 16-aligned.
    unsafe {
        new.cast::<u32>().write(device);
        new.add(HEADER).cast()
    }
}
