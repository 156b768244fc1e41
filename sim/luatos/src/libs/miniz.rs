//! `miniz`: deflate, by the Rust port of the library the firmware has.

use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use crate::args::{Args, Call, Results};
use crate::libs::Library;
use crate::runtime::Level;

pub(crate) const LIBRARY: Library = Library {
    name: "miniz",
    functions: &[
        ("compress", compress),
        ("uncompress", uncompress),
        ("unzip", super::unzip::unzip),
    ],
    constants: &[],
};

/// Most bytes either function takes.
const INPUT: usize = 32 * 1024;
/// miniz's own output buffer: 13/10 of its code buffer, which V1112 makes 24 KiB.
const OUTPUT: usize = 31_948;
const OUTPUT_NEW: usize = 64 * 1024 * 13 / 10;
/// What V1112's compressor takes of the system heap, in one piece.
const COMPRESSOR: usize = 167_744;
/// `miniz.WRITE_ZLIB_HEADER`.
const WRITE_ZLIB_HEADER: i32 = 0x1000;
/// `miniz.PARSE_ZLIB_HEADER`.
const PARSE_ZLIB_HEADER: i32 = 1;
/// Input is all there is; output does not wrap.
const HAS_MORE_INPUT: u32 = 2;

fn input(cx: &mut Call<'_>) -> Result<Option<Vec<u8>>, airbench_lua32::Raise> {
    let data = cx.check_bytes(1)?;
    if data.len() > INPUT {
        cx.host()
            .lib_line(Level::Error, "miniz only 32k data is allow");
        return Ok(None);
    }
    Ok(Some(data))
}

/// `miniz.compress(data, flags)`. The default flags ask for no match probes, so
/// short data are stored as they are.
fn compress(cx: &mut Call<'_>) -> Results {
    let flags = cx.opt_integer(2, WRITE_ZLIB_HEADER)?;
    let Some(data) = input(cx)? else { return Ok(0) };
    let rt = cx.host();
    if !rt.config.core.is_new() && rt.system_heap.free() < COMPRESSOR {
        let line =
            format!("miniz out of memory when malloc tdefl_compressor size 0x{COMPRESSOR:X}");
        rt.lib_line(Level::Error, &line);
        return Ok(0);
    }
    let mut compressor = CompressorOxide::new(flags.cast_unsigned());
    let mut out = Vec::new();
    let (status, _) = compress_to_output(&mut compressor, &data, TDEFLFlush::Finish, |bytes| {
        out.extend_from_slice(bytes);
        true
    });
    if status != TDEFLStatus::Done {
        cx.host().lib_line(Level::Warn, "miniz compress fail ret=0");
        return Ok(0);
    }
    // The C original names no level in the header, the port does.
    if flags & WRITE_ZLIB_HEADER != 0 && out.len() > 1 {
        out[1] = 1;
    }
    cx.push_bytes(&out);
    Ok(1)
}

fn uncompress(cx: &mut Call<'_>) -> Results {
    let flags = cx.opt_integer(2, PARSE_ZLIB_HEADER)?.cast_unsigned();
    let Some(data) = input(cx)? else { return Ok(0) };
    let new = cx.host().config.core.is_new();
    let mut out = vec![0; if new { OUTPUT_NEW } else { OUTPUT }];
    let flags = (flags & !HAS_MORE_INPUT) | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut state = Box::new(DecompressorOxide::new());
    let (status, _, len) = decompress(&mut state, &data, &mut out, 0, flags);
    if status != TINFLStatus::Done {
        cx.host().lib_line(Level::Warn, "miniz decompress fail");
        return Ok(0);
    }
    cx.push_bytes(&out[..len]);
    Ok(1)
}
