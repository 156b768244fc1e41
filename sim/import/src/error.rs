//! Why a capture could not be used.

/// Why a capture could not be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It could not be read.
    #[error("cannot read it: {0}")]
    Io(#[from] std::io::Error),
    /// Nothing knows it.
    #[error(
        "unknown format (it begins with {0:?}); airbench reads pcap, pcapng, airtun's recordings, \
         socat -x -v, LLCOM and Luatools logs, and lines like `[2026-01-31 12:00:00.123] RX text`"
    )]
    Format(String),
    /// The file is damaged before the first thing that can be used.
    #[error("{what} at byte {offset}, before anything that can be used")]
    Damaged {
        /// Where in the file.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// There is nothing in it.
    #[error("nothing in it that airbench knows: {0}")]
    Empty(&'static str),
}
