//! Looks a precompiled chunk over before Lua runs it.
//!
//! Lua trusts bytecode: a damaged one makes it read and write where it must
//! not. The board then crashes or goes on with nonsense; a simulator must not.
//! So every instruction's registers, constants, upvalues and jumps are checked
//! against their function. What passes may still do anything a script could do.

use std::collections::BTreeSet;

/// Length of the header: signature to float sample.
const HEADER: usize = 4 + 1 + 1 + 6 + 5 + 4 + 4;
/// Deepest nesting of functions.
const DEPTH: usize = 200;

/// How an operand is used (Lua's opmodes).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Not used.
    N,
    /// Used as a number.
    U,
    /// A register, or a jump.
    R,
    /// A register or a constant.
    K,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Abc,
    Abx,
    Asbx,
    Ax,
}

use Format::{Abc, Abx, Asbx, Ax};
use Use::{K, N, R, U};

/// Sets A, B, C, and the format of each operation, in Lua 5.3's order.
const OPERATIONS: [(bool, Use, Use, Format); 47] = [
    (true, R, N, Abc),   // MOVE
    (true, K, N, Abx),   // LOADK
    (true, N, N, Abx),   // LOADKX
    (true, U, U, Abc),   // LOADBOOL
    (true, U, N, Abc),   // LOADNIL
    (true, U, N, Abc),   // GETUPVAL
    (true, U, K, Abc),   // GETTABUP
    (true, R, K, Abc),   // GETTABLE
    (false, K, K, Abc),  // SETTABUP
    (false, U, N, Abc),  // SETUPVAL
    (false, K, K, Abc),  // SETTABLE
    (true, U, U, Abc),   // NEWTABLE
    (true, R, K, Abc),   // SELF
    (true, K, K, Abc),   // ADD
    (true, K, K, Abc),   // SUB
    (true, K, K, Abc),   // MUL
    (true, K, K, Abc),   // MOD
    (true, K, K, Abc),   // POW
    (true, K, K, Abc),   // DIV
    (true, K, K, Abc),   // IDIV
    (true, K, K, Abc),   // BAND
    (true, K, K, Abc),   // BOR
    (true, K, K, Abc),   // BXOR
    (true, K, K, Abc),   // SHL
    (true, K, K, Abc),   // SHR
    (true, R, N, Abc),   // UNM
    (true, R, N, Abc),   // BNOT
    (true, R, N, Abc),   // NOT
    (true, R, N, Abc),   // LEN
    (true, R, R, Abc),   // CONCAT
    (false, R, N, Asbx), // JMP
    (false, K, K, Abc),  // EQ
    (false, K, K, Abc),  // LT
    (false, K, K, Abc),  // LE
    (false, N, U, Abc),  // TEST
    (true, R, U, Abc),   // TESTSET
    (true, U, U, Abc),   // CALL
    (true, U, U, Abc),   // TAILCALL
    (false, U, N, Abc),  // RETURN
    (true, R, N, Asbx),  // FORLOOP
    (true, R, N, Asbx),  // FORPREP
    (false, N, U, Abc),  // TFORCALL
    (true, R, N, Asbx),  // TFORLOOP
    (false, U, U, Abc),  // SETLIST
    (true, U, N, Abx),   // CLOSURE
    (true, U, N, Abc),   // VARARG
    (false, U, U, Ax),   // EXTRAARG
];

const LOADKX: usize = 2;
const LOADBOOL: usize = 3;
const LOADNIL: usize = 4;
const GETUPVAL: usize = 5;
const GETTABUP: usize = 6;
const SETTABUP: usize = 8;
const SETUPVAL: usize = 9;
const SELF: usize = 12;
const CONCAT: usize = 29;
const JMP: usize = 30;
const EQ: usize = 31;
const LE: usize = 33;
const TEST: usize = 34;
const TESTSET: usize = 35;
const CALL: usize = 36;
const TAILCALL: usize = 37;
const RETURN: usize = 38;
const FORLOOP: usize = 39;
const FORPREP: usize = 40;
const TFORCALL: usize = 41;
const TFORLOOP: usize = 42;
const SETLIST: usize = 43;
const CLOSURE: usize = 44;
const VARARG: usize = 45;
const EXTRAARG: usize = 46;

/// The chunk cannot be trusted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Corrupt {
    /// It ends too early, as Lua would notice.
    Truncated,
    /// Lua would not notice.
    Broken,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Corrupt::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Corrupt> {
        Ok(self.take(1)?[0])
    }

    /// A count; more items than bytes left cannot be.
    fn count(&mut self, size: usize) -> Result<usize, Corrupt> {
        let word = self.take(4)?;
        let count = i32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        let count = usize::try_from(count).map_err(|_| Corrupt::Broken)?;
        if count > self.0.len() / size {
            return Err(Corrupt::Truncated);
        }
        Ok(count)
    }

    /// A string that must be there: Lua would follow the null pointer of one
    /// that is not.
    fn text(&mut self) -> Result<(), Corrupt> {
        if self.0.first() == Some(&0) {
            return Err(Corrupt::Broken);
        }
        self.string()
    }

    /// A string, or none.
    fn string(&mut self) -> Result<(), Corrupt> {
        let len = match self.byte()? {
            0 => return Ok(()),
            0xFF => {
                let word = self.take(4)?;
                u32::from_le_bytes([word[0], word[1], word[2], word[3]]) as usize
            }
            short => usize::from(short),
        };
        self.take(len.checked_sub(1).ok_or(Corrupt::Broken)?)
            .map(drop)
    }
}

/// What an instruction may refer to.
struct Limits {
    registers: usize,
    constants: usize,
    upvalues: usize,
    functions: usize,
    code: usize,
}

/// Checks a chunk whose header Lua has yet to look at.
pub(crate) fn check(chunk: &[u8]) -> Result<(), Corrupt> {
    let mut reader = Reader(chunk.get(HEADER..).ok_or(Corrupt::Truncated)?);
    // Lua makes the closure as large as this says.
    let upvalues = usize::from(reader.byte()?);
    if function(&mut reader, 0)?.len() == upvalues {
        Ok(())
    } else {
        Err(Corrupt::Broken)
    }
}

/// Reads a function; gives the upvalues it wants of its surroundings: whether
/// each is a register there, and its number.
fn function(reader: &mut Reader<'_>, depth: usize) -> Result<Vec<(bool, usize)>, Corrupt> {
    if depth > DEPTH {
        return Err(Corrupt::Broken);
    }
    reader.string()?;
    reader.take(8)?;
    let parameters = usize::from(reader.byte()?);
    reader.byte()?;
    let registers = usize::from(reader.byte()?);
    if parameters > registers || registers < 2 {
        return Err(Corrupt::Broken);
    }
    let count = reader.count(4)?;
    let code = reader.take(count * 4)?;
    let constants = reader.count(1)?;
    for _ in 0..constants {
        match reader.byte()? {
            0 => {}
            1 => drop(reader.byte()?),
            3 | 0x13 => drop(reader.take(4)?),
            4 | 0x14 => reader.text()?,
            _ => return Err(Corrupt::Broken),
        }
    }
    let upvalues = reader.count(2)?;
    let mut wanted = Vec::with_capacity(upvalues);
    for _ in 0..upvalues {
        wanted.push((reader.byte()? != 0, usize::from(reader.byte()?)));
    }
    let functions = reader.count(1)?;
    for _ in 0..functions {
        for (in_stack, number) in function(reader, depth + 1)? {
            let limit = if in_stack { registers } else { upvalues };
            if number >= limit {
                return Err(Corrupt::Broken);
            }
        }
    }
    debug_information(reader, count, upvalues)?;
    let limits = Limits {
        registers,
        constants,
        upvalues,
        functions,
        code: count,
    };
    instructions(code, &limits)?;
    Ok(wanted)
}

fn debug_information(reader: &mut Reader<'_>, code: usize, upvalues: usize) -> Result<(), Corrupt> {
    let lines = reader.count(4)?;
    if lines != 0 && lines != code {
        return Err(Corrupt::Broken);
    }
    reader.take(lines * 4)?;
    for _ in 0..reader.count(1)? {
        reader.text()?;
        reader.take(8)?;
    }
    let names = reader.count(1)?;
    if names > upvalues {
        return Err(Corrupt::Broken);
    }
    for _ in 0..names {
        reader.string()?;
    }
    Ok(())
}

/// An instruction taken apart.
#[derive(Clone, Copy)]
struct Instruction {
    operation: usize,
    a: usize,
    b: usize,
    c: usize,
    bx: usize,
}

impl Instruction {
    /// It leaves as many values as there are.
    fn leaves_open(&self) -> bool {
        match self.operation {
            CALL | TAILCALL => self.c == 0,
            VARARG => self.b == 0,
            _ => false,
        }
    }

    /// It takes as many values as there are.
    fn takes_open(&self) -> bool {
        matches!(self.operation, CALL | TAILCALL | RETURN | SETLIST) && self.b == 0
    }

    fn new(bytes: &[u8]) -> Self {
        let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        Self {
            operation: (word & 0x3F) as usize,
            a: (word >> 6 & 0xFF) as usize,
            c: (word >> 14 & 0x1FF) as usize,
            b: (word >> 23) as usize,
            bx: (word >> 14) as usize,
        }
    }

    /// A signed jump from the next instruction.
    fn target(self, at: usize) -> i64 {
        at as i64 + 1 + self.bx as i64 - 131_071
    }
}

fn instructions(code: &[u8], limits: &Limits) -> Result<(), Corrupt> {
    let list: Vec<Instruction> = code.chunks_exact(4).map(Instruction::new).collect();
    match list.last() {
        Some(last) if last.operation == RETURN => {}
        _ => return Err(Corrupt::Broken),
    }
    for (at, instruction) in list.iter().enumerate() {
        operands(instruction, limits)?;
        special(instruction, at, &list, limits)?;
    }
    open_ends(&list)
}

/// An instruction that leaves as many values as there are is followed by one
/// that takes them, from a register no higher; nothing else takes as many as
/// there are, and nobody jumps in between.
fn open_ends(list: &[Instruction]) -> Result<(), Corrupt> {
    let mut targets = BTreeSet::new();
    for (at, i) in list.iter().enumerate() {
        let skips = matches!(i.operation, EQ..=LE | TEST | TESTSET)
            || (i.operation == LOADBOOL && i.c != 0);
        let jumps = matches!(i.operation, JMP | FORLOOP | FORPREP | TFORLOOP);
        if skips {
            targets.insert(at + 2);
        }
        if jumps {
            targets.extend(usize::try_from(i.target(at)));
        }
    }
    for (at, i) in list.iter().enumerate() {
        let taker = list.get(at + 1).filter(|next| next.takes_open());
        let right = match (i.leaves_open(), taker) {
            (true, Some(next)) => next.a <= i.a && !targets.contains(&(at + 1)),
            (left, taken) => !left && taken.is_none(),
        };
        if !right || (at == 0 && i.takes_open()) {
            return Err(Corrupt::Broken);
        }
    }
    Ok(())
}

/// The operands as the operation's format has them.
fn operands(i: &Instruction, limits: &Limits) -> Result<(), Corrupt> {
    let (_, b, c, format) = *OPERATIONS.get(i.operation).ok_or(Corrupt::Broken)?;
    let register = |number: usize| number < limits.registers;
    let either = |number: usize| {
        if number >= 256 {
            number - 256 < limits.constants
        } else {
            register(number)
        }
    };
    let fits = |kind: Use, number: usize| match kind {
        N | U => true,
        R => register(number),
        K => either(number),
    };
    let a_is_register = !matches!(i.operation, SETTABUP | EQ..=LE | EXTRAARG | JMP);
    let right = match format {
        Abc => fits(b, i.b) && fits(c, i.c),
        Abx => b != K || i.bx < limits.constants,
        Asbx | Ax => true,
    };
    if right && (!a_is_register || register(i.a)) {
        Ok(())
    } else {
        Err(Corrupt::Broken)
    }
}

/// What operations do beyond their operands.
fn special(
    i: &Instruction,
    at: usize,
    list: &[Instruction],
    limits: &Limits,
) -> Result<(), Corrupt> {
    let follows = |operations: &[usize]| {
        let next = list.get(at + 1);
        next.is_some_and(|next| operations.contains(&next.operation))
    };
    let jump = |target: i64| (0..limits.code as i64).contains(&target);
    let up_to = |register: usize| register <= limits.registers;
    let right = match i.operation {
        LOADKX => list.get(at + 1).is_some_and(|next| {
            next.operation == EXTRAARG && next.c | next.b << 9 < limits.constants
        }),
        LOADBOOL => i.c == 0 || jump(at as i64 + 2),
        LOADNIL => up_to(i.a + i.b + 1),
        GETUPVAL | SETUPVAL | GETTABUP => i.b < limits.upvalues,
        SETTABUP => i.a < limits.upvalues,
        SELF => up_to(i.a + 2),
        CONCAT => i.b <= i.c,
        JMP => up_to(i.a) && jump(i.target(at)),
        EQ..=LE | TEST | TESTSET => follows(&[JMP]),
        CALL | TAILCALL => {
            up_to(i.a + i.b.max(1)) && (i.operation == TAILCALL || up_to(i.a + i.c.max(1) - 1))
        }
        RETURN => up_to(i.a + i.b.max(1) - 1),
        FORLOOP | FORPREP => up_to(i.a + 4) && jump(i.target(at)),
        TFORCALL => i.c >= 1 && up_to(i.a + 3 + i.c.max(3)) && follows(&[TFORLOOP]),
        TFORLOOP => up_to(i.a + 2) && jump(i.target(at)),
        SETLIST => up_to(i.a + i.b + 1) && (i.c != 0 || follows(&[EXTRAARG])),
        CLOSURE => i.bx < limits.functions,
        VARARG => up_to(i.a + i.b.max(1) - 1),
        _ => true,
    };
    if right { Ok(()) } else { Err(Corrupt::Broken) }
}
