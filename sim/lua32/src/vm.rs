//! One VM: a Lua state, its heap, and the native stack it runs on.

use std::cell::{Cell, UnsafeCell};
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{null, null_mut};

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::arena::{Arena, ArenaError, lua_alloc};
use crate::cx::{Cx, Func, Raise};
use crate::ffi::{self, Ctl, LuaState};
use crate::rotable;

/// How a VM is built. `H` is the host: what API functions work on.
pub struct Config<H: 'static> {
    /// Heap limit in device bytes.
    pub heap_limit: usize,
    /// Runs every `hook_interval` VM instructions; may suspend.
    pub hook: fn(&mut Cx<'_, H>),
    /// Runs before every API function; may suspend.
    pub before_call: fn(&mut Cx<'_, H>),
    /// Start of `math.random`.
    pub random_seed: u64,
    /// VM instructions between two hooks; 0 for no hook.
    pub hook_interval: i32,
    /// What the VM does when it is first resumed; the run ends with it.
    pub main: fn(&mut Cx<'_, H>),
}

/// What a resumed VM did last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It called [`Cx::suspend`] and waits for the next resume.
    Suspended,
    /// `Config::main` returned; the VM is over.
    Finished,
}

/// Memory figures in device bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Size of the heap.
    pub total: usize,
    /// In use now.
    pub used: usize,
    /// Most ever in use.
    pub peak: usize,
}

/// What a VM's parts share. Boxed: C and the coroutine hold its address.
pub(crate) struct Shared<H: 'static> {
    pub(crate) ctl: UnsafeCell<Ctl>,
    pub(crate) arena: UnsafeCell<Option<Arena>>,
    pub(crate) state: Cell<*mut LuaState>,
    /// The host lent to the current `resume`; null in between.
    pub(crate) host: Cell<*mut H>,
    pub(crate) yielder: Cell<*const Yielder<(), ()>>,
    pub(crate) hook: fn(&mut Cx<'_, H>),
    before_call: fn(&mut Cx<'_, H>),
}

/// A Lua VM that runs on its own native stack and can stop inside any API call
/// or instruction hook, without a Lua yield.
pub struct Vm<H: 'static> {
    // Declared before `shared`: the coroutine borrows it.
    coroutine: Coroutine<(), (), (), DefaultStack>,
    shared: Box<Shared<H>>,
    finished: bool,
    _host: PhantomData<*mut H>,
}

/// Why a VM could not be made.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// No memory range for the heap.
    #[error(transparent)]
    Heap(#[from] ArenaError),
    /// No memory for the native stack.
    #[error("no memory for a VM stack: {0}")]
    Stack(std::io::Error),
}

/// Native stack per VM in bytes. Lua nests at most 200 C calls; string functions
/// cost 5 KiB each (their buffer on a 64-bit host), and `json` nests a thousand
/// levels on top. Only touched pages cost memory.
const STACK: usize = 4 * 1024 * 1024;

impl<H: 'static> Vm<H> {
    /// A VM that will run `config.main` on its first [`Vm::resume`].
    pub fn new(config: Config<H>) -> Result<Self, VmError> {
        let shared = Box::new(Shared {
            ctl: UnsafeCell::new(Ctl {
                entry: entry::<H>,
                hook: hook::<H>,
                find: rotable::find::<H>,
                at: rotable::at::<H>,
                instructions: 0,
                arg: 0,
                native: 1,
                gc_outer: 1,
                used: 0,
                limit: config.heap_limit,
                hidden: 0,
                random: config.random_seed,
                pattern_steps: 0,
                interval: 0,
            }),
            arena: UnsafeCell::new(None),
            state: Cell::new(null_mut()),
            host: Cell::new(null_mut()),
            yielder: Cell::new(null()),
            hook: config.hook,
            before_call: config.before_call,
        });
        let address: *const Shared<H> = &raw const *shared;
        // SAFETY: nobody else holds the cell yet; the arena lives in the same
        // box as the control block it points to.
        let state = unsafe {
            let arena = (*shared.arena.get()).insert(Arena::new(shared.ctl.get())?);
            ffi::lua_newstate(lua_alloc, (&raw mut *arena).cast())
        };
        assert!(!state.is_null(), "a fresh arena holds an empty Lua state");
        // SAFETY: `state` is a new Lua state and the box outlives it. The
        // extra space takes the control block, which is Shared's first field
        // only by the cast in `shared_of`, hence the store of its address.
        unsafe {
            ffi::lua32_set_control(state, shared.ctl.get());
            ffi::lua32_enter_native(state);
            ffi::lua32_set_hook(state, config.hook_interval);
        }
        shared.state.set(state);
        let main = config.main;
        let stack = DefaultStack::new(STACK).map_err(VmError::Stack)?;
        let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            // SAFETY: the box outlives the coroutine (field order in `Vm`).
            let shared = unsafe { &*address };
            shared.yielder.set(yielder);
            main(&mut Cx::new(shared, shared.state.get()));
        });
        Ok(Self {
            coroutine,
            shared,
            finished: false,
            _host: PhantomData,
        })
    }

    /// Runs the VM with `host` at its disposal until it suspends or ends.
    pub fn resume(&mut self, host: &mut H) -> Step {
        if self.finished {
            return Step::Finished;
        }
        self.shared.host.set(host);
        let result = self.coroutine.resume(());
        self.shared.host.set(null_mut());
        match result {
            CoroutineResult::Yield(()) => Step::Suspended,
            CoroutineResult::Return(()) => {
                self.finished = true;
                Step::Finished
            }
        }
    }

    /// Memory figures in device bytes.
    pub fn memory(&self) -> Memory {
        self.shared.memory()
    }
}

impl<H: 'static> Drop for Vm<H> {
    fn drop(&mut self) {
        if self.coroutine.started() && !self.coroutine.done() {
            // SAFETY: the suspended frames are Lua's C frames, which own
            // nothing outside the arena, and Rust frames of `Cx::suspend`
            // callers; what those own is leaked, never dangling, since the
            // arena and `shared` are dropped after the stack is abandoned.
            unsafe { self.coroutine.force_reset() };
        }
    }
}

impl<H: 'static> Shared<H> {
    pub(crate) fn memory(&self) -> Memory {
        // SAFETY: plain reads of counters; no reference is kept, and Lua is
        // not running concurrently (everything is on one thread).
        unsafe {
            let ctl = self.ctl.get();
            let peak = (*self.arena.get()).as_ref().map_or(0, |arena| arena.peak);
            Memory {
                total: (*ctl).limit,
                used: (*ctl).used,
                peak,
            }
        }
    }
}

/// # Safety
/// `l` must be a thread of a VM with host type `H`.
unsafe fn shared_of<'a, H: 'static>(l: *mut LuaState) -> &'a Shared<H> {
    // SAFETY: the extra space of every thread holds the address of `ctl`,
    // which lies at a fixed offset in the boxed Shared<H>.
    unsafe {
        let ctl = ffi::lua32_control(l).cast::<u8>();
        &*ctl.sub(std::mem::offset_of!(Shared<H>, ctl)).cast()
    }
}

/// Called by `lua32_dispatch` for every API function.
unsafe extern "C" fn entry<H: 'static>(l: *mut LuaState, func: *const c_void) -> c_int {
    // SAFETY: `func` was made from a `Func<H>` in `Cx::push_function`, and
    // only functions of this VM's host type are ever pushed into it.
    let func: Func<H> = unsafe { std::mem::transmute(func) };
    // SAFETY: `l` belongs to the VM this monomorphic entry was set for.
    let shared = unsafe { shared_of::<H>(l) };
    let mut cx = Cx::new(shared, l);
    (shared.before_call)(&mut cx);
    match func(&mut cx) {
        Ok(n) => c_int::try_from(n).unwrap_or(0),
        Err(Raise::Message(text)) => {
            cx.push_bytes(text.as_bytes());
            ffi::RAISE_AT
        }
        Err(Raise::Plain(text)) => {
            cx.push_bytes(text.as_bytes());
            ffi::RAISE_VALUE
        }
        Err(Raise::Argument(index, text)) => {
            // SAFETY: the control block is only touched by this thread.
            unsafe { (*shared.ctl.get()).arg = index };
            cx.push_bytes(text.as_bytes());
            ffi::RAISE_ARG
        }
        Err(Raise::Value) => ffi::RAISE_VALUE,
    }
}

/// Called by the count hook; see `c/glue.c`.
unsafe extern "C" fn hook<H: 'static>(l: *mut LuaState) {
    // SAFETY: as in `entry`.
    let shared = unsafe { shared_of::<H>(l) };
    (shared.hook)(&mut Cx::new(shared, l));
}
